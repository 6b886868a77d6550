"""Makes what an export found in Braze the ledger's own: from then on only changes are sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from bridge.ledger.subscriber_tables import braze_held, subscriptions
from bridge.ledger.subscribers import Place
from bridge.rows import among, insert, update
from bridge.subscribers.export import Found
from bridge.subscribers.facts import key_of_subscription
from bridge.subscribers.identity import address
from bridge.subscribers.subscription import Subscription

# What became of a row: it is new here; it was known, and what Braze holds of it was not; both were known. Or the
# ledger says that it is of another user, or of a profile that is a second choice, which may be the same one.
Fate = Literal["imported", "filled", "known", "of_another_user", "of_a_second_choice"]

_OWNERS = (
    sa.select(subscriptions.c.key, subscriptions.c.identifier)
    .where(among(subscriptions.c.key, "keys"))
    .order_by(subscriptions.c.key)
    .with_for_update()
)
_WRITTEN = sa.select(braze_held).where(among(braze_held.c.subscription_key, "keys"))


def import_known(connection: Connection, rows: Sequence[Found], now: datetime) -> list[Fate]:
    """Write what the ledger does not know; returns what became of each row. Their keys are locked before.

    Facts that are known stay. What Braze holds is written where nothing was ever written to that profile: since
    then it is the ledger that knows better.
    """
    owners, stands = _as_it_is(connection, {key_of_subscription(row.given_id) for row in rows})
    fates: list[Fate] = []
    new: list[dict[str, Any]] = []
    named: list[dict[str, Any]] = []
    held: dict[Place, Found] = {}
    for row in rows:
        key, identifier = key_of_subscription(row.given_id), f"external_id:{row.external_id}"
        place = identifier, key
        fate = _fate(place, owners, stands)
        fates.append(fate)
        if fate == "imported":
            new.append(_row(key, identifier, row, now))
        elif fate == "filled" and owners[key] is None:
            named.append({"key": key, "identifier": identifier, "subscriber_id": row.external_id})
        if place not in stands and fate != "of_a_second_choice":
            held[place] = row
            stands[place] = True
        owners[key] = owners.get(key) or identifier
    insert(connection, subscriptions, new)
    update(connection, subscriptions, named)
    _write_held(connection, held.items(), now)
    return fates


def _as_it_is(connection: Connection, keys: set[str]) -> tuple[dict[str, str | None], dict[Place, bool]]:
    """The identifiers of these keys, and the places that were ever written to: whether anything stands there."""
    if not keys:
        return {}, {}
    wanted = {"keys": sorted(keys)}
    owners = {row.key: row.identifier for row in connection.execute(_OWNERS, wanted)}
    stands = {
        (row.identifier, row.subscription_key): bool(row.certain or row.unsure)
        for row in connection.execute(_WRITTEN, wanted)
    }
    return owners, stands


def _fate(place: Place, owners: Mapping[str, str | None], stands: Mapping[Place, bool]) -> Fate:
    identifier, key = place
    if key not in owners:
        return "imported"
    owner = owners[key]
    if owner in (None, identifier):
        return "known" if place in stands else "filled"
    if not stands.get(place, True):
        return "known"  # it was this user's, and has been taken away
    # Found by an e-mail address or an alias it may be this very profile: what is taken away there is gone here.
    return "of_another_user" if owner.startswith("external_id:") else "of_a_second_choice"


def _row(key: str, identifier: str, found: Found, now: datetime) -> dict[str, Any]:
    email = found.facts.get("subscriber_email")
    subscription = Subscription(
        key=key,
        given_id=found.given_id,
        facts=found.facts,
        suffix=found.suffix,
        is_active=True,
        subscriber_id=found.external_id,
        email=address(email) if isinstance(email, str) else None,
        identifier=identifier,
        is_looked_up=False,
        lookups=0,
        updated_at=now,
    )
    codes = {name: found.facts.get(name) for name in ("account_code", "calendar_code")}
    return asdict(subscription) | codes


def _write_held(connection: Connection, found: Iterable[tuple[Place, Found]], now: datetime) -> None:
    """What a worker has written in the meantime stays."""
    rows = [
        {
            "identifier": identifier,
            "subscription_key": key,
            "certain": row.held,
            "unsure": {},
            "sent": 0,
            "saved": 0,
            "updated_at": now,
        }
        for (identifier, key), row in found
    ]
    if rows:
        in_order = sorted(rows, key=lambda row: (row["identifier"], row["subscription_key"]))
        connection.execute(_INSERTS[connection.dialect.name], in_order)


_INSERTS = {
    "postgresql": postgresql.insert(braze_held).on_conflict_do_nothing(),
    "sqlite": sqlite.insert(braze_held).on_conflict_do_nothing(),
}
