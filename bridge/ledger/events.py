"""What stands in each calendar: the event as Rokt last took it, and the subscriptions that hold it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.ledger.tables import calendar_events, calendar_holders
from bridge.message import Json
from bridge.rows import Upsert, among, write

Place = tuple[str, str]  # account code, Rokt's eventId


def _about(table: sa.Table, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
    return sa.select(table.c.account_code, table.c.rokt_event_id, *columns).where(
        among(table.c.account_code, "accounts"), among(table.c.rokt_event_id, "events")
    )


def _no(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    return sa.cast(sa.null(), column.type).label(column.name)


_OF_EVENTS = calendar_events.c["content", "is_certain", "unsent"]
_HOLDER = calendar_holders.c.subscription_id
_ABOUT = sa.union_all(  # at once: each statement of PostgreSQL is a journey
    _about(calendar_holders, _HOLDER, *(_no(column) for column in _OF_EVENTS)),
    _about(calendar_events, _no(_HOLDER), *_OF_EVENTS),
)


@dataclass(frozen=True)
class Standing:
    """One event in one account.

    `content`: the last state sent. `is_certain`: Rokt said it took that. `unsent`: what a create that died
    here wanted, `{"event": …, "subscription_ids": […]}`; with `is_uncertain` it may stand all the same.
    """

    content: Json | None = None
    is_certain: bool = False
    holders: frozenset[str] = frozenset()
    unsent: Json | None = None

    @property
    def is_known(self) -> bool:
        return self.content is not None


@dataclass(frozen=True)
class Change:
    """One event's new standing, with what is kept beside it. `standing` None: it is gone."""

    place: Place
    standing: Standing | None
    user_id: str | None
    template: str | None
    version: int | None
    keep_until: datetime


def standings(connection: Connection, places: Iterable[Place]) -> dict[Place, Standing]:
    """The standing of each place; one that was never seen has an empty one."""
    wanted = set(places)
    if not wanted:
        return {}
    accounts, its_events = zip(*sorted(wanted), strict=True)
    about = {"accounts": sorted(set(accounts)), "events": list(its_events)}
    holders: dict[Place, set[str]] = {}
    stored = {}
    for row in connection.execute(_ABOUT, about):
        place = (row.account_code, row.rokt_event_id)
        if row.subscription_id is None:
            stored[place] = row
        else:
            holders.setdefault(place, set()).add(row.subscription_id)
    standings = dict.fromkeys(wanted, Standing())
    for place in wanted & stored.keys():  # one account's event and another's account were found too
        row = stored[place]
        standings[place] = Standing(
            row.content, row.is_certain, frozenset(holders.get(place, ())), row.unsent
        )
    return standings


def accounts_with(connection: Connection, rokt_event_id: str) -> list[str]:
    """The accounts in which this event stands, or should."""
    query = sa.select(calendar_events.c.account_code).where(calendar_events.c.rokt_event_id == rokt_event_id)
    return sorted(connection.scalars(query))


@dataclass(frozen=True)
class Held:
    """What stands, or should, in a user's calendars of one account."""

    place: Place
    standing: Standing
    template: str | None
    version: int | None
    updated_at: datetime


def of_user(connection: Connection, user_id: str, most: int) -> list[Held]:
    """At most so many, by the index on users, in no order: none leads there."""
    rows = connection.execute(
        sa.select(calendar_events).where(calendar_events.c.user_id == user_id).limit(most)
    ).all()
    known = standings(connection, [(row.account_code, row.rokt_event_id) for row in rows])
    return [
        Held(place, known[place], row.template, row.version, row.updated_at)
        for row in rows
        for place in [(row.account_code, row.rokt_event_id)]
    ]


def record(
    connection: Connection, changes: Sequence[Change], before: Mapping[Place, Standing], now: datetime
) -> None:
    """Write new standings. `before`: as they were read when their calls were claimed."""
    gone = [change.place for change in changes if change.standing is None]
    if gone:
        connection.execute(sa.delete(calendar_holders).where(_at(calendar_holders, gone)))
        connection.execute(sa.delete(calendar_events).where(_at(calendar_events, gone)))
    kept = [(change, change.standing) for change in changes if change.standing is not None]
    gained: list[dict[str, str]] = []
    for change, standing in kept:
        was = before.get(change.place, Standing()).holders
        gained += [_holder(change.place, one) for one in standing.holders - was]
        if lost := was - standing.holders:
            its = sa.and_(_at(calendar_holders, [change.place]), calendar_holders.c.subscription_id.in_(lost))
            connection.execute(sa.delete(calendar_holders).where(its))
    rows = [_row(change, standing, now) for change, standing in kept]
    write(connection, Upsert(calendar_events, rows), Upsert(calendar_holders, gained))


def doubt(connection: Connection, *places: Place) -> None:
    """What Rokt holds here is not certain any more: the next state is sent, even if it looks the same."""
    connection.execute(
        sa.update(calendar_events).where(_at(calendar_events, places)).values(is_certain=False)
    )


def forget_old(connection: Connection, now: datetime) -> int:
    """Forget at most a thousand events whose end and retention are past. Returns how many."""
    query = sa.select(calendar_events.c.account_code, calendar_events.c.rokt_event_id)
    its_time = query.where(calendar_events.c.keep_until <= now).limit(1000)
    # Locked: what a settle renews just now stays, with its holders.
    old = connection.execute(its_time.with_for_update(skip_locked=True)).all()
    places = [(row.account_code, row.rokt_event_id) for row in old]
    if places:
        connection.execute(sa.delete(calendar_holders).where(_at(calendar_holders, places)))
        connection.execute(sa.delete(calendar_events).where(_at(calendar_events, places)))
    return len(places)


def _row(change: Change, standing: Standing, now: datetime) -> dict[str, object]:
    account_code, rokt_event_id = change.place
    return {
        "account_code": account_code,
        "rokt_event_id": rokt_event_id,
        "user_id": change.user_id,
        "content": standing.content,
        "is_certain": standing.is_certain,
        "unsent": standing.unsent,
        "template": change.template,
        "version": change.version,
        "updated_at": now,
        "keep_until": change.keep_until,
    }


def _holder(place: Place, subscription_id: str) -> dict[str, str]:
    return {"account_code": place[0], "rokt_event_id": place[1], "subscription_id": subscription_id}


def _at(table: sa.Table, places: Sequence[Place]) -> sa.ColumnElement[bool]:
    return sa.tuple_(table.c.account_code, table.c.rokt_event_id).in_(places)
