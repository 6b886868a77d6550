"""docs/architecture.md and the README's map are true: what they name is there, and the tables are all named."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
# Made by the example of the page, by whoever follows it.
NOT_YET = {"bridge/destinations/toy.py"}


def section(page: str, heading: str) -> str:
    return page[page.index(f"## {heading}\n") :].split("\n## ")[0]


def block(text: str) -> str:
    found = re.search(r"```\n(.*?)```", text, re.DOTALL)
    assert found
    return found[1]


def paths(text: str) -> set[str]:
    """What looks like a file or a folder."""
    return set(re.findall(r"(?<![\w./{}-])(?:[\w.-]+/)*[\w-]+(?:\.py|\.json|\.toml|\.md|/)(?![\w/])", text))


def missing(named: set[str], *folders: Path) -> list[str]:
    return sorted(name for name in named if not any((folder / name).exists() for folder in folders))


class TestThePicture:
    def test_every_file_and_folder_in_it_is_there(self) -> None:
        named = paths(block(section(PAGE, "The hourglass")))

        assert len(named) >= 20
        assert missing(named, ROOT / "bridge") == []


class TestTheRest:
    def test_every_file_that_is_named_in_code_type_is_there(self) -> None:
        named = {name for code in re.findall(r"`([^`\n]+)`", PAGE) for name in paths(code)}
        places = (ROOT, ROOT / "bridge", ROOT / "bridge/calendar", ROOT / "bridge/calendar/liquid")
        places += (
            ROOT / "bridge/outbox",
            ROOT / "bridge/routes",
            ROOT / "bridge/calendar/engine",
            ROOT / "bridge/web",
        )

        assert len(named) >= 60
        assert missing(named - NOT_YET, *places) == []

    def test_links_between_the_pages_lead_somewhere(self) -> None:
        for page in (*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md")):
            for target in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", page.read_text("utf-8")):
                file, _, anchor = target.partition("#")
                there = (page.parent / file).resolve() if file else page
                assert there.exists(), f"{page.name}: {target}"
                if anchor:
                    assert anchor in anchors(there), f"{page.name}: {target}"


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings: of two that are the same the second is `…-1`."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    found: Counter[str] = Counter()
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        found[re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")] += 1
    return {f"{name}-{n}" if n else name for name, count in found.items() for n in range(count)}


class TestTheTables:
    def test_each_is_named_with_files_that_speak_of_it(self) -> None:
        declared = {
            name
            for path in (ROOT / "bridge").rglob("*.py")
            for name in re.findall(r'= (?:sa\.)?Table\(\s*"(\w+)"', path.read_text("utf-8"))
        }
        rows = re.findall(r"^\| (`.*?) \| .* \| (.*) \|$", section(PAGE, "Tables"), re.MULTILINE)
        writers = {name: paths(row[1]) for row in rows for name in re.findall(r"`(\w+)`", row[0])}

        assert writers.keys() == declared
        for name, files in writers.items():
            assert files, name
            for file in files:
                assert re.search(rf"\b{name}\b", (ROOT / "bridge" / file).read_text("utf-8")), (name, file)


class TestTheReadme:
    def test_everything_on_its_map_is_there(self) -> None:
        tree = block(section(README, "The map"))
        inside = {
            name
            for line in tree.splitlines()
            if line[:1] in "├└"
            for name in line[4:].partition("  ")[0].split(", ")
        }

        assert len(inside) >= 15
        assert missing(inside, ROOT / "bridge") == []
        outside = {name for line in tree.splitlines() if line[:1] not in "├└" for name in paths(line)}
        assert missing(outside, ROOT) == []

    def test_every_folder_of_the_bridge_is_on_it(self) -> None:
        folders = {path.parent.name for path in (ROOT / "bridge").glob("*/__init__.py")}

        assert [name for name in sorted(folders) if f" {name}/" not in section(README, "The map")] == []

    @pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
    def test_it_leads_to_every_page(self, page: Path) -> None:
        assert f"(docs/{page.name}" in README
