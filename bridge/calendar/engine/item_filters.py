"""Filters that look into each item of a list: map, select, reject, where."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import pass_context
from jinja2.runtime import Context

from bridge.calendar.engine.faults import Refusal, did_you_mean
from bridge.calendar.engine.list_filters import attribute_of, items_of
from bridge.calendar.engine.values import as_text, is_blank


@pass_context
def map_items(
    context: Context,
    value: object,
    name: str | None = None,
    *args: object,
    attribute: str | None = None,
    default: object = None,
    **named: object,
) -> list[Any]:
    """Each item through a filter, `map("upper")`, or its attribute, `map(attribute="city")`."""
    if attribute is not None:
        found = [attribute_of(context, item, attribute) for item in items_of(value)]
        return [default if default is not None and is_blank(item) else item for item in found]
    run = _named(context.environment.filters, name, "filter")
    return [_call(run, context, item, args, named) for item in items_of(value)]


@pass_context
def select(context: Context, value: object, name: str | None = None, *args: object) -> list[Any]:
    """The items for which a test holds, `select("odd")`; without one, those that are not blank."""
    return _chosen(context, value, None, name, args, keep=True)


@pass_context
def reject(context: Context, value: object, name: str | None = None, *args: object) -> list[Any]:
    """The items for which a test does not hold."""
    return _chosen(context, value, None, name, args, keep=False)


@pass_context
def selectattr(
    context: Context, value: object, attribute: str, name: str | None = None, *args: object
) -> list[Any]:
    """The items with an attribute for which a test holds: `selectattr("price", ">", 5)`."""
    return _chosen(context, value, attribute, name, args, keep=True)


@pass_context
def rejectattr(
    context: Context, value: object, attribute: str, name: str | None = None, *args: object
) -> list[Any]:
    """The items with an attribute for which a test does not hold."""
    return _chosen(context, value, attribute, name, args, keep=False)


@pass_context
def where(context: Context, value: object, attribute: str, wanted: object = None) -> list[Any]:
    """The items whose attribute is `wanted`, or is there at all."""
    test = None if wanted is None else "=="
    return _chosen(context, value, attribute, test, () if wanted is None else (wanted,), keep=True)


def _chosen(
    context: Context,
    value: object,
    attribute: str | None,
    name: str | None,
    args: tuple[object, ...],
    *,
    keep: bool,
) -> list[Any]:
    run = _named(context.environment.tests, name, "test") if name is not None else None
    chosen = []
    for item in items_of(value):
        subject = item if attribute is None else attribute_of(context, item, attribute)
        holds = not is_blank(subject) and bool(subject) if run is None else run(subject, *args)
        if bool(holds) is keep:
            chosen.append(item)
    return chosen


def _named(known: Mapping[str, Any], name: object, what: str) -> Callable[..., Any]:
    if not isinstance(name, str) or name not in known:
        raise Refusal(
            f'there is no {what} "{as_text(name)}"{did_you_mean(as_text(name), known)}', f"unknown {what}"
        )
    run: Callable[..., Any] = known[name]
    return run


def _call(
    run: Callable[..., Any],
    context: Context,
    item: object,
    args: tuple[object, ...],
    named: dict[str, object],
) -> object:
    if hasattr(run, "jinja_pass_arg"):
        return run(context, item, *args, **named)
    return run(item, *args, **named)
