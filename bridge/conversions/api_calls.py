"""How events share calls of Rokt's older API: by count and bytes, and an id never twice in one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bridge.conversions.api_form import MOST_EVENTS, call_body
from bridge.conversions.batches import size_of


@dataclass(frozen=True)
class Limits:
    """Of one call of an account."""

    account_id: str
    events: int
    size: int

    @classmethod
    def of(cls, account_id: str, count: int, size: int) -> Limits:
        """`count` and `size`: as the flush rule has them."""
        return cls(account_id, min(count, MOST_EVENTS), size)


def calls_of(
    events: Iterable[tuple[Mapping[str, Any], int | None]], limits: Limits
) -> list[tuple[int, bool]]:
    """So many of the events in each call, in order, and whether no other would fit. One always fits.

    `events`: as they stand in a call, each with the most that may go with it. What is not processed is told by id.
    """
    calls: list[tuple[int, bool]] = []
    frame = size_of(call_body(limits.account_id, []))
    ids: set[str] = set()
    size, most = frame, limits.events
    for event, at_most in events:
        its_size = size_of(event) + 1  # with the comma behind it
        most = min(most, at_most or most)
        if ids and (len(ids) >= most or size + its_size > limits.size or event["clientEventId"] in ids):
            calls.append((len(ids), True))
            ids, size, most = set(), frame, min(limits.events, at_most or limits.events)
        ids.add(event["clientEventId"])
        size += its_size
    if ids:
        another = (size - frame) // len(ids)
        calls.append((len(ids), len(ids) >= most or size + another > limits.size))
    return calls
