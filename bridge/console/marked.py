"""Two texts side by side, with the words marked that differ within a line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from bridge.console.difference import BESIDE, Comparison

MOST_MARKED = 4_000  # characters of both lines: of longer ones the whole line is marked
MOST_WORDS = 200  # of one, so that a line of the same word again and again takes milliseconds
ALIKE = 0.35  # lines that have less in common are two lines, and no change of one

Marks = tuple[tuple[str, bool], ...]  # pieces of a line: text, and whether it differs


@dataclass(frozen=True)
class Cell:
    number: int
    marks: Marks


@dataclass(frozen=True)
class Row:
    """`kind`: same, changed, gone (only `old`), new (only `new`), cut (neither: the same lines are left out)."""

    kind: str
    old: Cell | None = None
    new: Cell | None = None


def side_by_side(old: str, new: str) -> list[Row]:
    """Nothing if they are the same. Long texts take tens of milliseconds: in turn, in a web process."""
    before, after = old.split("\n"), new.split("\n")
    rows: list[Row] = []
    for number, group in enumerate(Comparison(before, after).get_grouped_opcodes(BESIDE)):
        if number or group[0][3]:
            rows.append(Row("cut"))
        for kind, low, high, its_low, its_high in group:
            if kind == "equal":
                rows += [
                    Row("same", Cell(at + 1, ((before[at], False),)), Cell(its + 1, ((after[its], False),)))
                    for at, its in zip(range(low, high), range(its_low, its_high), strict=True)
                ]
            else:
                rows += _changed(before, range(low, high), after, range(its_low, its_high))
    return rows


def marked(old: str, new: str) -> tuple[Marks, Marks]:
    """Both in pieces, word by word."""
    if len(old) + len(new) > MOST_MARKED:
        return ((old, True),), ((new, True),)
    first, second = _WORD.findall(old), _WORD.findall(new)
    if max(len(first), len(second)) > MOST_WORDS:
        return ((old, True),), ((new, True),)
    its, others = [], []
    for kind, low, high, its_low, its_high in difflib.SequenceMatcher(
        None, first, second, autojunk=False
    ).get_opcodes():
        is_changed = kind != "equal"
        its.append(("".join(first[low:high]), is_changed))
        others.append(("".join(second[its_low:its_high]), is_changed))
    return _joined(its), _joined(others)


def _changed(before: Sequence[str], gone: range, after: Sequence[str], new: range) -> list[Row]:
    """Lines that were changed stand beside what they were; the rest alone."""
    rows = []
    paired = min(len(gone), len(new))
    for at, its in zip(gone[:paired], new[:paired], strict=True):
        old_line, new_line = before[at], after[its]
        if _are_alike(old_line, new_line):
            old_marks, new_marks = marked(old_line, new_line)
        else:
            old_marks, new_marks = ((old_line, True),), ((new_line, True),)
        rows.append(Row("changed", Cell(at + 1, old_marks), Cell(its + 1, new_marks)))
    rows += [Row("gone", old=Cell(at + 1, ((before[at], True),))) for at in gone[paired:]]
    rows += [Row("new", new=Cell(its + 1, ((after[its], True),))) for its in new[paired:]]
    return rows


def _are_alike(old: str, new: str) -> bool:
    return (
        len(old) + len(new) <= MOST_MARKED
        and difflib.SequenceMatcher(None, old, new, autojunk=False).quick_ratio() >= ALIKE
    )


def _joined(pieces: Sequence[tuple[str, bool]]) -> Marks:
    """White space between two changed words is changed too: a mark for each word is hard to read."""
    found: list[tuple[str, bool]] = []
    for number, (text, is_changed) in enumerate(pieces):
        beside = (pieces[number - 1 : number] or [("", False)])[0][1]
        after = number + 1 < len(pieces) and pieces[number + 1][1]
        is_marked = is_changed or (text.isspace() and beside and after)
        if not text:
            continue
        if found and found[-1][1] == is_marked:
            found[-1] = (found[-1][0] + text, is_marked)
        else:
            found.append((text, is_marked))
    return tuple(found)


_WORD = re.compile(r"\w+|\s+|[^\w\s]")
