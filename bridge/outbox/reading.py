"""What the outbox shows of its messages, and what may be asked of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.message import SETTLED, Json, State
from bridge.outbox.causes import pattern_of
from bridge.outbox.tables import HELD, LEAVES, attempts, bodies, messages, waiting

MOST_LISTED = 200


@dataclass(frozen=True)
class Filter:
    """None: any. `event_id` is the caller's or Rokt's. `reason`: what the reason begins with. `cause`: the reason
    with `…` for values, as causes.py has it. A `template` of "": what no template made.

    `after`, `before`: only what was accepted with this `seq` or after it, and before this one.
    """

    state: State | None = None
    destination: str | None = None
    user_id: str | None = None
    event_id: str | None = None
    template: str | None = None
    version: int | None = None
    reason: str | None = None
    cause: str | None = None
    was_uncertain: bool | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: int | None = None
    before: int | None = None
    limit: int = 50


def conditions_of(table: Any, wanted: Filter) -> list[sa.ColumnElement[bool]]:
    """What a row must be. `table`: the columns of `messages`, or of a part of it."""
    conditions: list[sa.ColumnElement[bool]] = [
        column == value
        for column, value in (
            (table.state, wanted.state),
            (table.destination, wanted.destination),
            (table.user_id, wanted.user_id),
            (sa.func.coalesce(table.template, ""), wanted.template),
            (table.version, wanted.version),
            (table.was_uncertain, wanted.was_uncertain),
        )
        if value is not None
    ]
    if wanted.event_id is not None:
        its_user = table.event_id + "_" + table.user_id
        *prefixes, whole = event_ids_of(wanted.event_id)
        conditions.append(
            sa.or_(
                table.event_id == whole, sa.and_(table.event_id.in_(prefixes), its_user == wanted.event_id)
            )
        )
    if wanted.reason is not None:
        conditions.append(sa.func.substr(table.reason, 1, len(wanted.reason)) == wanted.reason)
    if wanted.cause is not None:
        conditions.append(sa.func.coalesce(table.reason, "").regexp_match(pattern_of(wanted.cause)))
    if wanted.since is not None:
        conditions.append(table.received_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(table.received_at < wanted.until)
    return conditions


def event_ids_of(event_id: str) -> list[str]:
    """The event ids that a given one may mean: the parts of Rokt's before a user, then itself."""
    return [event_id[:i] for i, char in enumerate(event_id) if char == "_"] + [event_id]


def one(connection: Connection, message_id: str) -> dict[str, Any] | None:
    """A message with what the caller sent."""
    seq = connection.scalar(sa.select(messages.c.seq).where(messages.c.id == message_id))
    if seq is None:
        return None
    [message] = shown(connection, [seq])
    payload = connection.scalar(sa.select(bodies.c.payload).where(bodies.c.seq == seq))
    return message | {"payload": (payload or {}).get("body")}


@dataclass(frozen=True)
class Arrival:
    """How a message came, and how its calls go. `is_under_way`: one is being made."""

    inbound_key: str
    route: str
    first_failed_at: datetime | None
    is_under_way: bool


def arrival(connection: Connection, message_id: str) -> Arrival | None:
    columns = messages.c["inbound_key", "route", "first_failed_at"]
    query = sa.select(*columns, waiting.c.call_id).outerjoin(waiting, waiting.c.seq == messages.c.seq)
    row = connection.execute(query.where(messages.c.id == message_id)).first()
    if row is None:
        return None
    return Arrival(row.inbound_key, row.route, row.first_failed_at, row.call_id not in (None, HELD))


def states(connection: Connection, ids: Sequence[str]) -> dict[str, State]:
    rows = connection.execute(sa.select(messages.c.id, messages.c.state).where(messages.c.id.in_(ids)))
    return {row.id: State(row.state) for row in rows}


def waiting_in(connection: Connection, line: int) -> Iterator[tuple[str, Json]]:
    """What is still to leave of a line, in its order: action and request. A hundred thousand may stand in one."""
    after = 0
    while True:
        of_line = _waiting.where(waiting.c.line == line, waiting.c.seq > after)
        rows = connection.execute(of_line.order_by(waiting.c.seq).limit(MOST_LISTED)).all()
        yield from ((row.action, row.request) for row in rows)
        if len(rows) < MOST_LISTED:
            return
        after = rows[-1].seq


def last_waiting_in(connection: Connection, line: int) -> tuple[str, Json] | None:
    query = _waiting.where(waiting.c.line == line).order_by(waiting.c.seq.desc()).limit(1)
    row = connection.execute(query).first()
    return (row.action, row.request) if row else None


_waiting = (
    sa.select(waiting.c.seq, messages.c.action, bodies.c.request)
    .join(messages, messages.c.seq == waiting.c.seq)
    .join(bodies, bodies.c.seq == waiting.c.seq)
)


def shown(connection: Connection, seqs: Sequence[int]) -> list[dict[str, Any]]:
    """Messages as the API shows them, in this order."""
    if not seqs:
        return []
    head = waiting.alias("head")
    first = messages.alias("first")
    query = (
        sa.select(
            messages, bodies.c.request, waiting.c.due_at, waiting.c.is_head, first.c.id.label("waits_for")
        )
        .outerjoin(bodies, bodies.c.seq == messages.c.seq)
        .outerjoin(waiting, waiting.c.seq == messages.c.seq)
        .outerjoin(head, sa.and_(head.c.line == waiting.c.line, head.c.is_head, sa.not_(waiting.c.is_head)))
        .outerjoin(first, first.c.seq == head.c.seq)
        .where(messages.c.seq.in_(seqs))
    )
    tried: dict[int, list[Any]] = {}
    for row in connection.execute(
        sa.select(attempts).where(attempts.c.seq.in_(seqs)).order_by(attempts.c.id)
    ):
        tried.setdefault(row.seq, []).append(row)
    by_seq = {row.seq: _message(row, tried.get(row.seq, [])) for row in connection.execute(query)}
    return [by_seq[seq] for seq in seqs]


def received(connection: Connection, seqs: Sequence[int]) -> dict[int, datetime]:
    """When these were accepted, by their `seq`."""
    query = sa.select(messages.c.seq, messages.c.received_at).where(messages.c.seq.in_(seqs))
    return {row.seq: row.received_at for row in connection.execute(query)} if seqs else {}


def waiting_since(connection: Connection) -> datetime | None:
    """When the oldest message that still waits was accepted."""
    query = sa.select(waiting.c.seq).where(LEAVES).order_by(waiting.c.seq).limit(1)
    received = sa.select(messages.c.received_at).where(messages.c.seq == query.scalar_subquery())
    oldest: datetime | None = connection.scalar(received)
    return oldest


def is_settled(state: State) -> bool:
    return state in SETTLED


def _message(row: Any, tried: Sequence[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "state": row.state,
        "destination": row.destination,
        "action": row.action,
        "user_id": row.user_id,
        "event_id": row.event_id,
        "account_code": row.account_code,
        "template": row.template,
        "version": row.version,
        "is_test": row.is_test,
        "request_id": row.request_id,
        "received_at": iso(row.received_at),
        "due_at": iso(row.due_at),
        "settled_at": iso(row.settled_at),
        "expires_at": iso(row.expires_at),
        "reason": row.reason,
        "waits_for": row.waits_for,
        "was_uncertain": row.was_uncertain,
        "request": row.request,
        "attempts": [
            {
                "at": iso(one.at),
                "status": one.status,
                "ms": one.ms,
                "answer": one.answer,
                "request_id": one.call_id or row.request_id,  # what the upstream was told
            }
            for one in tried
        ],
    }


def iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
