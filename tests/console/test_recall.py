"""Recall in the console: counted and shown before it changes anybody's calendar."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from console.conftest import SECRET_KEY, USERS, Console, SignedIn
from playwright.sync_api import expect
from servers import SandboxUnderTest, running_sandbox
from web.running import PLAIN, Starter, sale

from bridge import job_runner
from bridge.destinations import configured
from bridge.job_runner import JobRunner
from bridge.recall import Recall
from bridge.rendering import Renderer

HOSTILE = "<script>alert('x')</script>"


@pytest.fixture
def rokt() -> Iterator[SandboxUnderTest]:
    with running_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def console(start: Starter, rokt: SandboxUnderTest) -> Iterator[Console]:
    """Two events of version 1 stand in calendars; version 2 is published."""
    bridge = start(CONSOLE_USERS=USERS, SECRET_KEY=SECRET_KEY, sandbox=rokt, BRAZE_SYNC="off")
    bridge.publish(plain=PLAIN)
    for user in ("ada", "bob"):
        variables = {"title": HOSTILE, "starts": "2090-12-01T09:00"}
        bridge.accept(sale(template="plain", user_id=user, variables=variables))
    bridge.deliver()
    bridge.publish(plain=PLAIN.replace("{{ title }}", "New: {{ title }}"))
    with bridge.served() as url:
        yield Console(bridge, url)


def work(console: Console) -> None:
    bridge = console.bridge
    destinations = configured(bridge.settings)
    render = Renderer(bridge.database, bridge.parts.templates, bridge.settings.test_subscriptions).for_job
    runner = JobRunner(bridge.database, destinations, render, Recall(bridge.database, timedelta(days=30)))
    while runner.step() != job_runner.LOOK_EVERY:
        pass
    for destination in destinations:
        destination.close()
    bridge.deliver()


def titles(rokt: SandboxUnderTest) -> set[str]:
    return {event["title"] for one in rokt.calendar() for event in one["holders"].values()}


def test_what_a_version_made_is_made_again_after_a_look_at_it(
    signed_in: SignedIn, console: Console, rokt: SandboxUnderTest
) -> None:
    page = signed_in("publisher")
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto("/console/recall?template=plain")
    page.get_by_label("Made by version").select_option("1")
    page.get_by_label("What to do").select_option("update")
    page.get_by_role("button", name="Show what that would change").click()

    expect(page.get_by_role("heading", name="2 events of plain, version 1")).to_be_visible()
    expect(page.get_by_role("cell", name=f"New: {HOSTILE}")).to_have_count(2)
    assert titles(rokt) == {HOSTILE}

    page.get_by_role("button", name="Make again 2 events").click()
    expect(page.get_by_role("heading", name="Recalling 2 events")).to_be_visible()
    work(console)
    expect(page.get_by_text("2 of 2 events being made again")).to_be_visible(timeout=10_000)

    assert titles(rokt) == {f"New: {HOSTILE}"}


def test_what_a_version_made_is_deleted(console: Console, rokt: SandboxUnderTest) -> None:
    publisher = console.visitor("publisher")

    shown = publisher.get("/console/recall", template="plain", version="1", action="delete")
    answer = publisher.post("/console/recall", template="plain", version="1", action="delete")
    work(console)

    assert shown.text.count("gone from the calendar") == 2
    assert HOSTILE not in shown.text
    assert answer.status_code == 303
    assert "/console/messages/jobs/" in answer.headers["Location"]
    assert rokt.calendar() == []


def test_where_nothing_is_still_to_come_nothing_is_offered(console: Console) -> None:
    publisher = console.visitor("publisher")

    shown = publisher.get("/console/recall", template="plain", version="2", action="delete")

    assert "there is nothing to recall" in shown.text
    assert '<button class="danger">' not in shown.text


def test_only_a_publisher_recalls(console: Console) -> None:
    editor = console.visitor("editor")

    assert editor.get("/console/recall").status_code == 403
    assert editor.post("/console/recall", template="plain", version="1", action="delete").status_code == 403


@pytest.mark.parametrize("changes", [{"version": "9"}, {"action": "undo"}, {"template": ""}])
def test_what_is_not_chosen_is_asked_for(console: Console, changes: dict[str, str]) -> None:
    form = {"template": "plain", "version": "1", "action": "delete"} | changes

    assert console.visitor("publisher").post("/console/recall", **form).status_code == 422


def test_there_must_be_such_a_template(console: Console) -> None:
    assert console.visitor("publisher").get("/console/recall", template="../x").status_code == 404
