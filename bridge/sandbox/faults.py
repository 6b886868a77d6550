"""Faults to switch on: for some calls a status, a delay, a dropped connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bridge.errors import InvalidValue
from bridge.sandbox.http import Request

LONGEST_DELAY = 120.0
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@dataclass
class Fault:
    """`path`: a prefix, "" for all. `times`: None until it is taken away. `status` with `body` and `retry_after`:
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
        """Reads what was posted; null is as good as absent. Raises InvalidValue with all that is wrong."""
        if not isinstance(asked, Mapping):
            raise InvalidValue(f"a JSON object with some of {', '.join(_RIGHT)}")
        given = {name: value for name, value in asked.items() if value is not None}
        wrong = [f"{name}: not known; there are {', '.join(_RIGHT)}" for name in given if name not in _RIGHT]
        wrong += [
            f"{name}: {words}"
            for name, (words, is_right) in _RIGHT.items()
            if name in given and not is_right(given[name])
        ]
        if "retry_after" in given:
            given.setdefault("status", 429)
        if not given.keys() & {"status", "delay", "drop"}:
            wrong.append("what goes wrong is missing: status, delay, drop or retry_after")
        if given.keys() >= {"status", "drop"}:
            wrong.append("a dropped connection has no status and no retry_after")
        if "body" in given and "status" not in given:
            wrong.append("a body needs a status")
        if wrong:
            raise InvalidValue("; ".join(wrong))
        return cls(**given)

    def hits(self, request: Request) -> bool:
        return request.path.startswith(self.path) and self.method in (None, request.method)


def _is_whole(value: object, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


def _is_number(value: object, most: float) -> bool:
    return type(value) in (int, float) and 0 <= value <= most  # type: ignore[operator]


_RIGHT: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "path": ('the beginning of a path, such as "/v1"', lambda value: isinstance(value, str)),
    "method": (f"one of {', '.join(METHODS)}", lambda value: value in METHODS),
    "times": ("a whole number above 0, or null for always", lambda value: _is_whole(value, 1, 10**9)),
    "status": ("a status from 200 to 599", lambda value: _is_whole(value, 200, 599)),
    "delay": (f"seconds, at most {LONGEST_DELAY:.0f}", lambda value: _is_number(value, LONGEST_DELAY)),
    "drop": ('"before" or "after" processing', lambda value: value in ("before", "after")),
    "retry_after": ("seconds, at most 86400", lambda value: _is_number(value, 86400)),
    "body": ("any JSON", lambda value: True),
}
