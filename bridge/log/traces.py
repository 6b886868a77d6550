"""Exceptions as they may be logged: types and places. Their words may hold what a caller sent, or a password."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Any

MOST_FRAMES = 25  # of one exception, those nearest to its fault
MOST_CAUSES = 8

_CODE = re.compile("[A-Z0-9]{5}")  # SQLSTATE


def without_words(
    exc_info: tuple[type[BaseException], BaseException, TracebackType | None],
) -> str:
    """What Python's own traceback shows, without the lines of code and without the messages."""
    error = exc_info[1]
    return "\n\n".join(_one(one) for one in reversed(list(_causes(error))))


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen and len(seen) < MOST_CAUSES:
        seen.add(id(one))
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)


def _one(error: BaseException) -> str:
    frames = list(traceback.walk_tb(error.__traceback__))[-MOST_FRAMES:]
    places = [
        f'  File "{frame.f_code.co_filename}", line {number}, in {frame.f_code.co_name}'
        for frame, number in frames
    ]
    return "\n".join(["Traceback (most recent call last):", *places, _named(error)])


def _named(error: BaseException) -> str:
    """Its type, and a code where it has one: those are the system's and no caller's."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    code: Any = getattr(error, "sqlstate", None) or getattr(error, "errno", None)
    is_code = isinstance(code, int) or (isinstance(code, str) and _CODE.fullmatch(code))
    return f"{name} ({code})" if is_code else name
