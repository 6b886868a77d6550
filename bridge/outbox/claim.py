"""Claims: what may leave next gets a call row before anything is sent."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.message import Message
from bridge.outbox.lines import read
from bridge.outbox.tables import calls, waiting
from bridge.rows import Insert, Update, write

MOST_BROUGHT_FORWARD = 1000
MOST_MERGED = 100  # lanes of one read; SQLite takes 500 in one statement
_END = 2**62  # behind the last `seq` there will ever be
_ALWAYS = datetime(9999, 1, 1, tzinfo=UTC)  # whatever is due by then


@dataclass(frozen=True)
class Call:
    """A claimed message with the row that says so. Only whoever still holds the row may settle it.

    `messages`: of how many this call is made; each of them is a Call with the same id.
    """

    id: str
    message: Message
    messages: int = 1


@dataclass(frozen=True)
class Due:
    """A message that may leave. `due_at`: since when it, or what it waits behind, may."""

    message: Message
    due_at: datetime


@dataclass(frozen=True)
class Lane:
    """What waits of one account with one priority. `due_at`: of the first head in it."""

    account_code: str
    priority: int
    due_at: datetime


def go_by_index(connection: Connection) -> None:
    """From here on this transaction reads what waits in the order of its index, and never sorts it.

    While PostgreSQL's statistics say that next to nothing waits, to sort that seems as good.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_NEVER_SORT)


def lanes(connection: Connection, destination: str) -> list[Lane]:
    """The lanes in which a head waits: a step of the index for each, however many wait in it."""
    rows = connection.execute(_LANES, {"destination": destination})
    return [Lane(row.account_code, row.priority, row.due_at) for row in rows]


def due(
    connection: Connection,
    destination: str,
    limit: int,
    now: datetime,
    open_lanes: Sequence[Lane],
    *,
    is_probe: bool = False,
) -> list[Due]:
    """At most `limit` due heads, in the order in which they are, locked until the transaction ends.

    `is_probe`: this looks whether the upstream answers again, so a head in back-off will do.
    """
    until = _ALWAYS if is_probe else now
    among = [lane for lane in open_lanes if lane.due_at <= until]
    due_at: dict[int, datetime] = {}
    for priority in sorted({lane.priority for lane in among}):
        its_lanes = [lane for lane in among if lane.priority == priority]
        for lane, count in _shares(connection, destination, its_lanes, limit - len(due_at), until):
            rows = connection.execute(_HEADS_OF_LANE, _bound(destination, lane, count, until))
            due_at |= {row.seq: row.due_at for row in rows}
        if len(due_at) >= limit:
            break
    return [Due(message, due_at[message.seq]) for message in read(connection, list(due_at))]


def hold(
    connection: Connection,
    worker_id: str,
    destination: str,
    batches: Sequence[Sequence[Message]],
    now: datetime,
) -> list[list[Call]]:
    """Write one call row for each batch before anything is sent. Returns the calls of each."""
    held = []
    for batch in batches:
        its_id = str(uuid.uuid4())
        if len(batch) > 1:
            batch = [replace(message, call_id=its_id) for message in batch]
        held.append([Call(its_id, message, len(batch)) for message in batch])
    its_call = {"worker_id": worker_id, "destination": destination, "started_at": now}
    write(
        connection,
        Insert(calls, [{"id": batch[0].id, **its_call} for batch in held]),
        Update(waiting, [{"seq": one.message.seq, "call_id": one.id} for batch in held for one in batch]),
    )
    return held


def claim(
    connection: Connection,
    worker_id: str,
    destination: str,
    limit: int,
    now: datetime,
    open_lanes: Sequence[Lane] | None = None,
    *,
    is_probe: bool = False,
) -> list[Call]:
    """Take at most `limit` due heads, each for a call of its own. `open_lanes`: only of these; None: of all."""
    among = lanes(connection, destination) if open_lanes is None else open_lanes
    found = due(connection, destination, limit, now, among, is_probe=is_probe)
    return [one for [one] in hold(connection, worker_id, destination, [[d.message] for d in found], now)]


def is_filled(
    connection: Connection, destination: str, among: Sequence[Lane], count: int, now: datetime
) -> bool:
    """Whether so many heads are due."""
    for lane in among[:MOST_MERGED]:
        count -= len(connection.execute(_COUNTED, _bound(destination, lane, count, now)).all())
        if count <= 0:
            return True
    return False


def newest(connection: Connection) -> int | None:
    """The last that came, of what waits."""
    seq: int | None = connection.scalar(_NEWEST)
    return seq


def bring_forward(
    connection: Connection, destination: str, now: datetime, account_code: str | None = None
) -> None:
    """What is in back-off goes now, of one account or of all; if that is a great deal, the rest in its time."""
    among = [lane for lane in lanes(connection, destination) if account_code in (None, lane.account_code)]
    late: list[int] = []
    for lane in among[:MOST_MERGED]:
        bound = _bound(destination, lane, MOST_BROUGHT_FORWARD - len(late), now)
        late += connection.scalars(_LATE_OF_LANE, bound)
    if late:
        connection.execute(sa.update(waiting).where(waiting.c.seq.in_(late)).values(due_at=now))


def give_back(connection: Connection, given: Sequence[Call]) -> None:
    """Return what was claimed and never sent, as if it had not been touched."""
    ids = [call.id for call in given]
    connection.execute(sa.update(waiting).where(waiting.c.call_id.in_(ids)).values(call_id=None))
    connection.execute(sa.delete(calls).where(calls.c.id.in_(ids)))


def _shares(
    connection: Connection, destination: str, among: Sequence[Lane], limit: int, until: datetime
) -> list[tuple[Lane, int]]:
    """How many of the first `limit` heads stand in each lane.

    They are counted without a lock: to lock the first of every lane would hide them from all other workers.
    """
    first = sorted(among, key=lambda lane: lane.due_at)[: min(limit, MOST_MERGED)]
    if len(first) <= 1:
        return [(lane, limit) for lane in first]
    of_each = [
        sa.select(
            sa.select(sa.literal(number).label("lane"), waiting.c.due_at, waiting.c.seq)
            .where(*_FREE_HEADS, *_in_lane(str(number)), waiting.c.due_at <= sa.bindparam("until"))
            .order_by(waiting.c.due_at, waiting.c.seq)
            .limit(sa.bindparam("count"))
            .subquery()
        )
        for number in range(len(first))
    ]
    merged = sa.union_all(*of_each).subquery()
    query = sa.select(merged.c.lane).order_by(merged.c.due_at, merged.c.seq).limit(sa.bindparam("count"))
    bound = {"destination": destination, "count": limit, "until": until}
    for number, lane in enumerate(first):
        bound |= {f"account_code{number}": lane.account_code, f"priority{number}": lane.priority}
    found = Counter(connection.scalars(query, bound))
    return [(first[number], count) for number, count in sorted(found.items())]


def _bound(destination: str, lane: Lane, count: int, until: datetime) -> dict[str, object]:
    its_lane = {"account_code": lane.account_code, "priority": lane.priority}
    return {"destination": destination, "count": count, "until": until, **its_lane}


def _in_lane(number: str = "") -> list[sa.ColumnElement[bool]]:
    return [
        waiting.c.account_code == sa.bindparam(f"account_code{number}"),
        waiting.c.priority == sa.bindparam(f"priority{number}"),
    ]


def _free_heads_of(table: sa.Table | sa.Alias) -> list[sa.ColumnElement[bool]]:
    return [table.c.destination == sa.bindparam("destination"), table.c.is_head, table.c.call_id.is_(None)]


def _first_of_each() -> sa.Select[tuple[str, int, datetime]]:
    """From the first head of a lane to the first of the next, until there is none.

    Each step looks its row up by itself: a join would read all that waits while statistics say that nothing does.
    """
    order = (waiting.c.account_code, waiting.c.priority, waiting.c.due_at, waiting.c.seq)
    first = sa.select(waiting.c.seq).where(*_FREE_HEADS).order_by(*order).limit(1)
    found = sa.select(first.scalar_subquery().label("seq")).cte("found", recursive=True)
    account_code, priority = _of(found, waiting.c.account_code), _of(found, waiting.c.priority)
    # Two looks: of two columns compared as one SQLite's index steps over the first alone, and reads the lane.
    next_priority = (waiting.c.account_code == account_code, waiting.c.priority > priority)
    next_account = (waiting.c.account_code > account_code,)
    following = sa.func.coalesce(
        *(
            sa.select(waiting.c.seq)
            .where(*_FREE_HEADS, *conditions)
            .order_by(*order)
            .limit(1)
            .correlate(found)
            .scalar_subquery()
            for conditions in (next_priority, next_account)
        )
    )
    found = found.union_all(sa.select(following).where(found.c.seq.is_not(None)))
    its = (_of(found, column).label(column.name) for column in (waiting.c.account_code, waiting.c.priority))
    due_at = _of(found, waiting.c.due_at).label("due_at")
    return sa.select(*its, due_at).where(found.c.seq.is_not(None))


def _of(found: sa.CTE, column: sa.Column[Any]) -> sa.ScalarSelect[Any]:
    here = waiting.alias("here")
    return sa.select(here.c[column.name]).where(here.c.seq == found.c.seq).correlate(found).scalar_subquery()


_NEWEST = sa.select(sa.func.max(waiting.c.seq))
_NEVER_SORT = sa.text("SET LOCAL enable_sort = off")
_FREE_HEADS = _free_heads_of(waiting)
_LANES = _first_of_each()
_FIRST_OF_LANE = (
    sa.select(waiting.c.seq, waiting.c.due_at)
    .where(*_FREE_HEADS, *_in_lane())
    .order_by(waiting.c.due_at, waiting.c.seq)
    .limit(sa.bindparam("count"))
)
_COUNTED = _FIRST_OF_LANE.where(waiting.c.due_at <= sa.bindparam("until"))
_OF_LANE = _FIRST_OF_LANE.with_for_update(skip_locked=True)
_HEADS_OF_LANE = _OF_LANE.where(waiting.c.due_at <= sa.bindparam("until"))
_LATE_OF_LANE = _OF_LANE.where(waiting.c.due_at > sa.bindparam("until"))
