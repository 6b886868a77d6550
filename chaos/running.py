"""The bridge under chaos: a real gunicorn and real workers, cheap to kill and to start again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from chaos.driver import KEY
from chaos.journal import Journal

ROOT = Path(__file__).resolve().parent.parent
STARTS_WITHIN = 60.0  # seconds; a stopped worker may hold SQLite's write lock for half of it
WEBS, WORKERS = 2, 3


@dataclass(frozen=True)
class Setting:
    """What the processes are started with. `broken`: a sabotage's name; `commit_ms`: added to every commit."""

    database_url: str
    upstream_url: str
    port: int
    seed: str
    retry_for: str = "24h"
    commit_ms: float = 0.0
    broken: str = ""


class Worker:
    """One forked worker. The fork server sees it end, so its code comes through the journal."""

    def __init__(self, pid: int, journal: Journal) -> None:
        self.pid, self._journal = pid, journal

    @property
    def code(self) -> int | None:
        return self._journal.ended.get(self.pid)

    def signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self, seconds: float) -> int | None:
        until = time.monotonic() + seconds
        while self.code is None and time.monotonic() < until:
            time.sleep(0.05)
        return self.code


class Running:
    """`folder` keeps the log, and the file that is there while points kill."""

    def __init__(self, setting: Setting, folder: Path, journal: Journal) -> None:
        self.workers: list[Worker] = []
        self.journal = journal
        self.armed = folder / "armed"
        self._setting, self._starts = setting, 0
        # Through cat: a limit on the size of files is for the database, not for the log.
        self._log = subprocess.Popen(
            ["cat"], stdin=subprocess.PIPE, stdout=(folder / "log").open("ab"), start_new_session=True
        )
        self._forks = self._start("forks", stdin=subprocess.PIPE)
        if not journal.is_ready.wait(STARTS_WITHIN):
            raise RuntimeError("the workers' fork server did not start")
        self.web = self._start_web()
        self.await_web()

    def restart_web(self) -> None:
        self.web = self._start_web()
        self.await_web()

    def await_web(self) -> None:
        until = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < until:
            with suppress(OSError), urllib.request.urlopen(self._url, timeout=2):
                return
            time.sleep(0.05)
        raise RuntimeError(f"the web did not answer within {STARTS_WITHIN} s")

    def start_worker(self) -> None:
        assert self._forks.stdin is not None
        self._forks.stdin.write(b"+")
        self._forks.stdin.flush()
        self.workers.append(Worker(self.journal.forked.get(timeout=STARTS_WITHIN), self.journal))

    def kill_web(self) -> None:
        """The master and all that it forked."""
        children = children_of(self.web.pid)
        with suppress(ProcessLookupError):
            os.killpg(self.web.pid, signal.SIGKILL)
        self.web.wait()
        for pid in (self.web.pid, *children):
            self.journal.killed(pid, "outside: web")

    def kill_worker(self, worker: Worker) -> None:
        worker.signal(signal.SIGKILL)
        self.journal.killed(worker.pid, "outside: worker")
        with suppress(ValueError):
            self.workers.remove(worker)

    def stop(self) -> None:
        for worker in tuple(self.workers):
            worker.signal(signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.killpg(self.web.pid, signal.SIGKILL)
        self.web.wait()
        for process in (self._forks, self._log):
            assert process.stdin is not None
            with suppress(BrokenPipeError):
                process.stdin.close()
            process.wait()

    def _start_web(self) -> subprocess.Popen[bytes]:
        bind = f"127.0.0.1:{self._setting.port}"
        return self._start("web", "-c", "gunicorn.conf.py", "--bind", bind, "bridge.app:create_app()")

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self._setting.port}/healthz"

    def _start(self, *arguments: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        self._starts += 1
        setting = self._setting
        fixed = {
            "BRIDGE_ENV": "development",
            "BRIDGE_TOKENS": f"test:{KEY}",
            "DATABASE_URL": setting.database_url,
            "ROKT_CALENDAR_URL": setting.upstream_url,
            "ROKT_CALENDAR_CLIENT_ID": "id",
            "ROKT_CALENDAR_CLIENT_SECRET": "secret",
            "RETRY_FOR": setting.retry_for,
            "WEB_CONCURRENCY": str(WEBS),
            "CHAOS_SEED": f"{setting.seed}-{self._starts}",
            "CHAOS_JOURNAL": str(self.journal.pipe),
            "CHAOS_ARMED": str(self.armed),
            "CHAOS_COMMIT_MS": str(setting.commit_ms),
            "CHAOS_BREAK": setting.broken,
        }
        return subprocess.Popen(
            [sys.executable, "-m", "chaos.process", *arguments],
            cwd=ROOT,
            env=os.environ | fixed,
            stdin=stdin,
            stdout=self._log.stdin,
            stderr=self._log.stdin,
            pass_fds=[self.journal.pipe],
            start_new_session=True,
        )


def children_of(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, IndexError, ValueError):
            if int(entry.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(entry.parent.name))
    return found
