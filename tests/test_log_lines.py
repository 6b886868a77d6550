"""Every line that the bridge can write stands in docs/logs.md, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "log"}


def calls_of_loggers() -> Iterator[tuple[Path, ast.Call, ast.expr]]:
    """Each with the expression that names its line."""
    for path in sorted((ROOT / "bridge").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            its = ast.unparse(node.func.value)
            if its in ("log", "structlog.get_logger()") and node.func.attr in LEVELS:
                yield path, node, node.args[node.func.attr == "log"]


def names_in(expression: ast.expr) -> list[str]:
    """A name, or one of two."""
    ways = [expression.body, expression.orelse] if isinstance(expression, ast.IfExp) else [expression]
    return [way.value for way in ways if isinstance(way, ast.Constant) and isinstance(way.value, str)]


def documented() -> list[str]:
    rows = re.findall(r"(?m)^\| (`[^|]+) \|", (ROOT / "docs" / "logs.md").read_text("utf-8"))
    return [name for row in rows for name in re.findall(r"`([a-z_]+\.[a-z_]+)`", row)]


def test_the_name_of_a_line_is_plain_to_see() -> None:
    unnamed = [f"{path}:{call.lineno}" for path, call, name in calls_of_loggers() if not names_in(name)]

    assert unnamed == []


def test_every_line_stands_in_the_table_and_the_table_has_no_other() -> None:
    written = {name for _, _, expression in calls_of_loggers() for name in names_in(expression)}

    assert len(written) > 40
    assert sorted(documented()) == sorted(written)
