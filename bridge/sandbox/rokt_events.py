"""A stand-in for Rokt's Event API on mParticle, as strict as its documents: `/v2/events` and `/v2/bulkevents`."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from bridge.sandbox.http import Reply, Request

MOST_REQUEST, MOST_BATCH = 256_000, 128_000  # bytes
MOST_BATCHES, MOST_USER_ATTRIBUTES = 100, 100
MOST_NAME, MOST_VALUE = 256, 4_096  # characters
ENVIRONMENTS = ("development", "production")
SCALARS = (str, int, float, bool, type(None))


class RoktEvents:
    """Any pair is good unless one is given: a key and its secret."""

    def __init__(self, pair: tuple[str, str] | None = None) -> None:
        self._pair = pair

    def event(self, request: Request) -> Reply:
        """One batch."""
        refusal, body = self._read(request)
        if refusal is not None:
            return refusal
        fault = _fault(body)
        return _refused([fault]) if fault else _taken()

    def bulk(self, request: Request) -> Reply:
        """An array of batches: what is wrong is named, the rest is taken."""
        refusal, body = self._read(request)
        if refusal is not None:
            return refusal
        if not isinstance(body, list) or not 1 <= len(body) <= MOST_BATCHES:
            return _refused([f"an array of 1 to {MOST_BATCHES} batches is expected"])
        starts = _starts(request.body.decode("utf-8", "replace"), len(body))
        faults = [
            f"{fault} Path '[{index}]', line 1, position {start + 1}."
            for index, (batch, start) in enumerate(zip(body, starts, strict=True))
            if (fault := _fault(batch)) is not None
        ]
        if not faults:
            return _taken()
        return _refused(faults) if len(body) == 1 else Reply(202, _errors(faults))

    def _read(self, request: Request) -> tuple[Reply | None, Any]:
        given = request.headers.get("authorization", "")
        if not given:
            return Reply(401, _errors(["the Authorization header is missing"], "UNAUTHORIZED")), None
        if not self._is_known(given):
            return Reply(403, _errors(["the key is not known"], "FORBIDDEN")), None
        if len(request.body) > MOST_REQUEST:
            return Reply(413, _errors(["the request is larger than 256 kB"])), None
        if not request.headers.get("content-type", "").startswith("application/json"):
            return Reply(415, _errors(["send application/json"])), None
        try:
            return None, request.json()
        except ValueError:
            return _refused(["the body is not JSON"]), None

    def _is_known(self, authorization: str) -> bool:
        scheme, _, encoded = authorization.partition(" ")
        try:
            key, colon, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        return scheme == "Basic" and bool(colon and key) and self._pair in (None, (key, secret))


def _taken() -> Reply:
    return Reply(202, "")


def _refused(faults: list[str]) -> Reply:
    return Reply(400, _errors(faults))


def _errors(faults: list[str], code: str = "BAD_REQUEST") -> dict[str, Any]:
    """In mParticle's form, HTML-escaped as it does."""
    escaped = [fault.replace("&", "&amp;").replace('"', "&quot;") for fault in faults]
    return {"errors": [{"code": code, "message": message} for message in escaped]}


def _fault(batch: Any) -> str | None:
    """What mParticle and Rokt would say of one batch, None if they take it."""
    if not isinstance(batch, dict):
        return "A batch is an object."
    if (
        len(json.dumps(batch, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"))
        > MOST_BATCH
    ):
        return "A batch is larger than 128 kB."
    if batch.get("environment") not in ENVIRONMENTS:
        return "Required property 'environment' is development or production."
    identities = batch.get("user_identities")
    if not isinstance(identities, dict) or not (identities.get("email") or identities.get("other")):
        return "One of user_identities.email and user_identities.other is required."
    if "@" in str(identities.get("other", "")):
        return "user_identities.other is a hashed address."
    attributes = batch.get("user_attributes", {})
    if not isinstance(attributes, dict) or len(attributes) > MOST_USER_ATTRIBUTES:
        return f"user_attributes are at most {MOST_USER_ATTRIBUTES}."
    if fault := _attributes_fault(attributes):
        return fault
    events = batch.get("events")
    if not isinstance(events, list) or not events:
        return "Required property 'events' is missing."
    return next((fault for event in events if (fault := _event_fault(event))), None)


def _event_fault(event: Any) -> str | None:
    if not isinstance(event, dict) or event.get("event_type") != "custom_event":
        return "event_type must be custom_event."
    data = event.get("data")
    if not isinstance(data, dict) or data.get("event_name") != "conversion":
        return "event_name must be conversion."
    if "custom_event_type" not in data:
        return "Required property 'custom_event_type' not found in JSON."
    at = data.get("timestamp_unixtime_ms", 10**12)  # the server's own time, where it is missing
    if not isinstance(at, int) or len(str(at)) != 13:
        return "timestamp_unixtime_ms is a whole number of 13 digits."
    attributes = data.get("custom_attributes", {})
    if not isinstance(attributes, dict):
        return "custom_attributes is an object."
    return _attributes_fault(attributes)


def _attributes_fault(attributes: Mapping[str, Any]) -> str | None:
    for name, value in attributes.items():
        if len(name) > MOST_NAME:
            return f'The name "{name[:20]}…" is longer than {MOST_NAME} characters.'
        if not isinstance(value, SCALARS):
            return f"Error reading string. Unexpected token: StartObject. Name '{name}'."
        if isinstance(value, str) and len(value) > MOST_VALUE:
            return f'The value of "{name}" is longer than {MOST_VALUE} characters.'
    return None


def _starts(text: str, count: int) -> list[int]:
    """Where each element of an array begins."""
    decoder, starts, at = json.JSONDecoder(), [], text.index("[") + 1
    for _ in range(count):
        at += len(text[at:]) - len(text[at:].lstrip(" \n\r\t,"))
        starts.append(at)
        at = decoder.raw_decode(text, at)[1]
    return starts
