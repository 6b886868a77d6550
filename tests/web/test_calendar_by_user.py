"""Calendar events of users whose subscriptions the ledger knows: whom they reach, and whom not any more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from braze import Aborted, Braze, User
from servers import SandboxUnderTest
from web.running import (
    ACCOUNT,
    ID,
    OTHER_ACCOUNT,
    OTHER_ID,
    PLAIN,
    THIRD_ID,
    UNSENT,
    Answer,
    Bridge,
    Starter,
    eastern,
    literal,
    paths_and_ids,
    sale,
)

from bridge.ledger.subscribers import SubscriberLedger
from bridge.message import NewMessage, State
from bridge.outbox.enqueue import Request
from bridge.outbox.pieces import Refusal
from bridge.outbox.replay import settled
from bridge.rendering import Renderer
from bridge.settings import IdentityRule
from bridge.subscribers.change import Action, SubscriberChange

LEDGER = SubscriberLedger(IdentityRule(), syncs=False, looks_up=False, sends_unsubscribe=False)
UNSUBSCRIBED = "unsubscribed: no active subscription is left"
NEW = {"event_id": "e1", "title": "New"}


def say(
    bridge: Bridge, subscription_id: str, action: Action = "subscribe", user: str | None = "u1", **facts: str
) -> None:
    """Accept what is said of a subscription; without facts it is one of the account brazetest."""
    change = SubscriberChange(
        action, subscription_id, facts=facts or {"account_code": "brazetest"}, subscriber_id=user
    )
    now = datetime.now(UTC)
    with bridge.database.write() as connection:
        loaded = LEDGER.load(connection, [change])
        loaded.apply(change, now)
        loaded.write(connection, now)


def say_three(bridge: Bridge) -> None:
    """Two of one account, one of them ended, and one of another."""
    say(bridge, ID)
    say(bridge, OTHER_ID, account_code="shop")
    say(bridge, THIRD_ID)
    say(bridge, THIRD_ID, "unsubscribe")


def of_user(**changes: Any) -> dict[str, Any]:
    """A request that names nobody but its user."""
    return literal(**{"account_code": ..., "subscription_ids": ...} | changes)


def planned(bridge: Bridge, body: dict[str, Any]) -> dict[str, list[str]]:
    return paths_and_ids(bridge.post(body, dry_run="1"))


def skipped(bridge: Bridge, body: Any, **more: Any) -> str:
    """The reason of a request that has to be skipped."""
    answer = bridge.post(body, **more)
    assert (answer.status, answer.body["state"]) == (200, "skipped"), answer.body
    assert bridge.message(answer.id)["state"] == "skipped"
    reason: str = answer.body["reason"]
    return reason


def replay(bridge: Bridge, message_id: str, **query: Any) -> Answer:
    return bridge.call("POST", f"/v1/messages/{message_id}/replay", **query)


@contextmanager
def read_by(bridge: Bridge) -> Iterator[list[str]]:
    """The statements by which the web process reads."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, text: str, *_: Any) -> None:
        statements.append(text)

    engine = bridge.database._reader
    sa.event.listen(engine, "before_cursor_execute", note)
    yield statements
    sa.event.remove(engine, "before_cursor_execute", note)


@pytest.fixture
def walked(start_on_both: Starter, rokt: SandboxUnderTest) -> Bridge:
    return start_on_both(sandbox=rokt)


class TestByUserAlone:
    @pytest.mark.parametrize("action", ["create", "upsert"])
    def test_an_event_reaches_all_subscriptions_of_its_user_and_nobody_elses(
        self, walked: Bridge, action: str
    ) -> None:
        say_three(walked)
        say(walked, "s-9", user="u2")

        answer = walked.accept(of_user(action=action))
        walked.deliver()

        assert len(answer.body["ids"]) == 2
        sent = {call["path"]: call["body"] for call in walked.sent()}
        assert sent == {
            "/v1/subscriptionevent/brazetest": {"event": eastern(), "subscriptionIds": [ID]},
            "/v1/subscriptionevent/shop": {"event": eastern(), "subscriptionIds": [OTHER_ID]},
        }

    @pytest.mark.parametrize("blank", ["", [], [None, ""], '","', None])
    def test_blank_ids_are_as_none(self, bridge: Bridge, blank: object) -> None:
        say(bridge, ID)

        assert planned(bridge, of_user(subscription_ids=blank, account_code=blank)) == {"brazetest": [ID]}

    @pytest.mark.parametrize("action", ["create", "upsert"])
    def test_a_user_of_whom_no_subscription_is_known_is_refused_by_name(
        self, bridge: Bridge, action: str
    ) -> None:
        say(bridge, ID, user="u2")

        answer = bridge.refuse(of_user(action=action))

        assert answer.fields == ["subscription_ids"]
        assert answer.says("none was given, and none of this user is known here")
        assert bridge.count() == 0

    @pytest.mark.parametrize("action", ["create", "update", "upsert"])
    def test_a_user_whose_subscriptions_have_all_ended_is_skipped(self, bridge: Bridge, action: str) -> None:
        for one in (ID, OTHER_ID):
            say(bridge, one)
            say(bridge, one, "unsubscribe")

        assert skipped(bridge, of_user(action=action)) == UNSUBSCRIBED

    def test_a_subscriber_who_comes_back_is_reached_again(self, bridge: Bridge) -> None:
        for action in ("subscribe", "unsubscribe", "subscribe"):
            say(bridge, ID, action)  # type: ignore[arg-type]

        assert planned(bridge, of_user()) == {"brazetest": [ID]}

    def test_an_account_chooses_its_subscriptions(self, bridge: Bridge) -> None:
        say_three(bridge)

        assert planned(bridge, of_user(account_code=[OTHER_ACCOUNT])) == {"shop": [OTHER_ID]}
        assert planned(bridge, of_user(account_code="shop,brazetest")) == {
            "brazetest": [ID],
            "shop": [OTHER_ID],
        }

    def test_an_account_in_which_none_of_the_user_is_known_is_refused_by_name(self, bridge: Bridge) -> None:
        say_three(bridge)

        answer = bridge.refuse(of_user(account_code="third"))

        assert answer.fields == ["subscription_ids"]
        assert answer.says("none of this user in the account third is known here")

    def test_an_account_in_which_the_user_has_unsubscribed_is_skipped(self, bridge: Bridge) -> None:
        say_three(bridge)
        say(bridge, OTHER_ID, "unsubscribe", account_code="shop")

        assert skipped(bridge, of_user(account_code="shop")) == UNSUBSCRIBED

    def test_a_subscription_of_an_unknown_account_takes_the_one_that_is_given(self, bridge: Bridge) -> None:
        say(bridge, ID, country_code="DE")

        assert planned(bridge, of_user(account_code=["x/000000000000", ACCOUNT])) == {"brazetest": [ID]}
        assert planned(bridge, of_user(account_code="shop")) == {"shop": [ID]}

    def test_one_whose_account_nobody_knows_keeps_no_other_from_its_event(self, bridge: Bridge) -> None:
        say(bridge, ID)
        say(bridge, OTHER_ID, country_code="DE")

        answer = bridge.accept(of_user())

        assert bridge.message(answer.id)["request"]["subscription_ids"] == [ID]
        [warning] = answer.body["warnings"]
        assert OTHER_ID in warning

    def test_a_user_none_of_whose_accounts_is_known_is_refused_by_name(self, bridge: Bridge) -> None:
        say(bridge, ID, country_code="DE")

        assert bridge.refuse(of_user()).fields == ["account_code"]

    def test_what_no_path_and_no_id_can_be_made_of_is_as_unknown(self, bridge: Bridge) -> None:
        say(bridge, ID, account_code="a b/../" + "x" * 100)
        say(bridge, "no id at all", account_code="brazetest")

        assert bridge.refuse(of_user()).fields == ["account_code"]
        assert planned(bridge, of_user(account_code="brazetest")) == {"brazetest": [ID]}

    def test_more_subscriptions_than_a_request_may_have_are_refused(self, bridge: Bridge) -> None:
        now = datetime.now(UTC)
        changes = [
            SubscriberChange("subscribe", f"s-{n}", {"account_code": "brazetest"}, "u1") for n in range(1_001)
        ]
        with bridge.database.write() as connection:
            loaded = LEDGER.load(connection, changes)
            for change in changes:
                loaded.apply(change, now)
            loaded.write(connection, now)

        answer = bridge.refuse(of_user())

        assert answer.fields == ["subscription_ids"]
        assert answer.says("more than 1,000")

    def test_the_same_request_is_no_repeat_once_the_user_has_subscribed_anew(self, walked: Bridge) -> None:
        say(walked, ID)
        first = walked.accept(of_user())
        assert walked.post(of_user()).body["is_repeat"]
        say(walked, THIRD_ID)

        second = walked.accept(of_user())
        walked.deliver()

        assert second.id != first.id
        assert [call["body"]["subscriptionIds"] for call in walked.sent()] == [[ID], [THIRD_ID]]

    def test_a_drop_in_without_ids_knows_no_user(self, bridge: Bridge) -> None:
        say(bridge, ID)

        answer = bridge.refuse({"event": eastern()}, "/v1/subscriptionevent/brazetest")

        assert answer.fields == ["subscriptionIds"]


class TestTheBodyOfTheDocs:
    def section(self) -> str:
        text = (Path(__file__).parents[2] / "docs" / "braze.md").read_text("utf-8")
        return text.partition("\n## By the user alone\n")[2].partition("\n## ")[0]

    def body(self, user_id: str | None) -> bytes:
        liquid = self.section().partition("```liquid\n")[2].partition("```")[0]
        return Braze().render(liquid, User(user_id)).encode()

    def test_it_reaches_a_user_of_whom_braze_holds_nothing(self, walked: Bridge) -> None:
        say(walked, ID, user='a "b"')

        call = walked.sends(self.body('a "b"'))

        assert call["path"] == "/v1/subscriptionevent/brazetest"
        assert call["body"]["subscriptionIds"] == [ID]
        assert call["body"]["event"]["eventId"] == 'sale_winter27_a "b"'

    def test_it_is_not_sent_for_one_without_an_id(self) -> None:
        with pytest.raises(Aborted):
            self.body(None)

    def test_its_answers_are_those_that_the_docs_tell(self, bridge: Bridge) -> None:
        refused = bridge.refuse(self.body("u1")).body["detail"]
        say(bridge, ID, calendar_code="away", account_code="brazetest")
        wrong_calendar = skipped(bridge, of_user(calendar_code="home-games"))
        say(bridge, ID, "unsubscribe")
        ended = skipped(bridge, self.body("u1"))

        for words in (refused, wrong_calendar, ended):
            assert f"`{words}`" in self.section()


class TestTheActions:
    def test_an_upsert_reaches_who_has_subscribed_since_and_updates_the_rest(self, walked: Bridge) -> None:
        say(walked, ID)
        walked.sends(of_user(action="upsert"))
        say(walked, THIRD_ID)
        say(walked, OTHER_ID, account_code="shop")

        walked.accept(of_user(action="upsert", event__title="New"))
        walked.deliver()

        assert walked.sandbox is not None
        stands = {one["account_code"]: one for one in walked.sandbox.calendar()}
        assert set(stands["brazetest"]["holders"]) == {ID, THIRD_ID}
        assert set(stands["shop"]["holders"]) == {OTHER_ID}
        held = [event for one in stands.values() for event in one["holders"].values()]
        assert {event["title"] for event in held} == {"New"}

    def test_an_upsert_goes_to_where_the_event_stands_for_others_too(self, walked: Bridge) -> None:
        walked.sends(literal(account_code="third", subscription_ids="s-3"))
        say(walked, ID)

        walked.accept(of_user(action="upsert", event__title="New"))
        walked.deliver()

        assert sorted(call["path"] for call in walked.sent()[1:]) == [
            "/v1/subscriptionevent/brazetest",
            "/v1/subscriptionevent/third/update",
        ]

    @pytest.mark.parametrize("action", ["update", "upsert"])
    def test_an_account_that_the_user_has_left_is_left_out(self, walked: Bridge, action: str) -> None:
        say_three(walked)
        walked.accept(of_user())
        walked.deliver()
        say(walked, OTHER_ID, "unsubscribe", account_code="shop")

        call = walked.sends(of_user(action=action, event=NEW))

        assert call["path"] == "/v1/subscriptionevent/brazetest/update"

    def test_an_update_goes_once_to_each_account_in_which_the_event_stands(self, walked: Bridge) -> None:
        say(walked, ID)
        say(walked, THIRD_ID)
        walked.sends(of_user())
        say(walked, OTHER_ID, account_code="shop")

        call = walked.sends(of_user(action="update", event=NEW))

        assert call["path"] == "/v1/subscriptionevent/brazetest/update"
        assert call["body"] == {"event": eastern(title="New")}

    def test_an_update_of_an_unknown_event_goes_to_the_accounts_of_the_user(self, bridge: Bridge) -> None:
        say_three(bridge)

        answer = bridge.accept(of_user(action="update"))

        shown = [bridge.message(one) for one in answer.body["ids"]]
        assert [(m["account_code"], m["request"]["subscription_ids"]) for m in shown] == [
            ("brazetest", []),
            ("shop", []),
        ]

    def test_an_update_goes_to_the_account_given_though_no_subscription_is_known_there(
        self, walked: Bridge
    ) -> None:
        say(walked, ID)

        call = walked.sends(of_user(action="update", account_code="third"))

        assert call["path"] == "/v1/subscriptionevent/third/update"

    def test_a_delete_of_an_unknown_event_goes_to_all_accounts_of_the_user(self, walked: Bridge) -> None:
        say_three(walked)
        say(walked, OTHER_ID, "unsubscribe", account_code="shop")

        walked.accept(of_user(action="delete", event={"event_id": "e1"}))
        walked.deliver()

        assert sorted((call["method"], call["path"]) for call in walked.sent()) == [
            ("DELETE", "/v1/subscriptionevent/brazetest/e1_u1"),
            ("DELETE", "/v1/subscriptionevent/shop/e1_u1"),
        ]

    def test_a_delete_goes_to_where_the_event_stands_and_no_further(self, walked: Bridge) -> None:
        say(walked, ID)
        walked.sends(of_user())
        say(walked, OTHER_ID, account_code="shop")

        call = walked.sends(of_user(action="delete", event={"event_id": "e1"}))

        assert call["path"] == "/v1/subscriptionevent/brazetest/e1_u1"


class TestGivenIds:
    def test_the_ledger_of_subscriptions_goes_before_all_else(self, walked: Bridge) -> None:
        walked.sends(literal(account_code="third"))
        say(walked, ID.upper(), account_code="shop")

        assert planned(walked, literal(event__event_id="e2")) == {"shop": [ID]}
        assert planned(walked, literal(event__event_id="e2", account_code="")) == {"shop": [ID]}

    def test_a_subscription_of_which_no_account_is_known_goes_by_the_older_ledger(
        self, walked: Bridge
    ) -> None:
        walked.sends(literal(account_code="third"))
        say(walked, ID, country_code="DE")

        assert planned(walked, literal(event__event_id="e2")) == {"third": [ID]}

    @pytest.mark.parametrize("action", ["create", "upsert"])
    def test_those_that_have_ended_are_left_out(self, bridge: Bridge, action: str) -> None:
        say_three(bridge)
        ids = [THIRD_ID.upper(), ID, "s-9"]

        assert planned(bridge, literal(action=action, subscription_ids=ids)) == {"brazetest": [ID, "s-9"]}

    def test_the_others_keep_their_positions(self, bridge: Bridge) -> None:
        say(bridge, "s-1", "unsubscribe")
        body = literal(account_code="one,two,three", subscription_ids="s-1,s-2,s-3")

        assert planned(bridge, body) == {"two": ["s-2"], "three": ["s-3"]}

    def test_an_id_of_no_known_account_beside_one_of_a_known_is_refused_by_name(self, bridge: Bridge) -> None:
        say(bridge, ID)
        ids = [ID, "s-9", "s-8"]

        answer = bridge.refuse(literal(subscription_ids=ids, account_code="one,two"))
        assert answer.fields == ["subscription_ids"]
        assert answer.says("the account of s-9, s-8 is not known")
        assert bridge.refuse(literal(subscription_ids=ids, account_code="")).fields == ["account_code"]

    @pytest.mark.parametrize("action", ["create", "update", "upsert"])
    def test_if_none_is_left_it_is_skipped(self, walked: Bridge, action: str) -> None:
        say(walked, ID, "unsubscribe")
        say(walked, OTHER_ID, "unsubscribe", country_code="DE")

        assert skipped(walked, literal(action=action, subscription_ids=[ID, OTHER_ID])) == UNSUBSCRIBED
        walked.deliver()
        assert walked.sent() == []

    def test_a_drop_in_is_skipped_too(self, bridge: Bridge) -> None:
        say(bridge, ID, "unsubscribe")
        body = {"event": eastern(), "subscriptionIds": [ID]}

        assert skipped(bridge, body, path="/v1/subscriptionevent/brazetest") == UNSUBSCRIBED

    def test_what_was_skipped_is_no_state_of_the_event_and_no_repeat(self, bridge: Bridge) -> None:
        say(bridge, ID, "unsubscribe")
        skipped(bridge, literal(as_of=10))
        say(bridge, ID)

        assert bridge.post(literal(as_of=9)).status == 202

    def test_a_delete_is_for_those_that_have_ended_too(self, walked: Bridge) -> None:
        say(walked, ID)
        walked.sends(literal())
        say(walked, ID, "unsubscribe")

        call = walked.sends(literal(action="delete", account_code="", event={"event_id": "e1"}))

        assert call["path"] == f"/v2/subscription/brazetest/{ID}/subscriptionevent/e1_u1"

    @pytest.mark.parametrize("action", ["create", "upsert"])
    @pytest.mark.parametrize("ids", [[ID], ...])
    def test_what_is_asked_about_the_addressed_is_one_statement(
        self, walked: Bridge, ids: object, action: str
    ) -> None:
        say(walked, ID)
        body = literal(action=action, subscription_ids=ids)

        with read_by(walked) as statements:
            walked.accept(body)

        about = [text for text in statements if "subscriptions" in text or "calendar_holders" in text]
        assert len(about) == 1
        # An upsert asks where its event stands, and how it will.
        assert len(statements) == (1 if action == "create" else 3)


class TestCalendars:
    @pytest.fixture(autouse=True)
    def _three_calendars(self, bridge: Bridge) -> None:
        say(bridge, ID, account_code="brazetest", calendar_code="home")
        say(bridge, OTHER_ID, account_code="brazetest", calendar_code="Away")
        say(bridge, THIRD_ID, account_code="brazetest")

    def by_template(self, bridge: Bridge, calendar: str, **fields: Any) -> dict[str, Any]:
        bridge.publish(plain=PLAIN + f"{{% block calendar %}}{calendar}{{% endblock %}}")
        nobody = {"account_code": ..., "subscription_ids": ...}
        variables = {"title": "T", "starts": "2090-12-01T09:00"}
        return sale(template="plain", variables=variables, **nobody | fields)

    def test_a_calendar_chooses_of_the_users_own(self, bridge: Bridge) -> None:
        assert planned(bridge, of_user(calendar_code="HOME")) == {"brazetest": [ID]}
        assert planned(bridge, of_user(calendar_code=["home/x", "away"])) == {"brazetest": [ID, OTHER_ID]}

    def test_the_calendar_of_a_template_chooses_of_the_users_own(self, bridge: Bridge) -> None:
        assert planned(bridge, self.by_template(bridge, "away")) == {"brazetest": [OTHER_ID]}

    def test_a_user_without_that_calendar_is_skipped(self, bridge: Bridge) -> None:
        assert "cup" in skipped(bridge, of_user(calendar_code="cup"))
        assert "cup" in skipped(bridge, self.by_template(bridge, "cup"))

    def test_one_who_has_left_that_calendar_is_skipped(self, bridge: Bridge) -> None:
        say(bridge, ID, "unsubscribe", calendar_code="home")

        assert "home" in skipped(bridge, of_user(calendar_code="home"))

    def test_the_calendar_of_a_template_chooses_of_the_ids_given(self, bridge: Bridge) -> None:
        ids = {"subscription_ids": [ID, OTHER_ID, THIRD_ID], "account_code": "brazetest"}

        assert planned(bridge, self.by_template(bridge, "home", **ids)) == {"brazetest": [ID]}

    def test_what_the_request_says_of_an_id_goes_first(self, bridge: Bridge) -> None:
        body = literal(subscription_ids=[ID, OTHER_ID], calendar_code="away/f5733866ade2")

        assert planned(bridge, body) == {"brazetest": [ID, OTHER_ID]}

    def test_one_calendar_beside_one_id_is_a_choice_where_the_ledger_knows_better(
        self, bridge: Bridge
    ) -> None:
        assert "away" in skipped(bridge, literal(calendar_code="away"))
        assert planned(bridge, literal(calendar_code="home")) == {"brazetest": [ID]}
        assert planned(bridge, literal(subscription_ids="s-9", calendar_code="home")) == {
            "brazetest": ["s-9"]
        }

    def test_calendars_that_nobody_knows_are_asked_for_by_name(self, bridge: Bridge) -> None:
        say(bridge, "s-9", user="u9")

        assert bridge.refuse(of_user(user_id="u9", calendar_code="home")).fields == ["calendar_code"]
        body = literal(subscription_ids=["s-9", THIRD_ID], calendar_code="home")
        assert bridge.refuse(body).fields == ["calendar_code"]

    def test_an_update_is_for_the_accounts_of_that_calendar(self, bridge: Bridge) -> None:
        say(bridge, "s-5", account_code="shop", calendar_code="cup")

        answer = bridge.accept(of_user(action="update", calendar_code="cup"))

        # What may be meant is not left out: of one subscription there no calendar is known.
        accounts = [bridge.message(one)["account_code"] for one in answer.body["ids"]]
        assert accounts == ["brazetest", "shop"]
        say(bridge, THIRD_ID, "unsubscribe")
        assert (
            bridge.message(bridge.accept(of_user(action="update", calendar_code="cup", event__title="2")).id)[
                "account_code"
            ]
            == "shop"
        )
        assert "final" in skipped(bridge, of_user(action="update", calendar_code="final"))

    def test_an_upsert_goes_to_no_further_account_for_a_calendar_that_is_not_known(
        self, walked: Bridge
    ) -> None:
        say(walked, "s-8", user="u8", account_code="brazetest", calendar_code="home")
        walked.sends(of_user(user_id="u8"))
        say(walked, "s-7", user="u8", account_code="shop")

        call = walked.sends(of_user(user_id="u8", action="upsert", calendar_code="home", event__title="New"))

        assert call["path"] == "/v1/subscriptionevent/brazetest/update"


class TestTestsAndReplays:
    def test_a_test_by_user_alone_reaches_the_teams_own(
        self, start_on_both: Starter, rokt: SandboxUnderTest
    ) -> None:
        bridge = start_on_both(sandbox=rokt, TEST_SUBSCRIPTIONS=ID.upper())
        say_three(bridge)

        for action in ("create", "update", "upsert"):
            with bridge.working():
                answer = bridge.post(of_user(action=action, dispatch_id=UNSENT))
            assert answer.body["state"] == "delivered", answer.body

        assert [call["body"]["subscriptionIds"] for call in bridge.sent()] == [[ID]] * 3

    def test_a_test_for_nobody_who_is_left_is_a_dry_run_that_says_so(
        self, start_on_both: Starter, rokt: SandboxUnderTest
    ) -> None:
        bridge = start_on_both(sandbox=rokt, TEST_SUBSCRIPTIONS=ID)
        say(bridge, ID, "unsubscribe")

        for body in (of_user(dispatch_id=UNSENT), literal(dispatch_id=UNSENT)):
            answer = bridge.post(body)
            assert (answer.status, answer.body["dry_run"], answer.body["requests"]) == (200, True, [])
            assert answer.body["reason"] == UNSUBSCRIBED
        assert bridge.count() == 0

    def test_a_dry_run_of_what_would_be_skipped_says_why(self, bridge: Bridge) -> None:
        say(bridge, ID, "unsubscribe")

        answer = bridge.post(of_user(), dry_run="1")

        assert (answer.body["requests"], answer.body["reason"]) == ([], UNSUBSCRIBED)

    def test_rendered_anew_it_goes_to_whom_the_ledger_knows_then(self, walked: Bridge) -> None:
        walked.publish(plain=PLAIN)
        body = sale(template="plain", account_code=..., subscription_ids=..., variables={"title": "T"})
        dead = walked.refuse(body).id
        say(walked, ID)
        walked.publish(plain=PLAIN.replace("{{ starts }}", "2090-12-01T09:00"))

        assert replay(walked, dead).status == 202
        walked.deliver()

        assert [call["body"]["subscriptionIds"] for call in walked.sent()] == [[ID]]
        say(walked, ID, "unsubscribe")
        assert replay(walked, dead, render="current").body["state"] == "skipped"

    def test_a_skipped_one_is_sent_once_its_user_has_come_back(self, walked: Bridge) -> None:
        say(walked, ID, "unsubscribe")
        one = walked.post(of_user()).id
        say(walked, ID)

        assert replay(walked, one).status == 202
        walked.deliver()

        assert walked.message(one)["state"] == "delivered"

    @pytest.mark.parametrize("route", ["subscribers", "rokt.webhook", "some.other"])
    @pytest.mark.parametrize("stored", [{}, {"subscription_id": ID, "identifier": "external_id:u1"}])
    @pytest.mark.parametrize(
        "payload", [{"body": [], "rest": "", "idempotency_key": None}, {"body": "x"}, {}]
    )
    def test_what_tells_of_a_subscriber_cannot_be_rendered(
        self, bridge: Bridge, route: str, stored: dict[str, Any], payload: dict[str, Any]
    ) -> None:
        message = NewMessage("braze", "subscribe", stored, state=State.SKIPPED, reason="BRAZE_SYNC is off")
        one = bridge.parts.inbox.accept(Request((message,), "r-1", "all", route, payload)).ids[0]

        answer = replay(bridge, one, render="current")

        assert answer.status == 422
        assert answer.says("no template made this message, so it cannot be rendered")
        assert bridge.message(one)["state"] == "skipped"

        renderer = Renderer(bridge.database, bridge.parts.templates, frozenset())
        with bridge.database.read() as connection:
            found = settled(connection, one)
        assert found is not None
        assert renderer.for_job(*found) == Refusal("no template made it")
