"""A message that is refused as a whole: its bad identifiers are found, the good ones get through."""

from __future__ import annotations

import random

import pytest

from bridge.audiences.change import AudienceChange
from bridge.audiences.part import REFUSED_MOST, Part


def walked(count: int, bad: set[int]) -> tuple[Part, list[int], int]:
    """What is left when Rokt refuses every part that holds a bad one; what was taken, and in how many calls."""
    change = AudienceChange("VIP", "include", "emails", tuple(map(str, range(count))))
    part, taken, calls = Part.whole(change), [], 0
    while not part.is_over:
        part = Part.of(part.stored())
        calls += 1
        its = [int(one) for one in part.among(change).identifiers]
        if bad & set(its):
            part = part.after_refused("answered 400")
        else:
            taken += its
            part = part.after_taken()
    return part, taken, calls


@pytest.mark.parametrize("count", [1, 2, 3, 7, 64, 99, 100])
def test_one_bad_identifier_is_found_wherever_it_stands_and_the_others_are_taken(count: int) -> None:
    for bad in range(count):
        part, taken, calls = walked(count, {bad})

        assert part.refused == (bad,)
        assert taken == [place for place in range(count) if place != bad]
        assert calls <= 4 * count.bit_length()


def test_several_bad_ones_are_found() -> None:
    chance = random.Random(7)
    for _ in range(50):
        bad = set(chance.sample(range(REFUSED_MOST, 100), 4))

        part, taken, _ = walked(100, bad)

        assert set(part.refused) == bad
        assert set(taken) == set(range(100)) - bad


def test_where_everything_is_refused_it_ends_soon() -> None:
    part, taken, calls = walked(100, set(range(100)))

    assert (taken, len(part.refused)) == ([], REFUSED_MOST)
    assert calls < 12
    assert part.told() == "answered 400; none of its 100 addresses was taken"


def test_what_became_of_it_is_told_by_places() -> None:
    part, _, _ = walked(100, {16, 40})

    assert (
        part.told()
        == "answered 400: refused for 2 of its 100 addresses (number 17, 41), the others were taken"
    )


def test_of_very_many_places_the_first_are_told() -> None:
    part, _, _ = walked(100, set(range(50, 100)))

    assert part.told().endswith("(number 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, …), the others were taken")


def test_one_alone_is_told_as_it_was_refused() -> None:
    part, _, calls = walked(1, {0})

    assert (part.told(), calls) == ("answered 400", 1)
