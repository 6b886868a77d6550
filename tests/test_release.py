"""A release: its version stands in one place, its changes and its licence where people look for them."""

from __future__ import annotations

import re
import tomllib
from datetime import date
from pathlib import Path

import pytest

from bridge import __version__
from bridge.app import create_app
from bridge.cli import main
from bridge.offers.integration import SERVER_SIDE
from bridge.settings import Settings
from bridge.upstream.transport import USER_AGENT

ROOT = Path(__file__).resolve().parent.parent
CHANGELOG = (ROOT / "CHANGELOG.md").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}  # keepachangelog.com
CODE = [
    *(ROOT / "bridge").rglob("*.py"),
    *(ROOT / name for name in ("pyproject.toml", "app.json", "gunicorn.conf.py", "Makefile")),
]


class TestTheVersion:
    def test_whoever_tells_it_tells_the_same(self, capsys: pytest.CaptureFixture[str]) -> None:
        app = create_app(
            Settings.from_env({"BRIDGE_ENV": "development", "DATABASE_URL": "sqlite:///none.db"})
        )

        with pytest.raises(SystemExit) as left:
            main(["--version"])

        health = app.test_client().get("/healthz").get_json()
        parts = app.extensions["bridge"]
        parts.inbox.close()
        parts.database.close()
        assert (left.value.code, capsys.readouterr().out) == (0, f"{__version__}\n")
        assert health["version"] == __version__
        assert USER_AGENT.endswith(f"/{__version__}")
        assert SERVER_SIDE["version"] == SERVER_SIDE["packageVersion"] == __version__

    def test_it_is_spelled_once(self) -> None:
        word = re.compile(rf"(?<![0-9.]){re.escape(__version__)}(?![0-9.])")

        assert [path.name for path in CODE if word.search(path.read_text("utf-8"))] == ["__init__.py"]
        assert PROJECT["project"]["dynamic"] == ["version"]
        assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "bridge.__version__"}


class TestTheChangelog:
    def test_its_newest_release_is_this_one_below_what_is_unreleased(self) -> None:
        headings = re.findall(r"^## (.*)$", CHANGELOG, re.MULTILINE)

        assert headings[0] == "[Unreleased]"
        assert headings[1].startswith(f"[{__version__}] - ")

    def test_its_releases_have_a_number_and_a_day_the_newest_first(self) -> None:
        releases = re.findall(r"^## \[(\d+)\.(\d+)\.(\d+)\] - (\d{4}-\d\d-\d\d)$", CHANGELOG, re.MULTILINE)

        assert len(releases) == len(re.findall(r"^## ", CHANGELOG, re.MULTILINE)) - 1
        numbers = [tuple(map(int, release[:3])) for release in releases]
        days = [date.fromisoformat(release[3]) for release in releases]
        assert (numbers, days) == (sorted(numbers, reverse=True), sorted(days, reverse=True))

    def test_its_sections_are_of_the_kinds_that_readers_know(self) -> None:
        assert set(re.findall(r"^### (.*)$", CHANGELOG, re.MULTILINE)) <= KINDS


class TestTheLicence:
    def test_it_is_apaches_and_whole(self) -> None:
        text = (ROOT / "LICENSE").read_text("utf-8")

        assert text.split()[:5] == ["Apache", "License", "Version", "2.0,", "January"]
        assert all(f"\n   {number}. " in text for number in range(1, 10))
        assert "END OF TERMS AND CONDITIONS" in text
        assert PROJECT["project"]["license"] == "Apache-2.0"

    def test_what_is_of_others_is_named(self) -> None:
        notice = (ROOT / "NOTICE").read_text("utf-8")
        origins = {
            "bridge/console/static/vendor/": "LICENSES.txt",
            "bridge/calendar/zone_names.py": "UNICODE LICENSE V3",
        }

        assert PROJECT["project"]["license-files"] == ["LICENSE", "NOTICE"]
        assert [place for place in origins if not (ROOT / place).exists() or place not in notice] == []
        assert [licence for licence in origins.values() if licence not in notice] == []
