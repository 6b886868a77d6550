"""The same text as a form: a template's blocks as fields, and changed fields written back into the text.

What a form does not change stays to the character: comments, conditions, line ends, the order of the blocks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
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
    change; a blank for a block that is not there makes none. New texts are not looked into: one with an open tag
    harms no other field before the result is read. Errors: InvalidValue for what is no field; TemplateFault as
    read_form, of `source`.
    """
    for name in changes:
        if name not in (*BLOCKS, HEAD, EXTENDS):
            raise InvalidValue(f'there is no field "{name}"{did_you_mean(name, BLOCKS)}')
    writing = _Writing(source)
    edits = [*writing.head(changes), *writing.extends(changes), *writing.blocks(changes)]
    edits.sort(key=lambda edit: (edit.start, edit.end))
    # From the end, so that places stay what they are; what comes to one place is put in last to first.
    for edit in reversed(edits):
        source = source[: edit.start] + edit.text + source[edit.end :]
    return source


@dataclass(frozen=True)
class _Edit:
    """What is put in the place of `source[start:end]`."""

    start: int
    end: int
    text: str


class _Writing:
    """The edits that changes make, all of them at places of the text as it was."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._found = outline("", source)
        self._head = _HEAD.match(source)
        self._line_end = found[0] if (found := LINE_END.search(source)) else "\n"

    def head(self, changes: Mapping[str, str | None]) -> Iterator[_Edit]:
        if HEAD not in changes:
            return
        new = _unix(changes[HEAD] or "").strip()
        if self._head is None:
            lines = self._lines(f"{{#\n{new}\n#}}\n")
            yield from [_Edit(self._begin, self._begin, lines)] if new else []
        elif new:
            yield from self._replaced(self._head.start(2), self._head.end(2), new)
        else:
            yield self._without(self._head.start(1), self._head.end())

    def extends(self, changes: Mapping[str, str | None]) -> Iterator[_Edit]:
        piece, tag = changes.get(EXTENDS), self._found.extends
        if EXTENDS not in changes or (piece or None) == _extends(self._found):
            return
        written = f'{{% extends "{piece}" %}}'
        if tag is None and self._head is not None and changes.get(HEAD, "-"):
            yield _Edit(self._head.end(), self._head.end(), self._line_end + written)
        elif tag is None:
            yield _Edit(self._begin, self._begin, written + self._line_end)
        elif not piece:
            yield self._without(tag.start, tag.end)
        elif named := _EXTENDS.search(self._source, tag.start, tag.end):
            yield _Edit(named.start(2), named.end(2), piece)
        else:
            yield _Edit(tag.start, tag.end, written)

    def blocks(self, changes: Mapping[str, str | None]) -> Iterator[_Edit]:
        there = _bodies(self._source, self._found)
        stay = {
            name: block
            for name, block in there.items()
            if block.is_top and not (name in changes and changes[name] is None)
        }
        anew = 0  # up to here a block was written anew, with all that stood in it
        for block in sorted(there.values(), key=lambda block: block.start):
            if block.name not in changes or block.start < anew:
                continue
            text = changes[block.name]
            edits = (
                [self._without(block.start, block.end)]
                if text is None
                else list(self._replaced(block.body, block.body_end, text))
            )
            anew = block.end if edits else anew
            yield from edits
        for name in BLOCKS:
            if name not in there and (text := changes.get(name)) and text.strip():
                at, before, after = self._place(name, stay)
                yield _Edit(at, at, before + self._block(name, text) + after)

    def _place(self, name: str, stay: Mapping[str, Block]) -> tuple[int, str, str]:
        """Where a new block goes, and what stands around it: behind the nearest that comes before it in the order of
        BLOCKS, or before the next.
        """
        place = BLOCKS.index(name)
        for before in reversed(BLOCKS[:place]):
            if before in stay:
                return stay[before].end, self._line_end, ""
        for after in BLOCKS[place + 1 :]:
            if after in stay:
                return stay[after].start, "", self._line_end
        gap = "" if not self._source or LINE_END.search(self._source[-1:]) else self._line_end
        return len(self._source), gap, self._line_end

    def _block(self, name: str, text: str) -> str:
        new = _unix(text).strip()
        around = "\n" if "\n" in new else ""
        return self._lines(f"{{% block {name} %}}{around}{new}{around}{{% endblock %}}")

    def _replaced(self, start: int, end: int, text: str) -> Iterator[_Edit]:
        """New text, within the white space that stands around the old one."""
        old = self._source[start:end]
        new = _unix(text).strip()
        if new == _unix(old).strip():
            return
        left = old[: len(old) - len(old.lstrip())] if old.strip() else ""
        right = old[len(old.rstrip()) :] if old.strip() else ""
        if "\n" in new and not left and not right:
            left = right = self._line_end
        yield _Edit(start, end, left + self._lines(new) + right)

    def _without(self, start: int, end: int) -> _Edit:
        """A part goes, with its line if it stands alone on it."""
        before, after = _BLANK_BEFORE.search(self._source[:start]), _BLANK_AFTER.match(self._source, end)
        return _Edit(before.start(), after.end(), "") if before and after else _Edit(start, end, "")

    def _lines(self, text: str) -> str:
        return text.replace("\n", self._line_end)

    @property
    def _begin(self) -> int:
        return int(self._source.startswith("\ufeff"))


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
