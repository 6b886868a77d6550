"""Sample users for a body: complete, with blanks, with awkward names, and one for each value that is asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bridge.calendar.liquid.names import BRIDGES, Names, Variable
from bridge.calendar.liquid.reading import ROOTS
from bridge.calendar.liquid.tree import Known
from bridge.calendar.liquid.writing import example_of

MOST_USERS = 24
AWKWARD = "Zoë O'Hara <b>😀</b>\nof Łódź"
QUOTED = 'Anna "Ann" Back\\slash'

# What every user has who gets an event at all.
_SUFFIX = "f5733866ade2"
BASIS: Mapping[Known, Any] = {
    Known("", "user_id"): "u-1",
    Known("custom_attribute", "rokt:subscription_id"): [f"06423672-b6ba-4536-aa36-{_SUFFIX}"],
    Known("custom_attribute", "rokt:account_code"): [f"brazetest/{_SUFFIX}"],
    Known("custom_attribute", "rokt:calendar_code"): [f"test-calendar-1/{_SUFFIX}"],
    Known("campaign", "dispatch_id"): "0123456789abcdef",
}


@dataclass(frozen=True)
class Sample:
    """`braze`: as Liquid sees the values; `sent`: the variables, as the webhook's body sends them."""

    name: str
    braze: Mapping[str, Any]
    sent: Mapping[str, Any] = field(default_factory=dict)


def sample_users(names: Names) -> list[Sample]:
    """At least three users, and one for each value that the body compares something with."""
    variables = list(names.variables.values())
    whole = {variable.known: _value(variable) for variable in variables}
    free = [v for v in variables if v.type == "text" and v.is_printed and not _is_particular(v)]
    users = [_sample("complete", variables, whole)]
    if variables:
        needed = {v.known: whole[v.known] if v.is_required else None for v in variables}
        users.append(_sample("only what is required", variables, needed))
    if free:
        users.append(_sample("awkward name", variables, whole | {v.known: _like(v, AWKWARD) for v in free}))
        users.append(
            _sample("quotes in the name", variables, whole | {v.known: _like(v, QUOTED) for v in free})
        )
    for variable in variables:
        for value in _variations(variable):
            title = f"{variable.name}: {'blank' if value is None else _sent(value)}"
            users.append(_sample(title, variables, whole | {variable.known: value}))
    unique: dict[str, Sample] = {}
    for user in users:
        unique.setdefault(repr(user.sent), user)
    return list(unique.values())[:MOST_USERS]


def _variations(variable: Variable) -> list[Any]:
    """Values on both sides of what the body asks."""
    return [value for value in _asked(variable) if value is not None or not variable.is_required]


def _asked(variable: Variable) -> list[Any]:
    if variable.type == "yes/no":
        return [True, False, None]
    if variable.type == "number":
        near = [value + step for value in variable.numbers for step in (-1, 0, 1)]
        return [*dict.fromkeys(near), None]
    if variable.is_list:
        return [["One"], None]
    texts = [*dict.fromkeys(variable.texts)]
    return [*texts, "something else", None] if texts else [None]


def _is_particular(variable: Variable) -> bool:
    """Whether not every text would do: a zone, a part of a time."""
    return bool(variable.example or variable.texts) or variable.is_time or variable.is_key


def _like(variable: Variable, text: str) -> Any:
    return [text.replace(",", " "), "B"] if variable.is_list else text


def _value(variable: Variable) -> Any:
    example = example_of(variable)
    if variable.is_list:
        return example.split(",")
    if variable.type == "yes/no":
        return True
    if variable.type == "number":
        return float(example) if "." in example else int(example)
    return example


def _sample(name: str, variables: list[Variable], values: Mapping[Known, Any]) -> Sample:
    braze: dict[str, Any] = {root: {} for root in ROOTS}
    for known, value in {**{k: v for k, v in BASIS.items() if k in BRIDGES or k.kind}, **values}.items():
        _put(braze, known, value)
    sent = {variable.name: _sent(values[variable.known]) for variable in variables}
    return Sample(name, braze, sent)


def _put(braze: dict[str, Any], known: Known, value: Any) -> None:
    root = braze.setdefault(ROOTS[0] if not known.kind else known.kind, {})
    keys = [known.name, *_KEY.findall(known.path)]
    if known.kind == "connected_content":
        root, keys = braze, keys
    for key in keys[:-1]:
        inner = root.get(key)
        root[key] = root = inner if isinstance(inner, _Loose) else _Loose()
    root[keys[-1]] = value


class _Loose(dict[Any, Any]):
    """An object that is also a list: `order.items[0].name` is known by its written path alone."""

    def __missing__(self, key: Any) -> Any:
        if isinstance(key, int) and str(key) in self:
            return self[str(key)]
        raise KeyError(key)


_KEY = re.compile(r"[^.\[\]]+")


def _sent(value: Any) -> Any:
    """A value as it comes by the webhook: text, a list joined, nothing as blank."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
