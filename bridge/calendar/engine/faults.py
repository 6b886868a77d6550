"""The mistakes of a template and of the values given to it, in words for the marketer who mends them."""

from __future__ import annotations

from collections.abc import Iterable

from bridge.errors import InvalidValue, nearest


class TemplateFault(InvalidValue):
    """A mistake with its place: the template's file (or the shared piece's), the line, and the field.

    `field` is a block's name, "variables.<name>" or "template"; `cause` a short fixed phrase for lists and counts.
    """

    def __init__(self, template: str, line: int | None, field: str, cause: str, words: str) -> None:
        place = f"{template}.jinja" if line is None else f"{template}.jinja, line {line}"
        super().__init__(f"{place}: {words}")
        self.template = template
        self.line = line
        self.field = field
        self.cause = cause
        self.words = words


class Refusal(InvalidValue):
    """Raised by what runs inside a template, which knows the mistake but not its place."""

    def __init__(self, words: str, cause: str = "wrong value") -> None:
        super().__init__(words)
        self.cause = cause


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean "discount"?`, or nothing when no known name looks like `word`."""
    names = nearest(word, list(known), 1) if len(word) <= _LONGEST_NAME else []
    return f'; did you mean "{names[0]}"?' if names else ""


_LONGEST_NAME = 64  # comparing takes time for each letter, and a longer word is no misspelt name
