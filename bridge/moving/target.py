"""The PostgreSQL database that everything is moved to: all of it in one transaction, or nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import REGCLASS
from sqlalchemy.engine import Connection

from bridge import schema
from bridge.calendar.tables import template_files, template_publications, template_versions
from bridge.database import UNAVAILABLE, Database, clock, metadata
from bridge.errors import InvalidValue
from bridge.ledger.coming_tables import coming, coming_counts
from bridge.moving.rows import COPY_OPTIONS, Outgoing, sum_in_postgresql
from bridge.moving.tables import moves
from bridge.outbox.sample_tables import counting, depths, samples, template_samples
from bridge.outbox.tables import budgets, destination_states, worker_totals, workers
from bridge.outbox.upkeep import STALE_AFTER

# What the bridge itself writes into a database that nobody has used yet: a move replaces it.
REPLACED = (
    template_versions,
    template_publications,
    template_files,
    workers,
    worker_totals,
    destination_states,
    budgets,
    samples,
    template_samples,
    depths,
    counting,
    coming,
    coming_counts,
)
# A copy takes minutes, and no server of a provider's may end it for that.
_OPTIONS = (
    "-c statement_timeout=0 -c idle_in_transaction_session_timeout=0 -c lock_timeout=3000 -c timezone=UTC"
)


class Target:
    """The database while its transaction lasts: others read what stood there before, and cannot write."""

    def __init__(self, connection: Connection, revision: str) -> None:
        self._connection = connection
        self.revision = revision  # of its schema

    def moved_at(self, number: int) -> datetime | None:
        """When the move with this number ended here; None: it did not."""
        found: datetime | None = self._connection.scalar(
            sa.select(moves.c.moved_at).where(moves.c.number == number)
        )
        return found

    def clear(self) -> None:
        """Errors: InvalidValue when somebody has used this database, or is about to."""
        now = clock(self._connection)
        if self._has(workers, workers.c.heartbeat_at > now - STALE_AFTER):
            raise InvalidValue("A worker runs on the target: stop it first. Nothing was changed.")
        used = [table.name for table in metadata.sorted_tables if table not in REPLACED and self._has(table)]
        if not used and self._has(template_versions, template_versions.c.origin != "file"):
            used = [template_versions.name]
        if used:
            raise InvalidValue(
                f"The target is not empty ({', '.join(used)}): name an empty database. Nothing was changed."
            )
        for table in REPLACED:
            self._connection.execute(sa.delete(table))

    def copy(self, outgoing: Outgoing, rows: Iterable[Sequence[Any]], tell: Callable[[], None]) -> None:
        """Errors: InvalidValue with the table and column that could not be taken, never with what stands there."""
        table = outgoing.table
        names = ", ".join(f'"{column.name}"' for column in table.c)
        driver: Any = self._connection.connection
        errors: Any = self._connection.dialect.loaded_dbapi
        try:
            with (
                driver.cursor() as cursor,
                cursor.copy(f'COPY "{table.name}" ({names}) FROM STDIN {COPY_OPTIONS}') as copy,
            ):
                for block in outgoing.blocks(rows):
                    copy.write(block)
                    tell()
        except errors.OperationalError as lost:
            what = f"was lost while {table.name} was copied: {type(lost).__name__}"  # DiskFull, for one
            raise InvalidValue(f"The target {what}. Nothing was changed.") from lost
        except errors.Error as wrong:
            raise InvalidValue(
                f"PostgreSQL cannot take {_place(table, wrong)}. Nothing was changed."
            ) from None

    def counted(self, table: sa.Table) -> tuple[int, int]:
        """How many rows the table has, and their sum."""
        count, total = self._connection.exec_driver_sql(sum_in_postgresql(table)).one()
        return int(count), int(total)

    def number_on(self, table: sa.Table, last: int) -> None:
        """The next of the table's own numbers comes after this one."""
        column = table.autoincrement_column
        if column is not None and last:
            its = sa.func.pg_get_serial_sequence(table.name, column.name)
            self._connection.execute(sa.select(sa.func.setval(sa.cast(its, REGCLASS), last)))

    def note(self, number: int, rows: Mapping[str, int]) -> None:
        row = {"number": number, "moved_at": clock(self._connection), "rows": dict(rows)}
        self._connection.execute(sa.insert(moves), row)

    def commit(self) -> None:
        self._connection.commit()

    def _has(self, table: sa.Table, *which: sa.ColumnElement[bool]) -> bool:
        return bool(self._connection.scalar(sa.select(sa.exists().select_from(table).where(*which))))


def _place(table: sa.Table, wrong: Any) -> str:
    """Where it is and of which kind, without the value that the server's own words hold."""
    column = re.search(r", column (\w+)", wrong.diag.context or "")
    place = f"{table.name}.{column[1]}" if column else f"a row of {table.name}"
    return f"{place}: {type(wrong).__name__}"


@contextmanager
def opened(url: sa.URL) -> Iterator[Target]:
    """Bring the database to this release, then hold all of its tables until the block ends; only `commit` keeps
    what was done. Errors: InvalidValue.
    """
    database = Database(url.render_as_string(hide_password=False))
    try:
        revision = schema.migrate(database)
    finally:
        database.close()
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool, connect_args={"options": _OPTIONS})
    try:
        with engine.connect() as connection:
            if (encoding := connection.exec_driver_sql("SHOW server_encoding").scalar_one()) != "UTF8":
                raise InvalidValue(f"The target's encoding is {encoding}: make one with UTF8.")
            names = ", ".join(f'"{table.name}"' for table in metadata.sorted_tables)
            try:
                connection.exec_driver_sql(f"LOCK TABLE {names} IN EXCLUSIVE MODE")
            except UNAVAILABLE as busy:
                raise InvalidValue(
                    "Others write into the target: stop them first. Nothing was changed."
                ) from busy
            yield Target(connection, revision)
    finally:
        engine.dispose()
