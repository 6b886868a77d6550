"""Sends settled messages again, each in its place in its line."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.errors import FieldError, InvalidPayload
from bridge.message import SETTLED, Message, NewMessage, State
from bridge.outbox.enqueue import Request, line_of, store
from bridge.outbox.lines import (
    FORCED,
    IN_PLACE,
    LIVE,
    OVERTAKEN,
    STANDS,
    enter,
    fall_behind,
    let_go,
    message_of,
)
from bridge.outbox.tables import bodies, key_of, lock_keys, messages

_END = 2**62  # behind the last `seq` there will ever be
_ANEW = {"state": State.ACCEPTED, "tries": 0, "first_failed_at": None, "reason": None, "expires_at": None}
NOTHING_LEFT = "this message was forgotten: nothing is left of it that could be sent"
_OUTDATED = {
    "outdated": True
}  # a settled message's progress: a later one was delivered, and is forgotten by now


def settled(connection: Connection, message_id: str) -> tuple[Message, dict[str, Any]] | None:
    """A message that may be sent again, and what its caller sent; None: there is no such message.

    Errors: InvalidPayload while it still waits, and for one that was forgotten.
    """
    query = (
        sa.select(messages, bodies.c.request, bodies.c.payload)
        .outerjoin(bodies, bodies.c.seq == messages.c.seq)
        .where(messages.c.id == message_id)
    )
    row = connection.execute(query).first()
    if row is None:
        return None
    _check_settled(row.state)
    if row.payload is None:
        raise InvalidPayload.of(FieldError("id", NOTHING_LEFT))
    return message_of(row, row.request), payload_of(row)


def payload_of(row: Any) -> dict[str, Any]:
    """What the caller of a message sent, and who and where that was."""
    payload: dict[str, Any] = row.payload | {"inbound_key": row.inbound_key, "route": row.route}
    return payload


def send_again(connection: Connection, message: Message, now: datetime, *, force: bool) -> State:
    """Put a message back in its place. Where a later one of its line was delivered it is superseded instead.

    Errors: InvalidPayload when it was forgotten meanwhile.
    """
    lock_keys(connection, [message.line])
    locked = sa.select(messages.c.state).where(messages.c.seq == message.seq).with_for_update()
    state = State(connection.execute(locked).scalar_one())
    _check_has_body(connection, message)
    if state not in SETTLED:
        return state  # somebody else was faster
    goes = send_each_again(connection, [message], now, force=force)
    return State.ACCEPTED if goes else State.SUPERSEDED


def send_each_again(
    connection: Connection, stored: Sequence[Message], now: datetime, *, force: bool, priority: int = LIVE
) -> list[Message]:
    """The same for settled messages whose rows and keys are held. Returns those that go."""
    let_go(connection, [message.seq for message in stored])
    overtaken = set() if force else _overtaken(connection, stored)
    if overtaken:
        values = {"state": State.SUPERSEDED, "reason": OVERTAKEN, "settled_at": now}
        connection.execute(sa.update(messages).where(messages.c.seq.in_(overtaken)).values(values))
    goes = [message for message in stored if message.seq not in overtaken]
    by_progress: dict[tuple[tuple[str, Any], ...], list[int]] = {}
    for message in goes:
        stands = {key: message.progress[key] for key in STANDS if key in message.progress}
        progress = stands | ({FORCED: True} if force else {})
        by_progress.setdefault(tuple(progress.items()), []).append(message.seq)
    for its, seqs in by_progress.items():
        enter(connection, seqs, now, {**_ANEW, "progress": dict(its) or None}, priority=priority)
    return goes


def send_as(
    connection: Connection,
    message: Message,
    made: Sequence[NewMessage],
    payload: dict[str, Any],
    request_id: str,
    now: datetime,
    *,
    force: bool,
    priority: int = LIVE,
) -> tuple[Message, State, list[str]]:
    """Give a stored message the first of what its payload renders to now, store the rest, and send them.

    Returns the message as it is now, its state, and the ids of all. Errors: InvalidPayload when somebody else
    was faster.
    """
    first, *rest = made
    message = rewrite(connection, message, first, now)
    state, ids = first.state, [message.id]
    if state == State.ACCEPTED:
        goes = send_each_again(connection, [message], now, force=force, priority=priority)
        state = State.ACCEPTED if goes else State.SUPERSEDED
    if rest:
        more = Request(tuple(rest), request_id, payload["inbound_key"], payload["route"], payload)
        [accepted] = store(connection, [more], now)
        if priority != LIVE:
            fall_behind(connection, accepted.ids, priority)
        ids += accepted.ids
    return message, state, ids


def rewrite(connection: Connection, message: Message, new: NewMessage, now: datetime) -> Message:
    """Give a stored message what its payload renders to now, before it is sent again.

    Errors: InvalidPayload when somebody else was faster.
    """
    line = new_line(message, new)
    lock_keys(connection, [message.line, line])
    locked = sa.select(messages.c.state).where(messages.c.seq == message.seq).with_for_update()
    _check_settled(connection.execute(locked).scalar_one())
    _check_has_body(connection, message)
    let_go(connection, [message.seq])
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


def new_line(message: Message, new: NewMessage) -> int:
    return line_of(new) or key_of(new.destination, message.id)


def refuse_again(connection: Connection, message: Message, cause: str) -> None:
    """The template still refuses it: the reason is the new one, unless it was accepted in the meantime."""
    still = sa.and_(messages.c.seq == message.seq, messages.c.state.in_(SETTLED))
    connection.execute(sa.update(messages).where(still).values(reason=cause))


def outdate(connection: Connection, delivered: Sequence[int]) -> None:
    """These are about to be forgotten: what is older and kept for longer must not overwrite them all the same."""
    if not delivered:
        return
    gone, kept = messages.alias("gone").c, messages.alias("kept")
    last = (
        sa.select(gone.line, gone.event_id, sa.func.max(gone.seq).label("seq"))
        .where(gone.seq.in_(delivered))
        .group_by(gone.line, gone.event_id)
        .subquery()
    )
    # By the line: SQLite would read all that ever died, by the index on states.
    is_settled = sa.func.coalesce(kept.c.state, "").in_(SETTLED)
    is_news = sa.or_(kept.c.progress.is_(None), kept.c.progress != _OUTDATED)
    older = (
        sa.select(kept.c.seq)
        .join(last, sa.and_(kept.c.line == last.c.line, kept.c.seq < last.c.seq, _same_thing(kept.c, last.c)))
        .where(is_settled, is_news)
        .order_by(kept.c.seq)
        .with_for_update(of=kept)
    )
    # Two statements: one of both is free to read all that ever ended.
    if found := list(connection.scalars(older)):
        connection.execute(sa.update(messages).where(messages.c.seq.in_(found)).values(progress=_OUTDATED))


def _overtaken(connection: Connection, stored: Sequence[Message]) -> set[int]:
    """Those of whose line a later one was delivered."""
    table = messages.c
    seqs = [message.seq for message in stored]
    asked = sa.select(table.line, table.event_id).where(table.seq.in_(seqs)).distinct().subquery()
    later = messages.alias("later").c
    # By the line, from its end: grouping would read all of it, SQLite all that was ever delivered. Compared as
    # pairs, as PostgreSQL would look for the last of all messages and go back until it finds one of the line.
    place = sa.tuple_(later.line, later.seq)
    in_place = sa.func.coalesce(later.state, "").in_(IN_PLACE)
    last = (
        sa.select(later.seq)
        .where(place > sa.tuple_(asked.c.line, min(seqs)), place <= sa.tuple_(asked.c.line, _END), in_place)
        .where(_same_thing(later, asked.c))
        .order_by(later.line.desc(), later.seq.desc())
        .limit(1)
    )
    rows = connection.execute(sa.select(asked, last.scalar_subquery().label("last")))
    last_of = {(row.line, row.event_id): row.last or 0 for row in rows}
    outdated = sa.select(table.seq).where(table.seq.in_(seqs), table.progress == _OUTDATED)
    overtaken = {message.seq for message in stored if message.seq < last_of[message.line, message.event_id]}
    return overtaken | set(connection.scalars(outdated))


def _same_thing(one: Any, other: Any) -> sa.ColumnElement[bool]:
    """Of a line that holds more than one, such as all subscriptions of a user, the others overtake nothing."""
    # By the line: SQLite would read all that an event ever was, by the index on them.
    same: sa.ColumnElement[bool] = sa.func.coalesce(one.event_id, "") == sa.func.coalesce(other.event_id, "")
    return same


def _check_has_body(connection: Connection, message: Message) -> None:
    """Whoever erases one holds its line's key, as whoever asks this does."""
    if connection.scalar(sa.select(bodies.c.seq).where(bodies.c.seq == message.seq)) is None:
        raise InvalidPayload.of(FieldError("id", NOTHING_LEFT))


def _check_settled(state: str) -> None:
    if State(state) not in SETTLED:
        raise InvalidPayload.of(FieldError("id", f"this message is {state}: it is on its way already"))
