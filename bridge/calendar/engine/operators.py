"""What `+`, `*`, `<` and `==` mean inside a template: nothing is guessed, and no result is too large."""

from __future__ import annotations

import operator
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

from bridge.calendar.engine.budget import check_count, check_length, current, made
from bridge.calendar.engine.faults import Refusal
from bridge.calendar.engine.text_filters import percent_format
from bridge.calendar.engine.times import Time
from bridge.calendar.engine.values import (
    Blank,
    describe,
    have_order,
    is_nothing,
    quoted,
    read_number,
    refuse_missing,
)


def binary(sign: str, left: Any, right: Any) -> Any:
    """`left sign right`, for numbers; `+` also joins two texts or two lists, `%` fills a text's codes."""
    if type(left) in _NUMBERS and type(right) in _NUMBERS:
        return made(_ARITHMETIC[sign](_exact(left), _exact(right)))
    if sign == "+" and isinstance(left, str) and isinstance(right, str):
        check_length(len(left) + len(right))
        return made(left + right)
    if sign == "+" and isinstance(left, list) and isinstance(right, list):
        check_count(len(left) + len(right))
        return made(left + right)
    if sign == "%" and isinstance(left, str):
        return made(percent_format(left, *(right if isinstance(right, tuple) else (right,))))
    for value in (left, right):
        _refuse_operand(sign, value, other=right if value is left else left)
    raise Refusal(f'"{sign}" does not work with {describe(left)} and {describe(right)}')


def unary(sign: str, value: Any) -> Any:
    """`-value` or `+value`, for numbers."""
    if type(value) in _NUMBERS:
        return -_exact(value) if sign == "-" else _exact(value)
    _refuse_operand(sign, value, other=0)
    raise Refusal(f'"{sign}" does not work with {describe(value)}')


def compare(left: Any, sign: str, right: Any) -> bool:
    """`left sign right`; two values whose types cannot be compared are a mistake, never just unequal."""
    if type(left) is str and type(right) is str:
        return bool(_COMPARISONS[sign](left, right))
    for value in (left, right):
        refuse_missing(value)
    if sign in ("in", "notin"):
        return _contains(right, left) is (sign == "in")
    if is_nothing(left) or is_nothing(right):
        return _compare_blank(left, sign, right)
    if sign in ("eq", "ne"):
        _check_equality(left, right)
    elif not have_order(left, right):
        _refuse_order(left, right)
    current().tick()
    return bool(_COMPARISONS[sign](_exact(left), _exact(right)))


def compare_all(left: Any, *pairs: tuple[str, Any]) -> bool:
    """`a < b < c`."""
    for sign, right in pairs:
        if not compare(left, sign, right):
            return False
        left = right
    return True


_NUMBERS = frozenset({int, Decimal, float})
_MAX_POWER = 64


def _power(base: int | Decimal, exponent: int | Decimal) -> int | Decimal:
    if not -_MAX_POWER <= exponent <= _MAX_POWER:
        raise Refusal(f"a power of more than {_MAX_POWER} is too large", "result too large")
    result: int | Decimal = Decimal(base) ** Decimal(exponent) if exponent < 0 else base**exponent
    return result


_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda left, right: Decimal(left) / Decimal(right),
    "//": operator.floordiv,
    "%": operator.mod,
    "**": _power,
}
_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "lteq": operator.le,
    "gt": operator.gt,
    "gteq": operator.ge,
    "in": lambda left, right: left in right,
    "notin": lambda left, right: left not in right,
}
_TYPED = (bool, int, float, Decimal, Time, date)


def _exact(value: Any) -> Any:
    return read_number(repr(value)) if type(value) is float else value


def _refuse_operand(sign: str, value: Any, other: Any) -> None:
    refuse_missing(value)
    if is_nothing(value):
        name = f'"{value.name}"' if isinstance(value, Blank) else "a value"
        raise Refusal(f'{name} is blank, and "{sign}" needs a number', "missing variable")
    if isinstance(value, str):
        hint = 'join texts with "~"' if sign == "+" and type(other) not in (int, Decimal) else ""
        raise Refusal(
            f'"{sign}" needs numbers, and {quoted(value)} is text: {hint or "declare it as a number"}'
        )
    if isinstance(value, (Time, date)):
        raise Refusal(
            f'"{sign}" does not work with {describe(value)}: write | plus(hours=2) or | minus(days=1)'
        )


def _contains(container: Any, item: Any) -> bool:
    if isinstance(container, str):
        if not isinstance(item, str):
            raise Refusal(f"{describe(item)} cannot be in a text")
        return item in container
    if isinstance(container, (list, tuple, range)):
        return _exact(item) in container
    if isinstance(container, dict):
        return isinstance(item, (str, int, Decimal)) and item in container
    if is_nothing(container):
        return False
    raise Refusal(f'"in" needs a list or a text, not {describe(container)}')


def _compare_blank(left: Any, sign: str, right: Any) -> bool:
    if sign in ("eq", "ne"):
        is_equal = all(is_nothing(value) or value == "" for value in (left, right))
        return is_equal is (sign == "eq")
    name = next((f'"{value.name}"' for value in (left, right) if isinstance(value, Blank)), "a value")
    raise Refusal(
        f"{name} is blank and cannot be compared: ask first whether it is given", "missing variable"
    )


def _check_equality(left: Any, right: Any) -> None:
    for one, other in ((left, right), (right, left)):
        if isinstance(one, _TYPED) and isinstance(other, str) and other.strip():
            if isinstance(one, bool):
                hint = "ask for it as it is, {% if … %} or {% if not … %}"
            elif isinstance(one, (Time, date)):
                hint = "compare times with times: | time, or days with days: | day"
            else:
                hint = f"write the number without quotes, or declare the variable as a number, not {quoted(other)}"
            raise Refusal(f"{describe(one)} is never equal to a text: {hint}")


def _refuse_order(left: Any, right: Any) -> None:
    hint = ": declare the variable as a number" if {str} & {type(left), type(right)} else ""
    raise Refusal(f"{describe(left)} cannot be compared with {describe(right)}{hint}")
