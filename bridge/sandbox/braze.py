"""A stand-in for Braze's `POST /users/track`, as strict as its pages, and the profiles that it changes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bridge.sandbox.braze_profiles import Profiles
from bridge.sandbox.http import Reply, Request

OBJECTS_LIMIT = 75
BODY_LIMIT = 4 * 1024 * 1024
ARRAYS = ("attributes", "events", "purchases")
PRIMARY = ("external_id", "user_alias", "braze_id")
SECONDARY = ("email", "phone")
RESERVED = ("time", "event_name")  # no names of an event's properties


class Braze:
    """Any key is good unless one is given."""

    def __init__(self, api_key: str | None = None) -> None:
        self._api_key = api_key
        self.profiles = Profiles()

    def track(self, request: Request) -> Reply:
        key = request.headers.get("authorization", "")
        if not key.startswith("Bearer ") or (self._api_key and key != f"Bearer {self._api_key}"):
            return Reply(401, {"message": "Invalid API Key"})
        if len(request.body) > BODY_LIMIT:
            return Reply(413, {"message": "Payload too large"})
        try:
            body = request.json()
        except ValueError:
            return Reply(400, {"message": "Invalid JSON"})
        if not isinstance(body, dict) or not all(isinstance(body.get(name, []), list) for name in ARRAYS):
            return _nothing_valid([])
        if sum(len(body.get(name, [])) for name in ARRAYS) > OBJECTS_LIMIT:
            return Reply(400, {"message": "Max Input Length Exceeded"})
        return self._processed(body)

    def _processed(self, body: Mapping[str, Any]) -> Reply:
        errors: list[dict[str, Any]] = []
        answer: dict[str, Any] = {"message": "success"}
        good: dict[str, list[Any]] = {}
        for name in ARRAYS:
            things = body.get(name, [])
            faults = [_fault(name, thing) for thing in things]
            errors += [
                {"type": fault, "input_array": name, "index": index}
                for index, fault in enumerate(faults)
                if fault
            ]
            good[name] = [thing for thing, fault in zip(things, faults, strict=True) if fault is None]
            if good[name]:
                answer[f"{name}_processed"] = len(good[name])
        if len(answer) == 1:
            return _nothing_valid(errors)
        self.profiles.track(**good)
        return Reply(201, answer | ({"errors": errors} if errors else {}))


def _nothing_valid(errors: list[dict[str, Any]]) -> Reply:
    message = "Valid data must be provided in the 'attributes', 'events', or 'purchases' fields."
    return Reply(400, {"message": message, "errors": errors})


def _fault(name: str, thing: object) -> str | None:
    """What Braze would say of one object, None if it takes it."""
    if not isinstance(thing, dict):
        return "the object is not an object"
    primary = [key for key in PRIMARY if thing.get(key)]
    if len(primary) > 1:
        return "only one of 'external_id', 'braze_id' or 'user_alias' may be given"
    if not primary and not any(thing.get(key) for key in SECONDARY):
        return "'external_id', 'braze_id', 'user_alias', 'email' or 'phone' is required"
    if len(str(thing.get("external_id", "")).encode("utf-8", "replace")) > 987:
        return "EXTERNAL_USER_ID_TOO_LARGE"
    if not all(isinstance(thing.get(key) or "", str) for key in ("external_id", "braze_id", "phone")):
        return "an identifier is a text"
    if thing.get("user_alias") and not _is_alias(thing["user_alias"]):
        return "'user_alias' must have 'alias_name' and 'alias_label'"
    if thing.get("email") is not None and not (_is_text(thing["email"]) and "@" in thing["email"]):
        return "EMAIL_BAD_FORMAT"
    if name == "attributes":
        given = ((key, value) for key, value in thing.items() if key not in PRIMARY)
        return next((fault for key, value in given if (fault := _attribute_fault(key, value))), None)
    return _event_fault(thing) if name == "events" else None


def _event_fault(event: Mapping[str, Any]) -> str | None:
    if not (_is_text(event.get("name")) and _is_text(event.get("time"))):
        return "'name' and 'time' are required"
    try:
        datetime.fromisoformat(event["time"])
    except ValueError:
        return "'time' is no time of ISO 8601"
    properties = event.get("properties", {})
    if not isinstance(properties, dict):
        return "'properties' must be an object"
    for name, value in properties.items():
        if not 0 < len(name) <= 255 or name.startswith("$") or name in RESERVED:
            return f"'{name}' is no name of a property"
        if isinstance(value, str) and len(value) > 255:
            return f"'{name}' is longer than 255 characters"
    return None


def _attribute_fault(key: str, value: Any) -> str | None:
    if isinstance(value, str) and len(value) > 255:
        return f"'{key}' is longer than 255 characters"
    if isinstance(value, dict) and value.keys() & {"add", "remove"}:
        if value.keys() - {"add", "remove"}:
            return f"'{key}' has keys beside 'add' and 'remove'"
        value = [item for part in value.values() for item in (part if isinstance(part, list) else [None])]
        if not all(_is_text(item) and len(item) <= 255 for item in value):
            return f"'{key}' must add and remove arrays of texts of at most 255 characters"
    return None


def _is_alias(value: object) -> bool:
    names = ("alias_name", "alias_label")
    return isinstance(value, dict) and value.keys() == set(names) and all(map(_is_text, value.values()))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
