"""Makes what an export found in Braze the ledger's own: from then on only changes are sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Connection

from bridge.ledger.subscriber_tables import subscriptions
from bridge.ledger.subscribers import HeldRow, subscriptions_of, write_held
from bridge.rows import insert
from bridge.subscribers.export import Found
from bridge.subscribers.facts import key_of_subscription
from bridge.subscribers.identity import address
from bridge.subscribers.subscription import Subscription
from bridge.subscribers.sync import Held


def import_known(connection: Connection, rows: Sequence[Found], now: datetime) -> int:
    """Write those that the ledger does not know; returns how many. Their keys are locked before."""
    of_key: dict[str, Found] = {}
    for row in rows:
        of_key.setdefault(key_of_subscription(row.given_id), row)
    known = subscriptions_of(connection, of_key)
    new = {key: row for key, row in of_key.items() if key not in known}
    insert(connection, subscriptions, [_row(key, row, now) for key, row in new.items()])
    write_held(
        connection,
        [HeldRow(_identifier(row), key, Held(certain=row.held)) for key, row in new.items()],
        now,
    )
    return len(new)


def _row(key: str, found: Found, now: datetime) -> dict[str, Any]:
    email = found.facts.get("subscriber_email")
    subscription = Subscription(
        key=key,
        given_id=found.given_id,
        facts=found.facts,
        suffix=found.suffix,
        is_active=True,
        subscriber_id=found.external_id,
        email=address(email) if isinstance(email, str) else None,
        identifier=_identifier(found),
        is_looked_up=False,
        lookups=0,
        updated_at=now,
    )
    codes = {name: found.facts.get(name) for name in ("account_code", "calendar_code")}
    return asdict(subscription) | codes


def _identifier(found: Found) -> str:
    return f"external_id:{found.external_id}"
