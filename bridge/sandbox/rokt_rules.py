"""What the stand-in for Rokt Calendar accepts.

Where Braze's page and Rokt's reference disagree it holds to the stricter, and it takes no key that the bridge
does not mean to send, so that our mistakes show here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import cache
from typing import Any

from bridge.calendar.zones import catalogue
from bridge.sandbox.http import Request

Content = dict[str, Any]


class Refused(Exception):
    """One field and what would be right."""

    def __init__(self, field: str, right: str) -> None:
        super().__init__(f"{field}: {right}" if field else right)


LOCAL_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
SUBSCRIPTION = (
    "subscriptionId",
    "calendar",
    "tags",
    "timezoneId",
    "subscriptionType",
    "subscriberId",
    "emailAddress",
    "createdAt",
    "isActive",
    "deactivatedDate",
)
UTC_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def read_body(request: Request) -> dict[str, Any]:
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise Refused("Content-Type", "application/json")
    try:
        body = request.json()
    except ValueError:
        raise Refused("", "the body is not JSON") from None
    if not isinstance(body, dict):
        raise Refused("", "the body is not an object")
    return body


def check_no_body(request: Request) -> None:
    if request.body:
        raise Refused("", "a DELETE has no body")


def read_event(event: object) -> Content:
    if not isinstance(event, dict):
        raise Refused("event", "an object")
    check_keys(event, _FIELDS, "event.")
    for name, (is_required, right, is_right) in _FIELDS.items():
        if name in event and not is_right(event[name]):
            raise Refused(f"event.{name}", right)
        if is_required and name not in event:
            raise Refused(f"event.{name}", "is required")
    read_event_id(event["eventId"])
    if event["end"] < event["start"]:
        raise Refused("event.end", "is before the start")
    return event


def read_event_id(event_id: str) -> str:
    if event_id.endswith("_"):
        raise Refused("eventId", "ends in _: the user's id is missing")
    return event_id


def read_subscription_ids(ids: object) -> list[str]:
    if not isinstance(ids, list) or not ids or not all(_is_text(one) for one in ids):
        raise Refused("subscriptionIds", "a list of subscription ids, none of them blank")
    if len({one.casefold() for one in ids}) < len(ids):
        raise Refused("subscriptionIds", "an id stands twice")
    return ids


def read_subscriptions(request: Request) -> list[Content]:
    """What the sandbox is given to answer with, in the words of Rokt's GET /v1/subscription/{id}."""
    try:
        given = request.json()
    except ValueError:
        raise Refused("", "the body is not JSON") from None
    if not isinstance(given, list):
        raise Refused("", f"a list of objects with some of {', '.join(SUBSCRIPTION)}")
    for n, one in enumerate(given):
        if not isinstance(one, dict) or not _is_text(one.get("subscriptionId")):
            raise Refused(f"[{n}].subscriptionId", "is required")
        check_keys(one, SUBSCRIPTION, f"[{n}].")
    return given


def check_keys(body: Mapping[str, Any], known: Iterable[str], where: str = "") -> None:
    if unknown := sorted(body.keys() - set(known)):
        raise Refused(where + unknown[0], "is not known")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_time(value: object, form: re.Pattern[str]) -> bool:
    if not isinstance(value, str) or not form.fullmatch(value):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _is_time_zone(value: object) -> bool:
    return isinstance(value, str) and value in _time_zones()


@cache
def _time_zones() -> frozenset[object]:
    return frozenset(zone["windows"] for zone in catalogue())


def _is_minutes(value: object) -> bool:
    if type(value) is int:
        return value >= 0
    return isinstance(value, str) and value.isascii() and value.isdigit()


_FIELDS: dict[str, tuple[bool, str, Callable[[Any], bool]]] = {
    "eventId": (True, "a text", _is_text),
    "title": (True, "a text that is not blank", _is_text),
    "description": (False, "a text", lambda value: isinstance(value, str)),
    "location": (False, "a text", lambda value: isinstance(value, str)),
    "start": (True, "a local time such as 2026-12-01T09:00:00", lambda value: _is_time(value, LOCAL_TIME)),
    "end": (True, "a local time such as 2026-12-01T10:00:00", lambda value: _is_time(value, LOCAL_TIME)),
    "timezone": (True, "a Windows time zone's name", _is_time_zone),
    "notifyBefore": (False, "minutes", _is_minutes),
    "allDayEvent": (False, "true or false", lambda value: isinstance(value, bool)),
    "visibleFromDateTimeUtc": (False, "a UTC time that ends in Z", lambda value: _is_time(value, UTC_TIME)),
}
"""Name: is it required, what is right, is it."""
