"""Filters on times and days."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from jinja2 import pass_context
from jinja2.runtime import Context

from bridge.calendar.engine.faults import Refusal
from bridge.calendar.engine.times import NEEDS_ZONE, Time, UnreadTime, at_clock, formatted, moved
from bridge.calendar.engine.times import in_zone as time_in_zone
from bridge.calendar.engine.values import Blank, as_number, as_text, as_whole, describe, refuse_missing
from bridge.calendar.zones import Zone, parse_day, parse_time

# Where a rendering keeps its zone: no template can write this name.
ZONE: Final = "zone "


@pass_context
def plus(
    context: Context,
    value: object,
    amount: object = None,
    *,
    weeks: object = 0,
    days: object = 0,
    hours: object = 0,
    minutes: object = 0,
) -> object:
    """A later time: `plus(days=2, hours=3)`. Weeks and days keep the clock, hours and minutes are elapsed time.

    A day takes weeks and days. A number takes a number: `5 | plus(3)`.
    """
    return _plus(context, value, 1, amount, weeks, days, hours, minutes)


@pass_context
def minus(
    context: Context,
    value: object,
    amount: object = None,
    *,
    weeks: object = 0,
    days: object = 0,
    hours: object = 0,
    minutes: object = 0,
) -> object:
    """An earlier time: `minus(hours=2)`; as plus."""
    return _plus(context, value, -1, amount, weeks, days, hours, minutes)


@pass_context
def at(context: Context, value: object, clock: object) -> Time:
    """A day, or the day of a time, at this time of day in the event's zone: `due | at("09:00")`."""
    return at_clock(_time(context, value), as_text(clock), _zone(context))


@pass_context
def in_zone(context: Context, value: object, name: object) -> Time:
    """The same instant on another clock: `kickoff | in_zone("Europe/London")`."""
    return time_in_zone(_only_time(_time(context, value), "in_zone"), as_text(name))


@pass_context
def date_format(context: Context, value: object, form: object) -> str:
    """A time or a day by strftime's codes, in English: `date("%A %-d %B, %H:%M")`."""
    return formatted(_time(context, value), as_text(form))


@pass_context
def as_time(context: Context, value: object) -> Time:
    """A text as a time: `"2026-12-24T18:00" | time`."""
    found = _time(context, value)
    return found if isinstance(found, Time) else at_clock(found, "00:00", _zone(context))


@pass_context
def as_day(context: Context, value: object) -> date:
    """A text as a day, or the day of a time."""
    found = _time(context, value)
    return found.at.date() if isinstance(found, Time) else found


_MAX_DAYS = 36_525


def _plus(
    context: Context,
    value: object,
    sign: int,
    amount: object,
    weeks: object,
    days: object,
    hours: object,
    minutes: object,
) -> object:
    if amount is not None:
        if isinstance(value, (Time, UnreadTime, date)):
            raise Refusal("plus and minus need to know of what: plus(days=2), plus(hours=3)")
        return as_number(value) + sign * as_number(amount)
    seconds = as_number(hours) * 3600 + as_number(minutes) * 60
    whole_weeks, whole_days = as_whole(weeks), as_whole(days)
    if not all(-_MAX_DAYS <= days <= _MAX_DAYS for days in (whole_weeks, whole_days, seconds / 86400)):
        raise Refusal("plus and minus go as far as 100 years")
    return moved(_time(context, value), sign, whole_weeks, whole_days, timedelta(seconds=int(seconds)))


def _time(context: Context, value: object) -> Time | date:
    if isinstance(value, Time):
        return value
    if isinstance(value, date):
        return value
    refuse_missing(value)
    if isinstance(value, Blank):
        raise Refusal(f'"{value.name}" is blank, and a time is needed', "missing variable")
    if isinstance(value, str):
        if len(value.strip()) <= len("2026-12-15"):
            return parse_day(value)
        zone = _zone(context)
        return Time(parse_time(value, zone), zone)
    raise Refusal(f"{describe(value)} is not a time")


def _only_time(value: Time | date, name: str) -> Time:
    if not isinstance(value, Time):
        raise Refusal(f'{name} needs a time, and this is a day: give it one first, | at("09:00")')
    return value


def _zone(context: Context) -> Zone:
    zone = context.get(ZONE)
    if not isinstance(zone, Zone):
        raise Refusal(
            "the timezone depends on a time that can only be read once the zone is known", NEEDS_ZONE
        )
    return zone
