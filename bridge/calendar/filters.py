"""FILTERS and TESTS: every filter and test that a template may use, and those on times and numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from functools import wraps
from typing import Any, Final

from jinja2 import pass_context
from jinja2.runtime import Context

from bridge.calendar import list_filters as lists
from bridge.calendar import text_filters as texts
from bridge.calendar.budget import MAX_NUMBER, current, made
from bridge.calendar.faults import Refusal
from bridge.calendar.operators import compare
from bridge.calendar.times import Time, UnreadTime, at_clock, formatted, moved
from bridge.calendar.times import in_zone as time_in_zone
from bridge.calendar.values import Blank, as_number, as_text, as_whole, describe, is_blank, refuse_missing
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


def number(value: object, decimals: object = None, thousands: str = ",", point: str = ".") -> str:
    """`1,249.5`; `number(2)` prints 1,249.50; `number(2, thousands=".", point=",")` prints 1.249,50."""
    given = as_number(value)
    plain = as_text(given) if decimals is None else as_text_with(given, as_whole(decimals))
    sign, digits = ("-", plain[1:]) if plain.startswith("-") else ("", plain)
    whole, _, fraction = digits.partition(".")
    grouped = f"{int(whole):,}".replace(",", thousands)
    return sign + grouped + (point + fraction if fraction else "")


def money(value: object, currency: object) -> str:
    """`$1,249.50` for `money("USD")`, `CHF 1,249.50` for a currency without a sign; or a sign, `money("€")`."""
    code = as_text(currency).strip()
    if len(code) == 3 and code.isascii() and code.isalpha():
        sign, decimals = _SIGNS.get(code.upper(), code.upper() + " "), _DECIMALS.get(code.upper(), 2)
    elif 0 < len(code) <= 4 and not any(c.isdigit() for c in code):
        sign, decimals = code, 2
    else:
        raise Refusal(f'"{code[:40]}" is no currency: write its three letters, such as EUR')
    plain = number(value, decimals)
    return f"-{sign}{plain[1:]}" if plain.startswith("-") else sign + plain


def plural(value: object, one: object, many: object = None) -> str:
    """The word that fits the number: `3 | plural("day")` is days, `1 | plural("person", "people")` is person."""
    word = as_text(one)
    return word if as_number(value) == 1 else f"{word}s" if many is None else as_text(many)


def default(value: object, instead: object = "", also_false: bool = False) -> object:
    """`instead`, where the value is missing, null or blank; `default(…, true)` also where it is 0, no or empty."""
    return instead if is_blank(value) or (also_false and not value) else value


def times(value: object, factor: object) -> int | Decimal:
    """The product of two numbers."""
    return as_number(value) * as_number(factor)


def divided_by(value: object, divisor: object) -> Decimal:
    """The quotient of two numbers, not rounded."""
    return Decimal(as_number(value)) / as_number(divisor)


def modulo(value: object, divisor: object) -> int | Decimal:
    """What a division leaves."""
    return as_number(value) % as_number(divisor)


def rounded(value: object, decimals: object = 0, method: str = "common") -> int | Decimal:
    """To whole numbers, or to `decimals`; method "ceil" always up, "floor" always down."""
    if method not in _METHODS:
        raise Refusal('round knows the methods "common", "ceil" and "floor"')
    return _round(value, as_whole(decimals), _METHODS[method])


def ceil(value: object) -> int | Decimal:
    """Up to the next whole number."""
    return _round(value, 0, ROUND_CEILING)


def floor(value: object) -> int | Decimal:
    """Down to the next whole number."""
    return _round(value, 0, ROUND_FLOOR)


def absolute(value: object) -> int | Decimal:
    """Without its minus."""
    given = as_number(value)
    return -given if given < 0 else given


def at_least(value: object, least: object) -> int | Decimal:
    """The number, or `least` if that is larger."""
    return max(as_number(value), as_number(least))


def at_most(value: object, most: object) -> int | Decimal:
    """The number, or `most` if that is smaller."""
    return min(as_number(value), as_number(most))


def is_defined(value: object) -> bool:
    """Given: neither missing, nor null, nor blank."""
    return not is_blank(value)


def as_text_with(value: int | Decimal, decimals: int) -> str:
    """A number with exactly so many decimals."""
    return format(_quantized(value, decimals, ROUND_HALF_UP), "f")


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
        raise Refusal("the timezone block depends on a time that can only be read once the zone is known")
    return zone


def _round(value: object, decimals: int, method: str) -> int | Decimal:
    result = _quantized(as_number(value), decimals, method)
    return int(result) if decimals <= 0 else result


def _quantized(value: int | Decimal, decimals: int, method: str) -> Decimal:
    if not -18 <= decimals <= 18:
        raise Refusal(f"{decimals} decimals are too many")
    if not -MAX_NUMBER // 10**8 < value < MAX_NUMBER // 10**8:
        decimals = min(decimals, 8)
    return Decimal(value).quantize(Decimal(1).scaleb(-decimals), rounding=method)


_MAX_DAYS = 36_525
_METHODS = {"common": ROUND_HALF_UP, "ceil": ROUND_CEILING, "floor": ROUND_FLOOR, "down": ROUND_DOWN}
# ISO 4217: decimals where they are not two.
_NO_DECIMALS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_THREE_DECIMALS = "BHD IQD JOD KWD LYD OMR TND"
_DECIMALS = dict.fromkeys(_NO_DECIMALS.split(), 0) | dict.fromkeys(_THREE_DECIMALS.split(), 3)
_SIGNS = {
    "USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "AUD": "A$", "CAD": "C$", "NZD": "NZ$", "HKD": "HK$",
    "SGD": "S$", "INR": "₹", "BRL": "R$", "MXN": "MX$", "KRW": "₩", "ILS": "₪", "VND": "₫", "PHP": "₱",
    "TRY": "₺", "UAH": "₴", "NGN": "₦",
}  # fmt: skip


def _within_budget(run: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(run)
    def bounded(*args: Any, **named: Any) -> Any:
        current().tick()
        return made(run(*args, **named))

    return bounded


_FILTERS: dict[str, Callable[..., Any]] = {
    # times
    "plus": plus,
    "minus": minus,
    "at": at,
    "in_zone": in_zone,
    "date": date_format,
    "time": as_time,
    "day": as_day,
    # numbers
    "number": number,
    "money": money,
    "plural": plural,
    "times": times,
    "divided_by": divided_by,
    "modulo": modulo,
    "round": rounded,
    "ceil": ceil,
    "floor": floor,
    "abs": absolute,
    "at_least": at_least,
    "at_most": at_most,
    # text
    "shorten": texts.shorten,
    "words": texts.words,
    "link": texts.link,
    "default": default,
    "d": default,
    "upper": texts.upper,
    "upcase": texts.upper,
    "lower": texts.lower,
    "downcase": texts.lower,
    "capitalize": texts.capitalize,
    "title": texts.title,
    "append": texts.append,
    "prepend": texts.prepend,
    "replace": texts.replace,
    "replace_first": texts.replace_first,
    "remove": texts.remove,
    "remove_first": texts.remove_first,
    "split": texts.split,
    "strip": texts.strip,
    "trim": texts.strip,
    "lstrip": texts.lstrip,
    "rstrip": texts.rstrip,
    "strip_html": texts.strip_html,
    "striptags": texts.strip_html,
    "strip_newlines": texts.newline_to_space,
    "truncate": texts.truncate,
    "truncatewords": texts.words,
    "wordcount": texts.wordcount,
    "wordwrap": texts.wordwrap,
    "center": texts.center,
    "indent": texts.indent,
    "format": texts.percent_format,
    "string": as_text,
    "urlencode": texts.url_encode,
    "url_encode": texts.url_encode,
    "tojson": texts.to_json,
    # lists
    "first": lists.first,
    "last": lists.last,
    "join": lists.join,
    "length": lists.length,
    "count": lists.length,
    "size": lists.length,
    "list": lists.items_of,
    "sort": lists.sort,
    "unique": lists.unique,
    "uniq": lists.unique,
    "min": lists.smallest,
    "max": lists.largest,
    "sum": lists.total,
    "reverse": lists.reverse,
    "batch": lists.batch,
    "slice": lists.into_slices,
    "concat": lists.concat,
    "compact": lists.compact,
    "items": lists.pairs,
    "dictsort": lists.dictsort,
    "groupby": lists.groupby,
    "map": lists.map_items,
    "select": lists.select,
    "reject": lists.reject,
    "selectattr": lists.selectattr,
    "rejectattr": lists.rejectattr,
    "where": lists.where,
}
FILTERS: Mapping[str, Callable[..., Any]] = {name: _within_budget(run) for name, run in _FILTERS.items()}

# Filters of Jinja and Liquid that are left out, and what a marketer writes instead.
INSTEAD: Mapping[str, str] = {
    "int": "it would turn what is no number into 0: declare the variable as a number",
    "float": "it would turn what is no number into 0: declare the variable as a number",
    "escape": "text needs no escaping here: leave it out",
    "e": "text needs no escaping here: leave it out",
    "forceescape": "text needs no escaping here: leave it out",
    "safe": "text needs no escaping here: leave it out",
    "json_escape": "text never meets JSON here: leave it out",
    "random": "an event must come out the same each time: choose by a variable",
    "attr": "write a.b or a[b]",
    "strftime": 'write | date("%A %-d %B")',
    "date_format": 'write | date("%A %-d %B")',
    "pluralize": 'write | plural("day", "days")',
    "currency": 'write | money("EUR")',
    "utm": 'write | link(campaign="…")',
}

_TESTS: dict[str, Callable[..., Any]] = {
    "defined": is_defined,
    "undefined": is_blank,
    "blank": is_blank,
    "none": is_blank,
    "odd": lambda value: as_whole(value) % 2 == 1,
    "even": lambda value: as_whole(value) % 2 == 0,
    "divisibleby": lambda value, divisor: as_number(value) % as_number(divisor) == 0,
    "number": lambda value: type(value) in (int, float, Decimal),
    "integer": lambda value: type(value) in (int, float, Decimal) and value == int(value),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "true": lambda value: value is True,
    "false": lambda value: value is False,
    "mapping": lambda value: isinstance(value, dict),
    "sequence": lambda value: isinstance(value, (list, tuple, range)),
    "iterable": lambda value: isinstance(value, (list, tuple, range, dict)),
    "lower": lambda value: as_text(value).islower(),
    "upper": lambda value: as_text(value).isupper(),
    "in": lambda value, among: compare(value, "in", among),
}
for _operator, _names in {
    "eq": ("==", "eq", "equalto"),
    "ne": ("!=", "ne"),
    "gt": (">", "gt", "greaterthan"),
    "gteq": (">=", "ge"),
    "lt": ("<", "lt", "lessthan"),
    "lteq": ("<=", "le"),
}.items():
    for _name in _names:
        _TESTS[_name] = lambda value, other, operator=_operator: compare(value, operator, other)
TESTS: Mapping[str, Callable[..., Any]] = {name: _within_budget(run) for name, run in _TESTS.items()}
