"""Lines and their heads: how a message enters its line, leaves it, and what becomes the head instead."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.message import Json, Message, State
from bridge.outbox.tables import bodies, messages, waiting

OVERTAKEN = "a later message of the same event was delivered; replay with force to send this all the same"
FORCED = "forced"  # in a message's progress: it goes even if a later one was delivered
IN_PLACE = (State.DELIVERED, State.SKIPPED)  # Rokt holds what the message says


def enter(connection: Connection, seq: int, now: datetime, values: Mapping[str, Any]) -> None:
    """Put a stored message back into its place in its line. The line's key must be held."""
    connection.execute(sa.update(messages).where(messages.c.seq == seq).values(settled_at=None, **values))
    row = connection.execute(sa.select(messages).where(messages.c.seq == seq)).one()
    # A claim holds no key: without its row's lock the head could be in flight by the time it is set back.
    head = connection.execute(
        sa.select(waiting.c.seq, waiting.c.call_id)
        .where(waiting.c.line == row.line, waiting.c.is_head)
        .with_for_update()
    ).first()
    goes_first = head is None or (head.call_id is None and seq < head.seq)
    if head is not None and goes_first:
        connection.execute(sa.update(waiting).where(waiting.c.seq == head.seq).values(is_head=False))
    connection.execute(
        sa.insert(waiting).values(
            seq=seq,
            destination=row.destination,
            account_code=row.account_code,
            line=row.line,
            is_head=goes_first,
            priority=1,
            due_at=now,
            expires_at=row.expires_at,
        )
    )


def leave(connection: Connection, gone: Sequence[Message]) -> list[tuple[int, int]]:
    """Returns what became the head of its line instead, with the line."""
    if not gone:
        return []
    connection.execute(sa.delete(waiting).where(waiting.c.seq.in_([m.seq for m in gone])))
    return _promote(connection, {m.line for m in gone})


def _promote(connection: Connection, lines: set[int]) -> list[tuple[int, int]]:
    """Make the first of each line that has no head its head."""
    dialect = connection.dialect.name
    asked = sorted(lines) if dialect == "postgresql" else json.dumps(sorted(lines))
    rows = connection.execute(_first_and_head(dialect), {"lines": asked})
    promoted = [(row.first, row.line) for row in rows if row.first is not None and row.head is None]
    if promoted:
        firsts = waiting.c.seq.in_([seq for seq, _ in promoted])
        connection.execute(sa.update(waiting).where(firsts).values(is_head=True))
    return promoted


@cache
def _first_and_head(dialect: str) -> sa.Select[Any]:
    """Two steps of an index for each line, however many wait in it; grouping would read them all."""
    asked: sa.ColumnElement[int]
    if dialect == "postgresql":
        asked = sa.func.unnest(sa.bindparam("lines", type_=sa.ARRAY(sa.BigInteger))).column_valued("asked")
    else:
        asked = sa.func.json_each(sa.bindparam("lines")).table_valued("value").c.value
    first = sa.select(sa.func.min(waiting.c.seq)).where(waiting.c.line == asked).scalar_subquery()
    head = sa.select(waiting.c.seq).where(waiting.c.line == asked, waiting.c.is_head).scalar_subquery()
    return sa.select(asked.label("line"), first.label("first"), head.label("head"))


def read(connection: Connection, seqs: Sequence[int]) -> list[Message]:
    query = (
        sa.select(messages, bodies.c.request)
        .join(bodies, bodies.c.seq == messages.c.seq)
        .where(messages.c.seq.in_(seqs))
        .order_by(messages.c.seq)
    )
    return [message_of(row, row.request) for row in connection.execute(query)] if seqs else []


def message_of(row: Any, request: Json | None) -> Message:
    """A row of `messages` as the worker and the destinations see it."""
    return Message(
        seq=row.seq,
        id=row.id,
        destination=row.destination,
        action=row.action,
        request=request or {},
        line=row.line,
        user_id=row.user_id,
        event_id=row.event_id,
        account_code=row.account_code,
        template=row.template,
        version=row.version,
        is_test=row.is_test,
        was_uncertain=row.was_uncertain,
        received_at=row.received_at,
        first_failed_at=row.first_failed_at,
        tries=row.tries,
        expires_at=row.expires_at,
        request_id=row.request_id,
        progress=row.progress or {},
    )
