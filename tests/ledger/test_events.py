"""The ledger of what stands in each calendar."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from factories import ACCOUNT, NOON, an_event

from bridge.database import Database
from bridge.ledger.events import (
    Change,
    Place,
    Standing,
    accounts_with,
    doubt,
    forget_old,
    record,
    standings,
)
from bridge.ledger.tables import calendar_events, calendar_holders

MOMENT = timedelta(microseconds=1)
PLACE: Place = (ACCOUNT, "sale_u-1")
OTHER: Place = ("other", "sale_u-1")
HELD = Standing(an_event(), is_certain=True, holders=frozenset({"a", "b"}))


def a_change(standing: Standing | None, place: Place = PLACE, **fields: Any) -> Change:
    defaults = {"user_id": "u-1", "template": "summer", "version": 2, "keep_until": NOON + timedelta(days=30)}
    return Change(place, standing, **{**defaults, **fields})


class Ledger:
    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, *changes: Change) -> None:
        with self._database.write() as connection:
            before = standings(connection, [change.place for change in changes])
            record(connection, changes, before, NOON)

    def standing(self, place: Place = PLACE) -> Standing:
        with self._database.read() as connection:
            return standings(connection, [place])[place]

    def rows(self, table: sa.Table) -> list[Any]:
        with self._database.read() as connection:
            return list(connection.execute(sa.select(table)))


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


class TestStandings:
    def test_an_event_that_was_never_seen_has_an_empty_one(self, ledger: Ledger) -> None:
        assert ledger.standing() == Standing()
        assert not ledger.standing().is_known

    @pytest.mark.parametrize(
        "standing",
        [
            HELD,
            Standing(an_event(), is_certain=False),
            Standing(unsent={"event": an_event(), "subscription_ids": ["a"]}),
        ],
        ids=["held", "updated only", "unsent"],
    )
    def test_it_comes_back_as_it_was_recorded(self, ledger: Ledger, standing: Standing) -> None:
        ledger.record(a_change(standing))

        assert ledger.standing() == standing
        assert ledger.standing().is_known == (standing.content is not None)

    def test_accounts_are_told_apart(self, ledger: Ledger, database: Database) -> None:
        other = replace(HELD, content=an_event(title="Other"), holders=frozenset({"c"}))
        ledger.record(a_change(HELD), a_change(other, OTHER))

        with database.read() as connection:
            found = standings(connection, [OTHER, PLACE, PLACE, ("third", "sale_u-1")])

        assert found == {PLACE: HELD, OTHER: other, ("third", "sale_u-1"): Standing()}

    def test_asking_for_none_gives_none(self, database: Database) -> None:
        with database.read() as connection:
            assert standings(connection, []) == {}

    def test_many_are_read_and_written_at_once(self, ledger: Ledger, database: Database) -> None:
        places = [(ACCOUNT, f"sale_u-{n}") for n in range(300)]
        ledger.record(*(a_change(HELD, place) for place in places))

        with database.read() as connection:
            found = standings(connection, places)

        assert found == dict.fromkeys(places, HELD)


class TestRecord:
    def test_a_new_state_takes_the_place_of_the_old(self, ledger: Ledger) -> None:
        ledger.record(a_change(HELD))
        newer = replace(HELD, content=an_event(title="Newer"), is_certain=False)

        ledger.record(a_change(newer, template=None, version=None))

        assert ledger.standing() == newer
        [row] = ledger.rows(calendar_events)
        assert (row.template, row.version, row.user_id, row.updated_at) == (None, None, "u-1", NOON)

    def test_holders_come_and_go(self, ledger: Ledger) -> None:
        ledger.record(a_change(HELD))
        ledger.record(a_change(replace(HELD, holders=frozenset({"b", "c"}))))

        assert ledger.standing().holders == {"b", "c"}

    def test_holders_of_another_account_stay(self, ledger: Ledger) -> None:
        ledger.record(a_change(HELD), a_change(HELD, OTHER))
        ledger.record(a_change(replace(HELD, holders=frozenset())))

        assert ledger.standing(OTHER) == HELD

    def test_one_that_is_gone_leaves_nothing(self, ledger: Ledger) -> None:
        ledger.record(a_change(HELD), a_change(HELD, OTHER))

        ledger.record(a_change(None))

        assert ledger.standing() == Standing()
        assert {row.account_code for row in ledger.rows(calendar_events)} == {"other"}
        assert {row.account_code for row in ledger.rows(calendar_holders)} == {"other"}

    def test_nothing_to_record_is_no_fault(self, ledger: Ledger) -> None:
        ledger.record()

        assert ledger.rows(calendar_events) == []

    def test_how_long_it_is_kept_is_kept(self, ledger: Ledger) -> None:
        ledger.record(a_change(HELD, keep_until=NOON + timedelta(days=400)))

        assert [row.keep_until for row in ledger.rows(calendar_events)] == [NOON + timedelta(days=400)]


class TestDoubt:
    def test_it_makes_the_next_state_leave_and_changes_nothing_else(
        self, ledger: Ledger, database: Database
    ) -> None:
        ledger.record(a_change(HELD), a_change(HELD, OTHER))

        with database.write() as connection:
            doubt(connection, PLACE)

        assert ledger.standing() == replace(HELD, is_certain=False)
        assert ledger.standing(OTHER) == HELD

    def test_of_an_event_that_is_not_known_it_is_nothing(self, ledger: Ledger, database: Database) -> None:
        with database.write() as connection:
            doubt(connection, PLACE)

        assert ledger.standing() == Standing()


class TestWhereThingsAre:
    def test_the_accounts_of_an_event_include_those_where_its_create_died(
        self, ledger: Ledger, database: Database
    ) -> None:
        unsent = Standing(unsent={"event": an_event(), "subscription_ids": ["a"]})
        ledger.record(a_change(unsent), a_change(HELD, OTHER), a_change(HELD, ("third", "sale_u-2")))

        with database.read() as connection:
            assert accounts_with(connection, "sale_u-1") == [ACCOUNT, "other"]
            assert accounts_with(connection, "sale_u-3") == []


class TestForgetting:
    def test_an_event_goes_when_its_time_has_come(self, ledger: Ledger, database: Database) -> None:
        ledger.record(a_change(HELD, keep_until=NOON), a_change(HELD, OTHER, keep_until=NOON + MOMENT))

        with database.write() as connection:
            gone = forget_old(connection, NOON)

        assert gone == 1
        assert (ledger.standing(), ledger.standing(OTHER)) == (Standing(), HELD)
        assert {row.account_code for row in ledger.rows(calendar_holders)} == {"other"}

    def test_one_that_is_renewed_just_now_stays_with_its_holders(
        self, ledger: Ledger, database: Database, database_url: str
    ) -> None:
        ledger.record(a_change(HELD, keep_until=NOON))
        other = Database(database_url)

        def forget() -> int:
            with other.write() as connection:
                return forget_old(connection, NOON)

        with ThreadPoolExecutor(1) as thread:
            with database.write() as connection:
                record(connection, [a_change(HELD)], {PLACE: HELD}, NOON)
                forgetting = thread.submit(forget)
                wait([forgetting], 0.2)
            forgetting.result(10)
        other.close()

        assert ledger.standing() == HELD
