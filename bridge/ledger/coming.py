"""Counts what stands in all calendars and is not over, by day and event; and tells it.

The ledger has a row for each person's event, millions of them, and none of its indexes goes by time. All are read
again and again in pieces, so that nothing has to be kept in step and whatever changes an event is seen: another time,
a deletion, a recall. What is told is as old as the last whole look.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.ext.compiler import compiles

from bridge.ledger.coming_tables import coming, coming_counts
from bridge.ledger.tables import calendar_events
from bridge.rows import among, insert, upsert

MOST = 1_000  # events of one piece: tens of milliseconds where they stand all over the disk
HORIZON = timedelta(days=400)
MOST_OF_TEMPLATE = 500  # days and event ids; with more it has one event a day
MOST_ROWS = 5_000
_EPOCH = date(1970, 1, 1)
_ONE = 1
_EVERYTHING = 2**31 - 1

Key = tuple[int, str, str]  # day since 1970, template, event id


@dataclass(frozen=True)
class Entry:
    """One event of one day, or all of a template's. `people`: in how many calendars it stands."""

    day: int
    template: str
    event_id: str
    first_start: datetime
    last_start: datetime
    last_end: datetime
    title: str | None
    least_version: int | None
    newest_version: int | None
    people: int

    def with_another(self, other: Entry) -> Entry:
        least, newest = _ends(
            self.least_version, self.newest_version, other.least_version, other.newest_version
        )
        return Entry(
            self.day,
            self.template,
            self.event_id if self.event_id == other.event_id else "",
            min(self.first_start, other.first_start),
            max(self.last_start, other.last_start),
            max(self.last_end, other.last_end),
            self.title if self.title == other.title else None,
            least,
            newest,
            self.people + other.people,
        )


@dataclass(frozen=True)
class Counted:
    """When the ledger was last looked through. `left_out`: events later than a calendar shows."""

    began_at: datetime
    counted_at: datetime
    events: int
    left_out: int


class Look:
    """One look through the whole ledger, under way."""

    def __init__(self) -> None:
        self._account: str | None = None
        self._event = ""
        self.began_at: datetime | None = None
        self._events = self._left_out = 0
        self._entries: dict[Key, Entry] = {}
        self._of_template: Counter[str] = Counter()
        self._by_days: set[str] = set()

    def piece(self, connection: Connection, now: datetime) -> bool:
        """Look at some more. Returns whether that was the last."""
        if self.began_at is None:
            self.began_at = now
            self._account = connection.scalar(_FIRST_ACCOUNT)
        if self._account is None:
            return True
        bound: dict[str, Any] = {"account": self._account, "after": self._event}
        last = connection.scalar(_LAST_OF_PIECE, bound | {"skipped": MOST - 1})
        bound |= {"now": _text(self.began_at), "by_days": sorted(self._by_days)}
        if last is not None:
            bound["upto"] = last
        rows = connection.execute(_PIECE if last is None else _PIECE_UPTO, bound).all()
        for row in rows:
            self._add(row, (now + HORIZON).date())
        self._events += sum(row.people for row in rows)
        if last is None:
            self._account = connection.scalar(_NEXT_ACCOUNT, {"account": self._account})
            last = ""
        self._event = last
        return self._account is None

    def write(self, connection: Connection, now: datetime) -> None:
        """Keep what was counted in place of what was kept before."""
        self._narrow(MOST_ROWS)
        connection.execute(sa.delete(coming))
        insert(connection, coming, [vars(entry) for entry in self._entries.values()])
        counts = {"events": self._events, "left_out": self._left_out}
        upsert(
            connection, coming_counts, [{"id": _ONE, "began_at": self.began_at, "counted_at": now, **counts}]
        )

    def _add(self, row: Any, until: date) -> None:
        if row.day is None:
            return
        day = date.fromisoformat(row.day)
        if day > until:
            self._left_out += row.people
            return
        title = row.title if row.title == row.last_title else None
        entry = Entry(
            (day - _EPOCH).days,
            row.template or "",
            row.event_id,
            datetime.fromisoformat(row.first_start),
            datetime.fromisoformat(row.last_start),
            datetime.fromisoformat(row.last_end),
            title,
            row.least_version,
            row.newest_version,
            row.people,
        )
        self._put(entry)
        if self._of_template[entry.template] > MOST_OF_TEMPLATE:
            self._by_day(entry.template)

    def _put(self, entry: Entry) -> None:
        key = (entry.day, entry.template, "" if entry.template in self._by_days else entry.event_id)
        before = self._entries.get(key)
        self._of_template[entry.template] += before is None and entry.template not in self._by_days
        self._entries[key] = (
            before.with_another(entry) if before else Entry(**vars(entry) | {"event_id": key[2]})
        )

    def _by_day(self, template: str) -> None:
        """All of a day as one."""
        self._by_days.add(template)
        self._of_template[template] = 0
        days: dict[int, Entry] = {}
        for key in [key for key in self._entries if key[1] == template]:
            entry = self._entries.pop(key)
            days[entry.day] = days[entry.day].with_another(entry) if entry.day in days else entry
        for entry in days.values():
            self._put(entry)

    def _narrow(self, most: int) -> None:
        """The templates with the most entries first."""
        for template, _count in Counter(key[1] for key in self._entries).most_common():
            if len(self._entries) > most:
                self._by_day(template)


def between(connection: Connection, first: date, end: date) -> list[Entry]:
    """What is on these days, before `end`."""
    days = ((first - _EPOCH).days, (end - _EPOCH).days)
    query = sa.select(coming).where(coming.c.day >= days[0], coming.c.day < days[1])
    rows = connection.execute(query.order_by(coming.c.day, coming.c.template, coming.c.event_id))
    return sorted(
        (Entry(**row._mapping) for row in rows), key=lambda entry: (entry.first_start, -entry.people)
    )


def next_day(connection: Connection, first: date) -> date | None:
    """The first day from `first` on that has something."""
    of_then = sa.select(sa.func.min(coming.c.day)).where(coming.c.day >= (first - _EPOCH).days)
    day = connection.scalar(of_then)
    return None if day is None else _EPOCH + timedelta(days=day)


def counted(connection: Connection) -> Counted | None:
    """None: the ledger was not looked through yet."""
    row = connection.execute(sa.select(coming_counts)).first()
    return None if row is None else Counted(row.began_at, row.counted_at, row.events, row.left_out)


def _ends(*versions: int | None) -> tuple[int | None, int | None]:
    known = [one for one in versions if one is not None]
    return min(known, default=None), max(known, default=None)


def _text(at: datetime) -> str:
    """As an event's times are kept."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


class _Field(sa.sql.functions.FunctionElement[str]):
    """A field of a JSON text."""

    type = sa.Text()
    inherit_cache = True


@compiles(_Field)
def _json_extract(element: _Field, compiler: Any, **options: Any) -> str:
    content, name = (compiler.process(one, **options) for one in element.clauses)
    return f"json_extract({content}, '$.' || {name})"


@compiles(_Field, "postgresql")
def _json_text(element: _Field, compiler: Any, **options: Any) -> str:
    content, name = (compiler.process(one, **options) for one in element.clauses)
    return f"(CAST({content} AS json) ->> {name})"


def _field(content: sa.ColumnElement[Any], name: str) -> sa.ColumnElement[str]:
    return _Field(content, sa.literal_column(f"'{name}'"))


def _piece(*conditions: sa.ColumnElement[bool]) -> sa.Select[Any]:
    content = sa.type_coerce(_table.content, sa.Text)
    fields = [_field(content, name).label(name) for name in ("start", "end", "title")]
    columns = (_table.rokt_event_id, _table.user_id, _table.template, _table.version)
    # A limit that is never reached: without one each mention of a field would read the row's text anew.
    in_order = sa.select(*columns, *fields).where(*_BEHIND, *conditions).order_by(_table.rokt_event_id)
    row = in_order.limit(_EVERYTHING).subquery().c
    its_user = sa.literal_column("'_'", sa.Text) + row.user_id
    own_length = sa.func.length(row.rokt_event_id) - sa.func.length(its_user)
    own = sa.func.substr(row.rokt_event_id, 1, own_length)
    event_id = sa.case(
        (among(sa.func.coalesce(row.template, ""), "by_days"), sa.literal_column("''")),
        (sa.and_(own_length > 0, row.rokt_event_id == own + its_user), own),
        else_=row.rokt_event_id,
    )
    day = sa.case((row.end > sa.bindparam("now"), sa.func.substr(row.start, 1, 10)))
    return sa.select(
        day.label("day"),
        row.template,
        event_id.label("event_id"),
        sa.func.min(row.start).label("first_start"),
        sa.func.max(row.start).label("last_start"),
        sa.func.max(row.end).label("last_end"),
        sa.func.min(row.title).label("title"),
        sa.func.max(row.title).label("last_title"),
        sa.func.min(row.version).label("least_version"),
        sa.func.max(row.version).label("newest_version"),
        sa.func.count().label("people"),
    ).group_by(sa.literal_column("1"), row.template, sa.literal_column("3"))


_table = calendar_events.c
_BEHIND = (_table.account_code == sa.bindparam("account"), _table.rokt_event_id > sa.bindparam("after"))
_FIRST_ACCOUNT = sa.select(_table.account_code).order_by(_table.account_code).limit(1)
_NEXT_ACCOUNT = _FIRST_ACCOUNT.where(_table.account_code > sa.bindparam("account"))
_LAST_OF_PIECE = (
    sa.select(_table.rokt_event_id)
    .where(*_BEHIND)
    .order_by(_table.rokt_event_id)
    .limit(1)
    .offset(sa.bindparam("skipped"))
)
_PIECE = _piece()
_PIECE_UPTO = _piece(_table.rokt_event_id <= sa.bindparam("upto"))
