"""Which calls a calendar message becomes, from what Rokt is known to hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from factories import ACCOUNT, an_event

from bridge.calendar.event import CalendarEvent
from bridge.calendar.plan import TEST_TITLE, CalendarRequest, Step, after, next_step, progressed, steps
from bridge.errors import InvalidPayload
from bridge.ledger.events import Standing

EVENT_ID = "sale_u-1"
OLD, NEW = an_event(title="Old"), an_event(title="New")
UNKNOWN = Standing()
HELD = Standing(OLD, is_certain=True, holders=frozenset({"a"}))
ASK = {"ask_update": True}
UNSENT = Standing(unsent={"event": OLD, "subscription_ids": ["a", "b"]})
CREATE_PATH = f"/v1/subscriptionevent/{ACCOUNT}"
UPDATE_PATH = f"/v1/subscriptionevent/{ACCOUNT}/update"


def asked(
    action: str, *ids: str, event: dict[str, Any] = NEW, is_whole: bool = False, is_test: bool = False
) -> CalendarRequest:
    given = {} if action == "delete" else event
    return CalendarRequest(action, ACCOUNT, EVENT_ID, ids, given, is_whole, is_test)


def planned(request: CalendarRequest, standing: Standing = UNKNOWN) -> list[Step]:
    return steps(request, standing, "wrapped")


def told(calls: list[Step]) -> list[tuple[Any, ...]]:
    """What each call is, for whom, with which title."""
    return [(s.kind, *s.subscription_ids, s.content["title"] if s.content else None) for s in calls]


def standing_after(request: CalendarRequest, standing: Standing) -> Standing | None:
    result: Standing | None = standing
    for step in planned(request, standing):
        result = after(step, request, result or Standing())
    return result


class TestCreate:
    def test_an_event_that_nobody_holds_is_created_for_its_ids(self) -> None:
        [step] = planned(asked("create", "a", "b"))

        assert (step.method, step.path) == ("POST", CREATE_PATH)
        assert step.body == {
            "event": {
                "eventId": "sale_u-1",
                "title": "New",
                "description": "Half price",
                "location": "Everywhere",
                "start": "2027-12-01T09:00:00",
                "end": "2027-12-01T10:00:00",
                "timezone": "Eastern Standard Time",
                "notifyBefore": 15,
            },
            "subscriptionIds": ["a", "b"],
        }
        assert not step.goes_on

    def test_once_taken_its_ids_hold_it(self) -> None:
        assert standing_after(asked("create", "a", "b"), UNKNOWN) == Standing(
            NEW, True, frozenset({"a", "b"})
        )

    def test_what_rokt_holds_already_is_not_sent_again(self) -> None:
        assert planned(asked("create", "a", event=OLD), HELD) == []

    def test_a_new_state_for_those_who_hold_it_is_an_update(self) -> None:
        assert told(planned(asked("create", "a"), HELD)) == [("update", "New")]

    def test_new_ids_get_a_create_of_their_own(self) -> None:
        assert told(planned(asked("create", "a", "b", event=OLD), HELD)) == [("create", "b", "Old")]

    def test_new_ids_with_a_new_state_get_a_create_and_the_others_an_update(self) -> None:
        request = asked("create", "a", "b")

        assert told(planned(request, HELD)) == [("create", "b", "New"), ("update", "New")]
        assert standing_after(request, HELD) == Standing(NEW, True, frozenset({"a", "b"}))

    def test_where_nobody_is_known_to_hold_it_no_update_follows(self) -> None:
        updated_only = Standing(OLD, is_certain=True)

        assert told(planned(asked("create", "a"), updated_only)) == [("create", "a", "New")]

    def test_between_the_two_those_who_held_it_still_have_the_old_state(self) -> None:
        request = asked("create", "b")
        step = next_step(request, HELD, {}, "wrapped")
        assert step is not None
        assert step.goes_on

        between = after(step, request, HELD)

        assert between == replace(HELD, holders=frozenset({"a", "b"}))

    def test_what_a_whole_event_leaves_out_gets_the_defaults_and_not_the_last_state(self) -> None:
        event = {k: v for k, v in NEW.items() if k not in ("description", "notify_before", "end")}

        standing = replace(HELD, content=an_event(notify_before=60))

        [step] = planned(asked("create", "a", event=event, is_whole=True), standing)

        assert step.content == {**NEW, "description": "", "notify_before": 15}

    def test_after_one_that_died_it_goes_to_its_own_ids_alone(self) -> None:
        assert told(planned(asked("create", "c"), UNSENT)) == [("create", "c", "New")]

    def test_a_state_that_is_not_certain_is_sent_again(self) -> None:
        doubtful = replace(HELD, is_certain=False)

        assert told(planned(asked("create", "a", event=OLD), doubtful)) == [("update", "Old")]
        assert told(planned(asked("create", "b", event=OLD), doubtful)) == [
            ("create", "b", "Old"),
            ("update", "Old"),
        ]


class TestUpdate:
    def test_it_goes_once_to_the_account_without_ids(self) -> None:
        [step] = planned(asked("update"), HELD)

        assert (step.method, step.path, step.subscription_ids) == ("POST", UPDATE_PATH, ())
        assert step.body is not None
        assert step.body.keys() == {"event"}
        assert step.body["event"]["title"] == "New"

    def test_its_body_is_flat_where_that_is_set(self) -> None:
        step = next_step(asked("update"), HELD, {}, "flat")

        assert step is not None
        assert step.body is not None
        assert step.body["title"] == "New"
        assert "event" not in step.body

    def test_what_it_leaves_out_comes_from_the_last_state(self) -> None:
        standing = replace(HELD, content=an_event(title="Old", notify_before=60, location="There"))

        [step] = planned(asked("update", event={"title": "New"}), standing)

        assert step.content == an_event(title="New", notify_before=60, location="There")

    def test_what_it_leaves_out_comes_from_a_create_that_died(self) -> None:
        [step] = planned(asked("update", event={"description": "More"}), UNSENT)

        assert step.content == {**OLD, "description": "More"}

    def test_a_partial_one_of_an_unknown_event_asks_for_what_is_missing(self) -> None:
        with pytest.raises(InvalidPayload) as refusal:
            planned(asked("update", event={"description": "More"}))

        assert [error.field for error in refusal.value.errors] == [
            "event.title",
            "event.start",
            "event.timezone",
        ]

    def test_a_whole_one_of_an_unknown_event_leaves_as_it_is(self) -> None:
        assert told(planned(asked("update"))) == [("update", "New")]

    def test_it_is_sent_even_if_it_changes_nothing(self) -> None:
        assert told(planned(asked("update", event=OLD), HELD)) == [("update", "Old")]

    def test_of_an_event_whose_create_died_it_leaves_as_that_create(self) -> None:
        assert told(planned(asked("update", event={"title": "New"}), UNSENT)) == [("create", "a", "b", "New")]

    def test_once_that_is_taken_nothing_is_unsent(self) -> None:
        assert standing_after(asked("update"), UNSENT) == Standing(NEW, True, frozenset({"a", "b"}))

    def test_it_never_widens_the_audience(self) -> None:
        assert told(planned(asked("update", "c"), HELD)) == [("update", "New")]
        assert standing_after(asked("update", "c"), HELD) == replace(HELD, content=NEW)


class TestUpsert:
    def test_where_the_event_is_not_known_it_is_a_create(self) -> None:
        assert told(planned(asked("upsert", "a"))) == [("create", "a", "New")]

    def test_where_it_is_known_it_is_an_update(self) -> None:
        assert told(planned(asked("upsert", "a"), HELD)) == [("update", "New")]

    def test_where_nothing_changed_it_is_nothing(self) -> None:
        assert planned(asked("upsert", "a", event=OLD), HELD) == []

    def test_new_ids_are_created_and_the_others_updated(self) -> None:
        assert told(planned(asked("upsert", "b"), HELD)) == [("create", "b", "New"), ("update", "New")]

    def test_it_reaches_those_of_a_create_that_died_too(self) -> None:
        assert told(planned(asked("upsert", "c"), UNSENT)) == [("create", "a", "b", "c", "New")]

    def test_it_keeps_what_it_leaves_out(self) -> None:
        [step] = planned(asked("upsert", "a", event={"title": "New"}), HELD)

        assert step.content == NEW


class TestDelete:
    def test_without_ids_the_event_goes(self) -> None:
        [step] = planned(asked("delete"), HELD)

        assert (step.kind, step.method, step.body) == ("delete", "DELETE", None)
        assert step.path == f"{CREATE_PATH}/sale_u-1"
        assert standing_after(asked("delete"), HELD) is None

    def test_with_ids_it_goes_from_each_by_a_call_of_its_own(self) -> None:
        standing = replace(HELD, holders=frozenset({"a", "b", "c"}))

        calls = planned(asked("delete", "a", "b"), standing)

        assert [call.path for call in calls] == [
            f"/v2/subscription/{ACCOUNT}/{one}/subscriptionevent/sale_u-1" for one in "ab"
        ]
        assert [call.goes_on for call in calls] == [True, False]
        assert standing_after(asked("delete", "a", "b"), standing) == replace(HELD, holders=frozenset({"c"}))

    def test_when_the_last_holder_is_gone_the_event_is(self) -> None:
        assert standing_after(asked("delete", "a"), HELD) is None

    def test_what_was_deleted_before_is_not_deleted_again(self) -> None:
        request = asked("delete", "a", "b")
        first = next_step(request, HELD, {}, "wrapped")
        assert first is not None

        second = next_step(request, HELD, progressed(first, {}), "wrapped")
        assert second is not None
        done = progressed(second, progressed(first, {}))

        assert second.subscription_ids == ("b",)
        assert done == {"deleted": ["a", "b"]}
        assert next_step(request, HELD, done, "wrapped") is None

    def test_an_event_that_is_not_known_is_deleted_all_the_same(self) -> None:
        assert told(planned(asked("delete"))) == [("delete", None)]
        assert told(planned(asked("delete", "a"))) == [("delete_one", "a", None)]

    def test_ids_and_codes_are_percent_encoded(self) -> None:
        request = CalendarRequest("delete", "a b", "sale/1?_ü", ("x/y",), {})

        [step] = planned(request)

        assert step.path == "/v2/subscription/a%20b/x%2Fy/subscriptionevent/sale%2F1%3F_%C3%BC"


class TestTests:
    @pytest.mark.parametrize("action", ["create", "update", "upsert"])
    def test_a_test_is_a_create_with_its_mark_whatever_is_known(self, action: str) -> None:
        assert told(planned(asked(action, "a", is_test=True), HELD)) == [("create", "a", TEST_TITLE + "New")]

    def test_a_partial_test_is_completed_from_the_last_state(self) -> None:
        [step] = planned(asked("update", "a", event={"description": "More"}, is_test=True), HELD)

        assert step.content == {**OLD, "title": "[TEST] Old", "description": "More"}


class TestAfterACreateOfUnknownOutcome:
    @pytest.mark.parametrize("action", ["create", "upsert"])
    def test_the_update_decides(self, action: str) -> None:
        step = next_step(asked(action, "a"), UNKNOWN, ASK, "wrapped")

        assert step is not None
        assert (step.kind, step.path) == ("update", UPDATE_PATH)

    def test_once_the_update_is_taken_the_ids_of_the_create_hold_the_event(self) -> None:
        request = asked("create", "a", "b")
        step = next_step(request, UNKNOWN, ASK, "wrapped")
        assert step is not None

        standing = after(step, request, UNKNOWN)

        assert standing == Standing(NEW, True, frozenset({"a", "b"}))
        assert planned(asked("upsert", "a", "b"), standing) == []

    def test_it_does_so_even_if_the_ledger_says_that_all_is_well(self) -> None:
        step = next_step(asked("create", "a", event=OLD), HELD, ASK, "wrapped")

        assert step is not None
        assert step.kind == "update"


class TestStored:
    @pytest.mark.parametrize("is_whole", [True, False])
    def test_a_request_comes_back_as_it_was_stored(self, is_whole: bool) -> None:
        request = asked("create", "a", "b", is_whole=is_whole)

        assert CalendarRequest.read("create", ACCOUNT, request.stored(), is_test=False) == request

    def test_what_leaves_is_whole_however_little_was_given(self) -> None:
        [step] = planned(asked("create", "a", event={"title": "T", "start": OLD["start"], "timezone": "UTC"}))

        assert step.content is not None
        assert step.content == CalendarEvent.of(step.content).content()
