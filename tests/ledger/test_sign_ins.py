"""Tries to sign in are counted for all processes together, and forgotten after a minute."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import sqlalchemy as sa
from factories import NOON

from bridge.database import Database
from bridge.ledger.sign_ins import MOST_TRIES, count_try, forgive, sign_in_tries

MINUTE = timedelta(minutes=1)


def tries(database: Database, *subjects: str, after: timedelta = timedelta(0)) -> int:
    """One more try. Returns the seconds to wait."""
    with database.write() as connection:
        return count_try(connection, subjects, NOON + after)


def subjects(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.scalars(sa.select(sign_in_tries.c.subject).order_by("subject")))


def test_the_eleventh_try_of_a_minute_waits_for_its_end(database: Database) -> None:
    assert [tries(database, "a") for _ in range(MOST_TRIES)] == [0] * MOST_TRIES

    assert tries(database, "a", after=timedelta(seconds=20)) == 40
    assert tries(database, "a", after=timedelta(seconds=59.5)) == 1
    assert tries(database, "a", after=MINUTE) == 0


def test_a_refused_try_does_not_lengthen_the_wait(database: Database) -> None:
    for _ in range(3 * MOST_TRIES):
        tries(database, "a", after=timedelta(seconds=50))

    assert tries(database, "a", after=timedelta(seconds=50) + MINUTE) == 0


def test_each_subject_is_counted_by_itself(database: Database) -> None:
    for number in range(MOST_TRIES):
        assert tries(database, f"account {number}", "address") == 0

    assert tries(database, "account 11", "address") > 0
    assert tries(database, "account 1", "another address") == 0


def test_a_right_try_is_not_counted(database: Database) -> None:
    for _ in range(3 * MOST_TRIES):
        assert tries(database, "a", "b") == 0
        with database.write() as connection:
            forgive(connection, ["a", "b"])


def test_what_is_over_is_forgotten(database: Database) -> None:
    for number in range(120):
        tries(database, f"old {number}")

    tries(database, "new", after=MINUTE)
    tries(database, "new", after=MINUTE)

    assert subjects(database) == ["new"]


def test_many_at_once_are_not_all_the_first(database_url: str) -> None:
    """Each in a process's own way to the database: whoever guesses in parallel gains nothing."""
    processes = [Database(database_url) for _ in range(4)]

    with ThreadPoolExecutor(16) as threads:
        waits = list(threads.map(lambda number: tries(processes[number % 4], "b", "a"), range(60)))
    for process in processes:
        process.close()

    assert waits.count(0) == MOST_TRIES
