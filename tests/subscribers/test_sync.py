"""What must change in Braze's arrays, whatever is known of what they hold."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.subscribers.sync import EMPTY, Held, change, doubted, intended, settled

NAMES = st.sampled_from(["rokt:tags", "rokt:source"])
VALUES = st.sampled_from("abcde")
TARGETS = st.dictionaries(NAMES, st.lists(VALUES, unique=True, max_size=4), max_size=2)


def a_held(certain: str = "", unsure: str = "") -> Held:
    """Of one attribute, each character a value."""
    return Held({"t": tuple(certain)} if certain else {}, {"t": tuple(unsure)} if unsure else {})


def a_change(add: str = "", remove: str = "") -> dict[str, dict[str, list[str]]]:
    its = {name: list(some) for name, some in (("add", add), ("remove", remove)) if some}
    return {"t": its} if its else {}


class TestChange:
    @pytest.mark.parametrize(
        ("target", "held", "expected"),
        [
            ("ab", a_held(), a_change(add="ab")),
            ("ab", a_held("ab"), a_change()),
            ("ba", a_held("ab"), a_change()),
            ("bc", a_held("ab"), a_change(add="c", remove="a")),
            ("", a_held("ab"), a_change(remove="ab")),
            ("a", a_held(unsure="ab"), a_change(add="a", remove="b")),
            ("a", a_held("a", "b"), a_change(remove="b")),
            ("", a_held(), a_change()),
        ],
    )
    def test_it_is_the_target_without_what_is_held(
        self, target: str, held: Held, expected: dict[str, Any]
    ) -> None:
        assert change({"t": list(target)}, held) == expected

    def test_attributes_are_apart(self) -> None:
        held = settled({"gone": ["a"], "same": ["b"]})

        assert change({"same": ["b"], "new": ["c"]}, held) == {
            "gone": {"remove": ["a"]},
            "new": {"add": ["c"]},
        }


class TestIntended:
    def test_what_is_taken_away_is_not_certain_and_all_that_is_touched_is_unsure(self) -> None:
        held = intended(a_held("ab", "c"), a_change(add="d", remove="bc"))

        assert held.certain == {"t": ("a",)}
        assert set(held.unsure["t"]) == {"b", "c", "d"}

    def test_the_same_change_again_follows_from_it(self) -> None:
        """What a call after one whose answer was lost must do: its values may have arrived or not."""
        first = change({"t": ["c"]}, a_held("ab"))

        again = change({"t": ["c"]}, intended(a_held("ab"), first))

        assert again == first == a_change(add="c", remove="ab")

    def test_no_change_intends_nothing(self) -> None:
        assert intended(a_held("a", "b"), {}) == a_held("a", "b")


class TestDoubted:
    def test_nothing_is_certain_any_more(self) -> None:
        held = doubted(a_held("a", "b"), {"t": ["c", "a"], "u": ["x"]})

        assert held == Held({}, {"t": ("a", "b", "c"), "u": ("x",)})
        assert change({"t": ["c"]}, held) == {**a_change(add="c", remove="ab"), "u": {"remove": ["x"]}}


class TestEmpty:
    def test_what_settles_on_nothing_is_empty(self) -> None:
        assert settled({"t": []}) == EMPTY
        assert EMPTY.is_empty
        assert not a_held(unsure="a").is_empty


class TestAlways:
    @given(TARGETS, TARGETS, TARGETS)
    def test_a_change_has_nothing_empty_and_no_value_twice(
        self, target: dict[str, list[str]], certain: dict[str, list[str]], unsure: dict[str, list[str]]
    ) -> None:
        held = doubted(EMPTY, unsure)
        held = Held(settled(certain).certain, held.unsure)

        for its in change(target, held).values():
            lists = list(its.values())
            assert lists
            assert all(lists)
            assert len({value for some in lists for value in some}) == sum(map(len, lists))

    @given(st.lists(st.tuples(TARGETS, st.sampled_from(["worked", "refused", "lost", "lost and applied"]))))
    def test_whatever_became_of_the_calls_before_one_that_works_leads_to_its_target(
        self, calls: list[tuple[dict[str, list[str]], str]]
    ) -> None:
        held, stands = EMPTY, set[tuple[str, str]]()
        for target, outcome in [*calls, ({"rokt:tags": ["z"]}, "worked")]:
            its = change(target, held)
            if outcome in ("worked", "lost and applied"):
                for name, one in its.items():
                    stands |= {(name, value) for value in one.get("add", ())}
                    stands -= {(name, value) for value in one.get("remove", ())}
            if outcome == "worked":
                held = settled(target)
                assert stands == {(name, value) for name, some in target.items() for value in some}
            elif outcome != "refused":
                held = intended(held, its)
            may_stand = {
                (name, value) for part in (held.certain, held.unsure) for name in part for value in part[name]
            }
            assert (
                {(name, value) for name in held.certain for value in held.certain[name]}
                <= stands
                <= may_stand
            )
