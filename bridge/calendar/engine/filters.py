"""FILTERS and TESTS: every filter and test that a template may use, by its name there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import wraps
from typing import Any

from bridge.calendar.engine import item_filters as items
from bridge.calendar.engine import list_filters as lists
from bridge.calendar.engine import number_filters as numbers
from bridge.calendar.engine import text_filters as texts
from bridge.calendar.engine import time_filters as times
from bridge.calendar.engine.budget import current, made
from bridge.calendar.engine.links import link
from bridge.calendar.engine.operators import compare
from bridge.calendar.engine.values import as_number, as_text, as_whole, is_blank


def default(value: object, instead: object = "", also_false: bool = False) -> object:
    """`instead`, where the value is missing, null or blank; `default(…, true)` also where it is 0, no or empty."""
    return instead if is_blank(value) or (also_false and not value) else value


def is_defined(value: object) -> bool:
    """Given: neither missing, nor null, nor blank."""
    return not is_blank(value)


def _within_budget(run: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(run)
    def bounded(*args: Any, **named: Any) -> Any:
        current().tick()
        return made(run(*args, **named))

    return bounded


_FILTERS: dict[str, Callable[..., Any]] = {
    # times
    "plus": times.plus,
    "minus": times.minus,
    "at": times.at,
    "in_zone": times.in_zone,
    "date": times.date_format,
    "time": times.as_time,
    "day": times.as_day,
    # numbers
    "number": numbers.number,
    "money": numbers.money,
    "plural": numbers.plural,
    "times": numbers.times,
    "divided_by": numbers.divided_by,
    "modulo": numbers.modulo,
    "round": numbers.rounded,
    "ceil": numbers.ceil,
    "floor": numbers.floor,
    "abs": numbers.absolute,
    "at_least": numbers.at_least,
    "at_most": numbers.at_most,
    # text
    "shorten": texts.shorten,
    "words": texts.words,
    "link": link,
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
    "map": items.map_items,
    "select": items.select,
    "reject": items.reject,
    "selectattr": items.selectattr,
    "rejectattr": items.rejectattr,
    "where": items.where,
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
