"""Zones and times: what a caller may write, on which clock it is read, and the digits that leave for Rokt.

A time is read on the clock of the zone given and leaves on the clock of a Windows zone that Rokt's server
knows. Mostly the two are one clock; where they are not, the digits differ and the instant is kept.

Two aware datetimes on one ZoneInfo compare by their digits, blind to `fold`, so that in the doubled hour of
autumn the earlier can compare as the later: compare and subtract in UTC.
"""

from __future__ import annotations

import re
import struct
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from functools import cache, lru_cache
from io import BytesIO
from zoneinfo import ZoneInfo

from bridge.calendar.zone_names import (
    CLOCK_OF_WINDOWS,
    KNOWN,
    LEGACY,
    NEWCOMERS,
    PSEUDO_ZONES,
    REFUSED,
    WINDOWS_OF_IANA,
    WINDOWS_ZONES,
)
from bridge.errors import InvalidValue, nearest

FIRST_YEAR, LAST_YEAR = 1970, 2100
TIME_EXAMPLE, DAY_EXAMPLE = "2026-12-01T09:00", "2026-12-15"
LONGEST_NAME = 64  # the longest known name has 32 characters: what is longer is not even compared
LONGEST_ECHO = 60


@dataclass(frozen=True)
class Zone:
    """A zone as it was named: its times are read on `clock` and leave as `windows`, on `windows_clock`."""

    name: str
    windows: str
    clock: ZoneInfo
    windows_clock: ZoneInfo


def use_pinned_tzdata() -> None:
    """Let the installed tzdata package decide, whatever the machine has in /usr/share/zoneinfo.

    Every look-up here calls it; a process that uses zoneinfo elsewhere calls it once at its start.
    """
    if zoneinfo.TZPATH:
        zoneinfo.reset_tzpath(())
        ZoneInfo.clear_cache()


def find_zone(name: str) -> Zone:
    """The zone of a Windows or IANA name in any case, or InvalidValue with the names that may be meant."""
    stripped = name.strip()
    known = KNOWN.get(stripped.lower())
    if known is None:
        raise InvalidValue(_refusal(stripped[: LONGEST_NAME + 1]))
    return _zone(known)


def parse_time(text: str, zone: Zone) -> datetime:
    """An ISO 8601 time on the zone's clock: with an offset the same instant, without one a wall time there.

    Of a wall time that exists twice the first is taken; a date alone is its midnight.
    """
    return _parsed(text.strip(), zone)


@lru_cache(maxsize=4096)  # a campaign says the same few times in all its requests
def _parsed(text: str, zone: Zone) -> datetime:
    match = TIME.fullmatch(text)
    if match is None:
        raise InvalidValue(_unreadable(text, "time", TIME_EXAMPLE))
    year, month, day, hour, minute, second, fraction, offset = match.groups("0")
    micro = int(fraction[:6].ljust(6, "0"))
    try:
        local = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), micro)  # noqa: DTZ001
    except ValueError as error:
        raise InvalidValue(f"{_quoted(text)} is not a time: {error}; one is {TIME_EXAMPLE}") from error
    _check_year(local.year)
    if offset == "0":
        return at_wall_time(local, zone)
    return local.replace(tzinfo=_fixed(offset)).astimezone(zone.clock)


def parse_day(text: str) -> date:
    """A day as in 2026-12-15, or InvalidValue."""
    match = _DAY.fullmatch(text.strip())
    if match is None:
        raise InvalidValue(_unreadable(text, "day", DAY_EXAMPLE))
    try:
        day = date(*map(int, match.groups()))
    except ValueError as error:
        raise InvalidValue(f"{_quoted(text)} is not a day: {error}; one is {DAY_EXAMPLE}") from error
    _check_year(day.year)
    return day


def at_wall_time(local: datetime, zone: Zone) -> datetime:
    """A naive wall time on the zone's clock, its fold kept; InvalidValue when the clocks jump over it."""
    at = local.replace(tzinfo=zone.clock)
    instead = at.astimezone(UTC).astimezone(zone.clock).replace(tzinfo=None)
    if instead != local:
        raise InvalidValue(
            f"{_brief(local)} does not exist in {zone.name}, as the clocks skip it: {_brief(instead)} does"
        )
    return at


@lru_cache(maxsize=4096)  # as _parsed
def is_doubled(at: datetime, zone: Zone) -> bool:
    """Whether the digits that leave exist twice on the Windows zone's clock, so that Rokt has to guess."""
    wall = at.astimezone(zone.windows_clock)
    return wall.replace(fold=0).astimezone(UTC) != wall.replace(fold=1).astimezone(UTC)


def wall_text(at: datetime, zone: Zone) -> str:
    """The digits that leave: the instant of `at` on the Windows zone's clock, to the second."""
    return at.astimezone(zone.windows_clock).replace(tzinfo=None).isoformat(timespec="seconds")


def catalogue() -> list[dict[str, object]]:
    """Every Windows name that may leave, with the IANA names that leave as it, both sorted."""
    iana: dict[str, list[str]] = {windows: [] for windows in (*WINDOWS_ZONES, *LEGACY)}
    for name, windows in WINDOWS_OF_IANA.items():
        iana[windows].append(name)
    return [{"windows": windows, "iana": sorted(iana[windows])} for windows in sorted(iana)]


TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?"
    r"(?: ?([Zz]|UTC|[+-](?:0[0-9]|1[0-4]):?[0-5][0-9]))?)?"
)
_DAY = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_OFFSET_AS_ZONE = re.compile(r"(?:utc|gmt)? ?[+-] ?[0-9]{1,2}(?::?[0-9]{2})?")
_IN_BRACKETS = re.compile(r"\([^()]*\)")
_SUMMER_NAME = re.compile(r"(daylight( savings?)?|summer) time")


@cache  # grows to the known names at most: only they come here
def _zone(name: str) -> Zone:
    use_pinned_tzdata()
    clock, windows = NEWCOMERS.get(name) or (name, WINDOWS_OF_IANA.get(name, name))
    return Zone(name, windows, _clock(clock), _clock(windows))


def _clock(name: str) -> ZoneInfo:
    return _rule_clock(name) if name in LEGACY else ZoneInfo(CLOCK_OF_WINDOWS.get(name, name))


class _RuleClock(ZoneInfo):
    """A clock of no file, which a copy (`dataclasses.asdict` makes some) could not load again by its name."""

    def __reduce__(self) -> tuple[Callable[[str], ZoneInfo], tuple[str]]:
        return _rule_clock, (self.key,)


@cache
def _rule_clock(name: str) -> ZoneInfo:
    """The clock of a POSIX TZ rule: a TZif file (RFC 8536) without transitions, but with a footer."""
    block = b"TZif2" + bytes(15) + struct.pack(">6l", 0, 0, 0, 0, 1, 1) + struct.pack(">lBB", 0, 0, 0) + b"\0"
    return _RuleClock.from_file(BytesIO(block + block + f"\n{LEGACY[name]}\n".encode()), key=name)


@lru_cache(maxsize=1024)  # the comparison with every name takes milliseconds, and a wrong campaign asks often
def _refusal(name: str) -> str:
    folded = name.lower()
    if not folded:
        return (
            "a time zone is needed: a Windows name (Eastern Standard Time) or an IANA one (America/New_York)"
        )
    if folded in REFUSED:
        return f"{_quoted(name)} is no zone's full name: give {_either(REFUSED[folded])}"
    if _OFFSET_AS_ZONE.fullmatch(folded):
        return (
            f"{_quoted(name)} is an offset, not a zone: give UTC, and write the offset behind the time "
            f"({TIME_EXAMPLE}+01:00)"
        )
    standard = _SUMMER_NAME.sub("standard time", folded)
    if standard != folded and standard in KNOWN:
        return f"{_quoted(name)} is half of a zone: give {KNOWN[standard]}, which covers summer too"
    near = _near(folded)
    if not near:
        return f"{_quoted(name)} is not a time zone: give a Windows or an IANA name, such as Europe/Berlin"
    return f"{_quoted(name)} is not a time zone; did you mean {_either(near)}?"


def _near(folded: str) -> list[str]:
    """The known names nearest to a wrong one: by its city or region if known, else by letters."""
    by_short, short = _names_by_short(), _short(folded)
    if len(folded) > LONGEST_NAME or short in PSEUDO_ZONES:
        return []
    if short in by_short:
        return by_short[short][:4]
    like = nearest(folded, list(KNOWN.values()))
    like += [name for near in nearest(short, list(by_short)) for name in by_short[near]]
    return list(dict.fromkeys(like))[:4]


@cache
def _names_by_short() -> dict[str, list[str]]:
    by_short: dict[str, list[str]] = {}
    for name in (*WINDOWS_ZONES, *WINDOWS_OF_IANA):
        by_short.setdefault(_short(name.lower()), []).append(name)
    return by_short


def _short(folded: str) -> str:
    """The part that people know: "new york" of america/new_york, "eastern" of eastern time (us & canada)."""
    place = _IN_BRACKETS.sub("", folded.rpartition("/")[2].replace("_", " ")).strip()
    return place.removesuffix(" time").removesuffix(" standard")


def _either(names: list[str] | tuple[str, ...]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _fixed(offset: str) -> timezone:
    if offset in ("Z", "z", "UTC"):
        return UTC
    size = timedelta(hours=int(offset[1:3]), minutes=int(offset[-2:]))
    return timezone(-size if offset[0] == "-" else size)


def _check_year(year: int) -> None:
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise InvalidValue(f"the year {year:04} is out of reach: give one from {FIRST_YEAR} to {LAST_YEAR}")


def _unreadable(text: str, what: str, example: str) -> str:
    stripped = text.strip()
    if not stripped:
        return f"a {what} is needed, such as {example}"
    if _NUMBER.fullmatch(stripped):
        return f"{_quoted(stripped)} is a number: write the {what} as {example}"
    return f"{_quoted(stripped)} is not a {what}: write it as {example}"


def _quoted(text: str) -> str:
    cut = text if len(text) <= LONGEST_ECHO else text[:LONGEST_ECHO] + "…"
    return '"' + "".join(c if c.isprintable() else "�" for c in cut) + '"'


def _brief(local: datetime) -> str:
    return local.isoformat(timespec="seconds").removesuffix(":00")
