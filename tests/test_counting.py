"""Of several workers one counts all there is, a little at a time, and another goes on when it is gone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from factories import a_message
from outbox.steps import Outbox, eventually

from bridge import counting
from bridge import worker as worker_module
from bridge.counting import Counting
from bridge.database import Database
from bridge.database import clock as database_clock
from bridge.ledger import coming
from bridge.outbox import depth, samples, tally
from bridge.outbox.sample_tables import counting as counting_rows
from bridge.outbox.sample_tables import depths
from bridge.outbox.tables import workers
from bridge.worker import Worker


class Clock:
    """This process's, which stands until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(counting, "time", clock)
    monkeypatch.setattr(tally, "ENDS_WITHIN", timedelta(0))
    return clock


def accept(database: Database, count: int = 1) -> None:
    Outbox(database).accept(*(a_message(line=None) for _ in range(count)), now=datetime.now(UTC))


def holder(database: Database) -> str | None:
    with database.read() as connection:
        found: str | None = connection.scalar(sa.select(counting_rows.c.holder_id))
    return found


def accepted(database: Database) -> int:
    with database.read() as connection:
        return sum(total.counts["accepted"] for total in samples.totals(connection).values())


def waiting(database: Database) -> int | None:
    with database.read() as connection:
        found: int | None = connection.scalar(sa.select(sa.func.sum(depths.c.waiting)))
    return found


def is_looked_through(database: Database) -> bool:
    with database.read() as connection:
        return coming.counted(connection) is not None


def test_all_is_counted_one_after_the_other(database: Database, clock: Clock) -> None:
    accept(database, 3)
    counts = Counting("w-1")

    waits = [counts.step(database) for _ in range(4)]

    assert waits[:2] == [0, 0]
    assert waits[2:] == [counting.EVERY, counting.EVERY]
    assert (accepted(database), waiting(database)) == (3, 3)
    assert is_looked_through(database)


def test_a_long_count_leaves_time_between_its_pieces(
    database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(depth, "MOST", 2)
    accept(database, 5)
    counts = Counting("w-1")
    for _ in range(3):
        counts.step(database)

    found = []
    for _ in range(2):
        clock.now += counting.NEXT_PIECE
        found.append((waiting(database), counts.step(database)))

    assert [before for before, _ in found] == [None, None]
    assert found[0][1] == counting.NEXT_PIECE
    assert waiting(database) == 5


def test_a_count_that_took_long_is_not_begun_again_at_once(
    database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(depth, "MOST", 2)
    monkeypatch.setattr(counting, "RESTS", 3)
    accept(database, 5)
    counts = Counting("w-1")
    while waiting(database) is None:
        counts.step(database)
        clock.now += 20

    _, measured, _ = counts._tasks

    took = clock.now - 20 - 20  # the first step counts what came
    assert took > 40
    assert measured.due_at == clock.now - 20 + 3 * took


def test_two_workers_count_nothing_twice(database: Database, clock: Clock) -> None:
    first, second = Counting("w-1"), Counting("w-2")
    for _ in range(4):
        accept(database)
        for counts in (first, second):
            for _ in range(3):
                counts.step(database)
        clock.now += counting.EVERY

    assert holder(database) == "w-1"
    assert accepted(database) == 4


def test_another_goes_on_when_the_first_has_stopped(database: Database, clock: Clock) -> None:
    first, second = Counting("w-1"), Counting("w-2")
    accept(database)
    for counts in (first, second):
        counts.step(database)
    accept(database)
    clock.now += counting.EVERY

    first.stop(database)
    second.stop(database)
    second.step(database)

    assert holder(database) == "w-2"
    assert accepted(database) == 2


def test_a_count_that_another_has_taken_over_is_not_kept(
    database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It slept between its read and its write; the other counted the same meanwhile."""
    accept(database)
    first, second = Counting("w-1"), Counting("w-2")
    read_piece = tally.read_piece

    def slowly(*given: object) -> tally.Piece:
        piece = read_piece(*given)
        monkeypatch.setattr(tally, "read_piece", read_piece)
        first.stop(database)
        first._is_ours = True
        with database.write() as connection:
            tally.let_go(connection, "w-1", database_clock(connection))
        second.step(database)
        return piece

    monkeypatch.setattr(tally, "read_piece", slowly)
    first.step(database)

    assert holder(database) == "w-2"
    assert accepted(database) == 1


@contextmanager
def running(database_url: str) -> Iterator[None]:
    """A worker without destinations."""
    database = Database(database_url, readers=1)
    worker = Worker(database, [], timedelta(hours=1))
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join()
        database.close()


class TestAWorker:
    @pytest.fixture(autouse=True)
    def _at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(worker_module, "COUNT_FIRST", 0.0)
        monkeypatch.setattr(tally, "ENDS_WITHIN", timedelta(0))

    def test_counts_beside_its_work(self, database: Database, database_url: str) -> None:
        accept(database)

        with running(database_url):
            eventually(lambda: accepted(database) == 1 and waiting(database) == 1)

    def test_lets_another_count_when_it_stops(self, database: Database, database_url: str) -> None:
        with running(database_url):
            eventually(lambda: holder(database))
        first = holder(database)

        with running(database_url):
            eventually(lambda: holder(database) != first)

    @pytest.mark.parametrize(
        "fault", [ValueError("ours"), sa.exc.OperationalError("", {}, Exception("slow"))]
    )
    def test_keeps_its_calls_when_its_count_fails(
        self, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch, fault: Exception
    ) -> None:
        """Under another id it would leave them to be made again by others."""
        failures: list[set[str]] = []

        def fail(*_given: object) -> None:
            failures.append(worker_ids(database))
            raise fault

        monkeypatch.setattr(tally, "read_piece", fail)
        monkeypatch.setattr(worker_module, "COUNT_LATER", 0.01)
        monkeypatch.setattr(worker_module, "DATABASE_GONE_WAIT", 0.01)
        with running(database_url):
            eventually(lambda: len(failures) > 3)

        assert len(failures[0]) == 1
        assert all(ids == failures[0] for ids in failures)


def worker_ids(database: Database) -> set[str]:
    with database.read() as connection:
        return set(connection.scalars(sa.select(workers.c.id)))
