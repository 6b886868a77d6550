"""Events a second accepted and delivered, by one web process and one worker, on each database.

Every figure is also given as a ratio to a bare Flask view under the same gunicorn in the same run: machines
differ, ratios less so. The load generator, the sandbox and the database share the machine with the bridge.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from postgres import running_postgres  # noqa: E402

from bridge.database import Database  # noqa: E402
from bridge.local import free_port  # noqa: E402
from bridge.outbox.tables import waiting  # noqa: E402

KEY = "bench-key"
CONNECTIONS = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=4000)
    parser.add_argument("--databases", default="sqlite,postgresql")
    given = parser.parse_args()
    print(f"{given.events} events each, {CONNECTIONS} connections, {os.cpu_count()} cores\n")
    print(f"{'':34} {'per s':>8} {'p50 ms':>8} {'p99 ms':>8} {'of bare':>8}")
    bare = _bare(given.events)
    for name in given.databases.split(","):
        with tempfile.TemporaryDirectory() as folder, _database(name, folder) as url:
            _bridge(name, url, given.events, bare)


def _bare(events: int) -> float:
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        environ = {"BRIDGE_ENV": "development", "DATABASE_URL": f"sqlite:///{folder}/bare.db"}
        _migrate(environ)
        with _process(_gunicorn(port, "benchmarks.bare:app"), environ):
            _wait_for(f"http://127.0.0.1:{port}/healthz")
            rate, p50, p99 = _load(port, events)
    _row("bare Flask view, 202", rate, rate, p50, p99)
    return rate


def _bridge(name: str, url: str, events: int, bare: float) -> None:
    web, rokt = free_port(), free_port()
    environ = {
        "BRIDGE_TOKENS": f"bench:{KEY}",
        "BRIDGE_ENV": "development",
        "DATABASE_URL": url,
        "ROKT_CALENDAR_URL": f"http://127.0.0.1:{rokt}",
        "ROKT_CALENDAR_CLIENT_ID": "id",
        "ROKT_CALENDAR_CLIENT_SECRET": "secret",
    }
    bridge = ["-m", "bridge"]
    _migrate(environ)
    gunicorn = _gunicorn(web, "bridge.app:create_app()")
    with _process([*bridge, "sandbox", "--port", str(rokt)], environ), _process(gunicorn, environ):
        _wait_for(f"http://127.0.0.1:{web}/readyz")
        _wait_for(f"http://127.0.0.1:{rokt}/")
        rate, p50, p99 = _load(web, events)
        _row(f"{name}: accepted, no worker", rate, bare, p50, p99)
        started = time.monotonic()
        with _process([*bridge, "worker"], environ):
            _drain(url)
            delivered = events / (time.monotonic() - started)
            _row(f"{name}: delivered from a backlog", delivered, bare)
            started = time.monotonic()
            rate, p50, p99 = _load(web, events, first=events)
            _row(f"{name}: accepted beside a worker", rate, bare, p50, p99)
            _drain(url)
            _row(f"{name}: accepted and delivered", events / (time.monotonic() - started), bare)


def _gunicorn(port: int, application: str) -> list[str]:
    return ["-m", "gunicorn", "-c", "gunicorn.conf.py", "--bind", f"127.0.0.1:{port}", application]


def _migrate(environ: dict[str, str]) -> None:
    command = [sys.executable, "-m", "bridge", "migrate"]
    subprocess.run(command, cwd=ROOT, env=os.environ | environ, check=True, capture_output=True)


def _load(port: int, events: int, first: int = 0) -> tuple[float, float, float]:
    """Rate, median and 99th percentile (ms) of answers over kept-alive connections."""
    times: list[float] = []
    failures: list[bytes] = []

    def send(numbers: range) -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            answers = connection.makefile("rb")
            for number in numbers:
                request = _request(port, number)
                began = time.perf_counter()
                connection.sendall(request)
                status = answers.readline()
                length = 0
                while (line := answers.readline()) not in (b"\r\n", b""):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                body = answers.read(length)
                times.append(time.perf_counter() - began)
                if b" 202 " not in status:
                    failures.append(status + body)

    threads = [
        threading.Thread(target=send, args=(range(first + n, first + events, CONNECTIONS),))
        for n in range(CONNECTIONS)
    ]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - began
    if failures:
        raise SystemExit(f"{len(failures)} answers were not 202, such as {failures[0]!r}")
    times.sort()
    return events / took, times[len(times) // 2] * 1000, times[len(times) * 99 // 100] * 1000


def _request(port: int, number: int) -> bytes:
    body = json.dumps(
        {
            "template": "flash_sale",
            "user_id": f"u-{number}",
            "account_code": ["brazetest/f5733866ade2"],
            "subscription_ids": [f"06423672-b6ba-4536-aa36-{number:012x}"],
            "idempotency_key": f"bench-{number}",
            "variables": {
                "sale_id": "winter27",
                "starts": "2027-12-03T09:00",
                "first_name": "Ada",
                "discount": "50",
            },
        }
    ).encode()
    head = (
        f"POST /v1/calendar/events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _drain(url: str) -> None:
    database = Database(url, readers=1)
    while True:
        with database.read() as connection:
            if connection.scalar(sa.select(waiting.c.seq).limit(1)) is None:
                break
        time.sleep(0.05)
    database.close()


@contextmanager
def _database(name: str, folder: str) -> Iterator[str]:
    if name == "sqlite":
        yield f"sqlite:///{folder}/bench.db"
        return
    with running_postgres(settings="-c fsync=on -c synchronous_commit=on -c full_page_writes=on") as url:
        yield url


@contextmanager
def _process(arguments: list[str], environ: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def _wait_for(address: str) -> None:
    for _ in range(300):
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"{address} does not answer")


def _row(words: str, rate: float, bare: float, p50: float | None = None, p99: float | None = None) -> None:
    middle = f"{p50:8.1f} {p99:8.1f}" if p50 is not None and p99 is not None else f"{'':8} {'':8}"
    print(f"{words:34} {rate:8.0f} {middle} {rate / bare:8.2f}", flush=True)


if __name__ == "__main__":
    main()
