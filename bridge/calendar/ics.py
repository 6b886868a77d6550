"""An event as an iCalendar file (RFC 5545), to be looked at in a calendar of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from bridge.calendar.zones import find_zone, is_doubled

PRODUCT = "-//Braze Rokt bridge//Preview//EN"
_UTC_NAME = "UTC"  # needs no VTIMEZONE
_AROUND = timedelta(days=366)  # of the event, for which the zone's changes of the clock are written down


def ics(event: Mapping[str, Any], *, uid: str, now: datetime | None = None) -> bytes:
    """The file of one event, on the clock on which it leaves for Rokt.

    `event`: a preview's `Case.event`, or a CalendarEvent's `content()`. `uid`: such as its Rokt id; a file with the
    same one replaces the event. `now`: when the file was made. An all-day event has days instead of times.
    """
    import icalendar  # takes a while, and few processes ever make such a file

    zone = find_zone(event.get("zone") or event["timezone"])
    instants = [datetime.fromisoformat(event.get(f"{name}_utc") or event[name]) for name in ("start", "end")]
    is_day = bool(event.get("all_day"))
    # Of a time that exists twice its digits cannot say which is meant.
    is_utc = zone.windows == _UTC_NAME or (not is_day and any(is_doubled(at, zone) for at in instants))
    clock = UTC if is_utc else zone.windows_clock
    start, end = (at.astimezone(clock) for at in instants)
    entry = icalendar.Event()
    entry.add("uid", uid)
    entry.add("dtstamp", (now or datetime.now(UTC)).astimezone(UTC))
    entry.add("summary", event["title"])
    for name in ("description", "location"):
        if event.get(name):
            entry.add(name, event[name])
    if is_day:
        entry.add("dtstart", start.date())
        entry.add("dtend", _day_after(start, end))
    else:
        entry.add("dtstart", start)
        entry.add("dtend", end)
    if event.get("notify_before") is not None:
        entry.add_component(_alarm(icalendar, event["title"], event["notify_before"]))
    calendar = icalendar.Calendar()
    calendar.add("prodid", PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("calscale", "GREGORIAN")
    if not is_utc and not is_day:
        calendar.add_component(
            icalendar.Timezone.from_tzinfo(
                clock, zone.windows_clock.key, (start - _AROUND).date(), (end + _AROUND).date()
            )
        )
    calendar.add_component(entry)
    written: bytes = calendar.to_ical()
    return written


def _day_after(start: datetime, end: datetime) -> date:
    """DTEND of whole days is the first day that is not of the event any more."""
    last = end.date() if end.time() == time() else end.date() + timedelta(days=1)
    return max(last, start.date() + timedelta(days=1))


def _alarm(icalendar: Any, title: str, minutes: int) -> Any:
    alarm = icalendar.Alarm()
    alarm.add("action", "DISPLAY")
    alarm.add("description", title)
    alarm.add("trigger", timedelta(minutes=-minutes))
    return alarm
