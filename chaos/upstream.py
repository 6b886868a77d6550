"""A recording stand-in for Rokt Calendar whose faults follow a seed. Its record is what the verdict trusts."""

from __future__ import annotations

import json
import random
import socket
import struct
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HOLE_SECONDS = 12.0  # longer than any call of the bridge lasts

# What a request may meet, with the weight of each, by the weather of the moment.
WEATHERS: dict[str, dict[str, int]] = {
    "calm": {"ok": 96, "delay": 2, "slow": 1, "reset_after": 1},
    "shaky": {
        "ok": 60,
        "503": 8,
        "429": 1,
        "delay": 8,
        "slow": 6,
        "reset_before": 5,
        "reset_after": 5,
        "half": 3,
        "drip": 2,
        "hole": 2,
    },
    "down": {"503": 80, "reset_before": 10, "ok": 5, "reset_after": 5},
    "hole": {"hole": 90, "ok": 10},
    "busy": {"429": 70, "ok": 30},
    "barred": {"401": 30, "403": 20, "503": 30, "reset_before": 10, "ok": 10},
}
CHOICES = (
    "calm",
    "calm",
    "calm",
    "calm",
    "shaky",
    "shaky",
    "shaky",
    "shaky",
    "down",
    "hole",
    "busy",
    "barred",
)


@dataclass
class Sight:
    """One request as it came in. `taken_at`: when its effect stood, None if it never had one."""

    request_id: str
    key: str
    kind: str
    fault: str
    seen_at: float
    taken_at: float | None = None
    status: int | None = None


class Upstream:
    """Refuses what a strict Rokt might: a create of what stands, an update or a delete of what does not."""

    def __init__(self, seed: str) -> None:
        self.sights: list[Sight] = []
        self.calendar: dict[str, dict[str | None, str | None]] = {}  # key, subscription, title
        self.lock = threading.Lock()
        self.over = threading.Event()
        self._fair_until = 0.0
        self._random = random.Random(f"upstream-{seed}")  # faults to be repeated, no secret
        self._weather, self._until = "calm", time.monotonic() + 3
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def calm_down(self) -> None:
        self.over.set()

    def be_fair(self, seconds: float) -> None:
        """No faults for so long, while something else is measured."""
        self._fair_until = time.monotonic() + seconds

    def effects_since(self, moment: float) -> int:
        with self.lock:
            return sum(one.taken_at is not None and one.taken_at >= moment for one in self.sights[-2000:])

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def meet(self) -> tuple[str, float]:
        """The fault of the next request, and a number between 0 and 1 for its size."""
        with self.lock:
            if self.over.is_set():
                return "ok", 0.0
            now = time.monotonic()
            if now < self._fair_until:
                return "ok", 0.0
            if now >= self._until:
                self._weather = self._random.choice(CHOICES)
                self._until = now + self._random.uniform(1.5, 6.0)
            faults = WEATHERS[self._weather]
            return self._random.choices(list(faults), list(faults.values()))[0], self._random.random()

    def take(self, sight: Sight, title: str, ids: list[str]) -> int:
        """The request's effect. Returns the status."""
        with self.lock:
            stands = sight.key in self.calendar
            if title.startswith("bad"):
                sight.status = 400
            elif sight.kind == "create":
                sight.status = 400 if self.calendar.get(sight.key, {}).keys() & set(ids) else 202
            else:
                sight.status = 202 if stands else 404
            sight.taken_at = time.monotonic()
            if sight.status == 202:
                if sight.kind == "delete":
                    del self.calendar[sight.key]
                else:
                    holders = self.calendar.setdefault(sight.key, {})
                    holders.update(dict.fromkeys(ids or list(holders), title))
            return sight.status


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, *_told: Any) -> None:
        """A caller that was killed is no news here."""


def _handler(upstream: Upstream) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_told: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            if self.path == "/oauth2/token":
                return self._token()
            whole = json.loads(body)
            event = whole["event"]
            kind = "update" if self.path.endswith("/update") else "create"
            return self._play(kind, event["eventId"], event["title"], whole.get("subscriptionIds", []))

        def do_DELETE(self) -> None:
            self._play("delete", self.path.rsplit("/", 1)[1], "", [])

        def _token(self) -> None:
            fault, _ = upstream.meet()
            if fault in ("503", "429"):
                self._answer(int(fault), retry_after="1" if fault == "429" else "")
            elif fault.startswith("reset"):
                self._reset()
            else:
                self._answer(200, b'{"access_token":"t","token_type":"Bearer","expires_in":30}')

        def _play(self, kind: str, key: str, title: str, ids: list[str]) -> None:
            fault, size = upstream.meet()
            sight = Sight(self.headers.get("X-Request-Id", ""), key, kind, fault, time.monotonic())
            with upstream.lock:
                upstream.sights.append(sight)
            with suppress(OSError):
                self._meet(fault, size, sight, title, ids)

        def _meet(self, fault: str, size: float, sight: Sight, title: str, ids: list[str]) -> None:
            if fault.isdigit():
                return self._answer(int(fault), retry_after="1" if fault == "429" else "")
            if fault == "reset_before":
                return self._reset()
            if fault == "hole" and size < 0.5:
                upstream.over.wait(HOLE_SECONDS)
                return self._reset()
            if fault == "slow":
                time.sleep(0.2 + 1.3 * size)
            status = upstream.take(sight, title, ids)
            if fault == "reset_after":
                return self._reset()
            if fault == "hole":
                upstream.over.wait(HOLE_SECONDS)
                return self._reset()
            if fault == "half":
                self.wfile.write(
                    b"HTTP/1.1 202 Accepted\r\nContent-Length: 20\r\n\r\n{"[: 10 + int(40 * size)]
                )
                return self._reset()
            if fault == "drip":
                for byte in b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}":
                    self.wfile.write(bytes([byte]))
                    time.sleep(0.4 * size)
                return None
            if fault == "delay":
                time.sleep(0.2 + 2.8 * size)
            return self._answer(status)

        def _answer(self, status: int, body: bytes = b"{}", retry_after: str = "") -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            if retry_after:
                self.send_header("Retry-After", retry_after)
            self.end_headers()
            self.wfile.write(body)

        def _reset(self) -> None:
            self.close_connection = True
            with suppress(OSError):
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.wfile.flush()
                self.connection.close()

    return Handler
