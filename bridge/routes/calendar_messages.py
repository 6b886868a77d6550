"""A calendar call into messages, one for each account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bridge.calendar.event import CalendarEvent
from bridge.calendar.plan import CalendarRequest
from bridge.errors import InvalidPayload, TemplateRefused
from bridge.message import NewMessage, State
from bridge.routes.addressing import Known, address
from bridge.routes.calendar_events import CalendarCall
from bridge.routes.incoming import plain

DESTINATION = "rokt_calendar"
MOST_REASON = 1_000  # characters


@dataclass(frozen=True)
class Planned:
    """What a call asks for. `messages`: none for a test that reaches nobody; its `requests` are those of a real send.

    `content`: the event as it will stand, None for a delete. `warnings`: what the caller should know.
    """

    messages: tuple[NewMessage, ...]
    requests: tuple[CalendarRequest, ...] = ()
    content: Mapping[str, Any] | None = None
    ends_at: datetime | None = None
    warnings: tuple[str, ...] = ()


def plan(call: CalendarCall, known: Known, now: datetime, test_subscriptions: frozenset[str]) -> Planned:
    """Errors: InvalidPayload, TemplateRefused."""
    try:
        return _plan(call, known, now, test_subscriptions)
    except InvalidPayload as wrong:
        raise call.in_its_names(wrong) from wrong


def _plan(call: CalendarCall, known: Known, now: datetime, test_subscriptions: frozenset[str]) -> Planned:
    if call.skip is not None:
        return _skipped(call, call.skip)
    content, given, warnings, ends_at = _content(call, known)
    addressed = address(call, known)
    if addressed.nobody:
        return _skipped(call, addressed.nobody)
    groups, warnings = addressed.groups, warnings + addressed.warnings
    reached = {
        account: to
        for account, ids in groups.items()
        if (to := tuple(one for one in ids if one.lower() in test_subscriptions))
    }
    leaves_as_test = call.is_test and bool(reached)
    if leaves_as_test:
        groups, given = reached, content or {}
    elif call.action == "update":
        groups = dict.fromkeys(groups, ())
    expires_at = call.expires_at(_zone_name(call, content or known.content or {}))
    if (
        expires_at is None
        and ends_at
        and (call.action == "create" or (call.action == "upsert" and not known.has_event))
    ):
        if ends_at > now:
            expires_at = ends_at
        else:
            warnings = (
                *warnings,
                "end: is past; the event is sent all the same, as nothing else was asked for",
            )
    is_whole = call.is_whole or leaves_as_test
    requests = tuple(
        CalendarRequest(call.action, account, call.rokt_event_id, ids, given, is_whole, leaves_as_test)
        for account, ids in groups.items()
    )
    is_only_shown = call.is_test and not leaves_as_test
    messages = () if is_only_shown else tuple(_message(call, request, expires_at) for request in requests)
    return Planned(messages, requests, content, ends_at, warnings)


def refused(body: Mapping[str, Any], refusal: TemplateRefused) -> NewMessage:
    """What a template refused, to be kept as dead. Of its body only the user was found to be right."""
    return NewMessage(
        DESTINATION,
        plain(str(body.get("action") or "create").strip().lower()[:16]),
        {},
        user_id=str(body.get("user_id") or "").strip() or None,
        template=plain(str(body.get("template") or "").strip()[:64]),
        state=State.DEAD,
        reason=reason_of(refusal),
    )


def reason_of(refusal: TemplateRefused) -> str:
    return plain(f"{refusal.cause}: {refusal.detail}"[:MOST_REASON])


def _content(
    call: CalendarCall, known: Known
) -> tuple[Mapping[str, Any] | None, Mapping[str, Any], tuple[str, ...], datetime | None]:
    """The event as it will stand, the fields that leave with the message, warnings, its end."""
    if call.action == "delete":
        return None, {}, (), None
    base = known.content if call.action in ("update", "upsert") else None
    given = call.event(base)
    try:
        event = CalendarEvent.of(
            given, None if call.is_whole else base, prefix="" if call.template else "event."
        )
    except InvalidPayload as wrong:
        raise call.refusal(wrong) from wrong
    content = event.content()
    return content, content if call.is_whole else given, tuple(event.warnings()), event.end


def _zone_name(call: CalendarCall, stands: Mapping[str, Any]) -> str | None:
    given = call.fields.get("timezone")
    return given if isinstance(given, str) and given.strip() else stands.get("timezone")


def line(account_code: str, rokt_event_id: str) -> str:
    """The key whose messages leave one at a time."""
    return f"{account_code}\x1f{rokt_event_id}"


def _message(call: CalendarCall, request: CalendarRequest, expires_at: datetime | None) -> NewMessage:
    return NewMessage(
        destination=DESTINATION,
        action=call.action,
        request=request.stored(),
        # A test has a line of its own: it is never taken for the event's state.
        line=None if call.is_test else line(request.account_code, request.rokt_event_id),
        user_id=call.user_id,
        event_id=call.event_id,
        account_code=request.account_code,
        template=call.template,
        version=call.version,
        expires_at=expires_at,
        is_test=call.is_test,
    )


def _skipped(call: CalendarCall, reason: str) -> Planned:
    message = NewMessage(
        destination=DESTINATION,
        action=call.action,
        request={},
        user_id=call.user_id,
        event_id=call.event_id or None,
        template=call.template,
        version=call.version,
        is_test=call.is_test,
        state=State.SKIPPED,
        reason=plain(reason[:MOST_REASON]),
    )
    return Planned((message,))


def keep_until(ends_at: datetime | None, now: datetime, retention: timedelta) -> datetime:
    """What stands in a calendar is kept until the event's end and the retention after it."""
    return max(ends_at or now, now) + retention
