"""Finds messages for lists: newest first, and each way to them goes by one index, however many there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
MOST_LOOKED_AT = 20_000  # rows of an index at a time, where no index has all that is asked for
MOST_WAYS = 50  # in one statement: SQLite takes 500

_table = messages.c
# The columns as no index has them: what is asked beside a way must not tempt a planner to another.
_beside = SimpleNamespace(
    **{
        column.name: sa.func.coalesce(column, "") if isinstance(column.type, sa.String) else column
        for column in _table
    }
)


@dataclass(frozen=True)
class _Way:
    """`equal`: the columns of an index before `seq`, in its order, and their values. `beside`: what else is asked."""

    equal: Sequence[tuple[sa.Column[Any], str]]
    beside: Sequence[sa.ColumnElement[bool]]


@dataclass(frozen=True)
class _Bounds:
    """`low` is the first `seq` that may be found, `high` the first that may not."""

    low: int = 0
    high: int = 2**63 - 1


def listed(connection: Connection, wanted: Filter) -> tuple[list[dict[str, Any]], int | None]:
    """The newest messages first, and where the next page begins."""
    seqs = newest(connection, wanted)
    page = seqs[: wanted.limit]
    return shown(connection, page), page[-1] if len(seqs) > wanted.limit else None


def looked_for(connection: Connection, wanted: Filter) -> tuple[list[dict[str, Any]], int | None, bool]:
    """As `listed`, but of so many messages at most: what no index leads to is not looked for among all there are.

    Returns the messages, where to look further (None: that was all), and whether the look ended before the page was
    full.
    """
    low = lowest_looked_at(connection, wanted)
    page, following = listed(connection, replace(wanted, after=low))
    if following is not None or not low:
        return page, following, False
    return page, low, True


def lowest_looked_at(connection: Connection, wanted: Filter) -> int:
    """The first `seq` of those that are looked at, 0 if all are: an index leads to each that is found."""
    if not _asks_beside(wanted):
        return 0
    bounds, dialect = _bounds(connection, wanted), connection.dialect.name
    floors: list[int] = []
    for way in _ways(wanted):
        its_index = way.beside[:1] if wanted.was_uncertain and not way.equal else ()
        along = _along(replace(way, beside=its_index), bounds, dialect).offset(MOST_LOOKED_AT - 1).limit(1)
        found: Any = connection.scalar(along)
        floors.append(found or 0)
    return max(floors)


def _asks_beside(wanted: Filter) -> bool:
    """Whether something is asked for that the index on the way does not have."""
    asked = (wanted.template, wanted.reason, wanted.cause, wanted.was_uncertain, wanted.user_id)
    return any(one is not None for one in asked) or None not in (wanted.event_id, wanted.destination)


def newest(connection: Connection, wanted: Filter) -> list[int]:
    """The newest first, and one more than asked for, where there are more."""
    most, bounds, dialect = wanted.limit + 1, _bounds(connection, wanted), connection.dialect.name
    ways = _ways(wanted)
    found: list[int] = []
    for begin in range(0, len(ways), MOST_WAYS):
        each = [_along(way, bounds, dialect).limit(most) for way in ways[begin : begin + MOST_WAYS]]
        every = sa.union_all(*(sa.select(query.subquery()) for query in each)).subquery()
        found += connection.scalars(sa.select(every.c.seq).order_by(every.c.seq.desc()).limit(most))
    return sorted(found, reverse=True)[:most]


def _along(way: _Way, bounds: _Bounds, dialect: str) -> sa.Select[tuple[int]]:
    """The numbers that one way leads to, the newest first."""
    seqs = sa.select(_table.seq).where(*way.beside)
    if not way.equal or dialect == "sqlite":
        its = [column == value for column, value in way.equal]
        return seqs.where(*its, _table.seq >= bounds.low, _table.seq < bounds.high).order_by(
            _table.seq.desc()
        )
    # As a span of the index, not as an equal value: for that PostgreSQL would read all messages backwards instead,
    # where it believes that it must soon meet what is common.
    *equal, (last, value) = way.equal
    place = sa.tuple_(last, _table.seq)
    span = (place >= sa.tuple_(value, bounds.low), place < sa.tuple_(value, bounds.high))
    return seqs.where(*(column == one for column, one in equal), *span).order_by(
        last.desc(), _table.seq.desc()
    )


def _ways(wanted: Filter) -> list[_Way]:
    """The ways to all that is wanted together, each by one index that ends in `seq`."""
    beside = conditions_of(_beside, wanted)
    states = [wanted.state] if wanted.state is not None else list(State)
    if wanted.user_id is not None:
        return [_Way([(_table.user_id, wanted.user_id)], beside)]
    if wanted.event_id is not None:
        beside = conditions_of(_beside, replace(wanted, event_id=None))
        *prefixes, whole = event_ids_of(wanted.event_id)
        # Rokt's event id ends in its user, who has fewer messages than the event.
        its_user = [
            _Way(
                [(_table.user_id, wanted.event_id[len(prefix) + 1 :])], [_beside.event_id == prefix, *beside]
            )
            for prefix in prefixes
        ]
        return [
            _Way([(_table.event_id, whole), (_table.state, state)], beside) for state in states
        ] + its_user
    if wanted.was_uncertain:
        return [_Way([], [_table.was_uncertain, *beside])]
    if wanted.destination is not None:
        return [
            _Way([(_table.destination, wanted.destination), (_table.state, state)], beside)
            for state in states
        ]
    return [_Way([(_table.state, wanted.state)] if wanted.state is not None else [], beside)]


def _bounds(connection: Connection, wanted: Filter) -> _Bounds:
    """Times as places in the order of acceptance, so that no list reads what lies outside them."""
    bounds = _Bounds(low=wanted.after or 0)
    if wanted.since is not None:
        bounds = replace(bounds, low=max(bounds.low, _first_since(connection, wanted.since - OUT_OF_ORDER)))
    if wanted.until is not None:
        bounds = replace(bounds, high=_first_since(connection, wanted.until + OUT_OF_ORDER))
    if wanted.before is not None:
        bounds = replace(bounds, high=min(bounds.high, wanted.before))
    return bounds


def _first_since(connection: Connection, at: datetime) -> int:
    """The first `seq` that was accepted at this time or later, by halving; one too many if there is none."""
    ends = connection.execute(sa.select(_lowest.label("low"), _highest.label("high"))).one()
    low, high = ends.low or 1, (ends.high or 0) + 1
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
