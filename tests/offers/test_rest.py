"""When Rokt is left alone, and for how long."""

from __future__ import annotations

import pytest

from bridge.offers.rest import LONGEST_REST, RESTS_FOR, TIMEOUTS, Rest


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rest(clock: Clock) -> Rest:
    return Rest(clock)


def time_out(rest: Rest, times: int = TIMEOUTS) -> list[bool]:
    """Calls one after the other; which of them were made."""
    made = []
    for _ in range(times):
        made.append(rest.may_call())
        if made[-1]:
            rest.timed_out()
    return made


def test_five_timeouts_in_a_row_are_followed_by_ten_seconds_of_rest(rest: Rest, clock: Clock) -> None:
    assert time_out(rest, 6) == [True] * 5 + [False]

    clock.now += 9.9
    in_it = rest.may_call()
    clock.now += 0.1

    assert (in_it, rest.may_call()) == (False, True)


def test_an_answer_between_timeouts_begins_the_count_anew(rest: Rest) -> None:
    time_out(rest, 4)
    rest.may_call()
    rest.answered()

    assert time_out(rest, 6) == [True] * 5 + [False]


def test_a_refused_connection_is_no_timeout_and_no_answer(rest: Rest) -> None:
    time_out(rest, 4)
    for _ in range(20):
        assert rest.may_call()
        rest.ended()

    assert time_out(rest, 2) == [True, False]


def test_calls_that_began_before_a_rest_do_not_make_it_longer(rest: Rest, clock: Clock) -> None:
    time_out(rest)
    for _ in range(20):
        clock.now += 0.1
        rest.timed_out()

    clock.now = 100.0 + RESTS_FOR

    assert rest.may_call()


def test_after_a_rest_one_call_goes_ahead_of_the_others(rest: Rest, clock: Clock) -> None:
    time_out(rest)
    clock.now += RESTS_FOR

    assert [rest.may_call() for _ in range(3)] == [True, False, False]
    rest.answered()
    assert [rest.may_call() for _ in range(3)] == [True, True, True]


def test_one_more_timeout_after_a_rest_is_followed_by_another(rest: Rest, clock: Clock) -> None:
    time_out(rest)
    clock.now += RESTS_FOR
    time_out(rest, 1)

    clock.now += RESTS_FOR - 0.1
    in_it = rest.may_call()
    clock.now += 0.1

    assert (in_it, rest.may_call()) == (False, True)


def test_a_call_after_a_rest_that_never_began_lets_another_try(rest: Rest, clock: Clock) -> None:
    time_out(rest)
    clock.now += RESTS_FOR
    rest.may_call()
    rest.ended()

    assert rest.may_call()


@pytest.mark.parametrize(("asked", "lasts"), [(3.0, 3.0), (3_600.0, LONGEST_REST)])
def test_rokt_may_ask_for_a_rest(rest: Rest, clock: Clock, asked: float, lasts: float) -> None:
    rest.ask_for(asked)

    clock.now += lasts - 0.1
    in_it = rest.may_call()
    clock.now += 0.1

    assert (in_it, rest.may_call()) == (False, True)


def test_a_timeout_after_a_rest_that_rokt_asked_for_does_not_last_for_ever(rest: Rest, clock: Clock) -> None:
    rest.ask_for(1.0)
    clock.now += 1.0
    assert time_out(rest, 1) == [True]

    clock.now += RESTS_FOR

    assert rest.may_call()
