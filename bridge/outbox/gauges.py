"""How things stand now, in few numbers: calls under way, what waits for a person, open jobs, credentials in use."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.message import State
from bridge.outbox.jobs import OPEN
from bridge.outbox.tables import budgets, calls, jobs, messages

MOST_UNDECIDED = 10_000  # of what waits for a person is counted
IN_USE = timedelta(minutes=1)  # since a slot of a credential was taken


def in_flight(connection: Connection) -> dict[str, int]:
    """Calls under way, by destination."""
    counted = sa.select(calls.c.destination, sa.func.count().label("many")).group_by(calls.c.destination)
    return _by_name(connection, counted)


def undecided(connection: Connection) -> dict[str, int]:
    """Messages that wait for a person, by destination; the first ten thousand of them."""
    its_state = sa.select(messages.c.destination).where(messages.c.state == State.UNCERTAIN)
    piece = its_state.order_by(messages.c.seq).limit(MOST_UNDECIDED).subquery().c
    counted = sa.select(piece.destination, sa.func.count().label("many")).group_by(piece.destination)
    return _by_name(connection, counted)


def open_jobs(connection: Connection) -> dict[str, int]:
    """By state."""
    counted = sa.select(jobs.c.state, sa.func.count().label("many")).where(jobs.c.state.in_(OPEN))
    return _by_name(connection, counted.group_by(jobs.c.state))


def credentials_in_use(connection: Connection, now: datetime) -> dict[str, int]:
    """By destination with a rate: each credential has that rate for itself."""
    counted = sa.select(budgets.c.destination, sa.func.count().label("many"))
    return _by_name(connection, counted.where(budgets.c.next_at > now - IN_USE).group_by("destination"))


def _by_name(connection: Connection, counted: sa.Select[Any]) -> dict[str, int]:
    return {row[0]: row.many for row in connection.execute(counted)}
