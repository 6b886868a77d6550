"""The messages: lists with filters, one with its attempts, replay of one."""

from __future__ import annotations

from typing import Any

import structlog
from flask import Blueprint, Response, g, jsonify, request

from bridge.database import clock
from bridge.errors import FieldError, InvalidPayload, NotFound, TemplateRefused
from bridge.ledger import braze_doubts, events
from bridge.message import Message, State
from bridge.outbox import lines, reading, replay, search
from bridge.rendering import Renderer
from bridge.routes.calendar_messages import reason_of
from bridge.routes.incoming import plain
from bridge.web import filters
from bridge.web.outcome import flag
from bridge.web.parts import Parts
from bridge.web.problems import of_answerable

log = structlog.get_logger()


def read_blueprint(parts: Parts) -> Blueprint:
    blueprint = Blueprint("messages", __name__)
    blueprint.before_request(parts.guard.needs("read"))

    @blueprint.get("/v1/messages")
    def list_messages() -> Response:
        wanted = filters.of_list(request.args)
        with parts.database.browse() as connection:
            found, following = search.listed(connection, wanted)
        return jsonify({"messages": found, "next": None if following is None else str(following)})

    @blueprint.get("/v1/messages/<message_id>")
    def show_message(message_id: str) -> Response:
        with parts.database.browse() as connection:
            found = reading.one(connection, plain(message_id))
        if found is None:
            raise NotFound("There is no message with this id.")
        return jsonify(found)

    return blueprint


def replay_blueprint(parts: Parts) -> Blueprint:
    blueprint = Blueprint("replay", __name__)
    blueprint.before_request(parts.guard.needs("operate"))

    @blueprint.post("/v1/messages/<message_id>/replay")
    def replay_message(message_id: str) -> Response:
        force = flag("force")
        is_current = _is_current()
        with parts.database.browse() as connection:
            found = replay.settled(connection, plain(message_id))
        if found is None:
            raise NotFound("There is no message with this id.")
        message, payload = found
        if is_current or not message.request:
            return _render_again(parts, message, payload, force=force)
        with parts.database.write() as connection:
            state = replay.send_again(connection, message, clock(connection), force=force)
            _doubt(connection, message)
        return _replayed(message.id, state, [message.id])

    return blueprint


def _render_again(parts: Parts, message: Message, payload: dict[str, Any], *, force: bool) -> Response:
    """What a template refused, or `render=current`: rendered with the version published now."""
    renderer = Renderer(parts.database, parts.templates, parts.settings.test_subscriptions)
    try:
        made = renderer.again(message, payload)
    except TemplateRefused as refusal:
        if not message.request:
            with parts.database.write() as connection:
                replay.refuse_again(connection, message, reason_of(refusal))
        return of_answerable(refusal, id=message.id)
    with parts.database.write() as connection:
        now = clock(connection)
        message, state, ids = replay.send_as(
            connection, message, made, payload, g.request_id, now, force=force
        )
        if state == State.ACCEPTED:
            _doubt(connection, message)
    return _replayed(message.id, state, ids)


def _replayed(message_id: str, state: State, ids: list[str]) -> Response:
    log.info("message.replayed", request_id=g.request_id, key=g.key_name, messages=ids, state=state)
    body: dict[str, Any] = {"id": message_id, "state": state, "request_id": g.request_id}
    if state == State.SUPERSEDED:
        body["reason"] = lines.OVERTAKEN
    if len(ids) > 1:
        body["ids"] = ids
    response = jsonify(body)
    response.status_code = 202 if state == State.ACCEPTED else 200
    return response


def _doubt(connection: Any, message: Message) -> None:
    """A replay is sent even where the ledger says that just this is held already."""
    its = message.request
    if its.get("rokt_event_id"):
        events.doubt(connection, (message.account_code, its["rokt_event_id"]))
    if its.get("identifier"):
        braze_doubts.doubt(connection, {(its["identifier"], its["subscription_id"]): {}})


def _is_current() -> bool:
    given = request.args.get("render", "")
    if given not in ("", "current"):
        raise InvalidPayload.of(FieldError("render", 'must be "current": the version published now'))
    return given == "current"
