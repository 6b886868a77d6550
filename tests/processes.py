"""The bridge's own processes for tests: a real gunicorn and a real worker, to be killed and started again."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bridge.database import Database

ROOT = Path(__file__).resolve().parent.parent
KEY = "test-key"
DELIVERED_WITHIN = 90.0  # seconds; a killed worker's calls are taken over after twenty


@dataclass
class Processes:
    """A web and workers on one database, delivering to `rokt_url`."""

    database_url: str
    rokt_url: str
    port: int
    environ: dict[str, str] = field(default_factory=dict)
    web: subprocess.Popen[bytes] | None = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start_web(self) -> None:
        gunicorn = [
            "gunicorn",
            "-c",
            "gunicorn.conf.py",
            "--bind",
            f"127.0.0.1:{self.port}",
            "bridge.app:create_app()",
        ]
        self.web = self._start("-m", *gunicorn)
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                with urllib.request.urlopen(f"{self.url}/healthz", timeout=2):
                    return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("the web process did not answer within 20 s")

    def start_worker(self) -> None:
        self.workers.append(self._start("-m", "bridge", "worker"))

    def kill(self, process: subprocess.Popen[bytes] | None) -> None:
        """SIGKILL, gunicorn's children included."""
        if process is not None and process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def stop(self) -> None:
        for process in (self.web, *self.workers):
            self.kill(process)

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        environ = os.environ | {
            "BRIDGE_ENV": "development",
            "BRIDGE_TOKENS": f"test:{KEY}",
            "DATABASE_URL": self.database_url,
            "ROKT_CALENDAR_URL": self.rokt_url,
            "ROKT_CALENDAR_CLIENT_ID": "id",
            "ROKT_CALENDAR_CLIENT_SECRET": "secret",
        }
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=environ | self.environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


def post(bridge: Processes, path: str, body: Any, headers: dict[str, str] | None = None) -> int:
    """The answer's status; 0 where there was none."""
    connection = http.client.HTTPConnection("127.0.0.1", bridge.port, timeout=10)
    sent = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"} | (headers or {})
    try:
        connection.request("POST", path, json.dumps(body), sent)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def wait_for(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + DELIVERED_WITHIN
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.05)


def rows(database_url: str, query: sa.Select[Any]) -> Sequence[Any]:
    database = Database(database_url)
    try:
        with database.read() as connection:
            return connection.execute(query).all()
    finally:
        database.close()


def count(database_url: str, *tables: sa.Table) -> int:
    """Of the rows in all of these."""
    counted = [sa.select(sa.func.count()).select_from(table).scalar_subquery() for table in tables]
    return sum(rows(database_url, sa.select(*counted))[0])


@contextmanager
def running_web(
    database_url: str, rokt_url: str = "http://127.0.0.1:9", **environ: str
) -> Iterator[Processes]:
    """A web process alone; nothing listens where Rokt should be."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    processes = Processes(database_url, rokt_url, port, environ)
    try:
        processes.start_web()
        yield processes
    finally:
        processes.stop()


@contextmanager
def running_bridge(database_url: str, rokt_url: str, **environ: str) -> Iterator[Processes]:
    with running_web(database_url, rokt_url, **environ) as processes:
        processes.start_worker()
        yield processes
