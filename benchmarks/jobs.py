"""Live traffic beside a job that replays a hundred thousand dead messages, and without it, in turn."""

from __future__ import annotations

import argparse
import json
import statistics
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from benchmarks import databases, processes
from benchmarks.client import Client, Load
from benchmarks.fill import fill
from benchmarks.processes import Running, seen
from benchmarks.webhook import KEY, request
from bridge.database import Database
from bridge.outbox.tables import waiting

FIRST = 500_000_000  # number of the first live request: behind all that is dead
RATE = 100.0  # a second, for latencies
DRAINS_WITHIN = 60.0  # seconds
_NOW = {"postgresql": "now()", "sqlite": "strftime('%Y-%m-%d %H:%M:%f000', 'now')"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--databases", default="sqlite,postgresql")
    parser.add_argument("--dead", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    given = parser.parse_args()
    for name in given.databases.split(","):
        _measure(name, given.dead, given.rounds, given.seconds)


def _measure(name: str, dead: int, rounds: int, seconds: float) -> None:
    with databases.fresh(name) as url, processes.stand_in() as rokt:
        database = Database(url, readers=1)
        with processes.web(processes.for_web(url)) as web:
            Client(web.port, request, connections=1).as_fast_as_answered(count=1)
            fill(database, dead, state="'dead'", settled_at=_NOW[name], reason="'answered 400'")
            with processes.worker(processes.for_worker(url, rokt.url)):
                _drain(database)
                print(f"{name}: {dead:,} dead", flush=True)
                _turns(web, rokt, database, rounds, seconds)
        database.close()


def _turns(web: Running, rokt: Running, database: Database, rounds: int, seconds: float) -> None:
    client = Client(web.port, request, first=FIRST)
    client.as_fast_as_answered(seconds=2.0)
    fast: dict[str, list[float]] = {"without": [], "beside": []}
    accepted: dict[str, list[float]] = {"without": [], "beside": []}
    delivered: dict[str, list[float]] = {"without": [], "beside": []}
    sent_again: list[float] = []
    for _ in range(rounds):
        for which in fast:
            _drain(database)
            seen(rokt)
            with _job(web) if which == "beside" else _nothing() as progress:
                fast[which].append(client.as_fast_as_answered(seconds=seconds, warm_up=0.5).rate)
            _drain(database)
            seen(rokt)
            with _job(web) if which == "beside" else _nothing() as progress:
                load = client.at_rate(RATE, seconds)
                if which == "beside":
                    sent_again.append(progress() / seconds)
            _drain(database)
            accepted[which].append(load.percentile(0.99) * 1000)
            delivered[which] += _delivered_after(load, rokt)
    ratios = [a / b for a, b in zip(fast["beside"], fast["without"], strict=True)]
    print(
        f"  accepted/s as fast as answered: {statistics.median(fast['without']):.0f} without, "
        f"{statistics.median(fast['beside']):.0f} beside, ratio {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f} - {max(ratios):.2f})"
    )
    for which in fast:
        print(
            f"  at {RATE:.0f}/s, {which}: answer p99 {statistics.median(accepted[which]):.0f} ms, "
            f"accepted to delivered p50 {statistics.median(delivered[which]) * 1000:.0f} ms, "
            f"p99 {sorted(delivered[which])[len(delivered[which]) * 99 // 100] * 1000:.0f} ms"
        )
    print(f"  sent again beside that: {statistics.median(sent_again):.0f}/s", flush=True)


def _delivered_after(load: Load, rokt: Running) -> list[float]:
    arrived = dict(seen(rokt).arrivals)
    return [arrived[number] - at for number, at in load.sent_at.items() if number in arrived]


@contextmanager
def _job(web: Running) -> Iterator[Any]:
    job = _ask(web, "POST", "/v1/messages/replay", {"state": "dead"})["job"]
    try:
        yield lambda: _ask(web, "GET", f"/v1/jobs/{job}")["done"]
    finally:
        ended = _ask(web, "DELETE", f"/v1/jobs/{job}")
        if ended["state"] == "done":
            print("  (a job was done before its turn was over: more dead ones are needed)")


@contextmanager
def _nothing() -> Iterator[Any]:
    yield lambda: 0


def _drain(database: Database) -> None:
    def is_empty() -> bool:
        with database.read() as connection:
            return connection.scalar(sa.select(waiting.c.seq).limit(1)) is None

    databases.until(is_empty, DRAINS_WITHIN, "not everything left")


def _ask(web: Running, method: str, path: str, body: Any = None) -> dict[str, Any]:
    content = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    asked = urllib.request.Request(web.url + path, content, headers, method=method)
    with urllib.request.urlopen(asked, timeout=30) as answer:
        told: dict[str, Any] = json.load(answer)
    return told


if __name__ == "__main__":
    main()
