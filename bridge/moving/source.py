"""The SQLite file that is moved away: nobody else has it open meanwhile, and nobody opens it afterwards."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge import schema
from bridge.calendar import tables as _templates
from bridge.database import metadata
from bridge.errors import InvalidValue
from bridge.ledger import coming_tables as _coming
from bridge.ledger import sign_ins as _sign_ins
from bridge.ledger import subscriber_tables as _subscribers
from bridge.ledger import tables as _events
from bridge.moving import tables as _moves
from bridge.outbox import sample_tables as _samples
from bridge.outbox import tables as _outbox

# Every module that declares tables: importing them is what makes `metadata` whole.
DECLARED_BY = (_templates, _coming, _sign_ins, _subscribers, _events, _moves, _samples, _outbox)
WAITS_FOR_OTHERS = 2_000  # milliseconds: somebody may only just be closing it
_NOT_OURS = {"alembic_version", "sqlite_sequence"}  # Alembic's row is written by the target's own migration
_PROCESSES = Path("/proc")


class Source:
    """The file, as long as it is ours alone."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.tables: Sequence[sa.Table] = metadata.sorted_tables  # what others refer to first
        self.number: int = connection.exec_driver_sql("PRAGMA user_version").scalar_one()

    def check(self, revision: str) -> None:
        """`revision`: the target's. Errors: InvalidValue when it is not the file's, or the file holds what nobody
        knows.
        """
        if not schema.is_current(self._connection):
            raise InvalidValue(
                "This file is older than this release: run `python -m bridge migrate` with it first."
            )
        stands = self._connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one()
        if stands != revision:
            raise InvalidValue(
                f"The file is at revision {stands}, the target at {revision}. Nothing was changed."
            )
        found = set(sa.inspect(self._connection).get_table_names()) - _NOT_OURS
        if unknown := sorted(found ^ {table.name for table in self.tables}):
            raise InvalidValue(
                f"This file is of another release than this one ({', '.join(unknown)}): move it with that."
            )

    def count(self, table: sa.Table) -> int:
        return self._connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()

    def rows(self, table: sa.Table) -> Generator[Sequence[Any], None, None]:
        """As SQLite holds them, one by one."""
        names = ", ".join(f'"{column.name}"' for column in table.c)
        cursor: Any = self._connection.exec_driver_sql(f'SELECT {names} FROM "{table.name}"').cursor  # noqa: S608
        errors: Any = self._connection.dialect.loaded_dbapi
        try:
            yield from cursor
        except errors.Error as wrong:  # its own words hold the value
            raise InvalidValue(
                f"{table.name} cannot be read: {type(wrong).__name__}. Nothing was changed."
            ) from None
        finally:
            cursor.close()

    def last_number(self, table: sa.Table) -> int:
        """The last of its own numbers that was given out, be it forgotten since; 0: none ever was."""
        column = table.autoincrement_column
        if column is None:
            return 0
        noted = sa.text("SELECT seq FROM sqlite_sequence WHERE name = :name")
        last = self._connection.execute(noted, {"name": table.name}).scalar()
        return last or self._connection.execute(sa.select(sa.func.max(column))).scalar() or 0

    def close_with(self, number: int) -> None:
        """From the next moment on the bridge refuses this file; 0 opens it again."""
        self._connection.exec_driver_sql(f"PRAGMA user_version = {number}")


@contextmanager
def alone(url: sa.URL) -> Iterator[Source]:
    """Open the file if nobody else has it open; who tries to meanwhile is told that it is locked.

    A web or worker process that is at work holds its connections, and SQLite gives a file to one connection alone
    only when there is no other. Errors: InvalidValue.
    """
    path = Path(url.database or "")
    if not path.is_file():
        raise InvalidValue(f"There is no file {path}.")
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool)

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout={WAITS_FOR_OTHERS}")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")

    try:
        with engine.connect() as connection:
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE")  # takes the lock, which then stays
                source = Source(connection)
                connection.exec_driver_sql("ROLLBACK")
            except sa.exc.OperationalError as refused:
                if getattr(refused.orig, "sqlite_errorname", "") != "SQLITE_BUSY":
                    raise  # it cannot be written, or is none
                raise InvalidValue(_held(path)) from refused
            yield source
    finally:
        engine.dispose()


def _held(path: Path) -> str:
    names = ", ".join(_holders(path)) or "another process"
    return f"{path} is in use by {names}: stop web and workers first. Nothing was changed."


def _holders(path: Path) -> list[str]:
    """Who has the file open, as `gunicorn (123)`, as far as this user may see that."""
    wanted = {os.fspath(path.resolve()) + end for end in ("", "-wal", "-shm")}
    found = []
    for process in sorted(_PROCESSES.glob("[0-9]*")):
        if process.name == str(os.getpid()):
            continue
        try:
            if any(os.readlink(one) in wanted for one in (process / "fd").iterdir()):
                found.append(f"{(process / 'comm').read_text().strip()} ({process.name})")
        except OSError:
            continue
    return found
