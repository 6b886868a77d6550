"""Forgets what is old enough, in pieces so small that nobody waits for them."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.message import State
from bridge.outbox.tables import latest, messages, repeats

MOST_ROWS = 1000
LONGER = 3  # what a person may still want to replay is kept three times as long
_KEPT_LONGER = (State.DEAD, State.UNCERTAIN)
_KEPT = (State.DELIVERED, State.SKIPPED, State.SUPERSEDED)


def forget_old(connection: Connection, now: datetime, retention: timedelta) -> int:
    """Delete at most a thousand rows of each kind. Returns how many went."""
    gone = sum(_forget_messages(connection, state, now - retention) for state in _KEPT)
    gone += sum(_forget_messages(connection, state, now - LONGER * retention) for state in _KEPT_LONGER)
    gone += forget(connection, repeats, repeats.c.expires_at, now)
    return gone + forget(connection, latest, latest.c.keep_until, now)


def forget(connection: Connection, table: sa.Table, until: sa.Column[datetime], now: datetime) -> int:
    """Delete at most a thousand rows whose time has come, by the index on it."""
    [key] = table.primary_key.columns
    old = list(connection.scalars(sa.select(key).where(until <= now).limit(MOST_ROWS)))
    if old:
        # The time again: what was renewed since it was looked at stays.
        connection.execute(sa.delete(table).where(key.in_(old), until <= now))
    return len(old)


def _forget_messages(connection: Connection, state: State, before: datetime) -> int:
    # The oldest by order of acceptance: bodies and attempts go with them.
    table = messages.c
    oldest = connection.execute(
        sa.select(table.seq, table.settled_at)
        .where(table.state == state)
        .order_by(table.seq)
        .limit(MOST_ROWS)
    )
    old = [row.seq for row in oldest if row.settled_at is not None and row.settled_at < before]
    if old:
        # The state again: what was replayed since it was looked at stays.
        connection.execute(sa.delete(messages).where(table.seq.in_(old), table.state == state))
    return len(old)
