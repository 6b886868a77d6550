"""Kills, stops and terminates what the bridge runs on, one thing every few seconds, by a seed."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from processes import Processes

END_WITHIN = 25.0  # seconds from a SIGTERM
STOPPED_FOR = 25.0


class Faults:
    """`happened`: how often each; `violations`: what a process did that it must not."""

    def __init__(self, bridge: Processes, database: Any, seed: int) -> None:
        self.happened: Counter[str] = Counter()
        self.violations: list[str] = []
        self.kills: list[tuple[float, str]] = []
        self.over = threading.Event()
        self._bridge, self._database = bridge, database
        self._random = random.Random(f"faults-{seed}")
        self._stopped: subprocess.Popen[bytes] | None = None
        self._beside: list[threading.Thread] = []
        self._began = time.monotonic()

    def run(self, until: float) -> None:
        kinds: list[tuple[Callable[[], None], int]] = [
            (self.kill_web, 2),
            (self.kill_web_child, 3),
            (self.end_web, 1),
            (self.kill_worker, 5),
            (self.end_worker, 3),
            (self.stop_worker, 3),
            (self.hold_writer, 2),
            (self.stop_web_child, 1),
            (self.kill_everything, 1),
        ]
        if self._database.server is not None:
            kinds += [(self.restart_database, 2), (self.end_connections, 3), (self.hold_writer, 1)]
        while time.monotonic() < until:
            time.sleep(min(self._random.uniform(1, 3), max(0.0, until - time.monotonic())))
            if time.monotonic() >= until:
                break
            self._look_after_workers()
            do = self._random.choices([k for k, _ in kinds], [w for _, w in kinds])[0]
            self._note(do.__name__)
            do()
        self.over.set()
        for thread in self._beside:
            thread.join(60)
        self._look_after_workers()

    def kill_web(self) -> None:
        self._bridge.kill(self._bridge.web)
        self._bridge.start_web()

    def kill_web_child(self) -> None:
        if children := _children(self._bridge.web.pid):
            with suppress(ProcessLookupError):
                os.kill(self._random.choice(children), signal.SIGKILL)

    def stop_web_child(self) -> None:
        children = _children(self._bridge.web.pid)
        if children and self._database.server is not None:
            child = self._random.choice(children)
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGSTOP)

            def go_on() -> None:
                time.sleep(8)
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGCONT)

            self._aside(go_on)

    def end_web(self) -> None:
        web = self._bridge.web
        web.terminate()
        try:
            web.wait(30)
        except subprocess.TimeoutExpired:
            self.violations.append("the web did not end within 30 s of SIGTERM")
            self._bridge.kill(web)
        self._bridge.start_web()

    def kill_worker(self) -> None:
        if worker := self._any_worker():
            self._bridge.workers.remove(worker)
            self._bridge.kill(worker)
            self.kills.append((time.monotonic(), str(worker.pid)))
            self._bridge.start_worker()

    def kill_everything(self) -> None:
        """As if the machine went away, and came back. A worker that is stopped dies too."""
        workers, self._bridge.workers[:] = list(self._bridge.workers), []
        for process in (self._bridge.web, *workers):
            self._bridge.kill(process)
        if self._database.server is not None:
            self._database.server.stop()
            self._database.server.start()
        self._bridge.start_worker()
        self._bridge.start_web()
        self._bridge.start_worker()

    def end_worker(self) -> None:
        if worker := self._any_worker():
            self._bridge.workers.remove(worker)
            worker.terminate()
            self._bridge.start_worker()
            self._aside(lambda: self._see_it_end(worker))

    def stop_worker(self) -> None:
        if self._stopped is None and (worker := self._any_worker()):
            self._stopped = worker
            worker.send_signal(signal.SIGSTOP)
            self._aside(lambda: self._go_on(worker))

    def restart_database(self) -> None:
        self._database.server.stop()
        time.sleep(self._random.choice([0, 1, 2, 12]))
        self._database.server.start()

    def end_connections(self) -> None:
        self._ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")

    def hold_writer(self) -> None:
        if self._database.server is None:
            with (
                closing(sqlite3.connect(self._database.path, timeout=30)) as connection,
                suppress(sqlite3.Error),
            ):
                connection.isolation_level = None
                connection.execute("BEGIN IMMEDIATE")
                time.sleep(2)
                connection.execute("ROLLBACK")
        else:
            table = self._random.choice(["waiting", "messages", "workers", "calls", "latest"])
            self._ask(f"SELECT * FROM {table} ORDER BY random() LIMIT 50 FOR UPDATE", "SELECT pg_sleep(2)")

    def _ask(self, *statements: str) -> None:
        engine = sa.create_engine(self._database.url, poolclass=sa.pool.NullPool)
        with suppress(sa.exc.DBAPIError), engine.begin() as connection:
            for statement in statements:
                connection.execute(sa.text(statement))

    def _see_it_end(self, worker: subprocess.Popen[bytes]) -> None:
        began = time.monotonic()
        try:
            worker.wait(END_WITHIN)
        except subprocess.TimeoutExpired:
            held = self._database.server is None and self._stopped is not None
            text = f"worker {worker.pid} did not end within {END_WITHIN} s of SIGTERM at {self._at(began)}"
            (self._note if held else self.violations.append)(text)
            self._bridge.kill(worker)
            return
        if worker.returncode not in (0, -signal.SIGTERM):  # that it was, before it could say what to do on it
            self.violations.append(f"worker {worker.pid} ended with {worker.returncode} after SIGTERM")

    def _go_on(self, worker: subprocess.Popen[bytes]) -> None:
        time.sleep(STOPPED_FOR)
        with suppress(ProcessLookupError):
            worker.send_signal(signal.SIGCONT)
        self._stopped = None

    def _any_worker(self) -> subprocess.Popen[bytes] | None:
        running = [one for one in self._bridge.workers if one is not self._stopped]
        return self._random.choice(running) if running else None

    def _look_after_workers(self) -> None:
        for worker in tuple(self._bridge.workers):
            if worker.poll() is not None:
                self.violations.append(f"worker {worker.pid} ended by itself with {worker.returncode}")
                self._bridge.workers.remove(worker)
                self._bridge.start_worker()

    def _aside(self, do: Callable[[], None]) -> None:
        self._beside.append(threading.Thread(target=do))
        self._beside[-1].start()

    def _note(self, what: str) -> None:
        self.happened[what] += 1
        print(f"{self._at(time.monotonic()):7.2f} {what}", flush=True)

    def _at(self, moment: float) -> float:
        return round(moment - self._began, 2)


def _children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, IndexError, ValueError):
            if int(entry.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(entry.parent.name))
    return found
