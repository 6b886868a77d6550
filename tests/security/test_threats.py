"""docs/security.md: each threat has an answer, each answer its tests, and each test of this folder its threat."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"`(tests/[a-z_/]+\.py)::(test_\w+)`")
DOC = (ROOT / "docs" / "security.md").read_text("utf-8")
ROWS = [line for line in DOC.partition("\n## Keys\n")[0].splitlines() if line.startswith("| ")]
THREATS = [row for row in ROWS if not row.startswith("| threat |")]


@cache
def defined_in(path: str) -> set[str]:
    """The tests that a file defines, in its classes too."""
    file = ROOT / path
    tree = ast.parse(file.read_text("utf-8")) if file.exists() else ast.Module([], [])
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


@pytest.mark.parametrize(("path", "test"), NAMED.findall(DOC))
def test_each_test_that_is_named_is_there(path: str, test: str) -> None:
    assert test in defined_in(path)


@pytest.mark.parametrize("row", THREATS)
def test_each_threat_names_its_tests(row: str) -> None:
    _, _threat, answer, tests, _ = row.split("|")

    assert answer.strip()
    assert NAMED.search(tests)


def test_no_test_of_this_folder_is_missing() -> None:
    here = {
        (f"tests/security/{path.name}", test)
        for path in Path(__file__).parent.glob("test_*.py")
        if path.name != Path(__file__).name
        for test in defined_in(f"tests/security/{path.name}")
    }

    assert len(here) > 30
    assert here - set(NAMED.findall(DOC)) == set()


KINDS = [
    *(
        "in constant time",
        "redirect",
        "clickjacking",
        "session fixation",
        "half-sent",
        "form of another site",
    ),
    *("header", "scripts", "hashes", "root", "masked", "escapes", "time or memory"),
]


@pytest.mark.parametrize("word", KINDS)
def test_no_kind_of_threat_is_forgotten(word: str) -> None:
    assert word in "\n".join(THREATS)
