"""The ledger of subscribers: what is known of each subscription, and what Braze's arrays hold of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from bridge.ledger.subscriber_tables import braze_held, subscriptions
from bridge.message import NewMessage, State
from bridge.rows import Upsert, among, write
from bridge.settings import IdentityRule
from bridge.subscribers.change import Action, LookedUp, SubscriberChange
from bridge.subscribers.facts import key_of_subscription
from bridge.subscribers.subscription import Subscription, looked_up, told
from bridge.subscribers.sync import EMPTY, Held

Place = tuple[str, str]  # identifier of a Braze profile, key of a subscription

BRAZE, ROKT_CALENDAR = "braze", "rokt_calendar"
SYNC_OFF = "BRAZE_SYNC is off"
STATES = ("active", "inactive", "unidentified")
MOST_FORGOTTEN = 500  # at once: tens of milliseconds, for which all who write to SQLite wait

_ACCOUNT_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_OF_KEYS = sa.select(subscriptions).where(among(subscriptions.c.key, "keys")).order_by(subscriptions.c.key)
_OF_KEYS_LOCKED = _OF_KEYS.with_for_update()
_HELD = sa.select(braze_held).where(among(braze_held.c.subscription_key, "keys"))
_HOLDS = sa.or_(braze_held.c.certain != {}, braze_held.c.unsure != {})
# Not EXISTS: PostgreSQL may join for that, and read all that is held.
_ONE_HELD = (
    sa.select(braze_held.c.identifier)
    .where(braze_held.c.subscription_key == subscriptions.c.key, _HOLDS)
    .limit(1)
    .scalar_subquery()
)
_ALL_HELD = sa.select(braze_held.c.identifier, braze_held.c.certain).where(
    among(braze_held.c.identifier, "identifiers"), braze_held.c.certain != {}
)
_FORGET = sa.delete(subscriptions).where(among(subscriptions.c.key, "keys"))
_FORGET_HELD = (
    sa.delete(braze_held)
    .where(among(braze_held.c.subscription_key, "keys"), ~_HOLDS)
    .returning(braze_held.c.sent, braze_held.c.saved)
)


@dataclass(frozen=True)
class SubscriberLedger:
    """What requests of subscribers change while they are accepted.

    `syncs`: Braze is told. `looks_up`: Rokt is asked for what a source left out. `sends_unsubscribe`: the end of
    a subscription is an event in Braze too.
    """

    rule: IdentityRule
    _: KW_ONLY
    syncs: bool
    looks_up: bool
    sends_unsubscribe: bool

    def load(
        self, connection: Connection, changes: Sequence[SubscriberChange | LookedUp], *, lock: bool = True
    ) -> Loaded:
        """The subscriptions of these changes. `lock`: nobody else changes them until the transaction ends."""
        keys = {key_of_subscription(change.subscription_id) for change in changes}
        return Loaded(self, _read(connection, keys, _OF_KEYS_LOCKED if lock else _OF_KEYS))


class Loaded:
    """The ledger while changes of one transaction are applied, one after the other."""

    def __init__(self, ledger: SubscriberLedger, known: dict[str, Subscription]) -> None:
        self._ledger = ledger
        self._known = known
        self._changed: dict[str, Subscription] = {}

    @property
    def known(self) -> Mapping[str, Subscription]:
        """What was loaded, as it stands after what was applied, by key."""
        return self._known

    def apply(self, change: SubscriberChange | LookedUp, now: datetime) -> tuple[NewMessage, ...]:
        """Take the next change, in the order of acceptance. Returns the messages that follow from it, in order."""
        before = self._known.get(key_of_subscription(change.subscription_id))
        if isinstance(change, LookedUp):
            after = looked_up(before, change, now).identified(self._ledger.rule)
            event = change.event or self._late_event(before, after, change.action)
            event = None if event == "subscribe" and change.is_active is False else event
            made = [self._to_braze(after, change.action, event, change.at)]
        else:
            after, made = self._told(before, change, now)
        self._known[after.key] = self._changed[after.key] = after
        if before is not None and before.identifier not in (None, after.identifier):
            # The profile that it leaves has a line of its own, and is told of nothing but that.
            made.insert(0, self._sent(_about(before, "update", None, before.identifier)))
        return tuple(made)

    def write(self, connection: Connection, now: datetime) -> None:
        """Write what was changed."""
        write(connection, Upsert(subscriptions, [_row(one) for one in self._changed.values()]))

    def _told(
        self, before: Subscription | None, change: SubscriberChange, now: datetime
    ) -> tuple[Subscription, list[NewMessage]]:
        after = told(before, change, now)
        event = self._event(before, change.action)
        lacks = not after.is_looked_up and not all(after.knows(name) for name in change.left_out)
        # Rokt may know the subscriber's id: a second choice now would have to be taken back then.
        by_name = after.identified(self._ledger.rule, may_fall_back=False)
        if self._ledger.looks_up and (after.lookups or (lacks and by_name.identifier is None)):
            waiting = replace(
                after.identified(self._ledger.rule, may_fall_back=after.is_looked_up),
                lookups=after.lookups + 1,
            )
            return waiting, [_look_up(after, change.action, event)]
        after = after.identified(self._ledger.rule)
        event = event or self._late_event(before, after, change.action)
        made = [self._to_braze(after, change.action, event)]
        if self._ledger.looks_up and lacks:
            # Beside it: whoever is known need not wait for Rokt. What it answers follows as an update.
            made.append(_look_up(after, "update", None, is_beside=True))
            after = replace(after, is_looked_up=True)
        return after, made

    def _event(self, before: Subscription | None, action: Action) -> str | None:
        """The custom event that it is to Braze: once for a beginning, once for an end."""
        begins = before is None or not before.is_active or before.is_assumed
        ends = (before is None or before.is_active) and self._ledger.sends_unsubscribe
        return action if (action == "subscribe" and begins) or (action == "unsubscribe" and ends) else None

    def _late_event(self, before: Subscription | None, after: Subscription, action: Action) -> str | None:
        """Of one whose begin was told to nobody, as it was nobody's: it begins when it is known whose it is."""
        is_new = (
            before is not None and before.identifier is None and not (before.lookups or before.is_assumed)
        )
        begins = is_new and after.identifier is not None and after.is_active and action != "unsubscribe"
        return "subscribe" if begins else None

    def _sent(self, message: NewMessage) -> NewMessage:
        return message if self._ledger.syncs else replace(message, state=State.SKIPPED, reason=SYNC_OFF)

    def _to_braze(
        self, after: Subscription, action: Action, event: str | None, at: datetime | None = None
    ) -> NewMessage:
        message = _about(after, action, event, after.identifier, at)
        if self._ledger.syncs and after.identifier is None:
            return replace(message, state=State.SKIPPED, reason=_unidentified(self._ledger.rule))
        return self._sent(message)


def _about(
    one: Subscription,
    action: Action,
    event: str | None,
    identifier: str | None,
    at: datetime | None = None,
) -> NewMessage:
    """A message for Braze; what it changes there is found out when it leaves. `at`: of the event, if not now."""
    request: dict[str, object] = {"subscription_id": one.key}
    if identifier:
        request["identifier"] = identifier
    if event:
        request["event"] = {"name": event, "properties": one.facts} | ({"at": at.isoformat()} if at else {})
    line = identifier or _line(one)
    return NewMessage(BRAZE, action, request, line=line, user_id=one.subscriber_id, event_id=one.key)


def _look_up(one: Subscription, action: Action, event: str | None, *, is_beside: bool = False) -> NewMessage:
    """`is_beside`: no change waits for it."""
    request: dict[str, object] = {
        "subscription_id": one.key,
        "given_id": one.given_id,
        "action": action,
        "event": event,
    }
    if is_beside:
        request["is_beside"] = True
    account_code = str(one.facts.get("account_code", ""))
    return NewMessage(
        ROKT_CALENDAR,
        "look_up",
        request,
        line=_line(one),
        user_id=one.subscriber_id,
        event_id=one.key,
        account_code=account_code if _ACCOUNT_CODE.fullmatch(account_code) else "",
    )


def _line(one: Subscription) -> str:
    return f"subscription\x1f{one.key}"


def _unidentified(rule: IdentityRule) -> str:
    first = (
        "a subscriber id that is an e-mail address" if rule.subscriber_id == "email" else "a subscriber id"
    )
    second, helps = {
        "": ("a second choice", "ROKT_SUBSCRIBER_FALLBACK can be email or alias"),
        "email": ("an e-mail address", "ROKT_SUBSCRIBER_FALLBACK=alias needs neither"),
    }.get(rule.fallback, ("a usable subscription id", "ROKT_SUBSCRIBER_FALLBACK goes by that"))
    return f"no identifier: neither {first} nor {second} is known; {helps}"


@dataclass(frozen=True)
class HeldRow:
    """What a profile holds of a subscription from now on. `sent`, `saved`: data points more than before."""

    identifier: str
    key: str
    held: Held
    sent: int = 0
    saved: int = 0


@dataclass(frozen=True)
class Listed:
    """A subscription with its data points, over all the profiles that it ever belonged to."""

    subscription: Subscription
    sent: int
    saved: int


def subscriptions_of(connection: Connection, keys: Iterable[str]) -> dict[str, Subscription]:
    """Those of these keys that are known, by key."""
    return _read(connection, keys, _OF_KEYS)


def of_user(connection: Connection, user_id: str) -> list[Subscription]:
    """All subscriptions whose subscriber id this is, the active ones first."""
    query = sa.select(subscriptions).where(subscriptions.c.subscriber_id == user_id)
    found = [_subscription(row) for row in connection.execute(query.order_by(subscriptions.c.key))]
    return sorted(found, key=lambda one: not one.is_active)


def held(connection: Connection, places: Sequence[Place]) -> dict[Place, Held]:
    """What is held at each place; nothing where nothing was ever sent."""
    found = dict.fromkeys(places, EMPTY)
    if not found:
        return found
    keys = sorted({key for _, key in found})
    for row in connection.execute(_HELD, {"keys": keys}):  # a subscription was in few profiles
        place = (row.identifier, row.subscription_key)
        if place in found:
            found[place] = Held(_tuples(row.certain), _tuples(row.unsure))
    return found


def write_held(connection: Connection, rows: Sequence[HeldRow], now: datetime) -> None:
    """Write what is held, and add up the data points."""
    _add_up(
        connection,
        [
            {
                "identifier": row.identifier,
                "subscription_key": row.key,
                "certain": row.held.certain,
                "unsure": row.held.unsure,
                "sent": row.sent,
                "saved": row.saved,
                "updated_at": now,
            }
            for row in rows
        ],
    )


def fullest(connection: Connection, identifiers: Collection[str]) -> dict[str, int]:
    """How many values the fullest of each profile's arrays holds; there is room for few hundred."""
    counts: dict[str, Counter[str]] = {identifier: Counter() for identifier in identifiers}
    rows = connection.execute(_ALL_HELD, {"identifiers": sorted(counts)}) if counts else ()
    for row in rows:
        counts[row.identifier].update({name: len(its) for name, its in row.certain.items()})
    return {identifier: max(its.values(), default=0) for identifier, its in counts.items()}


def listing(
    connection: Connection,
    *,
    user_id: str | None = None,
    subscription_id: str | None = None,
    state: str | None = None,
    limit: int = 50,
    after: str | None = None,
) -> list[Listed]:
    """At most `limit` of what matches, by key. `state`: see STATES; `after`: the key of the last page's last."""
    query = sa.select(subscriptions).order_by(subscriptions.c.key).limit(limit)
    if user_id is not None:
        query = query.where(subscriptions.c.subscriber_id == user_id)
    if subscription_id is not None:
        query = query.where(subscriptions.c.key == key_of_subscription(subscription_id))
    if state is not None:
        query = query.where(_CONDITIONS[state])
    if after is not None:
        query = query.where(subscriptions.c.key > after)
    found = [_subscription(row) for row in connection.execute(query)]
    points = {one.key: (0, 0) for one in found}
    for row in connection.execute(_HELD, {"keys": sorted(points)}) if found else ():
        sent, saved = points[row.subscription_key]
        points[row.subscription_key] = (sent + row.sent, saved + row.saved)
    return [Listed(one, *points[one.key]) for one in found]


def counts(connection: Connection) -> dict[str, int]:
    """How many subscriptions are in each state, and the data points of all."""
    found = {
        state: connection.scalar(sa.select(sa.func.count()).select_from(subscriptions).where(condition)) or 0
        for state, condition in _CONDITIONS.items()
    }
    sums = connection.execute(
        sa.select(sa.func.sum(braze_held.c.sent), sa.func.sum(braze_held.c.saved))
    ).one()
    return found | {"data_points_sent": int(sums[0] or 0), "data_points_saved": int(sums[1] or 0)}


def forget_old(connection: Connection, before: datetime) -> int:
    """Forget at most 500 subscriptions that ended before then, and of which Braze holds nothing. Returns how many.

    Their data points stay, added up in one row that tells of nobody.
    """
    ended = sa.select(subscriptions.c.key).where(
        ~subscriptions.c.is_active, subscriptions.c.updated_at < before
    )
    gone = ended.where(_ONE_HELD.is_(None)).order_by(subscriptions.c.updated_at).limit(MOST_FORGOTTEN)
    # Locked: what a request brings back to life just now stays.
    keys = list(connection.scalars(gone.with_for_update(skip_locked=True)))
    if keys:
        connection.execute(_FORGET, {"keys": keys})
        points = connection.execute(_FORGET_HELD, {"keys": keys}).all()
        sums = {"sent": sum(row.sent for row in points), "saved": sum(row.saved for row in points)}
        if any(sums.values()):
            write_held(connection, [HeldRow("", "", EMPTY, **sums)], before)
    return len(keys)


_CONDITIONS: Mapping[str, sa.ColumnElement[bool]] = {
    "active": subscriptions.c.is_active,
    "inactive": ~subscriptions.c.is_active,
    "unidentified": subscriptions.c.identifier.is_(None),
}


def _add_up(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        # In the keys' order, so that no two deadlock.
        in_order = sorted(rows, key=lambda row: (row["identifier"], row["subscription_key"]))
        connection.execute(_UPSERTS[connection.dialect.name], in_order)


def _upsert(statement: Any) -> Any:
    given = statement.excluded
    added = {name: braze_held.c[name] + given[name] for name in ("sent", "saved")}
    replaced = {name: given[name] for name in ("certain", "unsure", "updated_at")}
    return statement.on_conflict_do_update(
        index_elements=["identifier", "subscription_key"], set_=replaced | added
    )


_UPSERTS = {
    "postgresql": _upsert(postgresql.insert(braze_held)),
    "sqlite": _upsert(sqlite.insert(braze_held)),
}


def _read(connection: Connection, keys: Iterable[str], query: sa.Select[Any]) -> dict[str, Subscription]:
    wanted = sorted(set(keys))
    rows = connection.execute(query, {"keys": wanted}) if wanted else ()
    return {row.key: _subscription(row) for row in rows}


def _subscription(row: Any) -> Subscription:
    return Subscription(
        key=row.key,
        given_id=row.given_id,
        facts=row.facts,
        suffix=row.suffix,
        is_active=row.is_active,
        subscriber_id=row.subscriber_id,
        email=row.email,
        identifier=row.identifier,
        is_looked_up=row.is_looked_up,
        lookups=row.lookups,
        updated_at=row.updated_at,
        is_assumed=row.is_assumed,
    )


def _row(one: Subscription) -> dict[str, Any]:
    return {
        "key": one.key,
        "given_id": one.given_id,
        "account_code": one.facts.get("account_code"),
        "calendar_code": one.facts.get("calendar_code"),
        "subscriber_id": one.subscriber_id,
        "email": one.email,
        "identifier": one.identifier,
        "facts": one.facts,
        "suffix": one.suffix,
        "is_active": one.is_active,
        "is_assumed": one.is_assumed,
        "is_looked_up": one.is_looked_up,
        "lookups": one.lookups,
        "updated_at": one.updated_at,
    }


def _tuples(stored: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(some) for name, some in stored.items()}
