"""POST /v1/subscribers: changes of subscribers that anybody but Rokt tells, one or many at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog
from flask import Blueprint, Response, g, jsonify, request

from bridge.calendar.event import json_type
from bridge.errors import DatabaseUnavailable, InvalidPayload
from bridge.message import State
from bridge.outbox.enqueue import Accepted, Request
from bridge.routes import incoming, subscribers
from bridge.routes.subscribers import NAME, SubscriberCall
from bridge.subscribers.facts import key_of_subscription
from bridge.web import changes
from bridge.web.json_body import read
from bridge.web.outcome import answer, digest, is_dry_run, wait_wanted
from bridge.web.parts import Parts
from bridge.web.problems import problem
from bridge.web.subscriber_dry_run import dry_run

log = structlog.get_logger()


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
        if isinstance(body, list):
            return _many(parts, body, key, only_shows=only_shows)
        if not isinstance(body, dict):
            told = f"The body must be an object in braces, or a list of them, not {json_type(body)}."
            raise InvalidPayload(told)
        call = subscribers.read(body, rule, key)
        if only_shows or call.is_test:
            return jsonify(dry_run(parts, [call]) | {"request_id": g.request_id})
        accepted = parts.inbox.accept(_request(parts, body, call, key))
        changes.log_accepted(NAME, accepted)
        return answer(parts, accepted, wait=wait_wanted())

    return takes


def _many(parts: Parts, items: list[Any], key: str | None, *, only_shows: bool) -> Response:
    """A list: each item by itself, in order."""
    if not 1 <= len(items) <= subscribers.MOST:
        raise InvalidPayload(f"A list has from 1 to {subscribers.MOST:,} subscribers, not {len(items):,}.")
    calls: dict[int, SubscriberCall] = {}
    results: dict[int, dict[str, Any]] = {}
    for index, item in enumerate(items):
        try:
            calls[index] = _read(parts, item, key)
        except InvalidPayload as wrong:
            results[index] = {"index": index, "errors": _errors(wrong)}
    if not calls:
        return _none_is_good(list(results.values()))
    if only_shows:
        shown = dry_run(parts, list(calls.values()))
        wrong_ones = {"results": list(results.values())} if results else {}
        return jsonify(shown | wrong_ones | {"request_id": g.request_id})
    sent = {index: call for index, call in calls.items() if not call.is_test}
    results |= {i: {"index": i} | dry_run(parts, [call]) for i, call in calls.items() if call.is_test}
    requests = [_request(parts, items[i], call, key, index=i) for i, call in sent.items()]
    accepted = _accepted(parts, requests)
    results |= {i: {"index": i} | its for i, its in zip(sent, accepted, strict=True)}
    response = jsonify({"results": [results[i] for i in sorted(results)], "request_id": g.request_id})
    response.status_code = 202 if sent else 200
    return response


def _read(parts: Parts, item: object, key: str | None) -> SubscriberCall:
    if not isinstance(item, dict):
        raise InvalidPayload(f"must be an object in braces, not {json_type(item)}")
    return subscribers.read(item, parts.settings.subscribers.rule, key)


def _accepted(parts: Parts, requests: Sequence[Request]) -> list[dict[str, Any]]:
    """Errors: DatabaseUnavailable, also when it went away half-way: what is sent again then does no harm."""
    told = []
    for accepted in parts.inbox.accept_all(requests):
        if isinstance(accepted, DatabaseUnavailable):
            raise accepted
        if isinstance(accepted, Accepted):
            changes.log_accepted(NAME, accepted)
            told.append(_told(accepted))
        else:
            log.error(
                "request.failed", request_id=g.request_id, error=type(accepted).__name__, exc_info=accepted
            )
            told.append({"errors": [{"field": "", "message": "the bridge failed on this one"}]})
    return told


def _told(accepted: Accepted) -> dict[str, Any]:
    told: dict[str, Any] = {"id": accepted.ids[0]}
    if len(accepted.ids) > 1:
        told["ids"] = list(accepted.ids)
    if accepted.is_repeat:
        told["is_repeat"] = True
    elif accepted.state == State.SKIPPED:
        told |= {"state": accepted.state, "reason": accepted.reason}
    return told


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


def _errors(wrong: InvalidPayload) -> list[dict[str, str]]:
    if not wrong.errors:
        return [{"field": "", "message": wrong.detail}]
    return [{"field": error.field, "message": error.message} for error in wrong.errors]


def _none_is_good(results: list[dict[str, Any]]) -> Response:
    errors = [
        {"field": f"[{result['index']}].{error['field']}".rstrip("."), "message": error["message"]}
        for result in results[: incoming.MOST_NAMED]
        for error in result["errors"]
    ][: incoming.MOST_NAMED]
    told = f"None of the {len(results):,} subscribers of this list is right."
    return problem(InvalidPayload.status, InvalidPayload.title, told, errors, results=results)
