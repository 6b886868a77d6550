"""The real web process under gunicorn: one that sends slowly, holds the database or waits stops nobody else."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest
from outbox.steps import eventually
from processes import KEY, Processes, running_web

from bridge.web.connection import Connection
from bridge.web.server import Worker

MOST = 20  # seconds; what is stuck takes for ever


@pytest.fixture
def bridge(sqlite_database_url: str) -> Iterator[Processes]:
    with running_web(sqlite_database_url) as bridge:
        yield bridge


def ask(bridge: Processes, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    with closing(HTTPConnection("127.0.0.1", bridge.port, timeout=MOST)) as connection:
        headers |= {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def again(connection: HTTPConnection) -> None:
    connection.request("GET", "/healthz")
    connection.getresponse()


def an_event(user: str) -> dict[str, Any]:
    event = {"event_id": "sale", "title": "Sale", "start": "2027-12-01T09:00", "timezone": "Europe/Berlin"}
    return {"user_id": user, "account_code": "acme", "subscription_ids": ["s-1"], "event": event}


def post(bridge: Processes, user: str, **headers: str) -> int:
    status, _ = ask(bridge, "POST", "/v1/calendar/events", an_event(user), **headers)
    return status


@pytest.fixture
def half_sent(bridge: Processes) -> Iterator[Sequence[socket.socket]]:
    """Forty heads and forty bodies that never end."""
    head = f"POST /v1/calendar/events HTTP/1.1\r\nHost: bridge\r\nAuthorization: Bearer {KEY}\r\n"
    with ExitStack() as opened:
        senders = [
            opened.enter_context(socket.create_connection(("127.0.0.1", bridge.port), MOST))
            for _ in range(80)
        ]
        for number, sender in enumerate(senders):
            sender.sendall((head + ("Content-Length: 500\r\n\r\n{" if number % 2 else "Content-Le")).encode())
        yield senders


@pytest.mark.usefixtures("half_sent")
def test_who_sends_slowly_holds_up_nobody(bridge: Processes) -> None:
    assert post(bridge, "u-1") == 202
    assert ask(bridge, "GET", "/healthz")[0] == 200


def test_a_database_that_somebody_holds_is_waited_for_and_holds_up_nothing_else(
    bridge: Processes, sqlite_database_url: str
) -> None:
    path = Path(sqlite_database_url.removeprefix("sqlite:///"))
    with closing(sqlite3.connect(path, isolation_level=None)) as other, ThreadPoolExecutor(1) as pool:
        other.execute("BEGIN IMMEDIATE")
        waiting = pool.submit(post, bridge, "u-1")
        answers = [ask(bridge, "GET", path)[0] for path in ("/healthz", "/v1/messages", "/healthz")]
        is_waiting = not waiting.done()
        other.execute("COMMIT")

        assert answers == [200] * 3
        assert is_waiting
        assert waiting.result(MOST) == 202


@pytest.mark.parametrize("chunks", [b"zz\r\n", b"5\r\n{}\r\n\r\n", b"2\r\n{}__0\r\n\r\n"])
def test_wrong_chunks_are_the_callers_mistake(bridge: Processes, chunks: bytes) -> None:
    head = f"POST /v1/calendar/events HTTP/1.1\r\nHost: bridge\r\nAuthorization: Bearer {KEY}\r\n"
    with socket.create_connection(("127.0.0.1", bridge.port), MOST) as sender:
        sender.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
        sender.shutdown(socket.SHUT_WR)

        assert sender.recv(1000).startswith(b"HTTP/1.1 400")


def test_many_large_requests_at_once_are_all_answered(bridge: Processes) -> None:
    def post_large(number: int) -> int:
        return ask(bridge, "POST", "/v1/calendar/events", {"padding": "x" * 900_000, "user_id": str(number)})[
            0
        ]

    with ThreadPoolExecutor(40) as pool:
        assert list(pool.map(post_large, range(80))) == [422] * 80


def test_a_stop_answers_what_is_under_way_and_ends_what_is_idle(bridge: Processes) -> None:
    assert bridge.web is not None
    with (
        closing(HTTPConnection("127.0.0.1", bridge.port, timeout=MOST)) as idle,
        ThreadPoolExecutor(8) as pool,
    ):
        idle.request("GET", "/healthz")
        idle.getresponse().read()
        under_way = [pool.submit(post, bridge, f"u-{n}", Prefer="wait=3") for n in range(8)]
        eventually(lambda: len(ask(bridge, "GET", "/v1/messages")[1]["messages"]) == 8)
        bridge.web.send_signal(signal.SIGTERM)

        assert [one.result(MOST) for one in under_way] == [202] * 8
        assert bridge.web.wait(MOST) == 0  # gunicorn's grace for whoever is still connected is 25 s
        with pytest.raises((OSError, HTTPException)):
            again(idle)


def test_a_stop_waits_for_the_rest_of_a_request(bridge: Processes) -> None:
    body = json.dumps(an_event("u-1")).encode()
    with socket.create_connection(("127.0.0.1", bridge.port), MOST) as sender:
        sender.sendall(a_head(len(body)) + body[:10])
        stop(bridge)
        sender.sendall(body[10:])

        assert sender.recv(1000).startswith(b"HTTP/1.1 202")


def test_a_stop_leaves_half_a_head_without_an_answer(bridge: Processes) -> None:
    with socket.create_connection(("127.0.0.1", bridge.port), MOST) as sender:
        sender.sendall(a_head(500)[:-10])
        stop(bridge)

        assert sender.recv(1000) == b""


def test_a_stop_does_not_cut_off_a_request_that_has_come_and_is_not_read_yet() -> None:
    """Its head would be read, the rest would not, and the caller be told that the body was wrong."""
    served, sender = socket.socketpair()
    worker = Worker.__new__(Worker)
    connection = Connection(served, MOST, MOST)
    worker._open, worker._busy = {connection}, set()
    sender.settimeout(MOST)
    with connection, sender:
        sender.sendall(b"POST")
        worker.shut_idle()
        sender.sendall(b" / HTTP/1.1")
        assert connection.recv(100) == b"POST / HTTP/1.1"

        worker.shut_idle()
        assert sender.recv(1) == b""
        with pytest.raises(BrokenPipeError):
            sender.sendall(b"POST")


def test_a_body_that_broke_off_is_called_so(bridge: Processes) -> None:
    with socket.create_connection(("127.0.0.1", bridge.port), MOST) as sender:
        sender.sendall(a_head(500) + b"{")
        sender.shutdown(socket.SHUT_WR)

        assert b"The body broke off: 1 of its 500 bytes came." in sender.makefile("rb").read()


def test_a_form_in_chunks_is_asked_for_its_length(bridge: Processes) -> None:
    lines = ("POST /oauth2/token HTTP/1.1", "Host: bridge", "Transfer-Encoding: chunked", "Connection: close")
    head = "\r\n".join((*lines, "Content-Type: application/x-www-form-urlencoded", "", "")).encode()
    with socket.create_connection(("127.0.0.1", bridge.port), MOST) as sender:
        sender.sendall(head + b"zz\r\n")

        answer = sender.makefile("rb").read()

    assert answer.startswith(b"HTTP/1.1 411 ")
    assert b"Length Required" in answer


def a_head(length: int) -> bytes:
    lines = ("POST /v1/calendar/events HTTP/1.1", "Host: bridge", f"Authorization: Bearer {KEY}")
    return "\r\n".join((*lines, f"Content-Length: {length}", "", "")).encode()


def stop(bridge: Processes) -> None:
    """Returns once nobody listens any more."""
    assert bridge.web is not None
    time.sleep(0.2)  # what was sent before is there
    bridge.web.send_signal(signal.SIGTERM)
    eventually(lambda: not is_listening(bridge.port))
    time.sleep(0.5)  # the idle ones are ended meanwhile


def is_listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), MOST).close()
    except OSError:
        return False
    return True
