"""The whole path on a temporary database: what Braze and Rokt send, what the bridge answers, what arrives where."""

from __future__ import annotations

import base64
import json
import tempfile
import time
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from bridge.calendar.engine import compile_template
from bridge.calendar.event import CalendarEvent, parse_fields
from bridge.calendar.templates import FOLDER
from bridge.conversions.batches import source_message_id
from bridge.local import KEY, KEY_NAME, WEBHOOK_KEY, Local, ask, free_port, running
from bridge.offers.integration import SERVER_SIDE

ARRIVES_WITHIN = 10.0  # seconds
ACCOUNT = "brazetest"
FIRST, SECOND = "06423672-b6ba-4536-aa36-70788a7a0a36", "0d3a2f8e-5a35-4a38-9d4c-f5733866ade2"

# The webhook of Braze's Rokt Calendar page as Braze renders it for the user u-1 with two subscriptions: the
# reminder is a text, the end is the start. The update is the same without the subscriptions.
EVENT = {
    "eventId": "Event_0001_u-1",
    "title": "Event Title",
    "description": "Event Description",
    "location": "Event Location",
    "start": "2019-02-21T15:00:00",
    "end": "2019-02-21T15:00:00",
    "timezone": "Eastern Standard Time",
    "notifyBefore": "15",
}
CREATE = {"event": EVENT, "subscriptionIds": [FIRST, SECOND]}
UPDATE = {
    "event": EVENT
    | {"title": "Event Title, moved", "start": "2019-02-21T16:00:00", "end": "2019-02-21T16:30:00"}
}
BY_TEMPLATE = {
    "template": "flash_sale",
    "action": "upsert",
    "user_id": "u-1",
    "account_code": f"{ACCOUNT}/f5733866ade2",
    "subscription_ids": f"{FIRST},{SECOND}",
    "idempotency_key": "demo-1",
    "variables": {
        "sale_id": "winter27",
        "starts": "2027-12-03T09:00",
        "first_name": 'Ada "Countess" 👩‍💻',
        "discount": "50",
    },
}


# The sample of Rokt's page, docs.rokt.com/docs/user-guides/rokt-calendar/webhook-event-payload. It does not say who
# subscribed, so the bridge asks Rokt.
SUBSCRIPTION = "0f1d5918-052d-4915-89a7-8cc9c4d33492"
SUBSCRIBE = {
    "eventId": "0f1d5918-052d-4915-89a7-8cc9c4d33492",
    "eventType": "Subscribe",
    "eventDetails": {
        "actionType": "SubscriptionViaCalendarPage",
        "accountId": "0b98ef2c-f739-45f1-81e3-b2def2bb868f",
        "accountName": "Your Account",
        "accountCode": "your-account",
        "subscription": {
            "calendarSubscriptionId": SUBSCRIPTION,
            "calendarId": "4a2d4acb-bd05-e511-af43-067f1c947754",
            "calendarTitle": "My Sports Calendar",
            "calendarCode": "my-sports-calendar",
            "subscriptionMethod": "Google",
            "calendarTags": [{"tagId": "6513319e-d3e1-4497-89ee-b5dcee9a58bc"}],
        },
    },
}
AT_ROKT = {
    "subscriptionId": SUBSCRIPTION,
    "calendar": {"code": "my-sports-calendar", "name": "My Sports Calendar"},
    "subscriberId": "u-2",
    "emailAddress": "grace@example.com",
    "isActive": True,
}
FACTS = {
    "account_code": "your-account",
    "account_id": "0b98ef2c-f739-45f1-81e3-b2def2bb868f",
    "account_name": "Your Account",
    "calendar_code": "my-sports-calendar",
    "calendar_id": "4a2d4acb-bd05-e511-af43-067f1c947754",
    "calendar_title": "My Sports Calendar",
    "subscriber_email": "grace@example.com",
    "subscription_id": SUBSCRIPTION,
    "subscription_method": "Google",
    "tags": ["6513319e-d3e1-4497-89ee-b5dcee9a58bc"],
}
ARRAYS = {
    "rokt:account_code": ["your-account/8cc9c4d33492"],
    "rokt:account_id": ["0b98ef2c-f739-45f1-81e3-b2def2bb868f/8cc9c4d33492"],
    "rokt:account_name": ["Your Account/8cc9c4d33492"],
    "rokt:calendar_code": ["my-sports-calendar/8cc9c4d33492"],
    "rokt:calendar_id": ["4a2d4acb-bd05-e511-af43-067f1c947754/8cc9c4d33492"],
    "rokt:calendar_title": ["My Sports Calendar/8cc9c4d33492"],
    "rokt:subscriber_email": ["grace@example.com/8cc9c4d33492"],
    "rokt:subscription_id": [SUBSCRIPTION],
    "rokt:subscription_method": ["Google/8cc9c4d33492"],
    "rokt:tags": ["6513319e-d3e1-4497-89ee-b5dcee9a58bc/8cc9c4d33492"],
}


def demo() -> int:
    """Returns 0 only if the sandbox received exactly what it should, in order."""
    with tempfile.TemporaryDirectory(prefix="bridge-demo-") as folder:
        database = f"sqlite:///{Path(folder) / 'demo.db'}"
        with running(free_port(), free_port(), database, quiet=True) as local:
            print(
                f"web {local.web}, sandbox {local.sandbox}, worker beside them; SQLite in a temporary folder\n"
            )
            are_right = [
                _events(local),
                _subscriber(local),
                _offer(local),
                _audience(local),
                _conversion(local),
            ]
            are_right.append(_api_event(local))
    return 0 if all(are_right) else 1


def _events(local: Local) -> bool:
    """From Braze to Rokt."""
    basic = base64.b64encode(f"{KEY_NAME}:{KEY}".encode()).decode()
    headers = {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"}
    status, token = ask("POST", f"{local.web}/oauth2/token", b"grant_type=client_credentials", headers)
    _hop(
        "Braze asks the bridge for a token, as the page's header does",
        status,
        {"expires_in": token.get("expires_in")},
    )
    bearer = {"Authorization": f"Bearer {token.get('access_token')}", "Content-Type": "application/json"}
    path = f"/v1/subscriptionevent/{ACCOUNT}"
    for what, address, body in (
        ("the page's create, its host changed", path, CREATE),
        ("the page's update", f"{path}/update", UPDATE),
        ("an event from the template flash_sale", "/v1/calendar/events", BY_TEMPLATE),
        ("the same once more, as Braze repeats after a time-out", "/v1/calendar/events", BY_TEMPLATE),
    ):
        status, answer = ask("POST", local.web + address, body, bearer)
        _hop(f"Braze sends {what}", status, answer)
    status, answer = ask("DELETE", f"{local.web}{path}/Event_0001_u-1", None, bearer)
    _hop("Braze takes the first event back", status, answer)
    received = sorted(_received(local, "/v1/subscriptionevent"), key=_is_sale)
    return _compare("Rokt", received, _expected())


def _subscriber(local: Local) -> bool:
    """From Rokt to Braze."""
    ask("POST", f"{local.sandbox}/sandbox/subscriptions", [AT_ROKT])
    for what in ("the webhook of its page", "the same once more, as if it had seen no answer"):
        address, headers = f"/v1/rokt/webhooks/{WEBHOOK_KEY}", {"Content-Type": "application/json"}
        status, answer = ask("POST", local.web + address, SUBSCRIBE, headers)
        _hop(f"Rokt sends {what}", status, answer)
    asked = {"method": "GET", "path": f"/v1/subscription/{SUBSCRIPTION}", "body": None}
    is_right = _compare("Rokt", _received(local, "/v1/subscription/"), [asked])
    # It happened when the webhook came, which then waited for Rokt's answer.
    webhooks = [one for one in _messages(local, "destination=rokt_calendar") if one["id"] == answer.get("id")]
    happened_at = next((one["received_at"] for one in webhooks), None)
    event_key = next((one["id"] for one in _messages(local, "destination=braze")), None)
    event = {
        "external_id": "u-2",
        "name": "subscribe",
        "time": happened_at,
        "properties": FACTS | {"event_key": event_key},
    }
    adds = {name: {"add": values} for name, values in ARRAYS.items()}
    body = {"attributes": [{"external_id": "u-2", **adds}], "events": [event]}
    track = {"method": "POST", "path": "/users/track", "body": body}
    is_right &= _compare("Braze", _received(local, "/users"), [track])
    _, profiles = ask("GET", f"{local.sandbox}/sandbox/profiles")
    if [profile["attributes"] for profile in profiles] != [ARRAYS]:
        print(f"This is not what should stand in Braze: {json.dumps(profiles, ensure_ascii=False)}")
        return False
    return is_right


def _offer(local: Local) -> bool:
    """From Rokt into a message that Braze renders."""
    asked = {
        "pageIdentifier": "order_confirmation",
        "user_id": "u-1",
        "attributes": {"email": "ada@example.com"},
    }
    for what in (
        "asks for an offer, as Connected Content does",
        "asks once more, for the message's plain text",
    ):
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        status, answer = ask("POST", f"{local.web}/v1/offers", asked, headers)
        _hop(f"Braze {what}", status, {name: answer.get(name) for name in ("found", "offer")})
    body = {"pageIdentifier": asked["pageIdentifier"], "attributes": asked["attributes"]}
    select = {
        "method": "POST",
        "path": "/v2/partner/experiences",
        "body": {**body, "integration": SERVER_SIDE},
    }
    return _compare("Rokt", _received(local, "/v2/partner"), [select]) and answer.get("found") is True


def _conversion(local: Local) -> bool:
    """From Braze to Rokt's campaigns."""
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    now = round(time.time())
    told = {
        "email": "Ada@example.com",
        "user_id": "u-1",
        "amount": "129.95",
        "currency": "USD",
        "conversion_type": "purchase",
        "confirmation_ref": "C-1",
        "event_time": now,
    }
    for what in ("a conversion", "the same once more, as it repeats after a time-out"):
        status, answer = ask("POST", f"{local.web}/v1/conversions", told, headers)
        _hop(f"Braze sends {what}", status, answer)
    data = {
        "event_name": "conversion",
        "custom_event_type": "transaction",
        "timestamp_unixtime_ms": now * 1000,
        "source_message_id": source_message_id(str(answer.get("id"))),
        "custom_attributes": {
            "amount": 129.95,
            "currency": "USD",
            "conversiontype": "purchase",
            "confirmationref": "C-1",
        },
    }
    body = {
        "environment": "development",
        "user_identities": {"email": "ada@example.com", "customerid": "u-1"},
        "events": [{"event_type": "custom_event", "data": data}],
    }
    received = _received(local, "/v2/events")
    return _compare("Rokt", received, [{"method": "POST", "path": "/v2/events", "body": body}])


def _audience(local: Local) -> bool:
    """From Braze onto a list of Rokt, and off it again before it has left."""
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    updates = [
        {"action": "include", "emails": ["Ada@example.com", "grace@example.com"], "hash": True},
        {"action": "exclude", "email": "ada@example.com", "hash": True},
    ]
    status, answer = ask("POST", f"{local.web}/v1/audiences/Gold%20members", updates, headers)
    _hop("Braze puts two people on a list, and one of them off it", status, answer)
    ada, grace = (sha256(f"{name}@example.com".encode()).hexdigest() for name in ("ada", "grace"))
    body = {"accountId": "sandbox", "list": "Gold members"}
    expected = [
        {
            "method": "POST",
            "path": "/v3/import/suppression",
            "body": {**body, "action": action, "sha256s": [one]},
        }
        for action, one in (("include", grace), ("exclude", ada))
    ]
    return _compare("Rokt", _received(local, "/v3/import"), expected)


def _api_event(local: Local) -> bool:
    """From Braze to Rokt's older API, as Tealium sends events there."""
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    event = {"event_id": "order-1001", "event_time": at, "email": "ada@example.com", "amount": "129.95"}
    for what in ("an event for Rokt's older API", "the same once more"):
        status, answer = ask("POST", f"{local.web}/v1/events", event, headers)
        _hop(f"Braze sends {what}", status, answer)
    data = [{"name": name, "value": event[name]} for name in ("email", "amount")]
    sent = {"clientEventId": "order-1001", "eventType": "conversion", "eventTime": at, "objectData": data}
    path, body = "/api.rokt.com/v2/events", {"accountId": "sandbox", "events": [sent]}
    return _compare("Rokt", _received(local, path), [{"method": "POST", "path": path, "body": body}])


def _compare(who: str, received: list[dict[str, Any]], expected: list[dict[str, Any]]) -> bool:
    for call in received:
        print(f"  {who} received {call['method']} {call['path']}")
        print(f"    {json.dumps(call['body'], ensure_ascii=False)}\n" if call["body"] else "")
    if received == expected:
        told = (
            f"the {len(expected)} calls that it should, in order"
            if len(expected) > 1
            else "the call that it should"
        )
        print(f"Exactly {told}.\n")
        return True
    print("This is not what should have arrived:")
    print(json.dumps(expected, indent=2, ensure_ascii=False))
    return False


def _expected() -> list[dict[str, Any]]:
    """Lines of different events are free to overtake each other, so they are compared event by event."""
    rokt = EVENT | {"notifyBefore": 15}
    sale = {"event": _rendered("flash_sale", BY_TEMPLATE["variables"]), "subscriptionIds": [FIRST, SECOND]}
    path = f"/v1/subscriptionevent/{ACCOUNT}"
    return [
        {"method": "POST", "path": path, "body": {"event": rokt, "subscriptionIds": [FIRST, SECOND]}},
        {
            "method": "POST",
            "path": f"{path}/update",
            "body": {"event": rokt | UPDATE["event"] | {"notifyBefore": 15}},
        },
        {"method": "DELETE", "path": f"{path}/Event_0001_u-1", "body": None},
        {"method": "POST", "path": path, "body": sale},
    ]


def _rendered(name: str, variables: Any) -> dict[str, Any]:
    """What the template makes of the variables here, in this process: marketers may have changed it."""
    sources = {path.stem: path.read_text("utf-8") for path in FOLDER.glob("*.jinja")}
    fields = dict(compile_template(name, sources).render(variables, datetime.now(UTC)).fields)
    event_id = fields.pop("event_id")
    return CalendarEvent.of(parse_fields(fields)).rokt(f"{event_id}_u-1")


def _received(local: Local, path: str) -> list[dict[str, Any]]:
    """What the sandbox recorded of calls whose path begins so, once all messages have ended: nothing more comes."""
    until = time.monotonic() + ARRIVES_WITHIN
    while _messages(local, "state=accepted") + _messages(local, "state=retrying"):
        if time.monotonic() > until:
            break
        time.sleep(0.1)
    _, calls = ask("GET", f"{local.sandbox}/sandbox/calls?path={path}")
    return [{"method": call["method"], "path": call["path"], "body": call["body"] or None} for call in calls]


def _messages(local: Local, query: str) -> list[dict[str, Any]]:
    _, answer = ask("GET", f"{local.web}/v1/messages?{query}", None, {"Authorization": f"Bearer {KEY}"})
    messages: list[dict[str, Any]] = answer["messages"]
    return messages


def _is_sale(call: dict[str, Any]) -> bool:
    return bool(call["body"]) and call["body"]["event"]["eventId"].startswith("sale_")


def _hop(words: str, status: int, answer: Any) -> None:
    print(f"  {words}: {status} {json.dumps(answer, ensure_ascii=False)}")
