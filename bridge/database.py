"""Opens SQLite or PostgreSQL, and gives each one way to read and one way to write."""

from __future__ import annotations

import fcntl
import json
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import Connection, Dialect, Engine

metadata = sa.MetaData()

# Everything that says "the database cannot take this now", as against "this statement is wrong". InternalError
# is how PostgreSQL tells of a standby (read-only) and of a session that it ended for idling in a transaction.
UNAVAILABLE = (
    sa.exc.OperationalError,
    sa.exc.InterfaceError,
    sa.exc.InternalError,
    sa.exc.TimeoutError,
)

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_STATEMENT_MS = 5_000  # every statement of the bridge is short; one that is not must not hold its locks
_LOCK_MS = 3_000
# Every statement of the bridge goes by an index, whatever the planner makes of statistics from before a rush:
# with those of an empty table it reads a million rows for each settle.
_BY_INDEX = "".join(
    f" -c {what}=off"
    for what in ("enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin", "jit")
)


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """An aware time in UTC: `timestamptz` in PostgreSQL, sortable text in SQLite."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return (
            value.astimezone(UTC) if dialect.name != "sqlite" else value.astimezone(UTC).replace(tzinfo=None)
        )

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class JsonText(sa.types.TypeDecorator[Any]):
    """A JSON value as ASCII text, so that neither NUL nor a lone surrogate can harm a database."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else json.dumps(value, separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value)


class Words(sa.types.TypeDecorator[str]):
    """Text for people, often an upstream's: what a database cannot hold (NUL, half a character) is replaced."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", value)


class Database:
    """One database for one process. Nothing is opened before the first use: until then it may cross a fork."""

    def __init__(self, url: str, *, readers: int = 2) -> None:
        self.url = sa.make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._lock = _SqliteLock(self.url.database or "") if self.is_sqlite else None
        self._writer = self._open(1, is_writer=True)
        self._reader = self._open(readers, is_writer=False)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One write transaction, to last milliseconds; commits at the end of the block."""
        if self._lock is None:
            with self._writer.begin() as connection:
                yield connection
        else:
            with self._lock, self._writer.begin() as connection:
                yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A short read, each statement by itself; never held across a call."""
        with self._reader.begin() as connection:
            yield connection

    def close(self) -> None:
        self._writer.dispose()
        self._reader.dispose()
        if self._lock is not None:
            self._lock.close()

    def _open(self, size: int, *, is_writer: bool) -> Engine:
        if not self.is_sqlite:
            options = (
                f"-c statement_timeout={_STATEMENT_MS} -c lock_timeout={_LOCK_MS} "
                f"-c idle_in_transaction_session_timeout=10000 -c timezone=UTC{_BY_INDEX}"
            )
            return sa.create_engine(
                self.url,
                pool_size=size,
                max_overflow=0,
                pool_timeout=5,
                # After a restart of the server a group of callers must not pay for a dead connection.
                pool_pre_ping=is_writer,
                # A read is one statement: a transaction around it would be two more round trips.
                isolation_level="READ COMMITTED" if is_writer else "AUTOCOMMIT",
                connect_args={"connect_timeout": 5, "options": options, "keepalives_idle": 10},
            )
        engine = sa.create_engine(
            self.url,
            poolclass=sa.pool.QueuePool,
            pool_size=size,
            max_overflow=0,
            pool_timeout=5,
            connect_args={"check_same_thread": False, "timeout": 5},
        )

        @sa.event.listens_for(engine, "connect")
        def _prepare(connection: Any, _record: Any) -> None:
            connection.isolation_level = None  # the begin event below says BEGIN itself
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000", "foreign_keys=ON"):
                connection.execute(f"PRAGMA {pragma}")

        if is_writer:

            @sa.event.listens_for(engine, "begin")
            def _begin(connection: Connection) -> None:
                connection.exec_driver_sql("BEGIN IMMEDIATE")

        return engine


def clock(connection: Connection) -> datetime:
    """The database's clock: PostgreSQL's own; SQLite is embedded, so its clock is this machine's."""
    if connection.dialect.name == "sqlite":
        return datetime.now(UTC)
    now: datetime = connection.scalar(sa.select(sa.func.clock_timestamp(type_=UtcDateTime))) or datetime.now(
        UTC
    )
    return now


def upsert(connection: Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, replacing those whose primary key is there; in the key's order, so that no two deadlock."""
    if rows:
        keys = [column.name for column in table.primary_key.columns]
        ordered = sorted(rows, key=lambda row: [row[key] for key in keys])
        connection.execute(_upsert_into(table, connection.dialect.name, tuple(rows[0])), ordered)


@cache
def _upsert_into(table: sa.Table, dialect: str, names: tuple[str, ...]) -> sa.Executable:
    """Made once: building it costs more than running it."""
    statement = (postgresql_insert if dialect == "postgresql" else sqlite_insert)(table)
    keys = [column.name for column in table.primary_key.columns]
    changed = {name: statement.excluded[name] for name in names if name not in keys}
    if not changed:
        return statement.on_conflict_do_nothing()
    return statement.on_conflict_do_update(index_elements=keys, set_=changed)


class _SqliteLock:
    """Writers take turns by `flock` on a file beside the database.

    SQLite's own busy wait is no queue: a web process that writes all the time starves a worker.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._turn = threading.Lock()
        self._file: int | None = None

    def __enter__(self) -> None:
        if not self._turn.acquire(timeout=5):
            raise sa.exc.TimeoutError("waited 5 s for this process's turn to write")
        try:
            if self._file is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._file = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX)
        except BaseException:  # whatever ends the wait, the turn is given back
            self._turn.release()
            raise

    def __exit__(self, *_exc: object) -> None:
        assert self._file is not None
        fcntl.flock(self._file, fcntl.LOCK_UN)
        self._turn.release()

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
