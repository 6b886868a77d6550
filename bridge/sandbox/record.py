"""What came in, in order of arrival, within bounds of memory."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
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
    status: int | None
    dropped: str | None

    def shown(self) -> dict[str, Any]:
        headers = dict(self.request.headers)
        if "authorization" in headers:
            headers["authorization"] = headers["authorization"].partition(" ")[0] + " …"
        return {
            "n": self.n,
            "at": datetime.fromtimestamp(self.at, UTC).isoformat(),
            "method": self.request.method,
            "path": self.request.path,
            "query": self.request.query,
            "headers": headers,
            "body": _readable(self.body),
            "status": self.status,
            "dropped": self.dropped,
        }


class Record:
    """Calls as JSON values: n (from 1), at, method, path, query, headers (the Authorization masked), body
    (JSON, else text), status (null when the call was dropped before it was processed), dropped."""

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

    def add(self, request: Request, status: int | None, dropped: str | None) -> None:
        with self._changed:
            self._count += 1
            body, request = request.body, request.without_body()
            call = _Call(self._count, time.time(), request, body, status, dropped)
            self._calls.append(call)
            self._with_body.append(call)
            self._body_bytes += len(body)
            while self._body_bytes > BODY_BYTES_KEPT or len(self._with_body) > CALLS_KEPT:
                oldest = self._with_body.popleft()
                self._body_bytes -= len(oldest.body or b"")
                oldest.body = None
            self._changed.notify_all()

    def calls(self, path: str = "", since: int = 0, last: int | None = None) -> list[dict[str, Any]]:
        """Those whose path begins with `path` and whose n is above `since`; the `last` so many of them."""
        with self._changed:
            found = self._found(path, since)
        return [call.shown() for call in (found[-last:] if last else found)]

    def wait(self, path: str, since: int, seconds: float) -> list[dict[str, Any]]:
        """As `calls`, once there is one, or none when the time is up."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopped or bool(self._found(path, since)), seconds)
        return self.calls(path, since)

    def stop(self) -> None:
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()

    def _found(self, path: str, since: int) -> list[_Call]:
        return [call for call in self._calls if call.n > since and call.request.path.startswith(path)]


def _readable(body: bytes | None) -> Any:
    if body is None:
        return None
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")
