"""The messages: lists with filters, one with its attempts, replay of one."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, g, jsonify, request

from bridge.errors import FieldError, InvalidPayload, NotFound, TemplateRefused
from bridge.message import State
from bridge.outbox import lines, reading, search
from bridge.routes.incoming import plain
from bridge.web import filters
from bridge.web.outcome import flag
from bridge.web.parts import Parts
from bridge.web.problems import of_answerable
from bridge.web.replaying import Replayed, replay_one


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
        options = {"force": flag("force"), "is_current": _is_current()}
        try:
            done = replay_one(parts, message_id, **options, by=g.key_name, request_id=g.request_id)
        except TemplateRefused as refusal:
            return of_answerable(refusal, id=message_id)
        return _answer(done)

    return blueprint


def _answer(done: Replayed) -> Response:
    body: dict[str, Any] = {"id": done.id, "state": done.state, "request_id": g.request_id}
    if done.state == State.SUPERSEDED:
        body["reason"] = lines.OVERTAKEN
    if len(done.ids) > 1:
        body["ids"] = done.ids
    response = jsonify(body)
    response.status_code = 202 if done.state == State.ACCEPTED else 200
    return response


def _is_current() -> bool:
    given = request.args.get("render", "")
    if given not in ("", "current"):
        raise InvalidPayload.of(FieldError("render", 'must be "current": the version published now'))
    return given == "current"
