"""One call for all who ask for the same at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class FlightLost(Exception):
    """Whoever made the call for the others broke off."""


class Flights(Generic[Answer]):
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flying: dict[bytes, Future[Answer]] = {}

    def share(self, key: bytes, fly: Callable[[], Answer], within: float) -> Answer:
        """The answer of `fly`, called by the first that asks; the others wait for it.

        Errors: those of `fly` for the first; FlightLost, or TimeoutError after `within` seconds, for the others.
        """
        with self._lock:
            flight = self._flying.get(key)
            is_mine = flight is None
            if flight is None:
                flight = self._flying[key] = Future()
        if not is_mine:
            return flight.result(max(0.0, within))
        try:
            answer = fly()
        except BaseException:  # whatever ends the first, those who wait for it must not wait for ever
            self._land(key)
            flight.set_exception(FlightLost())
            raise
        self._land(key)
        flight.set_result(answer)
        return answer

    def _land(self, key: bytes) -> None:
        with self._lock:
            del self._flying[key]
