"""Filters on lists: each makes a whole list at once, of a bounded length."""

from __future__ import annotations

from decimal import Decimal
from functools import cmp_to_key
from itertools import pairwise
from typing import Any

from jinja2 import pass_context
from jinja2.runtime import Context

from bridge.calendar.engine.budget import MAX_ITEMS, check_count, check_length, current
from bridge.calendar.engine.faults import Refusal
from bridge.calendar.engine.values import (
    Missing,
    as_number,
    as_text,
    as_whole,
    describe,
    have_order,
    is_blank,
    refuse_missing,
)


def items_of(value: object) -> list[Any]:
    """The items of a list, the keys of an object, the letters of a text. Refusal for anything else."""
    if isinstance(value, (list, tuple, range, dict, str)):
        check_count(len(value))
        return list(value)
    refuse_missing(value)
    if is_blank(value):
        return []
    raise Refusal(f"{describe(value)} is not a list")


def length(value: object) -> int:
    """How many items a list has, or characters a text."""
    if isinstance(value, (list, tuple, range, dict, str)):
        return len(value)
    return len(items_of(value))


def first(value: object) -> object:
    """The first item of a list, or character of a text."""
    items = items_of(value)
    return items[0] if items else Missing("this list is empty: it has no first item")


def last(value: object) -> object:
    """The last item of a list, or character of a text."""
    items = items_of(value)
    return items[-1] if items else Missing("this list is empty: it has no last item")


@pass_context
def join(context: Context, value: object, separator: object = "", attribute: str | None = None) -> str:
    """The items as one text, with `separator` between them."""
    if attribute is not None:
        value = [attribute_of(context, item, attribute) for item in items_of(value)]
    return join_items(value, separator)


@pass_context
def sort(
    context: Context,
    value: object,
    reverse: bool = False,
    attribute: str | None = None,
    case_sensitive: bool = False,
) -> list[Any]:
    """In order, by the items themselves or by their `attribute`; capitals and small letters are the same."""
    keyed = [(_key(context, item, attribute, case_sensitive), item) for item in items_of(value)]
    keyed.sort(key=cmp_to_key(_compare), reverse=bool(reverse))
    return [item for _, item in keyed]


@pass_context
def unique(context: Context, value: object, attribute: str | None = None) -> list[Any]:
    """Each item once, in their order."""
    seen: dict[object, Any] = {}
    for item in items_of(value):
        seen.setdefault(_hashable(_key(context, item, attribute, case_sensitive=False)), item)
    return list(seen.values())


@pass_context
def smallest(context: Context, value: object, attribute: str | None = None) -> object:
    """The smallest item."""
    ordered = sort(context, value, False, attribute)
    return ordered[0] if ordered else Missing("this list is empty: it has no smallest item")


@pass_context
def largest(context: Context, value: object, attribute: str | None = None) -> object:
    """The largest item."""
    ordered = sort(context, value, True, attribute)
    return ordered[0] if ordered else Missing("this list is empty: it has no largest item")


@pass_context
def total(context: Context, value: object, attribute: str | None = None, start: object = 0) -> int | Decimal:
    """The sum of the numbers in a list, or of their `attribute`."""
    result = as_number(start)
    for item in items_of(value):
        result += as_number(item if attribute is None else attribute_of(context, item, attribute))
    return result


def reverse(value: object) -> object:
    """A list or a text from its end."""
    return value[::-1] if isinstance(value, str) else items_of(value)[::-1]


def batch(value: object, size: int, fill: object = None) -> list[list[Any]]:
    """Lists of `size` items each."""
    items, count = items_of(value), as_whole(size)
    if not 0 < count <= MAX_ITEMS:
        raise Refusal(f"batch: {count} is no size")
    rows = [items[start : start + count] for start in range(0, len(items), count)]
    if rows and fill is not None:
        rows[-1] += [fill] * (count - len(rows[-1]))
    return rows


def into_slices(value: object, count: int) -> list[list[Any]]:
    """`count` lists, as equal in length as can be."""
    items, wanted = items_of(value), as_whole(count)
    if not 0 < wanted <= MAX_ITEMS:
        raise Refusal(f"slice: {wanted} is no count")
    size, longer = divmod(len(items), wanted)
    ends = [n * size + min(n, longer) for n in range(wanted + 1)]
    return [items[start:end] for start, end in pairwise(ends)]


def concat(value: object, other: object) -> list[Any]:
    """One list behind the other."""
    return items_of(value) + items_of(other)


def compact(value: object) -> list[Any]:
    """Without the blank items."""
    return [item for item in items_of(value) if not is_blank(item)]


def pairs(value: object) -> list[tuple[Any, Any]]:
    """The (key, value) pairs of an object."""
    if not isinstance(value, dict):
        raise Refusal(f"{describe(value)} has no keys")
    check_count(len(value))
    return list(value.items())


@pass_context
def dictsort(
    context: Context, value: object, case_sensitive: bool = False, by: str = "key"
) -> list[tuple[Any, Any]]:
    """The (key, value) pairs of an object in order."""
    place = {"key": 0, "value": 1}.get(by)
    if place is None:
        raise Refusal('dictsort sorts by="key" or by="value"')
    keyed = [(_key(context, pair[place], None, case_sensitive), pair) for pair in pairs(value)]
    keyed.sort(key=cmp_to_key(_compare))
    return [pair for _, pair in keyed]


@pass_context
def groupby(context: Context, value: object, attribute: str) -> list[tuple[Any, list[Any]]]:
    """(value, items) for each value of `attribute`, in its order."""
    groups: dict[object, tuple[Any, list[Any]]] = {}
    for item in items_of(value):
        key = attribute_of(context, item, attribute)
        groups.setdefault(_hashable(key), (key, []))[1].append(item)
    return sorted(groups.values(), key=cmp_to_key(_compare))


def attribute_of(context: Context, item: object, path: object) -> Any:
    """`city`, or `address.city`, or a number for an index."""
    current().tick()
    if isinstance(path, int):
        return context.environment.getitem(item, path)
    for part in as_text(path).split(".", 10):
        item = context.environment.getitem(item, int(part) if part.isdigit() and len(part) < 6 else part)
    return item


def join_items(value: object, separator: object = "") -> str:
    """The items as one text; a text stays as it is."""
    if isinstance(value, str):
        return value
    texts, between = [as_text(item) for item in items_of(value)], as_text(separator)
    check_length(sum(map(len, texts)) + len(between) * max(0, len(texts) - 1))
    return between.join(texts)


def _key(context: Context, item: object, attribute: str | None, case_sensitive: bool) -> Any:
    key = item if attribute is None else attribute_of(context, item, attribute)
    return key.casefold() if isinstance(key, str) and not case_sensitive else key


def _compare(one: tuple[Any, Any], other: tuple[Any, Any]) -> int:
    current().tick()
    left, right = one[0], other[0]
    if have_order(left, right):
        return int(left > right) - int(left < right)
    refuse_missing(left)
    refuse_missing(right)
    raise Refusal(f"{describe(left)} and {describe(right)} have no order")


def _hashable(key: object) -> object:
    if isinstance(key, (list, dict)):
        raise Refusal(f"{describe(key)} cannot be compared here: name an attribute of it")
    return isinstance(key, str), key
