"""When the last of what waits will have left, and how much of it will be too late by then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from bridge.outbox.depth import Run

BUSY = 60  # messages that wait at a minute's end: what left in the next then tells what can leave
FURTHEST = timedelta(days=365)


@dataclass(frozen=True)
class Minute:
    """What left in a minute, and what waited in it; `waiting` None: nobody counted."""

    left: int
    waiting: int | None


@dataclass(frozen=True)
class Forecast:
    """`rate`: messages a second, None if nothing tells. `leaves_at`: when the last has left; None: that is further
    away than anybody can tell. `late`: how many will be dropped as too late, of those that were counted for it.
    """

    rate: float | None
    leaves_at: datetime | None
    late: int


def measured(minutes: Sequence[Minute]) -> float | None:
    """Messages a second that can leave, from the minutes in which there was enough to do; None: there was none.

    A quiet minute says nothing: who has one message to send sends one.
    """
    busy = [
        minute.left
        for before, minute in pairwise(minutes)
        if min(before.waiting or 0, minute.waiting or 0) >= BUSY
    ]
    return sum(busy) / (60 * len(busy)) if busy else None


def rate_of(limit: float | None, was: float | None) -> float | None:
    """The smaller of what is allowed and what was measured. `limit` None: as many as go."""
    known = [rate for rate in (limit, was) if rate is not None]
    return min(known) if known else None


def forecast(
    waiting: int,
    rate: float | None,
    now: datetime,
    runs: Sequence[Run] = (),
    counted_at: datetime | None = None,
) -> Forecast:
    """`runs`: of what goes out of date, as they stood in line at `counted_at`."""
    if rate is None or rate <= 0:
        return Forecast(rate, None, 0)
    seconds = waiting / rate
    leaves_at = now + timedelta(seconds=seconds) if seconds <= FURTHEST.total_seconds() else None
    return Forecast(rate, leaves_at, min(waiting, _late(rate, counted_at or now, runs)))


def share(part: int, whole: int) -> str:
    """`2 %`, `less than 1 %`; blank for nothing."""
    if part <= 0 or whole <= 0:
        return ""
    percent = 100 * min(part, whole) / whole
    if percent < 1:
        return "less than 1 %"
    # Not `100 %` while some are in time.
    return f"{min(round(percent), 100 if part >= whole else 99)} %"


def _late(rate: float, counted_at: datetime, runs: Sequence[Run]) -> int:
    """Of each run the part behind the one that leaves just in time."""
    began = counted_at.timestamp()
    late = 0
    for before, count, expires_at in runs:
        in_time = (expires_at - began) * rate - before
        late += count - round(min(max(in_time, 0), count))
    return late
