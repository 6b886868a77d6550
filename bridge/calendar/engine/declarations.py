"""The first comment of a template: what it is for, and the variables that it declares."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from bridge.calendar.engine.faults import TemplateFault, did_you_mean

TYPES = ("text", "number", "time", "day", "yes/no", "one of")
# Names that mean something in every template.
RESERVED = frozenset(
    (
        *("now", "range", "namespace", "dict", "self", "super", "loop", "caller", "varargs", "kwargs"),
        *("true", "false", "none", "True", "False", "None", "not", "and", "or", "in", "is", "if", "else"),
    )
)


@dataclass(frozen=True)
class Variable:
    """One variable, as its line in the comment says. `choices` only for `one of`; `default` None: there is none.

    A name that a template uses and does not declare is a Variable too: text, required, `is_declared` false.
    """

    name: str
    type: str = "text"
    required: bool = False
    default: str | None = None
    choices: tuple[str, ...] = ()
    example: str | None = None
    note: str = ""
    template: str = ""
    line: int | None = None
    is_declared: bool = True


@dataclass(frozen=True)
class Declaration:
    purpose: str = ""
    variables: tuple[Variable, ...] = ()


def read_declaration(template: str, source: str) -> Declaration:
    """The declaration that `source` begins with; an empty one where there is no comment.

    The purpose is what stands before the first blank line; after it each line declares a variable:
    `name required, number e.g. 50 (a note)`. TemplateFault for a line that cannot be understood.
    """
    match = _FIRST_COMMENT.match(source)
    if match is None:
        return Declaration()
    first_line = source.count("\n", 0, match.start(1)) + 1
    lines = [(first_line + n, line.strip()) for n, line in enumerate(match[1].split("\n"))]
    while lines and not lines[0][1]:
        del lines[0]
    while lines and not lines[-1][1]:
        del lines[-1]
    head = 0
    while head < len(lines) and lines[head][1]:
        head += 1
    if head == len(lines) and lines and all(_DECLARES.match(line) for _, line in lines):
        head = 0
    variables: dict[str, Variable] = {}
    for number, line in lines[head:]:
        if line and not (line.startswith("(") and line.endswith(")")):
            variable = _Line(template, number, line).read()
            if variable.name in variables:
                raise _fault(template, number, variable.name, f'"{variable.name}" is declared twice')
            variables[variable.name] = variable
    return Declaration(" ".join(line for _, line in lines[:head]), tuple(variables.values()))


class _Line:
    """One line of the declaration, read from left to right."""

    def __init__(self, template: str, number: int, line: str) -> None:
        self._template, self._number, self._line = template, number, line
        self._name = ""

    def read(self) -> Variable:
        name = _NAME.match(self._line)
        if len(self._line) > _LONGEST_LINE:
            raise self._fault(f"a variable's line has at most {_LONGEST_LINE} characters")
        if name is None:
            raise self._fault(f'"{self._line[:60]}" does not begin with a variable\'s name {_RIGHT}')
        self._name = name[0]
        if self._name in RESERVED or self._name.startswith("__"):
            raise self._fault(f'"{self._name}" already means something in every template: take another name')
        words, example, note = _split(self._line[name.end() :])
        return self._check(self._read_words(words), example, note)

    def _read_words(self, words: str) -> dict[str, str]:
        said: dict[str, str] = {}
        rest = words
        while rest := rest.strip(" \t,;"):
            found = ((key, pattern.match(rest)) for pattern, key in _WORDS)
            key, match = next(((key, match) for key, match in found if match), ("", None))
            if match is None:
                word = re.split(r"[\s,;]", rest, maxsplit=1)[0]
                raise self._fault(f'"{word}" is not understood{_hint(word)} {_RIGHT}')
            if key in said:
                raise self._fault(f'"{self._name}" says twice what its {key} is')
            said[key] = match[1].strip()
            rest = rest[match.end() :]
        return said

    def _check(self, said: dict[str, str], example: str | None, note: str) -> Variable:
        required = said.get("required", "").lower() == "required"
        default = _unquoted(said.get("default", "")) or None
        choices = _choices(said.get("choices", ""))
        if "choices" in said and "type" in said:
            raise self._fault(f'"{self._name}" has two types, {said["type"]} and one of')
        if "choices" in said and not choices:
            raise self._fault("one of what? Write: one of scheduled, moved, cancelled")
        if required and default:
            raise self._fault(f'"{self._name}" is required and has a default: only one can be')
        return Variable(
            name=self._name,
            type="one of" if choices else said.get("type", "text").lower(),
            required=required,
            default=default,
            choices=choices,
            example=example,
            note=note,
            template=self._template,
            line=self._number,
        )

    def _fault(self, words: str) -> TemplateFault:
        return _fault(self._template, self._number, self._name, words)


def _fault(template: str, line: int, name: str, words: str) -> TemplateFault:
    field = f"variables.{name}" if name else "template"
    return TemplateFault(template, line, field, "declaration", words)


_RIGHT = "(a variable's line is like: discount required, number  e.g. 50  (a note))"
_LONGEST_LINE = 500
_FIRST_COMMENT = re.compile(r"\ufeff?\s*\{#[-+]?(.*?)[-+]?#\}", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?![A-Za-z0-9_'’-])")
_QUOTED = r"\"[^\"]*\"|'[^']*'|“[^”]*”"
_EXAMPLE = re.compile(r"(?:^|(?<=[\s,;]))(?:e\.g\.|eg\.|for example|example)[:,]?\s*", re.IGNORECASE)
_NOTE = re.compile(r"\(([^()]*(?:\([^()]*\)[^()]*)*)\)")
_NOTE_AT_END = re.compile(r"\s{2,}\((.*)\)$|\s+\(([^()]*)\)$")
_STRING = re.compile(_QUOTED)
_CHOICE = r"(?!\s*(?:default|required|optional)\b)[^,;\"'“]+"
# What may stand in a line after the name; a bare default or choice goes to the next comma or semicolon.
_WORDS = (
    (re.compile(r"(required|optional)\b", re.IGNORECASE), "required"),
    (re.compile(rf"default\b\s*[:=]?\s*({_QUOTED}|[^,;]*)", re.IGNORECASE), "default"),
    (
        re.compile(rf"one of\b[\s:]*((?:(?:{_QUOTED}|{_CHOICE})(?:,|$|(?=;)|(?=\s)))*)", re.IGNORECASE),
        "choices",
    ),
    (re.compile(r"(text|number|time|day|yes/no)(?![\w/])", re.IGNORECASE), "type"),
)
_DECLARES = re.compile(
    rf"{_NAME.pattern}\s+(?:required|optional|default|one of|text|number|time|day|yes/no)\b"
)
_OTHER_NAMES = {
    **dict.fromkeys(("string", "str", "varchar"), "text"),
    **dict.fromkeys(("int", "integer", "float", "decimal", "amount", "money"), "number"),
    **dict.fromkeys(("datetime", "timestamp"), "time"),
    "date": "day",
    **dict.fromkeys(("bool", "boolean", "flag", "true/false"), "yes/no"),
    **dict.fromkeys(("enum", "choice", "one", "oneof", "list"), "one of"),
    **dict.fromkeys(("mandatory", "needed"), "required"),
}


def _split(rest: str) -> tuple[str, str | None, str]:
    """What stands after the name: (its words, the example, the note in brackets)."""
    hidden = _STRING.sub(lambda match: "\0" * len(match[0]), rest)
    bare = _NOTE.sub(lambda match: "\0" * len(match[0]), hidden)
    found = _EXAMPLE.search(bare)
    words = rest[: found.start()] if found else rest
    example, notes = rest[found.end() :].strip() if found else None, []
    if example and (at_end := _NOTE_AT_END.search(example)):
        notes.append(at_end[1] or at_end[2])
        example = example[: at_end.start()]
    spans = [match.span() for match in _NOTE.finditer(hidden) if match.start() < len(words)]
    for start, end in reversed(spans):
        notes.insert(0, rest[start + 1 : end - 1].strip())
        words = words[:start] + " " + words[end:]
    return words, _unquoted(example) if example else None, " ".join(notes)


def _choices(text: str) -> tuple[str, ...]:
    return tuple(filter(None, map(_unquoted, _pieces(text))))


def _pieces(text: str) -> Iterator[str]:
    hidden = _STRING.sub(lambda match: "\0" * len(match[0]), text)
    start = 0
    for match in re.finditer(r",\s*or\b|,|\s+or\s+", hidden):
        yield text[start : match.start()]
        start = match.end()
    yield text[start:]


def _unquoted(text: str) -> str:
    text = text.strip()
    return text[1:-1] if _STRING.fullmatch(text) else text


def _hint(word: str) -> str:
    if other := _OTHER_NAMES.get(word.lower()):
        return f'; did you mean "{other}"?'
    return did_you_mean(word, (*TYPES, "required", "default", "e.g."))
