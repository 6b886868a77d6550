"""Moves everything from a SQLite file to PostgreSQL: whole and compared, or not at all.

The rows travel in one transaction of the target, so one that is broken off leaves nothing there. Before that commits
the file is closed with a number that the target holds too: of the two never both can be used, and who starts the move
again learns how it ended.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from bridge.database import UNAVAILABLE
from bridge.errors import InvalidValue
from bridge.moving.rows import Outgoing
from bridge.moving.source import Source, alone
from bridge.moving.target import Target, opened

Tell = Callable[[str, int, int], None]
END_UNKNOWN = (
    "The target was lost at the very end, and nobody knows whether it has everything. "
    "Run the same command again: it finds out."
)


@dataclass(frozen=True)
class Moved:
    """What came of it. `before`: when an earlier move of the same file had ended, which is found and left alone."""

    rows: dict[str, int] = field(default_factory=dict)  # table: how many
    nuls: dict[str, int] = field(default_factory=dict)  # table.column: values in which a NUL was replaced
    before: datetime | None = None


def move(source_url: str, target_url: str, tell: Tell) -> Moved:
    """Move everything. `tell`: a table, how many of its rows have left, how many there are.

    Errors: InvalidValue in words for the operator; nothing was changed then, unless it is END_UNKNOWN.
    """
    try:
        with alone(sa.make_url(source_url)) as source, opened(sa.make_url(target_url)) as target:
            if source.number and (ended := target.moved_at(source.number)):
                return Moved(before=ended)
            return _move(source, target, tell)
    except sa.exc.DBAPIError as down:
        raise InvalidValue(f"{down.orig}\nNothing was changed.") from down


def _move(source: Source, target: Target, tell: Tell) -> Moved:
    source.check(target.revision)
    target.clear()
    nuls: Counter[str] = Counter()
    rows = {table.name: _move_table(source, target, table, tell, nuls) for table in source.tables}
    number = source.number or secrets.randbelow(2**31 - 1) + 1
    target.note(number, rows)
    source.close_with(number)
    try:
        target.commit()
    except UNAVAILABLE as lost:
        raise InvalidValue(END_UNKNOWN) from lost
    return Moved(rows, dict(nuls))


def _move_table(source: Source, target: Target, table: sa.Table, tell: Tell, nuls: Counter[str]) -> int:
    total, outgoing = source.count(table), Outgoing(table)
    with closing(source.rows(table)) as rows:
        target.copy(outgoing, rows, lambda: tell(table.name, outgoing.count, total))
    target.number_on(table, source.last_number(table))
    if (total, outgoing.count, *target.counted(table)) != (outgoing.count, total, total, outgoing.sum):
        raise InvalidValue(f"{table.name} did not arrive as it left. Nothing was changed.")
    nuls.update({f"{table.name}.{column}": times for column, times in outgoing.nuls.items()})
    return total
