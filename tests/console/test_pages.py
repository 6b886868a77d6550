"""What holds for every page that is there: nobody comes in without the role, and everybody can read and use it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from console.conftest import Console, SignedIn
from node import installed
from playwright.sync_api import Page
from web.running import sale

from bridge.console.roles import EVERYBODY, Person, role_needed

FRONTEND = Path(__file__).parents[2] / "frontend"
OPEN = {"/console/sign-in", "/console/sign-out", "/console/token", "/console/static/1"}
PHONE = {"width": 375, "height": 700}


def calls(console: Console) -> list[tuple[str, str, str]]:
    """Every method and path of the console, with the role that it takes; "1" in place of what varies."""
    app = console.bridge.app
    return [
        (
            method,
            re.sub("<[^>]+>", "1", rule.rule),
            role_needed(app.view_functions[rule.endpoint]) or EVERYBODY,
        )
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("console.")
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    ]


def pages(console: Console) -> list[str]:
    """What a publisher can look at, with a message of a template; a page's fragments are looked at with it."""
    stands_for = {
        "name": "flash_sale",
        "version": "1",
        "user_id": "u1",
        "message_id": console.bridge.accept(sale(user_id="u1")).id,
        "job_id": "none",
        "path": "nothing",
    }
    publisher, found = console.visitor("publisher"), []
    for rule in console.bridge.app.url_map.iter_rules():
        if rule.endpoint.startswith("console.") and "GET" in (rule.methods or ()):
            path = re.sub("<(?:[^<>]*:)?([^<>:]+)>", lambda match: stands_for[match[1]], rule.rule)
            if publisher.get(path).get_data().lstrip().startswith(b"<!doctype html>"):
                found.append(path)
    assert len(found) > 15
    return sorted(found)


def test_nobody_sees_anything_without_signing_in(console: Console) -> None:
    client = console.visitor().client

    answers = {
        (method, path): client.open(path, method=method)
        for method, path, _ in calls(console)
        if path not in OPEN
    }

    assert len(answers) > 5
    for (method, path), answer in answers.items():
        assert answer.status_code == (303 if method == "GET" else 401), (method, path)
        if method == "GET":
            assert answer.headers["Location"].startswith("/console/sign-in?next="), path


@pytest.mark.parametrize("role", ["viewer", "editor"])
def test_nobody_does_what_takes_a_higher_role(console: Console, role: str) -> None:
    visitor = console.visitor(role)
    headers = {"X-CSRFToken": visitor.token()}
    higher = [(method, path) for method, path, needed in calls(console) if not Person("", role).may(needed)]

    answers = {call: visitor.client.open(call[1], method=call[0], headers=headers) for call in higher}

    assert {call: a.status_code for call, a in answers.items() if a.status_code != 403} == {}


def test_no_form_is_taken_without_its_token(console: Console) -> None:
    client = console.visitor("publisher").client

    taken = {
        (method, path): answer.status_code
        for method, path, _ in calls(console)
        if method != "GET"
        for answer in [client.open(path, method=method)]
        if answer.status_code != 400 or "This page is too old" not in answer.get_data(as_text=True)
    }

    assert taken == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_can_be_read_and_used_by_everybody(
    console: Console, signed_in: SignedIn, scheme: str
) -> None:
    """By axe-core, in full and on a phone: nothing serious. What scripts and the policy say, the fixture hears."""
    axe = (installed(FRONTEND) / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")
    page = signed_in("publisher", color_scheme=scheme)

    findings: list[str] = []
    for path in pages(console):
        page.goto(path)
        page.wait_for_load_state("networkidle")
        findings += judge(page, axe)

    assert findings == []


def test_a_phone_shows_every_page_without_scrolling_sideways(console: Console, signed_in: SignedIn) -> None:
    page = signed_in("publisher", viewport=PHONE)

    too_wide = {}
    for path in pages(console):
        page.goto(path)
        page.wait_for_load_state("networkidle")
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > PHONE["width"]:
            too_wide[path] = width

    assert too_wide == {}


def judge(page: Page, axe: str) -> list[str]:
    page.evaluate(axe)
    found: dict[str, Any] = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{page.url}: {one['id']} ({one['help']}): {node['html'][:200]} {node['failureSummary']}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
        # FullCalendar names a day's cell by its date; what stands in it has names of its own.
        if not (one["id"] == "label-content-name-mismatch" and 'role="gridcell"' in node["html"])
    ]


def test_what_is_hard_to_read_is_found(page: Page) -> None:
    """Or axe would have nothing to say of anything."""
    axe = (installed(FRONTEND) / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")
    page.goto("/console/sign-in")

    page.evaluate("""() => {
        document.querySelector("h1").style.color = "#ddd";
        document.querySelector("label").remove();
    }""")

    assert {one.split(": ")[1].split(" ")[0] for one in judge(page, axe)} == {"color-contrast", "label"}
