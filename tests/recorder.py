"""An upstream in a process of its own that records when each call arrived, by the kernel's clock.

The kernel stamps what comes in, so a busy machine does not make calls arrive later than they did.
"""

from __future__ import annotations

import argparse
import heapq
import json
import selectors
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

TIMESTAMPS = 35  # SO_TIMESTAMPNS of socket(7), which is also the kind of the message that brings it
TOKEN = b'{"access_token": "t", "token_type": "Bearer", "expires_in": 300}'


@dataclass
class _Connection:
    sock: socket.socket
    unread: bytes = b""
    arrived_at: float = 0.0


@dataclass
class _Recorder:
    delay: float
    arrivals: list[float] = field(default_factory=list)
    later: list[tuple[float, int, socket.socket]] = field(default_factory=list)

    def serve(self) -> None:
        selector = selectors.DefaultSelector()
        listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        listener.setblocking(False)
        listener.setsockopt(socket.SOL_SOCKET, TIMESTAMPS, 1)  # which its connections inherit
        selector.register(listener, selectors.EVENT_READ)
        selector.register(sys.stdin, selectors.EVENT_READ)
        print(listener.getsockname()[1], flush=True)
        while True:
            wait = max(0.0, self.later[0][0] - time.monotonic()) if self.later else None
            for key, _ in selector.select(wait):
                if key.fileobj is sys.stdin:
                    print(json.dumps(self.arrivals), flush=True)
                    return
                if key.fileobj is listener:
                    sock, _ = listener.accept()
                    sock.setblocking(False)
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    selector.register(sock, selectors.EVENT_READ, _Connection(sock))
                elif not self._read(key.data):
                    selector.unregister(key.data.sock)
                    key.data.sock.close()
            while self.later and self.later[0][0] <= time.monotonic():
                _answer(heapq.heappop(self.later)[2], b"{}")

    def _read(self, connection: _Connection) -> bool:
        try:
            content, told, _, _ = connection.sock.recvmsg(65536, 256)
        except OSError:
            return False
        if not content:
            return False
        if not connection.unread:
            stamps = [struct.unpack("qq", data) for _, kind, data in told if kind == TIMESTAMPS]
            connection.arrived_at = stamps[0][0] + stamps[0][1] / 1e9 if stamps else time.time()
        connection.unread += content
        head, end, body = connection.unread.partition(b"\r\n\r\n")
        if not end or len(body) < _length(head):
            return True
        connection.unread = b""
        if b" /oauth2/token " in head:
            _answer(connection.sock, TOKEN)
        else:
            self.arrivals.append(connection.arrived_at)
            heapq.heappush(self.later, (time.monotonic() + self.delay, len(self.arrivals), connection.sock))
        return True


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def _answer(sock: socket.socket, body: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    with suppress(OSError):
        sock.sendall(head + body)


@dataclass
class Recording:
    """`arrivals` are seconds, ascending; there once the block has ended."""

    url: str
    arrivals: list[float] = field(default_factory=list)


@contextmanager
def recording(delay: float = 0.0) -> Iterator[Recording]:
    """`delay`: seconds until each call is answered."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__)), "--delay", str(delay)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    found = Recording(f"http://127.0.0.1:{int(process.stdout.readline())}")
    try:
        yield found
    finally:
        told, _ = process.communicate("", timeout=30)
        found.arrivals = sorted(json.loads(told))


def most_in_a_second(arrivals: Sequence[float]) -> int:
    """Of all seconds, wherever they begin."""
    most, first = 0, 0
    for last, at in enumerate(arrivals):
        while at - arrivals[first] >= 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--delay", type=float, default=0.0)
    _Recorder(parser.parse_args().delay).serve()
