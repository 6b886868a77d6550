"""What may be the name and the text of a template."""

from __future__ import annotations

import re

from bridge.calendar.engine.sources import MAX_SOURCE
from bridge.errors import InvalidValue

NAME = re.compile(r"_?[a-z0-9][a-z0-9_]{0,62}")
MOST_NOTE = 500  # characters

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def check_name(name: str) -> str:
    """Errors: InvalidValue that says what would be right."""
    if NAME.fullmatch(name):
        return name
    right = (
        "has small letters, digits and _ only, 64 at most, such as summer_sale; a shared piece begins with _"
    )
    meant = re.sub(r"[^a-z0-9]+", "_", name.removesuffix(".jinja").lower()).rstrip("_")[:63]
    hint = f'; did you mean "{meant}"?' if NAME.fullmatch(meant) else ""
    raise InvalidValue(f'"{_UNSTORABLE.sub("?", name[:60])}" is no name of a template: it {right}{hint}')


def clean_source(text: str) -> str:
    """The text with plain line ends, as files are read. Errors: InvalidValue for what no database can hold."""
    source = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if found := _UNSTORABLE.search(source):
        line = source.count("\n", 0, found.start()) + 1
        what = "a NUL character" if found[0] == "\0" else "half of a character"
        raise InvalidValue(f"line {line} holds {what}, which cannot be stored: take it out")
    if (size := len(source.encode())) > MAX_SOURCE:
        raise InvalidValue(
            f"has {size:,} bytes, and {MAX_SOURCE:,} are the most: put what several templates share into a piece"
        )
    return source
