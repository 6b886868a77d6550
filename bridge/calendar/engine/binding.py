"""The variables of a request, checked against what a template declares and made into its types."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bridge.calendar.engine.declarations import Variable
from bridge.calendar.engine.faults import Refusal, TemplateFault, did_you_mean
from bridge.calendar.engine.times import Time, UnreadTime
from bridge.calendar.engine.values import (
    Blank,
    as_number,
    as_text,
    describe,
    is_blank,
    quoted,
    read_number,
    read_yes_no,
)
from bridge.calendar.zones import Zone, find_zone, parse_day, parse_time
from bridge.errors import InvalidValue


@dataclass(frozen=True)
class Bound:
    """Values of their types; `times` are still text, as they are read once the zone is known."""

    values: dict[str, Any]
    times: tuple[tuple[Variable, str], ...]

    def unread(self) -> dict[str, Any]:
        """All values before the zone is known."""
        return self.values | {variable.name: UnreadTime(variable.name) for variable, _ in self.times}

    def read(self, zone: Zone) -> dict[str, Any]:
        """All values, with the times on the zone's clock. Errors: TemplateFault."""
        values = dict(self.values)
        for variable, text in self.times:
            try:
                values[variable.name] = Time(parse_time(text, zone), zone)
            except InvalidValue as error:
                raise _fault(variable, "wrong value", str(error)) from error
        return values


def bind(
    template: str, variables: Sequence[Variable], given: Mapping[str, object], needed: frozenset[str] | None
) -> Bound:
    """Check and convert `given`. With `needed`, only those of its names that are needed have to be there.

    Errors: TemplateFault for an unknown, a missing, a wrong value.
    """
    known = {variable.name for variable in variables}
    for name in given:
        if name not in known:
            words = f'"{name[:60]}" is neither declared nor used by this template{did_you_mean(name, known)}'
            raise TemplateFault(template, None, f"variables.{name[:60]}", "unknown variable", words)
    values: dict[str, Any] = {}
    times: list[tuple[Variable, str]] = []
    for variable in variables:
        name = variable.name
        if needed is not None and name not in needed:
            continue
        if name not in given and not variable.is_declared and not variable.required:
            continue
        raw = given.get(name)
        if is_blank(raw):
            if variable.required:
                raise _missing(variable, known, is_sent=name in given)
            raw = variable.default
        if raw is None:
            values[name] = "" if variable.type == "text" else Blank(name)
        elif variable.type == "time":
            times.append((variable, _time_text(variable, raw)))
        else:
            values[name] = convert(variable, raw)
    return Bound(values, tuple(times))


def convert(variable: Variable, raw: object) -> object:
    """A value of any type but time. Errors: TemplateFault."""
    try:
        return _CONVERTERS[variable.type](variable, raw)
    except InvalidValue as error:
        raise _fault(variable, "wrong value", str(error)) from error


def check_declared(variables: Sequence[Variable]) -> None:
    """Defaults and examples must be values of their own type. Errors: TemplateFault with the line."""
    utc = find_zone("UTC")
    for variable in variables:
        for text in filter(None, (variable.default, variable.example)):
            if variable.type == "time":
                Bound({}, ((variable, text),)).read(utc)
            else:
                convert(variable, text)


def _text(_: Variable, raw: object) -> object:
    """Text as it is, a JSON number or boolean as text; a list or an object stays one, to be looped over."""
    if isinstance(raw, (str, list, dict)):
        return raw
    if isinstance(raw, bool):
        return "true" if raw else "false"
    return as_text(as_number(raw))


def _number(_: Variable, raw: object) -> object:
    if isinstance(raw, bool) or not isinstance(raw, (str, int, float)):
        raise Refusal(f"{describe(raw)} is not a number")
    return read_number(str(raw))


def _yes_no(_: Variable, raw: object) -> object:
    if not isinstance(raw, (str, bool, int)):
        raise Refusal(f"{describe(raw)} is neither yes nor no")
    return read_yes_no(str(raw))


def _day(_: Variable, raw: object) -> object:
    if not isinstance(raw, str):
        raise Refusal(f"{describe(raw)} is not a day, such as 2026-12-15")
    return parse_day(raw)


def _choice(variable: Variable, raw: object) -> object:
    text = str(_text(variable, raw)).strip()
    for choice in variable.choices:
        if choice.casefold() == text.casefold():
            return choice
    choices = ", ".join(variable.choices)
    raise Refusal(f"{quoted(text)} is not one of {choices}{did_you_mean(text, variable.choices)}")


_CONVERTERS: dict[str, Callable[[Variable, object], object]] = {
    "text": _text,
    "number": _number,
    "yes/no": _yes_no,
    "day": _day,
    "one of": _choice,
}


def _time_text(variable: Variable, raw: object) -> str:
    if not isinstance(raw, str):
        raise _fault(variable, "wrong value", f"{describe(raw)} is not a time, such as 2026-12-01T09:00")
    return raw


def _missing(variable: Variable, known: set[str], *, is_sent: bool) -> TemplateFault:
    name = variable.name
    if variable.is_declared:
        return _refused(
            variable,
            "missing variable",
            f'"{name}" is required and {"is blank" if is_sent else "was not sent"}',
        )
    if is_sent:
        words = f'"{name}" is blank, and required as long as the first comment does not declare it'
        return _refused(variable, "missing variable", words)
    hint = did_you_mean(name, known - {name})
    either = f"{hint} If not, declare it" if hint else ": declare it"
    return _refused(
        variable, "unknown name", f'"{name}" is not declared{either} in the first comment, or send it'
    )


def _fault(variable: Variable, cause: str, words: str) -> TemplateFault:
    return _refused(variable, cause, f"{variable.name}: {words}")


def _refused(variable: Variable, cause: str, words: str) -> TemplateFault:
    return TemplateFault(variable.template, variable.line, f"variables.{variable.name}", cause, words)
