"""Patterns that look through what anybody wrote: a text that is long and strange keeps the process no longer than
another one. One that tries each beginning up to the end would be at it for hours.
"""

from __future__ import annotations

import pytest

from bridge.calendar.outline import _SET
from bridge.console.imports import _without_keys
from bridge.console.values import _has_liquid

LONG = 2_000_000  # characters


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("{{" * (LONG // 2), False),
        ("{%" * (LONG // 2), False),
        ("{{" * (LONG // 2) + "}}", True),
        ("a {% b %}", True),
        ("{{ a %}", False),
        ("}} {{", False),
        ("{{\n}}", True),
    ],
    ids=lambda given: repr(given)[:12],
)
def test_what_braze_has_not_filled_in(text: str, has: bool) -> None:
    assert _has_liquid(text) is has


@pytest.mark.parametrize(
    ("tag", "sets"),
    [
        (" set " + " " * LONG, False),
        (" set " + "a," * LONG, False),
        (" set a = 1", True),
        (" set\ta, b.c = 1", True),
        (" set a == 1", False),
        (" set a", False),
        (" settle = 1", False),
    ],
    ids=lambda given: repr(given)[:16],
)
def test_a_tag_that_sets_a_name(tag: str, sets: bool) -> None:
    assert (_SET.match(tag) is not None) is sets


@pytest.mark.parametrize(
    ("headers", "shown"),
    [
        ("key" * LONG, "key" * LONG),
        (
            "Accept: a\nAuthorization: Bearer b\nX-Api-KEY : c: d",
            "Accept: a\nAuthorization: …\nX-Api-KEY : …",
        ),
        ("Accept: secret\ntoken", "Accept: secret\ntoken"),
    ],
    ids=["long", "keys", "none"],
)
def test_what_stands_behind_a_key_is_not_shown(headers: str, shown: str) -> None:
    assert _without_keys(headers) == shown
