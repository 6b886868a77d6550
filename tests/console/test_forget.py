"""Forgetting a person in the console: counted, asked for, done; by publishers alone."""

from __future__ import annotations

from console.conftest import Console, SignedIn
from console.test_messages import console, rokt, text
from playwright.sync_api import expect
from web.running import literal, start_on_both

from bridge.ledger.subscribers import of_user

__all__ = ["console", "rokt", "start_on_both"]


def subscribe(console: Console) -> None:
    told = {"subscription_id": "06423672-b6ba-4536-aa36-f5733866ade2", "subscriber_email": "ada@example.com"}
    body = {"action": "subscribe", "external_id": "ada", "subscription": told}
    assert console.bridge.post(body, "/v1/subscribers").status == 200  # BRAZE_SYNC is off


def test_a_person_is_forgotten_after_a_look(console: Console, signed_in: SignedIn) -> None:
    subscribe(console)
    console.bridge.accept(literal(user_id="ada"))
    console.bridge.accept(literal(user_id="bob"))
    page = signed_in("publisher")
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.accept()))

    page.goto("/console/people/ada")
    page.get_by_role("link", name="Forget this person").click()
    expect(page.get_by_role("row", name="Messages", exact=False).first).to_contain_text("2")
    page.get_by_role("button", name="Forget her").click()

    expect(page.locator("#job")).to_contain_text("Done")
    assert asked == ["Erase all of this for good?"]
    left = console.bridge.call("GET", "/v1/messages").body["messages"]
    assert sorted(str(one["user_id"]) for one in left) == ["None", "None", "bob"]
    with console.bridge.database.read() as connection:
        assert of_user(connection, "ada") == []


def test_an_address_finds_her_too_and_a_slip_is_said_at_its_field(console: Console) -> None:
    subscribe(console)
    publisher = console.visitor("publisher")

    shown = text(publisher.post("/console/forget", email=" Ada@Example.com "))
    wrong = text(publisher.post("/console/forget", email="ada"))
    nobody = text(publisher.post("/console/forget", user_id="nobody"))

    assert "This would go" in shown
    assert "is no e-mail address" in wrong
    assert "Nothing is known of this person" in nobody


def test_whoever_may_not_is_not_shown_the_way(console: Console) -> None:
    console.bridge.accept(literal(user_id="ada"))
    editor = console.visitor("editor")

    assert "Forget this person" not in text(editor.get("/console/people/ada"))
    assert editor.get("/console/forget").status_code == 403
    assert editor.post("/console/forget", user_id="ada", is_sure="1").status_code == 403


def test_nobody_named_is_nobody_forgotten(console: Console) -> None:
    assert console.visitor("publisher").post("/console/forget", is_sure="1").status_code == 422
