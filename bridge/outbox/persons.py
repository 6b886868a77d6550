"""Which messages are about one person: by its ids, by the lines of its addresses, and by what stands in bodies."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.hashing import hashed
from bridge.message import State
from bridge.outbox.tables import bodies, key_of, messages, waiting
from bridge.rows import among

EXAMINED = 2_048  # bodies of one look: tens of milliseconds
AUDIENCES = "rokt_audiences"
CALENDAR = "rokt_calendar"
# Where neither a column nor the line tells of an address: their bodies are read.
_READ = ("rokt_api_v1", "rokt_api_v2", AUDIENCES)
_BY_ADDRESS = "rokt_events"  # each line is one address there
_OF_SUBSCRIPTIONS = ("braze", CALENDAR)
_DROP_IN = "subscriptionevent"

_table = messages.c


@dataclass(frozen=True)
class Marks:
    """By what a person is known. `keys`: of subscriptions. `addresses`: in lower case, without white space;
    `own`: those that are nobody else's, as whoever asks has said so himself.
    """

    users: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    own: tuple[str, ...] = ()

    @cached_property
    def hashes(self) -> dict[str, str]:
        """Each hash with its address."""
        return {hashed(one) or one: one for one in self.addresses}

    @cached_property
    def lines(self) -> dict[int, str]:
        return {key_of(_BY_ADDRESS, its_hash): one for its_hash, one in self.hashes.items()}

    @cached_property
    def tails(self) -> tuple[tuple[str, str], ...]:
        """Of a user whose id holds a "_" Rokt's own body tells the end alone: that, and how the whole id ends."""
        return tuple((user.rpartition("_")[2], f"_{user}") for user in self.users if "_" in user)

    def is_of(self, row: Any) -> bool:
        """Whether a row of `messages` is about this person, as far as it tells by itself."""
        if row.user_id is not None and row.user_id in self.users:
            return True
        if row.event_id is not None and row.event_id in self.keys and row.destination in _OF_SUBSCRIPTIONS:
            return True
        if row.line in self.lines and row.destination == _BY_ADDRESS:
            return self.may_name(row, self.lines[row.line])
        ends = f"{row.event_id}_{row.user_id}"
        return _is_drop_in(row) and any(ends.endswith(whole) for _, whole in self.tails)

    def may_name(self, row: Any, address: str) -> bool:
        """An address that only a ledger linked may be another user's too."""
        return address in self.own or row.user_id is None or row.user_id in self.users

    def named_in(self, value: Any) -> set[str]:
        """The addresses of this person that stand somewhere in a JSON value, themselves or as hashes."""
        found: set[str] = set()
        for text in _texts(value):
            plain = "".join(text.split()).lower()
            found |= {one for its_hash, one in self.hashes.items() if one == plain or its_hash in plain}
            found |= {one for one, pattern in self._patterns.items() if pattern.search(text)}
        return found

    @cached_property
    def _patterns(self) -> dict[str, re.Pattern[str]]:
        """An address in a text, and not as the end or the beginning of another one."""
        before, after = r"(?<![^\s\"'<>(),;:=/])", r"(?![\w-]|\.\w)"
        return {one: re.compile(before + re.escape(one) + after, re.IGNORECASE) for one in self.addresses}


def by_index(connection: Connection, marks: Marks, most: int) -> list[int]:
    """At most so many of those that a column or their line tells, the oldest first."""
    found: set[int] = set()
    for condition in _conditions(marks):
        rows = connection.execute(_columns().where(condition).order_by(_table.seq).limit(most + 1))
        found |= {row.seq for row in rows if marks.is_of(row)}
    return sorted(found)[:most]


def waiting_among(connection: Connection, seqs: Collection[int]) -> int:
    """How many of these wait."""
    query = sa.select(sa.func.count()).select_from(waiting).where(among(waiting.c.seq, "seqs"))
    return connection.scalar(query, {"seqs": list(seqs)}) or 0


def on_the_way(connection: Connection, users: Collection[str], most: int) -> list[Any]:
    """What still waits for Rokt's calendars, of these users: `seq`, `line`, `action`, `call_id`."""
    columns = (_table.seq, _table.line, _table.action, waiting.c.call_id)
    rows: list[Any] = []
    for user in sorted(users):
        query = sa.select(*columns).join(waiting, waiting.c.seq == _table.seq)
        its = query.where(_table.user_id == user, _table.destination == CALENDAR)
        rows += connection.execute(its.order_by(_table.seq).limit(most))
    return rows[:most]


def newest(connection: Connection) -> int:
    return connection.scalar(sa.select(sa.func.max(_table.seq))) or 0


def read_bodies(
    connection: Connection, marks: Marks, after: int, upto: int, size: int = EXAMINED
) -> tuple[list[int], int]:
    """Of the next messages that only their bodies tell: those about this person, and how far was looked."""
    if not marks.addresses:
        return [], upto
    span = (_table.seq > after, _table.seq <= upto)
    parts = [
        sa.select(_table.seq)
        .where(_table.destination == name, _table.state == state, *span)
        .order_by(_table.seq)
        .limit(size)
        .subquery()
        for name in _READ
        for state in State
    ]
    every = sa.union_all(*(sa.select(part) for part in parts)).subquery()
    examined = sa.select(every.c.seq).order_by(every.c.seq).limit(size).cte("examined")
    last = connection.execute(
        sa.select(sa.func.max(examined.c.seq).label("seq"), sa.func.count().label("size"))
    ).one()
    text = sa.func.lower(
        sa.func.coalesce(sa.type_coerce(bodies.c.request, sa.Text), "")
        + sa.type_coerce(bodies.c.payload, sa.Text)
    )
    holds = sa.or_(*(text.contains(word, autoescape=True) for word in _words(marks)))
    query = sa.select(bodies.c.seq).join(examined, examined.c.seq == bodies.c.seq).where(holds)
    found = sorted(connection.scalars(query))
    return found, upto if last.size < size else last.seq


def _words(marks: Marks) -> list[str]:
    """What the text of a body holds where one of the addresses stands in it; a few others do too."""
    # JSON is kept in ASCII: of other letters the large and the small are written quite otherwise.
    plain = [one if one.isascii() else one[one.rfind("@") :] for one in marks.addresses]
    return [json.dumps(one)[1:-1].lower() for one in plain] + list(marks.hashes)


def _conditions(marks: Marks) -> Iterator[sa.ColumnElement[bool]]:
    for user in marks.users:
        yield _table.user_id == user
    for key in marks.keys:
        # Each state by itself: the index on events goes by states too.
        yield sa.and_(_table.event_id == key, _table.state.in_(list(State)))
    for line, address in marks.lines.items():
        of_nobody_else = sa.or_(_table.user_id.is_(None), _table.user_id.in_(marks.users))
        yield sa.and_(_table.line == line, sa.true() if address in marks.own else of_nobody_else)
    for tail, whole in marks.tails:
        ends = _table.event_id + "_" + _table.user_id
        yield sa.and_(_table.user_id == tail, ends.endswith(whole, autoescape=True))


def _columns() -> sa.Select[Any]:
    return sa.select(*messages.c["seq", "line", "destination", "user_id", "event_id", "route"])


def _is_drop_in(row: Any) -> bool:
    return bool(row.user_id) and _DROP_IN in row.route


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, its in value.items():
            yield name
            yield from _texts(its)
    elif isinstance(value, list):
        for its in value:
            yield from _texts(its)
