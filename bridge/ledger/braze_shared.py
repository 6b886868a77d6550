"""What the subscriptions of one Braze profile hold in common: those whose ids end alike have the same values."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.ledger.subscriber_tables import braze_held
from bridge.rows import among
from bridge.subscribers.sync import Values

_CERTAIN = sa.select(braze_held.c.identifier, braze_held.c.subscription_key, braze_held.c.certain).where(
    among(braze_held.c.identifier, "identifiers"), braze_held.c.certain != {}
)


def certain_of(connection: Connection, identifiers: Collection[str]) -> dict[str, dict[str, Values]]:
    """By profile and subscription, what stands there for certain."""
    found: dict[str, dict[str, Values]] = {}
    rows = connection.execute(_CERTAIN, {"identifiers": sorted(identifiers)}) if identifiers else ()
    for row in rows:
        found.setdefault(row.identifier, {})[row.subscription_key] = row.certain
    return found
