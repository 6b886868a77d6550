"""Stands in for Rokt Calendar and Braze: gives tokens, takes what comes, remembers when. Cheaper than what it
measures.

    python -m benchmarks.stand_in --port N [--delay MS] [--token-life SECONDS] [--broken]

`GET /seen` answers what came since the last look, and how often a token was asked for or refused. Of a call of
`/users/track` that is the number of its objects.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import time
from dataclasses import dataclass, field

from benchmarks.webhook import MARK

ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
BROKEN = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
REFUSED = b"HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
_NUMBER = re.compile(re.escape(MARK) + rb"(\d{12})")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_BEARER = re.compile(rb"\r\nauthorization: *bearer ([^\r]*)\r\n", re.IGNORECASE)


@dataclass
class Rokt:
    delay: float  # seconds before each answer
    token_life: int  # seconds
    is_broken: bool = False  # answers 503 to everything but a token's call
    count: int = 0
    arrivals: list[tuple[int, float]] = field(default_factory=list)
    token_calls: int = 0
    refused: int = 0
    tokens: dict[bytes, float] = field(default_factory=dict)

    def give_token(self) -> bytes:
        self.token_calls += 1
        token = b"token-%d" % self.token_calls
        self.tokens[token] = time.monotonic() + self.token_life
        body = b'{"access_token":"%s","token_type":"Bearer","expires_in":%d}' % (token, self.token_life)
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
            len(body),
            body,
        )

    def take(self, head: bytes, body: bytes) -> bytes:
        now = time.monotonic()
        bearer = _BEARER.search(head)
        if bearer is None or self.tokens.get(bearer[1], 0.0) < now:
            self.refused += 1
            return REFUSED
        found = _NUMBER.search(body)
        self.count += 1
        self.arrivals.append((int(found[1]) if found else -1, now))
        return BROKEN if self.is_broken else ACCEPTED

    def track(self, body: bytes) -> bytes:
        """As Braze answers when it takes everything."""
        now = time.monotonic()
        given = json.loads(body)
        objects = {name: len(given[name]) for name in ("attributes", "events") if name in given}
        self.count += 1
        self.arrivals.append((sum(objects.values()), now))
        told = {"message": "success", **{f"{name}_processed": count for name, count in objects.items()}}
        answer = json.dumps(told).encode()
        head = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        return head % len(answer) + answer

    def batches(self, body: bytes) -> bytes:
        """As mParticle answers when it takes everything. What arrived is counted in batches."""
        self.count += 1
        self.arrivals.append((body.count(b'"user_identities":'), time.monotonic()))
        return ACCEPTED

    def tell(self) -> bytes:
        seen = {"count": self.count, "token_calls": self.token_calls, "refused": self.refused}
        body = json.dumps({**seen, "arrivals": self.arrivals}).encode()
        self.arrivals = []
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


class _Caller(asyncio.Protocol):
    def __init__(self, rokt: Rokt) -> None:
        self._rokt, self._came = rokt, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._came = came = self._came + data if self._came else data
        while (end := came.find(b"\r\n\r\n") + 4) > 3:
            head = came[:end]
            length = _LENGTH.search(head)
            whole = end + (int(length[1]) if length else 0)
            if len(came) < whole:
                return
            self._answer(head, came[end:whole])
            self._came = came = came[whole:]

    def _answer(self, head: bytes, body: bytes) -> None:
        rokt = self._rokt
        if head.startswith(b"POST /oauth2/token"):
            return self._transport.write(rokt.give_token())
        if head.startswith(b"GET /seen"):
            return self._transport.write(rokt.tell())
        if head.startswith(b"GET "):
            return self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        if head.startswith(b"POST /v2/"):
            answer = rokt.batches(body)
        else:
            answer = rokt.track(body) if head.startswith(b"POST /users/track") else rokt.take(head, body)
        if rokt.delay:
            asyncio.get_running_loop().call_later(rokt.delay, self._transport.write, answer)
            return None
        return self._transport.write(answer)


async def serve(port: int, rokt: Rokt) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Caller(rokt), "127.0.0.1", port, backlog=256)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--delay", type=float, default=0.0, help="milliseconds before each answer")
    parser.add_argument("--token-life", type=int, default=300, help="seconds")
    parser.add_argument("--broken", action="store_true", help="answer 503")
    given = parser.parse_args()
    asyncio.run(serve(given.port, Rokt(given.delay / 1000, given.token_life, given.broken)))


if __name__ == "__main__":
    main()
