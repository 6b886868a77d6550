"""What a template can reach of a value: its keys and items, and from a table for each type its attributes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from jinja2.environment import TemplateModule
from jinja2.runtime import BlockReference, LoopContext, TemplateReference
from jinja2.utils import Namespace

from bridge.calendar.engine import text_filters as texts
from bridge.calendar.engine.budget import MAX_ITEMS, check_count, current, made
from bridge.calendar.engine.faults import Refusal, did_you_mean
from bridge.calendar.engine.list_filters import join_items
from bridge.calendar.engine.times import Time, UnreadTime
from bridge.calendar.engine.values import Missing, as_text, as_whole, describe, is_blank, refuse_missing

# A filter that wraps what a loop runs over; no template can write its name.
EACH = "each item"


class Method:
    """A function that a template may call."""

    __slots__ = ("_run",)

    def __init__(self, run: Callable[..., Any]) -> None:
        self._run = run

    def __call__(self, *args: Any, **named: Any) -> Any:
        return made(self._run(*args, **named))


class Each:
    """What a loop runs over; every round counts against the budget."""

    __slots__ = ("_items",)

    def __init__(self, items: list[Any] | tuple[Any, ...] | range | dict[Any, Any]) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Any]:
        tick = current().tick
        for item in self._items:
            tick()
            yield item


def each(value: object) -> Each:
    """The items of a list or the keys of an object; a blank has none. Refusal for a text, a number, a time."""
    if isinstance(value, (list, tuple, range, dict)):
        return Each(value)
    if isinstance(value, Each):
        return value
    refuse_missing(value)
    if is_blank(value):
        return Each(())
    hint = ': split it first, | split(",")' if isinstance(value, str) else ""
    raise Refusal(f"{describe(value)} is no list that a loop could run over{hint}")


def attribute(obj: Any, name: str) -> Any:
    """`obj.name`: a key of an object, or what the table has for the type of `obj`."""
    if name.startswith("_"):
        raise Refusal(f'"{name[:60]}" is out of reach for a template', "unknown name")
    if isinstance(obj, dict) and name in obj:
        return obj[name]
    attributes = next((table for kind, table in _ATTRIBUTES if isinstance(obj, kind)), {})
    if name in attributes:
        return attributes[name](obj)
    if isinstance(obj, (Missing, UnreadTime)):
        as_text(obj)
    if isinstance(obj, Namespace):
        return getattr(obj, name, Missing(f'nothing was set as "{name}"', name=name))
    if isinstance(obj, TemplateModule) and name in obj.__dict__:
        return obj.__dict__[name]
    if isinstance(obj, TemplateReference):
        return obj[name]
    if isinstance(obj, dict):
        return Missing(obj=obj, name=name)
    return Missing(f'{describe(obj)} has no "{name}"{did_you_mean(name, attributes)}', name=name)


def item(obj: Any, key: Any) -> Any:
    """`obj[key]`: of an object by its key, of a list or a text by its number from 0."""
    if isinstance(obj, dict) and type(key) in _KEYS and key in obj:
        return obj[key]
    if isinstance(obj, (list, tuple, str)) and not isinstance(key, str):
        index = as_whole(key)
        return obj[index] if -len(obj) <= index < len(obj) else Missing(obj=obj, name=index)
    return attribute(obj, as_text(key))


def part(obj: Any, start: Any, stop: Any, step: Any) -> Any:
    """`obj[start:stop:step]` of a text or a list."""
    if not isinstance(obj, (str, list, tuple)):
        refuse_missing(obj)
        raise Refusal(f"{describe(obj)} has no parts to take")
    bounds = [None if bound is None else as_whole(bound) for bound in (start, stop, step)]
    if bounds[2] == 0:
        raise Refusal("a step of 0 goes nowhere")
    if not isinstance(obj, str):
        check_count(len(obj))
    return made(obj[slice(*bounds)])


_KEYS = (str, int, bool, Decimal, date)


def bounded_range(*bounds: object) -> range:
    """Whole numbers from, to, by: at most as many as a list may have."""
    if not 1 <= len(bounds) <= 3:
        raise Refusal("range takes one to three numbers")
    numbers = range(*(as_whole(bound) for bound in bounds))
    if len(numbers[: MAX_ITEMS + 1]) > MAX_ITEMS:
        raise Refusal(f"range has more than {MAX_ITEMS:,} numbers", "result too large")
    return numbers


def namespace(**values: Any) -> Namespace:
    """What a loop may write into: `{% set ns = namespace(count=0) %}`."""
    return Namespace(**values)


GLOBALS: Mapping[str, Any] = {
    "range": Method(bounded_range),
    "namespace": Method(namespace),
    "dict": Method(lambda **values: values),
}


def _text_method(run: Callable[..., Any]) -> Callable[[Any], Method]:
    return lambda text: Method(lambda *args, **named: run(text, *args, **named))


def _plain(name: str) -> Callable[[Any], Any]:
    return lambda obj: getattr(obj, name)


def _bound(name: str) -> Callable[[Any], Method]:
    return lambda obj: Method(getattr(obj, name))


_ATTRIBUTES: tuple[tuple[type, Mapping[str, Callable[[Any], Any]]], ...] = (
    (
        str,
        {
            "upper": _text_method(texts.upper),
            "lower": _text_method(texts.lower),
            "title": _text_method(texts.title),
            "capitalize": _text_method(texts.capitalize),
            "strip": _text_method(texts.strip),
            "lstrip": _text_method(texts.lstrip),
            "rstrip": _text_method(texts.rstrip),
            "replace": _text_method(texts.replace),
            "split": _text_method(texts.split),
            "startswith": _text_method(lambda text, start: text.startswith(as_text(start))),
            "endswith": _text_method(lambda text, end: text.endswith(as_text(end))),
            "join": _text_method(lambda text, items: join_items(items, text)),
            "size": len,
        },
    ),
    (
        dict,
        {
            "items": lambda obj: Method(lambda: list(obj.items())),
            "keys": lambda obj: Method(lambda: list(obj)),
            "values": lambda obj: Method(lambda: list(obj.values())),
            "get": lambda obj: Method(lambda key, instead=None: obj.get(as_text(key), instead)),
            "size": len,
        },
    ),
    (list, {"first": lambda obj: obj[0], "last": lambda obj: obj[-1], "size": len}),
    (tuple, {"size": len}),
    (
        Time,
        {
            name: (lambda part: lambda time: getattr(time.at, part))(name)
            for name in ("year", "month", "day", "hour", "minute")
        },
    ),
    (date, {name: _plain(name) for name in ("year", "month", "day")}),
    (
        LoopContext,
        {
            **{
                name: _plain(name)
                for name in (
                    *(
                        "index",
                        "index0",
                        "revindex",
                        "revindex0",
                        "first",
                        "last",
                        "length",
                        "depth",
                        "depth0",
                    ),
                    *("previtem", "nextitem"),
                )
            },
            "cycle": _bound("cycle"),
            "changed": _bound("changed"),
        },
    ),
    (BlockReference, {"super": _plain("super")}),
)
