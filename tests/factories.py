"""Values for tests with good defaults: a test names only what it is about."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from bridge.calendar.event import CalendarEvent
from bridge.database import Database
from bridge.message import Message, NewMessage
from bridge.outbox.claim import Call
from bridge.outbox.enqueue import Accepted, Request, Subject, store
from bridge.outbox.tables import key_of

NOON = datetime(2027, 3, 1, 12, tzinfo=UTC)
ACCOUNT = "brazetest"
SUBSCRIPTION = "06423672-b6ba-4536-aa36-f5733866ade2"

_numbers = itertools.count(1)


def an_event(**fields: Any) -> dict[str, Any]:
    """A whole event as the bridge keeps it."""
    event = {
        "title": "Flash sale",
        "description": "Half price",
        "location": "Everywhere",
        "start": "2027-12-01T14:00:00Z",
        "end": "2027-12-01T15:00:00Z",
        "timezone": "Eastern Standard Time",
        "notify_before": 15,
    }
    return CalendarEvent.of({**event, **fields}).content()


def a_message(**fields: Any) -> NewMessage:
    """A create for one subscription. One user's event in one account is one line; `line` names another."""
    user_id, event_id = fields.get("user_id", "u-1"), fields.get("event_id", "sale")
    account_code = fields.get("account_code", ACCOUNT)
    stored = {
        "rokt_event_id": f"{event_id}_{user_id}",
        "subscription_ids": list(fields.pop("subscription_ids", (SUBSCRIPTION,))),
        "event": fields.pop("event", an_event()),
        "is_whole": fields.pop("is_whole", True),
    }
    defaults = {
        "destination": "rokt_calendar",
        "action": "create",
        "request": stored,
        "line": f"{account_code}\x1f{event_id}_{user_id}",
        "user_id": user_id,
        "event_id": event_id,
        "account_code": account_code,
    }
    return NewMessage(**{**defaults, **fields})


def a_request(*messages: NewMessage, **fields: Any) -> Request:
    """One HTTP request with these messages, or with one of its own."""
    defaults: dict[str, Any] = {
        "messages": messages or (a_message(),),
        "request_id": f"r-{next(_numbers)}",
        "inbound_key": "braze",
        "route": "calendar_events",
        "payload": {"body": {"user_id": "u-1"}},
    }
    return Request(**{**defaults, **fields})


def a_subject(name: str = "sale_u-1", **fields: Any) -> Subject:
    """An event as a request is about it; every one has a digest of its own unless it is given."""
    defaults: dict[str, Any] = {
        "key": key_of("calendar_event", name),
        "digest": f"digest-{next(_numbers)}",
        "keep_until": NOON + timedelta(days=30),
        "content": {"event": an_event(), "accounts": [ACCOUNT]},
    }
    return Subject(**{**defaults, **fields})


def a_call(line: object = 1, **fields: Any) -> Call:
    """A claimed message that no database knows. `line`: any value names a line."""
    defaults: dict[str, Any] = {
        "seq": next(_numbers),
        "id": str(uuid.uuid4()),
        "destination": "rokt_calendar",
        "action": "create",
        "request": a_message().request,
        "line": key_of("line", str(line)),
        "user_id": "u-1",
        "event_id": "sale",
        "account_code": ACCOUNT,
        "template": None,
        "version": None,
        "is_test": False,
        "was_uncertain": False,
        "received_at": NOON,
        "first_failed_at": None,
        "tries": 0,
        "expires_at": None,
        "request_id": "r-1",
        "progress": {},
    }
    return Call(str(uuid.uuid4()), Message(**{**defaults, **fields}))


def accept(database: Database, *requests: Request | NewMessage, now: datetime = NOON) -> list[Accepted]:
    """Store requests (a message stands for a request of its own) as one group, in one transaction."""
    group = [one if isinstance(one, Request) else a_request(one) for one in requests]
    with database.write() as connection:
        return store(connection, group, now)


def line_with(count: int, **fields: Any) -> list[NewMessage]:
    """Messages of one line, told apart by the title of their events."""
    return [a_message(event=an_event(title=f"Sale {n}"), **fields) for n in range(1, count + 1)]


def title_of(request: Mapping[str, Any]) -> str:
    title: str = request["event"]["title"]
    return title
