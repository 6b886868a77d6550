"""Secrets, which do not show themselves, and how they are read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from bridge.errors import InvalidValue


class Secret:
    """A text that shows itself only to whoever asks for it by name."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


@dataclass(frozen=True)
class Credential:
    client_id: str = field(repr=False)  # half of a key
    secret: Secret


def api_key(text: str) -> Secret:
    return Secret(header(text))


def header(text: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]*", text):
        raise InvalidValue("holds a blank or a letter that no key has: copy it once more")
    return text


def user(text: str) -> str:
    """The first half of an HTTP Basic pair, which a colon ends."""
    if ":" in text:
        raise InvalidValue("holds a colon, which no key has: its secret stands in a variable of its own")
    return header(text)
