"""The whole path on a temporary database: what Braze sends, what the bridge answers, what arrives at Rokt."""

from __future__ import annotations

import base64
import json
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bridge.calendar.engine import compile_template
from bridge.calendar.event import CalendarEvent, parse_fields
from bridge.calendar.templates import FOLDER
from bridge.local import KEY, KEY_NAME, Local, ask, free_port, running

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


def demo() -> int:
    """Returns 0 only if the sandbox received exactly what it should, in order."""
    with tempfile.TemporaryDirectory(prefix="bridge-demo-") as folder:
        database = f"sqlite:///{Path(folder) / 'demo.db'}"
        with running(free_port(), free_port(), database, quiet=True) as local:
            return _walk(local)


def _walk(local: Local) -> int:
    print(f"web {local.web}, sandbox {local.sandbox}, worker beside them; SQLite in a temporary folder\n")
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
    expected = _expected()
    received = _received(local, len(expected))
    for call in received:
        print(f"  Rokt received {call['method']} {call['path']}")
        print(f"    {json.dumps(call['body'], ensure_ascii=False)}\n" if call["body"] else "")
    if received == expected:
        print(f"Exactly the {len(expected)} calls that it should, in order.")
        return 0
    print("This is not what should have arrived:")
    print(json.dumps(expected, indent=2, ensure_ascii=False))
    return 1


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


def _received(local: Local, count: int) -> list[dict[str, Any]]:
    """What the sandbox recorded of events, once nothing more comes."""
    until = time.monotonic() + ARRIVES_WITHIN
    while True:
        _, calls = ask("GET", f"{local.sandbox}/sandbox/calls")
        found = [
            {"method": call["method"], "path": call["path"], "body": call["body"] or None}
            for call in calls
            if call["path"].startswith("/v1/subscriptionevent")
        ]
        if len(found) >= count or time.monotonic() > until:
            return sorted(found, key=_is_sale)
        time.sleep(0.1)


def _is_sale(call: dict[str, Any]) -> bool:
    return bool(call["body"]) and call["body"]["event"]["eventId"].startswith("sale_")


def _hop(words: str, status: int, answer: Any) -> None:
    print(f"  {words}: {status} {json.dumps(answer, ensure_ascii=False)}")
