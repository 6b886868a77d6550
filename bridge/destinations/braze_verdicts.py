"""What Braze's answer to `/users/track` means for each message of the call."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from bridge.destinations.braze_faults import Faults, faults_of
from bridge.destinations.outcomes import halved, of_answer
from bridge.message import AT_MOST, Delivered, Json, Outcome, Rejected, Retry, Uncertain
from bridge.upstream import Answer
from bridge.upstream.answer import LONGEST_RETRY_AFTER

ATTRIBUTES, EVENT = "attributes", "event"  # in a message's progress: what became of them in its last call
TAKEN, UNKNOWN = "taken", "unknown"
SUCCESS = ("success", "queued")
WORDS_MOST = 300  # characters of what Braze says of one object
EPOCH_FROM = 10**8  # X-RateLimit-Reset is an epoch or, by newer contracts, seconds: three years are no pause

Redact = Callable[[str], str]


@dataclass(frozen=True)
class Part:
    """What one message has in a call: the place of its user's attributes, if it changes them, and of its event."""

    attributes: int | None
    event: int | None


@dataclass(frozen=True)
class Sent:
    """A call: by its position the part of each message, and how many objects stand in each array."""

    parts: Mapping[int, Part]
    attributes: int
    events: int

    @property
    def positions(self) -> list[int]:
        return list(self.parts)

    @property
    def totals(self) -> dict[str, int]:
        return {"attributes": self.attributes, "events": self.events}


def outcomes(answer: Answer, sent: Sent, redact: Redact) -> list[Outcome]:
    """One for each part, in their order. `redact`: takes secrets out of Braze's words."""
    body = answer.json()
    told = body if isinstance(body, dict) else {}
    clean = replace(answer, text=redact(answer.text))
    is_taken = 200 <= answer.status < 300
    if is_taken and not _is_success(body):
        return [Uncertain(f"answered {answer.status}, and not as Braze does", answer.ms)] * len(sent.parts)
    faults = faults_of(told, sent.totals, is_counted=is_taken)
    outcome = of_answer(clean, "", redact(_message(told)), has_one_address=True)
    is_refused = isinstance(outcome, Rejected)
    if is_taken or (is_refused and all(its.are_all_located for its in faults.values())):
        judge = _Judge(clean, told, faults, len(sent.parts), redact)
        return [judge.outcome(part) for part in sent.parts.values()]
    if isinstance(outcome, Retry) and answer.status == 429:
        outcome = replace(outcome, wait=wait_of(answer))
    return [halved(outcome, len(sent.parts))] * len(sent.parts)


def wait_of(answer: Answer) -> float | None:
    """What a 429 asks for, in seconds, at most an hour; None if it does not say.

    https://www.braze.com/docs/api/api_limits
    """
    asked = _number(answer.headers.get("X-Ratelimit-Retry-After"))
    if asked is None:
        asked = answer.retry_after
    if asked is None and (asked := _number(answer.headers.get("X-RateLimit-Reset"))) is not None:
        asked -= _now(answer).timestamp() if asked >= EPOCH_FROM else 0.0
    return None if asked is None else min(max(asked, 0.0), LONGEST_RETRY_AFTER)


@dataclass(frozen=True)
class _Judge:
    """Reads one message's outcome off the faults of its objects."""

    answer: Answer
    body: Json
    faults: Mapping[str, Faults]
    messages: int
    redact: Redact

    def outcome(self, part: Part) -> Outcome:
        attributes = self._verdict("attributes", part.attributes)
        event = self._verdict("events", part.event)
        both = (attributes, event)
        if self.messages > 1 and any(one.is_doubtful for one in both):
            words = next(one.words for one in both if one.is_doubtful)
            progress: Json = {AT_MOST: 1, **attributes.progress(ATTRIBUTES), **event.progress(EVENT)}
            reason = f"answered {self.answer.status}, not saying which object it refused: {words}"
            return Uncertain(reason, self.answer.ms, progress)
        words = "; ".join(dict.fromkeys(one.words for one in both if one.words))
        if not words:
            return Delivered(self.answer.status, self._answer_text(), self.answer.ms)
        if not event.words and part.event is not None:
            words += " (of its attributes; its event was taken)"
        reason = f"Braze refused it: {words}"
        known = attributes.progress(ATTRIBUTES) or None
        return Rejected(reason, self.answer.status, self._answer_text(words), self.answer.ms, known)

    def _verdict(self, array: str, index: int | None) -> _Verdict:
        its = self.faults[array]
        if index is None:
            return _Verdict(is_sent=False)
        if (words := its.of(index)) is not None:
            return _Verdict(words=self._brief(words), is_contradicted=its.are_contradicted)
        if its.may_have_failed(index):
            return _Verdict(words=self._brief(its.doubt or ""), is_doubtful=True)
        return _Verdict()

    def _brief(self, words: str) -> str:
        return self.redact(words)[:WORDS_MOST]

    def _answer_text(self, words: str = "") -> str:
        """The answer as far as it is about this message: its list of errors names other users' too."""
        if not self.body.get("errors"):
            return self.answer.text
        told = {k: v for k, v in self.body.items() if k == "message" or k.endswith("_processed")}
        text = json.dumps({**told, "errors": [words] if words else []}, ensure_ascii=False)
        return self.redact(text)


@dataclass(frozen=True)
class _Verdict:
    """Of one object. `words`: why it failed; `is_doubtful`: why it may have. None: it was taken."""

    is_sent: bool = True
    words: str = ""
    is_doubtful: bool = False
    is_contradicted: bool = False

    def progress(self, name: str) -> dict[str, str]:
        if not self.is_sent:
            return {}
        if not self.words:
            return {name: TAKEN}
        return {name: UNKNOWN} if self.is_doubtful or self.is_contradicted else {}


def _is_success(body: object) -> bool:
    """A proxy's page with 200 is none; that of fields that are missing may be."""
    if not isinstance(body, dict):
        return False
    message = body.get("message", "success")
    return str(message).lower() in SUCCESS or any(name.endswith("_processed") for name in body)


def _message(body: Mapping[str, Any]) -> str:
    """Braze's words for a whole call."""
    words = [str(body[key]) for key in ("message", "error") if body.get(key)]
    errors = body.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    if isinstance(first, dict) and first.get("type"):
        words.append(str(first["type"]))
    return ": ".join(words)[:WORDS_MOST]


def _number(text: str | None) -> float | None:
    """Digits, and maybe a fraction."""
    text = (text or "").strip()
    return float(text) if text.isascii() and text.replace(".", "", 1).isdigit() and len(text) < 20 else None


def _now(answer: Answer) -> datetime:
    """The answer's own time: a clock that is wrong here must not make it an hour."""
    try:
        at = parsedate_to_datetime(answer.headers.get("Date", ""))
    except (ValueError, OverflowError):
        return datetime.now(UTC)
    return at if at.tzinfo else at.replace(tzinfo=UTC)
