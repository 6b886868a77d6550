"""An event as an iCalendar file: what any calendar reads out of it is the event that leaves."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from typing import Any

import icalendar
import pytest

from bridge.calendar.event import CalendarEvent, parse_fields
from bridge.calendar.ics import ics
from bridge.calendar.zones import catalogue, find_zone, is_doubled

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


def content(**fields: Any) -> dict[str, Any]:
    given = {
        "title": "A sale",
        "start": "2026-12-04T09:00",
        "end": "2026-12-04T09:30",
        "timezone": "Europe/Berlin",
    } | fields
    return CalendarEvent.of(parse_fields(given)).content()


def read_back(written: bytes) -> tuple[icalendar.Calendar, icalendar.Event]:
    calendar = icalendar.Calendar.from_ical(written)
    assert isinstance(calendar, icalendar.Calendar)
    [event] = calendar.events
    assert not calendar.errors
    assert not event.errors
    return calendar, event


def test_what_is_written_is_read_back_as_the_event() -> None:
    texts = {"title": 'Ada, 50% off; "now" ⚡', "description": "One\nTwo, three\\four", "location": "At home"}

    _, event = read_back(ics(content(**texts, notify_before=90), uid="sale_1_u-1", now=NOW))

    assert event["uid"] == "sale_1_u-1"
    assert (str(event["summary"]), str(event["description"]), str(event["location"])) == tuple(texts.values())
    assert event.start == datetime(2026, 12, 4, 8, tzinfo=UTC)
    assert event.end == datetime(2026, 12, 4, 8, 30, tzinfo=UTC)
    assert event.DTSTAMP == NOW
    [alarm] = event.alarms.times
    assert alarm.trigger == event.start - timedelta(minutes=90)


def test_a_title_cannot_write_lines_of_its_own() -> None:
    written = ics(content(description="x\nEND:VEVENT\nBEGIN:VEVENT", title="A\\nB"), uid="u\r\nX-EVIL:1")

    calendar, event = read_back(written)

    assert len(calendar.events) == 1
    assert str(event["description"]) == "x\nEND:VEVENT\nBEGIN:VEVENT"
    assert "X-EVIL" not in event


def test_without_a_reminder_there_is_no_alarm() -> None:
    _, event = read_back(ics(content(notify_before="none"), uid="u", now=NOW))

    assert event.alarms.times == []


@pytest.mark.parametrize("zone", [str(row["windows"]) for row in catalogue()])
def test_every_zone_is_written_so_that_its_times_are_the_same_instants(zone: str) -> None:
    for start in ("2026-01-15T12:00Z", "2026-07-15T12:00Z"):
        kept = content(start=start, end="2026-08-01T12:00Z", timezone=zone)

        calendar, event = read_back(ics(kept, uid="u", now=NOW))

        assert event.start == datetime.fromisoformat(start)
        named = event["dtstart"].params.get("TZID")
        assert named is None or [one.tz_name for one in calendar.timezones] == [named]


def test_the_timezone_that_is_written_has_the_clock_changes_of_the_year() -> None:
    calendar, _ = read_back(ics(content(), uid="u", now=NOW))

    clock = calendar.timezones[0].to_tz()

    for month in range(1, 13):
        at = datetime(2026, month, 15, 12, tzinfo=UTC)
        assert at.astimezone(clock).utcoffset() == at.astimezone(find_zone("Europe/Berlin").clock).utcoffset()


def test_an_hour_that_exists_twice_is_written_as_its_instant() -> None:
    kept = content(start="2026-10-25T00:30Z", end="2026-10-25T01:30Z")

    _, event = read_back(ics(kept, uid="u", now=NOW))

    assert is_doubled(datetime.fromisoformat(kept["start"]), find_zone("Europe/Berlin"))
    assert (event.start, event.end) == tuple(datetime.fromisoformat(kept[name]) for name in ("start", "end"))


@pytest.mark.parametrize(
    ("start", "end", "last"),
    [
        ("2026-12-04T00:00", "2026-12-05T00:00", date(2026, 12, 5)),
        ("2026-12-04T00:00", "2026-12-04T00:00", date(2026, 12, 5)),
        ("2026-12-04T09:00", "2026-12-05T18:00", date(2026, 12, 6)),
    ],
)
def test_an_all_day_event_has_days(start: str, end: str, last: date) -> None:
    calendar, event = read_back(ics(content(start=start, end=end, all_day="yes"), uid="u", now=NOW))

    first_and_last = (event.DTSTART, event.DTEND)
    assert first_and_last == (date(2026, 12, 4), last)
    assert calendar.timezones == []


def test_the_library_is_loaded_by_the_first_file_alone() -> None:
    loaded = "import sys, bridge.app, bridge.calendar.ics; print('icalendar' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"
