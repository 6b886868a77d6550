"""The calendar event: parsed once at the edge, kept as an instant, written in Rokt's own form."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bridge.calendar.zones import TIME_EXAMPLE, Zone, find_zone, is_doubled, parse_time, wall_text
from bridge.errors import FieldError, InvalidPayload, InvalidValue, nearest
from bridge.message import Json

FIELDS = (
    "title",
    "description",
    "location",
    "start",
    "end",
    "timezone",
    "notify_before",
    "all_day",
    "visible_from",
)
DEFAULT_LENGTH = timedelta(minutes=60)
DEFAULT_NOTIFY_BEFORE = 15  # minutes, as in the webhook template of Braze's Rokt Calendar page
MOST_NOTIFY_BEFORE = 40_320  # minutes: four weeks
MOST_TEXT = 100_000  # characters; Rokt documents no limit

YES, NO = ("yes", "true", "1", "on"), ("no", "false", "0", "off")
_JSON_TYPES: dict[type, str] = {
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
}
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True)
class CalendarEvent:
    """A whole event. Times are instants in UTC; `timezone` is the name that came in."""

    title: str
    description: str
    location: str
    start: datetime
    end: datetime
    timezone: str
    notify_before: int | None
    all_day: bool | None = None
    visible_from: datetime | None = None

    @classmethod
    def of(cls, given: Json, base: Json | None = None, *, prefix: str = "event.") -> CalendarEvent:
        """Complete what `parse_fields` gave: with the last state sent, or else with the defaults.

        Errors: InvalidPayload that asks for what is missing by name, or says that the end is before the start.
        """
        missing = [n for n in ("title", "start", "timezone") if n not in given and n not in (base or {})]
        if missing:
            unknown = "" if base else ", as no earlier state of this event is known here"
            raise InvalidPayload.of(*(FieldError(prefix + n, f"is needed{unknown}") for n in missing))
        whole: dict[str, Any] = {"description": "", "location": "", "notify_before": DEFAULT_NOTIFY_BEFORE}
        whole |= {**(base or {}), **given}
        start = _instant(whole["start"])
        end = _instant(whole["end"]) if "end" in whole else start + DEFAULT_LENGTH
        if end < start:
            clock = find_zone(whole["timezone"])
            told = f"{wall_text(end, clock)} is before the start, {wall_text(start, clock)}"
            last = "" if "end" in given else " (it comes from the last state of this event: give end too)"
            raise InvalidPayload.of(FieldError(prefix + "end", told + last))
        return cls(
            title=whole["title"],
            description=whole["description"],
            location=whole["location"],
            start=start,
            end=end,
            timezone=whole["timezone"],
            notify_before=whole["notify_before"],
            all_day=whole.get("all_day"),
            visible_from=_instant(whole["visible_from"]) if whole.get("visible_from") else None,
        )

    def content(self) -> dict[str, Any]:
        """The event as the bridge keeps it, JSON."""
        kept: dict[str, Any] = {
            "title": self.title,
            "description": self.description,
            "location": self.location,
            "start": _iso(self.start),
            "end": _iso(self.end),
            "timezone": self.timezone,
            "notify_before": self.notify_before,
        }
        if self.all_day is not None:
            kept["all_day"] = self.all_day
        if self.visible_from is not None:
            kept["visible_from"] = _iso(self.visible_from)
        return kept

    def rokt(self, rokt_event_id: str) -> dict[str, Any]:
        """Rokt's `event` object: local times without offset on the clock of a Windows zone."""
        zone = find_zone(self.timezone)
        event: dict[str, Any] = {
            "eventId": rokt_event_id,
            "title": self.title,
            "description": self.description,
            "location": self.location,
            "start": wall_text(self.start, zone),
            "end": wall_text(self.end, zone),
            "timezone": zone.windows,
        }
        if self.notify_before is not None:
            event["notifyBefore"] = self.notify_before
        if self.all_day is not None:
            event["allDayEvent"] = self.all_day
        if self.visible_from is not None:
            event["visibleFromDateTimeUtc"] = _iso(self.visible_from)
        return event

    def warnings(self) -> list[str]:
        """What leaves, but not as its author may think."""
        zone = find_zone(self.timezone)
        return [
            f"{name}: {wall_text(at, zone)} exists twice in {zone.windows}; Rokt's form cannot say which is meant"
            for name, at in (("start", self.start), ("end", self.end))
            if is_doubled(at, zone)
        ]


def parse_fields(
    fields: Mapping[str, object], *, base: Json | None = None, prefix: str = "event."
) -> dict[str, Any]:
    """Read an event's fields, whichever are given, into the form that `CalendarEvent.of` completes.

    `base`: the last state, whose zone holds for times without one. A blank counts as not given, but for
    `description` and `location`, which a blank empties. Errors: InvalidPayload with every wrong field.
    """
    errors: list[FieldError] = []
    given: dict[str, Any] = {}

    def read(name: str, parse: Callable[[Any], Any]) -> None:
        value = fields.get(name)
        if value is None or (name not in ("title", "description", "location") and _is_blank(value)):
            return
        try:
            given[name] = parse(value)
        except InvalidValue as wrong:
            errors.append(FieldError(prefix + name, str(wrong)))

    for name in fields.keys() - set(FIELDS):
        hint = nearest(str(name), FIELDS, 1)
        meant = f'did you mean "{hint[0]}"?' if hint else f"there are {', '.join(FIELDS)}"
        errors.append(FieldError(f"{prefix}{str(name)[:60]}", f"is no field of an event; {meant}"))
    read("title", _title)
    read("description", text)
    read("location", text)
    read("notify_before", _minutes)
    read("all_day", yes_no)
    read("timezone", lambda value: find_zone(text(value)).name)
    zone_name = given.get("timezone") or (base or {}).get("timezone")
    if zone_name and "timezone" not in {e.field.removeprefix(prefix) for e in errors}:
        zone = find_zone(zone_name)
        for name in ("start", "end", "visible_from"):
            read(name, lambda value: _iso(_time(value, zone)))
    elif zone_name is None and not errors:
        has_times = any(not _is_blank(fields.get(name)) for name in ("start", "end", "visible_from"))
        if has_times:
            errors.append(FieldError(prefix + "timezone", "is needed to read the times"))
    if errors:
        raise InvalidPayload.of(*errors)
    return given


def text(value: object) -> str:
    """A text without control characters but line breaks and tabs. Errors: InvalidValue."""
    if not isinstance(value, str):
        raise InvalidValue(f"must be text in quotes, not {json_type(value)}")
    if found := _CONTROL.search(value.replace("\r\n", "\n").replace("\r", "\n")):
        raise InvalidValue(f"holds the control character U+{ord(found[0]):04X}, which no calendar can show")
    if len(value) > MOST_TEXT:
        raise InvalidValue(f"has {len(value):,} characters; {MOST_TEXT:,} are the most")
    return value.replace("\r\n", "\n").replace("\r", "\n")


def yes_no(value: object) -> bool:
    """true, false, or a word for one of them. Errors: InvalidValue."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in YES or word in NO:
        return word in YES
    raise InvalidValue("must be yes or no")


def json_type(value: object) -> str:
    """What JSON calls a value's type, for messages."""
    return _JSON_TYPES.get(type(value), "null")


def _title(value: object) -> str:
    title = text(value).strip()
    if not title:
        raise InvalidValue("is blank: an event needs a title")
    return title


def _minutes(value: object) -> int | None:
    if isinstance(value, str) and value.strip().lower() == "none":
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        minutes = value
    elif isinstance(value, str) and re.fullmatch(r"[0-9]{1,6}", value.strip()):
        minutes = int(value)
    else:
        raise InvalidValue(f'must be a whole number of minutes from 0 to {MOST_NOTIFY_BEFORE:,}, or "none"')
    if not 0 <= minutes <= MOST_NOTIFY_BEFORE:
        raise InvalidValue(f"{minutes} is not from 0 to {MOST_NOTIFY_BEFORE:,} minutes (four weeks)")
    return minutes


def _time(value: object, zone: Zone) -> datetime:
    if not isinstance(value, str):
        raise InvalidValue(f"must be a time such as {TIME_EXAMPLE}, not {json_type(value)}")
    return parse_time(text(value), zone)


def _is_blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
