"""What came in, in order of arrival, within bounds of memory."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice, takewhile
from typing import Any

from bridge.sandbox.http import Request

CALLS_KEPT = 100_000
BODY_BYTES_KEPT = 64 * 1024 * 1024
"""Of all bodies together; beyond it the oldest bodies go, and their calls show `"body": null`."""


@dataclass(slots=True)
class _Call:
    n: int
    at: float
    request: Request
    body: bytes | None
    words: str
    status: int | None
    dropped: str | None

    def shown(self) -> dict[str, Any]:
        headers = dict(self.request.headers)
        if "authorization" in headers:
            headers["authorization"] = headers["authorization"].partition(" ")[0] + " …"
        if "rokt-secret" in headers:
            headers["rokt-secret"] = "…"
        return {
            "n": self.n,
            "at": datetime.fromtimestamp(self.at, UTC).isoformat(),
            "method": self.request.method,
            "path": self.request.path,
            "query": self.request.query,
            "headers": headers,
            "body": _readable(self.body),
            "words": self.words,
            "status": self.status,
            "dropped": self.dropped,
        }


class Record:
    """Calls as JSON values: n (from 1), at, method, path, query, headers (secrets masked), body (JSON,
    else text), words (what the call is), status (null when it was dropped before processing), dropped."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0
        self._is_stopped = False
        self.clear()

    def clear(self) -> None:
        """Forgets everything; the count goes on, so that `since` stays good."""
        with self._changed:
            self._calls: deque[_Call] = deque(maxlen=CALLS_KEPT)
            self._with_body: deque[_Call] = deque()
            self._body_bytes = 0

    def add(self, request: Request, words: str, status: int | None, dropped: str | None) -> None:
        with self._changed:
            self._count += 1
            call = _Call(
                self._count, time.time(), request.without_body(), request.body, words, status, dropped
            )
            self._calls.append(call)
            self._with_body.append(call)
            self._body_bytes += len(request.body)
            while self._body_bytes > BODY_BYTES_KEPT or len(self._with_body) > CALLS_KEPT:
                oldest = self._with_body.popleft()
                self._body_bytes -= len(oldest.body or b"")
                oldest.body = None
            self._changed.notify_all()

    def calls(self, path: str = "", since: int = 0, last: int | None = None) -> list[dict[str, Any]]:
        """Those whose path begins with `path` and whose n is above `since`; the `last` so many of them."""
        with self._changed:
            found = list(islice(self._newest_first(path, since), last))
        return [call.shown() for call in reversed(found)]

    def wait(self, path: str, since: int, seconds: float) -> list[dict[str, Any]]:
        """As `calls`, once there is one, or none when the time is up."""
        until = time.monotonic() + seconds
        with self._changed:
            looked_at = since
            while not self._is_stopped and not any(self._newest_first(path, looked_at)):
                looked_at = self._count
                if not self._changed.wait(until - time.monotonic()):
                    break
        return self.calls(path, since)

    def stop(self) -> None:
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()

    def _newest_first(self, path: str, since: int) -> Iterator[_Call]:
        newer = takewhile(lambda call: call.n > since, reversed(self._calls))
        return (call for call in newer if call.request.path.startswith(path))


def _readable(body: bytes | None) -> Any:
    if body is None:
        return None
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")
