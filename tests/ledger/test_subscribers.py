"""The ledger of subscribers: what is said becomes what is known, and the messages that follow from it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from factories import ACCOUNT, NOON, SUBSCRIPTION

from bridge.database import Database
from bridge.ledger.subscriber_tables import braze_held, subscriptions
from bridge.ledger.subscribers import (
    HeldRow,
    Listed,
    SubscriberLedger,
    counts,
    forget_old,
    fullest,
    held,
    listing,
    of_user,
    subscriptions_of,
    write_held,
)
from bridge.message import NewMessage, State
from bridge.settings import IdentityRule
from bridge.subscribers.change import Action, LookedUp, SubscriberChange
from bridge.subscribers.facts import FACTS
from bridge.subscribers.subscription import Subscription
from bridge.subscribers.sync import EMPTY, Held, settled

MOMENT = timedelta(microseconds=1)
USER, LINE = "u-1", "external_id:u-1"
OTHER = "11111111-b6ba-4536-aa36-000000000002"
SUFFIX = "f5733866ade2"
NOT_TOLD = frozenset({"country_code"})
SOMETHING = Held({"rokt:tags": ("a",)}, {"rokt:tags": ("b", "c")})


def subscribe(subscription_id: str = SUBSCRIPTION, **fields: Any) -> SubscriberChange:
    return said("subscribe", subscription_id, **fields)


def nobody(subscription_id: str = SUBSCRIPTION, **fields: Any) -> SubscriberChange:
    """A begin that does not say whose it is."""
    left_out = NOT_TOLD | {"subscriber_id"}
    return subscribe(subscription_id, **{"subscriber_id": None, "left_out": left_out, **fields})


def said(action: Action, subscription_id: str = SUBSCRIPTION, **fields: Any) -> SubscriberChange:
    """A change of a user; `facts` are those of an account unless they are given."""
    defaults = {"facts": {"account_code": ACCOUNT}, "subscriber_id": USER}
    return SubscriberChange(action, subscription_id, **{**defaults, **fields})


def a_ledger(rule: IdentityRule | None = None, **fields: Any) -> SubscriberLedger:
    defaults = {"syncs": True, "looks_up": True, "sends_unsubscribe": True}
    return SubscriberLedger(rule or IdentityRule(), **{**defaults, **fields})


class Kept:
    """A database's ledger, changed in transactions as requests do it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(
        self,
        *changes: SubscriberChange | LookedUp,
        ledger: SubscriberLedger | None = None,
        now: datetime = NOON,
        **options: Any,
    ) -> list[NewMessage]:
        """The messages of these changes, accepted together."""
        with self._database.write() as connection:
            loaded = (ledger or a_ledger()).load(connection, changes, **options)
            messages = [message for change in changes for message in loaded.apply(change, now)]
            loaded.write(connection, now)
        return messages

    def known(self, subscription_id: str = SUBSCRIPTION) -> Subscription | None:
        with self._database.read() as connection:
            return subscriptions_of(connection, [subscription_id]).get(subscription_id)

    def the(self, subscription_id: str = SUBSCRIPTION) -> Subscription:
        known = self.known(subscription_id)
        assert known is not None
        return known

    def hold(self, *rows: HeldRow, now: datetime = NOON) -> None:
        with self._database.write() as connection:
            write_held(connection, rows, now)

    def held(self, identifier: str = LINE, key: str = SUBSCRIPTION) -> Held:
        with self._database.read() as connection:
            return held(connection, [(identifier, key)])[identifier, key]

    def counts(self) -> dict[str, int]:
        with self._database.read() as connection:
            return counts(connection)

    def forget(self, before: datetime) -> int:
        with self._database.write() as connection:
            return forget_old(connection, before)


@pytest.fixture
def kept(database: Database) -> Kept:
    return Kept(database)


class TestWhatIsKnown:
    def test_a_first_subscribe_is_kept_as_it_was_said(self, kept: Kept) -> None:
        facts = {"account_code": ACCOUNT, "calendar_code": "c-1", "optIn1": False, "tags": ["ü", "a/b/"]}
        kept.take(subscribe(SUBSCRIPTION.upper(), facts=facts, email="Ada@Example.com"))

        assert kept.the() == Subscription(
            key=SUBSCRIPTION,
            given_id=SUBSCRIPTION.upper(),
            facts={**facts, "subscription_id": SUBSCRIPTION.upper()},
            suffix=SUFFIX,
            is_active=True,
            subscriber_id=USER,
            email="ada@example.com",
            identifier=LINE,
            is_looked_up=False,
            lookups=0,
            updated_at=NOON,
        )

    def test_what_was_said_replaces_and_what_was_not_stays(self, kept: Kept) -> None:
        first = {"account_code": ACCOUNT, "source": "old", "optIn1": True, "tags": ["a"]}
        kept.take(subscribe(facts=first, email="ada@example.com"))

        blank = {"country_code": "", "account_code": None, "tags": None}
        kept.take(said("update", facts={"source": "new", "optIn1": False, **blank}, subscriber_id=None))

        its = kept.the()
        assert its.facts == {**first, "source": "new", "optIn1": False, "subscription_id": SUBSCRIPTION}
        assert (its.subscriber_id, its.email) == (USER, "ada@example.com")

    def test_no_tags_at_all_are_said_and_take_the_others_away(self, kept: Kept) -> None:
        kept.take(subscribe(facts={"tags": ["a"]}), said("update", facts={"tags": []}))

        assert kept.the().facts["tags"] == []
        assert kept.the().target(LINE, ["tags"]) == {}

    def test_a_new_beginning_keeps_what_is_not_said_again(self, kept: Kept) -> None:
        kept.take(subscribe(facts={"source": "old", "country_code": "AU"}), said("unsubscribe"))

        kept.take(subscribe(facts={"source": "new"}))

        assert kept.the().facts["country_code"] == "AU"
        assert kept.the().facts["source"] == "new"

    def test_what_is_no_fact_is_not_kept(self, kept: Kept) -> None:
        kept.take(subscribe(facts={"password": "x", "source": "s"}))

        assert kept.the().facts == {"source": "s", "subscription_id": SUBSCRIPTION}

    @pytest.mark.parametrize(
        ("actions", "is_active"),
        [
            (["subscribe"], True),
            (["update"], True),
            (["unsubscribe"], False),
            (["subscribe", "unsubscribe", "update"], False),
            (["unsubscribe", "subscribe"], True),
        ],
    )
    def test_it_is_active_until_it_ends(self, kept: Kept, actions: list[Action], is_active: bool) -> None:
        for action in actions:
            kept.take(said(action))

        assert kept.the().is_active is is_active

    def test_the_id_is_written_as_it_was_first_given(self, kept: Kept) -> None:
        """Braze tells cases apart, and each other spelling would be another value in its array."""
        kept.take(subscribe(SUBSCRIPTION.upper()))
        kept.take(said("update", SUBSCRIPTION))

        its = kept.the()
        assert its.target(LINE, ["subscription_id"]) == {"rokt:subscription_id": [SUBSCRIPTION.upper()]}

    def test_changes_of_one_transaction_build_on_each_other(self, kept: Kept) -> None:
        messages = kept.take(
            subscribe(facts={"source": "a"}),
            subscribe(OTHER),
            said("update", facts={"country_code": "AU"}),
            said("unsubscribe", SUBSCRIPTION.upper()),
        )

        assert [(m.action, m.request["subscription_id"]) for m in messages] == [
            ("subscribe", SUBSCRIPTION),
            ("subscribe", OTHER),
            ("update", SUBSCRIPTION),
            ("unsubscribe", SUBSCRIPTION),
        ]
        assert kept.the().facts == {"source": "a", "country_code": "AU", "account_code": ACCOUNT} | {
            "subscription_id": SUBSCRIPTION
        }
        assert (kept.the().is_active, kept.the(OTHER).is_active) == (False, True)

    def test_many_are_taken_at_once(self, kept: Kept, database: Database) -> None:
        changes = [subscribe(f"{n:04d}-x{n}", subscriber_id=f"u-{n}") for n in range(300)]
        kept.take(*changes)

        with database.read() as connection:
            found = subscriptions_of(connection, [change.subscription_id for change in changes])
        assert {one.identifier for one in found.values()} == {f"external_id:u-{n}" for n in range(300)}

    def test_characters_that_no_database_holds_do_no_harm(self, kept: Kept) -> None:
        odd = "a\x00b\ud800"

        [message] = kept.take(
            subscribe(f"id-{odd}", facts={"source": odd, "account_code": odd}, subscriber_id=odd, email=odd)
        )

        its = kept.the("id-a\ufffdb\ufffd")
        assert its.facts["source"] == odd  # escaped, within JSON
        assert (its.subscriber_id, its.email, message.user_id, message.state) == (
            None,
            None,
            None,
            State.SKIPPED,
        )

    def test_none_asked_for_gives_none(self, kept: Kept, database: Database) -> None:
        with database.read() as connection:
            assert subscriptions_of(connection, []) == {}
            assert held(connection, []) == {}
            assert fullest(connection, []) == {}
        assert kept.take() == []


class TestMessages:
    def test_one_names_the_subscription_the_profile_and_the_event(self, kept: Kept) -> None:
        [message] = kept.take(
            subscribe(SUBSCRIPTION.upper(), facts={"source": "s", "optIn1": True, "tags": ["a"]})
        )

        assert message == NewMessage(
            destination="braze",
            action="subscribe",
            request={
                "subscription_id": SUBSCRIPTION,
                "identifier": LINE,
                "event": {
                    "name": "subscribe",
                    "properties": {
                        "source": "s",
                        "optIn1": True,
                        "tags": ["a"],
                        "subscription_id": SUBSCRIPTION.upper(),
                    },
                },
            },
            line=LINE,
            user_id=USER,
            event_id=SUBSCRIPTION,
        )

    def test_an_event_tells_the_facts_as_they_were_when_it_was_accepted(self, kept: Kept) -> None:
        first, second = kept.take(
            subscribe(facts={"source": "a"}), said("unsubscribe", facts={"source": "b"})
        )

        assert first.request["event"]["properties"]["source"] == "a"
        assert second.request["event"]["properties"]["source"] == "b"

    @pytest.mark.parametrize(
        ("actions", "event"),
        [
            (["subscribe"], "subscribe"),
            (["subscribe", "subscribe"], None),
            (["subscribe", "unsubscribe", "subscribe"], "subscribe"),
            (["subscribe", "update"], None),
            (["update"], None),
            (["unsubscribe", "update"], None),
            (["update", "subscribe"], "subscribe"),  # Rokt repeats what it could not deliver, minutes later
            (["update", "subscribe", "subscribe"], None),
            (["update", "update", "subscribe", "update", "subscribe"], None),
            (["subscribe", "update", "subscribe"], None),
            (["unsubscribe"], "unsubscribe"),
            (["subscribe", "unsubscribe"], "unsubscribe"),
            (["subscribe", "unsubscribe", "unsubscribe"], None),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
    )
    def test_a_beginning_and_an_end_are_events_once(
        self, kept: Kept, actions: list[Action], event: str | None
    ) -> None:
        *_, last = [kept.take(said(action)) for action in actions]

        [message] = last
        assert message.action == actions[-1]
        assert message.request.get("event", {}).get("name") == event

    def test_the_end_is_no_event_where_it_is_not_wanted(self, kept: Kept) -> None:
        ledger = a_ledger(sends_unsubscribe=False)

        begun, ended = kept.take(subscribe(), said("unsubscribe"), ledger=ledger)

        assert "event" in begun.request
        assert "event" not in ended.request
        assert ended.state == State.ACCEPTED

    def test_without_an_identifier_it_is_kept_and_not_sent(self, kept: Kept) -> None:
        [message] = kept.take(subscribe(subscriber_id=None))

        assert (message.state, message.destination) == (State.SKIPPED, "braze")
        assert message.reason is not None
        assert message.reason.startswith("no identifier: neither a subscriber id nor ")
        assert "ROKT_SUBSCRIBER_FALLBACK" in message.reason
        assert message.request["event"]["name"] == "subscribe"
        assert "identifier" not in message.request
        assert kept.the().identifier is None

    @pytest.mark.parametrize(
        ("rule", "says"),
        [
            (IdentityRule(fallback="email"), "nor an e-mail address"),
            (IdentityRule(subscriber_id="email"), "neither a subscriber id that is an e-mail address"),
        ],
    )
    def test_the_reason_tells_what_was_looked_for(self, kept: Kept, rule: IdentityRule, says: str) -> None:
        [message] = kept.take(
            subscribe(subscriber_id="?" if rule.fallback == "" else None), ledger=a_ledger(rule)
        )

        assert says in str(message.reason)

    def test_while_braze_is_not_told_the_ledger_is_kept_all_the_same(self, kept: Kept) -> None:
        ledger = a_ledger(syncs=False)

        messages = kept.take(subscribe(), said("update", subscriber_id="u-2"), ledger=ledger)

        assert {(m.state, m.reason) for m in messages} == {(State.SKIPPED, "BRAZE_SYNC is off")}
        # That of the profile which it left too: sent again once Braze is told, it takes the values away there.
        assert [message.line for message in messages] == [LINE, LINE, "external_id:u-2"]
        assert kept.the().identifier == "external_id:u-2"


class TestAnotherProfile:
    def test_the_one_that_it_leaves_is_told_first_and_of_nothing_else(self, kept: Kept) -> None:
        kept.take(subscribe())

        left, come = kept.take(said("update", subscriber_id="u-2"))

        assert (left.action, left.line, left.user_id) == ("update", LINE, USER)
        assert left.request == {"subscription_id": SUBSCRIPTION, "identifier": LINE}
        assert (come.action, come.line, come.user_id) == ("update", "external_id:u-2", "u-2")

    def test_an_end_moves_nothing(self, kept: Kept) -> None:
        kept.take(subscribe(email="ada@example.com"))

        [message] = kept.take(said("unsubscribe", subscriber_id="u-2", email="b@example.com"))

        assert (message.line, message.request["event"]["name"]) == (LINE, "unsubscribe")
        assert (kept.the().subscriber_id, kept.the().email) == (USER, "ada@example.com")

    def test_an_end_may_tell_who_it_was(self, kept: Kept) -> None:
        [message] = kept.take(subscribe(subscriber_id=None), said("unsubscribe"))[1:]

        assert (message.line, message.state) == (LINE, State.ACCEPTED)

    def test_its_target_is_in_the_new_one_alone(self, kept: Kept) -> None:
        kept.take(subscribe(), said("update", subscriber_id="u-2"))

        assert kept.the().target(LINE, FACTS) == {}
        assert kept.the().target("external_id:u-2", ["account_code"]) == {
            "rokt:account_code": [f"{ACCOUNT}/{SUFFIX}"]
        }

    @pytest.mark.parametrize("fallback", ["email", "alias"])
    def test_a_second_choice_gives_way_to_the_subscriber_id(self, kept: Kept, fallback: str) -> None:
        ledger = a_ledger(IdentityRule(fallback=fallback))
        [first] = kept.take(subscribe(subscriber_id=None, email="a@b.c"), ledger=ledger)

        left, come = kept.take(said("update"), ledger=ledger)

        assert first.line == left.line == {"email": "email:a@b.c", "alias": f"alias:{SUBSCRIPTION}"}[fallback]
        assert come.line == LINE

    def test_a_second_choice_stays_when_the_address_changes(self, kept: Kept) -> None:
        ledger = a_ledger(IdentityRule(fallback="email"))
        kept.take(subscribe(subscriber_id=None, email="a@b.c"), ledger=ledger)

        [message] = kept.take(said("update", subscriber_id=None, email="d@e.f"), ledger=ledger)

        assert message.line == "email:a@b.c"
        assert kept.the().email == "d@e.f"

    def test_one_that_had_none_leaves_nobody(self, kept: Kept) -> None:
        kept.take(subscribe(subscriber_id=None))

        [message] = kept.take(said("update"))

        assert message.line == LINE


class TestAProfileThatTheSourceNames:
    """Whoever tells of a subscriber by the API may know whose profile it is."""

    NAMED = "email:named@example.com"

    @pytest.mark.parametrize("fallback", ["", "email", "alias"])
    def test_it_goes_before_a_second_choice(self, kept: Kept, fallback: str) -> None:
        change = subscribe(subscriber_id=None, email="a@b.c", identifier=self.NAMED)

        [message] = kept.take(change, ledger=a_ledger(IdentityRule(fallback=fallback)))

        assert message.line == message.request["identifier"] == self.NAMED

    def test_the_subscriber_id_goes_before_it(self, kept: Kept) -> None:
        [message] = kept.take(subscribe(identifier=self.NAMED))

        assert message.line == LINE

    def test_it_stays_for_a_source_that_names_none(self, kept: Kept) -> None:
        kept.take(subscribe(subscriber_id=None, identifier=self.NAMED))

        [message] = kept.take(said("update", subscriber_id=None, email="a@b.c"))

        assert message.line == self.NAMED

    def test_another_one_takes_its_place(self, kept: Kept) -> None:
        kept.take(subscribe(subscriber_id=None, identifier=self.NAMED))

        left, come = kept.take(said("update", subscriber_id=None, identifier="email:new@example.com"))

        assert (left.line, come.line) == (self.NAMED, "email:new@example.com")


class TestTarget:
    def test_what_ended_has_none(self, kept: Kept) -> None:
        kept.take(subscribe(), said("unsubscribe"))

        assert kept.the().target(LINE, FACTS) == {}

    def test_the_address_is_captured_for_a_profile_that_is_not_named_by_one(self, kept: Kept) -> None:
        kept.take(subscribe(email="a@b.c"))
        its = kept.the()

        assert its.target(LINE, (), captures_email=True) == {"email": ["a@b.c"]}
        assert replace(its, email=None).target(LINE, (), captures_email=True) == {}
        by_address = replace(its, identifier="email:a@b.c")
        assert by_address.target("email:a@b.c", (), captures_email=True) == {}


class TestLookingUp:
    """Of who is not known: the change waits for Rokt's answer."""

    def test_whose_it_is_is_asked_of_rokt_first(self, kept: Kept) -> None:
        [message] = kept.take(nobody(SUBSCRIPTION.upper()))

        assert message == NewMessage(
            destination="rokt_calendar",
            action="look_up",
            request={
                "subscription_id": SUBSCRIPTION,
                "given_id": SUBSCRIPTION.upper(),
                "action": "subscribe",
                "event": "subscribe",
            },
            line=f"subscription\x1f{SUBSCRIPTION}",
            event_id=SUBSCRIPTION,
            account_code=ACCOUNT,
        )
        assert (kept.the().lookups, kept.the().is_looked_up) == (1, False)

    @pytest.mark.parametrize("account_code", [None, "not an account", "x" * 65])
    def test_without_a_right_account_code_it_goes_to_the_account_of_all_others(
        self, kept: Kept, account_code: str | None
    ) -> None:
        [message] = kept.take(nobody(facts={"account_code": account_code}))

        assert message.account_code == ""

    def test_nothing_is_asked_where_rokt_cannot_be(self, kept: Kept) -> None:
        [message] = kept.take(nobody(), ledger=a_ledger(looks_up=False))

        assert message.destination == "braze"

    def test_nothing_is_asked_that_is_known_already(self, kept: Kept) -> None:
        kept.take(subscribe(facts={"country_code": "AU"}))

        ended = said("unsubscribe", facts={}, subscriber_id=None, left_out=NOT_TOLD | {"subscriber_id"})
        [message] = kept.take(ended)

        assert (message.destination, message.line) == ("braze", LINE)

    def test_what_is_said_meanwhile_waits_behind_it(self, kept: Kept) -> None:
        first, second = kept.take(nobody(), said("unsubscribe"))

        assert (first.destination, second.destination) == ("rokt_calendar", "rokt_calendar")
        assert first.line == second.line
        assert second.request["event"] == "unsubscribe"
        assert kept.the().lookups == 2

    def test_nothing_waits_behind_look_ups_once_rokt_cannot_be_asked_any_more(self, kept: Kept) -> None:
        kept.take(nobody())

        [message] = kept.take(said("unsubscribe"), ledger=a_ledger(looks_up=False))

        assert message.destination == "braze"

    def test_the_answer_fills_what_is_not_known_and_nothing_else(self, kept: Kept) -> None:
        kept.take(nobody(facts={"source": "said", "tags": []}))
        answer = {"source": "old", "country_code": "AU", "tags": ["old"], "subscription_id": "other"}

        [message] = kept.take(
            LookedUp("subscribe", SUBSCRIPTION, "subscribe", answer, USER, "a@b.c"), now=NOON + MOMENT
        )

        its = kept.the()
        assert its.facts == {
            "source": "said",
            "tags": [],
            "country_code": "AU",
            "subscription_id": SUBSCRIPTION,
        }
        assert (its.subscriber_id, its.email) == (USER, "a@b.c")
        assert (its.lookups, its.is_looked_up, its.updated_at) == (0, True, NOON + MOMENT)
        assert (message.destination, message.action, message.line) == ("braze", "subscribe", LINE)
        assert message.request["event"] == {"name": "subscribe", "properties": its.facts}

    def test_the_event_is_of_the_time_of_the_change_and_not_of_the_answer(self, kept: Kept) -> None:
        kept.take(nobody())

        answer = LookedUp("subscribe", SUBSCRIPTION, "subscribe", subscriber_id=USER, at=NOON)
        [message] = kept.take(answer, now=NOON + MOMENT)

        assert message.request["event"]["at"] == NOON.isoformat()

    def test_an_answer_brings_no_event_that_the_change_did_not(self, kept: Kept) -> None:
        kept.take(replace(nobody(), action="update"))

        [message] = kept.take(LookedUp("update", SUBSCRIPTION, None, subscriber_id=USER))

        assert "event" not in message.request

    def test_what_has_ended_at_rokt_begins_nowhere(self, kept: Kept) -> None:
        """A subscribe that Rokt repeats may come after its end."""
        kept.take(nobody())

        answer = LookedUp("subscribe", SUBSCRIPTION, "subscribe", subscriber_id=USER, is_active=False)
        [message] = kept.take(answer)

        assert "event" not in message.request
        assert not kept.the().is_active

    def test_it_is_asked_once(self, kept: Kept) -> None:
        kept.take(nobody(), LookedUp("subscribe", SUBSCRIPTION, "subscribe"))

        [message] = kept.take(replace(nobody(), action="update"))

        assert message.destination == "braze"

    def test_an_answer_that_comes_twice_counts_down_to_none(self, kept: Kept) -> None:
        kept.take(nobody())
        answer = LookedUp("subscribe", SUBSCRIPTION, "subscribe")
        kept.take(answer, answer)

        assert kept.the().lookups == 0

    def test_a_second_choice_is_made_only_when_rokt_knows_no_better(self, kept: Kept) -> None:
        ledger = a_ledger(IdentityRule(fallback="alias"))
        unnamed = subscribe(subscriber_id=None, left_out=frozenset({"subscriber_id"}))
        kept.take(unnamed, replace(unnamed, subscription_id=OTHER), ledger=ledger)
        before = kept.the().identifier

        messages = kept.take(
            LookedUp("subscribe", SUBSCRIPTION, "subscribe", subscriber_id=USER),
            LookedUp("subscribe", OTHER, "subscribe"),
            ledger=ledger,
        )

        assert before is None
        assert [message.line for message in messages] == [LINE, f"alias:{OTHER}"]

    @pytest.mark.parametrize(("action", "is_active"), [("subscribe", True), ("unsubscribe", False)])
    def test_an_answer_for_what_was_forgotten_meanwhile_is_taken(
        self, kept: Kept, action: Action, is_active: bool
    ) -> None:
        [message] = kept.take(LookedUp(action, SUBSCRIPTION, action, subscriber_id=USER))

        assert message.line == LINE
        assert (kept.the().is_active, kept.the().is_looked_up) == (is_active, True)


class TestLookingUpBeside:
    """Of who is known: Braze is told at once, and Rokt is asked for the rest."""

    def test_the_change_goes_and_rokt_is_asked_beside_it(self, kept: Kept) -> None:
        told, asked = kept.take(subscribe(left_out=NOT_TOLD))

        assert (told.destination, told.line, told.request["event"]["name"]) == ("braze", LINE, "subscribe")
        assert (asked.destination, asked.action) == ("rokt_calendar", "look_up")
        assert (asked.request["action"], asked.request["event"]) == ("update", None)
        assert asked.request["is_beside"]

    def test_nothing_waits_for_it(self, kept: Kept) -> None:
        kept.take(subscribe(left_out=NOT_TOLD))

        [message] = kept.take(said("unsubscribe", left_out=NOT_TOLD))

        assert (message.destination, message.line) == ("braze", LINE)

    def test_its_answer_follows_as_an_update(self, kept: Kept) -> None:
        kept.take(subscribe(left_out=NOT_TOLD))

        [message] = kept.take(LookedUp("update", SUBSCRIPTION, None, {"country_code": "AU"}))

        assert (message.destination, message.action, message.line) == ("braze", "update", LINE)
        assert "event" not in message.request
        assert kept.the().facts["country_code"] == "AU"

    def test_an_end_that_it_finds_takes_the_values_away(self, kept: Kept) -> None:
        kept.take(subscribe(left_out=NOT_TOLD), LookedUp("update", SUBSCRIPTION, None, is_active=False))

        assert kept.the().target(LINE, FACTS) == {}


class TestWhoBecomesKnownLater:
    @pytest.mark.parametrize("by", ["a look-up", "update", "subscribe"])
    def test_the_begin_is_told_then(self, kept: Kept, by: Any) -> None:
        [skipped] = kept.take(subscribe(subscriber_id=None))

        answer = LookedUp("update", SUBSCRIPTION, None, subscriber_id=USER)
        [message] = kept.take(answer if by == "a look-up" else said(by))

        assert skipped.state == State.SKIPPED
        assert message.request["event"]["name"] == "subscribe"

    def test_it_is_told_once(self, kept: Kept) -> None:
        kept.take(subscribe(subscriber_id=None), said("update"))

        [message] = kept.take(said("update"))

        assert "event" not in message.request

    @pytest.mark.parametrize("first", ["update", "unsubscribe"])
    def test_what_was_not_seen_to_begin_or_has_ended_begins_not(self, kept: Kept, first: Action) -> None:
        kept.take(said(first, subscriber_id=None))

        [message] = kept.take(said("update"))

        assert "event" not in message.request


class TestAtOnce:
    def test_two_who_change_one_subscription_take_turns(
        self, kept: Kept, database: Database, database_url: str
    ) -> None:
        kept.take(subscribe(facts={}))
        other = Database(database_url)

        with ThreadPoolExecutor(1) as thread:
            with database.write() as connection:
                loaded = a_ledger().load(connection, [said("update")])
                second = thread.submit(Kept(other).take, said("update", facts={"source": "b"}))
                wait([second], 0.2)
                loaded.apply(said("update", facts={"country_code": "AU"}), NOON)
                loaded.write(connection, NOON)
            second.result(10)
        other.close()

        assert kept.the().facts == {"country_code": "AU", "source": "b", "subscription_id": SUBSCRIPTION}

    def test_a_look_without_a_lock_waits_for_nobody(self, postgresql_database_url: str) -> None:
        """What a dry run asks for."""
        first, second = Database(postgresql_database_url), Database(postgresql_database_url)
        Kept(first).take(subscribe())

        with first.write() as connection:
            a_ledger().load(connection, [said("update")])
            with second.read() as other:
                [message] = a_ledger().load(other, [said("update")], lock=False).apply(said("update"), NOON)
        first.close()
        second.close()

        assert message.line == LINE


class TestHeld:
    def test_it_comes_back_as_it_was_written(self, kept: Kept) -> None:
        kept.hold(HeldRow(LINE, SUBSCRIPTION, SOMETHING))

        assert kept.held() == SOMETHING
        assert kept.held("external_id:u-2") == kept.held(key=OTHER) == EMPTY

    def test_what_is_held_is_replaced_and_data_points_add_up(self, kept: Kept) -> None:
        kept.hold(
            HeldRow(LINE, SUBSCRIPTION, SOMETHING, sent=3, saved=5), HeldRow(LINE, OTHER, SOMETHING, 1, 0)
        )
        kept.hold(HeldRow(LINE, SUBSCRIPTION, EMPTY, sent=4), HeldRow("external_id:u-2", OTHER, EMPTY, 0, 2))

        assert (kept.held(), kept.held(key=OTHER)) == (EMPTY, SOMETHING)
        assert kept.counts() == {
            "active": 0,
            "inactive": 0,
            "unidentified": 0,
            "data_points_sent": 8,
            "data_points_saved": 7,
        }

    def test_two_who_count_at_once_lose_nothing(
        self, database: Database, database_url: str, kept: Kept
    ) -> None:
        rows = [HeldRow(LINE, key, EMPTY, sent=1) for key in (SUBSCRIPTION, OTHER)]
        others = [Database(database_url) for _ in range(2)]

        with ThreadPoolExecutor(2) as threads:
            for one, order in zip(others, (rows, rows[::-1]), strict=True):
                for _ in range(20):
                    threads.submit(Kept(one).hold, *order)
        for one in others:
            one.close()

        assert kept.counts()["data_points_sent"] == 80

    def test_a_profile_is_as_full_as_its_fullest_array(self, kept: Kept, database: Database) -> None:
        kept.hold(
            HeldRow(LINE, SUBSCRIPTION, settled({"rokt:tags": ["a", "b"], "rokt:source": ["s"]})),
            HeldRow(LINE, OTHER, settled({"rokt:tags": ["c"]})),
            HeldRow(LINE, "third", Held({}, {"rokt:tags": ("d",)})),
            HeldRow("external_id:u-2", "fourth", EMPTY, sent=3),
        )

        with database.read() as connection:
            assert fullest(connection, [LINE, "external_id:u-2"]) == {LINE: 3, "external_id:u-2": 0}

    def test_nothing_to_write_is_no_fault(self, kept: Kept) -> None:
        kept.hold()

        assert kept.held() == EMPTY


class TestReading:
    def test_a_users_subscriptions_come_with_the_active_ones_first(
        self, kept: Kept, database: Database
    ) -> None:
        kept.take(
            said("unsubscribe", "a"), subscribe("b"), subscribe("c", subscriber_id="u-2"), subscribe("d")
        )

        with database.read() as connection:
            assert [one.key for one in of_user(connection, USER)] == ["b", "d", "a"]
            assert of_user(connection, "u\x00") == []

    @pytest.mark.parametrize(
        ("wanted", "found"),
        [
            ({}, "abcd"),
            ({"limit": 2}, "ab"),
            ({"after": "b"}, "cd"),
            ({"state": "active"}, "bcd"),
            ({"state": "inactive"}, "a"),
            ({"state": "unidentified"}, "d"),
            ({"state": "active", "after": "b", "limit": 1}, "c"),
            ({"user_id": USER}, "ab"),
            ({"user_id": USER, "state": "active"}, "b"),
            ({"subscription_id": "C"}, "c"),
            ({"subscription_id": "c", "user_id": USER}, ""),
        ],
        ids=str,
    )
    def test_a_list_has_what_matches_by_key(
        self, kept: Kept, database: Database, wanted: dict[str, Any], found: str
    ) -> None:
        kept.take(
            said("unsubscribe", "a"),
            subscribe("b"),
            subscribe("c", subscriber_id="u-2"),
            subscribe("d", subscriber_id=None),
        )

        with database.browse() as connection:
            assert [one.subscription.key for one in listing(connection, **wanted)] == list(found)

    def test_a_list_tells_the_data_points_over_all_profiles(self, kept: Kept, database: Database) -> None:
        kept.take(subscribe(), subscribe(OTHER))
        kept.hold(HeldRow(LINE, SUBSCRIPTION, EMPTY, 3, 5), HeldRow("email:a@b.c", SUBSCRIPTION, EMPTY, 1, 1))

        with database.browse() as connection:
            listed = listing(connection)

        assert listed == [Listed(kept.the(), 4, 6), Listed(kept.the(OTHER), 0, 0)]

    def test_counts_are_by_state(self, kept: Kept) -> None:
        kept.take(said("unsubscribe", "a", subscriber_id=None), subscribe("b"), subscribe("c"))

        found = kept.counts()

        assert (found["active"], found["inactive"], found["unidentified"]) == (2, 1, 1)


class TestForgetting:
    def test_what_ended_before_then_goes(self, kept: Kept) -> None:
        kept.take(said("unsubscribe"), subscribe("active"))
        kept.take(said("unsubscribe", OTHER), now=NOON + MOMENT)

        assert kept.forget(NOON) == 0
        assert kept.forget(NOON + MOMENT) == 1
        assert kept.known() is None
        assert kept.the(OTHER)
        assert kept.the("active")

    def test_what_braze_may_still_hold_stays(self, kept: Kept) -> None:
        kept.take(said("unsubscribe"), said("unsubscribe", OTHER))
        kept.hold(HeldRow(LINE, SUBSCRIPTION, Held({}, {"rokt:tags": ("a",)})), HeldRow(LINE, OTHER, EMPTY))

        assert kept.forget(NOON + MOMENT) == 1
        assert kept.the().key == SUBSCRIPTION
        assert kept.known(OTHER) is None

    def test_its_data_points_stay_and_tell_of_nobody(self, kept: Kept, database: Database) -> None:
        kept.take(said("unsubscribe"), said("unsubscribe", OTHER))
        kept.hold(HeldRow(LINE, SUBSCRIPTION, EMPTY, 3, 5), HeldRow("email:a@b.c", OTHER, EMPTY, 1, 1))

        kept.forget(NOON + MOMENT)
        kept.take(said("unsubscribe", "third"))
        kept.hold(HeldRow(LINE, "third", EMPTY, 10, 10))
        kept.forget(NOON + MOMENT)

        assert (kept.counts()["data_points_sent"], kept.counts()["data_points_saved"]) == (14, 16)
        with database.read() as connection:
            rows = connection.execute(sa.select(braze_held.c.identifier, braze_held.c.subscription_key)).all()
        assert [tuple(row) for row in rows] == [("", "")]

    def test_it_goes_in_pieces(self, kept: Kept, database: Database) -> None:
        kept.take(*(said("unsubscribe", f"s-{n}") for n in range(501)))

        assert [kept.forget(NOON + MOMENT) for _ in range(3)] == [500, 1, 0]
        with database.read() as connection:
            assert connection.scalar(sa.select(sa.func.count()).select_from(subscriptions)) == 0

    def test_what_is_brought_back_to_life_just_now_stays(
        self, kept: Kept, database: Database, database_url: str
    ) -> None:
        kept.take(said("unsubscribe"))
        other = Database(database_url)

        with ThreadPoolExecutor(1) as thread:
            with database.write() as connection:
                loaded = a_ledger().load(connection, [subscribe()])
                loaded.apply(subscribe(), NOON)
                loaded.write(connection, NOON)
                forgetting = thread.submit(Kept(other).forget, NOON + MOMENT)
                wait([forgetting], 0.2)
            forgotten = forgetting.result(10)
        other.close()

        assert forgotten == 0
        assert kept.the().is_active
