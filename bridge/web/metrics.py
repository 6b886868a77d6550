"""GET /metrics for Prometheus: what the web processes counted, what the workers did, and how the database stands."""

from __future__ import annotations

import platform
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import structlog
from flask import Blueprint, Flask, Response, current_app, g, request

from bridge import __version__
from bridge.database import UNAVAILABLE
from bridge.metrics import causes, counted, families, page
from bridge.metrics.samples import Key, Samples, added, key
from bridge.web import database_metrics
from bridge.web.offers import OUTCOMES
from bridge.web.parts import Parts

ANSWERS_WITHIN = 1.0  # seconds, whatever the database does
GOOD_FOR = 1.0  # seconds; whoever asks more often is told the same
UNKNOWN = "unknown"  # the route of what there is nothing at
CONSOLE = "console"  # the route of all its pages

log = structlog.get_logger()


def register(app: Flask) -> None:
    """Count every answer of an application, as the last of what looks at it."""
    app.after_request(_end)


def blueprint(parts: Parts) -> Blueprint:
    blueprint = Blueprint("metrics", __name__)
    blueprint.before_request(parts.guard.needs("read", "operate"))
    look = Look(lambda: _read(parts))

    @blueprint.get("/metrics")
    def metrics() -> Response:
        stands = look.now()
        its = _with_zeros(parts, counted.of_web())
        found = {_of_instance(parts, series): value for series, value in its.items()}
        found[key(families.BUILD.name, version=__version__, python=platform.python_version())] = 1.0
        found[key(families.UP.name)] = float(stands is not None)
        found = added(found, {key(families.READY.name): 0.0} if stands is None else stands)
        return Response(page.render(found), content_type=page.CONTENT_TYPE)

    return blueprint


class Look:
    """Reads in a thread of its own, which whoever asks does not wait for longer than a second. One at a time: of a
    database that hangs only one connection is kept.
    """

    def __init__(self, read: Callable[[], Samples | None]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._flight: Future[Samples | None] | None = None
        self._ended_at = float("-inf")

    def now(self) -> Samples | None:
        """None: the database does not answer."""
        with self._lock:
            flight = self._flight
            if flight is None or (flight.done() and time.monotonic() - self._ended_at >= GOOD_FOR):
                flight = self._flight = Future()
                threading.Thread(target=self._fly, args=(flight,), name="metrics", daemon=True).start()
        try:
            return flight.result(ANSWERS_WITHIN)
        except TimeoutError:
            return None

    def _fly(self, flight: Future[Samples | None]) -> None:
        found: Samples | None = None
        try:
            found = self._read()
        except UNAVAILABLE as down:
            log.warning("database.unavailable", error=type(down).__name__)
        except Exception as fault:  # the rest of the page is needed most when something is wrong
            log.exception("metrics.failed", error=type(fault).__name__)
        finally:
            self._ended_at = time.monotonic()
            flight.set_result(found)


def _read(parts: Parts) -> Samples:
    with parts.database.browse() as connection:
        stands = database_metrics.read(connection, parts.settings.rates)
    return added(dict.fromkeys(_of_workers(parts), 0.0), stands)


def _end(response: Response) -> Response:
    counted.answered(_route(), response.status_code, time.monotonic() - g.began_at)
    return response


def _route() -> str:
    """By its declared name: what callers make up must not be remembered."""
    if request.url_rule is None:
        return UNKNOWN
    name = request.url_rule.endpoint
    return CONSOLE if name.partition(".")[0] == CONSOLE else name


def _with_zeros(parts: Parts, its: Samples) -> Samples:
    """What never happened is 0 from the start: a series that begins with its first event hides that one."""
    routes = {rule.endpoint for rule in current_app.url_map.iter_rules()}
    names = {CONSOLE if one.partition(".")[0] == CONSOLE else one for one in routes}
    zeros = {key(families.FAULTS.samples[0], route=name) for name in names}
    if parts.offers is not None:
        zeros |= {key(families.OFFERS.samples[0], outcome=one) for one in OUTCOMES}
    return dict.fromkeys(zeros, 0.0) | its


def _of_workers(parts: Parts) -> Iterator[Key]:
    """What workers may come to count."""
    yield key(families.TAKEN_OVER.samples[0])
    for name, rate in parts.settings.rates.items():
        for cause in causes.OF_RETRIES:
            yield key(families.RETRIED.samples[0], destination=name, cause=cause)
        for outcome in counted.TOKEN_OUTCOMES:
            yield key(families.TOKENS.samples[0], destination=name, outcome=outcome)
        if rate.is_limited:
            yield key(families.SLOTS.samples[0], destination=name)


def _of_instance(parts: Parts, series: Key) -> Key:
    """Behind Heroku's router each answer is another dyno's: its own counts are told apart by that."""
    name, labels = series
    dyno = parts.settings.dyno
    return (name, tuple(sorted((*labels, (page.OF_INSTANCE, dyno))))) if dyno else series
