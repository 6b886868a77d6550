"""What the ledgers know of one person: found from any of its ids, counted, and erased."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.hashing import address_of
from bridge.ledger.coming_tables import coming
from bridge.ledger.events import Place
from bridge.ledger.subscriber_tables import braze_held, subscriptions
from bridge.ledger.subscribers import HeldRow, write_held
from bridge.ledger.tables import calendar_events, calendar_holders
from bridge.message import Json
from bridge.rows import among
from bridge.subscribers.facts import key_of_subscription
from bridge.subscribers.sync import EMPTY

EXAMINED = 4_096  # subscriptions of one statement, where an address is looked for
MOST_ROUNDS = 5  # from a subscription to its user, to that user's others
_EPOCH = date(1970, 1, 1)
_EXTERNAL_ID, _EMAIL = "external_id:", "email:"

_events, _holders = calendar_events.c, calendar_holders.c


@dataclass(frozen=True)
class Linked:
    """Who is meant, with all that the ledgers say is the same person.

    `ids`: the subscriptions as they were given. `profiles`: identifiers in Braze. `addresses`: normal ones.
    """

    users: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()
    ids: frozenset[str] = frozenset()
    profiles: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()


@dataclass(frozen=True)
class HeldEvent:
    """One event in one account's calendars."""

    place: Place
    user_id: str | None
    template: str | None
    version: int | None
    content: Json | None

    def is_to_come(self, now: datetime) -> bool:
        return self.content is not None and datetime.fromisoformat(self.content["end"]) > now


def link(
    connection: Connection, users: Collection[str], addresses: Collection[str], ids: Collection[str]
) -> Linked:
    """From a user to the subscriptions and their addresses; from an address or a subscription to the user first.

    An address that a user's subscription names leads no further: it may be a family's.
    """
    known: dict[str, Any] = {}
    users = set(users)
    by_address = _with_address(connection, set(addresses)) if addresses else []
    wanted = {key_of_subscription(one) for one in ids}
    for row in [*by_address, *_rows(connection, subscriptions.c.key, wanted)]:
        known[row.key] = row
    for one in {*ids, *wanted} if not users else ():
        users |= (
            _users_reached(connection, one) if not _has_user(known.get(key_of_subscription(one))) else set()
        )
    for _ in range(MOST_ROUNDS):
        before = len(known), len(users)
        users |= {row.subscriber_id for row in known.values() if row.subscriber_id}
        users |= {name for row in known.values() if (name := _external_id(row.identifier))}
        profiles = {_EXTERNAL_ID + user for user in users}
        for row in _rows(connection, subscriptions.c.subscriber_id, users):
            known[row.key] = row
        for row in _rows(connection, subscriptions.c.identifier, profiles):
            known[row.key] = row
        if (len(known), len(users)) == before:
            break
    profiles = {_EXTERNAL_ID + user for user in users} | {_EMAIL + one for one in addresses}
    profiles |= {row.identifier for row in known.values() if row.identifier}
    held = sa.select(braze_held.c.subscription_key).where(among(braze_held.c.identifier, "profiles"))
    keys = set(connection.scalars(held, {"profiles": sorted(profiles)})) - {""}
    emails = {row.email for row in known.values() if row.email} | {user for user in users if "@" in user}
    found = {normal for email in emails if (normal := address_of(email))}
    return Linked(
        frozenset(users),
        frozenset(keys | wanted | known.keys()),
        frozenset({*ids, *wanted, *(row.given_id for row in known.values())}),
        frozenset(profiles),
        frozenset(found | set(addresses)),
    )


def events_of(connection: Connection, of: Linked, most: int) -> list[HeldEvent]:
    """At most so many of what stands, or should, in this person's calendars."""
    rows = list(connection.execute(_EVENTS.where(among(_events.user_id, "users")).limit(most), _bound(of)))
    for user in of.users:
        # Rokt's own body tells the end of such an id alone.
        if "_" in user and len(rows) < most:
            tail = _EVENTS.where(_events.user_id == user.rpartition("_")[2])
            its = tail.where(_events.rokt_event_id.endswith(f"_{user}", autoescape=True))
            rows += connection.execute(its.limit(most - len(rows)))
    return [
        HeldEvent((row.account_code, row.rokt_event_id), row.user_id, row.template, row.version, row.content)
        for row in rows
    ]


def counted(connection: Connection, of: Linked) -> dict[str, int]:
    """How many subscriptions and profiles are known of this person."""
    keys = {row.key for row in _rows(connection, subscriptions.c.key, of.keys)}
    profiles = {
        identifier
        for its in _HELD_OF
        for identifier in connection.scalars(sa.select(braze_held.c.identifier).where(its), _bound(of))
    }
    return {"subscriptions": len(keys), "profiles": len(profiles)}


def erase_events(connection: Connection, events: Sequence[HeldEvent]) -> int:
    """Forget what stands in these places, with whoever holds it, and take it from what is counted by day."""
    by_account: dict[str, list[str]] = {}
    for account_code, event_id in sorted({one.place for one in events}):
        by_account.setdefault(account_code, []).append(event_id)
    for account_code, ids in by_account.items():
        bound = {"ids": ids}
        its = sa.and_(_events.account_code == account_code, among(_events.rokt_event_id, "ids"))
        in_order = sa.select(_events.rokt_event_id).where(its).order_by(_events.rokt_event_id)
        connection.execute(in_order.with_for_update(), bound).all()
        held = sa.and_(_holders.account_code == account_code, among(_holders.rokt_event_id, "ids"))
        connection.execute(sa.delete(calendar_holders).where(held), bound)
        connection.execute(sa.delete(calendar_events).where(its), bound)
    _count_less(connection, events)
    return sum(map(len, by_account.values()))


def erase_subscriber(connection: Connection, of: Linked, now: datetime) -> dict[str, int]:
    """Forget this person's subscriptions and what Braze holds of them. The data points stay, added up for nobody."""
    bound = _bound(of)
    points = [
        row
        for its in _HELD_OF
        for row in connection.execute(
            sa.delete(braze_held).where(its).returning(braze_held.c.sent, braze_held.c.saved), bound
        ).all()
    ]
    sums = {"sent": sum(row.sent for row in points), "saved": sum(row.saved for row in points)}
    if any(sums.values()):
        write_held(connection, [HeldRow("", "", EMPTY, **sums)], now)
    gone = connection.execute(sa.delete(subscriptions).where(among(subscriptions.c.key, "keys")), bound)
    return {"subscriptions": gone.rowcount, "profiles": len(points)}


def events_of_nobody(connection: Connection, of: Linked) -> list[HeldEvent]:
    """Events that name no user and stand in no other calendar than this person's."""
    its = sa.and_(
        _holders.account_code == _events.account_code, _holders.rokt_event_id == _events.rokt_event_id
    )
    query = _EVENTS.join(calendar_holders, its).where(
        among(_holders.subscription_id, "ids"), _events.user_id.is_(None)
    )
    found = {(row.account_code, row.rokt_event_id): row for row in connection.execute(query, _bound(of))}
    alone = []
    for place, row in found.items():
        query = sa.select(_holders.subscription_id).where(
            _holders.account_code == place[0], _holders.rokt_event_id == place[1]
        )
        if set(connection.scalars(query)) <= of.ids:
            alone.append(HeldEvent(place, None, row.template, row.version, row.content))
    return alone


def erase_holders(connection: Connection, of: Linked) -> int:
    """That this person's subscriptions hold events of others."""
    its = among(_holders.subscription_id, "ids")
    return connection.execute(sa.delete(calendar_holders).where(its), _bound(of)).rowcount


# One by one: together no index of PostgreSQL leads there.
_HELD_OF = (among(braze_held.c.subscription_key, "keys"), among(braze_held.c.identifier, "profiles"))
_EVENTS = sa.select(
    *calendar_events.c["account_code", "rokt_event_id", "user_id", "template", "version", "content"]
)


def _bound(of: Linked) -> dict[str, list[str]]:
    return {
        "users": sorted(of.users),
        "keys": sorted(of.keys),
        "ids": sorted(of.ids),
        "profiles": sorted(of.profiles),
    }


def _rows(connection: Connection, column: sa.Column[Any], values: Iterable[str]) -> list[Any]:
    wanted = sorted(values)
    return list(
        connection.execute(_KNOWN.where(among(column, "values")), {"values": wanted}) if wanted else ()
    )


_KNOWN = sa.select(*subscriptions.c["key", "given_id", "subscriber_id", "email", "identifier"])


def _with_address(connection: Connection, addresses: set[str]) -> list[Any]:
    """No index leads there: all subscriptions are looked through, in pieces."""
    found, after = [], ""
    told = (subscriptions.c.email, subscriptions.c.subscriber_id, subscriptions.c.identifier)
    is_told = sa.or_(*(column.is_not(None) for column in told[:2]), told[2].is_not(None))
    while True:
        query = _KNOWN.where(subscriptions.c.key > after, is_told).order_by(subscriptions.c.key)
        rows = connection.execute(query.limit(EXAMINED)).all()
        for row in rows:
            named = (row.email, row.subscriber_id, (row.identifier or "").removeprefix(_EMAIL))
            if any(one and "@" in one and address_of(one) in addresses for one in named):
                found.append(row)
        if len(rows) < EXAMINED:
            return found
        after = rows[-1].key


def _users_reached(connection: Connection, subscription_id: str) -> set[str]:
    """Of a subscription that names nobody: whose events it holds."""
    query = (
        sa.select(_events.user_id)
        .join(
            calendar_holders,
            sa.and_(
                _holders.account_code == _events.account_code,
                _holders.rokt_event_id == _events.rokt_event_id,
            ),
        )
        .where(_holders.subscription_id == subscription_id, _events.user_id.is_not(None))
    )
    return set(connection.scalars(query))


def _has_user(row: Any) -> bool:
    return row is not None and bool(row.subscriber_id or _external_id(row.identifier))


def _external_id(identifier: str | None) -> str | None:
    if identifier is None or not identifier.startswith(_EXTERNAL_ID):
        return None
    return identifier.removeprefix(_EXTERNAL_ID)


def _count_less(connection: Connection, events: Sequence[HeldEvent]) -> None:
    """An event of one person alone stands there with its title."""
    gone = Counter(key for one in events if one.content is not None for key in _counted_as(one, one.content))
    table = coming.c
    days = sa.select(table.day, table.template, table.event_id, table.people).where(among(table.day, "days"))
    for row in connection.execute(days, {"days": sorted({day for day, _, _ in gone})}).all():
        count = gone.get((row.day, row.template, row.event_id), 0)
        its = (table.day == row.day, table.template == row.template, table.event_id == row.event_id)
        if count >= row.people:
            connection.execute(sa.delete(coming).where(*its))
        elif count:
            connection.execute(sa.update(coming).where(*its).values(people=row.people - count))


def _counted_as(one: HeldEvent, content: Json) -> list[tuple[int, str, str]]:
    """By itself, or as one of all of its template on its day."""
    at = datetime.fromisoformat(content["start"]).astimezone(UTC)
    whole, its_user = one.place[1], f"_{one.user_id}"
    own = whole.removesuffix(its_user) if one.user_id and whole != its_user else whole
    day = (at.date() - _EPOCH).days
    return [(day, one.template or "", own), (day, one.template or "", "")]
