"""A call leaves in its turn: not before its slot, not after it, and with another when it missed one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from outbox.steps import DESTINATION

from bridge import database as databases
from bridge import turns
from bridge.database import Database
from bridge.errors import SlotMissed
from bridge.outbox import budget
from bridge.outbox.budget import Slot
from bridge.outbox.tables import budgets
from bridge.rate import Rate
from bridge.turns import EARLY_LEAST, SLOTS_OF_A_CALL, Pace, Turn

RATE = Rate(50)


class Clock:
    """Goes on by what is slept."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.oversleeps = 0.0
        monkeypatch.setattr(turns.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(turns.time, "sleep", self._sleep)

    def _sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds + self.oversleeps


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


class Leases:
    """Slots that somebody leases when the first was missed."""

    def __init__(self, *slots: Slot) -> None:
        self._slots: Iterator[Slot] = iter(slots)
        self.leased = 0

    def __call__(self) -> Slot:
        self.leased += 1
        return next(self._slots)


def slot(opens_at: float) -> Slot:
    return Slot(opens_at, opens_at + 0.010)


def a_turn(first: Slot, *further: Slot) -> tuple[Turn, Leases]:
    leases = Leases(*further)
    return Turn(first, lambda: None, leases), leases


class TestATurn:
    def test_it_waits_until_its_slot_opens(self, clock: Clock) -> None:
        turn, leases = a_turn(slot(100.5))

        turn()

        assert (clock.now, leases.leased) == (100.5, 0)

    def test_within_its_slot_it_goes_at_once(self, clock: Clock) -> None:
        turn, _ = a_turn(slot(99.995))

        turn()

        assert clock.now == 100.0

    def test_after_its_slot_it_leases_another(self, clock: Clock) -> None:
        turn, leases = a_turn(slot(99.9), slot(100.2))

        turn()

        assert (clock.now, leases.leased) == (100.2, 1)

    def test_one_who_wakes_too_late_has_missed_it_too(self, clock: Clock) -> None:
        clock.oversleeps = 0.011
        turn, leases = a_turn(slot(100.1), slot(100.11), slot(100.11))

        turn()

        assert leases.leased == 1

    def test_after_some_it_makes_room_for_others(self, clock: Clock) -> None:
        turn, leases = a_turn(*[slot(99.0)] * 10)

        with pytest.raises(SlotMissed):
            turn()

        assert leases.leased == SLOTS_OF_A_CALL - 1

    def test_a_call_that_is_made_twice_has_two(self, clock: Clock) -> None:
        turn, leases = a_turn(slot(100.1), slot(100.4))

        turn()
        turn()

        assert (clock.now, leases.leased) == (100.4, 1)


class TestAPace:
    @pytest.fixture
    def pace(self, database: Database) -> Pace:
        return Pace(database, DESTINATION, RATE)

    def lease(self, database: Database, pace: Pace, count: int, **options: Any) -> list[Turn]:
        with database.write() as connection:
            lease = pace.lease(connection, "", **{"is_halved": False, **options})
            return pace.turns(lease, "", count, **{"is_halved": False, **options})

    def test_a_clock_that_was_set_back_is_no_reason_to_wait_for_the_hour(
        self, database: Database, pace: Pace
    ) -> None:
        with database.write() as connection:
            now = databases.clock(connection)
            row = {"destination": DESTINATION, "credential": "", "next_at": now + timedelta(hours=1)}
            connection.execute(sa.insert(budgets).values(**row))

        pace.look("", now + timedelta(hours=1), now)

        assert pace.worth_at("") <= time.monotonic()
        for _ in range(2):
            self.lease(database, pace, 0)
        assert self.next_at(database) < now + timedelta(seconds=3)

    def next_at(self, database: Database) -> Any:
        with database.read() as connection:
            return connection.scalar(sa.select(budgets.c.next_at))

    def spacing(self, database: Database, pace: Pace, *, is_halved: bool) -> timedelta:
        """By what one further slot moves what is next."""
        self.lease(database, pace, 1)
        before = self.next_at(database)
        self.lease(database, pace, 1, is_halved=is_halved)
        after: timedelta = self.next_at(database) - before
        return after

    @pytest.mark.parametrize(("is_halved", "times"), [(False, 1), (True, 2)])
    def test_half_the_rate_is_twice_the_distance(
        self,
        database: Database,
        pace: Pace,
        monkeypatch: pytest.MonkeyPatch,
        is_halved: bool,
        times: int,
    ) -> None:
        with database.read() as connection:
            now = budget.clock(connection)
        monkeypatch.setattr(budget, "clock", lambda connection: now)

        assert self.spacing(database, pace, is_halved=is_halved) == times * RATE.spacing

    def test_another_slot_is_leased_of_the_same_budget(
        self, database: Database, pace: Pace, clock: Clock
    ) -> None:
        [turn] = self.lease(database, pace, 1)
        before = self.next_at(database)
        clock.now += 60

        turn()

        assert self.next_at(database) > before

    def test_without_a_database_it_has_missed_its_slot(
        self, database: Database, pace: Pace, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        [turn] = self.lease(database, pace, 1)
        clock.now += 60

        def write() -> None:
            raise sa.exc.OperationalError("BEGIN", {}, Exception("the database is gone"))

        monkeypatch.setattr(database, "write", write)

        with pytest.raises(SlotMissed):
            turn()

    def test_after_a_lease_the_next_look_is_worth_it_shortly_before_its_end(
        self, database: Database, pace: Pace, clock: Clock
    ) -> None:
        assert pace.worth_at("") == 0.0

        self.lease(database, pace, 50)

        assert 0.9 < pace.worth_at("") - clock.now < 1.1

    def test_what_others_leased_is_learned_by_a_look(
        self, pace: Pace, database: Database, clock: Clock
    ) -> None:
        with database.read() as connection:
            now = budget.clock(connection)

        pace.look("", now + timedelta(seconds=5), now)
        assert 4.9 < pace.worth_at("") - clock.now < 5

        pace.look("", None, now)
        assert pace.worth_at("") < clock.now

    def test_slots_open_later_where_calls_stand_ready_late(
        self, database: Database, pace: Pace, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def first_opens_in() -> float:
            with database.write() as connection:
                connection.execute(sa.delete(budgets))
                lease = pace.lease(connection, "", is_halved=False)
                return lease.opens_at - lease.began_at

        before = first_opens_in()
        for _ in range(40):
            with database.write() as connection:
                [turn] = pace.turns(pace.lease(connection, "", is_halved=False), "", 1, is_halved=False)
            clock.now += 0.1
            turn._is_ready()

        assert before < 0.05
        assert 0.14 < first_opens_in() < 0.2

    def test_where_slots_pass_that_nobody_leased_in_time_the_next_look_comes_sooner(
        self, database: Database, pace: Pace, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with database.read() as connection:
            now = [budget.clock(connection)]
        monkeypatch.setattr(budget, "clock", lambda connection: now[0])

        def looks_early() -> float:
            """Seconds before the end of what is leased."""
            with database.write() as connection:
                lease = pace.lease(connection, "", is_halved=False)
                pace.turns(lease, "", lease.room, is_halved=False)
            return lease.opens_at - pace._lead - pace.worth_at("")

        first = looks_early()
        now[0] += timedelta(seconds=0.2)
        after_a_loss = looks_early()
        now[0] += RATE.spacing
        in_time = looks_early()

        assert round(first, 6) == EARLY_LEAST
        assert after_a_loss > 0.1
        assert EARLY_LEAST < in_time < after_a_loss
