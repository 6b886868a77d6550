"""gunicorn's worker for the web process: a greenlet for each connection, one thread for all of them.

Threads would be slower by half: thirty of them fight for the interpreter at every statement and every byte.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import gevent
from gevent import monkey
from gunicorn.workers.ggevent import GeventWorker

LOOKS_EVERY = 0.1  # seconds, whether it is to stop


def aside(call: Callable[..., Any], *given: Any) -> Any:
    """What waits in C is waited for in a thread of its own, so that the other greenlets go on."""
    if not monkey.is_module_patched("threading"):
        return call(*given)
    return gevent.get_hub().threadpool.apply(call, given)


class Worker(GeventWorker):
    """Ends the connections that wait for their next request once it stops; the others get their answers first."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._open: set[socket.socket] = set()
        self._busy: set[socket.socket] = set()

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
            return super().handle_request(listener_name, req, sock, addr)
        finally:
            self._busy.discard(sock)

    def _end_idle(self) -> None:
        """What was sent before is still read and answered."""
        while self.alive or self._open:
            gevent.sleep(LOOKS_EVERY)
            for client in () if self.alive else self._open - self._busy:
                with suppress(OSError):
                    client.shutdown(socket.SHUT_RD)
