"""gunicorn's worker for the web process: a greenlet for each connection, one thread for all of them.

Threads would be slower by half: thirty of them fight for the interpreter at every statement and every byte.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import Any

import gevent
from gevent import monkey
from gevent.lock import BoundedSemaphore
from gunicorn.http.errors import ParseException
from gunicorn.workers.ggevent import GeventWorker

LOOKS_EVERY = 0.1  # seconds, whether it is to stop
# What reading a body may raise: it broke off, or its chunks are none.
BROKEN_BODY = (OSError, ParseException)
LARGE = 64 * 1024  # bytes of a body
MOST_LARGE = 32  # requests with such a body at a time, as each may hold a megabyte and more


def aside(call: Callable[..., Any], *given: Any) -> Any:
    """What waits in C is waited for in a thread of its own, so that the other greenlets go on."""
    if not monkey.is_module_patched("threading"):
        return call(*given)
    return gevent.get_hub().threadpool.apply(call, given)


class Worker(GeventWorker):
    """Bounds the large requests that are read at a time. Once it stops it ends the connections that wait for their
    next request; the others get their answers first.
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._open: set[socket.socket] = set()
        self._busy: set[socket.socket] = set()
        self._large = BoundedSemaphore(MOST_LARGE)

    def run(self) -> None:
        gevent.spawn(self._end_idle)
        super().run()

    def handle(self, listener: Any, client: socket.socket, addr: Any) -> None:
        self._open.add(client)
        try:
            super().handle(listener, client, addr)
        finally:
            self._open.discard(client)

    def handle_request(self, listener_name: Any, req: Any, sock: socket.socket, addr: Any) -> Any:
        self._busy.add(sock)
        try:
            with self._large if _is_large(req) else nullcontext():
                return super().handle_request(listener_name, req, sock, addr)
        finally:
            self._busy.discard(sock)

    def _end_idle(self) -> None:
        while self.alive or self._open:
            gevent.sleep(LOOKS_EVERY)
            if not self.alive:
                self.shut_idle()

    def shut_idle(self) -> None:
        """Both ways, so that nobody is answered about a request of which the rest could not be read any more; what
        has come and is not read yet is read first.
        """
        for client in self._open - self._busy:
            with suppress(OSError):
                if not _unread(client):
                    client.shutdown(socket.SHUT_RDWR)


def _unread(client: socket.socket) -> int:
    """How many bytes came that nobody has read yet."""
    count: int = struct.unpack("i", fcntl.ioctl(client.fileno(), termios.FIONREAD, bytes(4)))[0]
    return count


def _is_large(request: Any) -> bool:
    """A body whose length is not told may be large."""
    lengths = [value for name, value in request.headers if name == "CONTENT-LENGTH"]
    is_chunked = any(name == "TRANSFER-ENCODING" for name, _ in request.headers)
    return is_chunked or any(len(one) > 5 or int(one) > LARGE for one in lengths if one.isdigit())
