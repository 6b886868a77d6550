"""The sandbox: Rokt and Braze by path, the faults before them, the record behind them."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import asdict

from bridge.errors import InvalidValue
from bridge.sandbox.braze import Braze
from bridge.sandbox.faults import Fault
from bridge.sandbox.http import Reply, Request
from bridge.sandbox.page import page
from bridge.sandbox.record import Record
from bridge.sandbox.rokt_calendar import TOKEN_SECONDS, RoktCalendar

LONGEST_WAIT = 60.0

Action = Callable[..., Reply]


class Sandbox:
    """Answers a request, or None: drop the connection. Threads share it."""

    def __init__(self, rokt: RoktCalendar, braze: Braze) -> None:
        self.rokt = rokt
        self.record = Record()
        self.faults: list[Fault] = []
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._upstreams = _routes(
            ("POST", "/oauth2/token", rokt.token),
            ("POST", "/v1/subscriptionevent/<>/update", rokt.guarded(rokt.update)),
            ("POST", "/v1/subscriptionevent/<>", rokt.guarded(rokt.create)),
            ("DELETE", "/v1/subscriptionevent/<>/<>", rokt.guarded(rokt.delete)),
            ("DELETE", "/v2/subscription/<>/<>/subscriptionevent/<>", rokt.guarded(rokt.delete_from_one)),
            ("GET", "/v1/subscription/<>", rokt.guarded(rokt.subscription)),
            ("POST", "/users/track", braze.track),
        )
        self._own = _routes(
            ("GET", "/", self._page),
            ("GET", "/sandbox/calls", self._calls),
            ("GET", "/sandbox/calendar", lambda request: Reply(200, self.rokt.calendars())),
            ("GET", "/sandbox/faults", lambda request: Reply(200, [asdict(fault) for fault in self.faults])),
            ("POST", "/sandbox/faults", self._add_fault),
            ("DELETE", "/sandbox/faults", self._clear_faults),
            ("DELETE", "/sandbox", self._clear),
        )

    def answer(self, request: Request) -> Reply | None:
        if request.path == "/" or request.path.startswith("/sandbox"):
            return _find(self._own, request)
        with self._lock:
            fault = self._fault_for(request)
            reply = self._processed(request, fault)
            self.record.add(request, reply.status if reply else None, fault.drop)
        if fault.delay:
            self._stopped.wait(fault.delay)
        return None if fault.drop else reply

    def stop(self) -> None:
        """Ends all waiting."""
        self._stopped.set()
        self.record.stop()

    def _fault_for(self, request: Request) -> Fault:
        for fault in self.faults:
            if request.path.startswith(fault.path) and fault.method in (None, request.method):
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times == 0:
                        self.faults.remove(fault)
                return fault
        return Fault()

    def _processed(self, request: Request, fault: Fault) -> Reply | None:
        if fault.drop == "before":
            return None
        if fault.status is None:
            return _find(self._upstreams, request)
        headers = {} if fault.retry_after is None else {"Retry-After": f"{fault.retry_after:g}"}
        return Reply(fault.status, {} if fault.body is None else fault.body, headers)

    def _page(self, request: Request) -> Reply:
        return Reply(200, page(self.record.calls(last=50)))

    def _calls(self, request: Request) -> Reply:
        try:
            since, seconds = int(request.asked("since", "0")), float(request.asked("wait", "0"))
        except ValueError:
            return Reply(422, {"error": "since and wait are numbers"})
        path = request.asked("path")
        if seconds > 0:
            return Reply(200, self.record.wait(path, since, min(seconds, LONGEST_WAIT)))
        return Reply(200, self.record.calls(path, since))

    def _add_fault(self, request: Request) -> Reply:
        try:
            fault = Fault.parse(request.json())
        except ValueError:
            return Reply(422, {"error": "the body is not JSON"})
        except InvalidValue as wrong:
            return Reply(422, {"error": str(wrong)})
        with self._lock:
            self.faults.append(fault)
        return Reply(201, asdict(fault))

    def _clear_faults(self, request: Request) -> Reply:
        with self._lock:
            self.faults.clear()
        return Reply(200)

    def _clear(self, request: Request) -> Reply:
        self.rokt.clear()
        self.record.clear()
        return Reply(200)


def create_sandbox(
    *,
    client_id: str | None = None,
    client_secret: str | None = None,
    token_seconds: int = TOKEN_SECONDS,
    refuses_repeats: bool = False,
    api_key: str | None = None,
) -> Sandbox:
    return Sandbox(RoktCalendar(client_id, client_secret, token_seconds, refuses_repeats), Braze(api_key))


def _routes(*table: tuple[str, str, Action]) -> list[tuple[str, re.Pattern[str], Action]]:
    return [(method, re.compile(path.replace("<>", "([^/]+)")), action) for method, path, action in table]


def _find(table: list[tuple[str, re.Pattern[str], Action]], request: Request) -> Reply:
    for method, path, action in table:
        if method == request.method and (found := path.fullmatch(request.path)):
            return action(request, *found.groups())
    return Reply(404, {"Code": "NotFound", "Reason": "no such method and path"})
