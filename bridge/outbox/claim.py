"""Claims: what may leave next gets a call row before anything is sent."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.message import Message
from bridge.outbox.lines import read
from bridge.outbox.tables import calls, waiting


@dataclass(frozen=True)
class Call:
    """A claimed message with the row that says so. Only whoever still holds the row may settle it."""

    id: str
    message: Message


def is_any_due(connection: Connection, destination: str, now: datetime) -> bool:
    query = sa.select(waiting.c.seq).where(*_due(destination, now)).limit(1)
    return connection.scalar(query) is not None


def claim(
    connection: Connection,
    worker_id: str,
    destination: str,
    limit: int,
    now: datetime,
    closed_accounts: Iterable[str] = (),
    *,
    is_probe: bool = False,
) -> list[Call]:
    """Take at most `limit` due heads and write one call row for each before anything is sent.

    `is_probe`: the destination is closed and this is the one call that looks whether it answers again, so a
    head in back-off will do. `closed_accounts`: left alone.
    """
    query = (
        sa.select(waiting.c.seq)
        .where(*_due(destination, None if is_probe else now))
        .order_by(waiting.c.priority, waiting.c.due_at, waiting.c.seq)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    if closed := list(closed_accounts):
        query = query.where(waiting.c.account_code.not_in(closed))
    due = list(connection.scalars(query))
    return _call(connection, worker_id, destination, due, now) if due else []


def claim_of_account(
    connection: Connection, worker_id: str, destination: str, account_code: str, now: datetime
) -> list[Call]:
    """One head of an account whose credential was refused, to see whether it is taken again."""
    query = (
        sa.select(waiting.c.seq)
        .where(*_due(destination, None), waiting.c.account_code == account_code)
        .order_by(waiting.c.due_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    due = list(connection.scalars(query))
    return _call(connection, worker_id, destination, due, now) if due else []


def give_back(connection: Connection, given: Sequence[Call]) -> None:
    """Return what was claimed and never sent, as if it had not been touched."""
    ids = [call.id for call in given]
    connection.execute(sa.update(waiting).where(waiting.c.call_id.in_(ids)).values(call_id=None))
    connection.execute(sa.delete(calls).where(calls.c.id.in_(ids)))


def _due(destination: str, now: datetime | None) -> list[sa.ColumnElement[bool]]:
    conditions = [
        waiting.c.destination == destination,
        waiting.c.is_head,
        waiting.c.call_id.is_(None),
    ]
    return conditions if now is None else [*conditions, waiting.c.due_at <= now]


def _call(
    connection: Connection, worker_id: str, destination: str, due: Sequence[int], now: datetime
) -> list[Call]:
    claimed = [Call(str(uuid.uuid4()), message) for message in read(connection, due)]
    connection.execute(
        sa.insert(calls),
        [
            {"id": c.id, "worker_id": worker_id, "destination": destination, "started_at": now}
            for c in claimed
        ],
    )
    connection.execute(
        sa.update(waiting)
        .where(waiting.c.seq == sa.bindparam("its_seq"))
        .values(call_id=sa.bindparam("its_call")),
        [{"its_seq": c.message.seq, "its_call": c.id} for c in claimed],
    )
    return claimed
