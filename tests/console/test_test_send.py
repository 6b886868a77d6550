"""Test sends: to one's own subscriptions alone, the draft too, with the outcome, and no trace in the ledgers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from console.conftest import SECRET_KEY, USERS, Console, Windows
from console.drafting import AT, SCRIPT, draft_of, text_of, write
from playwright.sync_api import Browser, Page, expect
from servers import SandboxUnderTest, running_sandbox
from web.running import ID, OTHER_ID, SALE, THIRD_ID, Starter, sale
from web.test_calendar_by_user import say

from bridge.ledger.tables import calendar_events
from bridge.outbox.tables import latest

TODAY = ("% off starts now", "% off starts today")
ACCOUNT_CODE = "brazetest"


@pytest.fixture
def rokt() -> Iterator[SandboxUnderTest]:
    with running_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def console(start: Starter, rokt: SandboxUnderTest) -> Iterator[Console]:
    """With two subscriptions of one's own, of which the ledger knows the first."""
    bridge = start(
        sandbox=rokt, CONSOLE_USERS=USERS, SECRET_KEY=SECRET_KEY, TEST_SUBSCRIPTIONS=f"{ID} {THIRD_ID}"
    )
    say(bridge, ID, user="ada")
    with bridge.served() as url:
        yield Console(bridge, url)


def send(console: Console, role: str = "editor", **form: Any) -> Any:
    whole = {"to": ID, "of": "published", "source": "", "pasted": "", "message": ""} | form
    return console.visitor(role).htmx(f"{AT}/test-send", **whole)


def reached(console: Console) -> list[dict[str, Any]]:
    """What reached Rokt."""
    return [call["body"] for call in console.bridge.sent() if "event" in (call["body"] or {})]


def open_page(browser: Browser, console: Console) -> tuple[Windows, Page]:
    windows = Windows(browser, console)
    page = windows.open()
    page.goto("/console/sign-in")
    page.get_by_label("Name").fill("editor")
    page.get_by_label("Password").fill("correct horse")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: not url.endswith("/sign-in"))
    page.goto(f"{AT}/test-send")
    return windows, page


def test_a_draft_goes_into_ones_own_calendar_and_out_of_it_again(browser: Browser, console: Console) -> None:
    write(console, TODAY)
    windows, page = open_page(browser, console)
    expect(page.get_by_label(ID)).to_be_checked()
    expect(page.get_by_label("the draft")).to_be_checked()

    with console.bridge.working():
        page.get_by_role("button", name="Send the test").click()
        outcome = page.locator("#outcome")
        expect(outcome).to_contain_text("handed to Rokt", timeout=20_000)
        expect(outcome).to_contain_text("[TEST] ⚡ Ada, 50% off starts today")
        expect(outcome).to_contain_text("from the draft")
        [sent] = reached(console)
        page.get_by_role("button", name="Take it out of the calendar again").click()
        expect(outcome).to_contain_text("Out of the calendar again", timeout=20_000)
        expect(outcome).to_contain_text("handed to Rokt", timeout=20_000)

    assert sent["event"]["title"] == "[TEST] ⚡ Ada, 50% off starts today"
    assert sent["subscriptionIds"] == [ID]
    assert console.bridge.sent()[-1]["method"] == "DELETE"
    assert sent["event"]["eventId"] in console.bridge.sent()[-1]["path"]
    windows.close()
    assert windows.complaints == []


def test_what_waits_is_looked_for_again_until_it_is_settled(console: Console) -> None:
    page = send(console).get_data(as_text=True)

    assert "on its way…" in page
    assert f'hx-get="{AT}/test-send/outcome?id=' in page
    late = console.visitor("editor").htmx(f"{AT}/test-send/outcome", "GET", id=_id(page), looks=25)
    told = late.get_data(as_text=True)
    assert "It has not left after 25 seconds" in told
    assert "hx-get" not in told.replace("hx-get-", "")


def _id(page: str) -> str:
    return page.partition("outcome?id=")[2].partition("&")[0]


def test_a_test_is_never_counted_nor_a_repeat_nor_the_events_state(console: Console) -> None:
    console.bridge.accept(sale(user_id="ada"))
    console.bridge.deliver()
    stood = _known(console)

    for _ in range(2):
        assert (
            send(
                console, source="pasted", pasted="sale_id = w26\nstarts = 2090-12-04T09:00\ndiscount = 50"
            ).status_code
            == 200
        )
    console.bridge.deliver()

    tests = [body for body in reached(console) if body["event"]["title"].startswith("[TEST]")]
    assert len(tests) == 2
    assert len({body["event"]["eventId"] for body in reached(console)}) == 3
    assert _known(console) == stood


def _known(console: Console) -> list[Any]:
    with console.bridge.database.read() as connection:
        tables = (calendar_events, latest)
        return [sorted(map(repr, connection.execute(sa.select(table)))) for table in tables]


def test_the_draft_stays_a_draft_and_the_message_says_that_it_made_it(console: Console) -> None:
    draft = write(console, TODAY)

    message = console.bridge.message(_id(send(console, of="draft").get_data(as_text=True)))

    assert draft_of(console) == draft
    assert (message["template"], message["version"], message["is_test"]) == ("flash_sale", None, True)
    assert message["payload"]["rendered_from"] == "the draft"


def test_what_is_published_is_sent_with_its_version(console: Console) -> None:
    write(console, TODAY)

    message = console.bridge.message(_id(send(console, of="published").get_data(as_text=True)))

    assert message["version"] == 1
    assert message["request"]["event"]["title"] == "⚡ Ada, 50% off starts now"


def test_a_real_message_gives_its_values(console: Console) -> None:
    real = console.bridge.accept(sale(user_id="u7", variables={**SALE, "first_name": SCRIPT}))

    answer = send(console, source="message", message=real.id)

    page = answer.get_data(as_text=True)
    assert answer.status_code == 200
    assert SCRIPT not in page
    assert f"[TEST] ⚡ {SCRIPT}, 50% off starts now" in text_of(
        page.replace("&lt;", "‹").replace("&gt;", "›")
    ).replace("‹", "<").replace("›", ">")
    assert console.bridge.message(_id(page))["request"]["subscription_ids"] == [ID]


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"to": OTHER_ID}, "Choose at least one subscription"),
        ({"to": ""}, "Choose at least one subscription"),
        ({"of": "draft"}, "There is no draft any more"),
        ({"to": THIRD_ID}, f"The account of {THIRD_ID} is not known here"),
        ({"to": THIRD_ID, "account_code": "a b"}, "is no account code"),
        ({"source": "pasted", "pasted": "{"}, "This JSON has a mistake"),
        ({"source": "pasted", "pasted": "sale_id = w26"}, "is required and was not sent"),
        ({"source": "message", "message": "none"}, "There is no message with this id"),
        ({"source": "message"}, "Choose a message"),
        ({"source": "team"}, "Choose whose values"),
    ],
)
def test_what_cannot_be_sent_is_told_in_words(console: Console, form: dict[str, Any], told: str) -> None:
    before = console.bridge.count()

    answer = send(console, **form)

    assert answer.status_code == 422
    assert "Nothing was sent. " in answer.get_data(as_text=True)
    assert told in text_of(answer.get_data(as_text=True))
    assert console.bridge.count() == before


def test_an_unknown_subscription_goes_by_the_account_that_is_written(console: Console) -> None:
    page = send(console, to=[ID, THIRD_ID], account_code="shop").get_data(as_text=True)

    ids = [
        part.partition("&")[0].partition('"')[0] for part in page.partition("outcome?")[2].split("id=")[1:]
    ]
    sent = [console.bridge.message(one) for one in ids]
    assert {one["account_code"]: one["request"]["subscription_ids"] for one in sent} == {
        ACCOUNT_CODE: [ID],
        "shop": [THIRD_ID],
    }


def test_where_no_event_is_made_the_reason_is_told(console: Console) -> None:
    page = send(
        console, source="pasted", pasted='{"sale_id": "w", "starts": "2090-12-04T09:00", "discount": 2}'
    )

    assert "no event is made with these values. The reason: discount under 5 %" in text_of(
        page.get_data(as_text=True)
    )


def test_an_unsubscribed_one_gets_nothing_and_the_page_says_so(console: Console) -> None:
    say(console.bridge, ID, "unsubscribe", user="ada")

    shown = console.visitor("editor").get(f"{AT}/test-send").get_data(as_text=True)

    assert "unsubscribed: nothing reaches it" in shown
    assert "Nothing was sent" in send(console).get_data(as_text=True)


def test_only_tests_of_this_template_are_shown_and_taken_out(console: Console) -> None:
    real = console.bridge.accept(sale(user_id="ada"))
    console.bridge.deliver()
    editor = console.visitor("editor")

    shown = editor.htmx(f"{AT}/test-send/outcome", "GET", id=real.id, looks=0).get_data(as_text=True)
    removed = editor.htmx(f"{AT}/test-send/remove", id=real.id)

    assert "50% off" not in shown
    assert removed.status_code == 422
    assert "There is nothing to take out" in removed.get_data(as_text=True)


def test_a_viewer_sends_nothing(console: Console) -> None:
    assert send(console, "viewer").status_code == 403
    assert console.visitor("viewer").get(f"{AT}/test-send").status_code == 403


def test_a_piece_makes_no_event_by_itself(console: Console) -> None:
    answer = console.visitor("editor").get("/console/templates/_brand/test-send")

    assert answer.status_code == 404
    assert "A shared piece makes no event by itself" in answer.get_data(as_text=True)


def test_without_a_subscription_of_ones_own_it_says_how_to_mark_one(start: Starter) -> None:
    console = Console(start(CONSOLE_USERS=USERS, SECRET_KEY=SECRET_KEY), "")

    page = text_of(console.visitor("editor").get(f"{AT}/test-send").get_data(as_text=True))

    assert "writes it into the variable TEST_SUBSCRIPTIONS" in page
    assert "Send the test" not in page
    assert "What a test from Braze does" in page


def test_without_a_credential_for_rokt_it_says_which(start: Starter) -> None:
    off = {"ROKT_CALENDAR_CLIENT_ID": "", "ROKT_CALENDAR_CLIENT_SECRET": ""}
    console = Console(start(CONSOLE_USERS=USERS, SECRET_KEY=SECRET_KEY, TEST_SUBSCRIPTIONS=ID, **off), "")

    assert "Rokt Calendar is off" in console.visitor("editor").get(f"{AT}/test-send").get_data(as_text=True)
    assert "Rokt Calendar is off" in send(console).get_data(as_text=True)


def test_the_story_of_a_drafts_test_says_who_sent_it_and_that_the_draft_made_it(console: Console) -> None:
    write(console, TODAY)
    message_id = _id(send(console, of="draft").get_data(as_text=True))

    page = text_of(console.visitor("viewer").get(f"/console/messages/{message_id}").get_data(as_text=True))

    assert "From the console, by editor, to" in page
    assert "Rendered from the draft" in page


def test_a_drafts_test_that_rokt_refuses_is_no_refusal_of_the_template(
    console: Console, rokt: SandboxUnderTest
) -> None:
    write(console, TODAY)
    rokt.fault(path="/v1/subscriptionevent", status=400)
    message_id = _id(send(console, of="draft").get_data(as_text=True))
    console.bridge.deliver()

    page = text_of(console.visitor("viewer").get(f"/console/messages/{message_id}").get_data(as_text=True))

    assert console.bridge.message(message_id)["state"] == "dead"
    assert "The template refused it" not in page


def test_a_drafts_test_that_is_sent_again_is_the_same_event(console: Console) -> None:
    write(console, TODAY)
    message_id = _id(send(console, of="draft").get_data(as_text=True))
    console.bridge.deliver()

    again = console.bridge.post({}, f"/v1/messages/{message_id}/replay")
    console.bridge.deliver()

    first, second = reached(console)
    assert again.status in (200, 202)
    assert first == second
    assert console.bridge.post({}, f"/v1/messages/{message_id}/replay", render="current").status == 422
