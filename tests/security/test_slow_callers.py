"""The real web process: a request that never becomes whole, or whose answer nobody takes, ends by itself."""

from __future__ import annotations

import json
import select
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection
from pathlib import Path

import pytest
from console.conftest import USERS
from gunicorn.http.errors import InvalidRequestLine
from processes import KEY, ROOT, Processes, running_web
from structlog.testing import capture_logs

from bridge.web.server import Worker

MOST = 15  # seconds; without the bound it would be 95, or for ever
HEAD = f"POST /v1/calendar/events HTTP/1.1\r\nHost: bridge\r\nAuthorization: Bearer {KEY}\r\n".encode()
WITH_BODY = HEAD + b"Content-Length: 500\r\n\r\n"
IN_CHUNKS = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
WITHOUT_A_KEY = WITH_BODY.replace(KEY.encode(), b"wrong")


@pytest.fixture(scope="module")
def bridge(ready_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    path = tmp_path_factory.mktemp("slow") / "bridge.db"
    shutil.copy(ready_sqlite, path)
    quick = {
        "GUNICORN_CMD_ARGS": "--worker-class security.quick.Worker",
        "PYTHONPATH": str(ROOT / "tests"),
        "CONSOLE_USERS": USERS,
        "SECRET_KEY": "0123456789abcdef",
    }
    with running_web(f"sqlite:///{path}", **quick) as bridge:
        yield bridge


def caller(bridge: Processes) -> socket.socket:
    return socket.create_connection(("127.0.0.1", bridge.port), MOST)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00", id="TLS"),
        pytest.param(b"POST /v1/cal", id="half a request line"),
        pytest.param(HEAD + b"Content-Le", id="half a head"),
        pytest.param(WITH_BODY, id="a head without its body"),
        pytest.param(WITH_BODY + b'{"user_id": ', id="half a body"),
        pytest.param(IN_CHUNKS + b"5\r\n{", id="half a chunk"),
        pytest.param(IN_CHUNKS + b"2\r\n{}\r\n", id="chunks without an end"),
        pytest.param(IN_CHUNKS + b"0\r\nTrailer: ", id="half a trailer"),
    ],
)
def test_half_a_request_ends_without_an_answer(bridge: Processes, sent: bytes) -> None:
    with caller(bridge) as sender:
        sender.sendall(sent)

        assert sender.recv(1000) == b""


@pytest.mark.parametrize(
    ("sent", "drop"),
    [(b"GET /healthz HTTP/1.1\r\n", b"X-A: b\r\n"), (WITH_BODY, b" "), (IN_CHUNKS, b"1\r\n \r\n")],
    ids=["head", "body", "chunks"],
)
def test_a_request_that_drips_ends_all_the_same(bridge: Processes, sent: bytes, drop: bytes) -> None:
    with caller(bridge) as sender:
        sender.sendall(sent)
        until = time.monotonic() + MOST
        with suppress(ConnectionError):
            while not select.select([sender], [], [], 0.1)[0]:
                assert time.monotonic() < until
                sender.sendall(drop)

            assert sender.recv(1000) == b""


def test_who_is_refused_before_the_body_cannot_hold_the_connection_with_it(bridge: Processes) -> None:
    with caller(bridge) as sender, sender.makefile("rb") as answer:
        sender.sendall(WITHOUT_A_KEY)

        assert answer.readline().startswith(b"HTTP/1.1 401")
        assert answer.read().endswith(b"}\n")


@pytest.mark.parametrize("path", ["/oauth2/token", "/console/sign-in"])
@pytest.mark.parametrize(
    ("head", "status"), [("Content-Length: 70000", b"413"), ("Transfer-Encoding: chunked", b"411")]
)
def test_who_is_not_known_sends_little_and_says_how_much(
    bridge: Processes, path: str, head: str, status: bytes
) -> None:
    """Nothing of such a body is waited for, and no place of the large ones taken."""
    with caller(bridge) as sender:
        form = "Content-Type: application/x-www-form-urlencoded"
        sender.sendall(f"POST {path} HTTP/1.1\r\nHost: bridge\r\n{form}\r\n{head}\r\n\r\n".encode())

        assert sender.recv(1000).split(b" ")[1] == status


def test_a_connection_may_be_idle_between_two_requests(bridge: Processes) -> None:
    with closing(HTTPConnection("127.0.0.1", bridge.port, timeout=MOST)) as connection:
        for _ in range(2):
            connection.request("GET", "/healthz")
            assert connection.getresponse().read()
            time.sleep(0.8)  # longer than a head may take

        sender = connection.sock
        sender.sendall(b"GET /healthz HTT")
        assert sender.recv(1000) == b""


def test_an_answer_that_nobody_takes_ends_the_connection(bridge: Processes) -> None:
    """Without it as many callers as there are connections would stop the process, by asking and not reading."""
    with socket.socket() as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sender.connect(("127.0.0.1", bridge.port))
        sender.setblocking(False)
        ended = select.poll()
        ended.register(sender, select.POLLHUP | select.POLLERR)
        until = time.monotonic() + MOST
        while not ended.poll(20):
            assert time.monotonic() < until
            with suppress(BlockingIOError, ConnectionError):
                sender.send(b"GET /v1/timezones HTTP/1.1\r\nAuthorization: Bearer test-key\r\n\r\n" * 20)


def test_a_head_without_end_is_refused_before_it_fills_the_memory(bridge: Processes) -> None:
    with caller(bridge) as sender:
        sender.sendall(
            b"GET /healthz HTTP/1.1\r\n" + b"".join(b"X-%d: %05000d\r\n" % (n, n) for n in range(20))
        )

        assert sender.recv(1000).startswith(b"HTTP/1.1 431")


def test_as_many_open_connections_as_there_may_be_keep_nobody_out(sqlite_database_url: str) -> None:
    few = {"GUNICORN_CMD_ARGS": "--worker-connections 20"}
    with running_web(sqlite_database_url, **few) as bridge, ExitStack() as opened:
        for _ in range(60):
            idle = opened.enter_context(closing(HTTPConnection("127.0.0.1", bridge.port, timeout=MOST)))
            idle.request("GET", "/healthz")  # and from then on it may be idle for 95 s
            assert idle.getresponse().read()

        idle.request("GET", "/healthz")
        assert json.loads(idle.getresponse().read())


def test_who_asks_again_at_once_is_answered_however_many_are_open(sqlite_database_url: str) -> None:
    few = {"GUNICORN_CMD_ARGS": "--worker-connections 20"}
    with running_web(sqlite_database_url, **few) as bridge, ExitStack() as opened:
        callers = [
            opened.enter_context(closing(HTTPConnection("127.0.0.1", bridge.port, timeout=MOST)))
            for _ in range(20)
        ]
        for asker in callers * 20:
            asker.auto_open = not asker.sock  # once connected, an end would be seen
            asker.request("GET", "/healthz")
            assert asker.getresponse().read()


def test_a_malformed_request_is_logged_without_its_words_and_its_caller() -> None:
    worker = Worker.__new__(Worker)
    served, sender = socket.socketpair()
    with served, sender, capture_logs() as logged:
        worker.handle_error(
            None, served, ("203.0.113.9", 1), InvalidRequestLine("GET /v1/rokt/webhooks/secret")
        )

        assert sender.recv(1000).startswith(b"HTTP/1.1 400")
    assert logged == [{"event": "request.malformed", "log_level": "info", "error": "InvalidRequestLine"}]
