"""What mParticle's answer means for each message of a call: a 202 may refuse some of its batches."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bridge.conversions.calls import Call
from bridge.destinations.outcomes import halved, of_answer, redact
from bridge.message import AT_MOST, Delivered, Divided, Outcome, Rejected, Uncertain
from bridge.upstream import Answer

WORDS_MOST = 300  # characters of what mParticle says of one batch
NEARLY = 90.0  # percent of what it allows; beyond it calls slow down
USED = "X-mp-rate-limit-percentage-used"

# As Json.NET writes: "… Path '[1].device_info.ios_advertising_id', line 1, position 153."
_PATH = re.compile(r"\bPath '\[([0-9]{1,4})\]")
_POSITION = re.compile(r"\bline 1, position ([0-9]{1,7})\b")
_HASH = re.compile(r"\b[0-9A-Fa-f]{64}\b")


def outcomes(answer: Answer, call: Call, known: Sequence[bool]) -> list[Outcome]:
    """One for each message of the call. `known`: whether Rokt would know it again, if it came twice."""
    body = answer.json()
    is_empty = not answer.text.strip() or body in ({}, [])
    faults = list(_faults(body, call))
    clean = replace(answer, text=_redacted(answer.text))
    words = _redacted("; ".join(fault.words for fault in faults[:3]))
    outcome = of_answer(clean, "", words, has_one_address=True)
    if isinstance(outcome, Delivered):
        outcome = replace(outcome, is_nearly_too_much=_is_nearly_used_up(answer))
        if faults:
            return _each(outcome, clean, call, known, faults)
        if is_empty or isinstance(body, dict) or (body is None and answer.text.strip() == "null"):
            return [outcome] * len(known)
        unread = Uncertain(f"answered {answer.status}, and not as mParticle does", answer.ms)
        return [doubtful(unread, is_known_again=one) for one in known]
    return [halved(outcome, len(known))] * len(known)


def doubtful(outcome: Outcome, *, is_known_again: bool) -> Outcome:
    """What nobody knows the end of is not repeated, unless Rokt would know it again."""
    if isinstance(outcome, Uncertain) and not is_known_again:
        return replace(outcome, is_final=True)
    return outcome


def _is_nearly_used_up(answer: Answer) -> bool:
    """Most of what Rokt allows in a second."""
    used = answer.headers.get(USED, "").strip().removesuffix("%")
    is_number = used.isascii() and used.replace(".", "", 1).isdigit() and len(used) < 10
    return is_number and float(used) >= NEARLY


@dataclass(frozen=True)
class _Fault:
    """`batch`: its place in the call, None when that is not told."""

    words: str
    batch: int | None


def _faults(body: object, call: Call) -> Iterator[_Fault]:
    errors = body.get("errors") if isinstance(body, dict) else None
    for error in errors if isinstance(errors, list) else ():
        words = html.unescape(_words(error))
        yield _Fault(words, _place(words, call))


def _words(error: Any) -> str:
    if not isinstance(error, dict):
        return str(error)
    return str(error.get("message") or error.get("code") or "it does not say why")


def _place(words: str, call: Call) -> int | None:
    if len(call.batches) == 1:
        return 0
    if (path := _PATH.search(words)) and int(path[1]) < len(call.batches):
        return int(path[1])
    position = None if path else _POSITION.search(words)
    return call.batch_at(int(position[1])) if position else None


def _each(
    taken: Delivered, answer: Answer, call: Call, known: Sequence[bool], faults: Sequence[_Fault]
) -> list[Outcome]:
    """A part was taken. Where the list does not say which, nobody knows of any other than those it names."""
    of_batch: dict[int, str] = {}
    for fault in faults:
        if fault.batch is not None:
            of_batch.setdefault(fault.batch, fault.words)
    unplaced = next((fault.words for fault in faults if fault.batch is None), None)
    found: list[Outcome] = []
    for place, is_known in zip(call.places, known, strict=True):
        if (words := of_batch.get(place)) is not None:
            found.append(_rejected(answer, words, is_alone=len(known) == 1))
        elif unplaced is None:
            found.append(replace(taken, answer=""))
        else:
            reason = f"answered {answer.status}, not saying which it refused: {_brief(unplaced)}"
            found.append(_unplaced(answer, reason, is_known_again=is_known))
    return found


def _rejected(answer: Answer, words: str, *, is_alone: bool) -> Outcome:
    reason, told = f"Rokt refused it: {_brief(words)}", _redacted(words)
    if is_alone:
        return Rejected(reason, answer.status, told, answer.ms)
    return Divided(reason, answer.status, told, answer.ms, {AT_MOST: 1})


def _unplaced(answer: Answer, reason: str, *, is_known_again: bool) -> Outcome:
    """Once more by itself, which Rokt would know again; else nobody knows."""
    if is_known_again:
        return Divided(reason, answer.status, "", answer.ms, {AT_MOST: 1})
    return Uncertain(reason, answer.ms, is_final=True)


def _brief(words: str) -> str:
    return _redacted(words)[:WORDS_MOST]


def _redacted(text: str) -> str:
    """Without addresses, their hashes and tokens."""
    return _HASH.sub("[hash]", redact(text))
