"""Connections: one to PostgreSQL that died while nobody used it is no caller's trouble; what waits, waits aside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from bridge import database as database_module
from bridge.database import UNAVAILABLE, Database


@pytest.fixture
def server(postgresql_database_url: str) -> Database:
    return Database(postgresql_database_url)


def end_its_connection(server: Database) -> None:
    """As a restart of the server does, or a firewall that forgets an idle connection."""
    with server.write() as connection:
        its_process = connection.scalar(sa.text("SELECT pg_backend_pid()"))
    other = Database(server.url.render_as_string(hide_password=False))
    with other.write() as connection:
        connection.execute(sa.text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": its_process})
    other.close()


def test_after_a_pause_a_dead_connection_is_replaced(
    server: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "_TRUSTED_FOR", 0.0)
    end_its_connection(server)

    with server.write() as connection:
        assert connection.scalar(sa.text("SELECT 1")) == 1

    server.close()


def test_one_that_dies_in_use_costs_one_transaction(
    server: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "_TRUSTED_FOR", 3600.0)
    end_its_connection(server)

    with pytest.raises(UNAVAILABLE), server.write() as connection:
        connection.execute(sa.text("SELECT 1"))
    with server.write() as connection:
        assert connection.scalar(sa.text("SELECT 1")) == 1

    server.close()


def test_what_may_take_long_in_sqlite_is_waited_for_aside(sqlite_database_url: str) -> None:
    """The web process has one thread for everybody."""
    aside: list[str] = []

    def noted(call: Callable[..., Any], text: str, *given: Any) -> Any:
        if not text.startswith("PRAGMA"):  # of opening the connection
            aside.append(text)
        return call(text, *given)

    database = Database(sqlite_database_url, aside=noted)
    counting = sa.text("SELECT count(*) FROM messages UNION SELECT 7 ORDER BY 1")
    with database.browse() as connection:
        found = [list(connection.scalars(counting)), connection.scalars(counting).all()]
        found += [connection.scalars(counting).fetchmany(1), [connection.scalar(counting)]]
    browsed = list(aside)
    with database.read() as connection:
        connection.scalar(counting)
    database.close()

    assert found == [[0, 7], [0, 7], [0], [0]]
    assert browsed == [counting.text] * 4
    assert aside == browsed
