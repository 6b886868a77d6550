"""Where in its line a mistake stands, from the words that tell it: an editor underlines that."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bridge.calendar.outline import LINE_END

Columns = tuple[int | None, int | None]

MOST_LETTERS = 2_000  # of a line that are looked through
NOWHERE: Columns = (None, None)


def columns(source: str, line: int | None, field: str, words: str) -> Columns:
    """(start, end) in that line, from 0, or (None, None)."""
    text = _line(source, line)
    for wrong in _named(field, words):
        if found := re.search(_bounded(wrong), text):
            return found.span()
    if field and (
        block := re.search(rf"\{{%[-+]?\s*block\s+{re.escape(field)}\b.*?%\}}(.+?)\{{%[-+]?\s*endblock", text)
    ):
        return block.span(1)
    return NOWHERE


def field_at(source: str, line: int | None) -> str | None:
    """The block to which a line belongs, told even where a tag has no end."""
    open_blocks: list[str] = []
    on_line: list[str] = []
    for number, text in enumerate(LINE_END.split(source), 1):
        if line is None or number > line:
            break
        if number == line:
            on_line = open_blocks[-1:]
        for match in _BLOCK_TAG.finditer(text):
            if match[1]:
                open_blocks.append(match[1])
                if number == line:
                    on_line.append(match[1])
            elif open_blocks:
                open_blocks.pop()
    return on_line[-1] if on_line else None


def _line(source: str, line: int | None) -> str:
    lines = LINE_END.split(source)
    return lines[line - 1][:MOST_LETTERS] if line is not None and 0 < line <= len(lines) else ""


def _named(field: str, words: str) -> Iterator[str]:
    """What the words call wrong, the likeliest first."""
    told = words.partition("; did you mean")[0]
    for match in _QUOTED.finditer(told):
        yield match[1] or match[2]
    if head := _HEAD.match(told):
        yield head[1]
    if field.startswith("variables."):
        yield field.removeprefix("variables.")


def _bounded(word: str) -> str:
    """The word, but not as a part of another."""
    before = r"(?<!\w)" if re.match(r"\w", word) else ""
    after = r"(?!\w)" if re.search(r"\w\Z", word) else ""
    return before + re.escape(word) + after


_QUOTED = re.compile(r"\"([^\"]{1,64})\"|'([^']{1,64})'")
_HEAD = re.compile(r"([A-Za-z_]\w{0,63}): ")
_BLOCK_TAG = re.compile(r"\{%[-+]?\s*(?:block\s+(\w+)|endblock)")
