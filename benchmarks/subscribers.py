"""Subscribers drained into Braze: how full the calls are, how many go in three seconds, and the worker's memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import psutil

from benchmarks import databases, processes
from benchmarks.extent import Extent
from benchmarks.processes import Running, seen
from benchmarks.report import Row, Table
from bridge.database import Database
from bridge.ledger.subscribers import SubscriberLedger
from bridge.outbox.enqueue import GROUP_ROWS, Request, Subject, store
from bridge.outbox.tables import key_of
from bridge.settings import IdentityRule
from bridge.subscribers.change import SubscriberChange

OBJECTS = 74  # of one call, at least: 37 subscribers with attributes and an event each, and no half of one
CALLS, WINDOW = 3_000, 3.0  # Braze's limit: calls in so many seconds
FLAT = 1.15  # times the memory after the first fifth, at most
DRAINED_WITHIN = 600.0  # seconds
FAR = datetime(2100, 1, 1, tzinfo=UTC)


@dataclass
class _Drained:
    """`calls`: objects and monotonic time of each. `memory`: MB of the worker, by how many calls had come."""

    calls: list[tuple[int, float]] = field(default_factory=list)
    memory: list[tuple[int, float]] = field(default_factory=list)

    @property
    def objects(self) -> int:
        return sum(objects for objects, _ in self.calls)

    def most_in(self, window: float) -> int:
        times = sorted(at for _, at in self.calls)
        most = first = 0
        for last, at in enumerate(times):
            while times[first] <= at - window:
                first += 1
            most = max(most, last - first + 1)
        return most

    def memory_at(self, share: float) -> float:
        """The most of it until so much of the work was done."""
        until = share * self.memory[-1][0]
        return max((size for calls, size in self.memory if calls <= until), default=self.memory[0][1])


def measure(names: Sequence[str], extent: Extent) -> tuple[list[Row], list[Table]]:
    return [row for name in names for row in _of(name, extent.subscribers)], []


def _of(name: str, count: int) -> list[Row]:
    with databases.fresh(name) as url, processes.stand_in() as braze:
        _accept(url, count)
        environ = processes.for_worker(url, braze.url)
        environ |= {"BRAZE_REST_URL": braze.url, "BRAZE_API_KEY": "key-of-the-benchmark"}
        with processes.worker(environ) as worker:
            drained = _drained(worker, braze, 2 * count)
    took = max(at for _, at in drained.calls) - min(at for _, at in drained.calls)
    *full, _last = sorted((objects for objects, _ in drained.calls), reverse=True)
    least, most = min(full, default=OBJECTS), drained.most_in(WINDOW)
    early, late = drained.memory_at(0.2), drained.memory_at(1.0)
    what = f"{count:,} subscribers drained"
    return [
        Row(
            f"{what}: objects a call, all but the last",
            name,
            f"{least} at least, {len(drained.calls):,} calls, {count / took:.0f} subscribers/s",
            goal=f"{OBJECTS}",
            is_good=least >= OBJECTS,
        ),
        Row(
            f"{what}: the most calls in {WINDOW:.0f} s",
            name,
            f"{most:,}",
            goal=f"≤ {CALLS:,}",
            is_good=most <= CALLS,
        ),
        Row(
            f"{what}: the worker's memory",
            name,
            f"{early:.0f} MB after a fifth, {late:.0f} MB at most",
            goal=f"≤ {FLAT:g} times",
            is_good=late <= FLAT * early,
        ),
    ]


def _accept(url: str, count: int) -> None:
    """As the web process does for Rokt's webhooks, 64 in a group."""
    ledger = SubscriberLedger(IdentityRule(), syncs=True, looks_up=False, sends_unsubscribe=True)
    database = Database(url, readers=1)
    for begin in range(0, count, GROUP_ROWS):
        group = [_request(number) for number in range(begin, min(begin + GROUP_ROWS, count))]
        with database.write() as connection:
            store(connection, group, ledger=ledger)
    database.close()


def _request(number: int) -> Request:
    its_id = f"06423672-b6ba-4536-aa36-{number:012x}"
    facts = {
        "account_code": "brazetest",
        "account_id": "d0ce4299-7d6c-4888-bfd8-c7e867a0fa6c",
        "account_name": "Braze Test",
        "calendar_code": "test-calendar-1",
        "calendar_id": "9a9007c7-f5a4-e811-b13c-06424c4f2724",
        "calendar_title": "Test Calendar 1",
        "country_code": "AU",
        "device_name": "Desktop",
        "geo_country": "Australia",
        "optIn1": True,
        "optIn2": False,
        "source": "brazetest.roktcalendar.com",
        "subscriber_email": f"user{number}@example.com",
        "subscription_id": its_id,
        "subscription_method": "Google",
        "tags": ["Test Calendar 1/All Teams"],
    }
    change = SubscriberChange("subscribe", its_id, facts, f"u-{number}", f"user{number}@example.com")
    subject = Subject(key_of("subscription", its_id), f"{number:032x}", FAR)
    return Request(
        (), f"r-{number}", "bench", "rokt.webhook", {"body": facts}, subject=subject, change=change
    )


def _drained(worker: Running, braze: Running, objects: int) -> _Drained:
    drained = _Drained()

    def all_came() -> bool:
        drained.calls += seen(braze).arrivals
        if drained.calls:
            size = psutil.Process(worker.pid).memory_info().rss / 1e6
            drained.memory.append((len(drained.calls), size))
        return drained.objects >= objects

    databases.until(all_came, DRAINED_WITHIN, "not everything arrived")
    return drained
