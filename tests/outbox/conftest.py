"""The outbox on both databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from outbox.steps import Outbox

from bridge.database import Database, metadata


@pytest.fixture
def outbox(database: Database) -> Outbox:
    return Outbox(database)


@pytest.fixture(scope="session")
def shared_postgresql(postgres_url: str) -> Iterator[sa.Connection]:
    """One PostgreSQL database for these many small tests: to empty it is ten times faster than to copy one."""
    url = sa.make_url(postgres_url)
    everything = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.pool.NullPool)
    with everything.connect() as connection:
        connection.execute(sa.text("CREATE DATABASE shared TEMPLATE ready"))
    engine = sa.create_engine(
        url.set(database="shared"), isolation_level="AUTOCOMMIT", poolclass=sa.pool.NullPool
    )
    with engine.connect() as connection:
        yield connection
    with everything.connect() as connection:
        connection.execute(sa.text("DROP DATABASE shared WITH (FORCE)"))


@pytest.fixture
def postgresql_database_url(shared_postgresql: sa.Connection) -> str:
    others = "datname = current_database() AND pid <> pg_backend_pid()"
    shared_postgresql.execute(
        sa.text(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {others}")
    )
    for table in reversed(metadata.sorted_tables):
        shared_postgresql.execute(sa.delete(table))
    return shared_postgresql.engine.url.render_as_string(hide_password=False)
