"""Connections that ask for what is left of the call before every read and write.

requests bounds each read, not the call: a server that drips a byte a second holds its caller for ever. Where a
call stands is kept for each thread (`here`), as nothing else reaches from the caller through requests to the
socket.
"""

from __future__ import annotations

import http.client
import io
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import urllib3
from requests import adapters
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError
from urllib3.util.connection import allowed_gai_family, create_connection
from urllib3.util.ssl_ import create_urllib3_context

CONNECT_SECONDS = 3.0
MOST_LOOK_UPS = 2  # of one host at a time: the first may hang for ever, and no more shall with it
"""For the name, the connection and TLS together."""

IDLE_SECONDS = 4.0
"""A connection idle for longer is not used again. Many servers close theirs after 5 s, and a request that
crosses the close on its way is an answer lost for nothing."""

READ_LIMIT = 1024 * 1024
"""Bytes of one answer, headers included, that are ever taken from a socket."""


class _Here(threading.local):
    """The call that this thread is in."""

    deadline = 0.0
    is_written = False
    begun_at = 0.0
    turn: Callable[[], None] | None = None


here = _Here()


def left_until(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the time of this call is over")
    return left


def pool_of(base_url: str, connections: int) -> HTTPConnectionPool:
    """Connections to one host that keep to the deadline of the call; they never repeat a request."""
    # Its warnings of odd headers and full pools quote whole addresses, and so users' ids.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    parts = urlsplit(base_url)
    if parts.scheme == "http":
        return _HttpPool(parts.hostname or "", parts.port, maxsize=connections)
    return _HttpsPool(
        parts.hostname or "",
        parts.port,
        maxsize=connections,
        ssl_context=_tls(adapters.DEFAULT_CA_BUNDLE_PATH),
    )


@cache
def _tls(authorities: str) -> ssl.SSLContext:
    """One for each process: reading the authorities takes 25 ms, in which no other greenlet runs."""
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    context.load_verify_locations(authorities)
    return context


class BoundedAdapter(HTTPAdapter):
    """The same for a session of requests."""

    def __init__(self, connections: int) -> None:
        super().__init__(pool_connections=1, pool_maxsize=connections, max_retries=0)

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
        self._sock.settimeout(left_until(self._deadline))
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
        self._reader = _Reader(self.fp.detach(), sock, here.deadline)
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
        until = min(here.deadline, time.monotonic() + CONNECT_SECONDS)
        addresses = _look_up(self._dns_host, self.port or self.default_port, until)
        refusal: OSError = OSError("no address")
        for untried, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            try:
                sock = create_connection(
                    address, left_until(until) / untried, socket_options=self.socket_options
                )
            except OSError as error:
                refusal = error
            else:
                sock.settimeout(max(until - time.monotonic(), 0.001))
                return sock
        # Not the refusal itself: urllib3 takes a reset here for one after sending, and goes on without a socket.
        raise NewConnectionError(self, "no connection") from refusal

    def send(self, data: Any) -> None:
        """The first piece (the headers) is taken whole by the system or, when it is refused, not at all."""
        if self.sock is None:
            self.connect()
        if here.turn is not None:  # now that nothing else is left to wait for
            turn, here.turn = here.turn, None
            turn()
            here.begun_at = time.monotonic()
        self.sock.settimeout(left_until(here.deadline))
        was_written, here.is_written = here.is_written, True
        try:
            super().send(data)
        except ConnectionError:
            here.is_written = was_written
            raise

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


def _look_up(host: str, port: int, until: float) -> list[tuple[str, int]]:
    """The host's addresses. In a thread of its own, as the system's look-up knows no timeout.

    Shared by all who ask meanwhile: in a process of greenlets a resolver that hangs would soon hold all of the few
    threads in which the database's calls are waited for too.
    """
    found: Future[list[tuple[str, int]]] = Future()
    with _looking_up_lock:
        now = time.monotonic()
        under_way = [one for one in _looking_up.get((host, port), ()) if not one[1].done()]
        is_late = bool(under_way) and now - under_way[-1][0] >= CONNECT_SECONDS
        is_shared = bool(under_way) and (not is_late or len(under_way) >= MOST_LOOK_UPS)
        _looking_up[host, port] = under_way if is_shared else [*under_way, (now, found)]
    if is_shared:
        return under_way[-1][1].result(left_until(until))

    def look_up() -> None:
        try:
            infos = socket.getaddrinfo(host, port, allowed_gai_family(), socket.SOCK_STREAM)
            found.set_result([(str(info[4][0]), port) for info in infos])
        except OSError as error:
            found.set_exception(error)
        except UnicodeError:
            found.set_exception(socket.gaierror(socket.EAI_NONAME, "not a host's name"))

    threading.Thread(target=look_up, name="look-up", daemon=True).start()
    return found.result(left_until(until))


_looking_up: dict[tuple[str, int], list[tuple[float, Future[list[tuple[str, int]]]]]] = {}
_looking_up_lock = threading.Lock()
