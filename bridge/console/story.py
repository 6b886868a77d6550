"""A message's story in words: what has happened, and what comes next. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bridge.console import try_message
from bridge.console.reasons import in_words, place, spot, upstream, what_to_do
from bridge.message import State
from bridge.outbox.reading import Arrival
from bridge.outbox.states import CLOSED, COMMON, PAUSED, WHOLE, DestinationState

_ACTIONS = {
    "create": "put an event into the calendar",
    "update": "change an event in the calendar",
    "upsert": "put an event into the calendar, or change it",
    "delete": "take an event out of the calendar",
    "look_up": "ask whose a subscription is",
    "conversion": "tell of a conversion",
    "event": "tell of a conversion",
    "include": "put people on a list",
    "exclude": "take people off a list",
}
_TO_BRAZE = {
    "subscribe": "tell that somebody subscribed",
    "update": "tell of a change to a subscription",
    "unsubscribe": "tell that somebody unsubscribed",
}


@dataclass(frozen=True)
class Chapter:
    """One thing that happened. `tone`: good, bad, or neither. `quote`: the upstream's own words."""

    title: str
    at: datetime | None = None
    text: str = ""
    tone: str = ""
    quote: str = ""


@dataclass(frozen=True)
class Next:
    """What comes next. `tone`: bad where a person has to do something. `at`: when, if that is known."""

    title: str
    text: str = ""
    tone: str = ""
    at: datetime | None = None


def action_words(message: Mapping[str, Any]) -> str:
    """What a message is to do."""
    action: str = message["action"]
    words = _TO_BRAZE if message["destination"] == "braze" else _ACTIONS
    return words.get(action, action)


def title_of(message: Mapping[str, Any]) -> str:
    """What a message is about, in few words: the event's title, else its template or what it is to do."""
    event = (message["request"] or {}).get("event")
    title = event.get("title") if isinstance(event, Mapping) else None
    if isinstance(title, str) and title.strip():
        return title.strip()
    words = action_words(message)
    return str(message["template"] or words[:1].upper() + words[1:])


def when(given: str | None) -> datetime | None:
    return datetime.fromisoformat(given) if given else None


def chapters(message: Mapping[str, Any], arrival: Arrival) -> list[Chapter]:
    """In the order in which they happened."""
    by = f"With the key “{arrival.inbound_key}”" if arrival.inbound_key else "From the bridge itself"
    if arrival.route == try_message.ROUTE:
        by = f"From the console, by {arrival.inbound_key.removeprefix(try_message.BY)}"
    told = f"{by}, to {action_words(message)}."
    found = [Chapter("Received", when(message["received_at"]), told)]
    if message["is_test"]:
        found.append(
            Chapter("A test", None, "It reaches the team's own subscriptions only, and is never counted.")
        )
    if message["template"] and message["version"]:
        found.append(
            Chapter("Rendered", None, f"{message['template']}, version {message['version']}.", "good")
        )
    elif message["template"] and message["is_test"] and message["request"]:
        found.append(
            Chapter("Rendered from the draft", None, f"{message['template']}, as it was then.", "good")
        )
    if is_refused(message):
        words = in_words(message["reason"] or "", message["destination"], is_refused=True)
        found.append(Chapter("The template refused it", None, f"{words[:1].upper()}{words[1:]}", "bad"))
    attempts = message["attempts"]
    found += [_attempt(number, one, message) for number, one in enumerate(attempts, 1)]
    if message["was_uncertain"]:
        found.append(_uncertain(message))
    ended = _ended(message)
    return [*found, ended] if ended else found


def is_refused(message: Mapping[str, Any]) -> bool:
    """A template refused it: nothing of it was ever sent."""
    return bool(
        message["state"] == State.DEAD
        and message["template"]
        and not (message["version"] or message["request"])
    )


def what_next(
    message: Mapping[str, Any],
    arrival: Arrival,
    known: Sequence[DestinationState],
    retry_for: timedelta,
    now: datetime,
    *,
    has_worker: bool,
) -> Next:
    """`known`: the states of its destination. `has_worker`: one was heard of lately."""
    state, destination = message["state"], message["destination"]
    name, reason = place(destination), message["reason"] or ""
    match state:
        case State.DEAD:
            told = what_to_do(reason, destination, is_refused=is_refused(message))
            if reason.startswith("cancelled by"):
                return Next("Nothing more", told)
            return Next("Failed: needs you", told, "bad")
        case State.UNCERTAIN:
            return Next(
                f"Unclear: {upstream(destination)} did not answer",
                f"{name} may have taken it, or not, and to send it twice would count it twice. Look there; then send "
                "it again, or cancel it. Whatever else is for the same person waits until you do.",
                "bad",
            )
        case State.DELIVERED:
            told = "Rokt has it; each device follows when it next looks there."
            return Next("Nothing more", told if destination == "rokt_calendar" else "It is done.", "good")
        case State.SKIPPED:
            return Next("Nothing more", "Nothing had to leave.")
        case State.SUPERSEDED:
            return Next("Nothing more", "A later message took its place, so this one was not sent.")
    blocked = _waiting(message, arrival, known, retry_for)
    if blocked is not None:
        return blocked
    if not has_worker:
        told = "Nothing leaves until one does; then this does too. Whoever runs the bridge starts it."
        return Next("No worker is running", told, "bad")
    return _leaving(message, arrival, known, retry_for, now)


def _waiting(
    message: Mapping[str, Any],
    arrival: Arrival,
    known: Sequence[DestinationState],
    retry_for: timedelta,
) -> Next | None:
    """What keeps it back; None: nothing does."""
    name = place(message["destination"])
    end = _end(message, arrival, retry_for)
    shut = {s.account_code: s for s in known if s.state == CLOSED}
    if arrival.is_under_way:
        return Next("Being sent right now", "Its call is under way.")
    if message["waits_for"]:
        return Next(
            "Waits for an earlier one", "Messages about the same thing leave one after the other." + end
        )
    if pause := shut.get(PAUSED):
        return Next(
            f"{name} is paused",
            f"{_because(pause)}. It leaves as soon as that is resumed.{end}",
            "",
            pause.since,
        )
    if closed := shut.get(WHOLE):
        told = f"{_because(closed)}. It is tried again by itself: there is nothing for you to do.{end}"
        return Next(f"{name} is closed", told, "", closed.since)
    if closed := shut.get(message["account_code"] or PAUSED) or shut.get(COMMON):
        told = f"{_because(closed)}. Whoever runs the bridge looks at the credentials; it then leaves by itself.{end}"
        return Next(f"{name} does not let us in", told, "", closed.since)
    return None


def _leaving(
    message: Mapping[str, Any],
    arrival: Arrival,
    known: Sequence[DestinationState],
    retry_for: timedelta,
    now: datetime,
) -> Next:
    end = _end(message, arrival, retry_for)
    due = when(message["due_at"])
    held = next((s.hold_until for s in known if s.account_code == WHOLE and s.hold_until), None)
    due = max(filter(None, (due, held)), default=None)
    if due and due > now:
        return Next("Tried again", f"By itself: there is nothing for you to do.{end}", "", due)
    return Next("Leaves in a moment", f"It is its turn.{end}")


def _because(state: DestinationState) -> str:
    return f"Because: {state.reason}" if state.reason else "No reason is known"


def _end(message: Mapping[str, Any], arrival: Arrival, retry_for: timedelta) -> str:
    """Until when, at the latest, in words; a page shows `expires_at` beside as a time."""
    if message["state"] == State.RETRYING and arrival.first_failed_at:
        return f" After {_length(retry_for)} of failing it is given up."
    return ""


def _length(span: timedelta) -> str:
    hours = span.total_seconds() / 3600
    return f"{hours:g} hours" if hours >= 2 else f"{span.total_seconds() / 60:g} minutes"


def _attempt(number: int, one: Mapping[str, Any], message: Mapping[str, Any]) -> Chapter:
    name, took = upstream(message["destination"]), f"after {one['ms']:,} ms"
    if one["status"] is None:
        return Chapter(
            f"Attempt {number}: no answer", when(one["at"]), took.capitalize() + ".", "bad", one["answer"]
        )
    is_good = 200 <= one["status"] < 300
    return Chapter(
        f"Attempt {number}: {name} {'took it' if is_good else 'refused it' if one['status'] < 500 else 'failed'}",
        when(one["at"]),
        f"Answered {one['status']} {took}.",
        "good" if is_good else "bad",
        one["answer"],
    )


def _uncertain(message: Mapping[str, Any]) -> Chapter:
    name = upstream(message["destination"])
    told = f"Once {name} did not answer, so that nobody knew whether it had taken this. "
    if message["state"] == State.UNCERTAIN:
        told += "To ask again could count it twice, so the bridge does not."
    else:
        told += "The bridge asked again, in a way that does no harm if it had."
    return Chapter("It was unclear for a while", None, told)


def _ended(message: Mapping[str, Any]) -> Chapter | None:
    at, name = when(message["settled_at"]), upstream(message["destination"])
    reason = in_words(message["reason"] or "", message["destination"]) if message["reason"] else ""
    match message["state"]:
        case State.DELIVERED:
            return Chapter(f"Handed to {name}", at, "", "good")
        case State.DEAD if not is_refused(message):
            return Chapter("Failed", at, f"{reason[:1].upper()}{reason[1:]}", "bad")
        case State.SKIPPED:
            return Chapter("Skipped", at, reason)
        case State.SUPERSEDED:
            return Chapter("Replaced by a later one", at, reason)
    return None


def template_at_fault(message: Mapping[str, Any]) -> tuple[str, int | None] | None:
    """The template, or the piece, in which the fault is, and the line. A blank one: it is that there is none."""
    if not is_refused(message):
        return None
    if (message["reason"] or "").startswith("unknown template"):
        return "", None
    found = spot(message["reason"] or "")
    return (found.template, found.line) if found else (message["template"], None)
