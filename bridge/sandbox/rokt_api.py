"""A stand-in for Rokt's older event API (api.rokt.com, v1 and v2), as strict as its page, and the events it took."""

from __future__ import annotations

import base64
import binascii
import json
import threading
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from bridge.sandbox.http import Reply, Request
from bridge.sandbox.tokens import Tokens

HOST = "/api.rokt.com"  # before its paths, which mParticle has too
VERSION = "2020-05-21"
TOKEN_SECONDS = 3600
MOST_EVENTS = 100
MOST = {"accountId": 64, "clientEventId": 36, "eventType": 128}  # characters
MOST_NAME, MOST_VALUE = 256, 65_536
OLDEST, MOST_AHEAD = timedelta(days=550), timedelta(minutes=5)  # 18 months are never longer
EVENT_KEYS = {"clientEventId", "eventType", "eventTime", "objectData", "metaData"}
IDENTITIES = {"email", "emailsha256", "passbackconversiontrackingid"}
EVENTS_KEPT = KEYS_KEPT = 100_000


class RoktApi:
    """Any app and any pair of keys are good, unless a pair of keys is given."""

    def __init__(self, keys: tuple[str, str] | None = None, account_id: str | None = None) -> None:
        self.tokens = Tokens(None, None, TOKEN_SECONDS)
        self._keys = keys
        self._account_id = account_id
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Tokens stay good."""
        with self._lock:
            self._events: dict[tuple[str, str, str], Any] = {}
            self._seen: dict[str, None] = {}

    def shown(self) -> list[Any]:
        """What was taken, each event once."""
        with self._lock:
            return list(self._events.values())

    def v1(self, request: Request) -> Reply:
        if not self.tokens.take(request):
            return _refused(401, "UnauthorizedError", "no valid bearer token")
        if key := request.headers.get("idempotency-key"):
            with self._lock:
                if key in self._seen:
                    return _refused(409, "Conflict", "this Idempotency-Key was seen before")
        reply = self._take(request)
        if key and reply.status == 200:
            with self._lock:
                self._seen[key] = None
                _forget(self._seen, KEYS_KEPT)
        return reply

    def v2(self, request: Request) -> Reply:
        if not self._is_known(request.headers.get("authorization", "")):
            return _refused(401, "UnauthorizedError", "no valid pair of keys")
        return self._take(request)

    def _take(self, request: Request) -> Reply:
        if request.headers.get("rokt-version", "") not in ("", VERSION):
            return _refused(400, "RequestValidationError", f"Rokt-Version is not {VERSION}")
        try:
            text = request.body.decode()
        except UnicodeDecodeError:
            return _refused(400, "RequestBodyReadError", "the body is not UTF-8")
        try:
            body = json.loads(text)
        except (ValueError, RecursionError):
            return _refused(400, "RequestJsonUnmarshalError", "the body is not JSON")
        if fault := _fault_of_all(body):
            return _refused(400, "RequestValidationError", fault)
        if self._account_id not in (None, body["accountId"]):
            return _refused(403, "Forbidden", "the account is another's")
        unprocessed = []
        for event in body["events"]:
            if fault := _fault_of(event):
                error = {"code": "ValidationError", "message": fault}
                unprocessed.append({"error": error, "record": event})
            else:
                with self._lock:
                    self._events[body["accountId"], event["eventType"], event["clientEventId"]] = event
                    _forget(self._events, EVENTS_KEPT)
        return Reply(200, {"data": {"unprocessedRecords": unprocessed}})

    def _is_known(self, authorization: str) -> bool:
        scheme, _, encoded = authorization.partition(" ")
        try:
            key, colon, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        return scheme == "Basic" and bool(key and colon and secret) and self._keys in (None, (key, secret))


def _fault_of_all(body: Any) -> str | None:
    """Why the whole call is refused."""
    if not isinstance(body, dict) or body.keys() - {"accountId", "events"}:
        return "accountId and events are expected"
    if not _is_text(body.get("accountId"), MOST["accountId"]):
        return "accountId is required, at most 64 characters"
    events = body.get("events")
    if not isinstance(events, list) or not 1 <= len(events) <= MOST_EVENTS:
        return f"1 to {MOST_EVENTS} events are expected"
    for event in events:
        if not isinstance(event, dict) or event.keys() - EVENT_KEYS:
            return f"an event has {', '.join(sorted(EVENT_KEYS))}"
        for name in ("clientEventId", "eventType"):
            if not _is_text(event.get(name), MOST[name]):
                return f"{name} is required, at most {MOST[name]} characters"
        if fault := _fault_of_time(event.get("eventTime")):
            return fault
    return None


def _fault_of_time(given: Any) -> str | None:
    try:
        at = datetime.fromisoformat(given)
    except (TypeError, ValueError):
        return "eventTime is required, as RFC 3339 has it"
    if at.utcoffset() != timedelta(0):
        return "eventTime is in UTC"
    now = datetime.now(UTC)
    if not now - OLDEST <= at <= now + MOST_AHEAD:
        return "eventTime is older than 18 months or more than 5 minutes ahead"
    return None


def _fault_of(event: Mapping[str, Any]) -> str | None:
    """Why one event is not processed."""
    for field in ("objectData", "metaData"):
        pairs = event.get(field, [])
        if not isinstance(pairs, list):
            return f"{field} is a list"
        for pair in pairs:
            if not isinstance(pair, dict) or pair.keys() != {"name", "value"}:
                return f"{field} has name and value"
            if not _is_text(pair["name"], MOST_NAME) or pair["name"].lower().startswith("rokt."):
                return (
                    f"{field}: a name is a text of at most {MOST_NAME} characters, without the prefix rokt."
                )
            if not isinstance(pair["value"], str) or len(pair["value"]) > MOST_VALUE:
                return f"{field}: a value is a text of at most {MOST_VALUE} characters"
    if event["eventType"] == "conversion" and not _names(event) & IDENTITIES:
        return f"a conversion has one of {', '.join(sorted(IDENTITIES))}"
    return None


def _names(event: Mapping[str, Any]) -> set[str]:
    return {pair["name"] for pair in event.get("objectData", ()) if pair["value"]}


def _is_text(value: Any, most: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= most


def _refused(status: int, code: str, message: str) -> Reply:
    return Reply(status, {"data": {"code": code, "message": message}})


def _forget(kept: dict[Any, Any], most: int) -> None:
    """The oldest go first."""
    oldest: Iterable[Any] = list(islice(kept, max(0, len(kept) - most)))
    for key in oldest:
        del kept[key]
