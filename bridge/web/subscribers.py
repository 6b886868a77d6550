"""POST /v1/subscribers: changes of subscribers that anybody but Rokt tells, one or many at once."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, g, request

from bridge.calendar.event import json_type
from bridge.errors import InvalidPayload
from bridge.outbox.enqueue import Request
from bridge.routes import incoming, subscribers
from bridge.routes.subscribers import NAME, SubscriberCall
from bridge.subscribers.facts import key_of_subscription
from bridge.web import changes, lists
from bridge.web.json_body import read
from bridge.web.outcome import digest, is_dry_run
from bridge.web.parts import Parts
from bridge.web.subscriber_dry_run import dry_run


def blueprint(parts: Parts) -> Blueprint:
    takes = Blueprint("subscribers", __name__)
    takes.before_request(parts.guard.needs("send"))
    rule = parts.settings.subscribers.rule

    @takes.post("/v1/subscribers")
    def take() -> Response:
        changes.check_configured(parts.settings)
        body, _ = read(request)
        key = incoming.key(request.headers.get("Idempotency-Key")) or None
        only_shows = is_dry_run()
        kind = lists.Kind(
            NAME,
            "subscribers",
            read=lambda item: subscribers.read(item, rule, key),
            dry_run=lambda calls: dry_run(parts, calls),
            request=lambda item, call, index: _request(parts, item, call, key, index=index),
        )
        if isinstance(body, list):
            return lists.take_many(parts, kind, body, only_shows=only_shows)
        if not isinstance(body, dict):
            told = f"The body must be an object in braces, or a list of them, not {json_type(body)}."
            raise InvalidPayload(told)
        return lists.take_one(parts, kind, body, only_shows=only_shows)

    return takes


def _request(
    parts: Parts, body: dict[str, Any], call: SubscriberCall, key: str | None, *, index: int | None = None
) -> Request:
    repeat = None
    if call.idempotency_key:
        # The header's is of the whole list, in which a subscription may begin, end and begin again.
        place = "" if index is None or body.get("idempotency_key") else str(index)
        its_id = key_of_subscription(call.change.subscription_id)
        user = call.change.identifier or call.change.subscriber_id or ""
        repeat = digest(g.key_name, NAME, call.change.action, user, its_id, place, call.idempotency_key)
    return changes.request_of(parts, NAME, body, call.change, key=key, repeat_key=repeat)
