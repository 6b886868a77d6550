"""Rokt's older API's answers, read for each event of a call."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bridge.destinations.outcomes import redact
from bridge.destinations.rokt_api_verdicts import outcomes
from bridge.message import Delivered, Divided, Outcome, Rejected, Retry, Uncertain
from bridge.upstream import Answer

IDS = ["a", "b", "c"]


def answer(status: int, body: Any = None, **headers: str) -> Answer:
    text = body if isinstance(body, str) else json.dumps(body)
    return Answer(status, headers, text, 7)


def verdicts(status: int, body: Any = None, ids: list[str] = IDS) -> list[Outcome]:
    return outcomes(answer(status, body), ids, redact)


def record(its_id: str | None, message: str = "amount is wrong", code: str = "ValidationError") -> Any:
    return {
        "error": {"code": code, "message": message},
        "record": {"clientEventId": its_id, "objectData": []},
    }


def unprocessed(*records: Any) -> Any:
    return {"data": {"unprocessedRecords": list(records)}}


class TestASuccess:
    @pytest.mark.parametrize("body", [unprocessed(), {"data": {}}, {}, "", {"data": None}])
    def test_all_were_taken(self, body: Any) -> None:
        assert {type(one) for one in verdicts(200, body)} == {Delivered}

    def test_only_those_that_were_not_processed_are_dead_with_their_words(self) -> None:
        a, b, c = verdicts(200, unprocessed(record("b"), record("c", "email is wrong")))

        assert isinstance(a, Delivered)
        assert (type(b), type(c)) == (Rejected, Rejected)
        assert isinstance(b, Rejected)
        assert isinstance(c, Rejected)
        assert b.reason == "Rokt did not process it: ValidationError: amount is wrong"
        assert c.reason == "Rokt did not process it: ValidationError: email is wrong"
        assert (b.status, b.ms) == (200, 7)

    def test_what_is_kept_of_the_answer_is_about_the_event_alone(self) -> None:
        whole = {"clientEventId": "b", "objectData": [{"name": "firstname", "value": "Ada"}]}
        found = verdicts(200, unprocessed({"error": {"message": "no ada@example.com"}, "record": whole}))

        assert "Ada" not in repr(found)
        assert "ada@example.com" not in repr(found)

    def test_where_the_event_is_not_named_all_but_the_named_go_again_one_by_one(self) -> None:
        a, b, c = verdicts(200, unprocessed(record("b"), record(None), "text"))

        assert isinstance(b, Rejected)
        assert (type(a), type(c)) == (Uncertain, Uncertain)
        assert isinstance(a, Uncertain)
        assert a.progress == {"at_most": 1}

    @pytest.mark.parametrize("one", [record("somebody else"), record(None), {"error": "no"}, None, {}])
    def test_alone_in_its_call_it_can_only_be_the_one(self, one: Any) -> None:
        [found] = verdicts(200, unprocessed(one), ["a"])

        assert isinstance(found, Rejected)

    @pytest.mark.parametrize("code", ["InternalServerError", "ServiceUnavailableError"])
    def test_rokts_own_trouble_with_one_event_passes(self, code: str) -> None:
        _, b, _ = verdicts(200, unprocessed(record("b", code=code)))

        assert isinstance(b, Retry)
        assert not b.is_trouble

    @pytest.mark.parametrize(
        "body", ["<html>", "[]", "null", '{"data": {"unprocessedRecords": "some"}}', '{"data"']
    )
    def test_what_rokt_does_not_say_leaves_it_open_and_goes_again_in_halves(self, body: str) -> None:
        found = verdicts(200, body)

        assert [type(one) for one in found] == [Uncertain] * 3
        assert [getattr(one, "progress", 0) for one in found] == [{"at_most": 1}] * 3
        [alone] = verdicts(200, body, ["a"])
        assert isinstance(alone, Uncertain)
        assert alone.progress is None


class TestARefusal:
    @pytest.mark.parametrize(
        "body",
        [
            {"data": {"code": "RequestValidationError", "message": "eventTime"}},
            {"data": [{"code": "RequestValidationError", "message": "eventTime"}]},
        ],
    )
    @pytest.mark.parametrize("status", [400, 413, 422])
    def test_a_call_is_halved_until_the_bad_one_is_alone(self, status: int, body: Any) -> None:
        found = verdicts(status, body, ["a", "b", "c", "d", "e"])
        [alone] = verdicts(status, body, ["a"])

        assert found == [found[0]] * 5
        assert isinstance(found[0], Divided)
        assert found[0].progress == {"at_most": 2}
        assert isinstance(alone, Rejected)
        assert alone.reason == f"answered {status}: RequestValidationError: eventTime"

    @pytest.mark.parametrize(
        "body", ["", "<html>", "[]", {"data": []}, {"data": "x"}, {"data": ["x"]}, {"data": {}}]
    )
    def test_a_refusal_without_words_is_one(self, body: Any) -> None:
        [alone] = verdicts(400, body, ["a"])

        assert isinstance(alone, Rejected)
        assert alone.reason == "answered 400"

    @pytest.mark.parametrize("status", [401, 403, 404, 405])
    def test_a_credential_or_an_address_keeps_the_backlog(self, status: int) -> None:
        for one in verdicts(status, {"data": {"code": "UnauthorizedError"}}):
            assert isinstance(one, Retry)
            assert one.refused_account == ""

    def test_a_key_that_was_seen_means_that_it_is_there(self) -> None:
        assert {type(one) for one in verdicts(409, {"data": {"code": "Conflict"}})} == {Delivered}

    @pytest.mark.parametrize("status", [500, 502, 503])
    def test_trouble_is_rokts_own(self, status: int) -> None:
        for one in verdicts(status, {"data": {"code": "ServiceUnavailableError", "message": "later"}}):
            assert isinstance(one, Retry)
            assert one.is_trouble
            assert one.reason == f"answered {status}: ServiceUnavailableError: later"

    def test_who_is_asked_to_wait_waits(self) -> None:
        for one in outcomes(answer(429, {}, **{"Retry-After": "9"}), IDS, redact):
            assert isinstance(one, Retry)
            assert (one.wait, one.is_trouble) == (9.0, False)
