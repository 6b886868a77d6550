"""The arithmetic of rates, over many of them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bridge.rate import Rate

SECOND = timedelta(seconds=1)
LATE = timedelta(milliseconds=20)
RATES = [*range(1, 3000), 9_999, 50_000, 999_999]


def test_a_rate_of_nothing_is_no_limit() -> None:
    assert not Rate().is_limited
    assert Rate().most_items is None


@pytest.mark.parametrize("per", ["call", "item"])
def test_no_second_holds_more_than_the_limit_though_each_call_is_late_by_up_to_20_ms(per: str) -> None:
    """One call more than the limit, the first as late and the last as early as can be, take over a second."""
    for a_second in RATES:
        rate = Rate(a_second, "item" if per == "item" else "call")

        assert rate.cells_a_second * rate.spacing - LATE > SECOND, a_second
        assert rate.cells_a_second * (rate.most_items or 1) <= a_second


@pytest.mark.parametrize("per", ["call", "item"])
def test_at_least_95_percent_of_it_are_used(per: str) -> None:
    for a_second in RATES[:3000]:
        rate = Rate(a_second, "item" if per == "item" else "call")

        assert (rate.most_items or 1) * (SECOND / rate.spacing) >= 0.95 * a_second, a_second


def test_a_call_takes_at_most_a_tenth_of_a_seconds_items() -> None:
    assert all((Rate(r, "item").most_items or 0) <= max(1, r / 10) for r in RATES)


def test_the_event_apis_270_items_are_ten_calls_of_27() -> None:
    rate = Rate(270, "item")

    assert (rate.cells_a_second, rate.most_items) == (10, 27)
