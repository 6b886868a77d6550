"""Braze's answers, and what each means for every message of a call."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from urllib3 import HTTPHeaderDict

from bridge.destinations.braze_verdicts import Part, Sent, outcomes, wait_of
from bridge.message import Delivered, Divided, Outcome, Rejected, Retry, Uncertain
from bridge.upstream import Answer

BOTH = Part(0, 0)
NO_VALID = "Valid data must be provided in the 'attributes', 'events', or 'purchases' fields."


def an_answer(status: int, body: Any = None, **headers: str) -> Answer:
    named = HTTPHeaderDict({name.replace("_", "-"): value for name, value in headers.items()})
    return Answer(status, named, body if isinstance(body, str) else json.dumps(body), 7)


def a_call(*parts: Part) -> Sent:
    """Each message has the next place of each kind of object that it says it has."""
    attributes = {part.attributes for part in parts} - {None}
    events = {part.event for part in parts} - {None}
    return Sent(dict(enumerate(parts)), len(attributes), len(events))


def users(count: int) -> Sent:
    """So many users, each with attributes and an event."""
    return a_call(*(Part(number, number) for number in range(count)))


def read(answer: Answer, sent: Sent) -> list[Outcome]:
    return outcomes(answer, sent, lambda text: text.replace("k-secret", "[key]"))


def kinds(found: Sequence[Outcome]) -> list[str]:
    return [type(outcome).__name__ for outcome in found]


def taken(attributes: int | None = None, events: int | None = None, *errors: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"message": "success"}
    if attributes is not None:
        body["attributes_processed"] = attributes
    if events is not None:
        body["events_processed"] = events
    return body | ({"errors": list(errors)} if errors else {})


def an_error(words: str, array: str | None = None, index: int | None = None) -> dict[str, Any]:
    fields = {"type": words, "input_array": array, "index": index}
    return {name: value for name, value in fields.items() if value is not None}


class TestTaken:
    def test_a_success_delivers_all(self) -> None:
        found = read(an_answer(201, taken(2, 2)), users(2))

        assert found == [Delivered(201, json.dumps(taken(2, 2)), 7)] * 2

    @pytest.mark.parametrize("body", [{}, {"message": "success"}, {"message": "success", "errors": []}])
    def test_fields_may_be_missing(self, body: object) -> None:
        assert kinds(read(an_answer(201, body), users(2))) == ["Delivered"] * 2

    @pytest.mark.parametrize(
        "body", ["", "<html>", "[]", "null", '"success"', {"message": "wrong"}, {"message": None}]
    )
    def test_what_is_not_an_answer_of_braze_leaves_the_outcome_unknown(self, body: object) -> None:
        found = read(an_answer(200, body), users(2))

        assert kinds(found) == ["Uncertain"] * 2


class TestFailedObjects:
    def test_only_the_message_of_a_refused_event_is_dead_and_its_attributes_are_taken(self) -> None:
        answer = an_answer(201, taken(3, 2, an_error("'time' is wrong", "events", 1)))

        found = read(answer, users(3))

        assert kinds(found) == ["Delivered", "Rejected", "Delivered"]
        assert isinstance(found[1], Rejected)
        assert found[1].reason == "Braze refused it: 'time' is wrong"
        assert found[1].status == 201
        assert found[1].progress == {"attributes": "taken"}

    def test_refused_attributes_end_all_messages_that_change_something_in_them(self) -> None:
        sent = a_call(Part(0, 0), Part(0, None), Part(None, 1), Part(1, 2))
        answer = an_answer(201, taken(1, 3, an_error("BAD_VALUE", "attributes", 0)))

        found = read(answer, sent)

        assert kinds(found) == ["Rejected", "Rejected", "Delivered", "Delivered"]
        assert [outcome.reason for outcome in found[:2] if isinstance(outcome, Rejected)] == [
            "Braze refused it: BAD_VALUE (of its attributes; its event was taken)",
            "Braze refused it: BAD_VALUE",
        ]
        assert [getattr(outcome, "progress", "none") for outcome in found[:2]] == [None, None]

    def test_both_objects_of_a_message_may_be_refused(self) -> None:
        errors = (an_error("A", "attributes", 0), an_error("B", "events", 0))

        found = read(an_answer(201, taken(1, 1, *errors)), users(2))

        assert kinds(found) == ["Rejected", "Delivered"]
        assert isinstance(found[0], Rejected)
        assert found[0].reason == "Braze refused it: A; B"

    def test_an_answer_is_kept_without_what_it_says_of_others(self) -> None:
        errors = (an_error("bad mine", "events", 0), an_error("bad other", "events", 1))

        body = {**taken(3, 1, *errors), "details": "bad other"}

        mine, _, third = read(an_answer(201, body), users(3))

        assert isinstance(mine, Rejected)
        assert isinstance(third, Delivered)
        assert "bad mine" in mine.answer
        assert "other" not in mine.answer
        assert "bad" not in third.answer

    def test_several_errors_of_one_object_are_all_told(self) -> None:
        errors = (an_error("A", "events", 0), an_error("B", "events", 0))

        [found] = read(an_answer(201, taken(None, 0, *errors)), a_call(Part(None, 0)))

        assert isinstance(found, Rejected)
        assert found.reason == "Braze refused it: A; B"

    def test_the_words_are_freed_of_secrets_and_cut(self) -> None:
        words = f"key k-secret of ada@example.com {'x' * 1000}"

        [found] = read(
            an_answer(201, taken(0, None, an_error(words, "attributes", 0))), a_call(Part(0, None))
        )

        assert isinstance(found, Rejected)
        assert "k-secret" not in found.reason + found.answer
        assert len(found.reason) < 400


class TestMissingFields:
    def test_without_an_array_the_only_one_that_was_sent_is_meant(self) -> None:
        sent = a_call(Part(0, None), Part(1, None))

        found = read(an_answer(201, taken(1, None, an_error("EXTERNAL_USER_ID_TOO_LARGE", None, 1))), sent)

        assert kinds(found) == ["Delivered", "Rejected"]

    def test_without_an_array_the_one_of_which_fewer_were_processed_is_meant(self) -> None:
        found = read(an_answer(201, taken(3, 2, an_error("X", None, 2))), users(3))

        assert kinds(found) == ["Delivered", "Delivered", "Rejected"]
        assert isinstance(found[2], Rejected)
        assert found[2].progress == {"attributes": "taken"}

    def test_without_an_array_an_index_that_only_one_has_tells_it(self) -> None:
        sent = a_call(Part(0, 0), Part(None, 1), Part(None, 2))

        assert kinds(read(an_answer(201, taken(None, None, an_error("X", None, 2))), sent)) == [
            "Delivered",
            "Delivered",
            "Rejected",
        ]

    def test_without_an_index_the_only_object_is_meant(self) -> None:
        sent = a_call(Part(0, 0), Part(None, 1))

        found = read(an_answer(201, taken(0, 2, an_error("X", "attributes"))), sent)

        assert kinds(found) == ["Rejected", "Delivered"]

    def test_if_none_was_processed_all_are_meant(self) -> None:
        found = read(an_answer(201, taken(0, 2, an_error("X"))), users(2))

        assert kinds(found) == ["Rejected"] * 2
        assert [outcome.reason for outcome in found if isinstance(outcome, Rejected)] == [
            "Braze refused it: X (of its attributes; its event was taken)"
        ] * 2

    def test_what_cannot_be_told_apart_goes_again_alone_without_what_was_taken(self) -> None:
        found = read(an_answer(201, taken(2, 3, an_error("X"))), users(3))

        progress = {"at_most": 1, "attributes": "unknown", "event": "taken"}
        assert kinds(found) == ["Uncertain"] * 3
        assert [outcome.progress for outcome in found if isinstance(outcome, Uncertain)] == [progress] * 3

    def test_what_is_named_is_not_in_doubt(self) -> None:
        errors = (an_error("A", "events", 0), an_error("B", "events"))

        found = read(an_answer(201, taken(3, 1, *errors)), users(3))

        assert kinds(found) == ["Rejected", "Uncertain", "Uncertain"]
        assert isinstance(found[1], Uncertain)
        assert found[1].progress == {"at_most": 1, "attributes": "taken", "event": "unknown"}

    def test_an_index_that_no_object_has_tells_only_the_array(self) -> None:
        body = {"message": "success", "errors": [an_error("X", "events", 99)]}

        found = read(an_answer(201, body), users(2))

        progress = {"at_most": 1, "attributes": "taken", "event": "unknown"}
        assert [outcome.progress for outcome in found if isinstance(outcome, Uncertain)] == [progress] * 2

    def test_fewer_processed_than_sent_leaves_doubt_though_no_error_is_told(self) -> None:
        found = read(an_answer(201, taken(2, 1)), users(2))

        assert kinds(found) == ["Uncertain"] * 2

    def test_alone_it_is_refused_even_if_nobody_knows_which_object_it_was(self) -> None:
        body = {"message": "success", "errors": [an_error("X")]}

        [found] = read(an_answer(201, body), a_call(BOTH))

        assert isinstance(found, Rejected)
        assert found.progress == {"attributes": "unknown"}

    def test_an_error_is_a_remark_if_all_were_processed(self) -> None:
        assert kinds(read(an_answer(201, taken(2, 2, an_error("a remark"))), users(2))) == ["Delivered"] * 2

    def test_a_named_object_is_refused_though_all_were_processed_and_its_values_are_unsure(self) -> None:
        found = read(an_answer(201, taken(2, 2, an_error("X", "attributes", 0))), users(2))

        assert kinds(found) == ["Rejected", "Delivered"]
        assert isinstance(found[0], Rejected)
        assert found[0].progress == {"attributes": "unknown"}

    @pytest.mark.parametrize(
        "errors",
        [
            "a text",
            ["a text"],
            [None],
            [7],
            [[]],
            [{}],
            {"type": "an object"},
            [{"type": {"deep": 1}, "index": "1", "input_array": 5}],
            [an_error("X", "purchases", 0)],
            [an_error("X", "events", 99)],
            [an_error("X", None, -1)],
            [{"index": True}],
        ],
    )
    def test_errors_in_any_shape_give_each_message_one_outcome(self, errors: object) -> None:
        for processed in (
            {},
            {"attributes_processed": 1},
            {"attributes_processed": "x", "events_processed": -1},
        ):
            body = {"message": "success", "errors": errors, **processed}

            assert len(read(an_answer(201, body), users(3))) == 3
            assert len(read(an_answer(400, body), users(3))) == 3


class TestRefusedBatches:
    @pytest.mark.parametrize("status", [400, 413, 422])
    def test_a_refused_batch_is_halved(self, status: int) -> None:
        found = read(an_answer(status, {"message": "Max Input Length Exceeded"}), users(5))

        assert [outcome.progress for outcome in found if isinstance(outcome, Divided)] == [{"at_most": 2}] * 5
        assert isinstance(found[0], Divided)
        assert found[0].reason == f"answered {status}: Max Input Length Exceeded"

    @pytest.mark.parametrize("status", [400, 413])
    def test_alone_it_is_dead(self, status: int) -> None:
        [found] = read(an_answer(status, {"message": "Payload too large"}), a_call(BOTH))

        assert isinstance(found, Rejected)
        assert found.reason == f"answered {status}: Payload too large"
        assert found.progress is None

    def test_a_refusal_that_names_every_object_is_each_ones_own(self) -> None:
        sent = a_call(Part(0, None), Part(1, 0))
        errors = [an_error("A", "attributes", 0), an_error("B", "attributes", 1), an_error("C", "events", 0)]

        found = read(an_answer(400, {"message": NO_VALID, "errors": errors}), sent)

        assert [outcome.reason for outcome in found if isinstance(outcome, Rejected)] == [
            "Braze refused it: A",
            "Braze refused it: B; C",
        ]

    def test_one_that_names_only_some_is_halved(self) -> None:
        body = {"message": NO_VALID, "errors": [an_error("A", "attributes", 0)]}

        assert kinds(read(an_answer(400, body), users(2))) == ["Divided"] * 2


class TestNotTheMessagesFault:
    @pytest.mark.parametrize("status", [401, 403, 404, 405])
    def test_a_wrong_key_or_address_keeps_all_and_closes_the_destination(self, status: int) -> None:
        body = {"message": "Invalid API key: k-secret"}

        found = read(an_answer(status, body), users(2))

        assert [outcome.refused_account for outcome in found if isinstance(outcome, Retry)] == ["", ""]
        assert "k-secret" not in repr(found)
        assert isinstance(found[0], Retry)
        assert found[0].reason == f"answered {status}: Invalid API key: [key]"

    @pytest.mark.parametrize("status", [500, 502, 503, 504, 302])
    def test_trouble_is_tried_again(self, status: int) -> None:
        found = read(an_answer(status, "<html>", Retry_After="5"), users(2))

        assert (
            found
            == [
                Retry(f"answered {status}", status, "<html>", 7, wait=5.0, is_trouble=True),
            ]
            * 2
        )

    @pytest.mark.parametrize("status", [408, 425, 429])
    def test_whoever_asks_for_time_gets_it(self, status: int) -> None:
        found = read(an_answer(status, {"message": "slow down"}, Retry_After="5"), users(2))

        assert kinds(found) == ["Retry"] * 2
        assert isinstance(found[0], Retry)
        assert (found[0].wait, found[0].is_trouble) == (5.0, False)


DATE = "Mon, 01 Mar 2027 12:00:00 GMT"
NOON = 1803902400


class TestWaiting:
    @pytest.mark.parametrize(
        ("headers", "seconds"),
        [
            ({}, None),
            ({"Retry-After": "5"}, 5.0),
            ({"retry-after": "Mon, 01 Mar 2027 12:00:20 GMT", "date": DATE}, 20.0),
            ({"X-Ratelimit-Retry-After": "7"}, 7.0),
            ({"x-ratelimit-retry-after": "7", "retry-after": "90"}, 7.0),
            ({"X-RateLimit-Reset": str(NOON + 30), "Date": DATE}, 30.0),
            ({"x-ratelimit-reset": "12"}, 12.0),
            ({"X-RATELIMIT-RESET": "2.5"}, 2.5),
            ({"X-RateLimit-Reset": str(NOON - 30), "Date": DATE}, 0.0),
            ({"X-RateLimit-Reset": str(NOON + 86400), "Date": DATE}, 3600.0),
            ({"X-Ratelimit-Retry-After": "999999"}, 3600.0),
            ({"X-RateLimit-Reset": "9" * 19}, 3600.0),
            ({"X-RateLimit-Reset": "soon"}, None),
            ({"X-Ratelimit-Retry-After": "-4"}, None),
            ({"X-Ratelimit-Retry-After": "nan", "Retry-After": "3"}, 3.0),
            ({"X-RateLimit-Reset": ""}, None),
        ],
    )
    def test_every_dialect_is_read(self, headers: Mapping[str, str], seconds: float | None) -> None:
        answer = Answer(429, HTTPHeaderDict(headers), "", 1)

        assert wait_of(answer) == seconds

    def test_without_a_date_of_its_own_our_clock_tells_the_epoch(self) -> None:
        waits = wait_of(Answer(429, HTTPHeaderDict({"X-RateLimit-Reset": "4102444800"}), "", 1))

        assert waits == 3600.0
