"""Sends one message again, for the API and for the console."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import structlog

from bridge.database import clock
from bridge.errors import NotFound, TemplateRefused
from bridge.ledger import braze_doubts, events
from bridge.message import Message, State
from bridge.outbox import replay
from bridge.rendering import Renderer
from bridge.routes.calendar_messages import reason_of
from bridge.routes.incoming import plain
from bridge.web.parts import Parts

log = structlog.get_logger()


@dataclass(frozen=True)
class Replayed:
    """`ids`: of all that it became."""

    id: str
    state: State
    ids: tuple[str, ...]


def replay_one(
    parts: Parts, message_id: str, *, is_current: bool, force: bool, by: str, request_id: str
) -> Replayed:
    """`is_current`: rendered with the version published now, as what a template refused is anyway.

    Errors: NotFound; InvalidPayload while it waits; TemplateRefused, which the message then keeps as its reason.
    """
    with parts.database.browse() as connection:
        found = replay.settled(connection, plain(message_id))
    if found is None:
        raise NotFound("There is no message with this id.")
    message, payload = found
    if is_current or not message.request:
        done = _render_again(parts, message, payload, force=force, request_id=request_id)
    else:
        with parts.database.write() as connection:
            state = replay.send_again(connection, message, clock(connection), force=force)
            _doubt(connection, message)
        done = Replayed(message.id, state, (message.id,))
    log.info("message.replayed", messages=done.ids, state=done.state)
    return done


def _render_again(
    parts: Parts, message: Message, payload: dict[str, Any], *, force: bool, request_id: str
) -> Replayed:
    renderer = Renderer(parts.database, parts.templates, parts.settings.test_subscriptions)
    try:
        made = renderer.again(message, payload)
    except TemplateRefused as refusal:
        if not message.request:
            with parts.database.write() as connection:
                replay.refuse_again(connection, message, reason_of(refusal))
        raise
    with parts.database.write() as connection:
        now = clock(connection)
        message, state, ids = replay.send_as(connection, message, made, payload, request_id, now, force=force)
        if state == State.ACCEPTED:
            _doubt(connection, message)
    return Replayed(message.id, state, tuple(ids))


def _doubt(connection: Any, message: Message) -> None:
    """A replay is sent even where the ledger says that just this is held already."""
    its = message.request
    if its.get("rokt_event_id"):
        events.doubt(connection, (message.account_code, its["rokt_event_id"]))
    if its.get("identifier"):
        braze_doubts.doubt(connection, {(its["identifier"], its["subscription_id"]): {}})
