"""Counts what waits, in pieces: a million rows take seconds, and nobody is to wait for those.

From its first piece to its last some of what was counted leaves, so the count of a long line is a little too high.
What came after the first piece is not in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.outbox import ladder
from bridge.outbox.ladder import Seconds
from bridge.outbox.sample_tables import depths, samples
from bridge.outbox.tables import LEAVES, messages, waiting
from bridge.outbox.tally import COUNTED, latency
from bridge.rows import among, upsert

MOST = 20_000  # messages of one piece
PARTS = 64  # of a piece; what is in one counts as being of the same age
MOST_RUNS = 200  # of what goes out of date, for each destination
SAME_RUN = 60.0  # seconds between two `expires_at` that are told apart
_EVERYTHING = 2**31 - 1

Run = tuple[int, int, float]  # how many stand before it, how many it has, their mean `expires_at` since 1970


@dataclass
class _Line:
    """What waits for one destination."""

    waiting: int = 0
    oldest_at: datetime | None = None
    ages: dict[str, int] = field(default_factory=dict)
    expiring: list[Run] = field(default_factory=list)

    def add(self, count: int, since: datetime, now: datetime, expiring: int, expires_at: float) -> None:
        age = (now - since).total_seconds() * 1000
        self.ages = ladder.added(self.ages, ladder.held_of([(age, count)]))
        self.oldest_at = min(self.oldest_at or since, since)
        if expiring:
            self.expiring.append((self.waiting, expiring, expires_at))
            self.expiring = merged(self.expiring, SAME_RUN)
        self.waiting += count


class Depth:
    """One count of all that waits, under way."""

    def __init__(self) -> None:
        self._after = 0
        self._upto: int | None = None
        self._lines: dict[str, _Line] = {}

    def piece(self, connection: Connection, now: datetime) -> bool:
        """Count some more. Returns whether that was the last."""
        if self._upto is None:
            self._upto = connection.scalar(_LAST) or 0
        bound = {"after": self._after, "upto": self._upto}
        ends = connection.execute(_ENDS, bound | {"skipped": MOST - 1}).one()
        if ends.first is None:
            return True
        last = ends.last if ends.last is not None else self._upto
        bound |= {"first": ends.first, "upto": last, "width": (last - ends.first) // PARTS + 1}
        parts = connection.execute(_PIECE, bound).all()
        query = sa.select(messages.c.seq, messages.c.received_at).where(among(messages.c.seq, "seqs"))
        since = {
            row.seq: row.received_at for row in connection.execute(query, {"seqs": [p.seq for p in parts]})
        }
        for part in sorted(parts, key=lambda part: part.seq):
            if part.seq in since:  # else it was settled and forgotten meanwhile
                line = self._lines.setdefault(part.destination, _Line())
                line.add(part.messages, since[part.seq], now, part.expiring, float(part.expires_at or 0.0))
        self._after = last
        return ends.last is None

    def write(self, connection: Connection, now: datetime) -> None:
        """Keep the count. What has nothing waiting any more is kept as that."""
        known = set(connection.scalars(sa.select(depths.c.destination)))
        lines = dict.fromkeys(known, _Line()) | self._lines
        rows = [
            {
                "destination": destination,
                "waiting": line.waiting,
                "oldest_at": line.oldest_at,
                "ages": line.ages,
                "expiring": line.expiring,
                "counted_at": now,
            }
            for destination, line in lines.items()
        ]
        upsert(connection, depths, rows)
        minute = int(now.timestamp()) // 60
        of_minute = sa.select(samples.c.destination, samples.c.took, *(samples.c[name] for name in COUNTED))
        stands = {
            row.destination: row for row in connection.execute(of_minute.where(samples.c.minute == minute))
        }
        told = []
        for destination, line in lines.items():
            before = stands.get(destination)
            took = before.took if before else {}
            counts = {name: getattr(before, name) if before else 0 for name in COUNTED}
            gauges = {"waiting": line.waiting, "oldest_at": line.oldest_at, **latency(took, line.ages)}
            told.append({"minute": minute, "destination": destination, "took": took, **counts, **gauges})
        upsert(connection, samples, told)


def merged(runs: list[Run], same: float) -> list[Run]:
    """Neighbours that expire at about the same time as one; more where there are too many."""
    found: list[Run] = []
    for run in runs:
        if found and abs(found[-1][2] - run[2]) < same:
            before, count, expires_at = found.pop()
            both = count + run[1]
            run = (before, both, expires_at + (run[2] - expires_at) * run[1] / both)
        found.append(run)
    return found if len(found) <= MOST_RUNS else merged(found, 2 * same)


def _ends() -> sa.Select[Any]:
    """Of the next piece: its first, and the last if there are more behind it."""
    span = (waiting.c.seq > sa.bindparam("after"), waiting.c.seq <= sa.bindparam("upto"))
    in_order = sa.select(waiting.c.seq).where(*span).order_by(waiting.c.seq).limit(1)
    last = in_order.offset(sa.bindparam("skipped"))
    return sa.select(in_order.scalar_subquery().label("first"), last.scalar_subquery().label("last"))


def _piece() -> sa.Select[Any]:
    table = waiting.c
    span = (table.seq > sa.bindparam("after"), table.seq <= sa.bindparam("upto"))
    # In its order, and with a limit that is never reached: grouped at once it might be read by the index of lanes,
    # which is all that waits.
    in_order = (
        sa.select(table.seq, table.destination, table.expires_at).where(*span, LEAVES).order_by(table.seq)
    )
    row = in_order.limit(_EVERYTHING).subquery().c
    part = (row.seq - sa.bindparam("first", type_=sa.BigInteger)) // sa.bindparam(
        "width", type_=sa.BigInteger
    )
    return sa.select(
        row.destination,
        part.label("part"),
        sa.func.count().label("messages"),
        sa.func.min(row.seq).label("seq"),
        sa.func.count(row.expires_at).label("expiring"),
        sa.func.avg(Seconds(row.expires_at), type_=sa.Float).label("expires_at"),
    ).group_by(row.destination, sa.literal_column("2"))


_LAST = sa.select(waiting.c.seq).order_by(waiting.c.seq.desc()).limit(1)
_ENDS = _ends()
_PIECE = _piece()
