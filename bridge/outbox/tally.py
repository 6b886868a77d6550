"""Counts what came and what ended by the minute, each message once, in pieces that nobody waits for.

Nothing is counted where messages are accepted or settled. One worker at a time reads what is new since the last
piece, by the order of acceptance and by the time of settling, and adds it to the minutes in which it was.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.message import SETTLED, State
from bridge.metrics import causes
from bridge.outbox import ladder
from bridge.outbox.ladder import MillisecondsBetween, Seconds
from bridge.outbox.sample_tables import counting, depths, samples, template_samples
from bridge.outbox.tables import messages
from bridge.rows import upsert

KEPT = timedelta(days=8)
LASTS = timedelta(seconds=60)  # for so long nobody else counts
ENDS_WITHIN = timedelta(seconds=10)  # a transaction that read the clock has ended by then, or never will
MOST = 2_500  # messages of one piece that came, and of each state that ended
TOTAL = 0  # in a minute's place: the sums of all time
COUNTED = ("accepted", *sorted(map(str, SETTLED)))
LATENCY = (("half_ms", 0.5), ("most_ms", 0.95), ("slowest_ms", 1.0))
_NAME = "outbox"
_EVERYTHING = 2**31 - 1
_MINUTE = sa.literal_column("60", sa.Integer)

Minute = tuple[int, str]  # minute since 1970, destination
Hour = tuple[int, str, int]  # hour since 1970, template, version
_OF_TEMPLATES = {
    State.DELIVERED: "sent",
    State.DEAD: "failed",
    State.UNCERTAIN: "failed",
    State.SKIPPED: "skipped",
}


@dataclass
class Piece:
    """What is to be added, and how far the counts then are. `oldest`: the first minute that is kept."""

    oldest: int
    accepted_upto: int
    settled_upto: datetime
    is_last: bool = False
    minutes: dict[Minute, dict[str, int]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(int))
    )
    took: dict[Minute, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    causes: dict[Minute, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    hours: dict[Hour, dict[str, int]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))

    def add(self, minute: int, destination: str, what: str, count: int) -> None:
        for place in self._places(minute, destination):
            self.minutes[place][what] += count

    def add_took(self, minute: int, destination: str, step: int, count: int) -> None:
        for place in self._places(minute, destination):
            self.took[place] = ladder.added(self.took[place], {str(step): count})

    def add_dead(self, minute: int, destination: str, cause: str, count: int) -> None:
        for place in self._places(minute, destination):
            self.causes[place] = ladder.added(self.causes[place], {cause: count})

    def _places(self, minute: int, destination: str) -> list[Minute]:
        return [(one, destination) for one in (TOTAL, minute) if one == TOTAL or one >= self.oldest]


def hold(connection: Connection, holder_id: str, now: datetime) -> Any:
    """The row that says who counts and how far it came, locked; None: another does."""
    row = connection.execute(_ROW.with_for_update(skip_locked=True)).first()
    if row is None:
        if connection.scalar(sa.select(counting.c.name).where(counting.c.name == _NAME)) is not None:
            return None  # locked by another
        # What is still kept of the time before is counted too.
        first = {"accepted_upto": 0, "settled_upto": now - KEPT}
        row_of_nobody = {"name": _NAME, "holder_id": holder_id, "held_until": now + LASTS, **first}
        upsert(connection, counting, [row_of_nobody])
        return connection.execute(_ROW.with_for_update()).one()
    if row.holder_id != holder_id and row.held_until > now:
        return None
    mine = {"holder_id": holder_id, "held_until": now + LASTS}
    connection.execute(sa.update(counting).where(counting.c.name == _NAME).values(**mine))
    return row


def let_go(connection: Connection, holder_id: str, now: datetime) -> None:
    """Another may count at once."""
    its = sa.and_(counting.c.name == _NAME, counting.c.holder_id == holder_id)
    connection.execute(sa.update(counting).where(its).values(held_until=now))


def read_piece(connection: Connection, row: Any, now: datetime) -> Piece:
    """What is new since `row`, as much as one piece has."""
    until, oldest = now - ENDS_WITHIN, _minute_of(now - KEPT)
    piece = Piece(oldest, row.accepted_upto, row.settled_upto)
    came = _read_accepted(connection, piece, until)
    _read_settled(connection, piece, until)
    piece.is_last = came < MOST and piece.settled_upto >= until
    return piece


def write_piece(connection: Connection, piece: Piece) -> None:
    """Add it, in the transaction that holds the row from which it was read."""
    _write_minutes(connection, piece)
    _write_hours(connection, piece.hours)
    upto = {"accepted_upto": piece.accepted_upto, "settled_upto": piece.settled_upto}
    connection.execute(sa.update(counting).where(counting.c.name == _NAME).values(**upto))


def forget_old(connection: Connection, now: datetime, most: int = 500) -> int:
    """Forget counts of more than eight days ago, at most so many. Returns how many went."""
    gone = 0
    for table, by, until in (
        (samples, samples.c.minute, _minute_of(now - KEPT)),
        (template_samples, template_samples.c.hour, _minute_of(now - KEPT) // 60),
    ):
        old = sa.select(by).where(by > TOTAL, by < until).order_by(by).limit(most)
        if numbers := list(connection.scalars(old)):
            gone += connection.execute(sa.delete(table).where(by > TOTAL, by <= numbers[-1])).rowcount
    return gone


def latency(took: ladder.Held, ages: ladder.Held) -> dict[str, int | None]:
    """Of what was delivered and of what still waits, together."""
    both = ladder.added(took, ages)
    return {name: ladder.within(both, share) for name, share in LATENCY}


def _read_accepted(connection: Connection, piece: Piece, until: datetime) -> int:
    """How many it counted."""
    rows = connection.execute(_ACCEPTED, {"after": piece.accepted_upto, "until": until, "most": MOST}).all()
    for row in rows:
        piece.add(row.minute, row.destination, "accepted", row.messages)
        piece.accepted_upto = max(piece.accepted_upto, row.last)
    return sum(row.messages for row in rows)


def _read_settled(connection: Connection, piece: Piece, until: datetime) -> None:
    if until <= piece.settled_upto:
        return
    bound = {"after": piece.settled_upto, "until": until}
    upto: datetime = connection.scalar(_SETTLED_UPTO, bound | {"skipped": MOST - 1}) or until
    for row in connection.execute(_SETTLED, bound | {"until": upto}):
        piece.add(row.minute, row.destination, row.state, row.messages)
        if row.state == State.DELIVERED:
            piece.add_took(row.minute, row.destination, row.step, row.messages)
        if row.state == State.DEAD:
            piece.add_dead(row.minute, row.destination, row.cause, row.messages)
        what = _OF_TEMPLATES.get(State(row.state))
        if row.template is not None and what is not None and not row.is_test and row.minute >= piece.oldest:
            piece.hours[row.minute // 60, row.template, row.version or 0][what] += row.messages
    piece.settled_upto = upto


def _write_minutes(connection: Connection, piece: Piece) -> None:
    if not piece.minutes:
        return
    stands = {(row.minute, row.destination): row for row in _standing(connection, samples, piece.minutes)}
    ages = {
        row.destination: (_minute_of(row.counted_at), row.ages)
        for row in connection.execute(sa.select(depths))
    }
    rows = []
    for (minute, destination), its in piece.minutes.items():
        before = stands.get((minute, destination))
        took = ladder.added(before.took if before else {}, piece.took.get((minute, destination), {}))
        stood = (before.causes if before else None) or {}
        dead = ladder.added(stood, piece.causes.get((minute, destination), {}))
        counted_in, its_ages = ages.get(destination, (None, {}))
        told = latency(took, its_ages if counted_in == minute else {})
        counts = {name: (getattr(before, name) if before else 0) + its.get(name, 0) for name in COUNTED}
        rows.append(
            {"minute": minute, "destination": destination, **counts, "took": took, "causes": dead, **told}
        )
    upsert(connection, samples, rows)


def _write_hours(connection: Connection, hours: Mapping[Hour, Mapping[str, int]]) -> None:
    if not hours:
        return
    table = template_samples
    stands = {(row.hour, row.template, row.version): row for row in _standing(connection, table, hours)}
    rows = []
    for (hour, template, version), its in hours.items():
        before = stands.get((hour, template, version))
        names = ("sent", "failed", "skipped")
        counts = {name: (getattr(before, name) if before else 0) + its.get(name, 0) for name in names}
        rows.append({"hour": hour, "template": template, "version": version, **counts})
    upsert(connection, table, rows)


def _standing(connection: Connection, table: sa.Table, keys: Mapping[Any, Any]) -> list[Any]:
    """The rows of all that these minutes or hours have."""
    first = next(iter(table.primary_key.columns))
    return list(connection.execute(sa.select(table).where(first.in_({key[0] for key in keys}))))


def _minute_of(at: datetime) -> int:
    return int(at.timestamp()) // 60


def _accepted_piece() -> sa.Select[Any]:
    table = messages.c
    its_turn = sa.select(table.seq, table.destination, table.received_at).where(
        table.seq > sa.bindparam("after")
    )
    piece = its_turn.order_by(table.seq).limit(sa.bindparam("most")).subquery().c
    minute = Seconds(piece.received_at) // _MINUTE
    return (
        sa.select(
            minute.label("minute"),
            piece.destination,
            sa.func.count().label("messages"),
            sa.func.max(piece.seq).label("last"),
        )
        .where(piece.received_at <= sa.bindparam("until"))
        .group_by(sa.literal_column("1"), piece.destination)
    )


def _of_state(state: State, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """What ended so in a span of time, in its index's order."""
    at = messages.c.settled_at
    span = (at > sa.bindparam("after"), at <= sa.bindparam("until"))
    return sa.select(*columns).where(messages.c.state == sa.literal_column(f"'{state}'"), *span).order_by(at)


def _settled_upto() -> sa.Select[Any]:
    each = [
        sa.select(_of_state(one, messages.c.settled_at).limit(1).offset(sa.bindparam("skipped")).subquery())
        for one in sorted(SETTLED)
    ]
    return sa.select(sa.func.min(sa.union_all(*each).subquery().c.settled_at))


def _settled_piece() -> sa.Select[Any]:
    table = messages.c
    columns = (
        table.state,
        table.destination,
        table.settled_at,
        table.received_at,
        table.template,
        table.version,
        table.is_test,
        table.reason,
    )
    # A limit that is never reached: without one SQLite forgets the order, and with it the index.
    each = [sa.select(_of_state(one, *columns).limit(_EVERYTHING).subquery()) for one in sorted(SETTLED)]
    piece = sa.union_all(*each).subquery().c
    minute = Seconds(piece.settled_at) // _MINUTE
    took = ladder.step(MillisecondsBetween(piece.received_at, piece.settled_at))
    step = sa.case(
        (piece.state == sa.literal_column(f"'{State.DELIVERED}'"), took), else_=sa.literal_column("0")
    )
    keys = (piece.state, piece.destination, piece.template, piece.version, piece.is_test)
    of_row = (minute.label("minute"), step.label("step"), _cause(piece).label("cause"))
    by_place: list[sa.ColumnElement[Any]] = [
        sa.literal_column(str(place)) for place in range(1, len(of_row) + 1)
    ]
    return sa.select(*of_row, *keys, sa.func.count().label("messages")).group_by(*by_place, *keys)


def _cause(piece: Any) -> sa.ColumnElement[str]:
    """Why it died, in one of the few words of causes.py; of what did not, nothing."""
    is_refused = sa.and_(piece.template.is_not(None), piece.version.is_(None))
    begins = (
        (sa.or_(*(piece.reason.like(f"{begin}%") for begin in begins)), cause)
        for cause, begins in causes.BEGINNINGS
    )
    return sa.case(
        (piece.state != sa.literal_column(f"'{State.DEAD}'"), ""),
        (is_refused, causes.TEMPLATE),
        *begins,
        else_=causes.OTHER,
    )


_ROW = sa.select(counting).where(counting.c.name == _NAME)
_ACCEPTED = _accepted_piece()
_SETTLED_UPTO = _settled_upto()
_SETTLED = _settled_piece()
