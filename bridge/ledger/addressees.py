"""Whom a calendar event may go to: what the ledgers of subscriptions and of calendars know of those who are meant."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.database import UNAVAILABLE, Database
from bridge.groups import Groups
from bridge.ledger.subscriber_tables import subscriptions
from bridge.ledger.tables import calendar_holders
from bridge.rows import among
from bridge.subscribers.addressee import Addressee
from bridge.subscribers.facts import key_of_subscription

MOST = 1_001  # subscriptions that are read of a user; one more than any request may have

Addressees = Mapping[str, Addressee]  # by the subscription's id as it leaves


@dataclass(frozen=True)
class Whom:
    """Whom a request means: these subscriptions or, where it names none, all of this user."""

    subscription_ids: tuple[str, ...]
    user_id: str = ""


_EXTERNAL_ID = "external_id:"  # a subscriber id of any other kind may be another user's external id
_NO_TEXT = sa.cast(sa.null(), sa.Text)


def _subscribed(identifier: sa.ColumnElement[Any], is_meant: sa.ColumnElement[bool]) -> sa.Select[Any]:
    columns = subscriptions.c["key", "given_id", "account_code", "calendar_code", "is_active"]
    return sa.select(*columns, identifier.label("identifier")).where(is_meant)


_HELD = (
    sa.select(
        calendar_holders.c.subscription_id.label("key"),
        _NO_TEXT.label("given_id"),
        calendar_holders.c.account_code,
        _NO_TEXT.label("calendar_code"),
        sa.cast(sa.null(), sa.Boolean).label("is_active"),
        _NO_TEXT.label("identifier"),
    )
    .where(among(calendar_holders.c.subscription_id, "ids"))
    .distinct()
)
_MOST: sa.ColumnElement[int] = sa.literal_column(str(MOST), sa.Integer)
_ITS_PROFILE = subscriptions.c.identifier
_OF_USERS = sa.select(
    _subscribed(_ITS_PROFILE, among(_ITS_PROFILE, "users")).limit(_MOST).subquery("of_users")
)
_OF_IDS = (_subscribed(_NO_TEXT, among(subscriptions.c.key, "keys")), _HELD)
# At once: each statement of PostgreSQL is a journey. Hardly any group asks for users and ids.
_KNOWN_OF_IDS, _KNOWN_OF_ALL = sa.union_all(*_OF_IDS), sa.union_all(*_OF_IDS, _OF_USERS)
_OF_USER = (
    _subscribed(_ITS_PROFILE, subscriptions.c.identifier == sa.bindparam("user"))
    .order_by(subscriptions.c.identifier, subscriptions.c.key)
    .limit(_MOST)
)


def in_groups(database: Database) -> Groups[Whom, Addressees]:
    """`look_up` for many requests at once: a query for each would cost an eighth of its time."""

    def answer(group: Sequence[Whom]) -> Sequence[Addressees]:
        with database.read() as connection:
            return look_up(connection, group)

    return Groups(
        "addressees",
        answer,
        lambda whom: (len(whom.subscription_ids) or 1,),
        heard_at=lambda: database.read_at,
        again_on=UNAVAILABLE,
    )


def look_up(connection: Connection, asked: Sequence[Whom]) -> list[Addressees]:
    """For each: those of its ids that are known, or all of its user in the order of their ids, a thousand at most
    and one more.
    """
    keys = {one: key_of_subscription(one) for whom in asked for one in whom.subscription_ids}
    users = {_EXTERNAL_ID + whom.user_id for whom in asked if not whom.subscription_ids}
    accounts: dict[str, str] = {}
    by_key: dict[str, Addressee] = {}
    of_users: list[sa.Row[Any]] = []
    told = {"keys": list(keys.values()), "ids": list(keys), "users": list(users)}
    for row in connection.execute(_KNOWN_OF_ALL if users else _KNOWN_OF_IDS, told):
        key, _, account_code, calendar_code, is_active, identifier = row
        if is_active is None:
            accounts[key] = account_code
        elif identifier is None:
            by_key[key] = Addressee(account_code or "", calendar_code or "", is_active)
        else:
            of_users.append(row)
    by_user = _by_user(connection, users, of_users)
    return [
        _of_ids(whom.subscription_ids, keys, by_key, accounts)
        if whom.subscription_ids
        else by_user.get(_EXTERNAL_ID + whom.user_id, {})
        for whom in asked
    ]


def _of_ids(
    ids: Sequence[str], keys: Mapping[str, str], by_key: Mapping[str, Addressee], accounts: Mapping[str, str]
) -> dict[str, Addressee]:
    found = {}
    for one in ids:
        its, reached_in = by_key.get(keys[one]), accounts.get(one)
        if its is None and reached_in is not None:
            found[one] = Addressee(reached_in)
        elif its is not None:
            found[one] = its if its.account_code else replace(its, account_code=reached_in or "")
    return found


def _by_user(
    connection: Connection, users: Collection[str], rows: Sequence[sa.Row[Any]]
) -> dict[str, dict[str, Addressee]]:
    if len(rows) == MOST and len(users) > 1:  # whoever has so many must not take their neighbours' room
        rows = [row for user in users for row in connection.execute(_OF_USER, {"user": user})]
    accounts: dict[str, str] = {}
    if lost := [row.given_id for row in rows if not row.account_code]:
        accounts = {row.key: row.account_code for row in connection.execute(_HELD, {"ids": lost})}
    found: dict[str, dict[str, Addressee]] = {}
    for row in sorted(rows, key=lambda row: row.key):
        account_code = row.account_code or accounts.get(row.given_id, "")
        its = Addressee(account_code, row.calendar_code or "", row.is_active)
        found.setdefault(row.identifier, {})[row.given_id] = its
    return found
