"""Token calls for many deliveries: at most one for each process and token life."""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchmarks import databases, processes
from benchmarks.databases import Backlog
from benchmarks.extent import Extent
from benchmarks.processes import seen
from benchmarks.report import Row, Table

WORKERS = 2
RENEWED_AT = 0.9  # of a life; a minute before the end of a long one
LONGEST_LEEWAY = 60.0  # seconds
DELIVERED_WITHIN = 900.0  # seconds


def measure(names: Sequence[str], extent: Extent) -> tuple[list[Row], list[Table]]:
    return [_of(name, extent) for name in names], []


def _of(name: str, extent: Extent) -> Row:
    life = extent.token_life
    with databases.fresh(name) as url, processes.stand_in(token_life=life) as rokt:
        backlog = Backlog(url)
        backlog.grow(extent.tokens - 1)
        environ = processes.for_worker(url, rokt.url)
        arrived: list[float] = []

        def all_came() -> bool:
            came = seen(rokt)
            arrived.extend(at for _, at in came.arrivals)
            return came.count >= extent.tokens

        with processes.worker(environ), processes.worker(environ):
            databases.until(all_came, DELIVERED_WITHIN, "not everything arrived")
        end = seen(rokt)
    took = max(arrived) - min(arrived)
    used_for = max(life * RENEWED_AT, life - LONGEST_LEEWAY)
    most = WORKERS * math.ceil((took + 1.0) / used_for)
    return Row(
        f"token calls for {extent.tokens:,} deliveries by {WORKERS} workers, a token's life {life} s",
        name,
        f"{end.token_calls} in {took:.0f} s, {end.refused} refused",
        goal=f"≤ {most}",
        is_good=end.token_calls <= most,
    )
