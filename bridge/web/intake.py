"""One calendar call on its way in: asked about, planned, stored, and answered in the codes made for Braze."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from flask import Response, g, jsonify, request

from bridge.database import UNAVAILABLE
from bridge.errors import FieldError, InvalidPayload, NotConfigured, TemplateRefused, nearest
from bridge.message import State
from bridge.outbox import reading
from bridge.outbox.enqueue import Accepted, Request, Subject
from bridge.rendering import ask, subject_key
from bridge.routes.calendar_events import CalendarCall
from bridge.routes.calendar_messages import Planned, keep_until, plan, refused
from bridge.routes.incoming import is_test, name_shown
from bridge.settings import account_key
from bridge.web.dry_run import dry_run
from bridge.web.parts import Parts
from bridge.web.problems import of_answerable

MOST_WAIT = 25.0  # seconds; Heroku's router gives up at 30
LOOK_FIRST, LOOK_LAST = 0.05, 1.0  # seconds between two looks: a tenth of the time waited so far

_FLAGS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}

log = structlog.get_logger()


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
    is_dry_run = _is_dry_run()
    try:
        call = arrival.parse(now)
        known = ask(parts.database, call, parts.accounts.ask)
        planned = plan(call, known, now, parts.settings.test_subscriptions)
    except TemplateRefused as refusal:
        if is_dry_run or _is_test(arrival.payload):
            raise
        return of_answerable(refusal, id=_keep(parts, arrival, refusal))
    for calendar_request in planned.requests:
        _check_credential(parts, calendar_request.account_code)
    if is_dry_run or not planned.messages or (call.is_test and not planned.requests):
        return dry_run(parts, call, planned)
    accepted = parts.inbox.accept(_request(parts, arrival, call, planned, now))
    log.info(
        "message.accepted",
        request_id=g.request_id,
        key=g.key_name,
        route=arrival.route,
        messages=list(accepted.ids),
        state=accepted.state,
        is_repeat=accepted.is_repeat,
    )
    return _answer(parts, call, planned, accepted)


def flag(name: str) -> bool:
    """A yes or no of the query. Errors: InvalidPayload: a slip must not send what was not to be sent."""
    value = request.args.get(name)
    if value is None:
        return False
    if value.lower() not in _FLAGS:
        raise InvalidPayload.of(FieldError(name, "must be 1 or 0"))
    return _FLAGS[value.lower()]


def _is_dry_run() -> bool:
    if not request.query_string:
        return False
    for name in request.args:
        if name != "dry_run" and nearest(name[:60], ("dry_run",), 1):
            raise InvalidPayload.of(FieldError(name_shown(name), "is not known; did you mean dry_run?"))
    return flag("dry_run")


def _request(parts: Parts, arrival: Arrival, call: CalendarCall, planned: Planned, now: datetime) -> Request:
    repeat = None
    if call.idempotency_key and not call.is_test:
        told = (g.key_name, arrival.route, call.action, call.rokt_event_id, call.idempotency_key)
        repeat = _digest("\x1f".join(told).encode("utf-8", "surrogatepass"))
    subject = None
    if not call.is_test and planned.requests:
        content = None
        if planned.content is not None:
            content = {"event": planned.content, "accounts": [r.account_code for r in planned.requests]}
        retention = timedelta(days=parts.settings.retention_days)
        told_bytes = (
            f"{g.key_name}\x1f{arrival.route}\x1f{request.path}\x1f".encode("utf-8", "surrogatepass")
            + arrival.raw
        )
        subject = Subject(
            subject_key(call),
            _digest(told_bytes),
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


def _keep(parts: Parts, arrival: Arrival, refusal: TemplateRefused) -> str:
    message = refused(arrival.payload["body"], refusal)
    kept = parts.inbox.accept(
        Request((message,), g.request_id, g.key_name, arrival.route, arrival.payload, len(arrival.raw))
    )
    log.info("message.refused", request_id=g.request_id, message=kept.ids[0], cause=refusal.cause)
    return kept.ids[0]


def _is_test(payload: dict[str, Any]) -> bool:
    body = payload["body"]
    return is_test(body.get("idempotency_key"), body.get("dispatch_id"), payload["idempotency_key"])


def _check_credential(parts: Parts, account_code: str) -> None:
    calendar = parts.settings.calendar
    if calendar and calendar.credential(account_code) is None:
        key = account_key(account_code)
        raise NotConfigured(
            f"The account {account_code} is off: set ROKT_CALENDAR_CLIENT_ID__{key} and "
            f"ROKT_CALENDAR_CLIENT_SECRET__{key}, or for all accounts ROKT_CALENDAR_CLIENT_ID and "
            "ROKT_CALENDAR_CLIENT_SECRET."
        )


def _answer(parts: Parts, call: CalendarCall, planned: Planned, accepted: Accepted) -> Response:
    body: dict[str, Any] = {"id": accepted.ids[0], "state": accepted.state, "request_id": g.request_id}
    if len(accepted.ids) > 1:
        body["ids"] = list(accepted.ids)
    if accepted.state == State.ACCEPTED and planned.warnings and not accepted.is_repeat:
        body["warnings"] = list(planned.warnings)
    wait = MOST_WAIT if call.is_test and _wait_wanted() is None else _wait_wanted()
    status = 200
    if wait and accepted.state == State.ACCEPTED and (settled := _settled(parts, accepted.ids, wait)):
        shown = settled[0] if len(settled) == 1 else {"messages": settled}
        body = shown | body | {"state": _state_of(settled)}
    elif accepted.is_repeat:
        body |= {"state": _state_now(parts, accepted), "is_repeat": True}
    elif accepted.state == State.ACCEPTED:
        status = 202
    else:
        reason = planned.messages[0].reason
        body["reason"] = reason if accepted.state == State.SKIPPED else "a newer as_of was accepted before"
    response = jsonify(body)
    response.status_code = status
    response.headers["Location"] = f"/v1/messages/{accepted.ids[0]}"
    return response


def _state_of(settled: list[dict[str, Any]]) -> State:
    """Delivered if all are, else the state of the first that is not."""
    states = [State(message["state"]) for message in settled]
    return next((state for state in states if state != State.DELIVERED), State.DELIVERED)


def _state_now(parts: Parts, accepted: Accepted) -> State:
    try:
        with parts.database.read() as connection:
            return reading.states(connection, accepted.ids[:1]).get(accepted.ids[0], accepted.state)
    except UNAVAILABLE:  # it was taken before: that is the answer
        return accepted.state


def _wait_wanted() -> float | None:
    """`Prefer: wait=N` (RFC 7240), seconds."""
    for preference in request.headers.get("Prefer", "").split(","):
        name, _, value = preference.strip().partition("=")
        if name.strip().lower() == "wait" and value.strip().isascii() and value.strip().isdigit():
            return min(float(value.strip()), MOST_WAIT)
    return None


def _settled(parts: Parts, ids: tuple[str, ...], wait: float) -> list[dict[str, Any]] | None:
    """The messages once all are settled; None when time is up, or at once when too many wait already."""
    if not parts.waiters.acquire(blocking=False):
        return None
    try:
        began = time.monotonic()
        while True:
            with parts.database.read() as connection:
                if all(reading.is_settled(state) for state in reading.states(connection, ids).values()):
                    found = [reading.one(connection, one) for one in ids]
                    return [message for message in found if message]
            waited = time.monotonic() - began
            if waited >= wait:
                return None
            time.sleep(min(max(LOOK_FIRST, waited / 10), LOOK_LAST, wait - waited))
    except UNAVAILABLE:  # it was taken: a 503 would ask for it again
        return None
    finally:
        parts.waiters.release()


def _digest(told: bytes) -> str:
    return hashlib.blake2b(told, digest_size=16).hexdigest()
