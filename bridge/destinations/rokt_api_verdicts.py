"""What an answer of Rokt's older event API means for each event of the call."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bridge.destinations.outcomes import halved, of_answer
from bridge.message import AT_MOST, Delivered, Outcome, Rejected, Retry, Uncertain
from bridge.upstream import Answer

SEEN_BEFORE = 409  # an idempotency key that is known: what the call held is there
MAY_PASS = (
    "InternalServerError",
    "ServiceUnavailableError",
)  # codes that are Rokt's own trouble, not the event's
WORDS_MOST = 300  # characters of what Rokt says of one event

Redact = Callable[[str], str]


def outcomes(answer: Answer, ids: Sequence[str], redact: Redact) -> list[Outcome]:
    """One for each event; their `ids` are all different. `redact`: takes secrets and addresses out of words."""
    count = len(ids)
    clean = replace(answer, text=redact(answer.text))
    if 200 <= answer.status < 300:
        return _each(clean, answer, ids, redact)
    if answer.status == SEEN_BEFORE:
        return [Delivered(answer.status, clean.text, answer.ms)] * count
    outcome = of_answer(clean, "", redact(_words(answer.json())), has_one_address=True)
    return [halved(outcome, count)] * count


def _each(clean: Answer, answer: Answer, ids: Sequence[str], redact: Redact) -> list[Outcome]:
    """Of a 2xx, which names the events that were not processed."""
    unprocessed = _unprocessed(answer)
    if unprocessed is None:
        progress = {AT_MOST: len(ids) // 2} if len(ids) > 1 else None
        unread = f"answered {answer.status}, and not as Rokt does"
        return [Uncertain(unread, answer.ms, progress)] * len(ids)
    if not unprocessed:
        return [Delivered(answer.status, clean.text, answer.ms)] * len(ids)
    found: dict[str, Any] = {_id_of(one): one.get("error") for one in unprocessed}
    if len(ids) == 1:
        found = {ids[0]: next(iter(found.values()))}
    names_all = found.keys() <= set(ids)
    return [_verdict(answer, found, one, redact, is_sure=names_all) for one in ids]


def _verdict(
    answer: Answer, found: Mapping[str, Any], its_id: str, redact: Redact, *, is_sure: bool
) -> Outcome:
    if its_id in found:
        error = found[its_id]
        words = redact(_words({"data": error}))[:WORDS_MOST] or "it does not say why"
        text = json.dumps({"data": {"unprocessedRecords": [{"error": words}]}}, ensure_ascii=False)
        told = (f"Rokt did not process it: {words}", answer.status, text, answer.ms)
        code = error.get("code") if isinstance(error, dict) else None
        return Retry(*told) if code in MAY_PASS else Rejected(*told)
    if not is_sure:
        unnamed = f"answered {answer.status}, not saying which event it did not process"
        return Uncertain(unnamed, answer.ms, {AT_MOST: 1})
    return Delivered(answer.status, "others of the call were not processed", answer.ms)


def _unprocessed(answer: Answer) -> list[Mapping[str, Any]] | None:
    """The records that were not processed, None for what is not Rokt's answer, such as a proxy's page."""
    if not answer.text.strip():
        return []
    body = answer.json()
    if not isinstance(body, dict):
        return None
    data = body.get("data")
    records = data.get("unprocessedRecords") if isinstance(data, dict) else None
    if records is not None and not isinstance(records, list):
        return None
    return [one if isinstance(one, dict) else {} for one in records or ()]


def _id_of(unprocessed: Mapping[str, Any]) -> str:
    record = unprocessed.get("record")
    return str(record.get("clientEventId", "")) if isinstance(record, dict) else ""


def _words(body: object) -> str:
    """The code and the message of an error: `data` is an object, or in an older form an array."""
    data = body.get("data") if isinstance(body, dict) else None
    if isinstance(data, list) and data:
        data = data[0]
    if not isinstance(data, dict):
        return ""
    return ": ".join(str(data[key]) for key in ("code", "message") if data.get(key))
