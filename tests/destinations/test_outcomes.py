"""What is kept of an upstream's words."""

from __future__ import annotations

import pytest

from bridge.destinations.outcomes import MOST_READ, redact


def test_addresses_and_tokens_are_taken_out() -> None:
    told = 'no user "ada@example.com" for Bearer abc.def, nor <b.c@d.co.uk>'

    assert redact(told) == 'no user "[email]" for [token], nor <[email]>'


@pytest.mark.parametrize("before", ["", " ", '"'])
def test_of_long_words_the_begin_is_kept_and_no_part_of_an_address(before: str) -> None:
    told = "x" * 100 + " " + "y" * (MOST_READ - 108) + before + "ada@example.com and more " + "z" * 60_000

    kept = redact(told)

    assert kept.startswith("x" * 100)
    assert len(kept) <= MOST_READ
    assert "@" not in kept


def test_endless_words_without_a_gap_are_left_out() -> None:
    assert redact("a" * 64 * 1024) == ""
