"""What `GET /v1/messages` reads, beside a deep backlog and a shallow one."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import datetime, timedelta

import sqlalchemy as sa

from benchmarks.depth import Depth
from benchmarks.report import Row
from bridge.destinations.rokt_calendar import NAME
from bridge.message import State
from bridge.outbox import search
from bridge.outbox.reading import Filter
from bridge.outbox.tables import messages

MOST_FOR_A_LIST = 100.0  # ms

Filters = Callable[[datetime, datetime], Filter]


def measure(deep: Depth, shallow: Depth) -> Row:
    """Every filter of `GET /v1/messages`, alone and where two fit badly; a tenth as much was delivered since."""
    slowest: list[tuple[float, str]] = []
    for depth in (deep, shallow):
        depth.grow(depth.waiting // 10, state="'delivered'", settled_at="t.received_at")
        times = {what: _median_ms(depth, filters) for what, filters in _LISTS.items()}
        slowest.append(max((took, what) for what, took in times.items()))
    (took, what), (against, other) = slowest
    told = (f"{took:.0f} ms ({what})", f"{against:.0f} ms ({other})")
    goal = f"at most {MOST_FOR_A_LIST:.0f} ms"
    return Row(
        f"the slowest of {len(_LISTS)} lists of 50",
        deep.name,
        *told,
        f"{took / against:.2f}",
        goal,
        took <= MOST_FOR_A_LIST,
    )


def _median_ms(depth: Depth, filters: Filters) -> float:
    with depth.database.read() as connection:
        first, last = connection.execute(
            sa.select(sa.func.min(messages.c.received_at), sa.func.max(messages.c.received_at)).where(
                messages.c.seq.in_([1, depth.waiting])
            )
        ).one()
        wanted = filters(first, last)
        times = []
        for _ in range(7):
            began = time.perf_counter()
            search.listed(connection, wanted)
            times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


_HOUR = timedelta(hours=1)
_EVENT = "sale_winter27"
_LISTS: dict[str, Filters] = {
    "all": lambda first, last: Filter(),
    "a page in the middle": lambda first, last: Filter(before=1000),
    "accepted": lambda first, last: Filter(state=State.ACCEPTED),
    "dead": lambda first, last: Filter(state=State.DEAD),
    "a destination": lambda first, last: Filter(destination=NAME),
    "another destination": lambda first, last: Filter(destination="another"),
    "accepted of another": lambda first, last: Filter(destination="another", state=State.ACCEPTED),
    "a user": lambda first, last: Filter(user_id=f"u-{1500:012d}"),
    "dead of a user": lambda first, last: Filter(user_id=f"u-{1500:012d}", state=State.DEAD),
    "an event": lambda first, last: Filter(event_id=_EVENT),
    "dead of an event": lambda first, last: Filter(event_id=_EVENT, state=State.DEAD),
    "an event by Rokt's id": lambda first, last: Filter(event_id=f"{_EVENT}_u-{1500:012d}"),
    "uncertain": lambda first, last: Filter(was_uncertain=True),
    "delivered and uncertain": lambda first, last: Filter(was_uncertain=True, state=State.DELIVERED),
    "certain": lambda first, last: Filter(was_uncertain=False),
    "since a time to come": lambda first, last: Filter(since=last + _HOUR),
    "until long ago": lambda first, last: Filter(until=first - _HOUR),
    "until the middle": lambda first, last: Filter(until=first + (last - first) / 2),
    "delivered until the middle": lambda first, last: Filter(
        until=first + (last - first) / 2, state=State.DELIVERED
    ),
    "an event until long ago": lambda first, last: Filter(until=first - _HOUR, event_id=_EVENT),
}
