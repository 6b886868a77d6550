"""The commands of the docs: what is pasted into a terminal is not refused for its form."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```[a-z]*\n(.*?)^```$", re.M | re.S)
COMMAND = re.compile(r"^curl .*?(?:[^\\]$(?=\n(?!\s))|\Z)", re.M | re.S)  # its further lines are indented
JSON = re.compile(r"\s-d\s+'\{")
SANDBOX = "/sandbox/"  # takes JSON however it is called


def commands() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        for block in BLOCK.findall(page.read_text("utf-8")):
            found += [(page.name, command) for command in COMMAND.findall(block) if JSON.search(command)]
    return found


def test_some_are_found() -> None:
    assert len(commands()) > 10


@pytest.mark.parametrize(
    ("page", "command"), [pytest.param(*one, id=f"{one[0]}-{n}") for n, one in enumerate(commands())]
)
def test_a_command_that_sends_json_says_so(page: str, command: str) -> None:
    """curl calls it a form otherwise, and a form is answered with 415."""
    assert "Content-Type: application/json" in command or SANDBOX in command
