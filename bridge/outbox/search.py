"""Finds messages for lists: newest first, and each way to them goes by one index, however many there are."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.message import State
from bridge.outbox.reading import Filter, conditions_of, event_ids_of, shown
from bridge.outbox.tables import messages

# Transactions end in another order than they began; a clock may be set back.
OUT_OF_ORDER = timedelta(seconds=10)
MOST_WAYS = 50  # in one statement: SQLite takes 500

_table = messages.c
# The columns as no index has them: what is asked beside a way must not tempt a planner to another.
_beside = SimpleNamespace(
    **{
        column.name: sa.func.coalesce(column, "") if isinstance(column.type, sa.String) else column
        for column in _table
    }
)

Way = list[sa.ColumnElement[bool]]


def listed(connection: Connection, wanted: Filter) -> tuple[list[dict[str, Any]], int | None]:
    """The newest messages first, and where the next page begins."""
    seqs = _newest(connection, wanted)
    page = seqs[: wanted.limit]
    return shown(connection, page), page[-1] if len(seqs) > wanted.limit else None


def _newest(connection: Connection, wanted: Filter) -> list[int]:
    """One more than asked for, where there are more."""
    most, bounds = wanted.limit + 1, _bounds(connection, wanted)
    ways = _ways(wanted)
    found: list[int] = []
    for begin in range(0, len(ways), MOST_WAYS):
        each = []
        for way in ways[begin : begin + MOST_WAYS]:
            query = sa.select(_table.seq).where(*way, *bounds).order_by(_table.seq.desc())
            each.append(sa.select(query.limit(most).subquery()))
        every = sa.union_all(*each).subquery()
        found += connection.scalars(sa.select(every.c.seq).order_by(every.c.seq.desc()).limit(most))
    return sorted(found, reverse=True)[:most]


def _ways(wanted: Filter) -> list[Way]:
    """Conditions that an index ending in `seq` meets, and what is asked beside; all that is wanted together."""
    beside = conditions_of(_beside, wanted)
    states = [wanted.state] if wanted.state is not None else list(State)
    if wanted.user_id is not None:
        return [[_table.user_id == wanted.user_id, *beside]]
    if wanted.event_id is not None:
        beside = conditions_of(_beside, replace(wanted, event_id=None))
        *prefixes, whole = event_ids_of(wanted.event_id)
        # Rokt's event id ends in its user, who has fewer messages than the event.
        users = [
            [_table.user_id == wanted.event_id[len(prefix) + 1 :], _beside.event_id == prefix]
            for prefix in prefixes
        ]
        its_states = [[_table.event_id == whole, _table.state == state] for state in states]
        return [[*way, *beside] for way in (*its_states, *users)]
    if wanted.was_uncertain:
        return [[_table.was_uncertain, *beside]]
    if wanted.destination is not None:
        return [
            [_table.destination == wanted.destination, _table.state == state, *beside] for state in states
        ]
    return [[_table.state == wanted.state, *beside]] if wanted.state is not None else [beside]


def _bounds(connection: Connection, wanted: Filter) -> Way:
    """Times as places in the order of acceptance, so that no list reads what lies outside them."""
    bounds: Way = []
    if wanted.before is not None:
        bounds.append(_table.seq < wanted.before)
    if wanted.since is not None:
        bounds.append(_table.seq >= _first_since(connection, wanted.since - OUT_OF_ORDER))
    if wanted.until is not None:
        bounds.append(_table.seq < _first_since(connection, wanted.until + OUT_OF_ORDER))
    return bounds


def _first_since(connection: Connection, at: datetime) -> int:
    """The first `seq` that was accepted at this time or later, by halving; one too many if there is none."""
    ends = connection.execute(sa.select(_lowest.label("low"), _highest.label("high"))).one()
    low, high = ends.low or 0, (ends.high or 0) + 1
    while low < high:
        middle = (low + high) // 2
        found = connection.execute(_NEXT, {"middle": middle}).one()
        low, high = (found.seq + 1, high) if found.received_at < at else (low, middle)
    return low


_lowest = sa.select(sa.func.min(_table.seq)).scalar_subquery()
_highest = sa.select(sa.func.max(_table.seq)).scalar_subquery()
_NEXT = (
    sa.select(_table.seq, _table.received_at)
    .where(_table.seq >= sa.bindparam("middle"))
    .order_by(_table.seq)
    .limit(1)
)
