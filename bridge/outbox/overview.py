"""How much waits for each destination, and since when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.outbox.tables import LEAVES, calls, messages, waiting


@dataclass(frozen=True)
class Backlog:
    """`oldest_at`: when the oldest of what waits was accepted."""

    messages: int
    oldest_at: datetime | None


NOTHING = Backlog(0, None)


def backlogs(connection: Connection) -> dict[str, Backlog]:
    """What waits, by destination. Reads a narrow row for each message that waits: not for every request."""
    found = connection.execute(
        sa.select(
            waiting.c.destination, sa.func.count().label("messages"), sa.func.min(waiting.c.seq).label("seq")
        )
        .where(LEAVES)
        .group_by(waiting.c.destination)
        .order_by(waiting.c.destination)
    ).all()
    received = sa.select(messages.c.seq, messages.c.received_at).where(
        messages.c.seq.in_([row.seq for row in found])
    )
    at = {row.seq: row.received_at for row in connection.execute(received)} if found else {}
    return {row.destination: Backlog(row.messages, at.get(row.seq)) for row in found}


def in_flight(connection: Connection) -> set[str]:
    """The destinations to which a call is under way."""
    return set(connection.scalars(sa.select(calls.c.destination).distinct()))
