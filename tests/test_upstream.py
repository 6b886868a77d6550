"""bridge.upstream against servers that answer well, badly, late and not at all."""

from __future__ import annotations

import gzip
import ipaddress
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from servers import Line, Script, ScriptedServer, always, http, once, scripted_server

from bridge.errors import AnswerLost, InvalidValue, NotBegun, UpstreamTrouble
from bridge.upstream import ANSWER_LIMIT, Answer, Upstream, connections

SHORT = 0.6
"""Seconds for calls that are to end by their deadline."""

WIDE = 3.0
"""Seconds by which such a call must have ended even on a busy machine; what drips here would take far longer."""


@contextmanager
def upstream_of(server: ScriptedServer, **options: Any) -> Iterator[Upstream]:
    upstream = Upstream(server.url, None, allow_http=True, **options)
    try:
        yield upstream
    finally:
        upstream.close()


def trouble_of(*scripts: Script, **options: Any) -> UpstreamTrouble:
    """What a POST to a server with these scripts raises."""
    with (
        scripted_server(*scripts) as server,
        upstream_of(server, **options) as upstream,
        pytest.raises(UpstreamTrouble) as caught,
    ):
        upstream.send("POST", "/v1/thing", {"a": 1})
    return caught.value


class TestWhatLeaves:
    def test_a_call_carries_json_and_says_who_calls(self) -> None:
        with scripted_server(always(http())) as server, upstream_of(server) as upstream:
            upstream.send("POST", "/v1/thing", {"title": "Grüße 🎉"}, headers={"Rokt-Version": "2020-05-21"})

        request = server.received[0]
        assert (request.method, request.target) == ("POST", "/v1/thing")
        assert request.body == '{"title":"Grüße 🎉"}'.encode()
        assert request.headers["content-type"] == "application/json"
        assert request.headers["accept"] == "application/json"
        assert request.headers["user-agent"].startswith("braze-rokt-bridge/")
        assert request.headers["rokt-version"] == "2020-05-21"
        assert "authorization" not in request.headers

    def test_a_call_without_a_body_has_none(self) -> None:
        with scripted_server(always(http())) as server, upstream_of(server) as upstream:
            upstream.send("DELETE", "/v1/thing/1")
            upstream.send("POST", "/v1/thing")

        assert [request.body for request in server.received] == [b"", b""]
        assert not any("content-type" in request.headers for request in server.received)

    @pytest.mark.parametrize(
        "path", ["/v1/a%2Fb%20c", "/v1/%2E%2E/x", "/v1//update", "/v1/%7Ea", "/v1/x?a=%26"]
    )
    def test_a_path_leaves_as_it_was_written(self, path: str) -> None:
        with scripted_server(always(http())) as server, upstream_of(server) as upstream:
            upstream.send("DELETE", path)

        assert server.received[0].target == path

    def test_the_base_address_may_have_a_path_and_a_last_slash(self) -> None:
        with scripted_server(always(http())) as server:
            upstream = Upstream(server.url + "/v2/", None, allow_http=True)
            upstream.send("GET", "/events")
            upstream.close()

        assert server.received[0].target == "/v2/events"

    def test_a_lone_surrogate_does_not_stop_a_call(self) -> None:
        with scripted_server(always(http())) as server, upstream_of(server) as upstream:
            upstream.send("POST", "/v1/thing", {"title": "a\ud800b"})

        assert json.loads(server.received[0].body) == {"title": "a?b"}

    def test_proxies_of_the_environment_are_not_used(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)

        with scripted_server(always(http())) as server, upstream_of(server) as upstream:
            assert upstream.send("GET", "/").status == 200

    @pytest.mark.parametrize(
        "url",
        [
            "http://api.example.com",
            "ftp://api.example.com",
            "api.example.com",
            "https://",
            "https://name:secret@api.example.com",
            "https://api.example.com/?key=secret",
            "https://api.example.com:port",
            "https://[::1",
        ],
    )
    def test_only_a_plain_https_address_is_taken(self, url: str) -> None:
        with pytest.raises(InvalidValue) as caught:
            Upstream(url, None)

        assert "secret" not in str(caught.value)


class TestAnswers:
    @pytest.mark.parametrize("status", [200, 201, 202, 302, 307, 400, 401, 404, 429, 500, 503])
    def test_any_status_is_an_answer_and_no_redirect_is_followed(self, status: int) -> None:
        with (
            scripted_server(always(http(status, b'{"a": 1}', Location="/elsewhere"))) as server,
            upstream_of(server) as upstream,
        ):
            answer = upstream.send("POST", "/v1/thing", {})

        assert (answer.status, answer.json(), len(server.received)) == (status, {"a": 1}, 1)

    def test_an_empty_answer_is_whole(self) -> None:
        empty = b"HTTP/1.1 204 No Content\r\n\r\n"
        with scripted_server(always(empty)) as server, upstream_of(server) as upstream:
            answers = [upstream.send("DELETE", "/v1/thing") for _ in range(2)]

        assert [(answer.status, answer.text, answer.json()) for answer in answers] == [(204, "", None)] * 2
        assert server.connections == 1

    def test_headers_are_found_in_any_case(self) -> None:
        with scripted_server(always(http(x_ratelimit_reset="7"))) as server, upstream_of(server) as upstream:
            answer = upstream.send("GET", "/")

        assert answer.headers["X-RateLimit-Reset"] == answer.headers["x-ratelimit-reset"] == "7"

    @pytest.mark.parametrize(
        "answer",
        [
            http(body=b"chunked", Content_Length="7"),
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nchu\r\n4\r\nnked\r\n0\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\n" + http(body=b"chunked"),
            http(body=gzip.compress(b"chunked"), Content_Encoding="gzip"),
        ],
        ids=["length", "chunks", "continue", "gzip"],
    )
    def test_an_answer_is_read_in_every_form_and_its_connection_used_again(self, answer: bytes) -> None:
        with scripted_server(always(answer)) as server, upstream_of(server) as upstream:
            texts = [upstream.send("POST", "/", {}).text for _ in range(3)]

        assert texts == ["chunked"] * 3
        assert server.connections == 1

    def test_an_answer_until_the_end_of_the_connection_is_read(self) -> None:
        script = once(lambda line: line.send(b"HTTP/1.0 200 OK\r\n\r\nold"))
        with scripted_server(script) as server, upstream_of(server) as upstream:
            assert upstream.send("GET", "/").text == "old"
            assert upstream.send("GET", "/").text == "old"

    def test_a_long_answer_is_read_up_to_the_limit(self) -> None:
        long = http(body=b"x" * (ANSWER_LIMIT * 5))
        with scripted_server(always(long)) as server, upstream_of(server) as upstream:
            answers = [upstream.send("GET", "/") for _ in range(2)]

        assert [len(answer.text) for answer in answers] == [ANSWER_LIMIT] * 2
        assert server.connections == 2

    def test_what_is_not_json_is_none(self) -> None:
        texts = ["", "<html>", '{"a":', "[" * 100_000]

        assert [Answer(200, {}, text, 1).json() for text in texts] == [None] * 4
        assert Answer(200, {}, '{"a": 1}', 1).json() == {"a": 1}

    @pytest.mark.parametrize(
        ("headers", "seconds"),
        [
            ({}, None),
            ({"Retry-After": "3"}, 3.0),
            ({"Retry-After": " 0 "}, 0.0),
            ({"Retry-After": "999999999999999999999999"}, 3600.0),
            ({"Retry-After": "-3"}, None),
            ({"Retry-After": "1.5"}, None),
            ({"Retry-After": "soon"}, None),
            ({"Retry-After": "²"}, None),
            ({"Retry-After": "Sat, 21 Nov 2026 20:00:30 GMT", "Date": "Sat, 21 Nov 2026 20:00:00 GMT"}, 30.0),
            ({"Retry-After": "Sat, 21 Nov 2026 19:00:00 GMT", "Date": "Sat, 21 Nov 2026 20:00:00 GMT"}, 0.0),
            (
                {"Retry-After": "Sun, 22 Nov 2026 20:00:00 GMT", "Date": "Sat, 21 Nov 2026 20:00:00 GMT"},
                3600.0,
            ),
            (
                {"Retry-After": "Sat, 21 Nov 2026 20:00:30 -0000", "Date": "Sat, 21 Nov 2026 20:00:00 GMT"},
                30.0,
            ),
            ({"Retry-After": "Fri, 21 Nov 1986 20:00:00 GMT", "Date": "no date"}, 0.0),
        ],
    )
    def test_retry_after_is_read_as_seconds_or_as_a_date(
        self, headers: dict[str, str], seconds: float | None
    ) -> None:
        assert Answer(429, headers, "", 1).retry_after == seconds


class TestNotBegun:
    def test_a_refused_connection(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        upstream = Upstream(f"http://127.0.0.1:{port}", None, allow_http=True)

        with pytest.raises(NotBegun, match="connection refused"):
            upstream.send("POST", "/v1/event/ada", {})

    @pytest.mark.parametrize("refusal", [ConnectionResetError(104, "reset"), BrokenPipeError(32, "pipe")])
    def test_a_connection_that_breaks_while_it_is_made(
        self, refusal: OSError, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise refusal

        monkeypatch.setattr(connections, "create_connection", fail)
        upstream = Upstream("http://127.0.0.1:9", None, allow_http=True)

        with pytest.raises(NotBegun, match="connection broken"):
            upstream.send("POST", "/", {})

    def test_an_unknown_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object) -> None:
            raise socket.gaierror(-2, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", fail)
        upstream = Upstream("https://api.example.com", None)

        with pytest.raises(NotBegun, match="its name is not known"):
            upstream.send("POST", "/v1/event/ada", {})

    def test_what_cannot_be_a_name(self) -> None:
        upstream = Upstream(f"https://{'a' * 64}.example.com", None)

        with pytest.raises(NotBegun, match="its name is not known"):
            upstream.send("POST", "/v1/event/ada", {})

    def test_a_name_that_is_looked_up_for_ever_ends_by_the_deadline(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        is_over = threading.Event()
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_: is_over.wait(60) and [])
        upstream = Upstream("https://api.example.com", None, call_seconds=SHORT)
        begun_at = time.monotonic()

        with pytest.raises(NotBegun):
            upstream.send("POST", "/", {})

        assert time.monotonic() - begun_at < WIDE
        is_over.set()

    @pytest.fixture
    def looked_up(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
        """What a resolver that hangs was asked."""
        is_over = threading.Event()
        asked: list[object] = []

        def hang(*given: object) -> list[Any]:
            asked.append(given)
            is_over.wait(60)
            return []

        monkeypatch.setattr(socket, "getaddrinfo", hang)
        yield asked
        is_over.set()

    def test_a_name_that_many_ask_for_is_looked_up_once(self, looked_up: list[object]) -> None:
        upstream = Upstream("https://many.example.com", None, call_seconds=SHORT)

        with ThreadPoolExecutor(20) as threads:
            calls = [threads.submit(upstream.send, "POST", "/", {}) for _ in range(20)]
            troubles = [type(call.exception()) for call in calls]

        assert troubles == [NotBegun] * 20
        assert len(looked_up) == 1

    @pytest.mark.parametrize(("calls", "look_ups"), [(2, 2), (5, 2)])
    def test_a_look_up_that_hangs_is_begun_once_more_and_then_holds_no_further_thread(
        self, monkeypatch: pytest.MonkeyPatch, looked_up: list[object], calls: int, look_ups: int
    ) -> None:
        """Of the few in which a process of greenlets waits for its database too."""
        monkeypatch.setattr(connections, "CONNECT_SECONDS", SHORT / 2)
        upstream = Upstream(f"https://again-{calls}.example.com", None, call_seconds=SHORT)

        for _ in range(calls):
            with pytest.raises(NotBegun):
                upstream.send("POST", "/", {})

        assert len(looked_up) == look_ups

    def test_a_host_that_does_not_take_the_connection(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(connections, "CONNECT_SECONDS", 0.3)
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            fillers = [socket.socket() for _ in range(4)]
            for filler in fillers:
                filler.setblocking(False)
                with suppress(BlockingIOError):
                    filler.connect(listener.getsockname())
            upstream = Upstream(f"http://127.0.0.1:{listener.getsockname()[1]}", None, allow_http=True)
            begun_at = time.monotonic()

            with pytest.raises(NotBegun):
                upstream.send("POST", "/", {})

            assert time.monotonic() - begun_at < WIDE
            for filler in fillers:
                filler.close()

    def test_the_next_address_of_a_host_is_tried(self, monkeypatch: pytest.MonkeyPatch) -> None:
        look_up = socket.getaddrinfo

        def two(host: str, port: int, *rest: Any) -> list[Any]:
            if host != "api.example.com":
                return look_up(host, port, *rest)
            return [(0, 0, 0, "", ("127.0.0.2", port)), (0, 0, 0, "", ("127.0.0.1", port))]

        monkeypatch.setattr(socket, "getaddrinfo", two)
        with scripted_server(always(http())) as server:
            upstream = Upstream(f"http://api.example.com:{server.port}", None, allow_http=True)
            assert upstream.send("GET", "/").status == 200
            upstream.close()

    def test_a_server_that_does_not_speak_tls(self) -> None:
        with scripted_server(lambda line: line.send(http())) as server:
            upstream = Upstream(f"https://127.0.0.1:{server.port}", None)

            with pytest.raises(NotBegun, match="TLS failed"):
                upstream.send("POST", "/", {})

    def test_a_server_that_is_silent_in_the_handshake(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(connections, "CONNECT_SECONDS", 0.3)
        begun_at = time.monotonic()
        with scripted_server(lambda line: line.pause() and None) as server:
            upstream = Upstream(f"https://127.0.0.1:{server.port}", None)

            with pytest.raises(NotBegun):
                upstream.send("POST", "/", {})

        assert time.monotonic() - begun_at < WIDE
        assert server.received == []

    def test_a_connection_that_was_reset_before_the_first_byte(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def script(line: Line) -> None:
            line.request()
            line.send(http())
            line.reset()

        with scripted_server(script) as server, upstream_of(server) as upstream:
            upstream.send("POST", "/", {})
            server.closed.acquire(timeout=5)
            monkeypatch.setattr(connections._HttpConnection, "is_connected", True)

            with pytest.raises(NotBegun):
                upstream.send("POST", "/", {})

        assert len(server.received) == 1


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """What a traceback shows: the error, and what it was raised from."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


HALF_HEADERS = b"HTTP/1.1 200 OK\r\nContent-Le"
SHORT_BODY = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}"
CUT_CHUNK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"
MISSING_LAST_CHUNK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"
BAD_CHUNK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n"
BAD_GZIP = http(body=b"this is not gzip", Content_Encoding="gzip")


class TestAnswerLost:
    @pytest.mark.parametrize(
        "step",
        [
            lambda line: line.reset(),
            lambda line: line.close(),
            lambda line: line.send(HALF_HEADERS),
            lambda line: line.send(SHORT_BODY),
            lambda line: line.send(CUT_CHUNK),
            lambda line: line.send(MISSING_LAST_CHUNK),
            lambda line: line.send(BAD_CHUNK),
            lambda line: line.send(BAD_GZIP),
            lambda line: line.send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
            lambda line: line.send(b"\x00\xff" * 5000),
            lambda line: line.send(b"HTTP/1.1 200 OK\r\n" + b"".join(b"a%d: b\r\n" % n for n in range(200))),
            lambda line: line.send(b"HTTP/1.1 200 OK\r\na: " + b"b" * 100_000),
            lambda line: line.send(b"HTTP/1.1 abc OK\r\n\r\n"),
            lambda line: [line.send(b"HTTP/1.1 100 Continue\r\n\r\n") for _ in range(100_000)],
        ],
        ids=[
            "reset", "closed", "half headers", "short body", "cut chunk", "no last chunk", "bad chunk",
            "bad gzip", "other protocol", "noise", "many headers", "long header", "bad status", "endless 100",
        ],
    )  # fmt: skip
    def test_a_written_request_without_a_whole_answer(self, step: Callable[[Line], object]) -> None:
        assert type(trouble_of(once(step))) is AnswerLost

    def test_a_request_that_was_cut_on_its_way(self) -> None:
        big = {"a": "x" * 8_000_000}
        with (
            scripted_server(lambda line: line.reset()) as server,
            upstream_of(server) as upstream,
            pytest.raises(UpstreamTrouble) as caught,
        ):
            upstream.send("POST", "/", big)

        assert type(caught.value) in (AnswerLost, NotBegun)
        assert server.received == []

    @pytest.mark.parametrize(
        "step",
        [
            lambda line: line.pause(),
            lambda line: line.drip(http(body=b"{}"), 0.2),
            lambda line: line.drip(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 90, 0.05),
            lambda line: [
                line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n"),
                line.drip(b"x" * 60, 0.2),
            ],
            lambda line: [
                line.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
                line.drip(b"1\r\nx\r\n" * 60, 0.2),
            ],
            lambda line: line.drip(b"HTTP/1.1 100 Continue\r\n\r\n" * 60, 0.02),
        ],
        ids=["silence", "headers", "many headers", "body", "chunks", "100 Continue"],
    )
    def test_a_dripping_answer_ends_by_the_deadline(self, step: Callable[[Line], object]) -> None:
        begun_at = time.monotonic()

        trouble = trouble_of(once(step), call_seconds=SHORT)

        took = time.monotonic() - begun_at
        assert type(trouble) is AnswerLost
        assert SHORT * 0.9 < took < WIDE

    def test_a_byte_a_second_ends_by_the_deadline(self) -> None:
        begun_at = time.monotonic()

        trouble = trouble_of(once(lambda line: line.drip(http(), 1.0)), call_seconds=1.5)

        assert type(trouble) is AnswerLost
        assert time.monotonic() - begun_at < 1.5 + WIDE

    def test_a_server_that_stops_reading_ends_by_the_deadline(self) -> None:
        begun_at = time.monotonic()

        with (
            scripted_server(lambda line: line.pause() and None) as server,
            upstream_of(server, call_seconds=2.0) as upstream,
            pytest.raises(AnswerLost),
        ):
            upstream.send("POST", "/", {"a": "x" * 15_000_000})

        assert time.monotonic() - begun_at < 2.0 + WIDE

    @pytest.mark.parametrize(
        ("scheme", "script", "trouble"),
        [
            ("http", once(lambda line: line.send(b"noise\r\n\r\n")), AnswerLost),
            ("https", lambda line: line.send(b"noise\r\n\r\n"), NotBegun),
        ],
        ids=["http", "https"],
    )
    def test_no_trouble_tells_the_address_or_the_body(
        self, scheme: str, script: Script, trouble: type[UpstreamTrouble]
    ) -> None:
        with scripted_server(script) as server:
            upstream = Upstream(f"{scheme}://127.0.0.1:{server.port}", None, allow_http=True)

            with pytest.raises(trouble) as caught:
                upstream.send("DELETE", "/v1/event/ada@example.com", {"name": "Lovelace"})

        told = "".join(repr(error) + str(error) for error in chain(caught.value))
        assert "ada" not in told
        assert "Lovelace" not in told


class TestLogs:
    def test_no_log_tells_the_address(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("DEBUG")
        odd = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nno colon here\r\n\r\n{}"

        with scripted_server(always(odd)) as server, upstream_of(server) as upstream:
            upstream.send("DELETE", "/v1/event/ada@example.com")

        assert "ada@" not in caplog.text


class TestTls:
    @pytest.fixture
    def certificate(self, tmp_path: Path) -> str:
        """A file with a key and a certificate for 127.0.0.1 that it signed itself."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
        address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        now, day = datetime.now(UTC), timedelta(days=1)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
        builder = builder.public_key(key.public_key()).not_valid_before(now - day).not_valid_after(now + day)
        signed = builder.add_extension(address, critical=False).sign(key, hashes.SHA256())
        path = tmp_path / "certificate.pem"
        plain = serialization.NoEncryption()
        pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        path.write_bytes(key.private_bytes(pem, form, plain) + signed.public_bytes(pem))
        return str(path)

    @pytest.fixture
    def context(self, certificate: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        return context

    @pytest.fixture
    def trust(self, certificate: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", certificate)

    def test_a_certificate_that_nobody_vouches_for_is_refused(self, context: ssl.SSLContext) -> None:
        with (
            scripted_server(always(http()), tls=context) as server,
            upstream_of(server) as upstream,
            pytest.raises(NotBegun, match="certificate is not valid"),
        ):
            upstream.send("POST", "/", {})

        assert server.received == []

    @pytest.mark.usefixtures("trust")
    def test_a_certificate_of_another_host_is_refused(self, context: ssl.SSLContext) -> None:
        with scripted_server(always(http()), tls=context) as server:
            upstream = Upstream(f"https://localhost:{server.port}", None)

            with pytest.raises(NotBegun, match="certificate is not valid"):
                upstream.send("POST", "/", {})

        assert server.received == []

    @pytest.mark.usefixtures("trust")
    def test_the_authorities_are_read_once_for_all_connections(
        self, context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read: list[object] = []
        load = ssl.SSLContext.load_verify_locations

        def count(its: ssl.SSLContext, *given: Any, **named: Any) -> None:
            read.append(given)
            load(its, *given, **named)

        monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", count)
        script = once(lambda line: line.send(http()), Line.close)
        with scripted_server(script, tls=context) as server, upstream_of(server) as upstream:
            for _ in range(3):
                assert upstream.send("POST", "/", {}).status == 200
                server.closed.acquire(timeout=5)

        assert (server.connections, len(read)) == (3, 1)

    @pytest.mark.usefixtures("trust")
    def test_calls_share_a_connection(self, context: ssl.SSLContext) -> None:
        with scripted_server(always(http()), tls=context) as server, upstream_of(server) as upstream:
            for _ in range(10):
                assert upstream.send("POST", "/", {}).status == 200

        assert (len(server.received), server.connections) == (10, 1)

    @pytest.mark.usefixtures("trust")
    def test_a_connection_that_the_server_ended_meanwhile_costs_no_answer(
        self, context: ssl.SSLContext
    ) -> None:
        script = once(lambda line: line.send(http()), Line.close)
        with scripted_server(script, tls=context) as server, upstream_of(server) as upstream:
            for _ in range(5):
                assert upstream.send("POST", "/", {}).status == 200
                server.closed.acquire(timeout=5)

        assert server.connections == 5

    @pytest.mark.usefixtures("trust")
    def test_a_dripping_answer_ends_by_the_deadline(self, context: ssl.SSLContext) -> None:
        script = once(lambda line: line.drip(http(), 0.2))
        begun_at = time.monotonic()

        with (
            scripted_server(script, tls=context) as server,
            upstream_of(server, call_seconds=SHORT) as upstream,
            pytest.raises(AnswerLost),
        ):
            upstream.send("POST", "/", {})

        assert time.monotonic() - begun_at < WIDE


class TestKeptAlive:
    def test_calls_share_a_connection(self) -> None:
        with scripted_server(always(http())) as server, upstream_of(server) as upstream:
            for _ in range(20):
                upstream.send("POST", "/", {})

        assert (len(server.received), server.connections) == (20, 1)

    @pytest.mark.parametrize("end", [Line.close, Line.reset], ids=["closed", "reset"])
    def test_a_connection_that_the_server_ended_meanwhile_costs_no_answer(
        self, end: Callable[[Line], None]
    ) -> None:
        script = once(lambda line: line.send(http()), end)
        with scripted_server(script) as server, upstream_of(server) as upstream:
            for _ in range(10):
                assert upstream.send("POST", "/", {}).status == 200
                server.closed.acquire(timeout=5)

        assert (len(server.received), server.connections) == (10, 10)

    def test_a_connection_that_was_idle_too_long_is_not_used(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with scripted_server(always(http())) as server, upstream_of(server) as upstream:
            upstream.send("POST", "/", {})
            monkeypatch.setattr(connections, "IDLE_SECONDS", 0.0)
            upstream.send("POST", "/", {})

        assert server.connections == 2

    def test_a_connection_that_ends_while_the_request_is_on_its_way_is_an_answer_lost(self) -> None:
        script = once(lambda line: line.send(http()), lambda line: line.request(), Line.close)
        with scripted_server(script) as server, upstream_of(server) as upstream:
            upstream.send("POST", "/", {})

            with pytest.raises(AnswerLost):
                upstream.send("POST", "/", {})

        assert server.connections == 1

    def test_thirty_two_threads_share_an_upstream(self) -> None:
        with (
            scripted_server(always(http())) as server,
            upstream_of(server) as upstream,
            ThreadPoolExecutor(32) as threads,
        ):
            answers = list(threads.map(lambda n: upstream.send("POST", "/", {"n": n}), range(640)))

        assert {answer.status for answer in answers} == {200}
        assert sorted(json.loads(request.body)["n"] for request in server.received) == list(range(640))
        assert server.connections <= 32

    def test_one_slow_call_does_not_change_the_deadline_of_another(self) -> None:
        def slow(line: Line) -> None:
            while (request := line.request()) is not None:
                line.pause(0.0 if request.target == "/fast" else 60.0)
                line.send(http())

        with (
            scripted_server(slow) as server,
            upstream_of(server, call_seconds=SHORT) as upstream,
            ThreadPoolExecutor(2) as threads,
        ):
            late = threads.submit(upstream.send, "POST", "/slow", {})
            while not late.done():
                assert upstream.send("POST", "/fast", {}).status == 200

        assert isinstance(late.exception(), AnswerLost)
