"""A person's page: whatever the id holds, her subscriptions, what stands in her calendar, and her story."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from console.conftest import SECRET_KEY, USERS, Console, SignedIn
from console.test_messages import console, refuse, rokt, text
from playwright.sync_api import expect
from servers import SandboxUnderTest
from web.running import ID, OTHER_ID, Starter, literal, start_on_both

__all__ = ["console", "rokt", "start_on_both"]

STRANGE = [
    "a/b",
    "/a",
    "a//b",
    "..",
    ".",
    "../sign-in",
    "a?b=c",
    "a#b",
    "a b",
    "a%2Fb",
    "😀",
    "<script>alert(1)</script>",
    "\"'",
    "ada@example.com",
    "a\\b",
    "x" * 300,
    "go",
]


def subscribe(console: Console, user_id: str, **facts: object) -> None:
    body = {
        "action": "subscribe",
        "external_id": user_id,
        "subscription": {
            "subscription_id": ID,
            "account_code": "brazetest",
            "device_name": "iPhone",
            "subscription_method": "WebCal",
        }
        | facts,
    }
    assert (
        console.bridge.post(body, "/v1/subscribers").status == 200
    )  # BRAZE_SYNC is off: known here all the same


@pytest.fixture
def told(console: Console) -> str:
    """The page of ada, who has a device, an event and a failure."""
    subscribe(console, "ada")
    console.bridge.accept(literal(user_id="ada", event__title="Winter sale", event__location="Shop"))
    console.bridge.deliver()
    refuse(console, "ada")
    return text(console.visitor("viewer").get("/console/people/ada"))


class TestPage:
    def test_it_has_her_devices(self, told: str) -> None:
        assert "iPhone" in told
        assert "WebCal" in told
        assert ID in told
        assert "subscribed" in told

    def test_it_has_what_stands_in_her_calendar_on_its_own_clock(self, told: str) -> None:
        assert "Winter sale" in told
        assert "2090-12-01 09:00 Eastern Standard Time" in told
        assert "1 subscription" in told

    def test_it_has_her_story(self, told: str) -> None:
        assert 'there is no published template "plain"' in told
        assert "handed to Rokt" in told


def test_a_search_goes_to_the_page(console: Console) -> None:
    answer = console.visitor("viewer").get("/console/people", user_id=" ada ")

    assert (answer.status_code, answer.location) == (303, "/console/people/ada")


def test_somebody_unknown_is_said_to_be_so(console: Console) -> None:
    told = text(console.visitor("viewer").get("/console/people/nobody"))

    assert "Nothing is known of this user id" in told
    assert "Capitals count" in told


def test_her_story_goes_on_page_by_page(console: Console, signed_in: SignedIn) -> None:
    for number in range(26):
        console.bridge.accept(
            literal(user_id="ada", event__event_id=f"e{number}", event__title=f"E{number}.")
        )
    page = signed_in("viewer")

    page.goto("/console/people/ada")
    expect(page.locator(".messages tbody tr")).to_have_count(25)
    page.get_by_role("link", name="Older").click()

    expect(page.locator(".messages tbody tr")).to_have_count(1)
    expect(page.locator(".messages")).to_contain_text("E0.")


def test_her_month_shows_what_stands_there(console: Console, signed_in: SignedIn) -> None:
    console.bridge.accept(literal(user_id="ada", event__title="<b>Winter</b> sale"))
    console.bridge.deliver()
    page = signed_in("viewer")

    page.goto("/console/people/ada")

    month = page.locator("#month")
    expect(month).to_contain_text("December 2090")
    expect(month).to_contain_text("<b>Winter</b> sale")
    expect(month).to_contain_text("09:00")


def test_what_was_taken_out_stands_there_no_more(console: Console) -> None:
    console.bridge.accept(literal(user_id="ada"))
    console.bridge.deliver()
    console.bridge.accept({**literal(user_id="ada"), "action": "delete", "event": {"event_id": "e1"}})
    console.bridge.deliver()

    told = text(console.visitor("viewer").get("/console/people/ada"))

    assert "Nothing stands there from here." in told


@pytest.mark.parametrize("user_id", STRANGE)
def test_whatever_her_id_holds_a_browser_finds_her(
    console: Console, signed_in: SignedIn, user_id: str
) -> None:
    console.bridge.accept(literal(user_id=user_id, event__title="For her", subscription_ids=[OTHER_ID]))
    page = signed_in("viewer")

    page.goto("/console/messages")
    page.locator(".messages .whom a").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(user_id)
    expect(page.locator(".messages")).to_contain_text("For her")

    page.goto("/console/people")
    page.get_by_label("User id").fill(user_id)
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".messages")).to_contain_text("For her")


@pytest.mark.parametrize("user_id", ["%00", "a%00b", "%ed%a0%80", "%ff", "x" * 5000, "%2e%2e%2f", "a/b/c"])
def test_no_address_breaks_the_page(console: Console, user_id: str) -> None:
    visitor = console.visitor("viewer")

    assert visitor.get(f"/console/people/{user_id}").status_code == 200
    assert visitor.get(f"/console/people?user_id={quote(user_id)}").status_code in (200, 303)


def test_a_page_mark_that_is_none_is_refused_in_words(console: Console) -> None:
    answer = console.visitor("viewer").get("/console/people/ada", cursor="x")

    assert answer.status_code == 422
    assert "whole number" in text(answer)


def test_nobody_sees_a_person_without_signing_in(console: Console) -> None:
    assert console.visitor().get("/console/people/ada").status_code == 303


def test_every_page_reads_either_database(start_on_both: Starter, rokt: SandboxUnderTest) -> None:
    bridge = start_on_both(CONSOLE_USERS=USERS, SECRET_KEY=SECRET_KEY, sandbox=rokt, BRAZE_SYNC="off")
    console = Console(bridge, "")
    subscribe(console, "ada")
    bridge.accept(literal(user_id="ada", event__title="Winter sale"))
    bridge.deliver()
    failed = refuse(console, "ada")
    waiting = bridge.accept(literal(user_id="ada", event__title="Later")).id
    visitor = console.visitor("publisher")

    person = text(visitor.get("/console/people/ada"))
    story = text(visitor.get(f"/console/messages/{failed}"))
    waits = text(visitor.get(f"/console/messages/{waiting}"))
    causes = text(visitor.get("/console/dead"))
    cause = {
        "state": "dead",
        "cause": 'unknown template: template: there is no published template "plain"; there are …',
    }
    found = text(visitor.get("/console/messages", **cause))
    sure = text(visitor.get("/console/messages/again", **cause))
    job = visitor.post("/console/messages/again", sure="1", **cause).location

    assert "Winter sale" in person
    assert "1 subscription ·" in person
    assert "iPhone" in person
    assert "Failed: needs you" in story
    assert "No worker is running" in waits
    assert '1 message of plain: there is no published template "plain"' in causes
    assert "Send all of this search again…" in found
    assert "Send 1 message again?" in sure
    assert "Waits for a worker" in text(visitor.get(job))
    assert "Send again 1 message" in text(visitor.get("/console/messages/jobs"))
