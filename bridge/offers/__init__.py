"""Rokt's offers, while whoever asks waits: kept for a while, asked for once, and never late."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from bridge.errors import UpstreamTrouble
from bridge.offers.answers import Reason, Told, of_answer, without_offer
from bridge.offers.cache import Cache
from bridge.offers.experiences import MOST_BYTES, PATH, Experiences
from bridge.offers.flights import FlightLost, Flights
from bridge.offers.request import OfferRequest
from bridge.offers.rest import RESTS_FOR, Rest
from bridge.places import Places
from bridge.settings import OffersSettings
from bridge.upstream import Answer

__all__ = ["MOST_WAITING", "PATH", "Offers", "Reason", "Told"]

ANSWERS_WITHIN = 1.4  # seconds; Braze gives up after two, the promise is one and a half
PASSED_ON_WITHIN = 3.0  # seconds, of an app's own call
TRIED_AGAIN_AFTER = 1.0  # seconds after a 5xx: Rokt asks for one or two
LEAST_TIME = 0.1  # seconds that a second try must have
MOST_WAITING = 125  # of one process: an eighth of the connections that gunicorn.conf.py gives it
CACHE_BYTES = 64 * 1024 * 1024  # of one process

log = structlog.get_logger()


class Offers:
    """Shared by threads or greenlets. Nothing is opened before the first question.

    `clock`: monotonic, in seconds; `sleep`: waits before the second try.
    """

    def __init__(
        self,
        settings: OffersSettings,
        *,
        allow_http: bool,
        most_waiting: int = MOST_WAITING,
        cache_bytes: int = CACHE_BYTES,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self.settings = settings
        self._experiences = Experiences(settings, allow_http=allow_http, connections=most_waiting)
        self._clock, self._sleep = clock, sleep or time.sleep
        self._cache: Cache[Told] = Cache(cache_bytes, clock)
        self._flights: Flights[Told] = Flights()
        self._rest = Rest(clock)
        self._places = Places(most_waiting)

    def ask(self, request: OfferRequest, request_id: str = "") -> Told:
        """In time, and never an error: a message without an offer is better than none."""
        until = self._clock() + ANSWERS_WITHIN
        key = request.key()
        if key and (kept := self._cache.get(key)):
            return kept
        if not self._places.take():
            return without_offer(Reason.BUSY)
        try:
            if key is None:
                return self._answer(request, until, request_id)
            return self._flights.share(
                key, lambda: self._kept(key, request, until, request_id), until - self._clock()
            )
        except TimeoutError:
            return without_offer(Reason.TIMEOUT)
        except FlightLost:
            return without_offer(Reason.FAILED)
        except Exception as fault:  # whatever it is, the message is to go out
            log.exception("offers.failed", request_id=request_id, error=type(fault).__name__)
            return without_offer(Reason.FAILED)
        finally:
            self._places.leave()

    def pass_on(self, body: object, tag_id: str, request_id: str = "") -> Answer | Reason:
        """Rokt's own answer to its own form, not kept; or why there is none."""
        if not self._places.take():
            return Reason.BUSY
        try:
            answer = self._call(body, tag_id, self._clock() + PASSED_ON_WITHIN, request_id)
        finally:
            self._places.leave()
        if isinstance(answer, Answer) and 300 <= answer.status < 400:
            return Reason.REFUSED  # the bridge never redirects
        if isinstance(answer, Answer) and len(answer.text.encode()) > MOST_BYTES:
            return Reason.TOO_LARGE
        return answer

    def check(self) -> str:
        """For `python -m bridge check --connect`. Raises UpstreamTrouble."""
        return self._experiences.check()

    def close(self) -> None:
        self._experiences.close()

    def _kept(self, key: bytes, request: OfferRequest, until: float, request_id: str) -> Told:
        """One that came just as another call ended finds what that one kept."""
        if kept := self._cache.get(key):
            return kept
        told = self._answer(request, until, request_id)
        if told.life:
            self._cache.put(key, told, len(told.body), told.life)
        return told

    def _answer(self, request: OfferRequest, until: float, request_id: str) -> Told:
        answer = self._call(request.body(), request.tag_id, until, request_id)
        time_left = until - self._clock() - TRIED_AGAIN_AFTER
        if isinstance(answer, Answer) and answer.status >= 500 and time_left >= LEAST_TIME:
            self._sleep(TRIED_AGAIN_AFTER)
            answer = self._call(request.body(), request.tag_id, until, request_id)
        return without_offer(answer) if isinstance(answer, Reason) else of_answer(answer)

    def _call(self, body: object, tag_id: str, until: float, request_id: str) -> Answer | Reason:
        if not self._rest.may_call():
            return Reason.RESTING
        answer: Answer | None = None
        trouble: UpstreamTrouble | None = None
        try:
            answer = self._experiences.select(body, tag_id, until - self._clock(), request_id)
        except UpstreamTrouble as error:
            trouble = error
        finally:
            self._note(answer, trouble)
        log.info(
            "offers.called",
            request_id=request_id,
            status=answer.status if answer else None,
            ms=answer.ms if answer else None,
            trouble=str(trouble) if trouble else None,
        )
        if answer is not None:
            return answer
        return Reason.TIMEOUT if _is_timeout(trouble) else Reason.UNAVAILABLE

    def _note(self, answer: Answer | None, trouble: UpstreamTrouble | None) -> None:
        if answer is None:
            (self._rest.timed_out if _is_timeout(trouble) else self._rest.ended)()
            return
        self._rest.answered()
        if answer.status == 429:
            self._rest.ask_for(RESTS_FOR if answer.retry_after is None else answer.retry_after)


def _is_timeout(trouble: UpstreamTrouble | None) -> bool:
    return trouble is not None and isinstance(trouble.__cause__, TimeoutError)
