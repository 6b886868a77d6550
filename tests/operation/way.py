"""The way to a database, which may be blocked: nobody listens any more, or nothing comes through."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import sqlalchemy as sa

PIECE = 65_536  # bytes


class Way:
    """Hands on what comes to `port`, while it is open."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._is_open = threading.Event()
        self._sockets: list[socket.socket] = []
        self._listener = self._listen(0)
        self.port: int = self._listener.getsockname()[1]
        self._is_open.set()

    def fall_silent(self) -> None:
        """Connections stay and new ones begin; nothing comes through."""
        self._is_open.clear()

    def refuse(self) -> None:
        """Nobody listens; connections end."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._end_all()

    def open(self) -> None:
        """Silent connections have been forgotten meanwhile, as by a server that took another's place."""
        self._end_all()
        if self._listener.fileno() < 0:
            self._listener = self._listen(self.port)
        self._is_open.set()

    def close(self) -> None:
        self.refuse()
        self._is_open.set()

    def _listen(self, port: int) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                here, _ = listener.accept()
                there = socket.create_connection(self._target)
                self._sockets += [here, there]
                for pair in ((here, there), (there, here)):
                    threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(PIECE):
                self._is_open.wait()
                target.sendall(piece)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _end_all(self) -> None:
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._sockets.clear()


@contextmanager
def way_to(database_url: str) -> Iterator[tuple[Way, str]]:
    """A way to this database, and its address that way."""
    url = sa.make_url(database_url)
    way = Way((url.host or "", url.port or 0))
    try:
        yield way, url.set(host="127.0.0.1", port=way.port).render_as_string(hide_password=False)
    finally:
        way.close()
