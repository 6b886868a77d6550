"""Filters on text: no result is longer than its limit, and no step is slower than its text is long."""

from __future__ import annotations

import json
import re
import textwrap
import unicodedata
from decimal import Decimal
from urllib.parse import quote

from bridge.calendar.engine.budget import MAX_TEXT, check_count, check_length
from bridge.calendar.engine.faults import Refusal
from bridge.calendar.engine.values import as_number, as_text, as_whole


def upper(value: object) -> str:
    """Capitals: `ADA`."""
    return as_text(value).upper()


def lower(value: object) -> str:
    """Small letters: `ada`."""
    return as_text(value).lower()


def capitalize(value: object) -> str:
    """The first letter a capital, the others small."""
    return as_text(value).capitalize()


def title(value: object) -> str:
    """Each word's first letter a capital; an apostrophe does not begin a word."""
    return _WORD.sub(lambda match: match[0].capitalize(), as_text(value))


def strip(value: object, chars: str | None = None) -> str:
    """Without white space at both ends, or without the letters in `chars`."""
    return as_text(value).strip(chars)


def lstrip(value: object, chars: str | None = None) -> str:
    """Without white space at the start."""
    return as_text(value).lstrip(chars)


def rstrip(value: object, chars: str | None = None) -> str:
    """Without white space at the end."""
    return as_text(value).rstrip(chars)


def append(value: object, ending: object) -> str:
    """`"Ada" | append("!")` is `Ada!`."""
    return as_text(value) + as_text(ending)


def prepend(value: object, start: object) -> str:
    """`"Ada" | prepend("Hi ")` is `Hi Ada`."""
    return as_text(start) + as_text(value)


def replace(value: object, old: object, new: object, count: int | None = None) -> str:
    """Every `old` by `new`, or the first `count` of them."""
    text, before, after = as_text(value), as_text(old), as_text(new)
    if not before:
        raise Refusal("replace needs a text to look for")
    times = -1 if count is None else max(0, as_whole(count))
    found = text.count(before) if times < 0 else min(times, text.count(before))
    check_length(len(text) + found * (len(after) - len(before)))
    return text.replace(before, after, times)


def replace_first(value: object, old: object, new: object) -> str:
    """The first `old` by `new`."""
    return replace(value, old, new, 1)


def remove(value: object, old: object) -> str:
    """Without any `old`."""
    return replace(value, old, "")


def remove_first(value: object, old: object) -> str:
    """Without the first `old`."""
    return replace(value, old, "", 1)


def split(value: object, separator: str | None = None) -> list[str]:
    """A list of the parts between the separators; without one, of the words. A blank text is an empty list."""
    text = as_text(value)
    if not text.strip():
        return []
    if separator is None or separator == " ":
        return text.split()
    if not separator:
        raise Refusal("split needs a text to split at")
    check_count(text.count(separator) + 1)
    return text.split(separator)


def shorten(value: object, length: int, end: str = "…") -> str:
    """At most `length` characters, `end` included, cut between two words where that is possible."""
    return _cut(as_text(value), _length(length), end, at_word=True)


def truncate(value: object, length: int = 255, end: object = "…", ellipsis: str = "…") -> str:
    """As shorten. A second argument that is true cuts within a word; one that is text is the ending."""
    if isinstance(end, bool):
        return _cut(as_text(value), _length(length), ellipsis, at_word=not end)
    return _cut(as_text(value), _length(length), as_text(end), at_word=True)


def words(value: object, count: int = 15, end: str = "…") -> str:
    """The first `count` words, with `end` behind them if there are more."""
    text, wanted = as_text(value), _length(count)
    parts = text.split(None, wanted)
    return text if len(parts) <= wanted else " ".join(parts[:wanted]) + end


def wordcount(value: object) -> int:
    """How many words."""
    return len(as_text(value).split())


def center(value: object, width: int = 80) -> str:
    """In the middle of `width` characters."""
    check_length(as_whole(width))
    return as_text(value).center(as_whole(width))


def indent(value: object, width: int = 4, first: bool = False, blank: bool = False) -> str:
    """Each line but the first moved to the right."""
    text, space = as_text(value), _length(width)
    check_length(space)
    check_length(len(text) + (text.count("\n") + 1) * space)
    first_line, line_break, rest = text.partition("\n")
    moved = textwrap.indent(rest, " " * space, (lambda _: True) if blank else None)
    return (" " * space if first else "") + first_line + line_break + moved


def wordwrap(value: object, width: int = 79) -> str:
    """Line breaks between words, so that no line has more than `width` characters."""
    limit = max(1, _length(width))
    return "\n".join(_wrapped(line, limit) for line in as_text(value).split("\n"))


def newline_to_space(value: object) -> str:
    """All on one line: line breaks and runs of white space become one blank."""
    return " ".join(as_text(value).split())


def strip_html(value: object) -> str:
    """Without HTML tags and comments; entities stay as they are."""
    return " ".join(_TAG.sub("", _COMMENT.sub("", as_text(value))).split())


def url_encode(value: object) -> str:
    """As a part of a link's path or query: `a b` is `a%20b`."""
    return quote(as_text(value), safe="/")


def percent_format(value: object, *args: object) -> str:
    """`"%s has %d points" | format(name, points)`: the codes are %s, %d, %i, %f, with a width, and %%."""
    rest = list(args)

    def write(match: re.Match[str]) -> str:
        flags, width, precision, code = match.groups()
        if code == "%":
            return "%"
        if not rest:
            raise Refusal("format has fewer values than codes")
        given = rest.pop(0)
        size = int(width or 0)
        if code == "s":
            text = as_text(given)
            return text.ljust(size) if "-" in flags else text.rjust(size)
        number = as_number(given)
        kind = "d" if code in "di" else f".{int(precision or 6)}f"
        sign = "+" if "+" in flags else " " if " " in flags else ""
        text = format(int(number) if kind == "d" else number, sign + kind)
        return text.ljust(size) if "-" in flags else text.zfill(size) if "0" in flags else text.rjust(size)

    text = _PRINTF.sub(write, as_text(value))
    if rest:
        raise Refusal("format has more values than codes")
    return text


def to_json(value: object) -> str:
    """A value as JSON; a number as a number, a time as text."""
    return json.dumps(value, ensure_ascii=False, default=_json)


_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_COMMENT = re.compile(r"<!--[^<>]*-->")
_TAG = re.compile(r"<[^<>]*>")
_PRINTF = re.compile(r"%([-+ 0#]{0,3})([0-9]{1,3})?(?:\.([0-9]{1,2}))?([sdif%])")
_JOINER = "\u200d"


def _length(value: object) -> int:
    length = as_whole(value)
    if length < 0:
        raise Refusal(f"{length} is no length")
    return min(length, MAX_TEXT + 1)


def _cut(text: str, length: int, end: str, *, at_word: bool) -> str:
    if len(text) <= length:
        return text
    if len(end) >= length:
        return end[:length]
    room = length - len(end)
    cut = text[:room]
    if at_word and not text[room].isspace():
        cut = cut.rstrip() if cut[-1].isspace() else cut.rpartition(" ")[0] or cut
    if len(cut) == room:
        cut = text[: _between_letters(text, room)]
    return cut.rstrip() + end


def _between_letters(text: str, at: int) -> int:
    """The place at or before `at` that does not fall within a letter with its accents or a joined emoji."""
    while 0 < at < len(text) and (
        unicodedata.combining(text[at])
        or unicodedata.category(text[at]) in ("Mn", "Me", "Sk")
        or _JOINER in (text[at], text[at - 1])
    ):
        at -= 1
    return at


def _wrapped(line: str, width: int) -> str:
    lines: list[list[str]] = [[]]
    used = 0
    for word in line.split(" "):
        if lines[-1] and used + 1 + len(word) > width:
            lines.append([])
            used = 0
        used += len(word) + (1 if lines[-1] else 0)
        lines[-1].append(word)
    return "\n".join(map(" ".join, lines))


def _json(value: object) -> object:
    return float(value) if isinstance(value, Decimal) else as_text(value)
