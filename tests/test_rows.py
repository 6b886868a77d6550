"""Many rows in one statement: what goes in comes out, whatever it holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import sqlalchemy as sa

from bridge.database import Database
from bridge.outbox.tables import latest, messages, repeats, workers
from bridge.rows import Delete, Insert, Update, Upsert, among, draw, insert, update, upsert, write

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(days=7, microseconds=1)


def a_repeat(key: str, *ids: str) -> dict[str, Any]:
    return {"key": key, "ids": list(ids), "expires_at": LATER}


def stored(database: Database, table: sa.Table) -> list[dict[str, Any]]:
    with database.read() as connection:
        rows = connection.execute(sa.select(table).order_by(*table.primary_key.columns))
        return [dict(row._mapping) for row in rows]


def test_rows_come_out_as_they_went_in(database: Database) -> None:
    odd = {
        "subject": -(2**63),
        "digest": "d",
        "ids": ["\x00", "half \ud800", 'a "quote" and a \\'],
        "accepted_at": NOON.astimezone(timezone(timedelta(hours=5, minutes=45))),
        "as_of": 0.1,
        "content": {"title": "caf\u00e9 \U0001f389\n", "none": None},
        "keep_until": LATER,
    }
    plain = {**odd, "subject": 2**63 - 1, "as_of": None, "content": None}

    with database.write() as connection:
        insert(connection, latest, [odd, plain])

    assert stored(database, latest) == [odd, plain]


def test_upserting_replaces_what_is_there(database: Database) -> None:
    with database.write() as connection:
        upsert(connection, repeats, [a_repeat("b", "1"), a_repeat("a", "2")])
        upsert(connection, repeats, [a_repeat("c", "3"), a_repeat("b", "4")])

    assert stored(database, repeats) == [a_repeat("a", "2"), a_repeat("b", "4"), a_repeat("c", "3")]


def test_an_update_gives_each_row_its_own_and_leaves_the_others(database: Database) -> None:
    beat = {"started_at": NOON, "heartbeat_at": NOON}
    with database.write() as connection:
        insert(connection, workers, [{"id": one, **beat} for one in "abc"])
        update(connection, workers, [{"id": "c", "heartbeat_at": LATER}, {"id": "a", "heartbeat_at": NOON}])

    assert [row["heartbeat_at"] for row in stored(database, workers)] == [NOON, NOON, LATER]


@pytest.mark.parametrize("write", [insert, upsert, update])
def test_no_rows_are_no_statement(database: Database, write: Any) -> None:
    with database.write() as connection:
        write(connection, workers, [])

    assert stored(database, workers) == []


def test_among_none_is_nothing_and_among_some_are_those(database: Database) -> None:
    query = sa.select(repeats.c.key).where(among(repeats.c.key, "keys")).order_by(repeats.c.key)
    with database.write() as connection:
        insert(connection, repeats, [a_repeat(key) for key in ("a", "b", "c'")])

        assert list(connection.scalars(query, {"keys": []})) == []
        assert list(connection.scalars(query, {"keys": ["c'", "a", "unknown"]})) == ["a", "c'"]


def test_numbers_are_drawn_in_ascending_order(database: Database) -> None:
    with database.write() as connection:
        drawn = draw(connection, messages, 3)

    assert drawn == [1, 2, 3]


def test_changes_of_several_tables_are_made_together(database: Database) -> None:
    beat = {"started_at": NOON, "heartbeat_at": NOON}
    with database.write() as connection:
        insert(connection, workers, [{"id": one, **beat} for one in "abc"])
        insert(connection, repeats, [a_repeat("old", "1")])

        write(
            connection,
            Update(workers, [{"id": "a", "heartbeat_at": LATER}]),
            Delete(workers, [{"id": "b"}, {"id": "not there"}]),
            Insert(workers, []),
            Upsert(repeats, [a_repeat("old", "2"), a_repeat("new", "3")]),
        )

    assert stored(database, repeats) == [a_repeat("new", "3"), a_repeat("old", "2")]
    first, last = stored(database, workers)
    assert first == {"id": "a", **beat, "heartbeat_at": LATER, "counters": None}
    assert last == {"id": "c", **beat, "counters": None}


def test_what_a_row_does_not_say_is_as_its_column_defaults_to(database: Database) -> None:
    message = {
        "id": "m-1",
        "state": "accepted",
        "destination": "rokt_calendar",
        "action": "create",
        "line": 1,
    }
    message |= {"request_id": "r-1", "route": "calendar_events", "received_at": NOON}
    with database.write() as connection:
        write(connection, Insert(messages, [{"seq": 7, **message}]), Upsert(repeats, [a_repeat("a", "1")]))

    [row] = stored(database, messages)
    assert row["seq"] == 7
    assert (row["account_code"], row["inbound_key"], row["tries"]) == ("", "", 0)
    assert row["is_test"] is row["was_uncertain"] is False
