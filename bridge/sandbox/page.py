"""The sandbox's page: the last calls, for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from typing import Any


def page(calls: Sequence[dict[str, Any]]) -> str:
    rows = "".join(_row(call) for call in reversed(calls))
    return f"<!doctype html><title>Sandbox</title><meta http-equiv=refresh content=2><table>{rows}</table>"


def _row(call: dict[str, Any]) -> str:
    cells = [
        call["at"],
        call["method"],
        call["path"],
        call["status"],
        json.dumps(call["body"], ensure_ascii=False),
    ]
    return "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in cells) + "</tr>"
