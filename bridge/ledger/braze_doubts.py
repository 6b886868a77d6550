"""What Braze may hold otherwise than it should, after calls of which nobody knows what became of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.database import clock
from bridge.ledger.subscriber_tables import braze_held
from bridge.ledger.subscribers import HeldRow, Place, held, write_held
from bridge.rows import among
from bridge.subscribers.sync import Values, doubted

_UNSURE = (
    sa.select(braze_held.c.identifier, braze_held.c.subscription_key)
    .where(among(braze_held.c.identifier, "identifiers"), braze_held.c.unsure != {})
    .order_by(braze_held.c.subscription_key)
)


def unsure_of(connection: Connection, identifiers: Collection[str]) -> list[Place]:
    """Where something may stand in these profiles, or not."""
    rows = connection.execute(_UNSURE, {"identifiers": sorted(identifiers)}) if identifiers else ()
    return [(row.identifier, row.subscription_key) for row in rows]


def doubt(connection: Connection, values: Mapping[Place, Values]) -> None:
    """Nothing is certain at these places any more; `values`: what else may stand there."""
    stands = held(connection, sorted(values))
    rows = [HeldRow(*place, doubted(stands[place], further)) for place, further in values.items()]
    write_held(connection, [row for row in rows if not row.held.is_empty], clock(connection))
