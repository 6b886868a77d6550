"""The calendar event: read strictly, completed with defaults or the last state, written as Rokt wants it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from factories import an_event

from bridge.calendar.event import FIELDS, MOST_TEXT, CalendarEvent, parse_fields
from bridge.errors import InvalidPayload

EASTERN = {"timezone": "Eastern Standard Time"}
LEAST = {"title": "Sale", "start": "2027-12-01T14:00:00Z", "timezone": "Eastern Standard Time"}


def refusals(fields: dict[str, Any], **options: Any) -> dict[str, str]:
    with pytest.raises(InvalidPayload) as refusal:
        parse_fields(fields, **options)
    return {error.field: error.message for error in refusal.value.errors}


class TestReading:
    def test_what_is_given_is_read_and_nothing_is_made_up(self) -> None:
        assert parse_fields({"title": "Sale"}) == {"title": "Sale"}

    def test_a_time_is_read_in_its_zone_and_kept_as_an_instant(self) -> None:
        given = parse_fields({"start": "2027-07-01T09:00", "end": "2027-12-01T09:00", **EASTERN})

        assert given["start"] == "2027-07-01T13:00:00Z"
        assert given["end"] == "2027-12-01T14:00:00Z"

    def test_an_offset_counts_more_than_the_zone(self) -> None:
        assert parse_fields({"start": "2027-12-01T09:00+01:00", **EASTERN})["start"] == "2027-12-01T08:00:00Z"

    def test_the_zone_of_the_last_state_holds_where_none_is_given(self) -> None:
        given = parse_fields({"start": "2027-12-01T09:00"}, base={"timezone": "Europe/Berlin"})

        assert given == {"start": "2027-12-01T08:00:00Z"}

    def test_a_zone_is_found_in_any_case(self) -> None:
        assert parse_fields({"timezone": "europe/berlin"}) == {"timezone": "Europe/Berlin"}

    @pytest.mark.parametrize(
        ("value", "minutes"),
        [(0, 0), (60, 60), (" 60 ", 60), ("40320", 40320), ("none", None), ("None", None)],
    )
    def test_minutes_of_notice(self, value: Any, minutes: int | None) -> None:
        assert parse_fields({"notify_before": value}) == {"notify_before": minutes}

    @pytest.mark.parametrize("value", [-1, 40321, 1.5, True, "soon", "1.5", "-5", [], "٣"])
    def test_what_is_no_number_of_minutes_is_refused(self, value: Any) -> None:
        assert refusals({"notify_before": value}).keys() == {"event.notify_before"}

    @pytest.mark.parametrize(
        ("value", "meant"),
        [(True, True), ("yes", True), ("ON", True), ("1", True), (False, False), ("no", False), ("0", False)],
    )
    def test_all_day(self, value: Any, meant: bool) -> None:
        assert parse_fields({"all_day": value}) == {"all_day": meant}

    @pytest.mark.parametrize(
        "field", [field for field in FIELDS if field not in ("title", "description", "location")]
    )
    @pytest.mark.parametrize("blank", ["", "  ", None])
    def test_a_blank_counts_as_not_given(self, field: str, blank: Any) -> None:
        assert parse_fields({field: blank}) == {}

    @pytest.mark.parametrize("field", ["description", "location"])
    def test_a_blank_empties_what_may_be_empty(self, field: str) -> None:
        assert parse_fields({field: ""}) == {field: ""}
        assert parse_fields({field: None}) == {}

    def test_a_title_is_trimmed_and_never_blank(self) -> None:
        assert parse_fields({"title": "  Sale\n"}) == {"title": "Sale"}
        assert refusals({"title": "  "}) == {"event.title": "is blank: an event needs a title"}

    def test_line_breaks_are_one_kind_and_tabs_stay(self) -> None:
        assert parse_fields({"description": "a\r\nb\rc\td"}) == {"description": "a\nb\nc\td"}

    @pytest.mark.parametrize("text", ["\x00", "\x07", "\x7f", "\x85", "\ud800"])
    def test_what_no_calendar_can_show_is_refused(self, text: str) -> None:
        assert f"U+{ord(text):04X}" in refusals({"location": text})["event.location"]

    def test_a_text_has_a_most(self) -> None:
        assert parse_fields({"description": "x" * MOST_TEXT})
        assert "100,000 are the most" in refusals({"description": "x" * (MOST_TEXT + 1)})["event.description"]

    @pytest.mark.parametrize("value", [5, True, ["a"], {"a": 1}])
    def test_what_is_not_text_is_refused(self, value: Any) -> None:
        assert "must be text in quotes" in refusals({"title": value})["event.title"]

    def test_a_time_that_does_not_exist_is_refused_with_the_next_that_does(self) -> None:
        told = refusals({"start": "2027-03-14T02:30", **EASTERN})["event.start"]

        assert told.startswith("2027-03-14T02:30 does not exist in Eastern Standard Time")
        assert "2027-03-14T03:30" in told

    def test_times_without_any_zone_ask_for_it(self) -> None:
        assert refusals({"start": "2027-12-01T09:00"}) == {"event.timezone": "is needed to read the times"}

    def test_an_unknown_field_is_answered_with_the_nearest(self) -> None:
        assert refusals({"titel": "Sale"}) == {
            "event.titel": 'is no field of an event; did you mean "title"?'
        }

    def test_all_that_is_wrong_is_told_at_once(self) -> None:
        wrong = {"title": "", "notify_before": "x", "all_day": "maybe", "timezone": "Mars", "colour": "red"}

        assert refusals(wrong).keys() == {f"event.{name}" for name in wrong}

    def test_fields_are_named_as_the_caller_has_them(self) -> None:
        assert refusals({"title": ""}, prefix="").keys() == {"title"}


class TestCompleting:
    def test_what_is_left_out_gets_the_defaults(self) -> None:
        event = CalendarEvent.of(LEAST)

        assert (event.description, event.location, event.notify_before) == ("", "", 15)
        assert (event.end - event.start).total_seconds() == 3600
        assert (event.all_day, event.visible_from) == (None, None)

    def test_what_is_left_out_comes_from_the_last_state(self) -> None:
        base = an_event(notify_before=60, all_day=True, visible_from="2027-11-01T00:00:00Z")

        event = CalendarEvent.of({"title": "New"}, base)

        assert event.content() == {**base, "title": "New"}

    def test_no_notice_is_kept_over_the_last_state(self) -> None:
        assert CalendarEvent.of({"notify_before": None}, an_event(notify_before=60)).notify_before is None

    def test_what_is_missing_is_asked_for_by_name(self) -> None:
        with pytest.raises(InvalidPayload) as refusal:
            CalendarEvent.of({"description": "Half price"})

        assert [error.field for error in refusal.value.errors] == [
            "event.title",
            "event.start",
            "event.timezone",
        ]

    def test_an_end_before_the_start_is_told_on_the_clock_of_its_zone(self) -> None:
        with pytest.raises(
            InvalidPayload, match="2027-12-01T08:00:00 is before the start, 2027-12-01T09:00:00"
        ):
            CalendarEvent.of({**LEAST, "end": "2027-12-01T13:00:00Z"})

    def test_an_end_that_comes_from_the_last_state_is_told_as_such(self) -> None:
        with pytest.raises(InvalidPayload, match="it comes from the last state of this event: give end too"):
            CalendarEvent.of({"start": "2028-12-01T13:00:00Z"}, an_event())

    def test_an_event_may_end_as_it_begins(self) -> None:
        assert CalendarEvent.of({**LEAST, "end": LEAST["start"]}).end == CalendarEvent.of(LEAST).start

    def test_what_is_kept_gives_the_same_event_again(self) -> None:
        event = CalendarEvent.of({**an_event(), "all_day": False, "visible_from": "2027-11-01T00:00:00Z"})

        assert CalendarEvent.of(event.content()) == event


class TestWriting:
    def test_the_form_of_rokt(self) -> None:
        event = CalendarEvent.of({**an_event(), "all_day": True, "visible_from": "2027-11-01T00:00:00Z"})

        assert event.rokt("sale_u-1") == {
            "eventId": "sale_u-1",
            "title": "Flash sale",
            "description": "Half price",
            "location": "Everywhere",
            "start": "2027-12-01T09:00:00",
            "end": "2027-12-01T10:00:00",
            "timezone": "Eastern Standard Time",
            "notifyBefore": 15,
            "allDayEvent": True,
            "visibleFromDateTimeUtc": "2027-11-01T00:00:00Z",
        }

    def test_what_is_not_given_is_left_out(self) -> None:
        written = CalendarEvent.of({**LEAST, "notify_before": None}).rokt("sale_u-1")

        assert written.keys() & {"notifyBefore", "allDayEvent", "visibleFromDateTimeUtc"} == set()

    @pytest.mark.parametrize(
        ("zone", "windows", "start"),
        [
            ("Europe/Berlin", "W. Europe Standard Time", "2027-07-01T14:00:00"),
            ("Asia/Kolkata", "India Standard Time", "2027-07-01T17:30:00"),
            ("UTC", "UTC", "2027-07-01T12:00:00"),
        ],
    )
    def test_what_leaves_is_the_same_instant_on_the_clock_of_a_windows_zone(
        self, zone: str, windows: str, start: str
    ) -> None:
        written = CalendarEvent.of({"title": "Sale", "start": "2027-07-01T12:00:00Z", "timezone": zone}).rokt(
            "e"
        )

        assert (written["timezone"], written["start"]) == (windows, start)

    def test_a_time_that_exists_twice_is_warned_of(self) -> None:
        event = CalendarEvent.of({**LEAST, "start": "2027-11-07T05:30:00Z"})

        [start, end] = event.warnings()
        assert start.startswith("start: 2027-11-07T01:30:00 exists twice in Eastern Standard Time")
        assert end.startswith("end: 2027-11-07T01:30:00 exists twice")

    def test_a_usual_time_is_not(self) -> None:
        assert CalendarEvent.of(LEAST).warnings() == []

    def test_times_are_aware_and_utc(self) -> None:
        event = CalendarEvent.of(LEAST)

        assert event.start == datetime(2027, 12, 1, 14, tzinfo=UTC)
        assert event.start.tzinfo is not None
