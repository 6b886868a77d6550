"""What a database does to the bridge: a held transaction, terminated connections, a full disk."""

from __future__ import annotations

import fcntl
import os
import random
import resource
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress

import sqlalchemy as sa

from chaos.place import Place

TABLES = ("waiting", "messages", "workers", "calls", "latest", "repeats", "destination_states")


def hold_writer(place: Place, seconds: float, chance: random.Random) -> str:
    """Somebody holds for seconds what the bridge needs. Returns what it was."""
    if place.server is None:
        what = chance.choice(["BEGIN IMMEDIATE", "flock"])
        (_hold_sqlite if what != "flock" else _hold_flock)(place, seconds)
    else:
        table = chance.choice(TABLES)
        what = chance.choice(
            [
                f"SELECT * FROM {table} ORDER BY random() LIMIT 50 FOR UPDATE",
                "SELECT pg_advisory_xact_lock(line) FROM (SELECT line FROM messages ORDER BY seq DESC LIMIT 30) l",
                f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE",
            ]
        )
        _hold_postgresql(place, what, seconds)
    return f"held for {seconds:.1f} s: {what}"


def terminate_connections(place: Place) -> None:
    with suppress(sa.exc.DBAPIError), _engine(place).begin() as connection:
        others = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        connection.execute(sa.text(f"SELECT pg_terminate_backend(pid) {others}"))


def fill_disk(
    place: Place, processes: Callable[[], Sequence[int]], seconds: float, chance: random.Random
) -> None:
    """No file of these processes grows beyond a size that SQLite's log meets at once, soon, or at a checkpoint."""
    size = chance.choice([0, _size(f"{place.path}-wal") // 2, _size(f"{place.path}-wal"), _size(place.path)])
    limited: set[int] = set()
    until = time.monotonic() + seconds
    while time.monotonic() < until:  # those that start meanwhile have no more room
        limited.update(processes())
        for pid in limited:
            _limit(pid, size)
        time.sleep(0.1)
    for pid in limited:
        _limit(pid, resource.RLIM_INFINITY)


def is_lock_held(place: Place) -> bool:
    """Whether nobody lets go of the write lock for half a second: a process that sleeps has it."""
    until = time.monotonic() + 0.5
    with open(f"{place.path}.lock", "ab") as lock:
        while time.monotonic() < until:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                time.sleep(0.002)
            else:
                return False
    return True


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def _limit(pid: int, size: int) -> None:
    with suppress(ProcessLookupError):
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))


def _hold_sqlite(place: Place, seconds: float) -> None:
    with closing(sqlite3.connect(place.path, timeout=30)) as connection, suppress(sqlite3.Error):
        connection.isolation_level = None
        connection.execute("BEGIN IMMEDIATE")
        time.sleep(seconds)
        connection.execute("ROLLBACK")


def _hold_flock(place: Place, seconds: float) -> None:
    with open(f"{place.path}.lock", "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        time.sleep(seconds)


def _hold_postgresql(place: Place, statement: str, seconds: float) -> None:
    """Idle in its transaction, as a console that somebody forgot."""
    with suppress(sa.exc.DBAPIError), _engine(place).begin() as connection:
        connection.execute(sa.text("SET LOCAL lock_timeout = 3000"))
        connection.execute(sa.text(statement))
        time.sleep(seconds)


def _engine(place: Place) -> sa.Engine:
    return sa.create_engine(place.url, poolclass=sa.pool.NullPool)
