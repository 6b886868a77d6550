"""Conversions drained to Rokt's Event API: how much of the rate is used, and the most batches that a second held."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime

from benchmarks import databases, processes
from benchmarks.extent import Extent
from benchmarks.processes import Running, seen
from benchmarks.report import Row, Table
from bridge.conversions.batches import batch_of
from bridge.conversions.conversion import Conversion
from bridge.database import Database
from bridge.outbox.enqueue import GROUP_ROWS, Request, store
from bridge.routes.conversions import message_of

RATE = 270  # batches a second, as Rokt's guide says
USED = 0.95  # of it, at least
WORKERS = (1, 2, 4)  # each drains its share of what waits
WARM_UP = 2.0  # seconds after workers were started that are left out
DRAINED_WITHIN = 900.0  # seconds
Arrivals = list[tuple[int, float]]  # batches and monotonic time of each call


def measure(names: Sequence[str], extent: Extent) -> tuple[list[Row], list[Table]]:
    return [row for name in names for row in _of(name, extent.conversions)], []


def _of(name: str, count: int) -> list[Row]:
    rows: list[Row] = []
    came = 0
    with databases.fresh(name) as url, processes.stand_in() as rokt:
        _accept(url, count)
        environ = processes.for_worker(url, rokt.url) | {
            "ROKT_EVENTS_URL": f"{rokt.url}/v2",
            "ROKT_EVENTS_KEY": "key",
            "ROKT_EVENTS_SECRET": "secret-of-the-benchmark",
            "ROKT_EVENTS_ENVIRONMENT": "development",
        }
        for number, workers in enumerate(WORKERS, 1):
            with ExitStack() as stack:
                for _ in range(workers):
                    stack.enter_context(processes.worker(environ))
                # What was in flight when the workers before ended has come too.
                arrivals = _drained(rokt, count * number // len(WORKERS) - came)
            came += sum(batches for batches, _ in arrivals)
            rows.append(_row(name, count, workers, arrivals))
    return rows


def _row(name: str, count: int, workers: int, arrivals: Arrivals) -> Row:
    begun = arrivals[0][1] + WARM_UP
    steady = [(batches, at) for batches, at in arrivals if at >= begun]
    # The last call is of what was left.
    used = sum(batches for batches, _ in steady[:-1]) / (steady[-1][1] - steady[0][1]) / RATE
    most = _most_in_a_second(arrivals)
    told = f"{workers} worker{'s' if workers > 1 else ''}"
    return Row(
        f"conversions of {count:,} users, {told}: of {RATE} batches a second",
        name,
        f"{used:.1%} used, {most} at most in any second",
        goal=f"{USED:.0%}, ≤ {RATE}",
        is_good=used >= USED and most <= RATE,
    )


def _most_in_a_second(arrivals: Arrivals) -> int:
    most = held = first = 0
    for batches, at in arrivals:
        held += batches
        while arrivals[first][1] <= at - 1.0:
            held -= arrivals[first][0]
            first += 1
        most = max(most, held)
    return most


def _accept(url: str, count: int) -> None:
    """As the web process does, 64 in a group."""
    database, now = Database(url, readers=1), datetime.now(UTC)
    for begin in range(0, count, GROUP_ROWS):
        group = [_request(number, now) for number in range(begin, min(begin + GROUP_ROWS, count))]
        with database.write() as connection:
            store(connection, group)
    database.close()


def _request(number: int, now: datetime) -> Request:
    conversion = Conversion(
        email=f"user{number}@example.com",
        user_id=f"u-{number}",
        user_attributes={"firstname": "Ada", "lastname": "Lovelace"},
        attributes={
            "amount": 129.95,
            "currency": "USD",
            "quantity": 1,
            "conversiontype": "purchase",
            "transactionid": f"T-{number}",
            "confirmationref": f"C-{number}",
        },
        occurred_at=now,
    )
    message = message_of(conversion, batch_of(conversion), str(number))
    return Request((message,), f"r-{number}", "bench", "conversions", {"body": {}})


def _drained(rokt: Running, count: int) -> Arrivals:
    arrivals: Arrivals = []

    def all_came() -> bool:
        arrivals.extend(seen(rokt).arrivals)
        return sum(batches for batches, _ in arrivals) >= count

    databases.until(all_came, DRAINED_WITHIN, "not everything arrived")
    return sorted(arrivals, key=lambda one: one[1])
