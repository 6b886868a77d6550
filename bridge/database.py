"""Opens SQLite or PostgreSQL, and gives each one way to read and one way to write."""

from __future__ import annotations

import fcntl
import json
import os
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Dialect, Engine

from bridge import postgres
from bridge.errors import DatabaseMoved
from bridge.metrics import counted

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
_encode = json.JSONEncoder(separators=(",", ":")).encode  # made once: json.dumps makes one for each call
_STATEMENT_MS = 5_000  # every statement of the bridge is short; one that is not must not hold its locks
_LOCK_MS = 3_000  # PostgreSQL
_BUSY_MS = 5_000  # SQLite
_TURN_WAITS = 20.0  # seconds, for one of the few connections; nobody holds one for longer than six
_PING_WITHIN = 2.0  # seconds
_TRUSTED_FOR = 1.0  # seconds since a connection was used
_waits_until = ContextVar("_waits_until", default=0.0)  # for a database that cannot be reached
# Every statement of the bridge goes by an index, whatever the planner makes of statistics from before a rush:
# with those of an empty table it reads a million rows for each settle.
_BY_INDEX = "".join(
    f" -c {what}=off"
    for what in ("enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin", "jit")
)
_IN_ITS_ORDER = " -c enable_sort=off"  # what is read for somebody is read in an index's order


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """An aware time in UTC: `timestamptz` in PostgreSQL, sortable text in SQLite."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Any:
        return _sortable if dialect.name == "sqlite" else super().bind_processor(dialect)

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        return _from_sortable if dialect.name == "sqlite" else super().result_processor(dialect, coltype)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)


def _sortable(value: datetime | None) -> str | None:
    """As SQLAlchemy itself writes times for SQLite, in a quarter of the time."""
    return (
        None if value is None else value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
    )


def _from_sortable(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value).replace(tzinfo=UTC)


class JsonText(sa.types.TypeDecorator[Any]):
    """A JSON value as ASCII text, so that neither NUL nor a lone surrogate can harm a database."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else _encode(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value)


class Words(sa.types.TypeDecorator[str]):
    """Text for people, often an upstream's: what a database cannot hold (NUL, half a character) is replaced."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", value)


Aside = Callable[..., Any]


def _at_once(call: Callable[..., Any], *given: Any) -> Any:
    return call(*given)


class Database:
    """One database for one process. Nothing is opened before the first use: until then it may cross a fork."""

    def __init__(
        self,
        url: str,
        *,
        readers: int = 2,
        aside: Aside = _at_once,
        process: counted.Process = "web",
        patience: float = 0.0,
    ) -> None:
        """`aside`: how a call is made that would hold up all other work of this process while it waits.
        `process`: whose time is measured. `patience`: seconds for which a server that cannot be reached is looked
        for, before it counts as gone.
        """
        self._process, self._patience = process, patience
        # When it last did what it was told to, by the monotonic clock.
        self.wrote_at = self.read_at = 0.0
        self.url = sa.make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.aside = aside
        self._lock = _SqliteLock(self.url.database or "", aside) if self.is_sqlite else None
        self._writer = self._open(1, is_writer=True)
        self._reader = self._open(readers, is_writer=False)
        # A read of SQLite that takes long would hold up the process: the server is waited for by itself.
        self._browser = self._open(readers, factory=_beside(aside)) if self.is_sqlite else self._reader
        sa.event.listen(self._writer, "after_cursor_execute", self._note_writing)
        sa.event.listen(self._reader, "after_cursor_execute", self._note_reading)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One write transaction, to last milliseconds; commits at the end of the block."""
        with self._lock or nullcontext():
            with self._begun(self._writer) as connection:
                yield connection
                began = time.monotonic()
            counted.database_took(self._process, "commit", time.monotonic() - began)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A short read, each statement by itself; never held across a call."""
        with self._begun(self._reader) as connection:
            yield connection

    @contextmanager
    def browse(self) -> Iterator[Connection]:
        """A read for people, which may take long; each statement by itself."""
        with self._begun(self._browser) as connection:
            yield connection

    def close(self) -> None:
        for engine in (self._writer, self._reader, self._browser):
            engine.dispose()
        if self._lock is not None:
            self._lock.close()

    def _note_writing(self, *_: Any) -> None:
        self.wrote_at = time.monotonic()

    def _note_reading(self, *_: Any) -> None:
        self.read_at = time.monotonic()

    @contextmanager
    def _begun(self, engine: Engine) -> Iterator[Connection]:
        waits = _waits_until.set(time.monotonic() + self._patience)
        try:
            opened = engine.connect()
        finally:
            _waits_until.reset(waits)
        with opened as connection, connection.begin():
            yield connection

    def _open(
        self, size: int, *, is_writer: bool = False, factory: type[sqlite3.Connection] = sqlite3.Connection
    ) -> Engine:
        if not self.is_sqlite:
            options = (
                f"-c statement_timeout={_STATEMENT_MS} -c lock_timeout={_LOCK_MS} "
                f"-c idle_in_transaction_session_timeout=10000 -c timezone=UTC{_BY_INDEX}"
                f"{'' if is_writer else _IN_ITS_ORDER}"
            )
            server = sa.create_engine(
                self.url,
                hide_parameters=True,  # an error of a statement must not quote what it was about
                pool_size=size,
                max_overflow=0,
                pool_timeout=_TURN_WAITS,
                # A read is one statement: a transaction around it would be two more round trips.
                isolation_level="READ COMMITTED" if is_writer else "AUTOCOMMIT",
                connect_args={"options": options, "keepalives_idle": 10},
            )
            door = postgres.Door()

            @sa.event.listens_for(server, "do_connect")
            def _connect(_dialect: Any, _record: Any, given: Any, named: Any) -> Any:
                return door.connect(_waits_until.get(), *given, **named)

            _ping_after_a_pause(server)
            self._measure(server)
            return server
        engine = sa.create_engine(
            self.url,
            hide_parameters=True,
            poolclass=sa.pool.QueuePool,
            pool_size=size,
            max_overflow=0,
            pool_timeout=_TURN_WAITS,
            connect_args={"check_same_thread": False, "factory": factory},
        )

        @sa.event.listens_for(engine, "connect")
        def _prepare(connection: Any, _record: Any) -> None:
            connection.isolation_level = None  # the begin event below says BEGIN itself
            busy = 0 if is_writer else _BUSY_MS
            for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={busy}", "foreign_keys=ON"):
                connection.execute(f"PRAGMA {pragma}")
            if connection.execute("PRAGMA user_version").fetchone()[0]:  # a move closed it with its number
                raise DatabaseMoved

        if is_writer:
            sa.event.listen(engine, "begin", self._begin)
        self._measure(engine)
        return engine

    def _measure(self, engine: Engine) -> None:
        """What each statement takes, one that fails included: a slow database shows in those first."""

        def begin(connection: Connection, *_: Any) -> None:
            connection.info["began_at"] = time.monotonic()

        def end(connection: Connection | None, *_: Any) -> None:
            if connection is not None and (began := connection.info.pop("began_at", None)) is not None:
                counted.database_took(self._process, "statement", time.monotonic() - began)

        sa.event.listen(engine, "before_cursor_execute", begin)
        sa.event.listen(engine, "after_cursor_execute", end)
        sa.event.listen(engine, "handle_error", lambda context: end(context.connection))

    def _begin(self, connection: Connection) -> None:
        """Whoever else writes into the file, without the lock that the bridge's processes share, is waited for."""
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        except sa.exc.OperationalError:
            connection.exec_driver_sql(f"PRAGMA busy_timeout={_BUSY_MS}")
            try:
                self.aside(connection.exec_driver_sql, "BEGIN IMMEDIATE")
            finally:
                connection.exec_driver_sql("PRAGMA busy_timeout=0")


def clock(connection: Connection) -> datetime:
    """The database's clock: PostgreSQL's own; SQLite is embedded, so its clock is this machine's."""
    if connection.dialect.name == "sqlite":
        return datetime.now(UTC)
    now: datetime = connection.scalar(sa.select(sa.func.clock_timestamp(type_=UtcDateTime))) or datetime.now(
        UTC
    )
    return now


def _ping_after_a_pause(engine: Engine) -> None:
    """After a restart of the server a group of callers must not pay for a dead connection.

    SQLAlchemy's own pre-ping asks before each transaction, which is a tenth of its time under load.
    """

    @sa.event.listens_for(engine, "checkin")
    def _note(_connection: Any, record: Any) -> None:
        record.info["used_at"] = time.monotonic()

    @sa.event.listens_for(engine, "checkout")
    def _ping(connection: Any, record: Any, _proxy: Any) -> None:
        if time.monotonic() - record.info.get("used_at", time.monotonic()) > _TRUSTED_FOR:
            connection.within = _PING_WITHIN
            try:
                engine.dialect.do_ping(connection)
            except engine.dialect.loaded_dbapi.Error as gone:
                raise sa.exc.DisconnectionError from gone  # the pool opens another
            finally:
                connection.within = postgres.ANSWERS_WITHIN


def _beside(aside: Aside) -> type[sqlite3.Connection]:
    """Connections whose statements are waited for aside, with all of their rows: SQLite finds each as it is asked."""

    class Cursor(sqlite3.Cursor):
        rows: Iterator[Any] = iter(())

        def execute(self, *given: Any) -> Cursor:
            aside(self._run, *given)
            return self

        def _run(self, *given: Any) -> None:
            super().execute(*given)
            self.rows = iter(super().fetchall())

        def fetchone(self) -> Any:
            return next(self.rows, None)

        def fetchmany(self, size: int | None = None) -> list[Any]:
            return list(islice(self.rows, self.arraysize if size is None else size))

        def fetchall(self) -> list[Any]:
            return list(self.rows)

    class Beside(sqlite3.Connection):
        def cursor(self, factory: Any = Cursor) -> Any:
            return super().cursor(factory)

    return Beside


class _SqliteLock:
    """Writers take turns by `flock` on a file beside the database.

    SQLite's own busy wait is no queue: a web process that writes all the time starves a worker.
    """

    def __init__(self, path: str, aside: Aside) -> None:
        self._path, self._aside = Path(path), aside
        self._turn = threading.Lock()
        self._file: int | None = None

    def __enter__(self) -> None:
        if not self._turn.acquire(timeout=5):
            raise sa.exc.TimeoutError("waited 5 s for this process's turn to write")
        try:
            if self._file is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._file = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._aside(fcntl.flock, self._file, fcntl.LOCK_EX)
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
