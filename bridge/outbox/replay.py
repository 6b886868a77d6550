"""Sends a settled message again, in its place in its line."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.errors import FieldError, InvalidPayload
from bridge.message import SETTLED, Message, NewMessage, State
from bridge.outbox.enqueue import line_of
from bridge.outbox.lines import FORCED, IN_PLACE, OVERTAKEN, enter, message_of
from bridge.outbox.tables import bodies, key_of, lock_keys, messages

_ANEW = {"tries": 0, "first_failed_at": None, "reason": None, "expires_at": None}


def settled(connection: Connection, message_id: str) -> tuple[Message, dict[str, Any]] | None:
    """A message that may be sent again, and what its caller sent; None: there is no such message.

    Errors: InvalidPayload while it still waits.
    """
    query = (
        sa.select(messages, bodies.c.request, bodies.c.payload)
        .join(bodies, bodies.c.seq == messages.c.seq)
        .where(messages.c.id == message_id)
    )
    row = connection.execute(query).first()
    if row is None:
        return None
    _check_settled(row.state)
    payload = row.payload | {"inbound_key": row.inbound_key, "route": row.route}
    return message_of(row, row.request), payload


def send_again(connection: Connection, message: Message, now: datetime, *, force: bool) -> State:
    """Put a message back in its place. Where a later one of its line was delivered it is superseded instead."""
    lock_keys(connection, [message.line])
    locked = sa.select(messages.c.state).where(messages.c.seq == message.seq).with_for_update()
    state = State(connection.execute(locked).scalar_one())
    if state not in SETTLED:
        return state  # somebody else was faster
    later = sa.select(messages.c.seq).where(
        messages.c.line == message.line, messages.c.seq > message.seq, messages.c.state.in_(IN_PLACE)
    )
    if not force and connection.scalar(later.limit(1)) is not None:
        values = {"state": State.SUPERSEDED, "reason": OVERTAKEN, "settled_at": now}
        connection.execute(sa.update(messages).where(messages.c.seq == message.seq).values(values))
        return State.SUPERSEDED
    progress = {FORCED: True} if force else None
    enter(connection, message.seq, now, {"state": State.ACCEPTED, **_ANEW, "progress": progress})
    return State.ACCEPTED


def rewrite(connection: Connection, message: Message, new: NewMessage, now: datetime) -> Message:
    """Give a stored message what its payload renders to now, before it is sent again.

    Errors: InvalidPayload when somebody else was faster.
    """
    locked = sa.select(messages.c.state).where(messages.c.seq == message.seq).with_for_update()
    _check_settled(connection.execute(locked).scalar_one())
    line = line_of(new) or key_of(new.destination, message.id)
    values = {
        "action": new.action,
        "line": line,
        "user_id": new.user_id,
        "event_id": new.event_id,
        "account_code": new.account_code,
        "template": new.template,
        "version": new.version,
        "reason": new.reason,
    }
    if new.state != State.ACCEPTED:
        values |= {"state": new.state, "settled_at": now}
    connection.execute(sa.update(messages).where(messages.c.seq == message.seq).values(values))
    connection.execute(
        sa.update(bodies).where(bodies.c.seq == message.seq).values(request=new.request or None)
    )
    row = connection.execute(sa.select(messages).where(messages.c.seq == message.seq)).one()
    return message_of(row, new.request)


def refuse_again(connection: Connection, message: Message, cause: str) -> None:
    """The template still refuses it: the reason is the new one, unless it was accepted in the meantime."""
    still = sa.and_(messages.c.seq == message.seq, messages.c.state.in_(SETTLED))
    connection.execute(sa.update(messages).where(still).values(reason=cause))


def _check_settled(state: str) -> None:
    if State(state) not in SETTLED:
        raise InvalidPayload.of(FieldError("id", f"this message is {state}: it is on its way already"))
