"""The sandbox: Rokt and Braze by path, the faults before them, the record behind them."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from bridge.errors import InvalidValue
from bridge.sandbox import rokt_api
from bridge.sandbox.braze import Braze
from bridge.sandbox.faults import Fault
from bridge.sandbox.http import Reply, Request
from bridge.sandbox.page import page
from bridge.sandbox.record import Record
from bridge.sandbox.rokt_audiences import RoktAudiences
from bridge.sandbox.rokt_calendar import RoktCalendar
from bridge.sandbox.rokt_events import RoktEvents
from bridge.sandbox.rokt_offers import PATH as OFFERS_PATH
from bridge.sandbox.rokt_offers import RoktOffers
from bridge.sandbox.tokens import Tokens

CALLS_ON_PAGE, EVENTS_ON_PAGE, PROFILES_ON_PAGE = 50, 10, 10
LONGEST_WAIT = 60.0
TOKEN_SECONDS = 300  # as Rokt's live


@dataclass(frozen=True)
class Route:
    """`path`: a segment "<>" is handed to the action as it came. `words`: what it does, for people."""

    method: str
    path: str
    words: str
    action: Callable[..., Reply]

    def match(self, request: Request) -> re.Match[str] | None:
        if request.method != self.method:
            return None
        return re.fullmatch(self.path.replace("<>", "([^/]+)"), request.path)


class Sandbox:
    """Answers requests, for threads. What stands in for Rokt and Braze is recorded, its own `/sandbox` is not."""

    def __init__(self, rokt: RoktCalendar, braze: Braze) -> None:
        self.rokt = rokt
        self.braze = braze
        self.audiences = RoktAudiences()
        self.record = Record()
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        events = RoktEvents()
        self.api = api = rokt_api.RoktApi()
        one = "/v2/subscription/<>/<>/subscriptionevent/<>"
        self._upstreams = (
            Route("POST", "/oauth2/token", "Rokt Calendar: ask for a token", rokt.tokens.give),
            Route("POST", "/v1/subscriptionevent/<>/update", "Rokt Calendar: update an event", rokt.update),
            Route("POST", "/v1/subscriptionevent/<>", "Rokt Calendar: create an event", rokt.create),
            Route("DELETE", "/v1/subscriptionevent/<>/<>", "Rokt Calendar: delete an event", rokt.delete),
            Route("DELETE", one, "Rokt Calendar: delete an event for one subscription", rokt.delete_for_one),
            Route("GET", "/v1/subscription/<>", "Rokt Calendar: look at a subscription", rokt.subscription),
            Route("POST", "/users/track", "Braze: attributes and events of users", braze.track),
            Route("POST", "/v3/import/suppression", "Rokt: change a custom audience", self.audiences.change),
            Route("POST", "/v3/auth-check", "Rokt: a key of custom audiences", self.audiences.auth_check),
            Route("POST", "/v2/events", "Rokt: a user's conversions", events.event),
            Route("POST", "/v2/bulkevents", "Rokt: conversions of many users", events.bulk),
            Route("POST", f"{rokt_api.HOST}/auth/oauth2/token", "Rokt's older API: a token", api.tokens.give),
            Route("POST", f"{rokt_api.HOST}/v1/events", "Rokt's older API: events", api.v1),
            Route("POST", f"{rokt_api.HOST}/v2/events", "Rokt's older API: events", api.v2),
            Route("POST", OFFERS_PATH, "Rokt: offers of a page", RoktOffers().select),
        )
        self._own = (
            Route("GET", "/sandbox/audiences", "audiences", self._audiences),
            Route("GET", "/sandbox/events", "events of Rokt's older API", lambda _: Reply(200, api.shown())),
            Route("GET", "/", "this page", self._page),
            Route("GET", "/sandbox/calls", "calls", self._calls),
            Route("GET", "/sandbox/calendar", "calendars", self._calendars),
            Route("GET", "/sandbox/profiles", "profiles", self._profiles),
            Route("POST", "/sandbox/subscriptions", "subscriptions to answer with", rokt.give),
            Route("GET", "/sandbox/faults", "faults", self._show_faults),
            Route("POST", "/sandbox/faults", "add a fault", self._add_fault),
            Route("DELETE", "/sandbox/faults", "no more faults", self._clear_faults),
            Route("DELETE", "/sandbox", "as new", self._clear),
        )

    def answer(self, request: Request) -> Reply | None:
        """None: drop the connection."""
        if request.path == "/" or request.path.startswith("/sandbox"):
            return _answer(self._own, request)[1]
        with self._lock:
            fault = self._fault_for(request)
            words, reply = self._processed(request, fault)
            self.record.add(request, words, reply.status if reply else None, fault.drop)
        if fault.delay:
            self._stopped.wait(fault.delay)
        return None if fault.drop else reply

    def stop(self) -> None:
        """Ends all waiting."""
        self._stopped.set()
        self.record.stop()

    def _fault_for(self, request: Request) -> Fault:
        for fault in self._faults:
            if fault.hits(request):
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times == 0:
                        self._faults.remove(fault)
                return fault
        return Fault()

    def _processed(self, request: Request, fault: Fault) -> tuple[str, Reply | None]:
        if fault.drop == "before":
            return "a fault: dropped before processing", None
        if fault.status is None:
            return _answer(self._upstreams, request)
        headers = {} if fault.retry_after is None else {"Retry-After": f"{fault.retry_after:g}"}
        return "a fault: not processed", Reply(
            fault.status, {} if fault.body is None else fault.body, headers
        )

    def _page(self, request: Request) -> Reply:
        calls, calendars = self.record.calls(last=CALLS_ON_PAGE), self.rokt.calendars(last=EVENTS_ON_PAGE)
        profiles = self.braze.profiles.shown(last=PROFILES_ON_PAGE)
        return Reply(200, page(request.headers.get("host", ""), calls, calendars, profiles, self._faults))

    def _calls(self, request: Request) -> Reply:
        try:
            since, seconds = int(request.asked("since", "0")), float(request.asked("wait", "0"))
        except ValueError:
            return Reply(422, {"error": "since and wait are numbers"})
        if not 0 <= seconds <= LONGEST_WAIT:
            return Reply(422, {"error": f"wait is at most {LONGEST_WAIT:.0f} seconds"})
        return Reply(200, self.record.wait(request.asked("path"), since, seconds))

    def _calendars(self, request: Request) -> Reply:
        return Reply(200, self.rokt.calendars())

    def _profiles(self, request: Request) -> Reply:
        return Reply(200, self.braze.profiles.shown())

    def _audiences(self, request: Request) -> Reply:
        return Reply(200, self.audiences.shown())

    def _show_faults(self, request: Request) -> Reply:
        with self._lock:
            return Reply(200, [asdict(fault) for fault in self._faults])

    def _add_fault(self, request: Request) -> Reply:
        try:
            fault = Fault.parse(request.json())
        except ValueError:
            return Reply(422, {"error": "the body is not JSON"})
        except InvalidValue as wrong:
            return Reply(422, {"error": str(wrong)})
        with self._lock:
            self._faults.append(fault)
            return Reply(201, asdict(fault))

    def _clear_faults(self, request: Request) -> Reply:
        with self._lock:
            self._faults.clear()
        return Reply(200)

    def _clear(self, request: Request) -> Reply:
        """Tokens stay good."""
        self.rokt.clear()
        self.braze.profiles.clear()
        self.audiences.clear()
        self.api.clear()
        self.record.clear()
        return self._clear_faults(request)


def create_sandbox(
    *,
    client_id: str | None = None,
    client_secret: str | None = None,
    token_seconds: int = TOKEN_SECONDS,
    refuses_repeats: bool = False,
    api_key: str | None = None,
) -> Sandbox:
    """A credential that is not given may be any. `refuses_repeats`: see RoktCalendar."""
    tokens = Tokens(client_id, client_secret, token_seconds)
    return Sandbox(RoktCalendar(tokens, refuses_repeats), Braze(api_key))


def _answer(routes: Sequence[Route], request: Request) -> tuple[str, Reply]:
    for route in routes:
        if found := route.match(request):
            return route.words, route.action(request, *found.groups())
    return "nothing is here", Reply(404, {"Code": "NotFound", "Reason": "no such method and path"})
