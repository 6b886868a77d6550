"""What identifies an event or a user: printable text of bounded length."""

from __future__ import annotations

import re

from bridge.errors import InvalidValue

MOST_EVENT_ID = 255  # bytes

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def event_id(given: object) -> str:
    """Errors: InvalidValue."""
    if isinstance(given, int) and not isinstance(given, bool):
        given = str(given)
    if not isinstance(given, str) or not given.strip():
        raise InvalidValue("is needed: the id of this event for you, such as summer_sale_26")
    return identifier(given.strip(), MOST_EVENT_ID)


def identifier(text: str, most: int) -> str:
    """`text` as it is, if it has at most so many bytes. Errors: InvalidValue."""
    if found := _UNPRINTABLE.search(text):
        raise InvalidValue(f"holds a line break or the control character U+{ord(found[0]):04X}")
    if len(text.encode()) > most:
        raise InvalidValue(f"is longer than {most} bytes")
    if "{{" in text or "{%" in text:
        raise InvalidValue(f"{shown(text)} is Liquid that nobody has rendered")
    return text


def shown(text: str) -> str:
    """A caller's text, fit for a message: in quotes, cut, without control characters."""
    return '"' + plain(text[:60]) + ('…"' if len(text) > 60 else '"')


def plain(text: str) -> str:
    """A text as every database can hold it: without control characters and lone surrogates."""
    return _UNPRINTABLE.sub("?", text)
