"""A value for every variable, so that a template can be shown before anybody has sent one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from jinja2 import nodes

from bridge.calendar.engine.declarations import Variable
from bridge.calendar.engine.sources import walk

NUMBER, TIME, DAY, LINK = "1", "2026-12-01T09:00", "2026-12-15", "https://www.example.com"
LIST: Final = ["a", "b"]

_BY_TYPE = {"number": NUMBER, "yes/no": "no", "day": DAY, "time": TIME}
_BY_FILTER: Mapping[str, Any] = {
    **dict.fromkeys(("money", "number", "plural", "round", "ceil", "floor", "abs"), NUMBER),
    **dict.fromkeys(("times", "divided_by", "modulo", "at_least", "at_most"), NUMBER),
    **dict.fromkeys(("plus", "minus", "at", "in_zone", "date", "time"), TIME),
    "day": DAY,
    "link": LINK,
}
_BY_BLOCK = {
    **dict.fromkeys(("start", "end", "visible_from", "expires"), TIME),
    "timezone": "UTC",
    "notify_before": "15",
    "all_day": "no",
}


def examples(variables: Iterable[Variable], used: Mapping[str, Any]) -> dict[str, Any]:
    """Each variable's example, else its default, else a value of its type, else one that fits its use.

    An example that is a JSON list or object is one: `items required e.g. ["Hat", "Scarf"]`.
    """
    return {variable.name: _example(variable, used) for variable in variables}


def fitting(trees: Iterable[nodes.Node]) -> dict[str, Any]:
    """A value for each name that is used as a number, a time, a link, a list or a field of the event."""
    by_use: dict[str, Any] = {}
    by_block: dict[str, Any] = {}
    for tree in trees:
        for node, place in walk(tree):
            if (
                isinstance(node, nodes.Filter)
                and isinstance(node.node, nodes.Name)
                and node.name in _BY_FILTER
            ):
                by_use.setdefault(node.node.name, _BY_FILTER[node.name])
            elif isinstance(node, nodes.For) and isinstance(node.iter, nodes.Name):
                by_use.setdefault(node.iter.name, LIST)
            elif isinstance(node, nodes.Name) and place in _BY_BLOCK:
                by_block.setdefault(node.name, _BY_BLOCK[place])
    return by_block | by_use


def _example(variable: Variable, used: Mapping[str, Any]) -> Any:
    said = variable.example or variable.default
    if said is not None:
        return _list_or_object(said) if variable.type == "text" else said
    if not variable.required:
        return ""
    if variable.choices:
        return variable.choices[0]
    return _BY_TYPE.get(variable.type) or used.get(variable.name, variable.name)


def _list_or_object(text: str) -> Any:
    if text[:1] not in ("[", "{"):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text
