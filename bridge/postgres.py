"""Connections to PostgreSQL that wait neither for ever for an answer nor give up at once when nobody is there."""

from __future__ import annotations

import math
import time
from typing import Any

import psycopg
from psycopg.abc import RV, PQGen

# The server itself ends a statement after five seconds. Whoever hears nothing for longer has lost it: its machine is
# gone or stands still, and the system would wait for a quarter of an hour.
ANSWERS_WITHIN = 6.0  # seconds
LOOKS_AGAIN = 0.2  # seconds
LEAST = 3  # seconds for an attempt to connect, however late it is
INTERVAL = 0.1  # seconds; psycopg's own, after which it looks for signals


class Answering(psycopg.Connection[Any]):
    """One that is closed when the server does not answer. `within`: seconds."""

    within = ANSWERS_WITHIN

    def wait(self, gen: PQGen[RV], interval: float = INTERVAL, timeout: float | None = None) -> RV:
        try:
            return super().wait(gen, interval, self.within if timeout is None else timeout)
        except psycopg.OperationalError as wrong:
            if wrong.sqlstate is None:  # it is not the server that says so
                self.pgconn.finish()
            raise


class Door:
    """How a process gets its connections.

    What cannot be reached is looked for until the caller's time is over. Whose time was over before the turn came is
    told what the one before found: with a silence of seconds for each, the last would wait for minutes.
    """

    def __init__(self) -> None:
        self._fault: psycopg.OperationalError | None = None
        self._failed_at = float("-inf")

    def connect(self, until: float, *given: Any, **named: Any) -> Answering:
        """`until`: a monotonic time. Errors: psycopg.OperationalError."""
        if self._fault and until < time.monotonic() < self._failed_at + LOOKS_AGAIN:
            raise self._fault
        while True:
            left = max(LEAST, math.ceil(until - time.monotonic()))
            try:
                return Answering.connect(*given, **named, connect_timeout=left)
            except psycopg.OperationalError as fault:
                self._fault, self._failed_at = fault, time.monotonic()
                if self._failed_at + LOOKS_AGAIN >= until:
                    raise
            time.sleep(LOOKS_AGAIN)
