"""Where a template's blocks, statements and tags stand in its text, told without Jinja and to the character.

It follows Jinja's own rules for where a tag begins and ends, but not for what stands in it: so a template is
outlined while a mistake stands in one of its expressions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from bridge.calendar.engine.faults import TemplateFault

LINE_END = re.compile(r"\r\n|\r|\n")  # Jinja's; str.splitlines knows more, which are none to it


@dataclass(frozen=True)
class Tag:
    """One `{% … %}`, `{{ … }}`, `{# … #}` or a whole `{% raw %} … {% endraw %}`, from `start` to `end`.

    `word`: the first word of a `{% … %}`. `inner`: what stands between the brackets.
    """

    kind: str
    start: int
    end: int
    word: str
    inner: str


@dataclass(frozen=True)
class Block:
    """`text[body:body_end]` is its body, `text[start:end]` all of it. `is_top`: it stands in no other tag."""

    name: str
    start: int
    body: int
    body_end: int
    end: int
    is_top: bool


@dataclass
class Outline:
    """`blocks` as they begin; `statements`: (start, end) of each set, macro … outside of blocks."""

    blocks: list[Block] = field(default_factory=list)
    statements: list[tuple[int, int]] = field(default_factory=list)
    extends: Tag | None = None


def outline(name: str, text: str) -> Outline:
    """Errors: TemplateFault for a tag or a block that is not closed."""
    found = Outline()
    open_tags: list[Tag] = []
    for tag in tags(name, text):
        if tag.kind != "tag":
            continue
        if tag.word == "extends" and not open_tags:
            found.extends = tag
        elif tag.word in ("import", "from", "include") or (tag.word == "set" and _is_whole_set(tag)):
            if not open_tags and tag.word != "include":
                found.statements.append((tag.start, tag.end))
        elif tag.word in _OPENS:
            open_tags.append(tag)
        elif tag.word.startswith("end"):
            _close(name, text, found, open_tags, tag)
    for tag in open_tags:
        if tag.word == "block":
            raise _fault(name, text, tag, f'the block "{_name_of(tag)}" has no {{% endblock %}}')
    found.blocks.sort(key=lambda block: block.start)
    return found


def tags(name: str, text: str) -> Iterator[Tag]:
    """Every tag, in order. Errors: TemplateFault for one that has no end."""
    at = 0
    while match := _BEGIN.search(text, at):
        kind = _KINDS[match[0][:2]]
        raw = _RAW.match(text, match.start())
        if kind == "comment":
            end = _COMMENT_END.search(text, match.end())
        elif raw:
            kind, end = "raw", _RAW_END.search(text, raw.end())
        else:
            end = _end_of(text, match.end(), _TAG_END if kind == "tag" else _PRINT_END)
        if (
            end is None
            and kind in ("comment", "raw")
            and not text[match.end() if raw is None else raw.end() :].strip()
        ):
            return  # Jinja lets it be at the end of a file
        if end is None:
            opened = Tag(kind, match.start(), match.end(), "", "")
            what = "{% raw %}" if kind == "raw" else match[0][:2]
            raise _fault(name, text, opened, f'"{what}" has no "{_ENDS[kind]}"')
        inner = text[match.end() : end.start()]
        word = _WORD.match(inner)
        yield Tag(kind, match.start(), end.end(), word[1] if word and kind == "tag" else "", inner)
        at = end.end()


def line_of(text: str, at: int) -> int:
    """The number of the line in which a character stands, from 1."""
    return sum(1 for _ in LINE_END.finditer(text, 0, at)) + 1


def _close(name: str, text: str, found: Outline, open_tags: list[Tag], tag: Tag) -> None:
    opened = tag.word.removeprefix("end")
    while open_tags:
        begin = open_tags[-1]
        if begin.word != opened and begin.word == "block":
            return  # the end of something that was not opened: the compiler says so
        open_tags.pop()
        if begin.word == opened:
            if opened == "block":
                names = (_name_of(begin), begin.start, begin.end, tag.start, tag.end)
                found.blocks.append(Block(*names, is_top=not open_tags))
            elif not open_tags:
                found.statements.append((begin.start, tag.end))
            return
    if opened == "block":
        raise _fault(name, text, tag, "this {% endblock %} ends no block")


def _end_of(text: str, at: int, end: re.Pattern[str]) -> re.Match[str] | None:
    """The end of a tag: not in quotes, and not within brackets."""
    depth = 0
    while match := _IN_TAG.search(text, at):
        if depth == 0 and (found := end.match(text, match.start())):
            return found
        token = match[0]
        if token in ("{%", '"', "'"):
            return None  # no expression has it: the end of the tag or of a text in it was forgotten
        if token[0] in _QUOTES:
            at = match.end()
            continue
        # Within brackets "}}" is two of them, and the rest of an end is an operator.
        depth = max(0, depth + (token in _OPENING) - (token[0] in _CLOSING))
        at = match.start() + 1
    return None


def _is_whole_set(tag: Tag) -> bool:
    return _SET.match(tag.inner) is not None


def _name_of(tag: Tag) -> str:
    match = _BLOCK_NAME.match(tag.inner)
    return match[1] if match else ""


def _fault(name: str, text: str, tag: Tag, words: str) -> TemplateFault:
    return TemplateFault(name, line_of(text, tag.start), "template", "template syntax", words)


_STRING = r"'[^'\\]*(?:\\.[^'\\]*)*'|\"[^\"\\]*(?:\\.[^\"\\]*)*\""
_BEGIN = re.compile(r"\{[{%#][-+]?")
_KINDS = {"{{": "print", "{%": "tag", "{#": "comment"}
_ENDS = {"print": "}}", "tag": "%}", "comment": "#}", "raw": "{% endraw %}"}
_COMMENT_END = re.compile(r"[-+]?#\}")
_RAW = re.compile(r"\{%[-+]?\s*raw\s*-?%\}")
_RAW_END = re.compile(r"\{%[-+]?\s*endraw\s*[-+]?%\}")
_TAG_END = re.compile(r"[-+]?%\}")
_PRINT_END = re.compile(r"-?\}\}")
_IN_TAG = re.compile(rf"{_STRING}|['\"]|\{{%|[-+]?%\}}|-?\}}\}}|[\[({{\])}}]", re.DOTALL)
_OPENING, _CLOSING, _QUOTES = ("[", "(", "{"), ("]", ")", "}"), ("'", '"')
_WORD = re.compile(r"\s*([A-Za-z_]\w*)")
_BLOCK_NAME = re.compile(r"\s*block\s+([A-Za-z_]\w*)")
_SET = re.compile(r"\s*set\s[\w\s.,()]*+=(?!=)")
_OPENS = frozenset(("block", "if", "for", "macro", "call", "filter", "with", "set", "autoescape"))
