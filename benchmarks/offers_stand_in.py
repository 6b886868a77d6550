"""Stands in for Rokt's partner experiences: one answer after a delay, or never. Cheaper than what it measures.

python -m benchmarks.offers_stand_in --port N [--delay MS] [--hangs]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re

from bridge.sandbox.rokt_offers_samples import SAMPLE

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_BODY = json.dumps(SAMPLE).encode()
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(_BODY) + _BODY
)
ALIVE = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class _Caller(asyncio.Protocol):
    def __init__(self, delay: float | None) -> None:
        self._delay, self._came = delay, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._came += data
        while (end := self._came.find(b"\r\n\r\n") + 4) > 3:
            length = _LENGTH.search(self._came[:end])
            whole = end + (int(length[1]) if length else 0)
            if len(self._came) < whole:
                return
            self._answer(is_alive_asked=self._came.startswith(b"GET "))
            self._came = self._came[whole:]

    def _answer(self, *, is_alive_asked: bool) -> None:
        if is_alive_asked:
            self._transport.write(ALIVE)
        elif self._delay is not None:
            asyncio.get_running_loop().call_later(self._delay, self._transport.write, ANSWER)


async def serve(port: int, delay: float | None) -> None:
    server = await asyncio.get_running_loop().create_server(
        lambda: _Caller(delay), "127.0.0.1", port, backlog=1024
    )
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--delay", type=float, default=0.0, help="milliseconds before each answer")
    parser.add_argument("--hangs", action="store_true", help="never answer")
    given = parser.parse_args()
    asyncio.run(serve(given.port, None if given.hangs else given.delay / 1000))


if __name__ == "__main__":
    main()
