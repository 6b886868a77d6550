"""One calendar call on its way in: asked about, planned, stored, and answered in the codes made for Braze."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Response, g, request

from bridge.errors import NotConfigured, TemplateRefused
from bridge.outbox.enqueue import Request, Subject
from bridge.rendering import ask, subject_key
from bridge.routes.calendar_events import CalendarCall
from bridge.routes.calendar_messages import Planned, keep_until, plan, refused
from bridge.routes.incoming import is_test
from bridge.settings import account_key
from bridge.web.answered import note_accepted
from bridge.web.dry_run import dry_run
from bridge.web.outcome import MOST_WAIT, answer, digest, is_dry_run, wait_wanted
from bridge.web.parts import Parts
from bridge.web.problems import of_answerable


@dataclass(frozen=True)
class Arrival:
    """One HTTP request: its route, the bytes that make it the same as another, and how to parse it again."""

    route: str
    raw: bytes
    payload: dict[str, Any]
    parse: Callable[[datetime], CalendarCall]


def take(parts: Parts, arrival: Arrival) -> Response:
    """Errors: everything Answerable; what a template refuses is kept first."""
    if parts.settings.calendar is None:
        raise NotConfigured(
            "Rokt Calendar is off: ROKT_CALENDAR_CLIENT_ID and ROKT_CALENDAR_CLIENT_SECRET are not set."
        )
    now = datetime.now(UTC)
    only_shows = is_dry_run()
    try:
        call = arrival.parse(now)
        known = ask(parts.database, call, parts.addressees.ask)
        planned = plan(call, known, now, parts.settings.test_subscriptions)
    except TemplateRefused as refusal:
        if only_shows or _is_test(arrival.payload):
            raise
        return of_answerable(refusal, id=_keep(parts, arrival, refusal))
    for calendar_request in planned.requests:
        check_credential(parts, calendar_request.account_code)
    if only_shows or not planned.messages or (call.is_test and not planned.requests):
        return dry_run(parts, call, planned)
    accepted = parts.inbox.accept(_request(parts, arrival, call, planned, now), since=g.began_at)
    note_accepted(accepted)
    wait = wait_wanted()
    if call.is_test and wait is None:
        wait = MOST_WAIT
    return answer(parts, accepted, wait=wait, warnings=planned.warnings)


def _request(parts: Parts, arrival: Arrival, call: CalendarCall, planned: Planned, now: datetime) -> Request:
    repeat = None
    if call.idempotency_key and not call.is_test:
        repeat = digest(g.key_name, arrival.route, call.action, call.rokt_event_id, call.idempotency_key)
    subject = None
    if not call.is_test and planned.requests:
        content = None
        if planned.content is not None:
            content = {"event": planned.content, "accounts": [r.account_code for r in planned.requests]}
        retention = timedelta(days=parts.settings.retention_days)
        subject = Subject(
            subject_key(call),
            digest(g.key_name, arrival.route, request.path, arrival.raw, *_reached(call, planned)),
            keep_until(planned.ends_at, now, retention),
            call.as_of,
            content,
        )
    return Request(
        messages=planned.messages,
        request_id=g.request_id,
        inbound_key=g.key_name,
        route=arrival.route,
        payload=arrival.payload,
        size=len(arrival.raw),
        repeat_key=repeat,
        subject=subject,
    )


def _reached(call: CalendarCall, planned: Planned) -> list[str]:
    """Whom a call by its user alone is for: the same bytes mean more once the user has subscribed anew."""
    return [] if call.subscription_ids else [one for r in planned.requests for one in r.subscription_ids]


def _keep(parts: Parts, arrival: Arrival, refusal: TemplateRefused) -> str:
    message = refused(arrival.payload["body"], refusal)
    kept = parts.inbox.accept(
        Request((message,), g.request_id, g.key_name, arrival.route, arrival.payload, len(arrival.raw))
    )
    note_accepted(kept, cause=refusal.cause)
    return kept.ids[0]


def _is_test(payload: dict[str, Any]) -> bool:
    body = payload["body"]
    return is_test(body.get("idempotency_key"), body.get("dispatch_id"), payload["idempotency_key"])


def check_credential(parts: Parts, account_code: str) -> None:
    calendar = parts.settings.calendar
    if calendar and calendar.credential(account_code) is None:
        key = account_key(account_code)
        raise NotConfigured(
            f"The account {account_code} is off: set ROKT_CALENDAR_CLIENT_ID__{key} and "
            f"ROKT_CALENDAR_CLIENT_SECRET__{key}, or for all accounts ROKT_CALENDAR_CLIENT_ID and "
            "ROKT_CALENDAR_CLIENT_SECRET."
        )
