"""Faults to switch on: for a path, a number of times, a status, a delay, a dropped connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bridge.errors import InvalidValue

LONGEST_DELAY = 120.0


@dataclass
class Fault:
    """`path`: a prefix, "" for all. `times`: None until it is taken away. `status`, `body`, `retry_after`:
    answered instead of processing. `delay`: seconds, after it. `drop`: the connection "before" or "after" it.
    """

    path: str = ""
    method: str | None = None
    times: int | None = None
    status: int | None = None
    delay: float = 0.0
    drop: str | None = None
    retry_after: float | None = None
    body: Any = None

    @classmethod
    def parse(cls, asked: object) -> Fault:
        """Raises InvalidValue with all that is wrong."""
        if not isinstance(asked, Mapping):
            raise InvalidValue(f"a JSON object with some of {', '.join(_RIGHT)}")
        wrong = [f"{name} is not known: one of {', '.join(_RIGHT)}" for name in asked if name not in _RIGHT]
        given = {name: asked[name] for name in _RIGHT if asked.get(name) is not None}
        wrong += [f"{name}: {_RIGHT[name][0]}" for name in given if not _RIGHT[name][1](given[name])]
        if not wrong:
            given.setdefault("status", 429) if "retry_after" in given and "drop" not in given else None
            if not {"status", "delay", "drop"} & given.keys():
                wrong.append("say what goes wrong: status, delay, drop or retry_after")
            elif {"status", "drop"} <= given.keys():
                wrong.append("status and drop exclude each other")
        if wrong:
            raise InvalidValue("; ".join(wrong))
        return cls(**given)


def _is_count(value: Any) -> bool:
    return type(value) is int and value > 0


def _is_number(value: Any, most: float) -> bool:
    return type(value) in (int, float) and 0 <= value <= most


_RIGHT: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "path": ('the beginning of a path, such as "/v1"', lambda value: isinstance(value, str)),
    "method": (
        "GET, POST, PUT, PATCH or DELETE",
        lambda value: value in ("GET", "POST", "PUT", "PATCH", "DELETE"),
    ),
    "times": ("a whole number above 0, or null for always", _is_count),
    "status": ("a status from 200 to 599", lambda value: type(value) is int and 200 <= value <= 599),
    "delay": (f"seconds, 0 to {LONGEST_DELAY:.0f}", lambda value: _is_number(value, LONGEST_DELAY)),
    "drop": ('"before" or "after" processing', lambda value: value in ("before", "after")),
    "retry_after": ("seconds, 0 to 86400", lambda value: _is_number(value, 86400)),
    "body": ("any JSON", lambda value: True),
}
