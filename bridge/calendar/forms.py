"""The same text as a form: a template's blocks as fields, and changed fields written back into the text.

What a form does not change stays to the character: comments, conditions, line ends, the order of the blocks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from bridge.calendar.engine import BLOCKS
from bridge.calendar.engine.faults import TemplateFault, did_you_mean
from bridge.calendar.outline import LINE_END, Block, Outline, line_of, outline
from bridge.errors import InvalidValue

HEAD, EXTENDS = "head", "extends"


@dataclass(frozen=True)
class Field:
    """One block.

    `text`: its own body as written, without the white space around it, which no field has, and with line breaks as
    `\\n`; None: the template has no such block. `inherited`: what the nearest shared piece that it extends says.
    `line`: where the block begins. `is_plain`: there is no tag in the text.
    """

    name: str
    text: str | None
    inherited: str | None
    line: int | None
    is_plain: bool


@dataclass(frozen=True)
class Form:
    """`head`: the first comment. `settings`: what the top level sets, as written. `fields`: one each of BLOCKS."""

    head: str
    extends: str | None
    settings: str
    fields: list[Field]


def read_form(name: str, source: str, sources: Mapping[str, str]) -> Form:
    """Read the template or shared piece `name`, of which `source` is the text.

    Errors: TemplateFault when a tag or a block has no end. A mistake within a tag is none here.
    """
    found = outline(name, source)
    own = _bodies(source, found)
    inherited = _inherited(name, source, found, sources)
    fields = [
        Field(
            block,
            text,
            inherited.get(block),
            line_of(source, own[block].start) if block in own else None,
            text is None or not _A_TAG.search(text),
        )
        for block in BLOCKS
        for text in [_body(source, own[block]) if block in own else None]
    ]
    head = _HEAD.match(source)
    settings = "\n".join(_unix(source[start:end]) for start, end in found.statements)
    return Form(_unix(head[2]).strip() if head else "", _extends(found), settings, fields)


def write_form(source: str, changes: Mapping[str, str | None]) -> str:
    """`source` with some fields changed: field → new text; None: its block goes.

    `head` and `extends` are fields too. A text that is the same but for line breaks and white space around it is no
    change; a blank for a block that is not there makes none. Errors: InvalidValue for what is no field; TemplateFault
    as read_form.
    """
    for name in changes:
        if name not in (*BLOCKS, HEAD, EXTENDS):
            raise InvalidValue(f'there is no field "{name}"{did_you_mean(name, BLOCKS)}')
    line_end = found[0] if (found := LINE_END.search(source)) else "\n"
    if HEAD in changes:
        source = _with_head(source, changes[HEAD], line_end)
    if EXTENDS in changes:
        source = _with_extends(source, changes[EXTENDS], line_end)
    there = [block.name for block in outline("", source).blocks]
    order = [name for name in there if name in changes]
    for name in (*order, *(name for name in BLOCKS if name in changes and name not in there)):
        source = _with_block(source, name, changes[name], line_end)
    return source


def _with_block(source: str, name: str, text: str | None, line_end: str) -> str:
    found = outline("", source)
    block = _bodies(source, found).get(name)
    if block is None:
        return _added(source, found, name, text, line_end) if text and text.strip() else source
    if text is None:
        return _without(source, block.start, block.end)
    return _replaced(source, block.body, block.body_end, text, line_end)


def _replaced(source: str, start: int, end: int, text: str, line_end: str) -> str:
    """New text in the place of what stands between two places, whose white space around it stays."""
    old = source[start:end]
    new = _unix(text).strip()
    if new == _unix(old).strip():
        return source
    left = old[: len(old) - len(old.lstrip())] if old.strip() else ""
    right = old[len(old.rstrip()) :] if old.strip() else ""
    if "\n" in new and not left and not right:
        left = right = line_end
    return source[:start] + left + new.replace("\n", line_end) + right + source[end:]


def _added(source: str, found: Outline, name: str, text: str, line_end: str) -> str:
    """A new block, behind the nearest that comes before it in the order of BLOCKS, or before the next."""
    new = _unix(text).strip()
    around = line_end if "\n" in new else ""
    block = f"{{% block {name} %}}{around}{new.replace(chr(10), line_end)}{around}{{% endblock %}}"
    tops = {one.name: one for one in found.blocks if one.is_top and one.name in BLOCKS}
    place = BLOCKS.index(name)
    for before in reversed(BLOCKS[:place]):
        if before in tops:
            at = tops[before].end
            return source[:at] + line_end + block + source[at:]
    for after in BLOCKS[place + 1 :]:
        if after in tops:
            at = tops[after].start
            return source[:at] + block + line_end + source[at:]
    gap = "" if not source or LINE_END.search(source[-1:]) else line_end
    return source + gap + block + line_end


def _without(source: str, start: int, end: int) -> str:
    """Take a part away, with its line if it stood alone on it."""
    before, after = _BLANK_BEFORE.search(source[:start]), _BLANK_AFTER.match(source, end)
    if before and after:
        return source[: before.start()] + source[after.end() :]
    return source[:start] + source[end:]


def _with_head(source: str, text: str | None, line_end: str) -> str:
    match = _HEAD.match(source)
    new = (text or "").strip()
    if match is None:
        start = source.startswith("\ufeff")
        comment = f"{{#{line_end}{_unix(new).replace(chr(10), line_end)}{line_end}#}}{line_end}"
        return source[:start] + comment + source[start:] if new else source
    if not new:
        return _without(source, match.start(1), match.end())
    return _replaced(source, match.start(2), match.end(2), new, line_end)


def _with_extends(source: str, piece: str | None, line_end: str) -> str:
    found = outline("", source)
    if piece == _extends(found) or (not piece and found.extends is None):
        return source
    if found.extends is None:
        head = _HEAD.match(source)
        at = head.end() if head else int(source.startswith("\ufeff"))
        new = f'{{% extends "{piece}" %}}'
        return source[:at] + (line_end + new if head else new + line_end) + source[at:]
    if not piece:
        return _without(source, found.extends.start, found.extends.end)
    tag = found.extends
    whole = source[tag.start : tag.end]
    named = _EXTENDS.search(whole)
    if named is None:
        return source[: tag.start] + f'{{% extends "{piece}" %}}' + source[tag.end :]
    return source[: tag.start + named.start(2)] + piece + source[tag.start + named.end(2) :]


def _inherited(name: str, source: str, found: Outline, sources: Mapping[str, str]) -> dict[str, str]:
    said: dict[str, str] = {}
    seen = {name}
    while (piece := _extends(found)) and piece in sources and piece not in seen:
        seen.add(piece)
        source = sources[piece]
        try:
            found = outline(piece, source)
        except TemplateFault:  # the piece has an editor of its own, which says so
            return said
        for block, body in _bodies(source, found).items():
            said.setdefault(block, _body(source, body))
    return said


def _bodies(source: str, found: Outline) -> dict[str, Block]:
    return {block.name: block for block in reversed(found.blocks) if block.name in BLOCKS}


def _body(source: str, block: Block) -> str:
    return _unix(source[block.body : block.body_end]).strip()


def _extends(found: Outline) -> str | None:
    match = _EXTENDS.search(found.extends.inner) if found.extends else None
    return match[2].removesuffix(".jinja") if match else None


def _unix(text: str) -> str:
    return LINE_END.sub("\n", text)


_HEAD = re.compile(r"\ufeff?\s*(\{#[-+]?)(.*?)[-+]?#\}", re.DOTALL)
_EXTENDS = re.compile(r"extends\s+([\"'])(.*?)\1")
_A_TAG = re.compile(r"\{[{%#]")
_BLANK_BEFORE = re.compile(r"(?:(?<=[\r\n])|\A)[ \t]*\Z")
_BLANK_AFTER = re.compile(r"[ \t]*(?:\r\n|\r|\n|\Z)")
