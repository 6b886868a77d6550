"""One caller's connection: its request has to come in time, and its answer to be taken in time."""

from __future__ import annotations

import errno
import fcntl
import socket
import struct
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from gevent import socket as green
from gunicorn.http.errors import LimitRequestHeaders

MOST_HEAD = 64 * 1024  # bytes; a browser's cookies are 4 KB, a router's own lines less


class Connection(green.socket):
    """What gunicorn reads a request from and writes its answer to.

    A request's head, and then its body, have `within` seconds each, however they drip. What is not whole by then
    ends without an answer: Braze sends once more what had none, and never again what was answered with a 400.
    An answer has `taken_within` seconds for each piece.
    """

    def __init__(self, taken_over: socket.socket, within: float, taken_within: float) -> None:
        kind = (taken_over.family, taken_over.type, taken_over.proto)
        super().__init__(*kind, fileno=taken_over.detach())
        self._within, self._taken_within = within, taken_within
        self._deadline: float | None = None
        self._head = 0  # bytes of it
        self._is_reading_body = False
        self.waits_since: float | None = None  # for its caller; None while the bridge works
        self._phase_since = 0.0
        self.await_head(is_first=True)

    def await_head(self, *, is_first: bool = False) -> None:
        """The next request's time begins with its first byte, the first one's with the connection."""
        self._is_reading_body, self._head = False, 0
        self._phase_since = time.monotonic()
        self._deadline = self._phase_since + self._within if is_first else None

    def await_body(self) -> None:
        self._is_reading_body = True
        self._phase_since = time.monotonic()
        self._deadline = self._phase_since + self._within

    def recv(self, *given: Any) -> bytes:
        """What has come; nothing once the time is up, as from a caller who hung up."""
        left = None if self._deadline is None else self._deadline - time.monotonic()
        if left is not None and left <= 0:
            return self._give_up()
        self.settimeout(left)
        self.waits_since = self._phase_since
        try:
            came: bytes = super().recv(*given)
        except TimeoutError:
            return self._give_up()
        except OSError as closed:
            if closed.errno == errno.EBADF:  # by ourselves, as the process stops
                return b""
            raise
        finally:
            self.waits_since = None
        if not self._is_reading_body:
            self._count_head(came)
        return came

    def sendall(self, *given: Any) -> None:
        with self._taking():
            super().sendall(*given)

    def sendfile(self, *given: Any, **named: Any) -> int:
        with self._taking():
            sent: int = super().sendfile(*given, **named)
            return sent

    def end(self) -> None:
        """Both ways, so that nobody is answered about a request of which the rest could not be read any more."""
        self.waits_since = None
        with suppress(OSError):
            self.shutdown(socket.SHUT_RDWR)

    def end_unless_read(self) -> None:
        """What has come and is not read yet is read first."""
        with suppress(OSError):
            if not _unread(self):
                self.end()

    def _give_up(self) -> bytes:
        self.end()
        return b""

    def _count_head(self, came: bytes) -> None:
        if self._deadline is None:
            self._phase_since = time.monotonic()
            self._deadline = self._phase_since + self._within
        self._head += len(came)
        if self._head > MOST_HEAD:
            raise LimitRequestHeaders("the head of a request is too long")

    @contextmanager
    def _taking(self) -> Iterator[None]:
        self.settimeout(self._taken_within)
        try:
            yield
        except TimeoutError as late:
            raise BrokenPipeError(errno.EPIPE, "the answer was not taken") from late


def _unread(client: socket.socket) -> int:
    """How many bytes came that nobody has read yet."""
    count: int = struct.unpack("i", fcntl.ioctl(client.fileno(), termios.FIONREAD, bytes(4)))[0]
    return count
