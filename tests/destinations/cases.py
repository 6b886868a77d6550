"""A destination's variables and messages for the contract suite: a line in CASES for each of DESTINATIONS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from destinations.bridge_to_braze import Bridge, said
from factories import NOON, SUBSCRIPTION, a_call

from bridge.conversions.api_form import ApiEvent
from bridge.conversions.batches import batch_of
from bridge.conversions.conversion import Conversion
from bridge.database import Database
from bridge.message import Message

SECRET = "5d3c9f0e-0000-4444-8888-very-secret"
ADDRESS = "ada@example.com"
RATE = "7"


@dataclass(frozen=True)
class Case:
    """A destination's messages of one kind. `is_question`: their calls change nothing."""

    destination: str
    variables: Mapping[str, str]
    accept: Callable[[Database, int], list[Message]]
    is_question: bool = False
    a_second: int = int(RATE)
    per: Literal["call", "item"] = "call"


def events(_database: Database, count: int) -> list[Message]:
    return [a_call(number).message for number in range(count)]


def look_ups(_database: Database, count: int) -> list[Message]:
    return [
        a_call(
            number,
            action="look_up",
            account_code="",
            request={
                "subscription_id": f"{SUBSCRIPTION}{number}",
                "given_id": SUBSCRIPTION,
                "action": "update",
                "event": None,
            },
        ).message
        for number in range(count)
    ]


def subscribers(database: Database, count: int) -> list[Message]:
    """Two subscriptions of each user."""
    bridge = Bridge(database, "http://127.0.0.1:9")
    changes = [said(f"s-{number}", user=f"u-{number // 2}", email=ADDRESS) for number in range(count)]
    messages = bridge.accept(*changes)
    bridge.braze.close()
    return messages


def api_events(_database: Database, count: int) -> list[Message]:
    made = [ApiEvent(f"event-{n}", "conversion", NOON, [("email", ADDRESS)]) for n in range(count)]
    return [
        a_call(one.client_event_id, action="event", account_code="", request={"event": one.body()}).message
        for one in made
    ]


def conversions(_database: Database, count: int) -> list[Message]:
    """Two of each user, of which Rokt would know every other one again."""
    made = [
        Conversion(f"{n // 2}{ADDRESS}", attributes={"confirmationref": f"C-{n}"} if n % 2 else {"amount": n})
        for n in range(count)
    ]
    return [
        a_call(one.identity, action="conversion", account_code="", request=batch_of(one)).message
        for one in made
    ]


def audiences(_database: Database, count: int) -> list[Message]:
    """Of one list."""
    stored = {"list": "VIP", "action": "include"}
    requests = [stored | {"emails": [f"{number}{ADDRESS}", ADDRESS]} for number in range(count)]
    return [a_call("VIP", action="include", account_code="", request=one).message for one in requests]


ROKT_CALENDAR = {
    "ROKT_CALENDAR_URL": "{url}",
    "ROKT_CALENDAR_CLIENT_ID": "id",
    "ROKT_CALENDAR_CLIENT_SECRET": SECRET,
    "ROKT_CALENDAR_RATE": RATE,
}
BRAZE = {"BRAZE_REST_URL": "{url}", "BRAZE_API_KEY": SECRET, "BRAZE_TRACK_RATE": RATE}
ROKT_API = {"ROKT_API_URL": "{url}", "ROKT_ACCOUNT_ID": "1234"}
ROKT_API_V2 = ROKT_API | {"ROKT_API_KEY": "rpub-1", "ROKT_API_SECRET": SECRET}
ROKT_AUDIENCES = ROKT_API_V2 | {"ROKT_AUDIENCE_URL": "{url}"}
ROKT_API_V1 = ROKT_API | {"ROKT_APP_ID": "app-1", "ROKT_APP_SECRET": SECRET}
ROKT_EVENTS = {
    "ROKT_EVENTS_URL": "{url}/v2",
    "ROKT_EVENTS_KEY": "key",
    "ROKT_EVENTS_SECRET": SECRET,
    "ROKT_EVENTS_ENVIRONMENT": "development",
    "ROKT_EVENTS_RATE": RATE,
}
CASES = {
    "events": Case("rokt_calendar", ROKT_CALENDAR, events),
    "look_ups": Case("rokt_calendar", ROKT_CALENDAR, look_ups, is_question=True),
    "subscribers": Case("braze", BRAZE, subscribers),
    "api_events_v2": Case("rokt_api_v2", ROKT_API_V2, api_events, a_second=0),
    "api_events_v1": Case("rokt_api_v1", ROKT_API_V1, api_events, a_second=0),
    "conversions": Case("rokt_events", ROKT_EVENTS, conversions, per="item"),
    "audiences": Case("rokt_audiences", ROKT_AUDIENCES, audiences, a_second=0),
}
