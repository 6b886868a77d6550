"""The environment's variables as pages tell them: each that is read has its words, and no other is asked for."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path

from bridge.errors import SettingsInvalid
from bridge.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
HEROKUS = {"DYNO"}  # set there for every process, by nobody here


class Watched(dict[str, str]):
    """An environment that notes what is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()

    def get(self, name: str, default: str = "") -> str:  # type: ignore[override]
        self.asked.add(name)
        return default


def read() -> set[str]:
    environ = Watched()
    with suppress(SettingsInvalid):
        Settings.from_env(environ, is_web=True)
    return environ.asked - HEROKUS


def test_docs_deploy_has_a_row_for_every_variable() -> None:
    rows = re.findall(r"^\| (`[A-Z].*?) \| ", (ROOT / "docs" / "deploy.md").read_text("utf-8"), re.MULTILINE)
    told = {name for row in rows for name in re.findall(r"`(\w+)`", row)}

    assert len(read()) >= 45
    assert read() - told == set()


def test_herokus_form_asks_for_nothing_else() -> None:
    asked = json.loads((ROOT / "app.json").read_text("utf-8"))["env"]

    assert asked.keys() - read() == set()
