"""One call for all who ask for the same at once."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from bridge.offers.flights import FlightLost, Flights

LATE = 60.0


class Call:
    """A call that goes on until it is let go; `others` says when the others wait for it."""

    def __init__(self, raises: BaseException | None = None) -> None:
        self.begun, self.let_go = threading.Event(), threading.Event()
        self.count, self._raises = 0, raises

    def __call__(self) -> str:
        self.count += 1
        self.begun.set()
        self.let_go.wait(LATE)
        if self._raises:
            raise self._raises
        return "answer"


def waiting(flights: Flights[str], key: bytes, count: int) -> None:
    """Until so many wait for this flight."""
    flight = flights._flying[key]
    until = time.monotonic() + LATE
    while len(flight._condition._waiters) < count:  # type: ignore[attr-defined]
        assert time.monotonic() < until
        threading.Event().wait(0.002)


def test_many_who_ask_at_once_share_one_call() -> None:
    flights: Flights[str] = Flights()
    call = Call()
    with ThreadPoolExecutor(20) as threads:
        asked = [threads.submit(flights.share, b"a", call, LATE) for _ in range(20)]
        call.begun.wait(LATE)
        waiting(flights, b"a", 19)
        call.let_go.set()

    assert [one.result() for one in asked] == ["answer"] * 20
    assert call.count == 1


def test_those_who_ask_for_something_else_have_a_call_of_their_own() -> None:
    flights: Flights[str] = Flights()
    call = Call()
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(flights.share, b"a", call, LATE)
        call.begun.wait(LATE)

        assert flights.share(b"b", lambda: "other", LATE) == "other"
        call.let_go.set()

    assert first.result() == "answer"


def test_who_asks_after_the_answer_makes_a_call_again() -> None:
    flights: Flights[str] = Flights()

    assert [flights.share(b"a", lambda n=n: str(n), LATE) for n in range(2)] == ["0", "1"]  # type: ignore[misc]


def test_who_waits_for_the_others_call_waits_only_for_its_own_time() -> None:
    flights: Flights[str] = Flights()
    call = Call()
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(flights.share, b"a", call, LATE)
        call.begun.wait(LATE)

        with pytest.raises(TimeoutError):
            flights.share(b"a", call, -1.0)
        call.let_go.set()

    assert first.result() == "answer"


def test_a_call_that_breaks_off_leaves_nobody_waiting() -> None:
    flights: Flights[str] = Flights()
    call = Call(SystemExit())
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(flights.share, b"a", call, LATE)
        call.begun.wait(LATE)
        second = threads.submit(flights.share, b"a", call, LATE)
        waiting(flights, b"a", 1)
        call.let_go.set()

    assert type(first.exception()) is SystemExit
    assert type(second.exception()) is FlightLost
    assert flights.share(b"a", lambda: "next", LATE) == "next"
