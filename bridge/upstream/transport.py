"""One HTTP call, over by its deadline whatever the other side does, and whether its first byte was written.

requests bounds each read, not the call: a server that drips a byte a second holds its caller for ever. So the
connections here ask for what is left of the call before every read and write. Where a call stands is kept for
each thread (`_here`), as nothing else reaches from the caller through requests to the socket.
"""

from __future__ import annotations

import http.client
import io
import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.connection import allowed_gai_family, create_connection

from bridge import __version__
from bridge.errors import AnswerLost, InvalidValue, NotBegun
from bridge.upstream.answer import ANSWER_LIMIT, Answer

USER_AGENT = f"braze-rokt-bridge/{__version__}"

CONNECT_SECONDS = 3.0
"""For the name, the connection and TLS together."""

IDLE_SECONDS = 4.0
"""A connection idle for longer is not used again. Many servers close theirs after 5 s, and a request that
crosses the close on its way is an answer lost for nothing."""

READ_LIMIT = 1024 * 1024
"""Bytes of one answer, headers included, that are ever taken from a socket."""

TRANSPORT_ERRORS = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
)


class _Here(threading.local):
    """The call that this thread is in."""

    deadline = 0.0
    is_written = False


_here = _Here()


def checked_host(url: str, allow_http: bool) -> str:
    """The host of an upstream's address, for words and logs. Raises InvalidValue, which does not quote it."""
    try:
        parts = urlsplit(url)
        is_whole = bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise InvalidValue("an address such as https://api.example.com") from None
    if parts.scheme not in (("https", "http") if allow_http else ("https",)) or not is_whole:
        raise InvalidValue("an address such as https://api.example.com")
    if parts.username is not None or parts.query or parts.fragment:
        raise InvalidValue("an address without user, password, query and fragment")
    return parts.netloc


@contextmanager
def call_until(deadline: float, host: str) -> Iterator[None]:
    """Runs one call that ends by `deadline` (monotonic); its trouble becomes NotBegun or AnswerLost."""
    _here.deadline, _here.is_written = deadline, False
    try:
        _left(deadline)
        yield
    except TRANSPORT_ERRORS as error:
        trouble = AnswerLost if _here.is_written else NotBegun
        raise trouble(f"{host}: {_in_words(error)}") from _first_cause(error)


def exchange(
    adapter: HTTPAdapter, method: str, url: str, headers: Mapping[str, str], body: bytes | None
) -> Answer:
    """Sends one request and reads its answer. The address leaves as it is, nothing is quoted again.

    Called on the adapter and not on a session: no redirects, no cookies, no environment.
    """
    begun_at = time.monotonic()
    request = requests.PreparedRequest()
    request.method, request.url, request.body = method, url, body
    request.headers = CaseInsensitiveDict(headers)
    if body is not None:
        request.headers["Content-Length"] = str(len(body))
    response = adapter.send(request, stream=True, timeout=_left(_here.deadline), verify=True)
    try:
        content = response.raw.read(ANSWER_LIMIT, decode_content=True)
    finally:
        response.close()
    return Answer(
        response.status_code,
        response.headers,
        content.decode("utf-8", "replace"),
        round((time.monotonic() - begun_at) * 1000),
    )


class BoundedAdapter(HTTPAdapter):
    """A pool of connections that keep to the deadline of the call. It never repeats a request."""

    def __init__(self, connections: int) -> None:
        super().__init__(pool_connections=1, pool_maxsize=connections, max_retries=0)
        # Its warnings of odd headers and full pools quote whole addresses, and so users' ids.
        logging.getLogger("urllib3").setLevel(logging.ERROR)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}


class _Reader(io.RawIOBase):
    """The reading end of a socket, given what is left of the call before each read."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, deadline: float) -> None:
        self._raw, self._sock, self._deadline, self._allowance = raw, sock, deadline, READ_LIMIT
        self.has_ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(_left(self._deadline))
        count = self._raw.readinto(buffer) or 0
        self.has_ended = count == 0
        self._allowance -= count
        if self._allowance < 0:
            raise http.client.HTTPException("the answer is too long")
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _BoundedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self._reader = _Reader(self.fp.detach(), sock, _here.deadline)
        self.fp = io.BufferedReader(self._reader)

    def begin(self) -> None:
        """http.client takes headers that break off for whole ones."""
        super().begin()
        if self._reader.has_ended:
            raise http.client.IncompleteRead(b"")


class _HttpConnection(HTTPConnection):
    response_class = _BoundedResponse
    _used_at = 0.0

    @property
    def is_connected(self) -> bool:
        return time.monotonic() - self._used_at < IDLE_SECONDS and super().is_connected

    def _new_conn(self) -> socket.socket:
        """Leaves the socket with what is left of the time to connect: the TLS handshake takes that."""
        until = min(_here.deadline, time.monotonic() + CONNECT_SECONDS)
        addresses = _look_up(self._dns_host, self.port or self.default_port, until)
        refusal: OSError = OSError("no address")
        for untried, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            try:
                sock = create_connection(address, _left(until) / untried, socket_options=self.socket_options)
            except OSError as error:
                refusal = error
            else:
                sock.settimeout(_left(until))
                return sock
        raise refusal

    def send(self, data: Any) -> None:
        """The first piece (the headers) is taken whole by the system or, when it is refused, not at all."""
        if self.sock is None:
            self.connect()
        self.sock.settimeout(_left(_here.deadline))
        try:
            super().send(data)
        except ConnectionError:
            raise
        except BaseException:
            _here.is_written = True
            raise
        _here.is_written = True

    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]  # as urllib3 itself has it
        response = super().getresponse()
        self._used_at = time.monotonic()
        return response


class _HttpsConnection(_HttpConnection, HTTPSConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the time of this call is over")
    return left


def _look_up(host: str, port: int, until: float) -> list[tuple[str, int]]:
    """The host's addresses. In a thread of its own, as the system's look-up knows no timeout."""
    found: Future[list[tuple[str, int]]] = Future()

    def look_up() -> None:
        try:
            infos = socket.getaddrinfo(host, port, allowed_gai_family(), socket.SOCK_STREAM)
            found.set_result([(str(info[4][0]), port) for info in infos])
        except (OSError, UnicodeError) as error:
            found.set_exception(error)

    threading.Thread(target=look_up, name="look-up", daemon=True).start()
    return found.result(_left(until))


_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (socket.gaierror, "its name is not known"),
    (UnicodeError, "its name is not known"),
    (ssl.SSLCertVerificationError, "its TLS certificate is not valid"),
    (ssl.SSLError, "TLS failed"),
    (TimeoutError, "no whole answer in time"),
    (ConnectionRefusedError, "connection refused"),
    (http.client.RemoteDisconnected, "closed without an answer"),
    (ConnectionError, "connection broken"),
    (http.client.IncompleteRead, "the answer was cut short"),
    (urllib3.exceptions.IncompleteRead, "the answer was cut short"),
    (http.client.HTTPException, "the answer is not HTTP"),
    (OSError, "network trouble"),
)


def _in_words(error: BaseException) -> str:
    cause = _first_cause(error)
    return next((words for kind, words in _WORDS if isinstance(cause, kind)), "the answer is not HTTP")


def _first_cause(error: BaseException) -> BaseException:
    """The exception at the bottom: the ones above it quote the address, and so a user's id."""
    while (below := error.__cause__ or error.__context__) is not None:
        error = below
    return error
