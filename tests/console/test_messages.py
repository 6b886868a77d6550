"""Messages in the console: found, told as stories, sent again and cancelled."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest
from console.conftest import SECRET_KEY, USERS, Console, SignedIn
from playwright.sync_api import expect
from servers import SandboxUnderTest, running_sandbox
from web.running import ID, PLAIN, Starter, literal, sale

from bridge import job_runner
from bridge.console.story import title_of
from bridge.database import clock
from bridge.destinations import configured
from bridge.job_runner import JobRunner
from bridge.outbox.tables import workers
from bridge.rendering import Renderer
from bridge.rows import upsert

HOSTILE = "<script>alert('x')</script>\n\"&'é😀"


@pytest.fixture
def rokt() -> Iterator[SandboxUnderTest]:
    with running_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def console(start: Starter, rokt: SandboxUnderTest) -> Iterator[Console]:
    """In front of the sandbox."""
    bridge = start(CONSOLE_USERS=USERS, SECRET_KEY=SECRET_KEY, sandbox=rokt, BRAZE_SYNC="off")
    with bridge.served() as url:
        yield Console(bridge, url)


def work(console: Console) -> None:
    """Do all jobs, as a worker does."""
    bridge = console.bridge
    destinations = configured(bridge.settings)
    render = Renderer(bridge.database, bridge.parts.templates, bridge.settings.test_subscriptions).for_job
    runner = JobRunner(bridge.database, destinations, render)
    while runner.step() != job_runner.LOOK_EVERY:
        pass
    for destination in destinations:
        destination.close()


def refuse(console: Console, user_id: str = "ada", **variables: object) -> str:
    """A message that the template `plain`, which is not published, refuses."""
    its = {"title": "Sale", "starts": "2090-12-01T09:00"} | variables
    return console.bridge.refuse(sale(template="plain", user_id=user_id, variables=its)).id


def text(answer: object) -> str:
    """What a page says, without its marks."""
    body = answer.get_data(as_text=True)  # type: ignore[attr-defined]
    body = re.sub(r"(?s)<(script|style)\b.*?</\1>", " ", body)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", body)))


class TestSearch:
    def test_messages_stand_the_newest_first_with_what_became_of_them(self, console: Console) -> None:
        console.bridge.accept(literal(user_id="ada", event__title="Breakfast"))
        console.bridge.deliver()
        refuse(console)

        told = text(console.visitor("viewer").get("/console/messages")).rpartition("Became of it")[2]

        assert told.index("failed: needs you") < told.index("Breakfast") < told.index("handed to Rokt")

    @pytest.mark.parametrize(
        ("query", "finds"),
        [
            ({"user_id": "ada"}, ["Breakfast"]),
            ({"user_id": " ada "}, ["Breakfast"]),
            ({"event_id": "e2"}, ["Lunch"]),
            ({"event_id": "e2_bob"}, ["Lunch"]),
            ({"state": "accepted"}, ["Breakfast", "Lunch"]),
            ({"state": "delivered"}, []),
            ({"destination": "rokt_calendar"}, ["Breakfast", "Lunch"]),
            ({"template": "(none)"}, ["Breakfast", "Lunch"]),
            ({"template": "plain"}, []),
            ({"until": "2020-01-01T00:00"}, []),
            ({"since": "2020-01-01T00:00"}, ["Breakfast", "Lunch"]),
        ],
    )
    def test_a_search_finds_just_what_it_asks_for(
        self, console: Console, query: dict[str, str], finds: list[str]
    ) -> None:
        console.bridge.accept(literal(user_id="ada", event__title="Breakfast"))
        console.bridge.accept(literal(user_id="bob", event__event_id="e2", event__title="Lunch"))

        told = text(console.visitor("viewer").get("/console/messages", **query))

        assert [one for one in ("Breakfast", "Lunch") if one in told] == finds
        assert ("There are no messages" in told) is (not finds)

    def test_a_search_that_is_not_right_says_why(self, console: Console) -> None:
        answer = console.visitor("viewer").get("/console/messages", since="soon", state="gone")

        assert answer.status_code == 422
        assert "soon" in text(answer)

    def test_a_page_leads_to_the_next(self, console: Console) -> None:
        for number in range(51):
            console.bridge.accept(literal(user_id=f"u{number}", event__title=f"E{number}."))
        visitor = console.visitor("viewer")

        first = visitor.get("/console/messages", state="accepted").get_data(as_text=True)
        older = unescape(re.search(r'href="([^"]+)" rel="next"', first)[1])  # type: ignore[index]
        second = visitor.get(older).get_data(as_text=True)

        assert "E50." in first
        assert "E0." not in first
        assert "E0." in second
        assert "E1." not in second

    def test_a_message_is_found_by_its_id(self, console: Console) -> None:
        found = refuse(console)

        answer = console.visitor("viewer").get("/console/messages", id=f" {found} ")

        assert (answer.status_code, answer.location) == (303, f"/console/messages/{found}")

    def test_an_empty_bridge_says_what_to_expect(self, console: Console) -> None:
        assert "Nothing was received yet" in text(console.visitor("viewer").get("/console/messages"))

    def test_a_viewer_has_nothing_to_press(self, console: Console) -> None:
        found = refuse(console)
        visitor = console.visitor("viewer")

        pages = [
            visitor.get(path).get_data(as_text=True).partition("<main")[2]
            for path in ("/console/messages", f"/console/messages/{found}", "/console/dead")
        ]

        assert not any("again…" in page or 'type="checkbox"' in page for page in pages)


class TestStory:
    def test_it_tells_what_happened_in_words(self, console: Console) -> None:
        console.bridge.publish(plain=PLAIN)
        variables = {"title": "Winter sale", "starts": "2090-12-01T09:00"}
        one = console.bridge.accept(sale(template="plain", user_id="ada", variables=variables)).id
        console.bridge.deliver()

        answer = console.visitor("viewer").get(f"/console/messages/{one}")

        told, page = text(answer), answer.get_data(as_text=True)
        assert "With the key “all”, to put an event into the calendar." in told
        assert "With version 1 of plain" in told
        assert 'href="/console/templates/plain/versions/1"' in page
        assert "Attempt 1: Rokt took it" in told
        assert "Answered 202 after" in told
        assert "Handed to Rokt" in told
        assert "Nothing more" in told
        assert "2090-12-01 09:00" in told
        assert '"notifyBefore": 15' in told
        assert f'"subscriptionIds": [ "{ID}" ]' in told
        assert '<time datetime="20' in page
        assert answer.headers["Cache-Control"] == "no-store"

    def test_what_a_template_refused_says_where_to_mend_it(self, console: Console) -> None:
        console.bridge.publish(plain=PLAIN)
        one = console.bridge.refuse(sale(template="plain", user_id="ada", variables={"title": ""})).id

        answer = console.visitor("viewer").get(f"/console/messages/{one}")

        told = text(answer)
        assert "Failed: needs you" in told
        assert "The template refused it" in told
        assert "Mend plain" in told
        assert "title" in told
        assert "Attempt" not in told

    def test_what_rokt_refused_is_told_in_its_words(self, console: Console, rokt: SandboxUnderTest) -> None:
        rokt.fault(path="/v1", times=1, status=400, body={"message": "the account is closed for a@b.com"})
        one = console.bridge.accept(literal()).id
        console.bridge.deliver()

        told = text(console.visitor("viewer").get(f"/console/messages/{one}"))

        assert "Attempt 1: Rokt refused it" in told
        assert "the account is closed for [email]" in told
        assert "Rokt answered 400" in told
        assert "Failed: needs you" in told

    def test_what_waits_says_when_it_goes_and_for_what_it_waits(self, console: Console) -> None:
        first = console.bridge.accept(literal(expires="2090-06-01T00:00:00Z")).id
        second = console.bridge.accept(literal(event__title="Later")).id
        visitor = console.visitor("viewer")
        without = text(visitor.get(f"/console/messages/{first}"))
        with console.bridge.database.write() as connection:
            now = clock(connection)
            upsert(connection, workers, [{"id": "w-1", "started_at": now, "heartbeat_at": now}])

        told = text(visitor.get(f"/console/messages/{first}"))
        behind = visitor.get(f"/console/messages/{second}").get_data(as_text=True)

        assert "No worker is running" in without
        assert "Leaves in a moment" in told
        assert "Dropped as too late at 1 Jun 2090" in told
        assert f'href="/console/messages/{first}">The message that it waits for' in behind

    def test_while_a_destination_is_paused_it_says_by_whom(self, console: Console) -> None:
        one = console.bridge.accept(literal()).id
        console.bridge.call("POST", "/v1/destinations/rokt_calendar/pause", key="operate")

        told = text(console.visitor("viewer").get(f"/console/messages/{one}"))

        assert "Rokt Calendar is paused since" in told
        assert "Because: paused by operate" in told

    def test_while_rokt_fails_it_says_that_there_is_nothing_to_do(
        self, console: Console, rokt: SandboxUnderTest
    ) -> None:
        rokt.fault(path="/v1", times=None, status=503)
        ids = [console.bridge.accept(literal(user_id=f"u{number}")).id for number in range(6)]
        with console.bridge.working():
            console.bridge.wait_until(
                lambda: (
                    console.bridge.call("GET", "/v1/destinations").body["destinations"][0]["state"]
                    in ("closed", "probing")
                )
            )

        told = text(console.visitor("viewer").get(f"/console/messages/{ids[0]}"))

        assert "Attempt 1: Rokt failed" in told
        assert "Rokt Calendar is closed since" in told
        assert "answered 503" in told
        assert "nothing for you to do" in told
        assert "After 24 hours of failing it is given up" in told

    def test_what_was_unclear_for_a_while_is_explained(
        self, console: Console, rokt: SandboxUnderTest
    ) -> None:
        rokt.fault(path="/v1", times=1, drop="after")
        one = console.bridge.accept(literal()).id
        console.bridge.deliver()

        told = text(console.visitor("viewer").get(f"/console/messages/{one}"))

        assert "Attempt 1: no answer" in told
        assert "nobody knew whether it had taken this" in told

    @pytest.mark.parametrize("bad", ["x", "%00", "a%2Fb", "😀", "%ed%a0%80", "<script>", "x" * 3000, "..%2f"])
    def test_an_unknown_one_is_said_to_be_so(self, console: Console, bad: str) -> None:
        answer = console.visitor("viewer").get(f"/console/messages/{bad}")

        assert answer.status_code == 404
        assert "<script>" not in answer.get_data(as_text=True).partition("<main")[2]

    def test_what_strangers_wrote_is_shown_as_they_wrote_it(
        self, console: Console, signed_in: SignedIn
    ) -> None:
        console.bridge.publish(plain=PLAIN)
        its = {"title": HOSTILE, "starts": "2090-12-01T09:00"}
        one = console.bridge.accept(sale(template="plain", user_id=HOSTILE[:25], variables=its)).id
        refuse(console, title=HOSTILE, **{f'"{HOSTILE}': "x"})
        console.bridge.refuse(sale(template=HOSTILE, user_id="ada"))
        console.bridge.deliver()
        page = signed_in("publisher")

        for path in (f"/console/messages/{one}", "/console/messages", "/console/dead"):
            page.goto(path)
            expect(page.locator("main")).to_contain_text("<script>alert(")

        page.goto(f"/console/messages/{one}")
        page.get_by_text("What was sent in").click()
        expect(page.locator("td.value").filter(has_text="<script>")).to_be_visible()


class TestSendingAgain:
    def test_a_failed_message_is_found_mended_and_handed_to_rokt(
        self, console: Console, signed_in: SignedIn
    ) -> None:
        refuse(console, "ada")
        page = signed_in("publisher")

        page.goto("/console/people")
        page.get_by_label("User id").fill("ada")
        page.keyboard.press("Enter")
        expect(page.locator("main")).to_contain_text('there is no published template "plain"')
        page.get_by_role("link", name="plain", exact=True).click()
        expect(page.get_by_role("heading", name="Failed: needs you")).to_be_visible()

        console.bridge.publish(plain=PLAIN)
        page.get_by_role("button", name="Send again…").click()
        expect(page.get_by_role("heading", name="Send 1 message again?")).to_be_visible()
        page.get_by_role("button", name="Send 1 message again").click()
        expect(page.locator("#told")).to_contain_text("1 message on the way again")
        console.bridge.deliver()
        page.reload()

        expect(page.get_by_role("heading", name="Nothing more")).to_be_visible()
        expect(page.locator("header.about")).to_contain_text("handed to Rokt")
        assert console.bridge.sent()[-1]["body"]["event"]["title"] == "Sale"

    def test_chosen_ones_are_counted_asked_for_and_sent(self, console: Console, signed_in: SignedIn) -> None:
        for user in ("ada", "bob", "eve"):
            refuse(console, user)
        console.bridge.publish(plain=PLAIN)
        page = signed_in("publisher")

        page.goto("/console/messages")
        button = page.get_by_role("button", name=re.compile("Send .* again…"))
        expect(button).to_be_disabled()
        page.locator(".choose input").nth(0).check()
        page.locator(".choose input").nth(1).check()
        page.get_by_role("button", name="Send 2 messages again…").click()
        page.get_by_role("button", name="Send 2 messages again").click()

        expect(page.locator("#told")).to_contain_text("2 messages on the way again.")
        console.bridge.deliver()
        assert sorted(call["body"]["event"]["eventId"] for call in console.bridge.sent()) == [
            "plain_bob",
            "plain_eve",
        ]

    def test_one_that_is_still_refused_says_why_and_the_others_go(self, console: Console) -> None:
        good, bad = refuse(console, "ada"), refuse(console, "bob", title="")
        console.bridge.publish(plain=PLAIN)
        visitor = console.visitor("publisher")

        visitor.post("/console/messages/again", id=[good, bad, "nothing"], sure="1")

        told = text(visitor.get("/console/messages"))
        assert "1 message on the way again." in told
        assert "2 messages not sent: still refused: " in told
        assert "There is no message with this id." in told
        assert console.bridge.message(good)["state"] == "accepted"

    def test_after_it_one_is_back_at_the_search(self, console: Console, signed_in: SignedIn) -> None:
        for user in ("ada", "bob"):
            refuse(console, user)
        console.bridge.publish(plain=PLAIN)
        page = signed_in("publisher")

        page.goto("/console/messages?template=plain&event_id=&state=dead")
        page.get_by_label("All on this page").check()
        page.get_by_role("button", name="Send 2 messages again…").click()
        page.get_by_role("button", name="Send 2 messages again").click()
        expect(page.locator("#told")).to_contain_text("2 messages on the way again.")

        expect(page.get_by_label("Template")).to_have_value("plain")
        expect(page.get_by_label("Became of it")).to_have_value("dead")

    def test_nothing_is_sent_before_somebody_is_sure(self, console: Console) -> None:
        found = refuse(console)
        console.bridge.publish(plain=PLAIN)

        answer = console.visitor("publisher").post("/console/messages/again", id=found)

        assert "Send 1 message again?" in text(answer)
        assert console.bridge.message(found)["state"] == "dead"

    def test_more_than_a_hundred_are_not_chosen_at_once(self, console: Console) -> None:
        answer = console.visitor("publisher").post(
            "/console/messages/again", id=[str(number) for number in range(101)], sure="1"
        )

        assert answer.status_code == 422
        assert "100 messages at once are the most" in text(answer)

    def test_a_whole_search_is_sent_by_a_job_whose_progress_is_seen(
        self, console: Console, signed_in: SignedIn
    ) -> None:
        for number in range(5):
            refuse(console, f"u{number}")
        console.bridge.publish(plain=PLAIN)
        page = signed_in("publisher")

        page.goto("/console/messages?state=dead&template=plain")
        page.get_by_role("button", name="Send all of this search again…").click()
        expect(page.get_by_role("heading", name="Send 5 messages again?")).to_be_visible()
        page.get_by_role("button", name="Send 5 messages again").click()
        expect(page.get_by_text("Waits for a worker")).to_be_visible()
        work(console)
        expect(page.get_by_text("5 of 5 messages on the way again.")).to_be_visible()

        expect(page.locator("#job[hx-get]")).to_have_count(0)
        console.bridge.deliver()
        page.get_by_role("link", name="See what becomes of them").click()
        expect(page.get_by_text("handed to Rokt", exact=True)).to_have_count(6)  # and once as a choice

    def test_a_job_that_has_not_begun_is_stopped(self, console: Console) -> None:
        found = refuse(console)
        visitor = console.visitor("publisher")
        to = visitor.post("/console/messages/again", state="dead", sure="1").location

        visitor.post(f"{to}/stop")
        work(console)

        assert "Stopped" in text(visitor.get(to))
        assert console.bridge.message(found)["state"] == "dead"

    def test_a_job_is_never_of_every_message_there_is(self, console: Console) -> None:
        visitor = console.visitor("publisher")

        answers = [
            visitor.post("/console/messages/again", sure="1"),
            visitor.get("/console/messages/again"),
            visitor.post("/console/messages/cancel", user_id="  ", sure="1"),
        ]

        assert [answer.status_code for answer in answers] == [422, 422, 422]

    def test_what_waits_is_cancelled_from_its_own_page(self, console: Console, signed_in: SignedIn) -> None:
        one = console.bridge.accept(literal(user_id="ada")).id
        other = console.bridge.accept(literal(user_id="ada", event__event_id="e2")).id
        page = signed_in("publisher")

        page.goto(f"/console/messages/{one}")
        page.get_by_role("button", name="Cancel…").click()
        page.get_by_role("button", name="Cancel 1 message").click()
        expect(page.get_by_role("heading", name="Cancelling 1 message")).to_be_visible()
        work(console)

        told = text(console.visitor("viewer").get(f"/console/messages/{one}"))
        assert "cancelled by publisher" in told
        assert console.bridge.message(other)["state"] == "accepted"

    @pytest.mark.parametrize("role", ["viewer", "editor"])
    def test_only_a_publisher_sends_again_or_cancels(self, console: Console, role: str) -> None:
        found = refuse(console)
        visitor = console.visitor(role)

        answers = [
            visitor.post("/console/messages/again", id=found, sure="1"),
            visitor.post("/console/messages/again", state="dead", sure="1"),
            visitor.post("/console/messages/cancel", user_id="ada", sure="1"),
            visitor.post("/console/messages/jobs/x/stop"),
            visitor.get("/console/messages/again", state="dead"),
        ]

        assert [answer.status_code for answer in answers] == [403] * 5
        assert console.bridge.message(found)["state"] == "dead"

    def test_the_api_shows_a_cause_job_as_the_console_made_it(self, console: Console) -> None:
        refuse(console)
        cause = 'unknown template: template: there is no published template "plain"; there are …'

        to = (
            console.visitor("publisher")
            .post("/console/messages/again", state="dead", cause=cause, sure="1")
            .location
        )

        job = console.bridge.call("GET", "/v1/jobs/" + to.rpartition("/")[2]).body
        assert (job["count"], job["by"]) == (1, "publisher")
        assert json.loads(json.dumps(job["filter"])) == {"state": "dead", "cause": cause}


class TestEveryDestination:
    """Whatever goes anywhere has a story, and stands in the list."""

    @pytest.fixture
    def console(self, start: Starter, rokt: SandboxUnderTest) -> Iterator[Console]:
        bridge = start(
            CONSOLE_USERS=USERS,
            SECRET_KEY=SECRET_KEY,
            sandbox=rokt,
            BRAZE_REST_URL=rokt.url,
            BRAZE_API_KEY="a-braze-key",
            ROKT_EVENTS_URL=f"{rokt.url}/v2",
            ROKT_EVENTS_KEY="a-key",
            ROKT_EVENTS_SECRET="an-events-secret",
            ROKT_EVENTS_ENVIRONMENT="development",
            ROKT_AUDIENCE_URL=rokt.url,
            ROKT_ACCOUNT_ID="1234",
            ROKT_API_KEY="rpub-1",
            ROKT_API_SECRET="rsec-very-secret",
            BATCH_COUNT="1",
        )
        with bridge.served() as url:
            yield Console(bridge, url)

    def test_it_is_listed_told_and_asked_for(self, console: Console) -> None:
        bridge = console.bridge
        sold = {"email": "ada@example.com", "user_id": "ada", "amount": "5", "currency": "USD"}
        told = {"subscription_id": ID, "account_code": "brazetest"}
        accepted = [
            bridge.accept(literal()),
            bridge.accept({**literal(), "action": "update", "event": {"event_id": "e1", "title": "New"}}),
            bridge.accept({**literal(), "action": "delete", "event": {"event_id": "e1"}}),
            bridge.accept({**sold, "confirmation_ref": "C-1"}, "/v1/conversions"),
            bridge.accept({"action": "include", "email": "a@example.com"}, "/v1/audiences/VIP"),
            bridge.accept(
                {"action": "subscribe", "external_id": "ada", "subscription": told}, "/v1/subscribers"
            ),
        ]
        visitor = console.visitor("publisher")

        for _ in ("waiting", "delivered"):
            assert visitor.get("/console/messages").status_code == 200
            for one in accepted:
                for message_id in one.body.get("ids", [one.id]):
                    assert visitor.get(f"/console/messages/{message_id}").status_code == 200
            bridge.deliver()

        answer = visitor.post("/console/messages/again", id=[one.id for one in accepted])
        assert f"Send {len(accepted)} messages again?" in text(answer)

    def test_what_is_unclear_needs_somebody_and_says_what_a_second_time_would_do(
        self, console: Console, rokt: SandboxUnderTest
    ) -> None:
        rokt.fault(path="/v2", times=1, drop="after")
        sold = {"email": "ada@example.com", "user_id": "ada", "amount": "5", "currency": "USD"}
        one = console.bridge.accept(sold, "/v1/conversions").id
        console.bridge.deliver()
        visitor = console.visitor("publisher")

        story = text(visitor.get(f"/console/messages/{one}"))
        groups = text(visitor.get("/console/dead"))

        assert "Unclear: Rokt did not answer" in story
        assert "to send it twice would count it twice" in story
        assert "1 message to Rokt conversions" in groups
        assert "unclear: Rokt did not answer" in groups

    @pytest.mark.parametrize(
        ("message", "title"),
        [
            ({"request": {"event": {"title": " Sale "}}, "template": "a"}, "Sale"),
            ({"request": {"event": {"title": ""}}, "template": "summer"}, "summer"),
            ({"request": None, "template": "summer"}, "summer"),
            ({"request": {"event": "subscribe"}, "action": "look_up"}, "Ask whose a subscription is"),
            ({"request": {"event": {"title": 5}}, "action": "new"}, "New"),
            ({"destination": "braze", "action": "update"}, "Tell of a change to a subscription"),
        ],
    )
    def test_a_message_is_named_by_what_it_is_about(self, message: dict[str, Any], title: str) -> None:
        whole = {"request": {}, "template": None, "action": "create", "destination": "rokt_calendar"}

        assert title_of(whole | message) == title
