"""A fresh, migrated database for each measure: a SQLite file, or a PostgreSQL that forgets nothing in a crash."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from benchmarks import processes
from benchmarks.client import Client
from benchmarks.fill import fill
from benchmarks.webhook import request
from bridge.database import Database

sys.path.append(str(processes.ROOT / "tests"))

from postgres import running_postgres

NAMES = ("sqlite", "postgresql")
DURABLE = "-c fsync=on -c synchronous_commit=on -c full_page_writes=on"


@contextmanager
def fresh(name: str) -> Iterator[str]:
    """The address of a database of this name, migrated."""
    with _server(name) as url:
        processes.migrate(processes.for_worker(url, "http://127.0.0.1:1"))
        yield url


def postgresql_version() -> str:
    with _server("postgresql") as url:
        engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
        with engine.connect() as connection:
            return str(connection.scalar(sa.text("SHOW server_version")))


class Backlog:
    """Messages that wait for a worker: one came in through the web, the others are made like it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.count = 0
        with processes.web(processes.for_web(url)) as web:
            Client(web.port, request, connections=1).as_fast_as_answered(count=1)
        self.count = 1

    def grow(self, count: int) -> None:
        database = Database(self._url, readers=1)
        try:
            # As the first was accepted, whatever became of it since.
            fill(database, count, state="'accepted'", settled_at="NULL", tries="0")
        finally:
            database.close()
        self.count += count


def until(is_over: object, within: float, what: str) -> None:
    """Wait for a condition. Errors: RuntimeError when it does not come."""
    assert callable(is_over)
    ends_at = time.monotonic() + within
    while not is_over():
        if time.monotonic() > ends_at:
            raise RuntimeError(f"{what} within {within:.0f} s")
        time.sleep(0.05)


@contextmanager
def _server(name: str) -> Iterator[str]:
    if name == "sqlite":
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            yield f"sqlite:///{folder}/bench.db"
    else:
        with running_postgres(settings=DURABLE) as url:
            yield url
