"""A stand-in for Rokt Calendar: tokens, events, and what stands in each subscriber's calendar.

Where Braze's page and Rokt's reference disagree it holds to the stricter, so that our mistakes show here.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, unquote

from bridge.calendar.zone_names import WINDOWS_ZONES
from bridge.sandbox.http import Reply, Request

TOKEN_SECONDS = 300

Content = dict[str, Any]


class RoktCalendar:
    """Any client id and secret are good unless they are given. `clock`: monotonic.

    A create sets the event in the calendars of its own ids alone; an update sets it wherever it stands.
    `refuses_repeats`: a create for an id that holds the event is a 400 (Rokt's pages do not say what it is).
    """

    def __init__(
        self,
        client_id: str | None = None,
        client_secret: str | None = None,
        token_seconds: int = TOKEN_SECONDS,
        refuses_repeats: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._credential = (client_id, client_secret)
        self._token_seconds = token_seconds
        self._refuses_repeats = refuses_repeats
        self._clock = clock
        self._tokens: dict[str, float] = {}
        self._lock = threading.Lock()
        self._events: dict[tuple[str, str], dict[str, Content]] = {}

    def clear(self) -> None:
        with self._lock:
            self._events.clear()

    def revoke_tokens(self) -> None:
        with self._lock:
            self._tokens.clear()

    def calendars(self) -> list[dict[str, Any]]:
        """One for each event that stands in a calendar: its account, its id and each holder's content."""
        with self._lock:
            return [
                {
                    "account_code": account,
                    "event_id": event_id,
                    "holders": {k: dict(v) for k, v in holders.items()},
                }
                for (account, event_id), holders in self._events.items()
                if holders
            ]

    def token(self, request: Request) -> Reply:
        form = parse_qs(request.body.decode("utf-8", "replace"))
        if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            return Reply(400, {"error": "invalid_request"})
        if form.get("grant_type") != ["client_credentials"]:
            return Reply(400, {"error": "unsupported_grant_type"})
        if not self._is_known(request.headers.get("authorization", "")):
            return Reply(401, {"error": "invalid_client"}, {"WWW-Authenticate": "Basic"})
        token, now = secrets.token_urlsafe(24), self._clock()
        with self._lock:
            self._tokens = {known: end for known, end in self._tokens.items() if end > now}
            self._tokens[token] = now + self._token_seconds
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": self._token_seconds}
        return Reply(200, answer, {"Cache-Control": "no-store"})

    def create(self, request: Request, account: str) -> Reply:
        body = _body(request)
        _unknown(body, {"event", "subscriptionIds"}, "")
        event = _event(body.get("event"))
        ids = body.get("subscriptionIds")
        if not isinstance(ids, list) or not ids or not all(_is_text(one) for one in ids):
            raise Refused("subscriptionIds", "a list of subscription ids, none of them blank")
        if len({one.casefold() for one in ids}) < len(ids):
            raise Refused("subscriptionIds", "an id stands twice")
        with self._lock:
            holders = self._events.setdefault((unquote(account), event["eventId"]), {})
            if self._refuses_repeats and holders.keys() & set(ids):
                raise Refused("eventId", "the event exists")
            holders.update(dict.fromkeys(ids, event))
        return Reply(202)

    def update(self, request: Request, account: str) -> Reply:
        body = _body(request)
        wrapped = "event" in body
        if wrapped:
            _unknown(body, {"event"}, "")
        event = _event(body["event"] if wrapped else body)
        with self._lock:
            holders = self._events.get((unquote(account), event["eventId"]), {})
            holders.update(dict.fromkeys(holders, event))
        return Reply(202)

    def delete(self, request: Request, account: str, event_id: str) -> Reply:
        _no_body(request)
        with self._lock:
            self._events.pop((unquote(account), _event_id(unquote(event_id))), None)
        return Reply(202)

    def delete_from_one(self, request: Request, account: str, subscription: str, event_id: str) -> Reply:
        _no_body(request)
        with self._lock:
            holders = self._events.get((unquote(account), _event_id(unquote(event_id))), {})
            holders.pop(unquote(subscription), None)
        return Reply(202)

    def subscription(self, request: Request, subscription: str) -> Reply:
        subscription = unquote(subscription)
        with self._lock:
            events = [holders[subscription] for holders in self._events.values() if subscription in holders]
        return Reply(200, {"subscriptionId": subscription, "isActive": True, "events": events})

    def guarded(self, action: Callable[..., Reply]) -> Callable[..., Reply]:
        """The action behind a valid token, its refusals as Rokt says them."""

        def answer(request: Request, *segments: str) -> Reply:
            scheme, _, token = request.headers.get("authorization", "").partition(" ")
            with self._lock:
                is_valid = scheme == "Bearer" and self._tokens.get(token, 0.0) > self._clock()
            if not is_valid:
                return Reply(401, {"Code": "Unauthorized", "Reason": "no valid bearer token"})
            try:
                return action(request, *segments)
            except Refused as refusal:
                return Reply(400, {"Code": "BadRequest", "Reason": str(refusal)})

        return answer

    def _is_known(self, authorization: str) -> bool:
        scheme, _, encoded = authorization.partition(" ")
        try:
            given = tuple(base64.b64decode(encoded, validate=True).decode().split(":", 1))
        except (binascii.Error, UnicodeDecodeError):
            return False
        if scheme != "Basic" or len(given) != 2 or not all(given):
            return False
        return all(
            known is None or known == said for known, said in zip(self._credential, given, strict=True)
        )


class Refused(Exception):
    """One field and what would be right."""

    def __init__(self, field: str, right: str) -> None:
        super().__init__(f"{field}: {right}" if field else right)


LOCAL_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
UTC_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def _body(request: Request) -> dict[str, Any]:
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise Refused("Content-Type", "application/json")
    try:
        body = request.json()
    except ValueError:
        raise Refused("", "the body is not JSON") from None
    if not isinstance(body, dict):
        raise Refused("", "the body is not an object")
    return body


def _no_body(request: Request) -> None:
    if request.body:
        raise Refused("", "a DELETE has no body")


def _event(event: object) -> Content:
    if not isinstance(event, dict):
        raise Refused("event", "an object")
    _unknown(event, _FIELDS.keys(), "event.")
    for name, (is_required, right, is_right) in _FIELDS.items():
        if name in event and not is_right(event[name]):
            raise Refused(f"event.{name}", right)
        if is_required and name not in event:
            raise Refused(f"event.{name}", "is required")
    _event_id(event["eventId"])
    if event["end"] < event["start"]:
        raise Refused("event.end", "is before the start")
    return event


def _event_id(event_id: str) -> str:
    if event_id.endswith("_"):
        raise Refused("eventId", "ends in _: the user's id is missing")
    return event_id


def _unknown(body: Mapping[str, Any], known: Any, where: str) -> None:
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


def _is_minutes(value: object) -> bool:
    return type(value) is int or (isinstance(value, str) and value.isascii() and value.isdigit())


_FIELDS: dict[str, tuple[bool, str, Callable[[Any], bool]]] = {
    "eventId": (True, "a text", _is_text),
    "title": (True, "a text that is not blank", _is_text),
    "description": (False, "a text", lambda value: isinstance(value, str)),
    "location": (False, "a text", lambda value: isinstance(value, str)),
    "start": (True, "a local time such as 2026-12-01T09:00:00", lambda value: _is_time(value, LOCAL_TIME)),
    "end": (True, "a local time such as 2026-12-01T10:00:00", lambda value: _is_time(value, LOCAL_TIME)),
    "timezone": (True, "a Windows time zone's name", lambda value: value in WINDOWS_ZONES),
    "notifyBefore": (False, "minutes", _is_minutes),
    "allDayEvent": (False, "true or false", lambda value: isinstance(value, bool)),
    "visibleFromDateTimeUtc": (False, "a UTC time that ends in Z", lambda value: _is_time(value, UTC_TIME)),
}
"""Name: is it required, what is right, is it."""
