"""Rows of figures: how they read in the terminal and in docs/benchmarks.md."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
BEGIN, END = "<!-- make bench writes from here -->", "<!-- to here -->"

HEAD = ("measure", "database", "the bridge", "held against", "ratio (median, least – most)", "at least", "")


@dataclass(frozen=True)
class Row:
    """One line of the table. `is_good` None: a figure without a goal."""

    measure: str
    database: str
    bridge: str
    against: str = ""
    ratio: str = ""
    goal: str = ""
    is_good: bool | None = None

    def cells(self) -> tuple[str, ...]:
        verdict = "" if self.is_good is None else ("ok" if self.is_good else "below")
        return (self.measure, self.database, self.bridge, self.against, self.ratio, self.goal, verdict)


@dataclass(frozen=True)
class Table:
    """A title, a head, lines, and what is to be known of them."""

    title: str
    head: Sequence[str]
    lines: Sequence[Sequence[str]]
    notes: Sequence[str] = ()


def compared(
    measure: str, database: str, ours: Sequence[float], theirs: Sequence[float], goal: float, words: str = ""
) -> Row:
    """Rates measured in alternation: each of ours against the one of theirs beside it."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    middle = statistics.median(ratios)
    return Row(
        measure,
        database,
        f"{statistics.median(ours):.0f}/s{words}",
        f"{statistics.median(theirs):.0f}/s",
        f"{middle:.2f} ({min(ratios):.2f} – {max(ratios):.2f})",
        f"{goal:g}",
        middle >= goal,
    )


def of_rows(rows: Iterable[Row]) -> Table:
    return Table("", HEAD, [row.cells() for row in rows])


def for_terminal(table: Table) -> str:
    lines = [tuple(table.head), *(tuple(line) for line in table.lines)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(table.head))]
    shown = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    return "\n".join([table.title, *(line.rstrip() for line in shown), *table.notes]).strip() + "\n"


def for_docs(table: Table) -> str:
    title = [f"### {table.title}", ""] if table.title else []
    lines = [table.head, ["---"] * len(table.head), *table.lines]
    shown = ["| " + " | ".join(line) + " |" for line in lines]
    notes = [part for note in table.notes for part in ("", note)]
    return "\n".join([*title, *shown, *notes]) + "\n"


def write(text: str, path: Path = DOCS) -> None:
    """Replace what stands between the markers."""
    before, begin, rest = path.read_text("utf-8").partition(BEGIN)
    _old, end, after = rest.partition(END)
    if not begin or not end:
        raise RuntimeError(f"{path} lacks its markers {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n\n{text.strip()}\n\n{END}{after}", "utf-8")
