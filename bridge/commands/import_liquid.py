"""`templates import-liquid`: a template made of the body of a Braze webhook, on standard output."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge.errors import InvalidValue

if TYPE_CHECKING:
    from bridge.calendar.liquid import Imported


def mount(kinds: Any) -> None:
    """Add the command to `templates`."""
    words = "make a template of a Braze webhook's body"
    its = kinds.add_parser(
        "import-liquid",
        help=words,
        description=f"{words}: the template goes to standard output, what to know of it to standard error.",
    )
    its.set_defaults(command=_import)
    its.add_argument("file", metavar="FILE", help='the raw text of the body; "-" reads standard input')
    its.add_argument("--url", default="", help="the webhook's URL, as it stands in Braze")
    its.add_argument("--headers", default="", help='its headers: "Name: value", one a line')
    its.add_argument("--name", default="", help="the template's name; else that of the file")


def _import(given: argparse.Namespace) -> int:
    from bridge.calendar.admission import check_name
    from bridge.calendar.liquid import import_liquid

    name = given.name or re.sub(r"[^a-z0-9]+", "_", Path(given.file).stem.lower()).strip("_") or "imported"
    check_name(name)
    imported = import_liquid(_text(given.file), name=name, url=given.url, headers=given.headers)
    sys.stdout.write(imported.source)
    sys.stdout.flush()
    sys.stderr.write("".join(f"{line}\n" for line in told(imported)))
    return 0


def told(imported: Imported) -> list[str]:
    """What has no equal, what else to know, and how the two compare."""
    lines = ["", f"What has no equal here, {len(imported.open_notes)}:"] if imported.open_notes else [""]
    lines += [f"- {_placed(note.box, note.line)}{note.words}" for note in imported.open_notes]
    rest = [note for note in imported.notes if not note.is_open]
    lines += ["", "Good to know:"] if rest else []
    lines += [f"- {_placed(note.box, note.line)}{note.words}" for note in rest]
    differing = [case for case in imported.cases if case.differences]
    alike = len(imported.cases) - len(differing)
    lines += ["", f"Rendered by both for {len(imported.cases)} sample users: {alike} alike."]
    lines += [f"- {case.name}: {words}" for case in differing for words in case.differences]
    return lines


def _placed(box: str, line: int | None) -> str:
    return f"{box}, line {line}: " if line else ""


def _text(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
    except (OSError, ValueError) as wrong:
        raise InvalidValue(f"{file} cannot be read: {wrong}") from wrong
