"""The named points at which a process of the bridge kills itself, and what it tells of itself before that."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path

BEFORE_ACCEPTANCE = "before an acceptance's commit"
BEFORE_ANSWER = "after that commit, before the answer"
AFTER_CLAIM = "after a claim's commit"
DURING_CALL = "during a call"
BEFORE_SETTLE = "after its answer, before the settle's commit"
OF_WEB = (BEFORE_ACCEPTANCE, BEFORE_ANSWER)
OF_WORKER = (AFTER_CLAIM, DURING_CALL, BEFORE_SETTLE)
POINTS = (*OF_WEB, *OF_WORKER)

SPARED = 0.2  # of the processes meet no point: they are there for kills from outside
MOST_PASSES = 12  # of its point before that kills a process


class Fuse:
    """One process's death: at the n-th pass of one point, or never. Each process that is forked draws its own.

    `journal`: a pipe to the driver, as a full disk must not keep a death from being counted. `armed`: a file
    that is there while points kill.
    """

    def __init__(self, points: tuple[str, ...], seed: str, journal: int, armed: Path) -> None:
        self._points, self._seed = points, seed
        self._journal, self._armed = journal, armed
        self._forked = 0
        self._point, self._passes = "", 0
        os.register_at_fork(before=self._count, after_in_child=self._draw)

    def reach(self, point: str) -> None:
        if point != self._point:
            return
        self._passes -= 1
        if self._passes <= 0 and self._armed.exists():
            self.tell("killed", point=point)
            os.kill(os.getpid(), signal.SIGKILL)

    def tell(self, what: str, **more: object) -> None:
        line = {"what": what, "pid": os.getpid(), "at": time.monotonic()} | more
        os.write(self._journal, json.dumps(line).encode() + b"\n")  # shorter than PIPE_BUF: never torn

    def _count(self) -> None:
        self._forked += 1

    def _draw(self) -> None:
        chance = random.Random(f"{self._seed}-{self._forked}")  # to be repeated, no secret
        self._point = "" if chance.random() < SPARED else chance.choice(self._points)
        self._passes = chance.randint(1, MOST_PASSES)
