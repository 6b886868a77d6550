"""The page of the interface document in a browser."""

from __future__ import annotations

from console.conftest import Windows
from console.test_pages import FRONTEND, PHONE, judge
from node import installed


def test_the_page_can_be_read_by_everybody(windows: Windows) -> None:
    """By axe-core, on a phone, with all that unfolds. What its policy forbids, the fixture hears."""
    axe = (installed(FRONTEND) / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")
    page = windows.open(color_scheme="dark", viewport=PHONE)

    page.goto("/docs")
    assert judge(page, axe) == []
    page.emulate_media(color_scheme="light")
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")

    assert judge(page, axe) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_every_link_leads_somewhere(windows: Windows) -> None:
    page = windows.open()

    page.goto("/docs")

    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(one => one.id)")
    targets = page.evaluate("[...document.querySelectorAll('nav a, main a')].map(one => one.hash.slice(1))")
    assert len(ids) == len(set(ids))
    assert len(targets) > 100
    assert set(targets) - set(ids) == {""}  # openapi.json
