"""Which messages a job is about, read in pieces whose cost is bounded, whatever is stored."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.message import State
from bridge.outbox.reading import Filter, conditions_of, event_ids_of
from bridge.outbox.tables import messages

FIRST_EXAMINED = 256  # rows of an index that a statement looks at; eight times as many where it finds too few
EXAMINED = 16_384
MOST_PARTS = 50  # of one statement; SQLite knows 500

_COLUMNS = [
    messages.c[name]
    for name in (
        "seq",
        "line",
        "state",
        "destination",
        "user_id",
        "event_id",
        "template",
        "version",
        "was_uncertain",
        "received_at",
        "reason",
        "settled_at",
    )
]


@dataclass(frozen=True)
class Selection:
    """Messages in one of these states, up to a `seq`. `settled_by`: what was settled later is none of them."""

    wanted: Filter
    states: tuple[State, ...]
    upto: int
    settled_by: datetime | None = None


def some(connection: Connection, of: Selection, after: int, most: int) -> tuple[dict[int, int], int]:
    """At most so many behind a `seq`: their lines by their `seq`; and how far was looked for them."""
    found: dict[int, int] = {}
    examined = FIRST_EXAMINED
    while True:
        lines, after = _look(connection, of, after, most - len(found), examined)
        found |= lines
        if len(found) == most or after >= of.upto or examined >= EXAMINED:
            return found, after
        examined *= 8


def _look(
    connection: Connection, of: Selection, after: int, most: int, size: int
) -> tuple[dict[int, int], int]:
    examined = _examined(of, after, size).cte("examined")
    ends = _ends(examined).subquery()
    found = (
        sa.select(examined.c.seq, examined.c.line)
        .where(*_conditions(of, examined.c))
        .order_by(examined.c.seq)
        .limit(most)
        .subquery()
    )
    # One statement: what others change between two could fall through.
    query = sa.select(ends.c.last, ends.c.size, found.c.seq, found.c.line).select_from(
        ends.outerjoin(found, sa.true())
    )
    rows = connection.execute(query.order_by(found.c.seq)).all()
    lines = {row.seq: row.line for row in rows if row.seq is not None}
    if len(lines) == most:
        return lines, max(lines)
    return lines, rows[0].last if rows[0].size == size else of.upto


def count(connection: Connection, of: Selection, seconds: float) -> tuple[int, bool]:
    """How many there are, and whether that is all: counting ends when its time is up."""
    until = time.monotonic() + seconds
    total, after = 0, 0
    while True:
        examined = _examined(of, after, EXAMINED).subquery()
        query = _ends(examined).add_columns(
            sa.func.count().filter(*_conditions(of, examined.c)).label("matching")
        )
        row = connection.execute(query).one()
        total += row.matching
        if row.size < EXAMINED:
            return total, True
        if time.monotonic() >= until:
            return total, False
        after = row.last


def still(of: Selection) -> list[sa.ColumnElement[bool]]:
    """What a message must be to be one of these."""
    return _conditions(of, messages.c)


def _examined(of: Selection, after: int, size: int) -> sa.Select[Any]:
    """The next rows by the index that leads there fastest, in its order."""
    table, wanted = messages.c, of.wanted
    keys = [table.state == state for state in of.states]
    union = sa.union_all
    if wanted.user_id is not None:
        keys = [table.user_id == wanted.user_id]
    elif wanted.event_id is not None:
        *prefixes, whole = event_ids_of(wanted.event_id)
        # Rokt's event id ends in its user, who has fewer messages than the event.
        users = [table.user_id == wanted.event_id[len(prefix) + 1 :] for prefix in prefixes]
        if len(users) < MOST_PARTS:
            keys = [*(sa.and_(table.event_id == whole, in_state) for in_state in keys), *users]
            union = sa.union  # two ways may lead to the same row
    span = (table.seq > after, table.seq <= of.upto)
    parts = [
        sa.select(*_COLUMNS).where(key, *span).order_by(table.seq).limit(size).subquery() for key in keys
    ]
    every = union(*(sa.select(part) for part in parts)).subquery()
    return sa.select(every).order_by(every.c.seq).limit(size)


def _ends(examined: sa.FromClause) -> sa.Select[Any]:
    last: Any = sa.func.max(examined.c.seq).label("last")
    return sa.select(last, sa.func.count().label("size")).select_from(examined)


def _conditions(of: Selection, table: Any) -> list[sa.ColumnElement[bool]]:
    conditions = [table.state.in_(of.states), *conditions_of(table, of.wanted)]
    return conditions if of.settled_by is None else [*conditions, table.settled_at <= of.settled_by]
