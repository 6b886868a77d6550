"""POST /v1/conversions: conversions for Rokt, one or many at once."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, g, request

from bridge.calendar.event import json_type
from bridge.conversions.api_form import ApiEvent, to_event
from bridge.conversions.batches import batch_of
from bridge.conversions.conversion import Conversion
from bridge.errors import FieldError, InvalidPayload, InvalidValue, NotConfigured
from bridge.message import Json, NewMessage
from bridge.outbox.enqueue import Request
from bridge.routes import api_events as events
from bridge.routes import conversions, incoming
from bridge.routes.conversions import ACTION, NAME, ConversionCall
from bridge.settings import Settings
from bridge.web import api_events, changes, lists
from bridge.web.conversion_dry_run import dry_run
from bridge.web.json_body import read
from bridge.web.outcome import digest, is_dry_run
from bridge.web.parts import Parts

LIST = "conversions"  # in which field many may stand
KEYS_OF_MANY = (LIST, "idempotency_key")
VERSIONS = {"v1": "V1", "v2": "V2"}  # of Rokt's older API, where ROKT_CONVERSIONS wants that
OFF = (
    "Rokt's Event API is off: ROKT_EVENTS_POD (or ROKT_EVENTS_URL), ROKT_EVENTS_KEY, ROKT_EVENTS_SECRET and "
    "ROKT_EVENTS_ENVIRONMENT are not set."
)


def blueprint(parts: Parts) -> Blueprint:
    takes = Blueprint("conversions", __name__)
    takes.before_request(parts.guard.needs("send"))

    @takes.post("/v1/conversions")
    def take() -> Response:
        _check_any(parts.settings)
        body, _ = read(request)
        key = incoming.key(request.headers.get("Idempotency-Key")) or None
        only_shows = is_dry_run()
        if isinstance(body, dict) and LIST in body:
            body, key = _listed(body, key)
        kind = lists.Kind(
            NAME,
            "conversions",
            read=lambda item: _read(parts, item, key),
            dry_run=lambda calls: _dry_run(parts, calls),
            request=lambda item, call, index: _request(parts, item, call, key, index),
        )
        if isinstance(body, list):
            return lists.take_many(parts, kind, body, only_shows=only_shows)
        if not isinstance(body, dict):
            told = f"The body must be an object in braces, or a list of them, not {json_type(body)}."
            raise InvalidPayload(told)
        return lists.take_one(parts, kind, body, only_shows=only_shows)

    return takes


def check_configured(settings: Settings) -> None:
    """Errors: NotConfigured."""
    if settings.rokt_events is None:
        raise NotConfigured(OFF)


def _check_any(settings: Settings) -> None:
    """That where conversions go is configured. Errors: NotConfigured."""
    if version := VERSIONS.get(settings.conversions.goes_to):
        api_events.check_configured(settings, version)
    else:
        check_configured(settings)


def request_of(
    parts: Parts,
    route: str,
    body: dict[str, Any],
    conversion: Conversion,
    message: NewMessage,
    *,
    key: str | None,
    repeat: tuple[str, ...] = (),
) -> Request:
    """`repeat`: what makes another request the same; without that the conversion's own marks do, if it has some."""
    known_by = ("request", g.key_name, route, ACTION, *repeat) if repeat else conversion.known_by
    return changes.request_of(
        parts,
        route,
        body,
        None,
        messages=(message,),
        key=key,
        repeat_key=digest(ACTION, *known_by) if known_by else None,
    )


def message_of(conversion: Conversion, batch: Json) -> NewMessage:
    """For mParticle."""
    return conversions.message_of(conversion, batch, uuid.uuid4().hex)


def _listed(body: dict[str, Any], header_key: str | None) -> tuple[Any, str | None]:
    """The list, and the key of the whole request."""
    reader = incoming.Reader()
    key = reader.read("idempotency_key", incoming.key, body.get("idempotency_key"), "")
    others = [name for name in body if name not in KEYS_OF_MANY]
    reader.refuse_unknown(others, f"stands beside {LIST}, which holds all fields", KEYS_OF_MANY)
    if not isinstance(body[LIST], list):
        reader.refuse(LIST, f"must be a list of objects, not {json_type(body[LIST])}")
    reader.check()
    return body[LIST], key or header_key


def _read(parts: Parts, item: Any, key: str | None) -> ConversionCall:
    fills_ref = parts.settings.conversions.fills_confirmation_ref
    call = conversions.read(item, key, datetime.now(UTC), fills_ref=fills_ref)
    if parts.settings.conversions.goes_to in VERSIONS:
        _event(call.conversion)  # it takes less than mParticle does
    return call


def _request(
    parts: Parts, body: dict[str, Any], call: ConversionCall, key: str | None, index: int | None
) -> Request:
    repeat: tuple[str, ...] = ()
    conversion = call.conversion
    if call.idempotency_key:
        # The header's is of the whole list, in which a user may have several.
        place = "" if index is None or body.get("idempotency_key") else str(index)
        repeat = (conversion.identity, conversion.event_id, place, call.idempotency_key)
    if version := VERSIONS.get(parts.settings.conversions.goes_to):
        message = events.message_of(_event(conversion), version, conversion.user_id)
    else:
        message = message_of(conversion, batch_of(conversion))
    if not conversion.email and body.get("email"):  # whoever wants it hashed does not want it kept
        body = body | {"email": conversion.email_sha256}
    return request_of(parts, NAME, body, conversion, message, key=key, repeat=repeat)


def _dry_run(parts: Parts, calls: Sequence[ConversionCall]) -> dict[str, Any]:
    is_test = any(call.is_test for call in calls)
    if version := VERSIONS.get(parts.settings.conversions.goes_to):
        found = [(version, _event(call.conversion)) for call in calls]
        return api_events.dry_run(parts, found, is_test=is_test)
    stored = [(call.conversion.identity, batch_of(call.conversion)) for call in calls]
    return dry_run(parts, stored, is_test=is_test)


def _event(conversion: Conversion) -> ApiEvent:
    """In the form of Rokt's older API. Errors: InvalidPayload for what that does not take."""
    try:
        return to_event(conversion, str(uuid.uuid4()), datetime.now(UTC))
    except InvalidValue as wrong:
        raise InvalidPayload.of(FieldError("attributes", str(wrong))) from wrong
