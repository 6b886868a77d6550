"""Delivered a second by one worker, against a bare loop of requests.Session with as many threads."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack

from benchmarks import databases, processes
from benchmarks.databases import Backlog
from benchmarks.extent import Extent
from benchmarks.processes import Running, seen
from benchmarks.report import Row, compared
from bridge.destinations.rokt_calendar import IN_FLIGHT

GOAL = 0.8
DELAYS = (0, 100)  # milliseconds before the upstream answers
FASTEST = 3000  # deliveries a second that a backlog must be deep enough for
WARM_UP = 1.0  # seconds after the first arrival
STARTS_WITHIN = 20.0  # seconds


def measure(names: Sequence[str], extent: Extent) -> list[Row]:
    rows = []
    with ExitStack() as stack:
        urls = {name: stack.enter_context(databases.fresh(name)) for name in names}
        backlogs = {name: Backlog(url) for name, url in urls.items()}
        for delay in DELAYS:
            rokt = stack.enter_context(processes.stand_in(delay_ms=delay))
            rates: dict[str, list[float]] = {"bare": [], **{name: [] for name in names}}
            most = IN_FLIGHT * 1000 / delay if delay else FASTEST
            for _ in range(extent.rounds):
                rates["bare"].append(_rate(_bare_sender(rokt), rokt, extent.seconds))
                for name, url in urls.items():
                    backlogs[name].grow(int(most * (extent.seconds + WARM_UP + 1.0)))
                    worker = processes.worker(processes.for_worker(url, rokt.url))
                    rates[name].append(_rate(worker, rokt, extent.seconds))
            for name in names:
                words = ""
                if delay:
                    words = (
                        f", {statistics.median(rates[name]) / most:.0%} of {IN_FLIGHT} threads' {most:.0f}/s"
                    )
                measured = f"delivered by one worker, upstream at {delay} ms"
                rows.append(compared(measured, name, rates[name], rates["bare"], GOAL, words))
    return rows


def _bare_sender(rokt: Running) -> AbstractContextManager[Running]:
    command = [sys.executable, "-m", "benchmarks.bare_sender", rokt.url, str(IN_FLIGHT)]
    return processes.started(command, {}, port=0)


def _rate(sender: AbstractContextManager[Running], rokt: Running, seconds: float) -> float:
    """What arrives a second while a sender runs, from a second after the first arrival."""
    seen(rokt)
    with sender:
        before = seen(rokt).count
        databases.until(lambda: seen(rokt).count > before, STARTS_WITHIN, "nothing arrived")
        time.sleep(WARM_UP)
        began, first = time.monotonic(), seen(rokt).count
        time.sleep(seconds)
        took, last = time.monotonic() - began, seen(rokt)
        if last.arrivals and last.arrivals[-1][1] < began + took - 0.5:
            raise RuntimeError("the backlog was empty before the time was over")
    return (last.count - first) / took
