"""The shared budget: slots are leased once, in order, and never closer than the rate allows."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
import sqlalchemy as sa
from factories import NOON
from outbox.steps import DESTINATION
from sqlalchemy.engine import Connection

from bridge.database import Database
from bridge.outbox import budget
from bridge.outbox.budget import Lease, Slot
from bridge.outbox.tables import budgets

SPACING = timedelta(milliseconds=10)
LEAD = timedelta(milliseconds=5)
AHEAD = timedelta(milliseconds=50)
SECOND = timedelta(seconds=1)


class Clocks:
    """The database's clock, and the monotonic one, which stands still while the other is read unless told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = NOON
        self.monotonic = 1000.0
        self.reading_takes = 0.0
        monkeypatch.setattr(budget, "clock", self._read)
        monkeypatch.setattr(budget.time, "monotonic", lambda: self.monotonic)

    def go(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.monotonic += seconds

    def _read(self, _connection: Connection) -> datetime:
        self.monotonic += self.reading_takes
        return self.now


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    return Clocks(monkeypatch)


def leased(database: Database, count: int = 1, credential: str = "") -> tuple[int, list[Slot]]:
    """The room that there was, and slots taken of it."""
    with database.write() as connection:
        lease = Lease(connection, DESTINATION, credential, SPACING, LEAD, AHEAD)
        return lease.room, lease.take(count)


def opens(slots: Sequence[Slot]) -> list[float]:
    """In milliseconds after the start."""
    return [round((slot.opens_at - 1000) * 1000, 3) for slot in slots]


class TestSlots:
    def test_the_first_opens_when_its_call_can_stand_ready(self, database: Database, clocks: Clocks) -> None:
        _, slots = leased(database, 3)

        assert opens(slots) == [5, 15, 25]

    def test_each_is_leased_once(self, database: Database, clocks: Clocks) -> None:
        taken = [opens(leased(database, 2)[1]) for _ in range(2)]

        assert taken == [[5, 15], [25, 35]]

    def test_there_is_room_for_those_of_the_next_moments(self, database: Database, clocks: Clocks) -> None:
        most = AHEAD // SPACING + 1

        assert leased(database, most)[0] == most
        assert leased(database, 0)[0] == 0
        clocks.go(0.02)
        assert leased(database, 0)[0] == 2

    def test_what_was_not_leased_in_its_time_is_lost(self, database: Database, clocks: Clocks) -> None:
        leased(database, 2)
        clocks.go(10)

        _, slots = leased(database, 2)

        assert opens(slots) == [10_005, 10_015]

    def test_to_take_none_changes_nothing(self, database: Database, clocks: Clocks) -> None:
        leased(database, 0)

        with database.read() as connection:
            assert budget.next_at(connection, DESTINATION) == {}

    def test_another_credential_has_its_own(self, database: Database, clocks: Clocks) -> None:
        slots = [leased(database, 2, credential)[1] for credential in ("", "SHOP")]

        assert [opens(one) for one in slots] == [[5, 15], [5, 15]]

    def test_everybody_sees_when_the_next_may_leave(self, database: Database, clocks: Clocks) -> None:
        leased(database, 2)

        with database.read() as connection:
            assert budget.next_at(connection, DESTINATION) == {"": NOON + timedelta(milliseconds=25)}
            assert budget.next_at(connection, "braze") == {}

    def test_a_slow_look_at_the_clock_opens_none_early_and_closes_none_late(
        self, database: Database, clocks: Clocks
    ) -> None:
        """The database said noon some time between 1000.000 and 1000.008."""
        clocks.reading_takes = 0.008

        _, [slot] = leased(database)

        assert round(slot.opens_at, 6) == 1000.013
        assert round(slot.closes_at, 6) == 1000.015

    def test_a_clock_that_was_set_back_stops_nobody_for_long(
        self, database: Database, clocks: Clocks
    ) -> None:
        leased(database, 2)
        clocks.now -= timedelta(hours=1)

        _, slots = leased(database)

        assert opens(slots) == [1000]


def test_many_who_lease_at_once_get_each_slot_once(database_url: str, database: Database) -> None:
    """The real clock and a row that all of them lock: the times are of the database's."""
    processes = [Database(database_url) for _ in range(4)]

    def lease(process: Database) -> list[datetime]:
        times = []
        for _ in range(10):
            with process.write() as connection:
                taken = Lease(connection, DESTINATION, "", SPACING, timedelta(0), AHEAD)
                taken.take(2)
                times.append(connection.scalar(sa.select(budgets.c.next_at)))
        return times

    with ThreadPoolExecutor(4) as threads:
        ends = sorted(end for its_ends in threads.map(lease, processes) for end in its_ends)
    for process in processes:
        process.close()

    assert len(ends) == 40
    assert all(later - earlier >= 2 * SPACING for earlier, later in pairwise(ends))
