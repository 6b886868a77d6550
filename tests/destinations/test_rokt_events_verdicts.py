"""mParticle's answers, and what each means for every message of a call."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from factories import NOON
from urllib3 import HTTPHeaderDict

from bridge.conversions.batches import Part, batch_of
from bridge.conversions.calls import Call
from bridge.conversions.conversion import Conversion
from bridge.destinations.rokt_events_verdicts import doubtful, outcomes
from bridge.message import AT_MOST, Delivered, Divided, Outcome, Rejected, Retry, Uncertain
from bridge.upstream import Answer

GUID = (
    "Error converting value &quot;not-a-guid&quot; to type 'System.Guid'. "
    "Path '[1].device_info.ios_advertising_id', line 1, position 153."
)
CURRENCY = (
    "Error reading string. Unexpected token: StartObject. "
    "Path 'data.custom_attributes.currency', line 1, position {}."
)


def an_answer(status: int, body: Any = None, **headers: str) -> Answer:
    named = HTTPHeaderDict({name.replace("_", "-"): value for name, value in headers.items()})
    text = "" if body is None else body if isinstance(body, str) else json.dumps(body)
    return Answer(status, named, text, 7)


def errors(*messages: str) -> dict[str, Any]:
    return {"errors": [{"code": "BAD_REQUEST", "message": message} for message in messages]}


def a_call(*counts: int, name: str = "Ada") -> Call:
    """A user for each, with so many conversions."""
    call = Call()
    for user, count in enumerate(counts):
        for number in range(count):
            conversion = Conversion(f"u{user}@example.com", user_attributes={"firstname": name})
            part = Part.of(batch_of(conversion), f"m-{user}-{number}", NOON, "production")
            call = call.with_part(part, is_same_user=number > 0)
    return call


def read(answer: Answer, call: Call, *, known: bool = True) -> list[Outcome]:
    return outcomes(answer, call, [known] * len(call.places))


def kinds(found: Sequence[Outcome]) -> list[str]:
    return [type(outcome).__name__ for outcome in found]


def text_of(call: Call) -> str:
    return json.dumps(call.body(), ensure_ascii=False, separators=(",", ":"))


class TestTaken:
    @pytest.mark.parametrize("body", [None, " \n", {}, [], "null", {"errors": []}, {"errors": None}], ids=str)
    @pytest.mark.parametrize("status", [200, 202])
    def test_an_empty_answer_delivers_all(self, status: int, body: Any) -> None:
        found = read(an_answer(status, body), a_call(2, 1))

        assert kinds(found) == ["Delivered"] * 3
        assert found[0].status == status  # type: ignore[union-attr]

    @pytest.mark.parametrize("body", ["<html>", '"success"', "[[[", '{"errors": [{"code'])
    @pytest.mark.parametrize("known", [True, False])
    def test_what_cannot_be_read_leaves_the_outcome_unknown(self, body: str, known: bool) -> None:
        found = read(an_answer(202, body), a_call(1, 1), known=known)

        assert [(type(one), getattr(one, "is_final", None)) for one in found] == [(Uncertain, not known)] * 2


class TestTakenInPart:
    def test_the_path_tells_whose_it_is_and_only_that_goes_alone(self) -> None:
        found = read(an_answer(202, errors(GUID)), a_call(1, 1, 1))

        assert kinds(found) == ["Delivered", "Divided", "Delivered"]
        assert found[1].progress == {AT_MOST: 1}  # type: ignore[union-attr]

    @pytest.mark.parametrize("known", [True, False])
    @pytest.mark.parametrize("name", ["Ada", "Ähm", "𝒜da"])
    def test_without_one_the_position_does(self, name: str, known: bool) -> None:
        call = a_call(1, 1, 1, name=name)
        text = text_of(call)
        for user in range(3):
            position = text.index(f"u{user}@example.com") + 1

            found = read(an_answer(202, errors(CURRENCY.format(position))), call, known=known)

            expected = ["Delivered"] * 3
            expected[user] = "Divided"
            assert kinds(found) == expected

    def test_a_position_is_read_to_the_character(self) -> None:
        call = a_call(1, 1)
        second = text_of(call).rindex('{"environment"') + 1

        at_first, at_second = (
            read(an_answer(202, errors(CURRENCY.format(position))), call) for position in (second - 2, second)
        )

        assert kinds(at_first) == ["Divided", "Delivered"]
        assert kinds(at_second) == ["Delivered", "Divided"]

    def test_all_messages_of_a_batch_that_is_refused_go_alone(self) -> None:
        found = read(an_answer(202, errors(GUID)), a_call(1, 3))

        assert kinds(found) == ["Delivered", "Divided", "Divided", "Divided"]

    def test_what_was_alone_is_dead_with_its_words(self) -> None:
        [found] = read(an_answer(202, errors(GUID)), a_call(1))

        assert isinstance(found, Rejected)
        assert 'value "not-a-guid" to type' in found.reason
        assert found.status == 202

    def test_several_are_told_apart(self) -> None:
        first, third = GUID.replace("[1]", "[0]"), GUID.replace("[1]", "[2]")

        assert kinds(read(an_answer(202, errors(first, third)), a_call(1, 1, 1))) == [
            "Divided",
            "Delivered",
            "Divided",
        ]

    @pytest.mark.parametrize(
        "words",
        ["something is wrong", GUID.replace("[1]", "[9]"), CURRENCY.format(10**6), CURRENCY.format(0), ""],
    )
    def test_what_names_nobody_is_tried_once_each_where_rokt_would_know_it_again(self, words: str) -> None:
        call = a_call(1, 1)

        found = outcomes(an_answer(202, errors(words)), call, [True, False])

        assert kinds(found) == ["Divided", "Uncertain"]
        assert found[0].progress == {AT_MOST: 1}  # type: ignore[union-attr]
        assert found[1].is_final  # type: ignore[union-attr]

    @pytest.mark.parametrize("wrong", [7, "text", None, [], {"message": None}])
    def test_errors_in_another_form_are_errors_all_the_same(self, wrong: Any) -> None:
        assert kinds(read(an_answer(202, {"errors": [wrong]}), a_call(1, 1))) == ["Divided"] * 2

    def test_who_was_taken_is_not_told_of_others(self) -> None:
        found = read(an_answer(202, errors(GUID)), a_call(1, 1))

        assert found[0] == Delivered(202, "", 7)

    def test_what_rokt_repeats_of_people_stays_away(self) -> None:
        words = f"ada@example.com {'ab' * 32} is wrong"

        [found] = read(an_answer(202, errors(words)), a_call(1))

        assert "[email] [hash] is wrong" in found.reason  # type: ignore[union-attr]

    def test_of_an_endless_answer_no_half_of_an_address_is_kept(self) -> None:
        words = " ".join(["x" * 9] * 398 + ["ada@example.com" * 20])

        [found] = read(an_answer(400, errors(words)), a_call(1))

        assert "ada" not in found.answer  # type: ignore[union-attr]
        assert len(found.answer) <= 4_000  # type: ignore[union-attr]


class TestRefused:
    @pytest.mark.parametrize(("counts", "at_most"), [((1, 1), 1), ((1, 1, 1), 1), ((4, 3, 2), 4), ((2,), 1)])
    def test_a_whole_call_is_halved(self, counts: tuple[int, ...], at_most: int) -> None:
        found = read(an_answer(400, errors("malformed")), a_call(*counts))

        assert found == [found[0]] * sum(counts)
        assert isinstance(found[0], Divided)
        assert found[0].progress == {AT_MOST: at_most}

    @pytest.mark.parametrize("status", [400, 409, 413, 422])
    def test_one_alone_is_dead(self, status: int) -> None:
        [found] = read(an_answer(status, errors("it has no &quot;environment&quot;")), a_call(1))

        assert isinstance(found, Rejected)
        assert found.reason == f'answered {status}: it has no "environment"'

    @pytest.mark.parametrize("status", [401, 403, 404, 405])
    def test_a_setting_of_ours_costs_no_message(self, status: int) -> None:
        for found in read(an_answer(status, errors("no")), a_call(1, 1)):
            assert isinstance(found, Retry)
            assert found.refused_account == ""

    def test_too_many_wait_as_long_as_they_are_told(self) -> None:
        found = read(an_answer(429, Retry_After="7"), a_call(1, 1))

        assert [(type(one), one.wait, one.status) for one in found] == [(Retry, 7.0, 429)] * 2  # type: ignore[union-attr]

    @pytest.mark.parametrize("status", [500, 502, 503, 504])
    @pytest.mark.parametrize("known", [True, False])
    def test_an_upstream_in_trouble_has_taken_nothing(self, status: int, known: bool) -> None:
        for found in read(an_answer(status), a_call(1, 1), known=known):
            assert isinstance(found, Retry)
            assert found.is_trouble


class TestDoubt:
    def test_only_what_rokt_would_know_again_is_repeated(self) -> None:
        lost = Uncertain("no whole answer in time", 7)

        assert doubtful(lost, is_known_again=True) == lost
        assert doubtful(lost, is_known_again=False) == Uncertain(lost.reason, 7, is_final=True)

    def test_what_never_began_is_repeated_whatever_it_is(self) -> None:
        refused = Retry("connection refused", is_trouble=True)

        assert doubtful(refused, is_known_again=False) == refused


@pytest.mark.parametrize(
    ("used", "is_so"),
    [
        ("90", True),
        ("97.5%", True),
        ("120", True),
        ("89.9", False),
        ("0", False),
        ("", False),
        ("most", False),
        ("1e9", False),
    ],
)
def test_nine_tenths_are_nearly_all(used: str, is_so: bool) -> None:
    [found] = outcomes(an_answer(202, X_mp_rate_limit_percentage_used=used), a_call(1), [True])

    assert isinstance(found, Delivered)
    assert found.is_nearly_too_much is is_so
