"""A million addresses drained into one list: in how many calls, how fast, and the worker's memory."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psutil

from benchmarks import databases, processes
from benchmarks.extent import Extent
from benchmarks.report import Row, Table
from bridge.audiences.calls import CALL_MOST
from bridge.database import Database
from bridge.outbox.enqueue import Request, store
from bridge.routes import audiences

OF_A_REQUEST = 1_000  # addresses
FLAT = 1.15  # times the memory after the first fifth, at most
DRAINED_WITHIN = 600.0  # seconds


@dataclass
class _Rokt:
    """Takes everything. `calls`: identifiers and monotonic time of each."""

    url: str = ""
    calls: list[tuple[int, float]] = field(default_factory=list)

    @property
    def identifiers(self) -> int:
        return sum(count for count, _ in self.calls)


def measure(names: Sequence[str], extent: Extent) -> tuple[list[Row], list[Table]]:
    return [row for name in names for row in _of(name, extent.addresses)], []


def _of(name: str, count: int) -> list[Row]:
    memory: list[tuple[int, float]] = []
    with databases.fresh(name) as url, _stand_in() as rokt:
        began = time.monotonic()
        _accept(url, count)
        accepted = count / (time.monotonic() - began)
        environ = processes.for_worker(url, rokt.url) | {
            "ROKT_AUDIENCE_URL": rokt.url,
            "ROKT_ACCOUNT_ID": "1234",
            "ROKT_API_KEY": "rpub-benchmark",
            "ROKT_API_SECRET": "rsec-benchmark",
        }
        with processes.worker(environ) as worker:

            def all_came() -> bool:
                if rokt.calls:
                    memory.append((rokt.identifiers, psutil.Process(worker.pid).memory_info().rss / 1e6))
                return rokt.identifiers >= count

            databases.until(all_came, DRAINED_WITHIN, "not everything arrived")
    took = max(at for _, at in rokt.calls) - min(at for _, at in rokt.calls)
    early = max((size for came, size in memory if came <= count / 5), default=memory[0][1])
    late = max(size for _, size in memory)
    least = -(-count // CALL_MOST)
    what = f"{count:,} addresses into one list, {OF_A_REQUEST:,} a request"
    return [
        Row(
            f"{what}: calls",
            name,
            f"{len(rokt.calls):,}, {count / took if took else 0:,.0f} addresses/s; "
            f"{accepted:,.0f}/s taken in by one writer",
            goal=f"{least:,}",
            is_good=len(rokt.calls) <= least,
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
    """As the web process does, a request in a transaction."""
    database = Database(url, readers=1)
    for begin in range(0, count, OF_A_REQUEST):
        hashes = [
            hashlib.sha256(b"%d" % n).hexdigest() for n in range(begin, min(begin + OF_A_REQUEST, count))
        ]
        update = audiences.read({"action": "include", "sha256s": hashes}, "VIP", None)
        asked = Request(update.messages(), f"r-{begin}", "bench", audiences.NAME, {"body": dict(update.told)})
        with database.write() as connection:
            store(connection, [asked])
    database.close()


@contextmanager
def _stand_in() -> Iterator[_Rokt]:
    rokt = _Rokt()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            rokt.calls.append((len(body["sha256s"]), time.monotonic()))
            self.send_response(201)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    rokt.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield rokt
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
