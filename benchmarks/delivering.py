"""Delivered a second by one worker, against a bare loop of requests.Session with as many threads."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

from benchmarks import databases, processes, worker_breakdown
from benchmarks.databases import Backlog
from benchmarks.extent import Extent
from benchmarks.processes import Running, seen
from benchmarks.report import Row, Table, compared
from bridge.destinations.rokt_calendar import IN_FLIGHT

GOAL = 0.8
FASTEST = 3000  # deliveries a second that a backlog must be deep enough for
STARTS_WITHIN = 20.0  # seconds


@dataclass(frozen=True)
class _Sent:
    """`rate`: arrivals a second. `cpu`: the sender's, seconds for one."""

    rate: float
    cpu: float


def measure(names: Sequence[str], extent: Extent) -> tuple[list[Row], list[Table]]:
    rows = []
    cpu: dict[str, float] = {}
    with ExitStack() as stack:
        urls = {name: stack.enter_context(databases.fresh(name)) for name in names}
        backlogs = {name: Backlog(url) for name, url in urls.items()}
        for delay in extent.delays:
            rokt = stack.enter_context(processes.stand_in(delay_ms=delay))
            rates: dict[str, list[float]] = {"bare": [], **{name: [] for name in names}}
            most = IN_FLIGHT * 1000 / delay if delay else FASTEST
            for _ in range(extent.rounds):
                sent = _measure(_bare_sender(rokt), rokt, extent)
                rates["bare"].append(sent.rate)
                cpu.setdefault("bare", sent.cpu)
                for name, url in urls.items():
                    backlogs[name].grow(int(most * (extent.seconds + extent.warm_up + 1.0)))
                    worker = processes.worker(processes.for_worker(url, rokt.url))
                    sent = _measure(worker, rokt, extent)
                    rates[name].append(sent.rate)
                    cpu.setdefault(name, sent.cpu)
            for name in names:
                words = ""
                if delay:
                    words = (
                        f", {statistics.median(rates[name]) / most:.0%} of {IN_FLIGHT} threads' {most:.0f}/s"
                    )
                measured = f"delivered by one worker, upstream at {delay} ms"
                rows.append(compared(measured, name, rates[name], rates["bare"], GOAL, words))
    return rows, [worker_breakdown.table(names, extent.in_process, cpu)]


def _bare_sender(rokt: Running) -> AbstractContextManager[Running]:
    command = [sys.executable, "-m", "benchmarks.bare_sender", rokt.url, str(IN_FLIGHT)]
    return processes.started(command, {}, port=0)


def _measure(sender: AbstractContextManager[Running], rokt: Running, extent: Extent) -> _Sent:
    """What arrives while a sender runs, from a moment after the first arrival."""
    before = seen(rokt).count
    with sender as running:
        databases.until(lambda: seen(rokt).count > before, STARTS_WITHIN, "nothing arrived")
        time.sleep(extent.warm_up)
        began, cpu, first = time.monotonic(), running.cpu(), seen(rokt).count
        time.sleep(extent.seconds)
        took, cpu, last = time.monotonic() - began, running.cpu() - cpu, seen(rokt)
        if not last.arrivals or last.arrivals[-1][1] < began + took - 0.5:
            raise RuntimeError("nothing arrived any more before the time was over")
    return _Sent((last.count - first) / took, cpu / (last.count - first))
