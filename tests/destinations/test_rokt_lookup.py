"""Rokt is asked for a subscription: whatever it answers, the change that waited goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from destinations.bridge_to_braze import said
from factories import NOON, SUBSCRIPTION, a_call
from servers import SandboxUnderTest, http, once, running_sandbox, scripted_server

from bridge.database import Database
from bridge.destinations.rokt_calendar import RoktCalendar
from bridge.destinations.rokt_lookup import Asked
from bridge.errors import DatabaseUnavailable
from bridge.ledger.subscribers import SubscriberLedger, subscriptions_of
from bridge.ledger.tables import calendar_events
from bridge.message import Delivered, Json, Message, Outcome, Retry, Skipped, State
from bridge.outbox.enqueue import Inbox, Request
from bridge.outbox.tables import messages
from bridge.settings import CalendarSettings, Credential, IdentityRule, Secret
from bridge.subscribers.change import LookedUp, SubscriberChange
from bridge.turns import at_once

PATH = "/v1/subscription/"
GIVEN_ID = SUBSCRIPTION.upper()
KNOWN_TO_ROKT = {
    "subscriptionId": SUBSCRIPTION,
    "calendar": {"code": "cal-1", "name": "Calendar 1"},
    "tags": [{"tagId": 7, "tagName": "Team"}],
    "subscriptionType": "WebCal",
    "subscriberId": "u-1",
    "emailAddress": "ada@example.com",
    "isActive": False,
}
FOUND = LookedUp("subscribe", GIVEN_ID, "subscribe", at=NOON)


@dataclass
class Taken:
    """What was handed in. `is_down`: the database takes nothing."""

    changes: list[LookedUp] = field(default_factory=list)
    told: list[Json] = field(default_factory=list)
    is_down: bool = False

    def accept(self, change: LookedUp, told: Json, message: Message) -> None:
        if self.is_down:
            raise DatabaseUnavailable("not now")
        self.changes.append(change)
        self.told.append(told)


@pytest.fixture
def taken() -> Taken:
    return Taken()


@pytest.fixture
def sandbox() -> Iterator[SandboxUnderTest]:
    with running_sandbox() as sandbox:
        yield sandbox


Build = Callable[..., RoktCalendar]


@pytest.fixture
def build(taken: Taken) -> Iterator[Build]:
    made: list[RoktCalendar] = []

    def build(url: str, *accounts: str, accept: Any = taken.accept) -> RoktCalendar:
        """With a credential for each of these accounts, the common one unless others are named."""
        credentials = {account: Credential("id", Secret("secret")) for account in accounts or ("",)}
        settings = CalendarSettings(url, credentials, "wrapped")
        made.append(RoktCalendar(settings, timedelta(days=30), allow_http=True, accept=accept))
        return made[-1]

    yield build
    for calendar in made:
        calendar.close()


def a_look_up(**fields: Any) -> Message:
    request = {
        "subscription_id": SUBSCRIPTION,
        "given_id": GIVEN_ID,
        "action": "subscribe",
        "event": "subscribe",
    }
    return a_call(**{"action": "look_up", "request": request, "account_code": "", **fields}).message


def ask(calendar: RoktCalendar, message: Message | None = None, *, before: bool = False) -> Outcome:
    [outcome] = calendar.deliver([message or a_look_up()], [Asked(before)], at_once)
    return outcome


def give(sandbox: SandboxUnderTest) -> None:
    status, answer = sandbox.ask("POST", "/sandbox/subscriptions", [KNOWN_TO_ROKT])
    assert status == 201, answer


class TestAsking:
    def test_what_rokt_knows_goes_on_with_the_change(
        self, build: Build, sandbox: SandboxUnderTest, taken: Taken
    ) -> None:
        give(sandbox)

        outcome = ask(build(sandbox.url))

        assert isinstance(outcome, Delivered)
        assert outcome.status == 200
        [change] = taken.changes
        assert (change.action, change.subscription_id, change.event) == ("subscribe", GIVEN_ID, "subscribe")
        assert (change.subscriber_id, change.email) == ("u-1", "ada@example.com")
        assert change.facts["calendar_code"] == "cal-1"
        assert change.facts["tags"] == ["Team"]
        assert taken.told[0]["subscriber_id"] == "u-1"

    def test_it_is_asked_by_the_id_as_it_was_given(self, build: Build, sandbox: SandboxUnderTest) -> None:
        odd = a_look_up(request={**a_look_up().request, "given_id": "A b/ü?"})

        ask(build(sandbox.url), odd)

        [call] = sandbox.calls(PATH)
        assert (call["method"], call["path"]) == ("GET", f"{PATH}A%20b%2F%C3%BC%3F")
        assert call["headers"]["x-request-id"] == "r-1"

    def test_the_credential_is_that_of_its_account(self, build: Build, sandbox: SandboxUnderTest) -> None:
        calendar = build(sandbox.url, "OWN")

        outcome = ask(calendar, a_look_up(account_code="own"))

        assert isinstance(outcome, Delivered)

    def test_the_answer_of_an_attempt_holds_nothing_of_the_subscriber(
        self, build: Build, sandbox: SandboxUnderTest
    ) -> None:
        give(sandbox)

        assert "ada@example.com" not in repr(ask(build(sandbox.url)))


class TestGoingOn:
    @pytest.mark.parametrize("status", [400, 404, 410])
    def test_what_rokt_does_not_know_goes_on_with_what_was_said(
        self, build: Build, sandbox: SandboxUnderTest, taken: Taken, status: int
    ) -> None:
        sandbox.fault(path=PATH, status=status)

        outcome = ask(build(sandbox.url))

        assert outcome == Skipped("Rokt does not know this subscription; went on with what was said")
        assert taken.changes == [FOUND]

    def test_one_that_was_looked_up_before_asks_nobody(
        self, build: Build, sandbox: SandboxUnderTest, taken: Taken
    ) -> None:
        outcome = ask(build(sandbox.url), before=True)

        assert outcome == Skipped("it was looked up before")
        assert taken.changes == [FOUND]
        assert sandbox.calls() == []

    def test_without_a_credential_it_goes_on(
        self, build: Build, sandbox: SandboxUnderTest, taken: Taken
    ) -> None:
        outcome = ask(build(sandbox.url, "OTHER"), a_look_up(account_code="own"))

        assert isinstance(outcome, Skipped)
        assert taken.changes == [FOUND]
        assert sandbox.calls() == []

    @pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"subscriptionId": "cut'])
    def test_an_answer_that_cannot_be_read_goes_on(self, build: Build, taken: Taken, body: bytes) -> None:
        token = http(200, b'{"access_token": "t", "expires_in": 300}')
        with scripted_server(
            once(lambda line: line.send(token)), once(lambda line: line.send(http(200, body)))
        ) as server:
            outcome = ask(build(server.url))

        assert outcome == Skipped("Rokt's answer cannot be read; went on with what was said")
        assert taken.changes == [FOUND]


class TestWaiting:
    @pytest.mark.parametrize("status", [408, 429, 500, 503])
    def test_trouble_is_waited_for(
        self, build: Build, sandbox: SandboxUnderTest, taken: Taken, status: int
    ) -> None:
        sandbox.fault(path=PATH, status=status, retry_after=3)

        outcome = ask(build(sandbox.url))

        assert isinstance(outcome, Retry)
        assert (outcome.status, outcome.wait, outcome.is_trouble) == (status, 3.0, status >= 500)
        assert taken.changes == []

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_refused_credential_keeps_it(
        self, build: Build, sandbox: SandboxUnderTest, taken: Taken, status: int
    ) -> None:
        sandbox.fault(path=PATH, status=status)

        outcome = ask(build(sandbox.url))

        assert isinstance(outcome, Retry)
        assert outcome.refused_account == ""
        assert taken.changes == []

    def test_a_lost_answer_is_no_doubt(self, build: Build, sandbox: SandboxUnderTest, taken: Taken) -> None:
        sandbox.fault(path=PATH, drop="after")

        outcome = ask(build(sandbox.url))

        assert isinstance(outcome, Retry)
        assert outcome.is_trouble
        assert taken.changes == []

    def test_what_the_database_does_not_take_is_asked_for_again(
        self, build: Build, sandbox: SandboxUnderTest, taken: Taken
    ) -> None:
        taken.is_down = True

        assert isinstance(ask(build(sandbox.url)), Retry)
        assert isinstance(ask(build(sandbox.url), before=True), Retry)

    def test_where_nobody_takes_it_in_it_waits(self, sandbox: SandboxUnderTest) -> None:
        settings = CalendarSettings(sandbox.url, {"": Credential("id", Secret("secret"))}, "wrapped")
        calendar = RoktCalendar(settings, timedelta(days=30), allow_http=True)

        assert isinstance(ask(calendar), Retry)
        calendar.close()


class Subscribers:
    """A ledger that takes changes in through an inbox, as web and worker do."""

    def __init__(self, database: Database) -> None:
        self.database = database
        ledger = SubscriberLedger(IdentityRule(), syncs=True, looks_up=True, sends_unsubscribe=True)
        self.inbox = Inbox(database, ledger)

    def accept(self, change: SubscriberChange) -> None:
        self.inbox.accept(Request((), "r-1", "rokt", "rokt.webhook", {"body": {}}, change=change))

    def stored(self) -> list[Any]:
        with self.database.read() as connection:
            return list(connection.execute(sa.select(messages).order_by(messages.c.seq)))

    def message(self) -> Message:
        """The look-up that waits."""
        [row] = [row for row in self.stored() if row.action == "look_up"]
        return a_look_up(id=row.id, seq=row.seq)

    def is_looked_up(self) -> bool:
        with self.database.read() as connection:
            return subscriptions_of(connection, [SUBSCRIPTION])[SUBSCRIPTION].is_looked_up


@pytest.fixture
def subscribers(database: Database) -> Iterator[Subscribers]:
    made = Subscribers(database)
    yield made
    made.inbox.close()


class TestWithTheLedger:
    def test_a_look_up_becomes_one_message_for_braze_however_often_it_is_made(
        self, subscribers: Subscribers, build: Build, sandbox: SandboxUnderTest
    ) -> None:
        give(sandbox)
        calendar = build(sandbox.url, accept=subscribers.inbox.accept_found)
        subscribers.accept(replace(said(GIVEN_ID, user=None), left_out=frozenset({"subscriber_id"})))
        message = subscribers.message()

        outcomes = [ask(calendar, message), ask(calendar, message)]

        assert all(isinstance(outcome, Delivered) for outcome in outcomes)
        assert subscribers.is_looked_up()
        [_, made] = subscribers.stored()
        assert (made.destination, made.action, made.state, made.user_id) == (
            "braze",
            "subscribe",
            State.ACCEPTED,
            "u-1",
        )

    def test_the_standing_tells_whether_it_was_looked_up(
        self, subscribers: Subscribers, build: Build, sandbox: SandboxUnderTest
    ) -> None:
        calendar = build(sandbox.url, accept=subscribers.inbox.accept_found)
        never_seen = a_look_up(request={**a_look_up().request, "subscription_id": "never-seen"})
        subscribers.accept(replace(said(GIVEN_ID, user=None), left_out=frozenset({"subscriber_id"})))
        message = subscribers.message()
        event = a_call(2).message

        def standings() -> list[Any]:
            with subscribers.database.read() as connection:
                return calendar.look_up(connection, [message, event, never_seen])

        before = standings()
        ask(calendar, message)
        after = standings()

        assert (before[0], before[2]) == (Asked(False), Asked(False))
        assert after[0] == Asked(True)
        assert after[1].message is event

    def test_what_is_asked_beside_its_change_was_not_asked_before(
        self, subscribers: Subscribers, build: Build, sandbox: SandboxUnderTest
    ) -> None:
        calendar = build(sandbox.url, accept=subscribers.inbox.accept_found)
        subscribers.accept(replace(said(GIVEN_ID), left_out=frozenset({"country_code"})))
        beside = a_look_up(request={**a_look_up().request, "is_beside": True})

        with subscribers.database.read() as connection:
            found = calendar.look_up(connection, [beside])

        assert subscribers.is_looked_up()
        assert found == [Asked(False)]

    def test_the_ledger_of_events_is_left_alone(
        self, subscribers: Subscribers, build: Build, sandbox: SandboxUnderTest
    ) -> None:
        calendar = build(sandbox.url)
        message = a_look_up()

        with subscribers.database.write() as connection:
            calendar.record(connection, [(message, Asked(False), Delivered(200), State.DELIVERED)], NOON)
            calendar.doubt(connection, [(message, Asked(False))])
            found = connection.execute(sa.select(calendar_events)).all()

        assert found == []
