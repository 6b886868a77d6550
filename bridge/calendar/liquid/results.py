"""What an import from Braze gives back: the template, what is to be known of it, and how the two compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from bridge.errors import InvalidValue


class LiquidFault(InvalidValue):
    """What was pasted cannot be read. `line` counts from 1 in `box`: "body", "URL" or "headers"."""

    def __init__(self, words: str, line: int | None = None, box: str = "body") -> None:
        super().__init__(f"{box}, line {line}: {words}" if line else words)
        self.words = words
        self.line = line
        self.box = box


@dataclass(frozen=True)
class Note:
    """Something to know about one line of what was pasted; `is_open`: somebody has to do something about it."""

    line: int | None
    words: str
    box: str = "body"
    is_open: bool = True


@dataclass(frozen=True)
class Compared:
    """One sample user, rendered by Braze's Liquid and by the template; no differences: both say the same."""

    name: str
    variables: Mapping[str, Any]
    liquid: Mapping[str, str]
    jinja: Mapping[str, str]
    differences: list[str]


@dataclass(frozen=True)
class Imported:
    """A template made of a Braze webhook. `action`: what its URL said, "create" or "update"."""

    source: str
    purpose: str
    notes: list[Note]
    cases: list[Compared]
    action: str = "create"
    variables: list[str] = field(default_factory=list)

    @property
    def open_notes(self) -> list[Note]:
        """What has no equal and waits for a person."""
        return [note for note in self.notes if note.is_open]

    @property
    def is_alike(self) -> bool:
        """Whether both engines said the same for every sample user."""
        return bool(self.cases) and not any(case.differences for case in self.cases)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        notes = [Note(**note) for note in given["notes"]]
        cases = [Compared(**case) for case in given["cases"]]
        return cls(**{**given, "notes": notes, "cases": cases})
