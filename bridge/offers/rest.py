"""Rokt is left alone for a while when it did not answer several times in a row, or when it asks for that."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

TIMEOUTS = 5  # in a row
RESTS_FOR = 10.0  # seconds
LONGEST_REST = 60.0  # seconds, whatever Rokt asks for


class Rest:
    """After a rest one call goes ahead of the others. `clock`: monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._timeouts = 0
        self._until: float | None = None
        self._is_tried = False

    def may_call(self) -> bool:
        """Whoever may has to say `answered`, `timed_out` or `ended` afterwards."""
        with self._lock:
            if self._until is None:
                return True
            if self._is_tried or self._clock() < self._until:
                return False
            self._is_tried = True
            return True

    def answered(self) -> None:
        with self._lock:
            self._timeouts, self._until, self._is_tried = 0, None, False

    def timed_out(self) -> None:
        with self._lock:
            self._timeouts += 1
            # Calls that began before a rest and end in it do not make it longer.
            if self._is_tried or (self._until is None and self._timeouts >= TIMEOUTS):
                self._begin(RESTS_FOR)

    def ended(self) -> None:
        """Neither an answer nor a timeout: the connection was refused or broke off."""
        with self._lock:
            self._is_tried = False

    def ask_for(self, seconds: float) -> None:
        """What Rokt's own Retry-After asks for."""
        with self._lock:
            self._begin(min(max(seconds, 0.0), LONGEST_REST))

    def _begin(self, seconds: float) -> None:
        self._until, self._is_tried = self._clock() + seconds, False
