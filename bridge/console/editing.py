"""The text that is edited: what stands of it, what a form's changes make of it, and with whom it is tried."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.engine import Connection

from bridge.calendar import versions
from bridge.calendar.engine import BLOCKS, TemplateFault
from bridge.calendar.engine.sources import MAX_SOURCE
from bridge.calendar.forms import Form, read_form, write_form
from bridge.calendar.versions import Draft
from bridge.console.declared import KINDS, Row, read_declared, write_declared
from bridge.errors import FieldError, InvalidPayload, InvalidValue, NotFound

FIELDS = (*BLOCKS, "extends")


@dataclass(frozen=True)
class Text:
    """What stands under a name: the draft, else what is published. `version`: what is published."""

    name: str
    source: str
    draft: Draft | None
    published: str | None
    version: int | None

    @property
    def is_piece(self) -> bool:
        return self.name.startswith("_")

    @property
    def revision(self) -> int | None:
        return self.draft.revision if self.draft else None


@dataclass(frozen=True)
class Edit:
    """A text, and what was changed of it in a form. `declared`: (purpose, variables); None: as they stand."""

    source: str
    changes: Mapping[str, str | None] = field(default_factory=dict)
    declared: tuple[str, tuple[Row, ...]] | None = None


def text_of(connection: Connection, name: str) -> Text:
    """Errors: NotFound, with the nearest name."""
    draft = versions.draft(connection, name)
    published = versions.published_source(connection, name)
    if draft is None and published is None:
        raise NotFound(versions.unknown(connection, name))
    source, version = published or (None, None)
    return Text(name, draft.source if draft else source or "", draft, source, version)


def read_edit(given: Mapping[str, Any]) -> Edit:
    """What a page sent. Errors: InvalidPayload."""
    source, changes, declared = given.get("source"), given.get("changes") or {}, given.get("declared")
    if not isinstance(source, str) or not isinstance(changes, dict):
        raise _wrong("source", "The page sent no text.")
    if any(name not in FIELDS or not isinstance(text, str | None) for name, text in changes.items()):
        raise _wrong("changes", "The page sent a field that does not exist.")
    check_size(source)
    return Edit(
        _plain(source), {n: t if t is None else _plain(t) for n, t in changes.items()}, _table(declared)
    )


def edited(name: str, edit: Edit) -> str:
    """The text with the changes in it. Errors: InvalidPayload for what cannot be written."""
    source = edit.source
    try:
        if edit.declared is not None:
            purpose, rows = edit.declared
            head = read_form(name, source, {}).head
            source = write_form(source, {"head": write_declared(head, purpose, rows)})
        return _with(source, edit.changes) if edit.changes else source
    except TemplateFault as fault:
        raise _wrong("source", f"{fault.words}: mend it in the source first.") from fault
    except InvalidValue as wrong:
        raise _wrong("changes", str(wrong)) from wrong


def form_of(
    name: str, source: str, sources: Mapping[str, str]
) -> tuple[dict[str, Any], TemplateFault | None]:
    """The form for a page, JSON, and why the text cannot be shown as one."""
    try:
        form = read_form(name, source, sources)
    except TemplateFault as fault:
        return {"fault": fault.words, "line": fault.line}, fault
    return {"fault": "", **_shown(form)}, None


def using(piece: str, sources: Mapping[str, str]) -> list[str]:
    """The templates that name a piece, directly or by another piece."""
    found, more = set[str](), {piece}
    while more:
        found |= more
        more = {
            name
            for name, text in sources.items()
            if name not in found and any(_names(text, one) for one in more if one.startswith("_"))
        }
    return sorted(name for name in found if not name.startswith("_"))


def check_size(source: str) -> None:
    """Errors: InvalidPayload."""
    if (size := len(source.encode(errors="replace"))) > MAX_SOURCE:
        told = f"This has {size:,} bytes, and {MAX_SOURCE:,} are the most: put what templates share into a piece."
        raise _wrong("source", told)


def _with(source: str, changes: Mapping[str, str | None]) -> str:
    """Fields are changed one after the other, and one whose tag is not closed yet must not hide the next: so each
    is written as a mark first, and the marks are filled in at the end.
    """
    marks: dict[str, str] = {}
    marked: dict[str, str | None] = {}
    its = {one.name: one.text for one in read_form("", source, {}).fields}
    for number, (name, text) in enumerate(changes.items()):
        if name == "extends" or text is None or not text.strip():
            marked[name] = text
        elif text.strip() != its.get(name):
            # A line's end in it says that it has several lines.
            mark = f"{_MARK}{number}\n{_MARK}" if "\n" in text.strip() else f"{_MARK}{number}{_MARK}"
            marked[name], marks[mark] = mark, text.strip()
    source = write_form(source, marked)
    for mark, text in marks.items():
        source = source.replace(mark, text)
    return source


def _shown(form: Form) -> dict[str, Any]:
    declared = read_declared(form.head)
    return {
        "head": form.head,
        "extends": form.extends or "",
        "settings": form.settings,
        "fields": {
            one.name: {"text": one.text, "inherited": one.inherited, "line": one.line} for one in form.fields
        },
        "declared": {
            "purpose": declared.purpose,
            "rows": [vars(row) for row in declared.rows],
            "fault": declared.fault,
        },
    }


def _table(given: Any) -> tuple[str, tuple[Row, ...]] | None:
    if given is None:
        return None
    try:
        rows = tuple(
            Row(**{key: str(one.get(key) or "").strip() for key in _COLUMNS})
            for one in given["rows"][:_MOST_ROWS]
        )
        purpose = str(given["purpose"])
    except (KeyError, TypeError, AttributeError) as wrong:
        raise _wrong("declared", "The page sent a table that cannot be read.") from wrong
    if any(row.kind not in KINDS for row in rows):
        raise _wrong("declared", "The page sent a table that cannot be read.")
    return _plain(purpose), rows


def _names(text: str, piece: str) -> bool:
    return f'"{piece}"' in text or f"'{piece}'" in text or f"{piece}.jinja" in text


def _plain(text: str) -> str:
    return _LINE_END.sub("\n", text).replace(_MARK, "")


def _wrong(where: str, told: str) -> InvalidPayload:
    return InvalidPayload(told, [FieldError(where, told)])


_MARK = "\ue0e0"  # for private use: no text of anybody's has it
_LINE_END = re.compile(r"\r\n?")
_COLUMNS = ("name", "was", "kind", "type", "default", "choices", "example", "note")
_MOST_ROWS = 100
