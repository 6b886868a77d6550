"""What differs between two texts, line by line."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

BESIDE = 3  # lines that are the same, shown around what differs
MOST_COMPARED = 4_000_000  # pairs of lines: some seconds at worst

_Opcode = tuple[Literal["replace", "delete", "insert", "equal"], int, int, int, int]


@dataclass(frozen=True)
class Line:
    """`kind`: `same`, `gone` (only in the first), `new` (only in the second), `cut` (the same lines are left out)."""

    kind: str
    text: str
    number: int | None = None  # in the second text; of what is gone in the first


class Comparison(difflib.SequenceMatcher[str]):
    """Lines of two texts. Between equal beginnings and ends they are compared, or are one change if too long."""

    def __init__(self, before: Sequence[str], after: Sequence[str]) -> None:
        self._before, self._after = before, after
        super().__init__(None, before, after)

    def get_opcodes(self) -> list[_Opcode]:
        before, after = self._before, self._after
        most = min(len(before), len(after))
        begin = next((at for at in range(most) if before[at] != after[at]), most)
        end = next((at for at in range(most - begin) if before[-1 - at] != after[-1 - at]), most - begin)
        high, its_high = len(before) - end, len(after) - end
        opcodes: list[_Opcode] = [
            ("equal", 0, begin, 0, begin),
            *(
                (kind, begin + one, begin + two, begin + its_one, begin + its_two)
                for kind, one, two, its_one, its_two in _compared(before[begin:high], after[begin:its_high])
            ),
            ("equal", high, len(before), its_high, len(after)),
        ]
        return [one for one in opcodes if one[1] < one[2] or one[3] < one[4]]


def _compared(before: Sequence[str], after: Sequence[str]) -> Sequence[_Opcode]:
    if len(before) * len(after) > MOST_COMPARED:
        return [("replace", 0, len(before), 0, len(after))]
    is_long = len(before) + len(after) > 400
    return difflib.SequenceMatcher(None, before, after, autojunk=is_long).get_opcodes()


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
