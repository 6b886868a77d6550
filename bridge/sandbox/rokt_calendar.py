"""A stand-in for Rokt Calendar: its endpoints, and what stands in each subscriber's calendar."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from itertools import islice
from typing import Any
from urllib.parse import unquote

from bridge.sandbox.http import Reply, Request
from bridge.sandbox.rokt_rules import (
    Content,
    Refused,
    check_keys,
    check_no_body,
    read_body,
    read_event,
    read_event_id,
    read_subscription_ids,
    read_subscriptions,
)
from bridge.sandbox.tokens import Tokens

EVENTS_KEPT = SUBSCRIPTIONS_KEPT = 100_000
"""The oldest go first: a benchmark must not fill the memory."""

Action = Callable[..., Reply]


def _guarded(action: Action) -> Action:
    """The action behind a valid token, with its path's segments decoded; its refusals as Rokt words them."""

    @wraps(action)
    def answer(self: RoktCalendar, request: Request, *segments: str) -> Reply:
        if not self.tokens.take(request):
            return Reply(401, {"Code": "Unauthorized", "Reason": "no valid bearer token"})
        try:
            return action(self, request, *map(unquote, segments))
        except Refused as refusal:
            return Reply(400, {"Code": "BadRequest", "Reason": str(refusal)})

    return answer


class RoktCalendar:
    """A create sets the event in the calendars of its own ids alone; an update sets it wherever it stands.

    `refuses_repeats`: a create for an id that holds the event is a 400 (Rokt's pages do not say what it is).
    """

    def __init__(self, tokens: Tokens, refuses_repeats: bool = False) -> None:
        self.tokens = tokens
        self._refuses_repeats = refuses_repeats
        self._lock = threading.Lock()
        self._events: dict[tuple[str, str], dict[str, Content]] = {}
        self._subscriptions: dict[str, Content] = {}

    def clear(self) -> None:
        with self._lock:
            self._events.clear()
            self._subscriptions.clear()

    def give(self, request: Request) -> Reply:
        """Subscriptions to answer with, those with the same ids as before in their place."""
        try:
            given = read_subscriptions(request)
        except Refused as refusal:
            return Reply(422, {"error": str(refusal)})
        with self._lock:
            for one in given:
                self._subscriptions[one["subscriptionId"].casefold()] = one
            while len(self._subscriptions) > SUBSCRIPTIONS_KEPT:
                del self._subscriptions[next(iter(self._subscriptions))]
        return Reply(201, {"given": len(given)})

    def calendars(self, last: int | None = None) -> list[dict[str, Any]]:
        """One for each event that stands in a calendar, or the `last` of them: its account, its id, and its
        content at each holder."""
        with self._lock:
            newest = islice((one for one in reversed(self._events.items()) if one[1]), last)
            found = [
                {"account_code": account, "event_id": event_id, "holders": dict(holders)}
                for (account, event_id), holders in newest
            ]
        return found[::-1]

    @_guarded
    def create(self, request: Request, account: str) -> Reply:
        body = read_body(request)
        if account == "update":
            raise Refused("accountCode", "is blank: this is the path of an update")
        check_keys(body, ("event", "subscriptionIds"))
        event, ids = read_event(body.get("event")), read_subscription_ids(body.get("subscriptionIds"))
        with self._lock:
            holders = self._events.setdefault((account, event["eventId"]), {})
            if self._refuses_repeats and holders.keys() & set(ids):
                raise Refused("eventId", "this event exists")
            holders.update(dict.fromkeys(ids, event))
            if len(self._events) > EVENTS_KEPT:
                del self._events[next(iter(self._events))]
        return Reply(202)

    @_guarded
    def update(self, request: Request, account: str) -> Reply:
        """Wrapped as on Braze's page, or flat as in Rokt's reference. Of an unknown event: taken, without effect."""
        body = read_body(request)
        if "event" in body:
            check_keys(body, ("event",))
        event = read_event(body.get("event", body))
        with self._lock:
            holders = self._events.get((account, event["eventId"]), {})
            holders.update(dict.fromkeys(holders, event))
        return Reply(202)

    @_guarded
    def delete(self, request: Request, account: str, event_id: str) -> Reply:
        check_no_body(request)
        with self._lock:
            self._events.pop((account, read_event_id(event_id)), None)
        return Reply(202)

    @_guarded
    def delete_for_one(self, request: Request, account: str, subscription: str, event_id: str) -> Reply:
        check_no_body(request)
        with self._lock:
            self._events.get((account, read_event_id(event_id)), {}).pop(subscription, None)
        return Reply(202)

    @_guarded
    def subscription(self, request: Request, subscription: str) -> Reply:
        """One that was given as it was given; any other is active, and nothing more is known of it."""
        with self._lock:
            events = [holders[subscription] for holders in self._events.values() if subscription in holders]
            given = self._subscriptions.get(subscription.casefold(), {"subscriptionId": subscription})
        return Reply(200, {"isActive": True, **given, "events": events})
