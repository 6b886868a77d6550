"""When the last of what waits has left, and what is too late by then."""

from __future__ import annotations

from datetime import timedelta

import pytest
from factories import NOON

from bridge.outbox.forecast import Minute, forecast, measured, rate_of, share

HOUR = timedelta(hours=1)


def at(minutes: float) -> float:
    """So many minutes after noon, since 1970."""
    return NOON.timestamp() + 60 * minutes


class TestTheLast:
    def test_leaves_after_as_many_seconds_as_the_line_is_long(self) -> None:
        told = forecast(480_000, 270, NOON)

        assert told.leaves_at == NOON + timedelta(seconds=480_000 / 270)
        assert told.late == 0

    @pytest.mark.parametrize("rate", [None, 0, 0.0])
    def test_is_not_told_where_nothing_tells_the_speed(self, rate: float | None) -> None:
        told = forecast(10, rate, NOON, [(0, 10, at(1))])

        assert (told.leaves_at, told.late) == (None, 0)

    def test_is_not_told_where_it_is_years_away(self) -> None:
        told = forecast(10**9, 0.001, NOON)

        assert told.leaves_at is None
        assert told.rate == 0.001

    def test_has_left_now_where_nothing_waits(self) -> None:
        assert forecast(0, 270, NOON).leaves_at == NOON


class TestTooLate:
    """The line moves sixty messages a minute."""

    def test_is_what_stands_behind_the_last_that_leaves_in_time(self) -> None:
        assert forecast(600, 1, NOON, [(0, 600, at(9))]).late == 60

    def test_is_nothing_while_all_leave_in_time(self) -> None:
        assert forecast(600, 1, NOON, [(0, 600, at(10))]).late == 0

    def test_is_everything_once_the_event_has_begun(self) -> None:
        assert forecast(600, 1, NOON, [(0, 600, at(-5))]).late == 600

    def test_depends_on_where_in_line_it_stands(self) -> None:
        in_front, behind = [(0, 60, at(2))], [(540, 60, at(2))]

        assert forecast(600, 1, NOON, in_front).late == 0
        assert forecast(600, 1, NOON, behind).late == 60

    def test_adds_up(self) -> None:
        assert forecast(600, 1, NOON, [(0, 60, at(0.5)), (60, 540, at(9))]).late == 30 + 60

    def test_is_reckoned_from_when_the_line_was_counted(self) -> None:
        run = [(0, 600, at(9))]

        assert forecast(540, 1, NOON + timedelta(minutes=1), run, NOON).late == 60

    def test_is_never_more_than_what_waits(self) -> None:
        assert forecast(5, 1, NOON, [(0, 600, at(0))]).late == 5


class TestTheSpeed:
    def test_is_what_left_in_minutes_that_had_enough_to_do(self) -> None:
        assert measured([Minute(0, 9_000), Minute(600, 8_400), Minute(1200, 7_200)]) == 15

    def test_is_not_told_by_quiet_minutes(self) -> None:
        """Two messages came in each, and both left at once."""
        assert measured([Minute(2, 0), Minute(2, 0), Minute(2, 1)]) is None

    def test_is_not_told_by_the_minute_in_which_a_rush_began(self) -> None:
        assert measured([Minute(2, 0), Minute(10, 9_000), Minute(600, 8_400)]) == 10

    def test_is_nothing_where_much_waits_and_nothing_leaves(self) -> None:
        assert measured([Minute(0, 900), Minute(0, 900)]) == 0

    @pytest.mark.parametrize("minutes", [[], [Minute(600, 900)], [Minute(600, None), Minute(600, None)]])
    def test_is_not_told_by_too_little(self, minutes: list[Minute]) -> None:
        assert measured(minutes) is None

    @pytest.mark.parametrize(
        ("limit", "was", "rate"), [(270, 310.0, 270), (270, 120.0, 120), (None, 120.0, 120), (270, None, 270)]
    )
    def test_is_the_smaller_of_the_allowed_and_the_measured(
        self, limit: float | None, was: float | None, rate: float
    ) -> None:
        assert rate_of(limit, was) == rate

    def test_is_unknown_without_both(self) -> None:
        assert rate_of(None, None) is None


@pytest.mark.parametrize(
    ("part", "whole", "words"),
    [
        (9_600, 480_000, "2 %"),
        (1, 480_000, "less than 1 %"),
        (479_999, 480_000, "99 %"),
        (480_000, 480_000, "100 %"),
        (0, 480_000, ""),
        (0, 0, ""),
    ],
)
def test_a_share_is_told_as_people_say_it(part: int, whole: int, words: str) -> None:
    assert share(part, whole) == words
