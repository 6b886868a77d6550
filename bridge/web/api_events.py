"""POST /v1/events: events for Rokt's older API, one or many at once, and Rokt's own body where it sends it itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from flask import Blueprint, Response, g, jsonify, request

from bridge.calendar.event import json_type
from bridge.conversions.api_calls import Limits, calls_of
from bridge.conversions.api_form import HEADERS, PATHS, ApiEvent, call_body
from bridge.conversions.batches import size_of
from bridge.errors import Answerable, InvalidPayload, NotConfigured
from bridge.outbox.enqueue import Request
from bridge.routes import api_events, incoming
from bridge.routes.api_events import ACCOUNT_ID, LIST, NAME, EventCall
from bridge.settings import RoktApiSettings, Settings
from bridge.web import changes, lists
from bridge.web.json_body import read
from bridge.web.outcome import digest, is_dry_run
from bridge.web.parts import Parts
from bridge.web.problems import of_answerable
from bridge.web.shown import shown

DROPIN = "rokt.api_events"
TEST = "a test of Braze: nothing was sent"
# Rokt's words for a body that it does not take, for one event of it, and for its own trouble.
WRONG, WRONG_EVENT, UNAVAILABLE = "RequestValidationError", "ValidationError", "ServiceUnavailableError"
_VARIABLES = {
    "V2": "ROKT_ACCOUNT_ID, ROKT_API_KEY and ROKT_API_SECRET",
    "V1": "ROKT_ACCOUNT_ID, ROKT_APP_ID and ROKT_APP_SECRET",
}


def blueprint(parts: Parts) -> Blueprint:
    takes = Blueprint("api_events", __name__)
    takes.before_request(parts.guard.needs("send"))

    @takes.post("/v1/events")
    def take() -> Response:
        body, _ = read(request)
        key = incoming.key(request.headers.get("Idempotency-Key")) or None
        if isinstance(body, dict) and ACCOUNT_ID in body:
            return take_rokts(parts, body, "V1")
        check_any_configured(parts.settings)
        only_shows = is_dry_run()
        if isinstance(body, dict) and LIST in body:
            items, version, its_key = api_events.read_list(body, key)
            return lists.take_many(parts, _kind(parts, version, its_key), items, only_shows=only_shows)
        if isinstance(body, list):
            return lists.take_many(parts, _kind(parts, "V1", key), body, only_shows=only_shows)
        if not isinstance(body, dict):
            told = f"The body must be an object in braces, or a list of them, not {json_type(body)}."
            raise InvalidPayload(told)
        return lists.take_one(parts, _kind(parts, "V2", key), body, only_shows=only_shows)

    return takes


def take_rokts(parts: Parts, body: dict[str, Any], version: str) -> Response:
    """Rokt's own body. What Rokt would say of events that it does not take stands in the answer too."""
    try:
        check_configured(parts.settings, version)
        key = incoming.key(request.headers.get("Idempotency-Key")) or None
        only_shows = is_dry_run()
        api = parts.settings.rokt_api
        items = api_events.read_dropin(body, api.account_id if api else None)
        now = datetime.now(UTC)
        kind = _kind_of(
            parts, DROPIN, key, lambda item: api_events.read_rokts(item, now, key, version=version)
        )
        response = lists.take_many(parts, kind, items, only_shows=only_shows)
    except Answerable as error:
        code = WRONG if error.status < 500 else UNAVAILABLE
        return of_answerable(error, data={"code": code, "message": error.detail})
    return _with_unprocessed(response, items)


def check_configured(settings: Settings, version: str) -> None:
    """Errors: NotConfigured."""
    api = settings.rokt_api
    if api is None or (api.key if version == "V2" else api.app) is None:
        told = f"Rokt's older API is off in version {version}: {_VARIABLES[version]} are not set."
        if version == "V1" and api is not None and api.key is not None:
            told += ' With "version": "V2" an event goes by the key that is.'
        raise NotConfigured(told)


def check_any_configured(settings: Settings) -> None:
    """Errors: NotConfigured."""
    api = settings.rokt_api
    if api is None or (api.key is None and api.app is None):
        told = " or ".join(f"{its} (version {version})" for version, its in _VARIABLES.items())
        raise NotConfigured(f"Rokt's older API is off: {told} are not set.")


def dry_run(parts: Parts, events: Sequence[tuple[str, ApiEvent]], *, is_test: bool) -> dict[str, Any]:
    """Exactly what would leave if nothing else waited, without Authorization. `events`: each with its version."""
    api = parts.settings.rokt_api
    assert api is not None, "nothing is accepted for it while it is off"
    limits = Limits.of(api.account_id, parts.settings.batch.count, parts.settings.batch.size)
    requests = [
        _shown(api, version, some)
        for version in PATHS
        for some in _calls([event for its, event in events if its == version], limits)
    ]
    return {"dry_run": True, "requests": requests} | ({"reason": TEST} if is_test else {})


def _kind(parts: Parts, version: str, key: str | None) -> lists.Kind[EventCall]:
    """`version`: of an event that names none."""
    now = datetime.now(UTC)
    fills_ref = parts.settings.conversions.fills_confirmation_ref

    def its(item: Any) -> EventCall:
        call = api_events.read(item, now, key, version=version, fills_ref=fills_ref)
        check_configured(parts.settings, call.version)
        return call

    return _kind_of(parts, NAME, key, its)


def _kind_of(
    parts: Parts, route: str, key: str | None, reads: Callable[[Any], EventCall]
) -> lists.Kind[EventCall]:
    return lists.Kind(
        route,
        "events",
        read=reads,
        dry_run=lambda calls: dry_run(
            parts, [(call.version, call.event) for call in calls], is_test=any(call.is_test for call in calls)
        ),
        request=lambda item, call, index: _request(parts, route, item, call, key, index),
    )


def _request(
    parts: Parts, route: str, item: dict[str, Any], call: EventCall, key: str | None, index: int | None
) -> Request:
    """Of what asks for a hash the event as it leaves is all that is kept."""
    repeat = None
    if call.idempotency_key and not call.is_named:
        # The header's is of the whole list, in which a user may have several.
        place = "" if index is None or item.get("idempotency_key") else str(index)
        told = (g.key_name, NAME, call.version, call.event.event_type, call.identity)
        repeat = digest(*told, *call.known_by, place, call.idempotency_key)
    elif call.known_by:
        repeat = digest(NAME, call.version, *call.known_by)
    event = call.event.body()
    kept = {"version": call.version, "event": event} if item.get("hash") else item
    asked = changes.request_of(parts, route, kept, None, messages=(call.message,), key=key, repeat_key=repeat)
    return replace(asked, size=asked.size + size_of(event))


def _calls(events: Sequence[ApiEvent], limits: Limits) -> Iterator[list[dict[str, Any]]]:
    bodies = iter([event.body() for event in events])
    for size, _is_full in calls_of([(event.body(), None) for event in events], limits):
        yield list(islice(bodies, size))


def _shown(api: RoktApiSettings, version: str, events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return shown("POST", api.url + PATHS[version], call_body(api.account_id, events), HEADERS)


def _with_unprocessed(response: Response, items: Sequence[Any]) -> Response:
    """As Rokt tells of single events."""
    told = response.get_json()
    unprocessed = [
        {"error": {"code": WRONG_EVENT, "message": _words(one["errors"])}, "record": items[one["index"]]}
        for one in told.get("results", ())
        if "errors" in one
    ]
    whole = jsonify(told | {"data": {"unprocessedRecords": unprocessed}})
    whole.status_code = response.status_code
    whole.headers["Content-Type"] = response.headers["Content-Type"]
    return whole


def _words(errors: Sequence[dict[str, str]]) -> str:
    return "; ".join(f"{error['field']}: {error['message']}".lstrip(": ") for error in errors)
