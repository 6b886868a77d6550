"""White space: a line of the source that holds a tag and printed nothing is no line of the field."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bridge.calendar.engine.budget import check_length, current


class Mark(str):
    """A place in the stream that a template prints, known by identity: no text of a customer can forge it."""

    __slots__ = ()


# The end of a source line that holds a tag, and the place after one that holds none.
TAG_LINE_END = Mark("\n")
LINE_START = Mark("")


def split_data(data: str) -> Iterator[str]:
    """Literal text between two tags, as texts and marks.

    Its first line break ends the line of the tag before it; lines after that one hold no tag and stay as written.
    """
    first, line_break, rest = data.partition("\n")
    if first:
        yield first
    if line_break:
        yield TAG_LINE_END
        whole, line_break, last = rest.rpartition("\n")
        if line_break:
            yield whole + "\n"
            yield LINE_START
        if last:
            yield last


def join(chunks: Iterable[str]) -> str:
    """What a block, a macro or a `{% set %}` block printed, as one text within its limits."""
    parts: list[str] = []
    length = start = 0
    has_marks = False
    for chunk in chunks:
        if chunk is TAG_LINE_END:
            has_marks = True
            _end_line(parts, start)
            start = len(parts)
        elif chunk is LINE_START:
            has_marks = True
            start = len(parts)
        elif chunk:
            length += len(chunk)
            check_length(length)
            parts.append(chunk)
    if has_marks:
        _end_text(parts, start)
    current().spend(length)
    return "".join(parts)


def _end_line(parts: list[str], start: int) -> None:
    """Keep the line break if something was printed since the line's start, else drop the line."""
    for part in parts[start:]:
        if not part.isspace():
            parts.append(TAG_LINE_END)
            return
    del parts[start:]


def _end_text(parts: list[str], start: int) -> None:
    """Drop the last line when it holds nothing but the closing tag, and the line break before it."""
    if all(part.isspace() for part in parts[start:]):
        del parts[start:]
        if parts:
            parts[-1] = parts[-1].removesuffix("\n")
