"""What differs between two texts, line by line."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

BESIDE = 3  # lines that are the same, shown around what differs


@dataclass(frozen=True)
class Line:
    """`kind`: `same`, `gone` (only in the first), `new` (only in the second), `cut` (the same lines are left out)."""

    kind: str
    text: str
    number: int | None = None  # in the second text; of what is gone in the first


def difference(first: str, second: str) -> list[Line]:
    """Long texts take tens of milliseconds: in turn, in a web process."""
    before, after = first.split("\n"), second.split("\n")
    found: list[Line] = []
    groups = difflib.SequenceMatcher(None, before, after, autojunk=len(before) + len(after) > 400)
    for number, group in enumerate(groups.get_grouped_opcodes(BESIDE)):
        if number or group[0][3]:
            found.append(Line("cut", "…"))
        for kind, low, high, its_low, its_high in group:
            if kind == "equal":
                found += [Line("same", after[at], at + 1) for at in range(its_low, its_high)]
                continue
            found += [Line("gone", before[at], at + 1) for at in range(low, high)]
            found += [Line("new", after[at], at + 1) for at in range(its_low, its_high)]
    return found
