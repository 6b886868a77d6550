"""Forgets what is old enough, in pieces so small that nobody waits for them."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.message import State
from bridge.outbox.lines import IN_PLACE, let_go
from bridge.outbox.replay import outdate
from bridge.outbox.tables import jobs, latest, lock_keys, messages, repeats

MOST_ROWS = 500  # of one piece: tens of milliseconds, for which all who write to SQLite wait
MOST_HELD = 64  # whose lines' keys one transaction holds
LONGER = 3  # what a person may still want to replay is kept three times as long
_KEPT = (State.DELIVERED, State.SKIPPED, State.SUPERSEDED)


def forget_old(connection: Connection, now: datetime, retention: timedelta) -> int:
    """Delete at most five hundred rows. Returns how many went."""
    # It takes keys, and whoever takes keys and rows takes the keys first.
    gone = _forget_held(connection, now - LONGER * retention)
    for state in _KEPT:
        gone += _forget_messages(connection, state, now - retention, MOST_ROWS - gone)
    gone += _forget_messages(connection, State.DEAD, now - LONGER * retention, MOST_ROWS - gone)
    gone += forget(connection, repeats, repeats.c.expires_at, now, MOST_ROWS - gone)
    gone += forget(connection, jobs, jobs.c.finished_at, now - LONGER * retention, MOST_ROWS - gone)
    return gone + forget(connection, latest, latest.c.keep_until, now, MOST_ROWS - gone)


def forget(
    connection: Connection,
    table: sa.Table,
    until: sa.Column[datetime],
    now: datetime,
    most: int = MOST_ROWS,
) -> int:
    """Delete at most this many rows whose time has come, by the index on it."""
    return _delete(connection, table, _oldest(connection, table, [until <= now], until, most))


def _forget_messages(connection: Connection, state: State, before: datetime, most: int) -> int:
    its_time = [messages.c.state == state, messages.c.settled_at < before]
    old = _oldest(connection, messages, its_time, messages.c.settled_at, most)
    if state in IN_PLACE:
        outdate(connection, old)
    return _delete(connection, messages, old)  # their bodies and attempts go with them


def _forget_held(connection: Connection, before: datetime) -> int:
    """What waited for a person all this time; its line goes on."""
    its_time = (messages.c.state == State.UNCERTAIN, messages.c.settled_at < before)
    query = sa.select(messages.c.seq, messages.c.line).where(*its_time).order_by(messages.c.settled_at)
    found = connection.execute(query.limit(MOST_HELD)).all()
    if not found:
        return 0
    lock_keys(connection, (row.line for row in found))
    is_one = messages.c.seq.in_([row.seq for row in found])
    old = list(connection.scalars(sa.select(messages.c.seq).where(is_one, *its_time).with_for_update()))
    let_go(connection, old)
    return _delete(connection, messages, old)


def _oldest(
    connection: Connection,
    table: sa.Table,
    its_time: list[sa.ColumnElement[bool]],
    by: sa.Column[datetime],
    most: int,
) -> list[int]:
    if most <= 0:
        return []
    [key] = table.primary_key.columns
    # Locked, so that what was replayed or renewed just now stays, and two workers take different rows.
    query = sa.select(key).where(*its_time).order_by(by).limit(most)
    return list(connection.scalars(query.with_for_update(skip_locked=True)))


def _delete(connection: Connection, table: sa.Table, old: list[int]) -> int:
    [key] = table.primary_key.columns
    if old:
        connection.execute(sa.delete(table).where(key.in_(old)))
    return len(old)
