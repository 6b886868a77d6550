"""What others notice while a long history is forgotten: web and worker, against the same that keep theirs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field

import sqlalchemy as sa

from benchmarks import databases, processes
from benchmarks.both import Contender
from benchmarks.client import Client
from benchmarks.extent import Extent
from benchmarks.fill import fill
from benchmarks.report import Row, Table, compared
from benchmarks.webhook import request
from bridge.database import Database
from bridge.outbox.tables import messages

GOAL = 0.8
MEASURE = "accepted and delivered at once while old messages are forgotten"
ANSWER = "answer at 100/s while old messages are forgotten, p99"
RATE = 100.0  # requests a second
BEGINS_WITHIN = 30.0  # seconds
AGO = {"sqlite": "'2020-01-01 00:00:00.000000'", "postgresql": "'2020-01-01Z'::timestamptz"}
KEPT = {"RETENTION_DAYS": "3650"}


@dataclass
class _Bridge:
    """`last`: of its history, `left`: how much of that there is yet. `forgotten`: messages a second."""

    contender: Contender
    database: Database
    last: int
    p99: list[float] = field(default_factory=list)
    forgotten: list[float] = field(default_factory=list)

    @property
    def left(self) -> int:
        with self.database.read() as connection:
            return connection.scalar(sa.select(sa.func.count()).where(messages.c.seq <= self.last)) or 0

    def measure(self, extent: Extent) -> None:
        began, before = time.monotonic(), self.left
        self.contender.measure(extent.both)
        load = self.contender.client.at_rate(RATE, extent.seconds)
        self.forgotten.append((before - self.left) / (time.monotonic() - began))
        self.p99.append(load.percentile(0.99) * 1000)


def measure(names: Sequence[str], extent: Extent) -> tuple[list[Row], list[Table]]:
    return [row for name in names for row in _of(name, extent)], []


def _of(name: str, extent: Extent) -> list[Row]:
    with _running(name, extent, {}) as ours, _running(name, extent, KEPT) as keeping:
        databases.until(lambda: ours.left < extent.history, BEGINS_WITHIN, "nothing was forgotten")
        for one in (ours, keeping):
            one.contender.measure(extent.both // 10)
            one.contender.rates.clear()
        for _ in range(extent.rounds):
            for one in (ours, keeping):
                one.measure(extent)
        if not ours.left or keeping.left < extent.history:
            raise RuntimeError(f"of {extent.history} old messages {ours.left} and {keeping.left} are left")
    words = f", {statistics.median(ours.forgotten):.0f}/s forgotten beside"
    p99, its_p99 = statistics.median(ours.p99), statistics.median(keeping.p99)
    return [
        compared(MEASURE, name, ours.contender.rates, keeping.contender.rates, GOAL, words),
        Row(ANSWER, name, f"{p99:.0f} ms ({min(ours.p99):.0f} – {max(ours.p99):.0f})", f"{its_p99:.0f} ms"),
    ]


@contextmanager
def _running(name: str, extent: Extent, more: dict[str, str]) -> Iterator[_Bridge]:
    """A bridge with messages that were delivered years ago."""
    with ExitStack() as stack:
        url = stack.enter_context(databases.fresh(name))
        rokt = stack.enter_context(processes.stand_in())
        web = stack.enter_context(processes.web(processes.for_web(url)))
        client = Client(web.port, request)
        client.as_fast_as_answered(count=1)
        database = stack.enter_context(closing(Database(url, readers=1)))
        fill(database, extent.history, state="'delivered'", settled_at=AGO[name])
        with database.read() as connection:
            last = connection.scalar(sa.select(sa.func.max(messages.c.seq)))
        environ = processes.for_worker(url, rokt.url) | more
        stack.enter_context(processes.worker(environ, "benchmarks.forgetting_worker"))
        yield _Bridge(Contender(client, rokt, []), database, last or 0)
