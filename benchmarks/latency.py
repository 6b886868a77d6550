"""How long an answer takes at half of the maximum rate, and a message on its way through at 100 a second."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from benchmarks import databases, processes
from benchmarks.client import Client
from benchmarks.extent import Extent
from benchmarks.processes import Running, seen
from benchmarks.report import Row, Table
from benchmarks.webhook import request

MOST_P99 = 50.0  # milliseconds
MOST_WAY = 100.0  # milliseconds
WAY_RATE = 100.0  # messages a second
ARRIVES_WITHIN = 60.0  # seconds


def measure(names: Sequence[str], extent: Extent) -> tuple[list[Row], list[Table]]:
    return [row for name in names for row in _of(name, extent)], []


def _of(name: str, extent: Extent) -> list[Row]:
    seconds = extent.seconds * 2
    with (
        databases.fresh(name) as url,
        processes.stand_in() as rokt,
        processes.web(processes.for_web(url)) as web,
        processes.bare_web(processes.for_web(url)) as bare,
        processes.worker(processes.for_worker(url, rokt.url)),
    ):
        client, its_client = Client(web.port, request), Client(bare.port, request)
        for one in (client, its_client):
            one.as_fast_as_answered(seconds=extent.warm_up)
        way = _on_the_way(client, rokt, seconds)
        most, p99, p50, its_p99 = [], [], [], []
        for _ in range(extent.rounds):
            most.append(client.as_fast_as_answered(seconds=extent.seconds).rate)
            _await_all(client, rokt)
            load = client.at_rate(statistics.median(most) / 2, seconds)
            p99.append(load.percentile(0.99) * 1000)
            p50.append(load.percentile(0.5) * 1000)
            its_p99.append(its_client.at_rate(load.rate, seconds / 2).percentile(0.99) * 1000)
            _await_all(client, rokt)
    answer, at = statistics.median(p99), statistics.median(most) / 2
    return [
        Row(
            "answer at half of the maximum rate, p99, worker beside",
            name,
            f"{answer:.0f} ms ({min(p99):.0f} – {max(p99):.0f}), p50 {statistics.median(p50):.0f} ms",
            f"at {at:.0f}/s; bare Flask {statistics.median(its_p99):.0f} ms",
            goal=f"< {MOST_P99:.0f} ms",
            is_good=answer < MOST_P99,
        ),
        Row(
            f"from the request to its arrival upstream at {WAY_RATE:.0f}/s, p50",
            name,
            f"{way[0]:.0f} ms, p99 {way[1]:.0f} ms",
            goal=f"< {MOST_WAY:.0f} ms",
            is_good=way[0] < MOST_WAY,
        ),
    ]


def _on_the_way(client: Client, rokt: Running, seconds: float) -> tuple[float, float]:
    """Median and 99th percentile, ms, from when a request was due to be sent to its arrival upstream."""
    _await_all(client, rokt)
    load = client.at_rate(WAY_RATE, seconds)
    arrived: dict[int, float] = {}

    def all_came() -> bool:
        arrived.update(seen(rokt).arrivals)
        return load.sent_at.keys() <= arrived.keys()

    databases.until(all_came, ARRIVES_WITHIN, "not everything arrived")
    ways = sorted((arrived[number] - at) * 1000 for number, at in load.sent_at.items())
    return ways[len(ways) // 2], ways[len(ways) * 99 // 100]


def _await_all(client: Client, rokt: Running) -> None:
    databases.until(lambda: seen(rokt).count >= client.number, ARRIVES_WITHIN, "not everything arrived")
