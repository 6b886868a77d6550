"""Liquid's expressions as the template's: filters, comparisons, and what a blank means in each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from bridge.calendar.engine.filters import FILTERS
from bridge.calendar.liquid.names import Names
from bridge.calendar.liquid.results import Note
from bridge.calendar.liquid.tree import (
    Both,
    Expression,
    Filtered,
    IsBlank,
    Known,
    Literal,
    Local,
    Not,
    Part,
    Span,
)


@dataclass(frozen=True)
class Code:
    """A piece of the template. `kind`: text, number, time, seconds, list, yes/no. `is_loose`: brackets before `|`.

    `asks_for`: what holds if a time or a number in it is there; without it nothing is printed.
    """

    text: str
    kind: str = "text"
    is_loose: bool = False
    asks_for: str | None = None

    @property
    def tight(self) -> str:
        return f"({self.text})" if self.is_loose else self.text


AS_TIME = "as_time"  # no filter of Liquid: seconds that are moved stay a time
FORLOOP = Local("forloop")
Guards = frozenset[str]  # variables that are known to be there


class Expressions:
    """Writes expressions; what has no equal becomes a note and is left out."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.kinds: dict[str, str] = {}  # of the names that the body sets
        self.known = {FORLOOP.name}  # the names that the body sets anywhere
        self.collected: set[str] = set()  # those that it sets within a loop
        self.loops: list[str] = []  # what the loops around are named by
        self.notes: list[Note] = []
        self.line = 0  # of what is written now
        self.lost: list[str] = []  # told beside the output that lost them

    def value(self, value: Expression, guards: Guards = frozenset()) -> Code:
        if isinstance(value, Literal):
            return _literal(value)
        if isinstance(value, Known):
            return self._known(value, guards)
        if isinstance(value, Local):
            return self._local(value.name)
        if isinstance(value, Filtered):
            return self._filtered(value, guards)
        if isinstance(value, Part):
            return self._part(value, guards)
        if isinstance(value, Span):
            first, last = self.value(value.first, guards), self.value(value.last, guards)
            end = str(int(last.text) + 1) if last.text.lstrip("-").isdigit() else f"{last.tight} + 1"
            return Code(f"range({first.text}, {end})", "list")
        return Code(self.condition(value, guards), "yes/no", is_loose=True)

    def condition(self, value: Expression, guards: Guards = frozenset(), *, within: str = "") -> str:
        """A condition; `within`: the operator that it stands beside."""
        if isinstance(value, Both) and value.operator in ("and", "or"):
            left = self.condition(value.left, guards, within=value.operator)
            right_guards = guards | self.guards(value.left) if value.operator == "and" else guards
            right = self.condition(value.right, right_guards, within=value.operator)
            text = f"{left} {value.operator} {right}"
            return f"({text})" if within and within != value.operator else text
        if isinstance(value, Both):
            return self._compared(value, guards, within)
        if isinstance(value, IsBlank):
            return self._blank(value.operand, guards, is_blank=True)
        if isinstance(value, Not):
            return self._not(value.operand, guards)
        if isinstance(value, (Known, Local, Filtered, Part)):
            return self._blank(value, guards, is_blank=False)
        return self.value(value, guards).text

    def guards(self, condition: Expression) -> Guards:
        """The variables that are there if a condition holds."""
        if isinstance(condition, Both) and condition.operator == "and":
            return self.guards(condition.left) | self.guards(condition.right)
        if isinstance(condition, Both) and condition.operator not in ("or", "!="):
            return self._guarded(condition.left) | self._guarded(condition.right)
        if isinstance(condition, Not) and isinstance(condition.operand, IsBlank):
            return self._guarded(condition.operand.operand)
        return self._guarded(condition)

    def guards_otherwise(self, condition: Expression) -> Guards:
        """The variables that are there if a condition does not hold."""
        if isinstance(condition, IsBlank):
            return self._guarded(condition.operand)
        if isinstance(condition, Both) and condition.operator == "or":
            return self.guards_otherwise(condition.left) | self.guards_otherwise(condition.right)
        return self.guards(condition.operand) if isinstance(condition, Not) else frozenset()

    def _guarded(self, value: Expression) -> Guards:
        return frozenset({self.names.variable(value).name}) if isinstance(value, Known) else frozenset()

    def is_told_in_utc(self, value: Expression) -> bool:
        """Whether Liquid tells a moment on UTC's clock: it does so unless it is asked for another."""
        while isinstance(value, Filtered):
            if value.name == "time_zone":
                return False
            value = value.base
        if isinstance(value, Known):
            return self.names.variable(value).is_instant
        return isinstance(value, Literal) and value.value in ("now", "today")

    def _known(self, known: Known, guards: Guards) -> Code:
        variable = self.names.variable(known)
        if variable.is_list:
            return Code(f'{variable.name} | split(",")', "list")
        kind = variable.type
        asks = {"time": variable.name, "number": f"{variable.name} is not blank"}.get(kind)
        may_be_blank = variable.is_optional and variable.name not in guards
        return Code(variable.name, kind, asks_for=asks if may_be_blank else None)

    def _local(self, name: str, line: int = 0) -> Code:
        if name in self.loops:
            return Code(self.names.local(name), "text")
        if name not in self.known:
            self._lose(f'"{name}" is set nowhere, so that Braze prints nothing for it', line)
            return Code(quoted(""))
        return Code(self.own(name), self.kinds.get(name, "text"))

    def own(self, name: str) -> str:
        """How a name of the body's own is written: one that a loop sets is kept in a namespace."""
        return (
            f"{self.collection}.{self.names.local(name)}"
            if name in self.collected
            else self.names.local(name)
        )

    @property
    def collection(self) -> str:
        return self.names.local("collected in loops")

    def _part(self, value: Part, guards: Guards) -> Code:
        if value.base == FORLOOP and isinstance(value.key, Literal):
            name = _LOOP.get(str(value.key.value))
            if name:
                return Code(f"loop.{name}", "number" if "index" in name or name == "length" else "yes/no")
        base = self.value(value.base, guards)
        key = self.value(value.key, guards)
        if base.kind == "list" and isinstance(value.key, Literal) and isinstance(value.key.value, int):
            # A list that is too short has no such item, and Liquid prints nothing then.
            inner = f"({base.text})" if "|" in base.text else base.text
            return Code(f'{inner}[{key.text}] | default("")')
        if isinstance(value.key, Literal) and isinstance(value.key.value, str):
            self._lose(
                f'"{base.text}.{value.key.value}": what Braze sends is text, without parts of its own', 0
            )
        return Code(f"{base.tight}[{key.text}]")

    def _filtered(self, value: Filtered, guards: Guards) -> Code:
        if value.base == FORLOOP and value.name in _LOOP:
            return self._part(Part(FORLOOP, Literal(value.name)), guards)
        write = _FILTERS.get(value.name)
        if value.name == "default" and isinstance(value.base, Known):
            variable = self.names.variable(value.base)
            if variable.default is not None:
                return Code(variable.name, variable.type)
        if value.name in _TIMES and isinstance(value.base, Literal) and value.base.value in ("now", "today"):
            base = Code("now", "time")
        else:
            base = self.value(value.base, guards)
        args = [self.value(arg, guards) for arg in value.args]
        if write is not None:
            return write(self, base, args, value)
        known = ", ".join(arg.text for arg in args)
        if value.name in FILTERS and value.name not in _OTHERWISE:
            return _with(base, f"{value.name}({known})" if known else value.name, "text")
        words = _OTHERWISE.get(value.name) or f'the filter "{value.name}" has no equal here'
        self._lose(f"| {value.name}: {words}", value.line)
        return base

    def _lose(self, words: str, line: int) -> None:
        self.notes.append(Note(line or self.line or None, words))
        self.lost.append(words)

    def _compared(self, value: Both, guards: Guards, within: str) -> str:
        left, right = self.value(value.left, guards), self.value(value.right, guards)
        if value.operator == "contains":
            return f"{right.tight} in {_in_brackets(left) if '|' in left.text else left.tight}"
        for one, other, literal in ((left, right, value.right), (right, left, value.left)):
            if isinstance(literal, Literal) and isinstance(literal.value, bool):
                return self._is_said(one, literal.value, value.operator)
            if one.kind == "text" and other.kind == "number" and isinstance(literal, Literal):
                return f'{one.tight} {value.operator} "{other.text}"'
        text = f"{left.tight} {value.operator} {right.tight}"
        asked = [
            f"{code.text} is not blank"
            for code, side in ((left, value.left), (right, value.right))
            if value.operator not in ("==", "!=") and self._may_be_blank(side, guards)
        ]
        if not asked:
            return text
        text = " and ".join([*asked, text])
        return f"({text})" if within == "or" else text

    def _may_be_blank(self, value: Expression, guards: Guards) -> bool:
        if not isinstance(value, Known):
            return False
        variable = self.names.variable(value)
        return variable.is_optional and variable.type != "text" and variable.name not in guards

    def _is_said(self, code: Code, said: bool, operator: str) -> str:
        word = "true" if said else "false"
        if code.kind != "yes/no":
            return f'{code.tight} {operator} "{word}"'
        if operator == "==" and said:
            return code.tight
        return f"{code.tight} is {'not ' if operator == '!=' else ''}{word}"

    def _blank(self, value: Expression, guards: Guards, *, is_blank: bool) -> str:
        code = self._asked(value, guards)
        if code.kind == "number" or (code.kind == "yes/no" and is_blank):
            return f"{code.tight} is {'' if is_blank else 'not '}blank"
        return f"not {code.tight}" if is_blank else code.text

    def _asked(self, value: Expression, guards: Guards) -> Code:
        """What is asked whether it is there: a list before it is split."""
        if isinstance(value, Known) and self.names.variable(value).is_list:
            return Code(self.names.variable(value).name)
        return self.value(value, guards)

    def _not(self, operand: Expression, guards: Guards) -> str:
        if isinstance(operand, IsBlank):
            code = self._asked(operand.operand, guards)
            if code.kind in ("number", "yes/no"):
                return f"{code.tight} is not blank"
            return code.text
        if isinstance(operand, Not):
            return self.condition(operand.operand, guards)
        if isinstance(operand, (Known, Local)):
            code = self._asked(operand, guards)
            return f"{code.tight} is blank" if code.kind == "number" else f"not {code.tight}"
        if isinstance(operand, Both) and operand.operator in ("==", "!="):
            opposite = "!=" if operand.operator == "==" else "=="
            return self._compared(Both(operand.left, opposite, operand.right), guards, "")
        if isinstance(operand, (Part, Filtered)) and "|" not in (code := self.value(operand, guards)).text:
            return f"not {code.tight}"
        return f"not ({self.condition(operand, guards)})"


def quoted(text: str) -> str:
    """A text as a template writes it."""
    plain = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    mark = "'" if '"' in plain and "'" not in plain else '"'
    return mark + plain.replace(mark, "\\" + mark) + mark


def _literal(value: Literal) -> Code:
    if value.value is None:
        return Code('""')
    if isinstance(value.value, bool):
        return Code("true" if value.value else "false", "yes/no")
    if isinstance(value.value, (int, float)):
        return Code(str(value.value), "number")
    return Code(quoted(value.value))


def _in_brackets(code: Code) -> str:
    return f"({code.text})"


def _with(base: Code, call: str, kind: str) -> Code:
    return Code(f"{base.tight} | {call}", kind, asks_for=base.asks_for)


_Write = Callable[[Expressions, Code, list[Code], Filtered], Code]
_TIMES = ("date", "time_zone")
_LOOP = {
    "index": "index",
    "index0": "index0",
    "rindex": "revindex",
    "rindex0": "revindex0",
    "first": "first",
    "last": "last",
    "length": "length",
}


def _as(name: str, kind: str = "text") -> _Write:
    """The same filter by our name, with its arguments."""

    def write(writer: Expressions, base: Code, args: list[Code], value: Filtered) -> Code:
        given = ", ".join(arg.text for arg in args)
        return _with(_readable(base), f"{name}({given})" if given else name, kind)

    return write


def _readable(base: Code) -> Code:
    """Seconds, which a template keeps as a time, as the number that Liquid has."""
    return _with(base, 'date("%s")', "number") if base.kind == "seconds" else base


def _dropped(writer: Expressions, base: Code, args: list[Code], value: Filtered) -> Code:
    return base


def _default(writer: Expressions, base: Code, args: list[Code], value: Filtered) -> Code:
    base = replace(base, asks_for=None)
    given = args[0].text if args else quoted("")
    plain = replace(base, text=base.text.removesuffix(' | default("")'))
    return _with(plain, f"default({given})", base.kind)


def _number(name: str) -> _Write:
    def write(writer: Expressions, base: Code, args: list[Code], value: Filtered) -> Code:
        if base.kind == "seconds" and name in ("plus", "minus") and isinstance(value.args[0], Literal):
            moved = _elapsed(value.args[0].value)
            if moved:
                return Code(f"{base.tight} | {name}({moved})", "seconds", asks_for=base.asks_for)
        plain = _zero_for_blank(writer, _readable(base), value)
        given = ", ".join(_readable(arg).text for arg in args)
        code = _with(plain, f"{name}({given})" if given else name, "number")
        if (
            name == "divided_by"
            and isinstance(value.args[0], Literal)
            and isinstance(value.args[0].value, int)
        ):
            code = _with(code, "floor", "number")  # Liquid divides whole numbers without a rest
        return code

    return write


def _zero_for_blank(writer: Expressions, base: Code, value: Filtered) -> Code:
    known = value.base
    if isinstance(known, Known) and base.kind == "number" and writer.names.variable(known).is_optional:
        return _with(replace(base, asks_for=None), "default(0)", "number")
    return base


def _elapsed(seconds: object) -> str:
    """The words of plus and minus for so many seconds; "" for what is no number."""
    if isinstance(seconds, str) and seconds.lstrip("-").isdigit():
        seconds = int(seconds)
    if not isinstance(seconds, (int, float)) or isinstance(seconds, bool):
        return ""
    if seconds % 3600 == 0:
        return f"hours={int(seconds // 3600)}"
    return f"minutes={int(seconds // 60) if seconds % 60 == 0 else seconds / 60}"


def _date(writer: Expressions, base: Code, args: list[Code], value: Filtered) -> Code:
    if not args:
        return base
    if value.args[0] == Literal("%s"):
        return base if base.kind == "seconds" else Code(_timed(base), "seconds", asks_for=base.asks_for)
    if base.kind in ("time", "seconds") and writer.is_told_in_utc(value.base):
        base = _with(base, 'in_zone("UTC")', "time")
    return _with(base, f"date({args[0].text})", "text")


def _timed(base: Code) -> str:
    return base.tight if base.kind == "time" else f"{base.tight} | time"


def _time_zone(writer: Expressions, base: Code, args: list[Code], value: Filtered) -> Code:
    zone = args[0].text if args else quoted("UTC")
    if base.kind == "seconds" or base.kind == "time":
        return Code(f"{base.tight} | in_zone({zone})", base.kind, asks_for=base.asks_for)
    return Code(f"{base.tight} | time | in_zone({zone})", "time")


def _split(writer: Expressions, base: Code, args: list[Code], value: Filtered) -> Code:
    given = args[0].text if args else quoted(" ")
    if base.kind == "list":
        return base
    return _with(base, f"split({given})", "list")


def _join(writer: Expressions, base: Code, args: list[Code], value: Filtered) -> Code:
    return _with(base, f"join({args[0].text if args else quoted(' ')})", "text")


def _item(name: str) -> _Write:
    # Of an empty list Liquid gives nothing, and a template would refuse it.
    return lambda writer, base, args, value: _with(base, f'{name} | default("")', "text")


def _strip_newlines(writer: Expressions, base: Code, args: list[Code], value: Filtered) -> Code:
    return _with(base, f"replace({quoted(chr(10))}, {quoted('')})", "text")


def _truncate(writer: Expressions, base: Code, args: list[Code], value: Filtered) -> Code:
    length = args[0].text if args else "50"
    end = args[1].text if len(args) > 1 else quoted("...")
    return _with(base, f"truncate({length}, true, {end})", "text")


def _truncatewords(writer: Expressions, base: Code, args: list[Code], value: Filtered) -> Code:
    count = args[0].text if args else "15"
    return _with(base, f"words({count}, {args[1].text if len(args) > 1 else quoted('...')})", "text")


def _slice(writer: Expressions, base: Code, args: list[Code], value: Filtered) -> Code:
    numbers = [arg.value for arg in value.args if isinstance(arg, Literal)]
    if len(numbers) != len(args) or not all(isinstance(n, int) for n in numbers) or not numbers:
        writer._lose("| slice: its places have to be written as numbers", value.line)
        return base
    start, size = int(str(numbers[0])), int(str(numbers[1])) if len(numbers) > 1 else 1
    end = "" if start < 0 and start + size >= 0 else str(start + size)
    inner = f"({base.text})" if "|" in base.text or base.is_loose else base.text
    return Code(f"{inner}[{start}:{end}]", base.kind)


def _map(writer: Expressions, base: Code, args: list[Code], value: Filtered) -> Code:
    writer._lose(f"| {value.name}: what Braze sends is text, and its items have no parts", value.line)
    return base


def _told(words: str, write: _Write) -> _Write:
    """As `write`, with a note that nobody has to act on."""

    def told(writer: Expressions, base: Code, args: list[Code], value: Filtered) -> Code:
        writer.notes.append(Note(value.line or None, f"| {value.name}: {words}", is_open=False))
        return write(writer, base, args, value)

    return told


_FILTERS: dict[str, _Write] = {
    AS_TIME: lambda writer, base, args, value: replace(base, kind="time"),
    "default": _default,
    "json_escape": _dropped,
    "as_json_string": _dropped,
    "escape": _told("text needs no escaping here", _dropped),
    "escape_once": _told("text needs no escaping here", _dropped),
    "newline_to_br": _told("line breaks stay as they are", _dropped),
    "date": _date,
    "time_zone": _time_zone,
    "upcase": _as("upper"),
    "downcase": _as("lower"),
    "capitalize": _as("capitalize"),
    "append": _as("append"),
    "prepend": _as("prepend"),
    "strip": _as("strip"),
    "lstrip": _as("lstrip"),
    "rstrip": _as("rstrip"),
    "strip_html": _as("strip_html"),
    "strip_newlines": _strip_newlines,
    "replace": _as("replace"),
    "replace_first": _as("replace_first"),
    "remove": _as("remove"),
    "remove_first": _as("remove_first"),
    "truncate": _truncate,
    "truncatewords": _truncatewords,
    "slice": _slice,
    "url_encode": _told("a blank becomes %20 instead of +, which links read alike", _as("url_encode")),
    "url_param_escape": _as("url_encode"),
    "url_escape": _as("url_encode"),
    "split": _split,
    "join": _join,
    "first": _item("first"),
    "last": _item("last"),
    "size": _as("length", "number"),
    "sort": _as("sort", "list"),
    "sort_natural": _as("sort", "list"),
    "uniq": _as("unique", "list"),
    "reverse": _as("reverse", "list"),
    "compact": _as("compact", "list"),
    "concat": _as("concat", "list"),
    "sum": _as("sum", "number"),
    "map": _map,
    "where": _map,
    **{
        name: _number(name)
        for name in ("plus", "minus", "times", "divided_by", "modulo", "round", "ceil", "floor", "abs")
    },
    "at_least": _number("at_least"),
    "at_most": _number("at_most"),
    "number_with_delimiter": _as("number"),
}
# Filters whose name a template has for something else, or for nothing, with what to do.
_OTHERWISE = {
    **dict.fromkeys(
        (
            *("md5", "sha1", "sha2", "hmac_sha1_hex", "hmac_sha256_hex", "hmac_sha1_base64"),
            *("hmac_sha256_base64", "base64_encode", "base64_decode"),
        ),
        "make it in the webhook's body, and send it as a variable",
    ),
    **dict.fromkeys(
        ("json_parse", "property_accessor"), "take the part in the webhook's body, and send it as a variable"
    ),
    "url_decode": "send the text as it is meant to be read",
}
