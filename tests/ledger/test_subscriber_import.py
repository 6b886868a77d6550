"""What an export found in Braze becomes the ledger's own."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from factories import NOON

from bridge.database import Database
from bridge.ledger.subscriber_import import Fate, import_known
from bridge.ledger.subscribers import (
    HeldRow,
    Place,
    SubscriberLedger,
    held,
    of_user,
    subscriptions_of,
    write_held,
)
from bridge.settings import IdentityRule
from bridge.subscribers.change import Action, SubscriberChange
from bridge.subscribers.export import ExportedUser, Found, pair
from bridge.subscribers.facts import FACTS, values
from bridge.subscribers.subscription import Subscription
from bridge.subscribers.sync import Held, change

SUFFIX = "f5733866ade2"
ID = "06423672-B6BA-4536-AA36-70788A7A0A36"  # as on Braze's page: another last group than its suffix
KEY = ID.lower()
LATER = NOON + timedelta(hours=1)
U1, U2 = ("external_id:u-1", KEY), ("external_id:u-2", KEY)
ITS = ("external_id:u-1", "u-1")


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


def take_in(database: Database, *rows: Found, at: Any = NOON) -> list[Fate]:
    with database.write() as connection:
        return import_known(connection, rows, at)


def test_a_subscription_is_known_as_active_with_all_that_was_found(database: Database) -> None:
    assert take_in(database, found()) == ["imported"]

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

    again = found(account_code=(f"other/{SUFFIX}",))

    assert take_in(database, again, again, at=LATER) == ["known", "known"]
    assert everything(database) == before


def told(database: Database, action: Action = "subscribe", **said: Any) -> None:
    """Rokt says this while Braze is told nothing."""
    ledger = SubscriberLedger(
        IdentityRule("external_id", "email"), syncs=False, looks_up=False, sends_unsubscribe=True
    )
    change = SubscriberChange(action, ID, {"subscription_id": ID, "account_code": "new"}, **said)
    with database.write() as connection:
        loaded = ledger.load(connection, [change])
        loaded.apply(change, NOON)
        loaded.write(connection, NOON)


def test_of_what_a_webhook_told_before_only_what_braze_holds_is_written(database: Database) -> None:
    told(database, subscriber_id="u-1")
    [before], _ = everything(database)

    assert take_in(database, found(), at=LATER) == ["filled"]
    [after], stands = everything(database)
    assert after == before
    assert stands == {U1: Held(found().held), U2: Held()}
    assert take_in(database, found(), at=LATER) == ["known"]


def test_so_the_next_change_takes_away_what_stood_there_wrongly(database: Database) -> None:
    told(database, subscriber_id="u-1")
    take_in(database, found())

    [one], stands = everything(database)
    assert change(one.target("external_id:u-1", ["account_code"]), stands[U1])["rokt:account_code"] == {
        "add": [f"new/{one.suffix}"],
        "remove": [f"brazetest/{SUFFIX}"],
    }


def test_what_ended_before_it_was_imported_stays_ended_and_can_be_taken_away(database: Database) -> None:
    told(database, subscriber_id="u-1")
    told(database, "unsubscribe")

    assert take_in(database, found()) == ["filled"]
    [one], stands = everything(database)
    assert change(one.target("external_id:u-1", FACTS), stands[U1]).keys() == found().held.keys()


def test_of_what_the_bridge_has_written_itself_an_old_file_tells_nothing(database: Database) -> None:
    told(database, subscriber_id="u-1")
    with database.write() as connection:
        write_held(connection, [HeldRow(*U1, Held(), sent=8)], NOON)
    before = everything(database)

    assert take_in(database, found(), at=LATER) == ["known"]
    assert everything(database) == before


def test_a_subscription_that_was_nobodys_becomes_the_users_in_whose_profile_it_stands(
    database: Database,
) -> None:
    told(database)

    assert take_in(database, found()) == ["filled"]
    [one], stands = everything(database)
    assert (one.identifier, one.subscriber_id, one.facts["account_code"]) == (*ITS, "new")
    assert stands[U1] == Held(found().held)


def test_one_of_another_user_stays_his_and_what_this_one_holds_is_noted(database: Database) -> None:
    told(database, subscriber_id="u-2")
    [before], _ = everything(database)

    assert take_in(database, found(), found()) == ["of_another_user", "of_another_user"]
    [after], stands = everything(database)
    assert after == before
    assert stands == {U1: Held(found().held), U2: Held()}
    # The message by which it left that profile, or the next that comes there, takes all of it away.
    assert change(after.target("external_id:u-1", FACTS), stands[U1]).keys() == found().held.keys()


def test_once_the_other_user_holds_nothing_of_it_there_is_nothing_to_tell(database: Database) -> None:
    told(database, subscriber_id="u-2")
    with database.write() as connection:
        write_held(connection, [HeldRow(*U1, Held(), sent=8)], NOON)

    assert take_in(database, found()) == ["known"]


def test_one_of_a_second_choice_is_left_alone_as_both_may_be_one_profile(database: Database) -> None:
    told(database, email="ada@example.com")
    before = everything(database)

    assert take_in(database, found()) == ["of_a_second_choice"]
    assert everything(database) == before


def test_of_one_subscription_at_two_users_the_first_has_it(database: Database) -> None:
    second = replace(found("u-2"), given_id=ID.lower())

    assert take_in(database, found("u-1"), second) == ["imported", "of_another_user"]
    [one], stands = everything(database)
    assert one.identifier == "external_id:u-1"
    assert stands == {U1: Held(found().held), U2: Held(second.held)}


def test_an_empty_piece_is_nothing(database: Database) -> None:
    assert take_in(database) == []


def test_many_are_taken_in_at_once(database: Database) -> None:
    rows = [replace(found(f"u-{n}"), given_id=f"{ID}-{n}") for n in range(3)]

    assert take_in(database, *rows) == ["imported"] * 3
    with database.read() as connection:
        known = subscriptions_of(connection, [f"{KEY}-{n}" for n in range(3)])
    assert [one.identifier for _, one in sorted(known.items())] == [f"external_id:u-{n}" for n in range(3)]


def everything(database: Database) -> tuple[list[Subscription], dict[Place, Held]]:
    with database.read() as connection:
        return list(subscriptions_of(connection, [KEY]).values()), held(connection, [U1, U2])
