"""Kills, stops, ends and cuts off what the bridge runs on, one thing after the other, by a seed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from chaos.databases import fill_disk, hold_writer, is_lock_held, terminate_connections
from chaos.driver import Driver
from chaos.place import Place
from chaos.running import WORKERS, Running, Worker, children_of
from chaos.upstream import Upstream

END_WITHIN = 25.0  # seconds from a SIGTERM
STOPPED_FOR = (21.0, 27.0)  # seconds; a worker that is silent for 20 is taken over
STOPPED_WEB_FOR = 8.0
SETTLES_FOR = 2.0  # until callers that such a web process kept waiting have been answered
HELD_FOR = (0.5, 6.0)  # a statement of the bridge waits for 3 (PostgreSQL) or 5 (SQLite)
HELD_SHORT = (0.3, 1.5)
DOWN_FOR = (0.0, 0.0, 1.0, 3.0, 12.0)
FULL_RATE = 0.9  # of the arrival rate, over a second, counts as full
MEASURED_FOR = 30.0

# How often each, by weight. Of these a short run has those that are over in moments.
SUDDEN = {"kill_web_child": 12, "kill_worker": 15, "kill_web_master": 2, "kill_web": 1, "end_worker": 4}
SLOW = {"end_web": 1, "stop_worker": 2, "stop_web_child": 1, "kill_everything": 1}
OF_SQLITE = {"hold_writer": 2, "fill_disk": 3}
OF_POSTGRESQL = {"hold_writer": 2, "end_connections": 3, "restart_database": 1}


@dataclass(frozen=True)
class Recovery:
    """A restart of the database: seconds until events were taken, and delivered, at the full rate again."""

    mode: str
    down_for: float
    taken: float
    delivered: float


class Faults:
    """`happened`: how often each. `violations`: what a process did that it must not. `too_slow`: what took too long.

    `outages`: when nobody could write to the database; `stopped`: workers that slept, and when.
    """

    def __init__(
        self,
        bridge: Running,
        place: Place,
        driver: Driver,
        upstream: Upstream,
        seed: str,
        *,
        is_short: bool = False,
    ) -> None:
        self.happened: Counter[str] = Counter()
        self.violations: list[str] = []
        self.too_slow: list[str] = []
        self.outages: list[tuple[float, float]] = []
        self.stopped: list[tuple[int, float, float]] = []
        self.recoveries: list[Recovery] = []
        self._bridge, self._place = bridge, place
        self._driver, self._upstream = driver, upstream
        self._weights = SUDDEN | (OF_POSTGRESQL if place.server else OF_SQLITE) | ({} if is_short else SLOW)
        self._pause = (0.1, 0.5) if is_short else (0.05, 0.45)
        self._held_for = HELD_SHORT if is_short else HELD_FOR
        self._random = random.Random(f"faults-{seed}")
        self._asleep: set[int] = set()
        self._web_is_whole_at = 0.0
        self._database_troubled = threading.Lock()
        self._beside: list[threading.Thread] = []
        self._began = time.monotonic()

    def run(self, until: float) -> None:
        """Leaves the bridge with nothing stopped, held or armed, and all its workers."""
        self._bridge.armed.touch()
        names, weights = list(self._weights), list(self._weights.values())
        while time.monotonic() < until:
            time.sleep(self._random.uniform(*self._pause))
            self._look_after_workers()
            name = self._random.choices(names, weights)[0]
            if getattr(self, f"_{name}")() is not False:
                self.happened[name] += 1
                self._say(name)
        self._bridge.armed.unlink()
        for thread in self._beside:
            thread.join()
        self._look_after_workers()

    def _kill_web(self) -> None:
        self._bridge.kill_web()
        self._bridge.restart_web()

    def _kill_web_child(self) -> None:
        if children := children_of(self._bridge.web.pid):
            child = self._random.choice(children)
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
                self._bridge.journal.killed(child, "outside: web")

    def _kill_web_master(self) -> None:
        """Its children notice within a second, and the next master starts beside them."""
        self._bridge.web.kill()
        self._bridge.web.wait()
        self._bridge.journal.killed(self._bridge.web.pid, "outside: web")
        self._bridge.restart_web()

    def _end_web(self) -> None:
        web = self._bridge.web
        web.terminate()
        try:
            web.wait(END_WITHIN + 5)
        except subprocess.TimeoutExpired:
            self.too_slow.append(f"the web did not end within {END_WITHIN + 5} s of SIGTERM")
            self._bridge.kill_web()
        self._bridge.restart_web()

    def _stop_web_child(self) -> bool:
        """Not with SQLite: whoever holds its write lock and sleeps stops everybody."""
        children = children_of(self._bridge.web.pid)
        if not children or self._place.server is None:
            return False
        child = self._random.choice(children)
        self._web_is_whole_at = time.monotonic() + STOPPED_WEB_FOR + SETTLES_FOR
        self._aside(lambda: _sleep_of(child, STOPPED_WEB_FOR))
        return True

    def _kill_worker(self) -> None:
        if worker := self._any_worker():
            self._bridge.kill_worker(worker)
            self._bridge.start_worker()

    def _kill_everything(self) -> None:
        """As if the machine went away, and came back. A worker that sleeps dies too."""
        began = time.monotonic()
        self._bridge.kill_web()
        for worker in tuple(self._bridge.workers):
            self._bridge.kill_worker(worker)
        if self._place.server is not None:
            self._place.server.stop()
            self._place.server.start()
        for _ in range(WORKERS):
            self._bridge.start_worker()
        self._bridge.restart_web()
        self.outages.append((began, time.monotonic()))

    def _end_worker(self) -> None:
        if worker := self._any_worker():
            self._bridge.workers.remove(worker)
            worker.signal(signal.SIGTERM)
            self._bridge.start_worker()
            self._aside(lambda: self._see_it_end(worker))

    def _stop_worker(self) -> bool:
        if self._asleep or (worker := self._any_worker()) is None:
            return False
        self._asleep.add(worker.pid)
        self._bridge.start_worker()
        seconds = self._random.uniform(*STOPPED_FOR)
        self._aside(lambda: self._let_sleep(worker, seconds))
        return True

    def _restart_database(self) -> bool:
        """With nothing else in the way, as it is measured how long the bridge takes to be at its full rate again."""
        if time.monotonic() < self._web_is_whole_at:
            return False
        server, mode = self._place.server, self._random.choice(["immediate", "fast"])
        down_for = self._random.choice(DOWN_FOR)
        assert server is not None
        with self._database_troubled:
            self._bridge.armed.unlink()
            self._upstream.be_fair(down_for + MEASURED_FOR)
            began = time.monotonic()
            server.stop(mode)
            time.sleep(down_for)
            server.start()
            self.outages.append((began, time.monotonic()))
            taken, delivered = self._await_full_rate(time.monotonic())
        self.recoveries.append(Recovery(mode, down_for, taken, delivered))
        self._upstream.be_fair(0)
        self._bridge.armed.touch()
        return True

    def _await_full_rate(self, up_at: float) -> tuple[float, float]:
        wanted = self._driver.rate * FULL_RATE
        taken = delivered = MEASURED_FOR
        while time.monotonic() < up_at + MEASURED_FOR and MEASURED_FOR in (taken, delivered):
            time.sleep(0.05)
            self._look_after_workers()
            now = time.monotonic()
            since = max(up_at, now - 1)
            if taken == MEASURED_FOR and sum(at >= since for at in self._driver.taken[-2000:]) >= wanted:
                taken = now - up_at
            if delivered == MEASURED_FOR and self._upstream.effects_since(since) >= wanted:
                delivered = now - up_at
        return round(taken, 2), round(delivered, 2)

    def _end_connections(self) -> None:
        terminate_connections(self._place)

    def _hold_writer(self) -> bool:
        seconds = self._random.uniform(*self._held_for)
        return self._trouble_database(lambda: self._say(hold_writer(self._place, seconds, self._random)))

    def _fill_disk(self) -> bool:
        seconds = self._random.uniform(*self._held_for)
        return self._trouble_database(lambda: fill_disk(self._place, self._writers, seconds, self._random))

    def _trouble_database(self, do: Callable[[], None]) -> bool:
        """While the kills go on, but one such trouble at a time."""

        def alone() -> None:
            with self._database_troubled:
                began = time.monotonic()
                do()
                self.outages.append((began, time.monotonic()))

        if self._database_troubled.locked():
            return False
        self._aside(alone)
        return True

    def _writers(self) -> Sequence[int]:
        return [*children_of(self._bridge.web.pid), *(worker.pid for worker in self._bridge.workers)]

    def _see_it_end(self, worker: Worker) -> None:
        began = time.monotonic()
        code = worker.wait(END_WITHIN + self._out_for(began))
        if code is None and (code := worker.wait(self._out_for(began))) is None:
            self.too_slow.append(f"worker {worker.pid} did not end within {END_WITHIN} s of SIGTERM")
            self._bridge.kill_worker(worker)
        # -SIGTERM: before it could say what to do on it. -SIGKILL: it met its point.
        elif code not in (0, -signal.SIGTERM, -signal.SIGKILL):
            self.violations.append(f"worker {worker.pid} ended with {code} after SIGTERM")

    def _out_for(self, since: float) -> float:
        return sum(end - max(begin, since) for begin, end in self.outages if end > since)

    def _let_sleep(self, worker: Worker, seconds: float) -> None:
        began = time.monotonic()
        worker.signal(signal.SIGSTOP)
        holds_lock = self._place.server is None and is_lock_held(self._place)
        if holds_lock:
            self._say(f"{worker.pid} sleeps with SQLite's write lock")
        time.sleep(max(0.0, seconds + began - time.monotonic()))
        worker.signal(signal.SIGCONT)
        self.stopped.append((worker.pid, began, time.monotonic()))
        if holds_lock:
            self.outages.append((began, time.monotonic()))
        self._asleep.discard(worker.pid)

    def _any_worker(self) -> Worker | None:
        awake = [one for one in self._bridge.workers if one.pid not in self._asleep]
        return self._random.choice(awake) if awake else None

    def _look_after_workers(self) -> None:
        for worker in tuple(self._bridge.workers):
            if worker.code is None:
                continue
            self._bridge.workers.remove(worker)
            if worker.code != -signal.SIGKILL:
                self.violations.append(f"worker {worker.pid} ended by itself with {worker.code}")
            if len(self._bridge.workers) - len(self._asleep) < WORKERS:
                self._bridge.start_worker()
        if self._bridge.web.poll() is not None:
            self.violations.append(f"the web ended by itself with {self._bridge.web.returncode}")
            self._bridge.restart_web()

    def _aside(self, do: Callable[[], None]) -> None:
        self._beside.append(threading.Thread(target=do))
        self._beside[-1].start()

    def _say(self, what: str) -> None:
        print(f"{time.monotonic() - self._began:7.2f} {what}", flush=True)


def _sleep_of(pid: int, seconds: float) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
    time.sleep(seconds)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
