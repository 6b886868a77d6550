"""The values inside a template: what Braze sent, made into its declared type, and how each type prints."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any, Final

from jinja2 import StrictUndefined, Undefined
from jinja2.exceptions import TemplateRuntimeError
from jinja2.utils import missing as no_object

from bridge.calendar.engine.budget import MAX_NUMBER
from bridge.calendar.engine.faults import Refusal, did_you_mean
from bridge.calendar.engine.times import Time, UnreadTime
from bridge.errors import InvalidValue

YES: Final = frozenset({"yes", "true", "1", "on", "y"})
NO: Final = frozenset({"no", "false", "0", "off", "n"})


class UnknownName(TemplateRuntimeError):
    """A template asked for a name that nobody gave; its message is that name."""


class Missing(StrictUndefined):
    """What stands for a name, key or index that is not there: an error as soon as it is used.

    A missing key may be asked for (`{% if prices[city] %}`); an unknown name not even that.
    """

    __slots__ = ()

    def __init__(
        self,
        hint: str | None = None,
        obj: Any = no_object,
        name: Any = None,
        exc: type[Exception] | None = None,
    ) -> None:
        is_bare = hint is None and obj is no_object
        super().__init__(hint, obj, name, UnknownName if is_bare else _Nothing)

    @property
    def _undefined_message(self) -> str:
        if self._undefined_hint:
            return self._undefined_hint
        if self._undefined_obj is no_object:
            return str(self._undefined_name)
        name, obj = self._undefined_name, self._undefined_obj
        if isinstance(obj, dict):
            return (
                f'there is no "{name}" here{did_you_mean(str(name), [k for k in obj if isinstance(k, str)])}'
            )
        return f'{describe(obj)} has no "{name}"'

    def __bool__(self) -> bool:  # type: ignore[override]  # Jinja's never returns
        if self._undefined_exception is UnknownName:
            self._fail_with_undefined_error()
        return False


class _Nothing(TemplateRuntimeError):
    """A key or an index that is not there; its message is for the marketer."""


class Blank:
    """An optional variable without a default that nobody gave: false, prints nothing, is no number and no time."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __bool__(self) -> bool:
        return False


def refuse_missing(value: object) -> None:
    """Raise what a missing name or key raises when it is used; any other value passes."""
    if isinstance(value, (Missing, UnreadTime)):
        as_text(value)


def is_nothing(value: object) -> bool:
    """Null, an optional variable that nobody gave, or a condition without else; a blank text is still a text."""
    return value is None or isinstance(value, (Blank, Undefined))


def is_blank(value: object) -> bool:
    """Missing, null and blank are one: Braze sends a missing value as blank text."""
    return (
        value is None
        or isinstance(value, (Blank, Undefined))
        or (isinstance(value, str) and not value.strip())
    )


def as_text(value: object) -> str:
    """A value as it prints. Refusal for what has no text of its own."""
    write = _WRITERS.get(type(value))
    if write is not None:
        return write(value)
    if isinstance(value, str):
        return value
    if isinstance(value, Missing):
        return str(value)
    if isinstance(value, Undefined):  # {{ x if y }} without else
        return ""
    if isinstance(value, UnreadTime):
        value.refuse()
    hint = ': add | join(", ")' if isinstance(value, (list, tuple)) else ""
    raise Refusal(f"{describe(value)} cannot be printed{hint}")


def as_number(value: object) -> int | Decimal:
    """A number as it is, or a text that is one; nothing turns into 0."""
    kind = type(value)
    if kind is int or kind is Decimal:
        return value  # type: ignore[return-value]
    if kind is float:
        return read_number(repr(value))
    if isinstance(value, str):
        return read_number(value)
    if isinstance(value, Blank):
        raise Refusal(f'"{value.name}" is blank, and a number is needed', "missing variable")
    refuse_missing(value)
    raise Refusal(f"{describe(value)} is not a number")


def as_whole(value: object) -> int:
    number = as_number(value)
    if number != int(number):
        raise Refusal(f"{as_text(number)} is not a whole number")
    return int(number)


def read_number(text: str) -> Decimal:
    """A number as Braze writes it: 50, 12.5, 1,249.50, -3. InvalidValue for anything else."""
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        hint = "; write 1249.50, with a point" if _EUROPEAN.fullmatch(text.strip()) else ", such as 1249.50"
        raise InvalidValue(f"{quoted(text)} is not a number{hint}")
    number = Decimal(match[0].replace(",", ""))
    if not -MAX_NUMBER < number < MAX_NUMBER or len(number.as_tuple().digits) > _MAX_DIGITS:
        raise InvalidValue(f"{quoted(text)} has more digits than a number here can have")
    return number


def read_yes_no(text: str) -> bool:
    word = text.strip().casefold()
    if word in YES:
        return True
    if word in NO:
        return False
    raise InvalidValue(f"{quoted(text)} is neither yes nor no")


def have_order(left: object, right: object) -> bool:
    """Whether two values are of one kind that has a smaller and a larger."""
    return any(isinstance(left, kind) and isinstance(right, kind) for kind in _ORDERED)


def describe(value: object) -> str:
    """A value's type in a marketer's words."""
    for kind, words in _WORDS:
        if isinstance(value, kind):
            return words
    return "this"


def quoted(text: str) -> str:
    """A value within a sentence, cut."""
    cut = text if len(text) <= _LONGEST_ECHO else text[:_LONGEST_ECHO] + "…"
    return '"' + "".join(c if c.isprintable() else " " for c in cut) + '"'


def number_text(number: int | Decimal | float) -> str:
    """50 for 50.0, 1249.5 for 1249.50, never an exponent."""
    if type(number) is int:
        return str(number)
    plain = format(Decimal(str(number)).normalize(), "f")
    return "0" if plain == "-0" else plain


_LONGEST_ECHO = 60
_MAX_DIGITS = 28
_NUMBER = re.compile(
    r"[+-]?(?:(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,18})(?:\.[0-9]{1,18})?|\.[0-9]{1,18})(?:[eE][+-]?[0-9]{1,2})?"
)
_EUROPEAN = re.compile(r"[0-9.]+,[0-9]+")

_WRITERS: dict[type, Callable[[Any], str]] = {
    str: lambda value: value,
    int: str,
    Decimal: number_text,
    float: lambda value: number_text(as_number(value)),
    bool: lambda value: "yes" if value else "no",
    Time: str,
    date: date.isoformat,
    Blank: lambda _: "",
    type(None): lambda _: "",
}
_ORDERED = ((int, float, Decimal), str, Time, date)
_WORDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "a yes/no"),
    ((int, float, Decimal), "a number"),
    (str, "text"),
    ((Time, UnreadTime), "a time"),
    (date, "a day"),
    ((list, tuple, range), "a list"),
    (dict, "an object"),
    ((Blank, type(None), Undefined), "a blank"),
)
