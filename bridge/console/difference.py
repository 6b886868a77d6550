"""What differs between two texts, line by line."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

BESIDE = 3  # lines that are the same, shown around what differs
MOST_COMPARED = 4_000_000  # pairs of lines: some seconds at worst

_Kind = Literal["replace", "delete", "insert", "equal"]


@dataclass(frozen=True)
class Line:
    """`kind`: `same`, `gone` (only in the first), `new` (only in the second), `cut` (the same lines are left out)."""

    kind: str
    text: str
    number: int | None = None  # in the second text; of what is gone in the first


class Comparison(difflib.SequenceMatcher[str]):
    """Lines of two texts. Between equal beginnings and ends, what is too long to look at is one change."""

    def __init__(self, before: Sequence[str], after: Sequence[str]) -> None:
        self._before, self._after = before, after
        super().__init__(None, before, after, autojunk=len(before) + len(after) > 400)

    def get_opcodes(self) -> list[tuple[_Kind, int, int, int, int]]:
        before, after = self._before, self._after
        most = min(len(before), len(after))
        begin = next((at for at in range(most) if before[at] != after[at]), most)
        end = next((at for at in range(most - begin) if before[-1 - at] != after[-1 - at]), most - begin)
        if (len(before) - begin - end) * (len(after) - begin - end) <= MOST_COMPARED:
            return super().get_opcodes()
        low, high, its_low, its_high = begin, len(before) - end, begin, len(after) - end
        opcodes: list[tuple[_Kind, int, int, int, int]] = [
            ("equal", 0, low, 0, its_low),
            ("replace", low, high, its_low, its_high),
            ("equal", high, len(before), its_high, len(after)),
        ]
        return [one for one in opcodes if one[1] < one[2] or one[3] < one[4]]


def difference(first: str, second: str) -> list[Line]:
    """Long texts take tens of milliseconds: in turn, in a web process."""
    before, after = first.split("\n"), second.split("\n")
    found: list[Line] = []
    for number, group in enumerate(Comparison(before, after).get_grouped_opcodes(BESIDE)):
        if number or group[0][3]:
            found.append(Line("cut", "…"))
        for kind, low, high, its_low, its_high in group:
            if kind == "equal":
                found += [Line("same", after[at], at + 1) for at in range(its_low, its_high)]
                continue
            found += [Line("gone", before[at], at + 1) for at in range(low, high)]
            found += [Line("new", after[at], at + 1) for at in range(its_low, its_high)]
    return found
