"""What Braze calls: calendar events in the bridge's own form and in Rokt's."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Request, Response, request
from werkzeug.routing import BaseConverter

from bridge.errors import NotFound
from bridge.rendering import reparse
from bridge.routes import ROUTES, incoming
from bridge.web.intake import Arrival, take
from bridge.web.json_body import read_object
from bridge.web.parts import Parts


class Rest(BaseConverter):
    """Everything that follows in a path, blank parts, doubled slashes and line breaks included."""

    regex = "(?s:.*)"
    part_isolating = False


def blueprint(parts: Parts) -> Blueprint:
    hooks = Blueprint("hooks", __name__)
    hooks.before_request(parts.guard.needs("send"))
    for route in ROUTES:

        def view(rest: str = "", route: Any = route) -> Response:
            has_body = route.method != "DELETE"
            body, raw = read_object(request) if has_body else ({}, b"")
            rest = what_follows(route.path, request)
            key = incoming.key(request.headers.get("Idempotency-Key")) or None
            payload = {"body": body, "rest": rest, "idempotency_key": key}
            return take(
                parts,
                Arrival(
                    route.name, raw, payload, lambda now: reparse(parts.templates, route.name, payload, now)
                ),
            )

        hooks.add_url_rule(
            f"{route.path}<rest:rest>", route.name.replace(".", "_"), view, methods=[route.method]
        )
    return hooks


def what_follows(path: str, request: Request) -> str:
    """What was sent behind a route's path, as it was sent: an encoded slash belongs to its part."""
    sent: str = request.environ.get("RAW_URI") or request.full_path
    if not sent.startswith("/"):  # a proxy may send the whole address
        sent = urlsplit(sent).path
    sent = "/" + sent.partition("?")[0].lstrip("/")
    rest = sent.removeprefix(path)
    if not sent.startswith(path) or (rest and not rest.startswith("/")):
        raise NotFound("There is nothing at this path.")
    return rest
