"""What callers who mean harm do to the others: `python -m benchmarks.attacks slow` or `… templates`.

Beside them a webhook is sent every 50 ms on a connection of its own, with and without them in turns; docs/security.md
has the figures. Not part of `make bench`: it says how a bound holds, and not how fast something is.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager, suppress

from benchmarks import databases, processes
from benchmarks.webhook import KEY, request
from bridge.local import free_port

sys.path.append(str(processes.ROOT / "tests"))

from security.escapes import escapes

EVERY = 0.05  # seconds, another webhook
GIVEN_UP = (
    5.0  # seconds, after which the one who sent a webhook waits no longer: Braze's own patience is not longer
)
ROUNDS, SECONDS = 3, 8.0
HEAD = f"POST /v1/calendar/events HTTP/1.1\r\nHost: b\r\nAuthorization: Bearer {KEY}\r\n".encode()
HALVES = {"heads": HEAD + b"Content-Le", "bodies": HEAD + b"Content-Length: 500\r\n\r\n{"}
SECONDS_OF_A_RENDERING = 0.25
GREEDY = """{# Takes as long as it is told to.

rounds default 1, number
#}
{% block event_id %}e-1{% endblock %}{% block title %}t{% endblock %}{% block timezone %}UTC{% endblock %}
{% block start %}2027-12-04T09:00{% endblock %}
{% block description %}{% for a in range((rounds / 1000) | ceil) %}{% for b in range(1000) %}{% endfor %}{% endfor %}
{% endblock %}"""
WITH_THREADS = ["--worker-class", "gthread", "--threads", "32"]

_numbers = itertools.count()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attacks", description=__doc__)
    parser.add_argument("attack", choices=("slow", "templates"))
    {"slow": slow_callers, "templates": templates}[parser.parse_args().attack]()
    return 0


def slow_callers() -> None:
    with databases.fresh("sqlite") as url:
        with processes.web(processes.for_web(url)) as web:
            for count, half in itertools.product((40, 1000), HALVES):
                compared(
                    f"the bridge, {count} half-sent {half}",
                    web.port,
                    lambda c=count, h=half: held(web.port, c, HALVES[h]),
                )
        with _plain(url) as port:
            compared(
                "plain gunicorn gthread, 40 half-sent heads", port, lambda: held(port, 40, HALVES["heads"])
            )


def templates() -> None:
    """A published template that works for almost as long as it may, and previews of all that never ends."""
    with databases.fresh("sqlite") as url, processes.web(processes.for_web(url)) as web:
        _call(web.port, "PUT", "/v1/templates/greedy", {"source": GREEDY})
        _call(web.port, "POST", "/v1/templates/greedy/publish", {})
        rounds = next(
            n for n in range(1000, 400_000, 1000) if _took(web.port, n) > 0.6 * SECONDS_OF_A_RENDERING
        )
        print(f"a rendering of {rounds} rounds")
        compared("renderings that take long", web.port, lambda: repeated(4, lambda: _took(web.port, rounds)))
        endless = [{"source": e.sources["tricky"]} for e in escapes("exhaustion") if e.takes_long]
        asked = itertools.cycle(endless)

        def preview() -> None:
            _call(web.port, "POST", "/v1/templates/tricky/preview", next(asked))

        compared(f"previews of {len(endless)} that never end", web.port, lambda: repeated(4, preview))


def _took(port: int, rounds: int) -> float:
    began = time.monotonic()
    body = {
        "template": "greedy",
        "user_id": f"u-{next(_numbers)}",
        "account_code": "a",
        "subscription_ids": ["s"],
    }
    _call(port, "POST", "/v1/calendar/events?dry_run=true", body | {"variables": {"rounds": rounds}})
    return time.monotonic() - began


def _call(port: int, method: str, path: str, body: object) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request(method, path, json.dumps(body), {"Authorization": f"Bearer {KEY}"})
        answer = connection.getresponse()
        told = answer.read()
        if answer.status >= 400:
            raise RuntimeError(f"{path}: {answer.status} {told[:300]!r}")


@contextmanager
def repeated(threads: int, call: Callable[[], object]) -> Iterator[None]:
    """So many callers, each of whom calls again as soon as it was answered."""
    is_over = threading.Event()

    def again() -> None:
        while not is_over.is_set():
            call()

    with ThreadPoolExecutor(threads) as pool:
        running = [pool.submit(again) for _ in range(threads)]
        try:
            yield
        finally:
            is_over.set()
        for one in running:
            one.result()


def compared(words: str, port: int, attack: Callable[[], AbstractContextManager[None]]) -> None:
    """Prints the others' p99 without and with the attack, in turns."""
    without: list[float] = []
    beside: list[float] = []
    for _ in range(ROUNDS):
        without += others(port)
        with attack():
            beside += others(port)
        time.sleep(1)
    print(f"{words}: without {_told(without)}; with {_told(beside)}", flush=True)


def others(port: int) -> list[float]:
    """Seconds from when each webhook was due; infinite for one without its 202."""
    with ThreadPoolExecutor(128) as pool:
        began, asked = time.monotonic(), []
        while (due := began + len(asked) * EVERY) < began + SECONDS:
            time.sleep(max(0.0, due - time.monotonic()))
            asked.append(pool.submit(_one, port, due))
        return [one.result() for one in asked]


def _one(port: int, due: float) -> float:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), GIVEN_UP) as sender:
        sender.sendall(request(next(_numbers)))
        if sender.recv(64).startswith(b"HTTP/1.1 202"):
            return time.monotonic() - due
    return float("inf")


@contextmanager
def held(port: int, count: int, half: bytes) -> Iterator[None]:
    """So many connections that never become requests; whatever is closed is opened anew at once."""
    is_over = threading.Event()
    opened = selectors.DefaultSelector()

    def open_one() -> None:
        with suppress(OSError):
            sender = socket.create_connection(("127.0.0.1", port), 1.0)
            sender.sendall(half)
            opened.register(sender, selectors.EVENT_READ)

    def hold() -> None:
        while not is_over.is_set():
            while len(opened.get_map()) < count and not is_over.is_set():
                open_one()
            for key, _ in opened.select(0.1):
                opened.unregister(key.fileobj)
                key.fileobj.close()

    holder = threading.Thread(target=hold, daemon=True)
    holder.start()
    time.sleep(1.0)
    try:
        yield
    finally:
        is_over.set()
        holder.join()
        for key in list(opened.get_map().values()):
            key.fileobj.close()
        opened.close()


@contextmanager
def _plain(database_url: str) -> Iterator[int]:
    """gunicorn's own threads, as they come; our settings would put our worker there."""
    port = free_port()
    bind = ["-c", "/dev/null", "--bind", f"127.0.0.1:{port}"]
    command = [sys.executable, "-m", "gunicorn", *bind, *WITH_THREADS, "bridge.app:create_app()"]
    with processes.started(command, processes.for_web(database_url), port=port):
        processes.await_answer(f"http://127.0.0.1:{port}/healthz")
        yield port


def _told(latencies: Sequence[float]) -> str:
    ordered = sorted(latencies)
    p50, p99 = (ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in (0.5, 0.99))
    lost = sum(1 for one in ordered if one == float("inf"))
    return f"p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms, {lost} of {len(ordered)} without an answer"


if __name__ == "__main__":
    sys.exit(main())
