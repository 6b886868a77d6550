"""The console's own files: what they are, how long they are kept, and that a build makes what is committed."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
from pathlib import Path

import pytest
from console.conftest import Console, SignedIn
from node import installed
from playwright.sync_api import Page

from bridge.console.static_files import FOLDER

FRONTEND = Path(__file__).parents[2] / "frontend"
VENDOR = FOLDER / "vendor"
FILES = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.is_file())
BUNDLES = [name for name in FILES if name.startswith("vendor/") and not name.endswith(".txt")]


@pytest.mark.parametrize("name", FILES)
def test_a_file_comes_as_what_it_is(console: Console, name: str) -> None:
    client = console.visitor().client
    kind = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".txt": "text/plain"}

    plain = client.get(f"/console/static/{name}")
    small = client.get(f"/console/static/{name}", headers={"Accept-Encoding": "gzip"})

    assert plain.headers["Content-Type"] == f"{kind[Path(name).suffix]}; charset=utf-8"
    assert plain.data == gzip.decompress(small.data) == (FOLDER / name).read_bytes()
    assert small.headers["Content-Encoding"] == "gzip"
    assert plain.headers["X-Content-Type-Options"] == "nosniff"


def test_a_file_is_kept_for_good_under_the_address_that_pages_name(console: Console) -> None:
    client = console.visitor().client
    page = client.get("/console/sign-in").get_data(as_text=True)
    address = re.search(r'href="([^"]+console\.css[^"]*)"', page)
    assert address

    named = client.get(address[1])
    again = client.get(address[1], headers={"If-None-Match": named.headers["ETag"]})
    bare = client.get("/console/static/console.css")
    old = client.get("/console/static/console.css?v=0123456789ab")

    assert named.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert (again.status_code, again.data) == (304, b"")
    assert bare.headers["Cache-Control"] == old.headers["Cache-Control"] == "no-cache"
    assert "Set-Cookie" not in named.headers


@pytest.mark.parametrize(
    "name",
    [
        "",
        "none.js",
        "../signing.py",
        "..%2fsigning.py",
        "vendor",
        "vendor/",
        "%00",
        "/etc/passwd",
        "a\\..\\b.js",
    ],
)
def test_nothing_else_comes_from_there(console: Console, name: str) -> None:
    answer = console.visitor("viewer").client.get(f"/console/static/{name}")

    assert answer.status_code == 404
    assert "root:" not in answer.get_data(as_text=True)


@pytest.mark.parametrize("name", BUNDLES)
def test_a_bundle_names_what_it_holds_with_the_licences_beside_it(name: str) -> None:
    wanted = json.loads((FRONTEND / "package.json").read_text())["dependencies"]
    first = (FOLDER / name).read_text("utf-8").partition("\n")[0]
    licences = (FOLDER / f"{name}.LICENSES.txt").read_text("utf-8")

    held = dict(re.findall(r"([@\w./-]+) (\d+\.\d+\.\d+)", first))

    assert held
    assert {
        package: version for package, version in held.items() if wanted.get(package, version) != version
    } == {}
    for package, version in held.items():
        assert f"{package} {version}\n" in licences
    assert len(re.findall("Permission is hereby granted|Permission to use", licences)) >= len(held)


def test_every_library_is_in_a_bundle() -> None:
    wanted = json.loads((FRONTEND / "package.json").read_text())["dependencies"]
    first = "".join((FOLDER / name).read_text("utf-8").partition("\n")[0] for name in BUNDLES)

    assert [
        f"{package} {version}" for package, version in wanted.items() if f"{package} {version}" not in first
    ] == []


def test_a_build_makes_what_is_committed(tmp_path: Path) -> None:
    subprocess.run(["node", "build.mjs", str(tmp_path)], cwd=installed(FRONTEND), check=True)

    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_bytes() for path in VENDOR.iterdir()}


def load(page: Page, *names: str) -> None:
    """As a page of the console does, under its policy."""
    for name in names:
        page.add_script_tag(url=f"/console/static/vendor/{name}.js")
    page.evaluate(
        "document.querySelector('main').innerHTML = '<div id=here></div><p id=last>last</p>'",
    )


def test_the_editor_holds_to_the_policy(signed_in: SignedIn) -> None:
    page = signed_in("editor")
    load(page, "editor")

    page.evaluate("""() => {
        const { EditorView, basicSetup, jinja, linter } = codemirror;
        const nonce = document.querySelector("meta[name=nonce]").nonce;
        new EditorView({
            parent: document.querySelector("#here"), doc: "{% if vip %}{{ first_name }}{% endif %}",
            extensions: [EditorView.cspNonce.of(nonce), basicSetup, jinja(), linter(() => [
                { from: 3, to: 5, severity: "error", message: "What is this?" }])],
        });
    }""")

    page.locator(".cm-lintRange-error").wait_for()
    assert page.locator(".cm-content").evaluate("e => getComputedStyle(e).whiteSpace") == "pre"
    assert page.locator(".cm-line span").count() > 3


def test_the_calendar_holds_to_the_policy(signed_in: SignedIn) -> None:
    page = signed_in("viewer")
    page.add_style_tag(url="/console/static/vendor/calendar.css")
    load(page, "calendar")

    page.evaluate("""() => {
        const { Calendar, dayGrid, timeGrid, list, theme } = fullcalendar;
        window.calendar = new Calendar(document.querySelector("#here"), {
            plugins: [dayGrid, timeGrid, list, theme], initialDate: "2026-12-04", timeZone: "UTC",
            events: [{ title: "Flash sale", start: "2026-12-04T09:00:00Z", end: "2026-12-04T10:00:00Z" }],
        });
        calendar.render();
    }""")

    for view in ("timeGridWeek", "listWeek", "dayGridMonth"):
        page.evaluate("view => calendar.changeView(view)", view)
        page.get_by_text("Flash sale").wait_for()


def test_the_charts_hold_to_the_policy(signed_in: SignedIn) -> None:
    page = signed_in("viewer")
    page.add_style_tag(url="/console/static/vendor/uplot.css")
    load(page, "uplot")

    page.evaluate("""() => new uPlot({ width: 300, height: 100, series: [{}, { stroke: "red" }] },
        [[1, 2, 3], [4, 5, 6]], document.querySelector("#here"))""")

    page.locator("#here canvas").wait_for()
