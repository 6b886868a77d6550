"""A previewed event as people see it: on the recipient's clock and the sender's, in a calendar, on a phone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from bridge.calendar.zones import Zone, find_zone
from bridge.errors import InvalidValue


@dataclass(frozen=True)
class OnClock:
    """`start`, `end`: as a calendar draws them, local and without an offset; of an all-day event, days."""

    zone: str
    words: str
    start: str
    end: str


@dataclass(frozen=True)
class Reminder:
    """`clock`, `day`: what the phone's lock screen shows when it reminds; `before`: how long it still is."""

    clock: str
    day: str
    before: str


@dataclass(frozen=True)
class Drawn:
    """`visible`, `expires`: in words, on the recipient's clock. `fault`: a zone that was asked for and is none."""

    recipient: OnClock
    sender: OnClock
    reminder: Reminder | None
    visible: str
    expires: str
    fault: str = ""


def draw(event: Mapping[str, Any], recipient: str, sender: str) -> Drawn:
    """`event`: of a previews.Case. A blank zone, or one that does not exist, is the event's own."""
    fault = ""
    own = find_zone(event["zone"])
    zones: list[Zone] = []
    for asked in (recipient, sender):
        try:
            zones.append(find_zone(asked) if asked.strip() else own)
        except InvalidValue as wrong:
            fault = fault or str(wrong)
            zones.append(own)
    start, end = datetime.fromisoformat(event["start_utc"]), datetime.fromisoformat(event["end_utc"])
    its = [_days(event, zone) if event["all_day"] else _hours(start, end, zone) for zone in zones]
    return Drawn(
        its[0],
        its[1],
        _reminder(start, event["notify_before"], zones[0]),
        _instant(event["visible_from"], zones[0]),
        _instant(event["expires"], zones[0]),
        fault,
    )


def length(minutes: int) -> str:
    """`in 1 hour`, `in 2 days`, `now`."""
    for size, name in ((10_080, "week"), (1_440, "day"), (60, "hour"), (1, "minute")):
        if minutes and minutes % size == 0:
            count = minutes // size
            return f"in {count} {name}{'' if count == 1 else 's'}"
    return "now"


def _hours(start: datetime, end: datetime, zone: Zone) -> OnClock:
    first, last = start.astimezone(zone.clock), end.astimezone(zone.clock)
    until = f"{last:%H:%M}" if first.date() == last.date() else f"{_day(last)}, {last:%H:%M}"
    written = f"{_day(first)}, {first:%H:%M} – {until}"
    return OnClock(zone.name, written, _bare(first), _bare(last))


def _days(event: Mapping[str, Any], zone: Zone) -> OnClock:
    """Days are the same on every clock."""
    first, last = date.fromisoformat(event["start"][:10]), date.fromisoformat(event["end"][:10])
    if last <= first or not event["end"].endswith("T00:00:00"):
        last += timedelta(days=1)
    until = last - timedelta(days=1)
    written = f"{_day(first)}, all day" if until == first else f"{_day(first)} – {_day(until)}, all day"
    return OnClock(zone.name, written, first.isoformat(), last.isoformat())


def _reminder(start: datetime, minutes: int | None, zone: Zone) -> Reminder | None:
    if minutes is None:
        return None
    at = (start - timedelta(minutes=minutes)).astimezone(zone.clock)
    return Reminder(f"{at:%H:%M}", f"{at:%A %-d %B}", length(minutes))


def _instant(at: str | None, zone: Zone) -> str:
    if not at:
        return ""
    local = datetime.fromisoformat(at).astimezone(zone.clock)
    return f"{_day(local)}, {local:%H:%M}"


def _day(day: date) -> str:
    return f"{day:%a %-d %b %Y}"


def _bare(at: datetime) -> str:
    return at.replace(tzinfo=None).isoformat(timespec="seconds")
