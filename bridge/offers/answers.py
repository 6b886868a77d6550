"""What became of a question for offers, and how it is told: always JSON that Liquid can use."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from bridge.offers.codes import Fault, told
from bridge.offers.experiences import MOST_BYTES
from bridge.offers.flat import first_offer
from bridge.upstream import Answer

FOUND_LIVES = 15 * 60.0  # seconds; Rokt says within one transaction, and no time
EMPTY_LIVES = 60.0


class Reason(StrEnum):
    """Why there is no offer."""

    NO_OFFER = "no_offer"  # Rokt has none for this user
    TIMEOUT = "timeout"
    BUSY = "busy"  # as many as may wait for Rokt do already
    RESTING = "resting"  # Rokt is left alone for a while
    UNAVAILABLE = "unavailable"  # no connection, 5xx or 429
    REFUSED = "refused"  # the credential, or a refusal without one of Rokt's codes
    UNREADABLE = "unreadable"
    TOO_LARGE = "too_large"
    FAILED = "failed"  # the bridge's own fault


@dataclass(frozen=True)
class Told:
    """`body`: the whole JSON. `reason` None: there is an offer. `life`: seconds for which it may be kept.

    `faults`: what Rokt says the request lacks; then nothing else counts.
    """

    body: bytes = field(repr=False)
    reason: Reason | None = None
    life: float = 0.0
    faults: Sequence[Fault] = ()


def without_offer(reason: Reason, life: float = 0.0) -> Told:
    return Told(json.dumps({"found": False, "reason": reason}).encode(), reason, life)


def of_answer(answer: Answer) -> Told:
    """What Rokt's answer comes to."""
    if answer.status in (400, 422) and (faults := told(answer.json())):
        return Told(b"", Reason.REFUSED, faults=faults)
    if answer.status == 429 or answer.status >= 500:
        return without_offer(Reason.UNAVAILABLE)
    if answer.status != 200:
        return without_offer(Reason.REFUSED)
    content = answer.text.lstrip("\ufeff").strip().encode()
    if len(content) > MOST_BYTES:
        return without_offer(Reason.TOO_LARGE)
    try:
        parsed = json.loads(content, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return without_offer(Reason.UNREADABLE)
    if not isinstance(parsed, dict):
        return without_offer(Reason.UNREADABLE)
    if parsed.get("success", parsed.get("Success")) is False:
        return without_offer(Reason.REFUSED)
    offer = first_offer(parsed)
    if offer is None:
        return without_offer(Reason.NO_OFFER, EMPTY_LIVES)
    # Rokt's answer as its own bytes: read and written again, its numbers might not be what they were.
    body = b'{"found": true, "offer": %s, "offers": %s}' % (
        json.dumps(offer, ensure_ascii=False).encode("utf-8", "replace"),
        content,
    )
    return without_offer(Reason.TOO_LARGE) if len(body) > MOST_BYTES else Told(body, life=FOUND_LIVES)


def _no_constant(name: str) -> float:
    raise ValueError(name)
