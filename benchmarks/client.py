"""The load: kept-alive connections in one thread, so light that what answers is what is measured."""

from __future__ import annotations

import math
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

STALLED_AFTER = 30.0  # seconds without any answer


@dataclass
class Load:
    """What one run of requests met. Times are monotonic; `latencies` in seconds, of the answers in `window`.

    `sent_at`: by the request's number, when it was due (open loop) or sent (closed loop).
    """

    answers: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    sent_at: dict[int, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        return self.answers / self.seconds

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        if not ordered:
            raise RuntimeError(f"nothing was answered in {self.seconds} s")
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class Client:
    """Sends numbered requests to one port; the numbers go on from run to run. Errors: RuntimeError for an answer
    that is none of `good`."""

    def __init__(
        self,
        port: int,
        request: Callable[[int], bytes],
        *,
        connections: int = 64,
        first: int = 0,
        good: tuple[bytes, ...] = (b"202",),
    ) -> None:
        self._port, self._request, self._connections, self._good = port, request, connections, good
        self.number = first

    def as_fast_as_answered(self, *, seconds: float = 0.0, count: int = 0, warm_up: float = 0.5) -> Load:
        """Each connection sends its next request when it has its answer: so many, or for a time.

        A time counts from the first answer, or from the end of the warm-up if that is later.
        """
        return self._so_many(count) if count else self._for_a_time(seconds, warm_up)

    def _so_many(self, count: int) -> Load:
        load, began, last = Load(), time.monotonic(), self.number + count
        for _now, took in self._in_turns(load, lambda _now: self.number >= last):
            load.answers += 1
            load.latencies.append(took)
        load.seconds = time.monotonic() - began
        return load

    def _for_a_time(self, seconds: float, warm_up: float) -> Load:
        load, began, window = Load(seconds=seconds), time.monotonic(), _Window()
        for now, took in self._in_turns(load, lambda now: now >= window.end):
            if window.begin == math.inf:
                window.begin = max(now, began + warm_up)
                window.end = window.begin + seconds
            elif window.begin <= now < window.end:
                load.answers += 1
                load.latencies.append(took)
        return load

    def _in_turns(self, load: Load, is_over: Callable[[float], bool]) -> Iterator[tuple[float, float]]:
        """When each answer came, and how long it took; nothing more is sent once it is over."""
        with _Connections(self._port, self._connections, self._good) as connections:
            for one in connections.all:
                if not is_over(now := time.monotonic()):
                    self._send(one, load, now)
            while connections.are_busy:
                for one in connections.answered(0.5):
                    now = time.monotonic()
                    yield now, now - one.due_at
                    if not is_over(now):
                        self._send(one, load, now)

    def at_rate(self, rate: float, seconds: float) -> Load:
        """A request is due every 1/rate seconds, whatever is answered; each latency counts from when it was due."""
        load, began = Load(), time.monotonic()
        wanted = int(rate * seconds)
        due: deque[float] = deque()
        planned = 0
        with _Connections(self._port, self._connections, self._good) as connections:
            free = deque(connections.all)
            while planned < wanted or due or connections.are_busy:
                now = time.monotonic()
                while planned < wanted and began + planned / rate <= now:
                    due.append(began + planned / rate)
                    planned += 1
                while due and free:
                    self._send(free.popleft(), load, due.popleft())
                wait = 0.5 if planned == wanted else max(0.0, began + planned / rate - time.monotonic())
                for one in connections.answered(wait):
                    load.answers += 1
                    load.latencies.append(time.monotonic() - one.due_at)
                    free.append(one)
        load.seconds = time.monotonic() - began
        return load

    def _send(self, one: _Connection, load: Load, due_at: float) -> None:
        one.send(self._request(self.number), due_at)
        load.sent_at[self.number] = due_at
        self.number += 1


@dataclass
class _Window:
    """When answers are counted."""

    begin: float = math.inf
    end: float = math.inf


class _Connection:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due_at = 0.0
        self.is_busy = False
        self._came = b""

    def send(self, request: bytes, due_at: float) -> None:
        self.due_at, self.is_busy, self._came = due_at, True, b""
        self.socket.sendall(request)

    def receive(self) -> bytes | None:
        """The whole answer, None while it is not there. Errors: ConnectionError when it was broken off."""
        piece = self.socket.recv(65536)
        if not piece:
            raise ConnectionError(f"the connection was closed after {self._came[:200]!r}")
        self._came = came = self._came + piece if self._came else piece
        head = came.find(b"\r\n\r\n")
        if head < 0:
            return None
        lower = came[:head].lower()
        at = lower.find(b"content-length:")
        if at >= 0:
            is_whole = len(came) - head - 4 >= int(lower[at + 15 :].split(b"\r\n", 1)[0])
        else:
            is_whole = came.endswith(b"0\r\n\r\n") or b"transfer-encoding" not in lower
        if not is_whole:
            return None
        self.is_busy = False
        return came


class _Connections:
    def __init__(self, port: int, count: int, good: tuple[bytes, ...]) -> None:
        self.all = [_Connection(port) for _ in range(count)]
        self._good = good
        self._by_number = {one.socket.fileno(): one for one in self.all}
        self._poll = select.epoll()
        self._heard_at = time.monotonic()
        for number in self._by_number:
            self._poll.register(number, select.EPOLLIN)

    def __enter__(self) -> _Connections:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._poll.close()
        for one in self.all:
            one.socket.close()

    @property
    def are_busy(self) -> bool:
        return any(one.is_busy for one in self.all)

    def answered(self, wait: float) -> list[_Connection]:
        """The connections whose answers are whole."""
        whole = []
        for number, _event in self._poll.poll(wait):
            one = self._by_number[number]
            if (answer := one.receive()) is not None:
                if answer[9:12] not in self._good:
                    raise RuntimeError(f"an answer was not {self._good}: {answer[:500]!r}")
                whole.append(one)
        now = time.monotonic()
        if whole or not self.are_busy:
            self._heard_at = now
        elif now - self._heard_at > STALLED_AFTER:
            raise RuntimeError(f"no answer for {STALLED_AFTER:.0f} s")
        return whole
