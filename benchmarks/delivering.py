"""Delivered a second by one worker, against a bare loop of requests.Session with as many threads."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace

from benchmarks import databases, processes, worker_breakdown
from benchmarks.databases import Backlog
from benchmarks.extent import Extent
from benchmarks.processes import Running, seen
from benchmarks.report import Row, Table, compared
from bridge.destinations.rokt_calendar import IN_FLIGHT

GOAL = 0.8
OF_THREADS = 0.9  # of what the threads can do: bounded by them alone
BARE = "bare"
FASTEST = 3000  # deliveries a second that a backlog must be deep enough for
STARTS_WITHIN = 20.0  # seconds


@dataclass(frozen=True)
class _Sent:
    """`rate`: arrivals a second. `cpu`: the sender's, seconds for one."""

    rate: float
    cpu: float


def measure(names: Sequence[str], extent: Extent) -> tuple[list[Row], list[Table]]:
    rows: list[Row] = []
    cpu: dict[str, float] = {}
    with ExitStack() as stack:
        urls = {name: stack.enter_context(databases.fresh(name)) for name in names}
        backlogs = {name: Backlog(url) for name, url in urls.items()}
        for delay in extent.delays:
            rokt = stack.enter_context(processes.stand_in(delay_ms=delay))
            sent: dict[str, list[_Sent]] = {BARE: [], **{name: [] for name in names}}
            for _ in range(extent.rounds):
                sent[BARE].append(_measure(_bare_sender(rokt), rokt, extent))
                for name, url in urls.items():
                    backlogs[name].grow(int(_most(delay) * (extent.seconds + extent.warm_up + 1.0)))
                    worker = processes.worker(processes.for_worker(url, rokt.url))
                    sent[name].append(_measure(worker, rokt, extent))
            rows += [_row(name, delay, sent) for name in names]
            cpu = cpu or {name: statistics.median(one.cpu for one in all_) for name, all_ in sent.items()}
    return rows, [worker_breakdown.table(names, extent.in_process, cpu)]


def _row(name: str, delay: int, sent: Mapping[str, Sequence[_Sent]]) -> Row:
    ours, theirs = ([one.rate for one in sent[who]] for who in (name, BARE))
    row = compared(f"delivered by one worker, upstream at {delay} ms", name, ours, theirs, GOAL)
    if not delay:
        return row
    share = statistics.median(ours) / _most(delay)
    return replace(
        row,
        bridge=f"{row.bridge}, {share:.0%} of {IN_FLIGHT} threads' {_most(delay):.0f}/s",
        goal=f"{GOAL:g}, and {OF_THREADS:.0%}",
        is_good=bool(row.is_good) and share >= OF_THREADS,
    )


def _most(delay: int) -> float:
    """Deliveries a second: what the threads can do when each call takes the upstream's delay."""
    return IN_FLIGHT * 1000 / delay if delay else FASTEST


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
