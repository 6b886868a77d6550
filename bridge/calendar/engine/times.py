"""A time inside a template: an instant on one zone's clock."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from typing import NoReturn, TypeVar

from bridge.calendar.engine.faults import Refusal, did_you_mean
from bridge.calendar.zones import FIRST_YEAR, LAST_YEAR, Zone, at_wall_time, find_zone

D = TypeVar("D", bound=date)
NEEDS_ZONE = "timezone depends on a time"


@dataclass(frozen=True, slots=True, eq=False)
class Time:
    """`at` is aware, on `zone.clock`. Times compare by instant: two datetimes of one ZoneInfo would not."""

    at: datetime
    zone: Zone

    @property
    def instant(self) -> datetime:
        return self.at.astimezone(UTC)

    def __str__(self) -> str:
        return self.at.isoformat(timespec="seconds")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Time) and self.instant == other.instant

    def __hash__(self) -> int:
        return hash(self.instant)

    def __lt__(self, other: Time) -> bool:
        return self.instant < other.instant

    def __le__(self, other: Time) -> bool:
        return self.instant <= other.instant

    def __gt__(self, other: Time) -> bool:
        return self.instant > other.instant

    def __ge__(self, other: Time) -> bool:
        return self.instant >= other.instant


@dataclass(frozen=True, slots=True)
class UnreadTime:
    """A time while the zone is not known yet: that it was given is all that can be said of it."""

    name: str

    def refuse(self) -> NoReturn:
        words = f'the timezone depends on "{self.name}", a time that can only be read once the zone is known'
        raise Refusal(words, NEEDS_ZONE)


def moved(value: Time | date, sign: int, weeks: int, days: int, elapsed: timedelta) -> Time | date:
    """Weeks and days keep the clock's digits, then `elapsed` passes as on a stopwatch.

    Errors: InvalidValue when the clocks skip the digits.
    """
    calendar = timedelta(weeks=weeks, days=days) * sign
    if not isinstance(value, Time):
        if elapsed:
            raise Refusal('a day has no hours or minutes: give it a time first, | at("09:00")')
        return _in_reach(value + calendar)
    at = value.at
    if calendar:
        at = at_wall_time(at.replace(tzinfo=None, fold=0) + calendar, value.zone)
    if elapsed:
        at = (at.astimezone(UTC) + elapsed * sign).astimezone(value.zone.clock)
    _in_reach(at)
    return Time(at, value.zone)


def at_clock(value: Time | date, text: str, zone: Zone) -> Time:
    """A day, or the day of a time, at "09:00" on the clock."""
    match = _CLOCK.fullmatch(text.strip())
    if match is None or int(match[1]) > 23:
        raise Refusal(f'"{text[:40]}" is not a time of day: write it as "09:00"')
    clock = clock_time(int(match[1]), int(match[2]), int(match[3] or 0))
    if isinstance(value, Time):
        return Time(at_wall_time(datetime.combine(value.at.date(), clock), value.zone), value.zone)
    return Time(at_wall_time(datetime.combine(value, clock), zone), zone)


def in_zone(value: Time, name: str) -> Time:
    zone = find_zone(name)
    return Time(value.at.astimezone(zone.clock), zone)


def formatted(value: Time | date, form: str) -> str:
    """A time or a day by strftime's codes, English and the same on every machine: `%A %-d %B, %H:%M`.

    Between `%` and the letter: `-` no padding, `_` padding by a space, `0` by a zero, `^` capitals.
    """
    at = value.at if isinstance(value, Time) else datetime.combine(value, clock_time())
    return _CODE.sub(lambda match: _write(match, at, is_day=not isinstance(value, Time)), form)


_CLOCK = re.compile(r"([0-9]{1,2}):([0-5][0-9])(?::([0-5][0-9]))?")
_CODE = re.compile(r"%([-_0^]*)(:?[A-Za-z%])?", re.ASCII)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)

# What each code prints: (the padding that it has unless said otherwise, its width, its value).
_CODES: dict[str, tuple[str, int, Callable[[datetime], int | str]]] = {
    "A": ("", 0, lambda at: _DAYS[at.weekday()]),
    "a": ("", 0, lambda at: _DAYS[at.weekday()][:3]),
    "B": ("", 0, lambda at: _MONTHS[at.month - 1]),
    "b": ("", 0, lambda at: _MONTHS[at.month - 1][:3]),
    "h": ("", 0, lambda at: _MONTHS[at.month - 1][:3]),
    "C": ("0", 2, lambda at: at.year // 100),
    "c": ("", 0, lambda at: formatted_at(at, "%a %b %e %H:%M:%S %Y")),
    "D": ("", 0, lambda at: formatted_at(at, "%m/%d/%y")),
    "d": ("0", 2, lambda at: at.day),
    "e": (" ", 2, lambda at: at.day),
    "F": ("", 0, lambda at: formatted_at(at, "%Y-%m-%d")),
    "G": ("0", 4, lambda at: at.isocalendar().year),
    "g": ("0", 2, lambda at: at.isocalendar().year % 100),
    "H": ("0", 2, lambda at: at.hour),
    "I": ("0", 2, lambda at: at.hour % 12 or 12),
    "j": ("0", 3, lambda at: at.timetuple().tm_yday),
    "k": (" ", 2, lambda at: at.hour),
    "L": ("0", 3, lambda at: at.microsecond // 1000),
    "l": (" ", 2, lambda at: at.hour % 12 or 12),
    "M": ("0", 2, lambda at: at.minute),
    "m": ("0", 2, lambda at: at.month),
    "n": ("", 0, lambda _: "\n"),
    "P": ("", 0, lambda at: "am" if at.hour < 12 else "pm"),
    "p": ("", 0, lambda at: "AM" if at.hour < 12 else "PM"),
    "R": ("", 0, lambda at: formatted_at(at, "%H:%M")),
    "r": ("", 0, lambda at: formatted_at(at, "%I:%M:%S %p")),
    "S": ("0", 2, lambda at: at.second),
    "s": ("", 0, lambda at: int(at.timestamp())),
    "T": ("", 0, lambda at: formatted_at(at, "%H:%M:%S")),
    "t": ("", 0, lambda _: "\t"),
    "U": ("0", 2, lambda at: (at.timetuple().tm_yday + 6 - (at.weekday() + 1) % 7) // 7),
    "u": ("", 0, lambda at: at.isoweekday()),
    "V": ("0", 2, lambda at: at.isocalendar().week),
    "W": ("0", 2, lambda at: (at.timetuple().tm_yday + 6 - at.weekday()) // 7),
    "w": ("", 0, lambda at: at.isoweekday() % 7),
    "X": ("", 0, lambda at: formatted_at(at, "%H:%M:%S")),
    "x": ("", 0, lambda at: formatted_at(at, "%m/%d/%y")),
    "Y": ("0", 4, lambda at: at.year),
    "y": ("0", 2, lambda at: at.year % 100),
    "Z": ("", 0, lambda at: at.tzname() or ""),
    "z": ("", 0, lambda at: at.isoformat()[-6:].replace(":", "")),
    ":z": ("", 0, lambda at: at.isoformat()[-6:]),
    "%": ("", 0, lambda _: "%"),
}
_NEED_A_ZONE = frozenset({"Z", "z", ":z", "s"})
_PADDINGS = {"-": "", "_": " ", "0": "0"}


def formatted_at(at: datetime, form: str) -> str:
    return _CODE.sub(lambda match: _write(match, at, is_day=False), form)


def _write(match: re.Match[str], at: datetime, *, is_day: bool) -> str:
    flags, code = match[1], match[2]
    if code not in _CODES or (is_day and code in _NEED_A_ZONE):
        what = "a day" if is_day and code in _CODES else "a date"
        raise Refusal(f'"{match[0]}" is no part of {what}{did_you_mean(code or "", _CODES)}')
    padding, width, value = _CODES[code]
    text = str(value(at))
    for flag in flags:
        padding = _PADDINGS.get(flag, padding)
    if padding:
        text = text.rjust(width or 2, padding) if text.isdigit() else text
    return text.upper() if "^" in flags else text


def _in_reach(value: D) -> D:
    if not FIRST_YEAR <= value.year <= LAST_YEAR:
        raise Refusal(f"the year {value.year} is out of reach: from {FIRST_YEAR} to {LAST_YEAR}")
    return value
