"""Offers: how soon a kept one and a new one are answered, and what becomes of all the rest while Rokt hangs."""

from __future__ import annotations

import json
import statistics
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from benchmarks import databases, processes
from benchmarks.client import Client, Load
from benchmarks.extent import Extent
from benchmarks.processes import Running
from benchmarks.report import Row, Table, compared
from benchmarks.webhook import KEY
from benchmarks.webhook import request as webhook
from bridge.local import free_port

PATH = "/v1/offers"
KEPT_P99 = 5.0  # milliseconds
ADDED = 10.0  # milliseconds, at most, to the upstream's own time
ROKT_TAKES = 100.0  # milliseconds
KEPT_RATE, NEW_RATE = 200.0, 50.0  # a second
AT_ONCE = 500
ANSWERED_WITHIN = 2.0  # seconds; then Braze goes on without an answer
GOAL = 0.8  # of the webhooks' rate


def measure(names: Sequence[str], extent: Extent) -> tuple[list[Row], list[Table]]:
    return [row for name in names for row in (*_soon(name, extent), *_hanging(name, extent))], []


def _soon(name: str, extent: Extent) -> list[Row]:
    kept, bare, cold, its = [], [], [], []
    with (
        databases.fresh(name) as url,
        _rokt("--delay", str(ROKT_TAKES)) as rokt,
        _web(url, rokt) as web,
        processes.bare_web(processes.for_web(url)) as bare_web,
    ):
        clients = {
            KEPT_RATE: (
                _client(web, lambda _number: _request(0)),
                kept,
                Client(bare_web.port, webhook),
                bare,
            ),
            NEW_RATE: (_client(web, _request, first=1), cold, _client(rokt, _request), its),
        }
        for rate, (client, _, other, _) in clients.items():
            for one in (client, other):
                one.at_rate(rate, extent.warm_up)
        for _ in range(extent.rounds):
            for rate, (client, ours, other, theirs) in clients.items():
                for one, found in ((client, ours), (other, theirs)):
                    found.append(one.at_rate(rate, extent.seconds).percentile(0.99) * 1000)
    return _soon_rows(name, *(statistics.median(found) for found in (kept, bare, cold, its)))


def _soon_rows(name: str, kept: float, bare: float, cold: float, its: float) -> list[Row]:
    return [
        Row(
            f"an offer that is kept, p99 at {KEPT_RATE:.0f}/s",
            name,
            f"{kept:.1f} ms",
            f"bare Flask {bare:.1f} ms",
            goal=f"< {KEPT_P99:.0f} ms",
            is_good=kept < KEPT_P99,
        ),
        Row(
            f"an offer that Rokt is asked for, p99 at {NEW_RATE:.0f}/s",
            name,
            f"{cold:.0f} ms",
            f"Rokt itself {its:.0f} ms",
            goal=f"< {ADDED:.0f} ms more",
            is_good=cold < its + ADDED,
        ),
    ]


def _hanging(name: str, extent: Extent) -> list[Row]:
    calm, meanwhile, slowest = [], [], []
    seconds = extent.seconds * 2
    for _ in range(extent.rounds):
        # A process of its own for each: once Rokt has hung it is left alone for a while.
        with databases.fresh(name) as url, _rokt("--hangs") as rokt, _web(url, rokt) as web:
            client = Client(web.port, webhook)
            calm.append(client.as_fast_as_answered(seconds=seconds, warm_up=extent.warm_up).rate)
            with _at_once(web) as load:
                meanwhile.append(client.as_fast_as_answered(seconds=seconds, warm_up=0.0).rate)
            slowest.append(max(load.latencies))
    worst = max(slowest)
    return [
        Row(
            f"{AT_ONCE} offers at once while Rokt hangs: the last answer",
            name,
            f"{worst:.2f} s ({statistics.median(slowest):.2f} s in the median)",
            goal=f"< {ANSWERED_WITHIN:.0f} s",
            is_good=worst < ANSWERED_WITHIN,
        ),
        compared(f"accepted, meanwhile {AT_ONCE} offers wait for Rokt", name, meanwhile, calm, GOAL),
    ]


@contextmanager
def _at_once(web: Running) -> Iterator[Load]:
    """The load is complete after the block."""
    load = Load()

    def ask() -> None:
        client = _client(web, _request, connections=AT_ONCE)
        load.latencies += client.as_fast_as_answered(count=AT_ONCE).latencies

    thread = threading.Thread(target=ask)
    thread.start()
    yield load
    thread.join()
    if len(load.latencies) != AT_ONCE:
        raise RuntimeError(f"{len(load.latencies)} of {AT_ONCE} offers were answered")


def _client(
    web: Running, request: Callable[[int], bytes], *, connections: int = 64, first: int = 0
) -> Client:
    return Client(web.port, request, connections=connections, first=first, good=(b"200",))


def _request(number: int) -> bytes:
    body = json.dumps(
        {"pageIdentifier": "confirmation", "user_id": f"u-{number:012d}", "attributes": {"locale": "en-AU"}}
    )
    return (
        f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


@contextmanager
def _rokt(*options: str) -> Iterator[Running]:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.offers_stand_in", "--port", str(port), *options]
    with processes.started(command, {}, port=port) as running:
        processes.await_answer(f"{running.url}/")
        yield running


@contextmanager
def _web(database_url: str, rokt: Running) -> Iterator[Running]:
    environ = processes.for_worker(database_url, rokt.url)
    environ |= {
        "ROKT_OFFERS_URL": rokt.url,
        "ROKT_PUB_ID": "id",
        "ROKT_SECRET": "secret-of-the-benchmark",
        "ROKT_TAG_ID": "1234567890",
    }
    with processes.web_with_upstream(environ) as running:
        yield running
