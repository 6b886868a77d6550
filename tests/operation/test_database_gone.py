"""PostgreSQL goes away, or falls silent in the middle: nobody waits for ever, and nothing has to be restarted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from operation.way import Way
from processes import Processes, running_web
from web.test_server import ask, post

from bridge import postgres
from bridge.database import UNAVAILABLE, Database

MOMENT = 0.3  # seconds


@pytest.fixture
def short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres.Answering, "within", MOMENT)
    monkeypatch.setattr(postgres, "LEAST", 1)


@pytest.fixture
def way(way_and_url: tuple[Way, str]) -> Way:
    return way_and_url[0]


@pytest.fixture
def database(way_and_url: tuple[Way, str]) -> Iterator[Database]:
    database = Database(way_and_url[1])
    yield database
    database.close()


def read(database: Database) -> int:
    with database.read() as connection:
        number: int = connection.execute(sa.text("SELECT 1")).scalar_one()
        return number


@pytest.mark.usefixtures("short_wait")
def test_a_server_that_fell_silent_is_left_and_found_again(way: Way, database: Database) -> None:
    assert read(database) == 1
    way.fall_silent()
    with pytest.raises(UNAVAILABLE):
        read(database)
    way.open()

    assert read(database) == 1


@pytest.mark.usefixtures("short_wait")
def test_a_transaction_whose_server_fell_silent_ends(way: Way, database: Database) -> None:
    def write_over_it() -> None:
        with database.write() as connection:
            connection.execute(sa.text("SELECT 1"))
            way.fall_silent()
            connection.execute(sa.text("SELECT 1"))

    with pytest.raises(UNAVAILABLE):
        write_over_it()
    way.open()

    with database.write() as connection:
        assert connection.execute(sa.text("SELECT 1")).scalar_one() == 1


def test_what_the_server_itself_refuses_keeps_its_connection(database: Database) -> None:
    with database.read() as connection:
        pid = connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
        connection.execute(sa.text("SET statement_timeout = 50"))
        with pytest.raises(sa.exc.OperationalError, match="statement timeout"):
            connection.execute(sa.text("SELECT pg_sleep(5)"))

        assert connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one() == pid


def test_a_server_that_is_away_for_a_moment_is_waited_for(way_and_url: tuple[Way, str]) -> None:
    way, url = way_and_url
    patient = Database(url, patience=20.0)
    way.refuse()
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read, patient)
        time.sleep(MOMENT)
        is_waiting = not reading.done()
        way.open()

        assert is_waiting
        assert reading.result(20) == 1
    patient.close()


def test_who_came_too_late_to_be_served_learns_what_the_one_before_found(
    way: Way, database: Database
) -> None:
    """A silence costs each of them seconds otherwise, one after the other."""
    port = database.url.port
    door = postgres.Door()
    way.refuse()
    faults = []
    for _ in range(2):
        with pytest.raises(postgres.psycopg.OperationalError) as fault:
            door.connect(time.monotonic(), host="127.0.0.1", port=port)
        faults.append(fault.value)

    assert faults[0] is faults[1]


def test_web_refuses_in_time_while_its_database_is_silent_and_goes_on_by_itself(
    way_and_url: tuple[Way, str],
) -> None:
    way, url = way_and_url
    with running_web(url) as bridge, ThreadPoolExecutor(8) as pool:
        assert post(bridge, "u-1") == 202
        way.fall_silent()
        silent = [pool.submit(post, bridge, f"u-{number}") for number in range(6)]
        ready = pool.submit(ask, bridge, "GET", "/readyz")
        alive = ask(bridge, "GET", "/healthz")[0]

        assert alive == 200
        assert [one.result() for one in silent] == [503] * 6  # its caller gives up after twenty seconds
        assert ready.result()[0] == 503
        way.open()
        assert post(bridge, "u-7") == 202
        assert_a_moment_is_waited_out(bridge, way, pool)


def assert_a_moment_is_waited_out(bridge: Processes, way: Way, pool: ThreadPoolExecutor) -> None:
    way.refuse()
    meanwhile = [pool.submit(post, bridge, f"v-{number}") for number in range(6)]
    time.sleep(1)
    way.open()
    assert [one.result() for one in meanwhile] == [202] * 6
