"""Whom a calendar event may go to: what both ledgers know together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from factories import ACCOUNT, NOON, SUBSCRIPTION, an_event
from sqlalchemy.engine import Connection

from bridge.database import Database
from bridge.ledger import addressees
from bridge.ledger.addressees import MOST, Addressees, Whom
from bridge.ledger.events import Change, Standing, record
from bridge.ledger.subscriber_tables import subscriptions
from bridge.ledger.subscribers import SubscriberLedger
from bridge.settings import IdentityRule
from bridge.subscribers.addressee import Addressee
from bridge.subscribers.change import Action, SubscriberChange

OTHER = "9a9007c7-f5a4-4811-b13c-ff10919f1078"
HOME = Addressee(ACCOUNT, "home")
UNKNOWN = "00000000-f5a4-4811-b13c-000000000000"


class Ledgers:
    def __init__(self, database: Database) -> None:
        self.database = database

    def say(
        self,
        subscription_id: str = SUBSCRIPTION,
        action: Action = "subscribe",
        user_id: str | None = "u-1",
        rule: IdentityRule | None = None,
        **facts: str,
    ) -> None:
        """Accept what is said of a subscription; without facts it is one to a known calendar."""
        change = SubscriberChange(
            action,
            subscription_id,
            facts=facts or {"account_code": ACCOUNT, "calendar_code": "home"},
            subscriber_id=user_id,
        )
        ledger = SubscriberLedger(
            rule or IdentityRule(), syncs=False, looks_up=False, sends_unsubscribe=False
        )
        with self.database.write() as connection:
            loaded = ledger.load(connection, [change])
            loaded.apply(change, NOON)
            loaded.write(connection, NOON)

    def reach(self, account_code: str, *subscription_ids: str, event: str = "sale_u-1") -> None:
        """Rokt has taken an event for these."""
        standing = Standing(an_event(), is_certain=True, holders=frozenset(subscription_ids))
        change = Change((account_code, event), standing, "u-1", None, None, NOON + timedelta(days=30))
        with self.database.write() as connection:
            record(connection, [change], {}, NOON)

    def look_up(self, *asked: Whom) -> list[Addressees]:
        with self.database.read() as connection:
            return addressees.look_up(connection, asked)

    def of_ids(self, *subscription_ids: str) -> Addressees:
        return self.look_up(Whom(subscription_ids))[0]

    def of_user(self, user_id: str = "u-1") -> Addressees:
        return self.look_up(Whom((), user_id))[0]


@pytest.fixture
def ledgers(database: Database) -> Ledgers:
    return Ledgers(database)


class TestIds:
    def test_of_what_was_never_seen_nothing_is_known(self, ledgers: Ledgers) -> None:
        assert ledgers.of_ids(UNKNOWN) == {}

    def test_a_subscription_is_known_by_its_codes_in_either_case(self, ledgers: Ledgers) -> None:
        ledgers.say(SUBSCRIPTION.upper())

        for one in (SUBSCRIPTION, SUBSCRIPTION.upper()):
            assert ledgers.of_ids(one, UNKNOWN) == {one: HOME}

    def test_one_that_has_ended_is_known_as_such(self, ledgers: Ledgers) -> None:
        ledgers.say()
        ledgers.say(action="unsubscribe")

        assert ledgers.of_ids(SUBSCRIPTION) == {SUBSCRIPTION: Addressee(ACCOUNT, "home", is_active=False)}

    def test_one_that_was_reached_is_known_by_its_account(self, ledgers: Ledgers) -> None:
        ledgers.reach(ACCOUNT, "a", "b")
        ledgers.reach("other", "c")

        assert ledgers.of_ids("a", "c", "never") == {"a": Addressee(ACCOUNT), "c": Addressee("other")}

    def test_what_is_said_goes_before_where_it_was_reached(self, ledgers: Ledgers) -> None:
        ledgers.reach("shop", SUBSCRIPTION, OTHER)
        ledgers.say()
        ledgers.say(OTHER, calendar_code="away")

        assert ledgers.of_ids(SUBSCRIPTION, OTHER) == {
            SUBSCRIPTION: HOME,
            OTHER: Addressee("shop", "away"),
        }

    def test_an_id_is_known_whoever_it_belongs_to(self, ledgers: Ledgers) -> None:
        ledgers.say(user_id=None)

        assert ledgers.of_ids(SUBSCRIPTION) == {SUBSCRIPTION: HOME}


class TestUsers:
    def test_all_of_a_user_are_found_as_they_were_given(self, ledgers: Ledgers) -> None:
        ledgers.say(SUBSCRIPTION.upper())
        ledgers.say(OTHER, account_code="shop")
        ledgers.say(OTHER, "unsubscribe", account_code="shop")
        ledgers.say(UNKNOWN, user_id="u-2")

        assert ledgers.of_user() == {
            SUBSCRIPTION.upper(): HOME,
            OTHER: Addressee("shop", is_active=False),
        }
        assert ledgers.of_user("u-3") == {}

    def test_a_user_is_told_by_the_whole_id_and_its_case(self, ledgers: Ledgers) -> None:
        ledgers.say(user_id="U-1")
        ledgers.say(OTHER, user_id="u-1%")

        assert ledgers.of_user() == {}
        assert ledgers.of_user("external_id:U-1") == {}

    @pytest.mark.parametrize("kind", ["email", "alias"])
    def test_a_subscriber_id_that_is_no_external_id_names_no_user(self, ledgers: Ledgers, kind: str) -> None:
        ledgers.say(user_id="a@example.com", rule=IdentityRule(subscriber_id=kind))

        assert ledgers.of_user("a@example.com") == {}

    def test_where_a_users_own_was_reached_tells_its_account_if_nothing_else_does(
        self, ledgers: Ledgers
    ) -> None:
        ledgers.reach("shop", SUBSCRIPTION, OTHER)
        ledgers.say(calendar_code="home")
        ledgers.say(OTHER)

        assert ledgers.of_user() == {SUBSCRIPTION: Addressee("shop", "home"), OTHER: HOME}

    def test_they_come_in_one_order(self, ledgers: Ledgers) -> None:
        ids = [f"s-{number}" for number in (5, 3, 9, 1)]
        for one in ids:
            ledgers.say(one)

        assert list(ledgers.of_user()) == sorted(ids)

    def test_a_user_with_very_many_takes_no_room_from_the_others(self, ledgers: Ledgers) -> None:
        ledgers.say(user_id="z-1")
        ledgers.say("s-0", user_id="everybody")
        with ledgers.database.write() as connection:
            row = connection.execute(sa.select(subscriptions).where(subscriptions.c.key == "s-0")).one()
            rows = [dict(row._mapping) | {"key": f"s-{n}", "given_id": f"s-{n}"} for n in range(1, MOST + 50)]
            connection.execute(sa.insert(subscriptions), rows)

        many, few, both = ledgers.look_up(Whom((), "everybody"), Whom((), "z-1"), Whom((SUBSCRIPTION, "s-7")))

        assert len(many) == MOST
        assert few == {SUBSCRIPTION: HOME}
        assert both == {SUBSCRIPTION: HOME, "s-7": HOME}


class TestManyAtOnce:
    def test_each_gets_its_own(self, ledgers: Ledgers) -> None:
        ledgers.say()
        ledgers.say(OTHER, user_id="u-2", account_code="shop")

        found = ledgers.look_up(
            Whom((OTHER, UNKNOWN)),
            Whom((), "u-1"),
            Whom((UNKNOWN,)),
            Whom((), "u-2"),
            Whom((SUBSCRIPTION, OTHER), "u-9"),
        )

        assert [dict(one) for one in found] == [
            {OTHER: Addressee("shop")},
            {SUBSCRIPTION: HOME},
            {},
            {OTHER: Addressee("shop")},
            {SUBSCRIPTION: HOME, OTHER: Addressee("shop")},
        ]

    def test_all_of_them_are_one_statement_that_goes_by_indexes(self, ledgers: Ledgers) -> None:
        ledgers.say()
        ids = Whom((SUBSCRIPTION, OTHER, UNKNOWN))

        for asked in ([ids], [ids, Whom((), "u-1"), Whom((), "u-2")]):
            with ledgers.database.read() as connection, told(connection) as statements:
                addressees.look_up(connection, asked)
                [statement] = statements
                plan = plan_of(connection, *statement)

            assert "Seq Scan" not in plan
            assert "SCAN subscriptions" not in plan
            assert "SCAN calendar_holders" not in plan

    def test_a_thread_that_asks_in_a_group_is_answered(self, ledgers: Ledgers) -> None:
        ledgers.say()
        groups = addressees.in_groups(ledgers.database)

        found = groups.ask(Whom((SUBSCRIPTION,)))
        groups.close()

        assert found == {SUBSCRIPTION: HOME}


@contextmanager
def told(connection: Connection) -> Iterator[list[tuple[str, Any]]]:
    """The statements that are made."""
    statements: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, text: str, parameters: Any, *_: Any) -> None:
        statements.append((text, parameters))

    sa.event.listen(connection, "before_cursor_execute", note)
    yield statements
    sa.event.remove(connection, "before_cursor_execute", note)


def plan_of(connection: Connection, text: str, parameters: Any) -> str:
    explain = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
    rows = connection.exec_driver_sql(f"{explain} {text}", parameters)
    return "\n".join(str(row) for row in rows)
