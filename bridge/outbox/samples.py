"""What was counted of the outbox, for people and for metrics: over time, in all, of templates, and what waits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.outbox.depth import Run
from bridge.outbox.ladder import MINUTE, Held, older
from bridge.outbox.sample_tables import counting, depths, samples, template_samples
from bridge.outbox.tables import LEAVES, messages, waiting, workers
from bridge.outbox.tally import COUNTED, TOTAL
from bridge.outbox.upkeep import STALE_AFTER

MOST_LIVE = 10_000  # of what waits is counted where somebody looks
LONG_AGO = 2 * MINUTE  # a count that nobody has made anew for so long


@dataclass(frozen=True)
class Counts:
    """Of one template. `failed`: those included of which nobody knows whether they worked."""

    sent: int
    failed: int


@dataclass(frozen=True)
class Point:
    """Some minutes of one destination from `minute` on. `waiting`, times: the most that any of them had; None: none
    was counted.
    """

    minute: int
    destination: str
    counts: Mapping[str, int]  # those of COUNTED
    waiting: int | None
    half_ms: int | None
    most_ms: int | None
    slowest_ms: int | None


@dataclass(frozen=True)
class Total:
    """Of one destination since counting began. `took`: see ladder.py. `causes`: of the dead."""

    counts: Mapping[str, int]
    took: Mapping[str, int]
    causes: Mapping[str, int]


@dataclass(frozen=True)
class Waiting:
    """`is_cut`: there are more than that. `counted_at` None: just now."""

    messages: int
    oldest_at: datetime | None
    is_cut: bool = False
    expiring: tuple[Run, ...] = ()
    counted_at: datetime | None = None


def counted_upto(connection: Connection) -> datetime | None:
    """Until when what ended is counted. None: nothing ever was."""
    upto: datetime | None = connection.scalar(sa.select(sa.func.max(counting.c.settled_upto)))
    return upto


def series(
    connection: Connection, first: int, end: int, each: int = 1, destination: str | None = None
) -> list[Point]:
    """The minutes from `first` to before `end`, `each` so many together, of each destination or of one."""
    table = samples.c
    group = (table.minute - sa.bindparam("first", type_=sa.Integer)) // sa.bindparam("each", type_=sa.Integer)
    sums = [sa.cast(sa.func.sum(table[name]), sa.BigInteger).label(name) for name in COUNTED]
    most = [sa.func.max(table[name]).label(name) for name in ("waiting", "half_ms", "most_ms", "slowest_ms")]
    query = sa.select(group.label("part"), table.destination, *sums, *most).where(
        table.minute >= sa.bindparam("first"), table.minute < sa.bindparam("end")
    )
    bound: dict[str, Any] = {"first": first, "end": end, "each": each}
    if destination is not None:
        query = query.where(table.destination == sa.bindparam("destination"))
        bound["destination"] = destination
    rows = connection.execute(query.group_by(sa.literal_column("1"), table.destination), bound)
    points = [
        Point(
            first + row.part * each,
            row.destination,
            {name: getattr(row, name) for name in COUNTED},
            *(row.waiting, row.half_ms, row.most_ms, row.slowest_ms),
        )
        for row in rows
    ]
    return sorted(points, key=lambda point: (point.minute, point.destination))


def totals(connection: Connection) -> dict[str, Total]:
    """What only ever grows, by destination."""
    rows = connection.execute(sa.select(samples).where(samples.c.minute == TOTAL))
    return {
        row.destination: Total({name: getattr(row, name) for name in COUNTED}, row.took, row.causes or {})
        for row in rows
    }


def waiting_by_destination(connection: Connection) -> dict[str, Waiting]:
    """What waits: counted now as far as that is short, else as it was last counted."""
    counted = {
        row.destination: Waiting(
            row.waiting, row.oldest_at, False, tuple(map(tuple, row.expiring)), row.counted_at
        )
        for row in connection.execute(sa.select(depths))
    }
    live = connection.execute(_LIVE, {"most": MOST_LIVE}).all()
    is_cut = sum(row.messages for row in live) >= MOST_LIVE
    query = sa.select(messages.c.seq, messages.c.received_at)
    since = {
        row.seq: row.received_at
        for row in connection.execute(query.where(messages.c.seq.in_([row.seq for row in live])))
    }
    if not is_cut:
        nothing = {name: Waiting(0, None) for name in counted}
        return nothing | {
            row.destination: Waiting(
                row.messages,
                since.get(row.seq),
                expiring=_left_of(counted.get(row.destination), row.messages),
            )
            for row in live
        }
    of_live = {row.destination: Waiting(row.messages, since.get(row.seq), is_cut=True) for row in live}
    return {
        name: max(
            (its for its in (counted.get(name), of_live.get(name)) if its), key=lambda its: its.messages
        )
        for name in counted.keys() | of_live.keys()
    }


def _left_of(counted: Waiting | None, left: int) -> tuple[Run, ...]:
    """Of what was counted some time ago, the part of the line that is left: its front has gone meanwhile."""
    if counted is None or not left:
        return ()
    gone = max(0, counted.messages - left)
    shifted = (
        (max(0, before - gone), count - min(count, max(0, gone - before)), expires_at)
        for before, count, expires_at in counted.expiring
    )
    return tuple(run for run in shifted if run[1])


def waiting_ages(connection: Connection, now: datetime) -> dict[str, Held]:
    """How old what waits is, by destination, as it was last counted. What was counted long ago has aged since."""
    found: dict[str, Held] = {}
    for row in connection.execute(sa.select(depths.c.destination, depths.c.ages, depths.c.counted_at)):
        gone = (now - row.counted_at).total_seconds() * 1000
        found[row.destination] = older(row.ages, gone) if gone > LONG_AGO else row.ages
    return found


def of_templates(connection: Connection, since: datetime) -> dict[str, Counts]:
    """By template what was handed over and what failed, from the full hour before `since` on; without tests."""
    table = template_samples.c
    sums = (sa.cast(sa.func.sum(column), sa.BigInteger) for column in (table.sent, table.failed))
    of_hours = sa.select(
        table.template, *(one.label(name) for one, name in zip(sums, ("sent", "failed"), strict=True))
    )
    hour = int(since.timestamp()) // 3600
    rows = connection.execute(of_hours.where(table.hour >= hour).group_by(table.template))
    return {row.template: Counts(row.sent, row.failed) for row in rows}


def live_workers(connection: Connection, now: datetime) -> int:
    """How many workers were heard of lately."""
    query = sa.select(sa.func.count()).select_from(workers).where(workers.c.heartbeat_at > now - STALE_AFTER)
    return connection.scalar(query) or 0


def minute_of(at: datetime) -> int:
    return int(at.timestamp()) // 60


def begin_of(minute: int) -> datetime:
    return datetime.fromtimestamp(minute * 60, UTC)


def _first_waiting() -> sa.Select[Any]:
    first = (
        sa.select(waiting.c.seq, waiting.c.destination)
        .where(LEAVES)
        .order_by(waiting.c.seq)
        .limit(sa.bindparam("most"))
    )
    piece = first.subquery().c
    counted = (sa.func.count().label("messages"), sa.func.min(piece.seq).label("seq"))
    return sa.select(piece.destination, *counted).group_by(piece.destination)


_LIVE = _first_waiting()
