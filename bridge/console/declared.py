"""The first comment as a table of variables, and a changed table written back into the comment."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bridge.calendar.engine.declarations import TYPES, Variable, read_declaration
from bridge.calendar.engine.faults import TemplateFault
from bridge.errors import FieldError, InvalidPayload

KINDS = ("required", "default", "optional")


@dataclass(frozen=True)
class Row:
    """One variable. `was`: the name under which it stood when it was read; "": it is new. `choices`: with commas."""

    name: str
    was: str = ""
    kind: str = "required"
    type: str = "text"
    default: str = ""
    choices: str = ""
    example: str = ""
    note: str = ""


@dataclass(frozen=True)
class Declared:
    """`fault`: why the comment cannot be shown as a table."""

    purpose: str
    rows: tuple[Row, ...]
    fault: str = ""


def read_declared(head: str) -> Declared:
    """`head`: the first comment without its brackets, as a form has it."""
    try:
        declaration = read_declaration("", f"{{#\n{head}\n#}}")
    except TemplateFault as fault:
        return Declared("", (), fault.words)
    return Declared(declaration.purpose, tuple(_row(variable) for variable in declaration.variables))


def write_declared(head: str, purpose: str, rows: Sequence[Row]) -> str:
    """The comment with this purpose and these variables. Lines that say the same stay to the letter, notes too.

    Errors: InvalidPayload, for each cell that cannot be written.
    """
    before = read_declared(head)
    lines = _lines(head)
    kept = {row.name: (row, lines[row.name]) for row in before.rows if row.name in lines}
    width = max((len(row.name) for row in rows), default=0)
    written, faults = [], []
    for number, row in enumerate(rows):
        stood = kept.get(row.was)
        if stood is not None and stood[0] == replace(row, was=stood[0].was):
            written.append(stood[1])
            continue
        line = _line(row, width)
        if wrong := _wrong(row, line):
            faults.append(FieldError(f"variables.{number}", wrong))
        written.append(line)
    names = [row.name for row in rows]
    faults += [
        FieldError(f"variables.{number}", f"there are two variables {row.name}")
        for number, row in enumerate(rows)
        if row.name in names[:number]
    ]
    if "#}" in purpose:
        faults.append(FieldError("purpose", "it cannot hold #}, which ends the comment"))
    if faults:
        raise InvalidPayload.of(*faults)
    said = _one_line(purpose)
    if said == before.purpose:
        said = _purpose_as_written(head)
    notes = [line.strip() for line in head.split("\n") if _IS_NOTE.fullmatch(line.strip())]
    table = "\n".join((*written, *notes))
    return f"{said}\n\n{table}" if table else said


def _row(variable: Variable) -> Row:
    has_default = variable.default is not None
    return Row(
        name=variable.name,
        was=variable.name,
        kind="required" if variable.required else "default" if has_default else "optional",
        type=variable.type,
        default=variable.default or "",
        choices=", ".join(variable.choices),
        example=variable.example or "",
        note=variable.note,
    )


def _line(row: Row, width: int) -> str:
    kind = f"default {_quoted(row.default)}" if row.kind == "default" and row.default else row.kind
    kind = 'default ""' if kind == "default" else kind
    its_type = {"text": "", "one of": f"one of {_listed(row.choices)}"}.get(row.type, row.type)
    order = (kind, its_type) if row.kind == "required" else (its_type, kind)
    # A list of choices is ended by a semicolon: `one of a, b; default a`.
    says = ("; " if row.type == "one of" else ", ").join(filter(None, order))
    example = f"   e.g. {_quoted_example(row.example)}" if _one_line(row.example) else ""
    note = f"   ({_one_line(row.note)})" if _one_line(row.note) else ""
    return f"{row.name:<{width}} {says}{example}{note}"


def _wrong(row: Row, line: str) -> str:
    """Why the line does not say what its cells say."""
    if not row.name:
        return "give it a name, such as first_name"
    if row.type not in TYPES or row.kind not in KINDS:
        return "choose a type, and whether it is required"
    try:
        said = read_declaration("", f"{{#\n\n{line}\n#}}").variables
    except TemplateFault as fault:
        return fault.words
    [*found] = map(_row, said)
    wanted = replace(
        row,
        was=row.name,
        kind="optional" if row.kind == "default" and not row.default else row.kind,
        default=_one_line(row.default) if row.kind == "default" else "",
        choices=", ".join(_pieces(row.choices)) if row.type == "one of" else "",
        example=_one_line(row.example),
        note=_one_line(row.note),
    )
    return "" if found == [wanted] else _unwritable(found[0] if len(found) == 1 else None, wanted)


def _unwritable(found: Row | None, wanted: Row) -> str:
    cells = ("name", "default", "choices", "example", "note")
    wrong = [cell for cell in cells if found is None or getattr(found, cell) != getattr(wanted, cell)]
    return f"its {' and its '.join(wrong)} cannot be written like that: leave out quotes and brackets"


def _lines(head: str) -> dict[str, str]:
    """The comment's lines by the variable that each declares; the purpose's are none of them."""
    found = {}
    for line in head.split("\n"):
        if (name := _NAME.match(line.strip())) and read_one(line.strip()) is not None:
            found[name[0]] = line.strip()
    return found


def read_one(line: str) -> Row | None:
    try:
        said = read_declaration("", f"{{#\n\n{line}\n#}}").variables
    except TemplateFault:
        return None
    return _row(said[0]) if len(said) == 1 else None


def _purpose_as_written(head: str) -> str:
    return head.strip().split("\n\n", 1)[0] if read_declared(head).purpose else ""


def _pieces(text: str) -> list[str]:
    return [piece for piece in map(_one_line, text.split(",")) if piece]


def _listed(choices: str) -> str:
    return ", ".join(_quoted(piece) for piece in _pieces(choices))


def _quoted(text: str) -> str:
    text = _one_line(text)
    if re.fullmatch(r"[\w./+%:-]+", text):
        return text
    return f'"{text}"' if '"' not in text else f"'{text}'"


def _quoted_example(text: str) -> str:
    text = _one_line(text)
    return _quoted(text) if re.search(r"[()\"']", text) else text


def _one_line(text: str) -> str:
    return " ".join(text.split())


_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_IS_NOTE = re.compile(r"\(.*\)")
