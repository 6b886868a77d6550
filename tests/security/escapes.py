"""The corpus of tests/calendar/escapes: known ways out of a template engine, and known ways to use it up.

A file holds sections. A section's first line says what becomes of it: `=== refused`, `=== cut off`, or
`=== prints` and the text; after a `#` stands `live` where it takes the whole time of a rendering and is one of the
few that every run of the tests tries all the same, or `by hand` where it is not. `⟦a×3⟧` stands for `aaa`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "calendar" / "escapes"
CUT_OFF = ("rendering took too long", "result too large")
FRAME = """{#
A template with a hole.

first_name default ""
count      default 3, number
starts     default 2026-12-04T09:00, time
due        default 2026-12-15, day
vip        default no, yes/no
#}
{% block event_id %}e-1{% endblock %}
{% block title %}t{% endblock %}
{% block start %}2026-12-04T09:00{% endblock %}
{% block timezone %}Europe/Berlin{% endblock %}
{% block description %}@@{% endblock %}
"""
PIECES = {"_piece": "piece {{ first_name }}", "_macros": "{% macro shout(x) %}{{ x }}!{% endmacro %}"}

_SECTION = re.compile(r"^=== (.*)\n", re.MULTILINE)
_HEAD = re.compile(r"(refused|cut off|prints)(?:: ?(.*?))?(?: # (live|by hand))?")
_REPEATED = re.compile(r"⟦(.*?)×(\d+)⟧", re.DOTALL)


@dataclass(frozen=True)
class Escape:
    """`expected`: refused, cut off, or prints; `printed` is what, then. `takes_long`: as long as a rendering may."""

    where: str
    trick: str
    expected: str
    printed: str = ""
    takes_long: bool = False
    is_by_hand: bool = False

    def __str__(self) -> str:
        return self.where

    @property
    def sources(self) -> dict[str, str]:
        return {"tricky": FRAME.replace("@@", self.trick), **PIECES}


def escapes(kind: str = "*") -> list[Escape]:
    return [escape for path in sorted(FOLDER.glob(f"{kind}.txt")) for escape in _read(path)]


def _read(path: Path) -> Iterator[Escape]:
    first, *parts = _SECTION.split(path.read_text("utf-8"))
    assert not first, f"{path.name} does not begin with ==="
    for number, (head, body) in enumerate(zip(parts[::2], parts[1::2], strict=True), 1):
        said = _HEAD.fullmatch(head)
        assert said is not None, f"{path.name}: {head}"
        expected, printed, note = said.groups(default="")
        trick = _REPEATED.sub(lambda found: found[1] * int(found[2]), body.removesuffix("\n"))
        yield Escape(f"{path.stem}-{number}", trick, expected, printed, bool(note), note == "by hand")
