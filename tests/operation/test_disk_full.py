"""The disk of the database is full: nothing is half stored, and it goes on when there is room."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
import sqlalchemy as sa
from factories import a_message, a_request

from bridge import groups
from bridge.database import UNAVAILABLE, Database
from bridge.errors import DatabaseUnavailable
from bridge.outbox.enqueue import Inbox
from bridge.outbox.tables import bodies, messages, waiting

FULL = """
CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$;
CREATE TRIGGER full_disk BEFORE INSERT ON bodies FOR EACH ROW EXECUTE FUNCTION full_disk()
"""
# Of the server: no room, no memory, no connection left, going down, coming up, only to be read from.
THE_SERVERS = ("53100", "53200", "53300", "57P01", "57P02", "57P03", "25006")


@pytest.fixture(autouse=True)
def _nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "AGAIN_EVERY", 60.0)


@pytest.fixture
def fill(database: Database) -> Callable[[bool], None]:
    """Fills the disk, or makes room on it. SQLite gets a small one, PostgreSQL says that it has none left."""

    def sqlite(is_full: bool) -> None:
        with database.write() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one() + 2
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages if is_full else 1_000_000}")

    def postgresql(is_full: bool) -> None:
        with database.write() as connection:
            connection.exec_driver_sql(FULL if is_full else "DROP FUNCTION full_disk CASCADE")

    return sqlite if database.is_sqlite else postgresql


def stored(database: Database) -> list[int]:
    counts = [sa.select(sa.func.count()).select_from(table) for table in (messages, waiting, bodies)]
    with database.read() as connection:
        return [connection.execute(count).scalar_one() for count in counts]


def test_a_full_disk_refuses_for_now_and_keeps_nothing_by_halves(
    database: Database, fill: Callable[[bool], None]
) -> None:
    inbox = Inbox(database)
    inbox.accept(a_request())
    before = stored(database)
    fill(True)
    large = [a_request(a_message(user_id=f"u-{n}"), payload={"body": "x" * 50_000}) for n in range(3)]
    refused = inbox.accept_all(large)
    during = stored(database)
    fill(False)
    taken = inbox.accept_all(large)
    inbox.close()

    assert [type(one) for one in refused] == [DatabaseUnavailable] * 3
    assert during == before
    assert [one for one in taken if isinstance(one, BaseException)] == []
    assert stored(database)[0] == before[0] + 3


@pytest.mark.parametrize("code", THE_SERVERS)
def test_what_the_server_says_of_itself_is_no_fault_of_a_statement(
    code: str, postgresql_database_url: str
) -> None:
    database = Database(postgresql_database_url)
    raises = f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END $$"

    with pytest.raises(UNAVAILABLE) as told, database.read() as connection:
        connection.exec_driver_sql(raises)
    assert isinstance(told.value.__cause__, psycopg.Error)
    assert told.value.__cause__.sqlstate == code
    database.close()
