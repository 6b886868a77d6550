"""gunicorn's worker for the web process: a greenlet for each connection, one thread for all of them.

Threads would be slower by half: thirty of them fight for the interpreter at every statement and every byte.
"""

from __future__ import annotations

# What a compilation and a request's body would import when they are first needed, in a thread of their own.
import encodings.unicode_escape
import encodings.utf_8_sig  # noqa: F401
import socket
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import Any

import gevent
import structlog
from gevent import monkey
from gevent.lock import BoundedSemaphore
from gevent.threadpool import ThreadPool
from gunicorn import glogging, util
from gunicorn.http import errors
from gunicorn.http.errors import ParseException
from gunicorn.workers.ggevent import GeventWorker

from bridge.calendar.engine.budget import between_slices
from bridge.log.others import of_greenlet
from bridge.web.connection import Connection

log = structlog.get_logger()

# Seconds that a long rendering waits after each three milliseconds. At once it would let the other greenlets go on,
# but not the database's threads: for each statement they wait until the interpreter is free.
GIVES_WAY = 0.006
LOOKS_EVERY = 0.1  # seconds, whether it is to stop, and whether there are too many connections
# What reading a body may raise: it broke off, or its chunks are none.
BROKEN_BODY = (OSError, ParseException)
LARGE = 64 * 1024  # bytes of a body
MOST_LARGE = 32  # requests with such a body at a time, as each may hold a megabyte and more
MOST_DRAINED = 2 * 1024 * 1024  # bytes of a body that nobody read, so that its caller reads the answer
_FAULT = (500, "Internal Server Error")
_MISTAKES: tuple[tuple[type[BaseException], tuple[int, str]], ...] = (
    # Ours and nobody else's; the types do not know them yet.
    (errors.InvalidResponseHeader, _FAULT),  # type: ignore[attr-defined]
    (errors.InvalidResponseHeaderName, _FAULT),  # type: ignore[attr-defined]
    (errors.LimitRequestLine, (414, "URI Too Long")),
    (errors.LimitRequestHeaders, (431, "Request Header Fields Too Large")),
    (errors.ExpectationFailed, (417, "Expectation Failed")),
    (errors.UnsupportedTransferCoding, (501, "Not Implemented")),
    (errors.ParseException, (400, "Bad Request")),
)
SPARE = 0.1  # of the connections: as many may come between two looks


def aside(call: Callable[..., Any], *given: Any) -> Any:
    """What waits in C is waited for in a thread of its own, so that the other greenlets go on."""
    if not monkey.is_module_patched("threading"):
        return call(*given)
    return gevent.get_hub().threadpool.apply(call, given)


class InTurn:
    """What computes for long does so in a thread of its own, so that the other greenlets go on; one call at a time.

    Locks are gevent's here, the ones behind each import included, and it does not wake every thread that waits for
    another one's (https://github.com/gevent/gevent/issues/1744): of ten that import the same a few wait for ever.
    """

    def __init__(self) -> None:
        self._pool: ThreadPool | None = None

    def __call__(self, call: Callable[..., Any], *given: Any) -> Any:
        if not monkey.is_module_patched("threading"):
            return call(*given)
        if self._pool is None:  # not before the fork
            self._pool = ThreadPool(1)
        return self._pool.apply(call, given)


in_turn = InTurn()  # what somebody looks at in the console
compiling = InTurn()  # what webhooks wait for, and not behind the other


class Log(glogging.Logger):
    """gunicorn's own lines go the way of all others."""

    def _set_handler(self, log: Any, *_given: Any, **_named: Any) -> None:
        log.propagate = True


class Worker(GeventWorker):
    """Bounds what a caller may hold: the time to send a request and to take its answer, the large requests that are
    read at a time, the connections. Once it stops it ends the connections that wait for their next request; the
    others get their answers first.
    """

    within = 10.0  # seconds for a head, and for a body
    taken_within = 30.0  # seconds for each piece of an answer
    idle_for = 0.3  # seconds, before a connection is ended for the sake of others

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._open: set[Connection] = set()
        self._busy: set[Connection] = set()
        self._large = BoundedSemaphore(MOST_LARGE)

    def run(self) -> None:
        gevent.get_hub().print_exception = of_greenlet  # type: ignore[method-assign]  # gevent has no other way
        between_slices(lambda: gevent.sleep(GIVES_WAY))
        gevent.spawn(self._end_idle)
        super().run()

    def handle(self, listener: Any, client: socket.socket, addr: Any) -> None:
        connection = Connection(client, self.within, self.taken_within)
        self._open.add(connection)
        try:
            super().handle(listener, connection, addr)
        finally:
            self._open.discard(connection)

    def handle_request(self, listener_name: Any, req: Any, sock: socket.socket, addr: Any) -> Any:
        assert isinstance(sock, Connection)  # `handle` made it
        self._busy.add(sock)
        try:
            with self._large if _is_large(req) else nullcontext():
                sock.await_body()
                goes_on = super().handle_request(listener_name, req, sock, addr)
            if not _drain(req.body):
                raise StopIteration
            sock.await_head()
            return goes_on
        finally:
            self._busy.discard(sock)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Says what kind of mistake it was, and not the caller's address, the path or the line as gunicorn does."""
        status, reason = next((told for kind, told in _MISTAKES if isinstance(exc, kind)), _FAULT)
        if status == 500:
            log.error("request.failed", error=type(exc).__name__, exc_info=exc)
        else:
            log.info("request.malformed", error=type(exc).__name__)
        with suppress(OSError):
            util.write_error(client, status, reason, "")

    def _end_idle(self) -> None:
        while self.alive or self._open:
            gevent.sleep(LOOKS_EVERY)
            if not self.alive:
                # What they wait for may last longer than the stop.
                self.wsgi.extensions["bridge"].waiters.close()  # type: ignore[attr-defined]  # it is Flask's
                self.shut_idle()
            else:
                self._end_longest_waiting()

    def shut_idle(self) -> None:
        for connection in self._open - self._busy:
            connection.end_unless_read()

    def _end_longest_waiting(self) -> None:
        """Nobody is turned away because others keep their connections open and send nothing, or not enough.

        Who was answered just now may be sending the next request already.
        """
        too_many = len(self._open) - int(self.worker_connections * (1 - SPARE))
        if too_many <= 0:
            return
        until = time.monotonic() - self.idle_for
        waiting = [(one.waits_since, id(one), one) for one in self._open if one.waits_since is not None]
        for waits_since, _, connection in sorted(waiting)[:too_many]:
            if waits_since < until:
                connection.end_unless_read()


def _drain(body: Any) -> bool:
    """What nobody read of a body; False where it has no end, and so the next request no beginning."""
    drained = 0
    try:
        while drained < MOST_DRAINED:
            piece = body.read(LARGE)
            if not piece:
                return True
            drained += len(piece)
    except BROKEN_BODY:
        pass
    return False


def _is_large(request: Any) -> bool:
    """A body whose length is not told may be large."""
    lengths = [value for name, value in request.headers if name == "CONTENT-LENGTH"]
    is_chunked = any(name == "TRANSFER-ENCODING" for name, _ in request.headers)
    return is_chunked or any(len(one) > 5 or int(one) > LARGE for one in lengths if one.isdigit())
