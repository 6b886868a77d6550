"""What a deep backlog costs: the same things done beside a deep one and a shallow one, in turn."""

from __future__ import annotations

import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import psutil
import sqlalchemy as sa

from benchmarks import databases, processes
from benchmarks.client import Client
from benchmarks.databases import Backlog
from benchmarks.fill import fill
from benchmarks.processes import Running, seen
from benchmarks.report import Row, compared
from benchmarks.two_destinations import NAME as SECOND
from benchmarks.webhook import request
from bridge.database import Database, clock
from bridge.destinations.rokt_calendar import NAME
from bridge.outbox import claim
from bridge.outbox.tables import attempts, destination_states, messages, waiting

SHALLOW = 2_000
FIRST = 500_000_000  # number of the first request: behind all that a backlog is filled with
CLAIMS = 100
OTHERS = 1_500  # messages for the second destination
MOST_MEMORY = 150.0  # MB of one process
DEAD_FOR = 75.0  # seconds
NAPS = 90.0  # seconds; vacuum looks once a minute, and takes its time
# After how many dead rows vacuum takes a table, and how many a message leaves in it on its way.
VACUUMED = {
    "calls": (2_000, 1),
    "destination_states": (1_000, 0),
    "messages": (20_000 + 10_000, 1),
    "waiting": (2_000, 2),
    "workers": (1_000, 0),
}
_AGAIN = {
    "state": "'accepted'",
    "settled_at": "NULL",
    "tries": "0",
    "first_failed_at": "NULL",
    "reason": "NULL",
    "progress": "NULL",
}


@dataclass
class Depth:
    """One database with so many waiting, and the memory of all that ever ran on it."""

    name: str
    url: str
    waiting: int
    database: Database
    megabytes: dict[str, float] = field(default_factory=dict)

    def grow(self, count: int, **columns: str) -> range:
        """Returns the new messages' numbers."""
        with self.database.read() as connection:
            last = connection.scalar(sa.select(sa.func.max(messages.c.seq))) or 0
        fill(self.database, count, **(_AGAIN | columns))
        return range(last + 1, last + count + 1)

    def is_waiting(self, numbers: range) -> bool:
        its = waiting.c.seq.between(numbers.start, numbers.stop - 1)
        with self.database.read() as connection:
            return connection.scalar(sa.select(waiting.c.seq).where(its).limit(1)) is not None

    def open(self) -> None:
        """Forget that the upstream was in trouble."""
        with self.database.write() as connection:
            connection.execute(sa.delete(destination_states))

    @contextmanager
    def web(self) -> Iterator[Running]:
        with processes.web(processes.for_web(self.url)) as running, self._watched("web", running):
            yield running

    @contextmanager
    def worker(self, rokt: Running) -> Iterator[Running]:
        environ = processes.for_worker(self.url, rokt.url)
        command = [sys.executable, "-m", "benchmarks.two_destinations"]
        with processes.started(command, environ, port=0) as running, self._watched("worker", running):
            yield running

    @contextmanager
    def _watched(self, what: str, running: Running) -> Iterator[None]:
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.5):
                root = psutil.Process(running.pid)
                for process in (root, *root.children(recursive=True)):
                    used = process.memory_full_info().pss / 1e6
                    self.megabytes[what] = max(self.megabytes.get(what, 0.0), used)

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


@contextmanager
def depths(name: str, count: int) -> Iterator[tuple[Depth, Depth]]:
    """The deep one and the shallow one."""
    with ExitStack() as stack:
        made = []
        for wanted in (count, SHALLOW):
            url = stack.enter_context(databases.fresh(name))
            Backlog(url)
            database = Database(url, readers=1)
            stack.callback(database.close)
            depth = Depth(name, url, wanted, database)
            depth.grow(wanted)
            made.append(depth)
        yield made[0], made[1]


def in_turn(measure: Callable[[Depth], float], deep: Depth, shallow: Depth, rounds: int) -> list[list[float]]:
    rates: list[list[float]] = [[], []]
    for _ in range(rounds):
        for of, depth in zip(rates, (deep, shallow), strict=True):
            of.append(measure(depth))
    return rates


def dead_upstream(deep: Depth) -> Row:
    """Calls and attempts while everything is answered with 503, from the first one on."""
    deep.open()
    count = sa.select(sa.func.count()).select_from(attempts)
    with processes.stand_in(is_broken=True) as rokt, deep.worker(rokt):
        databases.until(lambda: seen(rokt).count > 0, 20, "no call was made")
        time.sleep(DEAD_FOR)
        calls = seen(rokt).count
    with deep.database.read() as connection:
        tried = connection.scalar(count)
    # 32 were under way before it closed; one a second for a minute, then one in ten.
    most = 32 + 60 + (DEAD_FOR - 60) / 10 + 3
    told = f"{calls} calls, {tried} attempts in {DEAD_FOR:.0f} s"
    return Row("a dead upstream", deep.name, told, goal=f"at most {most:.0f}", is_good=calls <= most)


def accepting(deep: Depth, shallow: Depth, rounds: int, seconds: float) -> Row:
    """With a worker beside each whose destination is closed."""
    with ExitStack() as stack:
        rokt = stack.enter_context(processes.stand_in(is_broken=True))
        clients = {}
        for depth in (deep, shallow):
            stack.enter_context(depth.worker(rokt))
            clients[depth.url] = Client(stack.enter_context(depth.web()).port, request, first=FIRST)
        rates = in_turn(
            lambda d: clients[d.url].as_fast_as_answered(seconds=seconds).rate, deep, shallow, rounds
        )
    return compared("accepted, the destination closed", deep.name, *rates, 0.9)


def another_destination(deep: Depth, shallow: Depth, rounds: int, what: str) -> Row:
    """Delivered a second to the second destination, beside a Rokt that is "closed" or "slow"."""
    slow = {"delay_ms": 1000.0} if what == "slow" else {"is_broken": True}

    def rate(depth: Depth) -> float:
        if what == "slow":
            depth.open()
        with processes.stand_in(**slow) as rokt, depth.worker(rokt):  # type: ignore[arg-type]
            databases.until(lambda: seen(rokt).token_calls > 0, 20, "no call was made")
            others = depth.grow(OTHERS, destination=f"'{SECOND}'")
            began = time.monotonic()
            databases.until(
                lambda: not depth.is_waiting(others), 60, "the second destination has not got all"
            )
            return OTHERS / (time.monotonic() - began)

    return compared(
        f"another destination, Rokt {what}", deep.name, *in_turn(rate, deep, shallow, rounds), 0.9
    )


def reading(deep: Depth, shallow: Depth, words: str = "") -> Row:
    """The statements that take 32 heads, undone each time."""

    def milliseconds(depth: Depth) -> float:
        with depth.database.write() as connection:
            now = clock(connection)
            began = time.perf_counter()
            taken = claim.claim(connection, "bench", NAME, 32, now)
            took = (time.perf_counter() - began) * 1000
            connection.rollback()
        assert len(taken) == 32
        return took

    times = [statistics.median(each) for each in in_turn(milliseconds, deep, shallow, CLAIMS)]
    ratio = times[0] / times[1]
    told = (f"{times[0]:.2f} ms", f"{times[1]:.2f} ms")
    return Row(f"reading a batch{words}", deep.name, *told, f"{ratio:.2f}", "at most 1.5", ratio <= 1.5)


def one_long_line(deep: Depth, length: int, seconds: float) -> Row:
    """What arrives of the other lines, before and after one with so many stands at the head of all."""
    deep.open()
    with processes.stand_in() as rokt, deep.worker(rokt):
        databases.until(lambda: seen(rokt).count > 0, 20, "nothing arrived")
        before = _arrived(rokt, seconds, range(0))
        long_ago = {
            "sqlite": "strftime('%Y-%m-%d %H:%M:%f000', 'now', '-1 day')",
            "postgresql": "now() - interval '1 day'",
        }
        its = deep.grow(length, line="7", received_at=long_ago[deep.name])
        after = _arrived(rokt, seconds, its)
    return compared(f"other keys, {length:,} of one at the head", deep.name, [after], [before], 0.5)


def _arrived(rokt: Running, seconds: float, but: range) -> float:
    seen(rokt)
    time.sleep(seconds)
    return sum(number not in but for number, _ in seen(rokt).arrivals) / seconds


def waiting_callers(deep: Depth, rounds: int, seconds: float) -> Row:
    """Every request asks for 25 seconds of patience, and nothing is answered upstream."""
    patient = [request, lambda n: request(n).replace(b"\r\nHost:", b"\r\nPrefer: wait=25\r\nHost:", 1)]
    rates: list[list[float]] = [[], []]
    deep.open()
    with processes.stand_in(delay_ms=60_000) as rokt, deep.worker(rokt), deep.web() as web:
        clients = [
            Client(web.port, one, first=2 * FIRST + n * FIRST, good=(b"202", b"200"))
            for n, one in enumerate(patient)
        ]
        for _ in range(rounds):
            for client, of in zip(clients, rates, strict=True):
                of.append(client.as_fast_as_answered(seconds=seconds).rate)
    return compared("accepted, all ask to wait, Rokt hangs", deep.name, rates[1], rates[0], 0.8)


def churn(deep: Depth, seconds: float, rate: float) -> list[Row]:
    """What PostgreSQL's vacuum leaves behind while as much comes as goes."""
    deep.open()
    dead: dict[str, list[int]] = {}
    over = threading.Event()

    def watch() -> None:
        while not over.wait(2.0):
            with deep.database.read() as connection:
                for table, count in connection.execute(_DEAD):
                    dead.setdefault(table, []).append(count)

    thread = threading.Thread(target=watch)
    with processes.stand_in() as rokt, deep.worker(rokt), deep.web() as web:
        client = Client(web.port, request, first=4 * FIRST)
        thread.start()
        client.at_rate(rate, seconds)
        delivered = seen(rokt).count / seconds
        over.set()
        thread.join()
    rows = []
    for table, counts in sorted(dead.items()):
        threshold, for_each = VACUUMED[table]
        most = threshold + for_each * delivered * NAPS
        told = f"{max(counts):,} at most, {counts[-1]:,} at the end"
        against = f"{rate:.0f}/s in, {delivered:.0f}/s out, {seconds:.0f} s"
        goal = f"at most {most:,.0f}"
        rows.append(
            Row(f"dead rows of {table}", deep.name, told, against, "", goal, is_good=max(counts) <= most)
        )
    return rows


_DEAD = sa.text(
    "SELECT relname, n_dead_tup FROM pg_stat_user_tables "
    "WHERE relname IN ('waiting', 'messages', 'calls', 'workers', 'destination_states')"
)


def memory(depth: Depth) -> list[Row]:
    return [
        Row(
            f"memory of a {what} process, at most",
            depth.name,
            f"{used:.0f} MB",
            goal=f"under {MOST_MEMORY:.0f}",
            is_good=used < MOST_MEMORY,
        )
        for what, used in sorted(depth.megabytes.items())
    ]
