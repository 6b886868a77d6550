"""The map of what comes in: which path is read by which function. Routes know no destination and do no I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bridge.errors import NotFound
from bridge.routes import calendar_events, rokt_dropin
from bridge.routes.calendar_events import CalendarCall, Catalogue

# body, what follows the path, templates, now, Idempotency-Key header
Read = Callable[[Mapping[str, Any], str, Catalogue, datetime, str | None], CalendarCall]


@dataclass(frozen=True)
class Route:
    name: str
    method: str
    path: str
    read: Read


def _events(
    body: Mapping[str, Any], rest: str, catalogue: Catalogue, now: datetime, key: str | None
) -> CalendarCall:
    if rest.strip("/"):
        raise NotFound("There is nothing at this path.")
    return calendar_events.read(body, catalogue, now, key)


ROUTES = (
    Route("calendar.events", "POST", "/v1/calendar/events", _events),
    Route(
        "rokt.subscriptionevent",
        "POST",
        "/v1/subscriptionevent",
        lambda body, rest, _catalogue, _now, key: rokt_dropin.read_post(rest, body, key),
    ),
    Route(
        "rokt.subscriptionevent.delete",
        "DELETE",
        "/v1/subscriptionevent",
        lambda _body, rest, _catalogue, _now, key: rokt_dropin.read_delete(rest, key),
    ),
)
