"""What would leave for a call, without sending it."""

from __future__ import annotations

from typing import Any

from flask import Response, g, jsonify

from bridge.calendar.plan import CalendarRequest, after, steps
from bridge.errors import InvalidPayload
from bridge.ledger import events
from bridge.ledger.events import Standing
from bridge.outbox import reading
from bridge.outbox.tables import key_of
from bridge.routes.calendar_events import CalendarCall
from bridge.routes.calendar_messages import DESTINATION, Planned, line
from bridge.web.parts import Parts
from bridge.web.shown import shown

NOT_REACHED = (
    "a test of Braze: none of its subscription ids stands in TEST_SUBSCRIPTIONS, so nothing was sent"
)
ALREADY_SO = "the event stands there exactly so already, or will when what was accepted has left"


def dry_run(parts: Parts, call: CalendarCall, planned: Planned) -> Response:
    """Exactly what would leave once what waits before it has, without Authorization."""
    assert parts.settings.calendar is not None
    update_body = parts.settings.calendar.update_body
    requests: list[dict[str, Any]] = []
    with parts.database.read() as connection:
        for one in planned.requests:
            standing = _standing_before(connection, one, update_body)
            url = parts.settings.calendar.url
            planned_steps = steps(one, standing, update_body)
            requests += [shown(step.method, url + step.path, step.body) for step in planned_steps]
    body: dict[str, Any] = {"dry_run": True, "requests": requests, "request_id": g.request_id}
    if call.is_test and not planned.messages:
        body["reason"] = NOT_REACHED
    elif planned.messages[0].reason:
        body["reason"] = planned.messages[0].reason
    elif not requests:
        body["reason"] = ALREADY_SO
    if planned.warnings:
        body["warnings"] = list(planned.warnings)
    return jsonify(body)


def _standing_before(connection: Any, asked: CalendarRequest, update_body: str) -> Standing:
    """What will stand where a request is for when all that waits there has left."""
    place = (asked.account_code, asked.rokt_event_id)
    standing = events.standings(connection, [place])[place]
    for action, stored in reading.waiting_in(connection, key_of(DESTINATION, line(*place))):
        ahead = CalendarRequest.read(action, asked.account_code, stored, is_test=False)
        try:
            planned = steps(ahead, standing, update_body)
        except InvalidPayload:  # it will be dead, and leave all as it is
            continue
        for step in planned:
            standing = after(step, ahead, standing) or Standing()
    return standing
