"""What workers counted is never lost with one that goes, and never counted twice."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from factories import NOON

from bridge.database import Database
from bridge.metrics.samples import Samples, key
from bridge.outbox import counters, upkeep
from bridge.outbox.counters import Carried
from bridge.outbox.upkeep import STALE_AFTER

SERIES = key("bridge_calls_taken_over_total")
OTHER = key("bridge_budget_slots_total", destination="braze")
STALE = NOON + STALE_AFTER + timedelta(milliseconds=1)


class Counting:
    """A worker, as far as it counts. `had`: what its process had counted before."""

    def __init__(self, database: Database, worker_id: str, had: float = 0.0) -> None:
        self.database, self.id = database, worker_id
        self.counted: Samples = {SERIES: had}
        self.carried = Carried(dict(self.counted))

    def count(self, more: float) -> None:
        self.counted = {**self.counted, SERIES: self.counted[SERIES] + more}

    def beat(self, now: datetime = NOON, *, is_lost: bool = False) -> None:
        """`is_lost`: the database went away before the commit."""
        row = {"id": self.id, "started_at": NOON, "heartbeat_at": now}
        try:
            with self.database.write() as connection:
                before = self.carried.beat(connection, self.id, row, self.counted)
                if is_lost:
                    raise ConnectionError
        except ConnectionError:
            return
        self.carried.is_written(before, self.counted)

    def leave(self) -> None:
        with self.database.write() as connection:
            self.carried.leave(connection, self.id, self.counted)


def take_over(database: Database, now: datetime = STALE) -> None:
    with database.write() as connection:
        upkeep.take_over(connection, now)


def told(database: Database) -> float:
    with database.read() as connection:
        return counters.read(connection).get(SERIES, 0.0)


def a_worker(database: Database, counted: float, worker_id: str = "w-1") -> Counting:
    worker = Counting(database, worker_id)
    worker.count(counted)
    worker.beat()
    return worker


def test_what_all_workers_counted_is_added_up(database: Database) -> None:
    a_worker(database, 3)
    other = a_worker(database, 4, "w-2")
    other.count(1)
    other.beat()

    assert told(database) == 8


def test_what_a_process_counted_before_it_was_a_worker_is_none_of_its(database: Database) -> None:
    worker = Counting(database, "w-1", had=100)
    worker.count(3)
    worker.beat()

    assert told(database) == 3


def test_what_one_counted_that_leaves_stays_with_what_came_since_its_heartbeat(database: Database) -> None:
    worker = a_worker(database, 3)
    worker.count(2)
    worker.leave()

    assert told(database) == 5


def test_what_one_counted_that_fell_silent_stays(database: Database) -> None:
    a_worker(database, 3)
    a_worker(database, 4, "w-2")

    take_over(database)
    take_over(database)

    assert told(database) == 7


@pytest.mark.parametrize("has_new_id", [False, True])
def test_one_that_was_only_slow_is_not_counted_twice(database: Database, has_new_id: bool) -> None:
    worker = a_worker(database, 3)
    take_over(database)
    if has_new_id:
        worker.id = "w-1-again"
    worker.count(2)
    worker.beat(STALE)
    worker.count(1)
    worker.beat(STALE)

    assert told(database) == 6
    worker.leave()
    assert told(database) == 6


def test_one_that_leaves_after_it_was_taken_over_is_not_counted_twice(database: Database) -> None:
    worker = a_worker(database, 3)
    take_over(database)
    worker.count(2)
    worker.leave()

    assert told(database) == 5


def test_one_that_goes_on_under_another_id_is_not_counted_twice(database: Database) -> None:
    worker = a_worker(database, 3)
    worker.id = "w-1-again"
    worker.count(2)
    worker.beat(STALE)
    take_over(database)

    assert told(database) == 5


def test_a_heartbeat_that_was_not_written_changes_nothing(database: Database) -> None:
    worker = a_worker(database, 3)
    take_over(database)
    worker.count(2)
    worker.beat(STALE, is_lost=True)
    worker.beat(STALE)

    assert told(database) == 5


def test_many_that_go_are_one_row(database: Database) -> None:
    for number in range(5):
        a_worker(database, 1, f"w-{number}").leave()

    with database.read() as connection:
        assert len(connection.execute(counters._TOTALS).all()) == 1
    assert told(database) == 5


def test_a_worker_of_the_release_before_carries_nothing(database: Database) -> None:
    a_worker(database, 3)
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE workers SET counters = NULL")

    take_over(database)

    assert told(database) == 0


def test_series_are_kept_apart(database: Database) -> None:
    worker = a_worker(database, 3)
    worker.counted = {**worker.counted, OTHER: 0.25}
    worker.leave()

    with database.read() as connection:
        assert counters.read(connection) == {SERIES: 3, OTHER: 0.25}
