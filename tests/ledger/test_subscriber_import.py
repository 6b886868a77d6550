"""What an export found in Braze becomes the ledger's own."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from factories import NOON

from bridge.database import Database
from bridge.ledger.subscriber_import import import_known
from bridge.ledger.subscribers import held, of_user, subscriptions_of
from bridge.subscribers.export import ExportedUser, Found, pair
from bridge.subscribers.facts import FACTS, values
from bridge.subscribers.sync import Held, change

SUFFIX = "f5733866ade2"
ID = "06423672-B6BA-4536-AA36-70788A7A0A36"  # as on Braze's page: another last group than its suffix
KEY = ID.lower()
LATER = NOON + timedelta(hours=1)


def found(external_id: str = "u-1", **arrays: tuple[str, ...]) -> Found:
    its = {
        "subscription_id": (ID,),
        "account_code": (f"brazetest/{SUFFIX}",),
        "optIn1": (f"True/{SUFFIX}",),
        "subscriber_email": (f"Ada@Example.com/{SUFFIX}",),
        "tags": (f"Test Calendar 1/All Teams/{SUFFIX}",),
    }
    [one] = pair(ExportedUser(external_id, {**its, **arrays}))
    return one


def take_in(database: Database, *rows: Found, at: Any = NOON) -> int:
    with database.write() as connection:
        return import_known(connection, rows, at)


def test_a_subscription_is_known_as_active_with_all_that_was_found(database: Database) -> None:
    assert take_in(database, found()) == 1

    with database.read() as connection:
        one = subscriptions_of(connection, [KEY])[KEY]
        assert of_user(connection, "u-1") == [one]
        assert held(connection, [("external_id:u-1", KEY)])["external_id:u-1", KEY] == Held(found().held)
    assert (one.given_id, one.suffix, one.is_active, one.is_assumed) == (ID, SUFFIX, True, False)
    assert (one.identifier, one.subscriber_id, one.email) == ("external_id:u-1", "u-1", "ada@example.com")
    assert (one.is_looked_up, one.lookups, one.updated_at) == (False, 0, NOON)
    assert one.facts == found().facts


def test_nothing_is_to_be_sent_for_what_stands_in_braze_already(database: Database) -> None:
    take_in(database, found())

    with database.read() as connection:
        one = subscriptions_of(connection, [KEY])[KEY]
        stands = held(connection, [("external_id:u-1", KEY)])["external_id:u-1", KEY]
    assert one.target("external_id:u-1", FACTS) == values(found().facts, SUFFIX, FACTS)
    assert change(one.target("external_id:u-1", FACTS), stands) == {}


def test_values_that_were_never_taken_away_go_with_the_next_change(database: Database) -> None:
    both = (f"Desktop/{SUFFIX}", f"Mobile/{SUFFIX}")
    take_in(database, found(device_name=both))

    with database.read() as connection:
        one = subscriptions_of(connection, [KEY])[KEY]
        stands = held(connection, [("external_id:u-1", KEY)])["external_id:u-1", KEY]
    assert change(one.target("external_id:u-1", FACTS), stands) == {
        "rokt:device_name": {"remove": [f"Desktop/{SUFFIX}"]}
    }


def test_what_is_known_already_is_left_alone(database: Database) -> None:
    take_in(database, found())
    before = everything(database)

    assert take_in(database, found("u-2", account_code=(f"other/{SUFFIX}",)), at=LATER) == 0
    assert everything(database) == before


def test_of_one_subscription_at_two_users_the_first_has_it(database: Database) -> None:
    second = replace(found("u-2"), given_id=ID.lower())

    assert take_in(database, found("u-1"), second) == 1
    with database.read() as connection:
        assert subscriptions_of(connection, [KEY])[KEY].identifier == "external_id:u-1"
        assert held(connection, [("external_id:u-2", KEY)]) == {("external_id:u-2", KEY): Held()}


def test_an_empty_piece_is_nothing(database: Database) -> None:
    assert take_in(database) == 0


def test_many_are_taken_in_at_once(database: Database) -> None:
    rows = [replace(found(f"u-{n}"), given_id=f"{ID}-{n}") for n in range(3)]

    assert take_in(database, *rows) == 3
    with database.read() as connection:
        known = subscriptions_of(connection, [f"{KEY}-{n}" for n in range(3)])
    assert [one.identifier for _, one in sorted(known.items())] == [f"external_id:u-{n}" for n in range(3)]


def everything(database: Database) -> tuple[Any, Any]:
    with database.read() as connection:
        places = [("external_id:u-1", KEY), ("external_id:u-2", KEY)]
        return subscriptions_of(connection, [KEY]), held(connection, places)
