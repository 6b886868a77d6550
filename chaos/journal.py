"""What the bridge's processes tell the driver, through a pipe: claims, settles, and their own deaths."""

from __future__ import annotations

import json
import os
import queue
import threading
import time
from collections import defaultdict
from dataclasses import dataclass


@dataclass(frozen=True)
class Death:
    """A process that was killed: `by` a point's name, or from outside. `in_flight`: messages that it had claimed."""

    at: float
    pid: int
    by: str
    in_flight: int = 0


class Journal:
    """Times are on the monotonic clock, which all processes of a machine share."""

    def __init__(self) -> None:
        self._read, self.pipe = os.pipe()
        os.set_inheritable(self.pipe, True)
        self.deaths: list[Death] = []
        self.claims: dict[int, list[tuple[float, int]]] = defaultdict(list)  # message, when and by whom
        self.ended: dict[int, int] = {}  # workers, and their exit code
        self.forked: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.is_ready = threading.Event()
        self._held: dict[int, set[int]] = defaultdict(set)
        self._lock = threading.Lock()
        threading.Thread(target=self._follow, daemon=True).start()

    def killed(self, pid: int, by: str) -> None:
        """The driver killed it. A process that died at a point a moment before has told so."""
        time.sleep(0.02)
        with self._lock:
            if all(death.pid != pid for death in self.deaths[-20:]):
                self._bury(time.monotonic(), pid, by)

    def _follow(self) -> None:
        with os.fdopen(self._read, "rb") as lines:
            for line in lines:
                with self._lock:
                    self._take(json.loads(line))

    def _take(self, told: dict) -> None:
        what, pid, at = told["what"], told["pid"], told["at"]
        if what == "claimed":
            self._held[pid].update(told["seqs"])
            for seq in told["seqs"]:
                self.claims[seq].append((at, pid))
        elif what == "settled":
            self._held[pid].difference_update(told["seqs"])
        elif what == "killed":
            self._bury(at, pid, told["point"])
        elif what == "forked":
            self.forked.put(told["child"])
        elif what == "ended":
            self.ended[told["child"]] = told["code"]
        elif what == "ready":
            self.is_ready.set()

    def _bury(self, at: float, pid: int, by: str) -> None:
        self.deaths.append(Death(at, pid, by, len(self._held.pop(pid, ()))))
