"""What many tests share: a real SQLite file and a real PostgreSQL, both migrated, fresh for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import settings
from postgres import running_postgres

from bridge.database import Database
from bridge.schema import migrate

DATABASES = ("sqlite", "postgresql")

settings.register_profile("bridge", deadline=None)  # how long something takes is no test's affair
settings.load_profile("bridge")


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A server of this test run's own, with a migrated database named `ready` to copy."""
    with running_postgres() as url:
        _command(url, "CREATE DATABASE ready")
        database = Database(_named(url, "ready"))
        migrate(database)
        database.close()
        yield url


@pytest.fixture(scope="session")
def ready_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "ready.db"
    database = Database(f"sqlite:///{path}")
    migrate(database)
    database.close()
    return path


@pytest.fixture
def sqlite_database_url(ready_sqlite: Path, tmp_path: Path) -> str:
    shutil.copy(ready_sqlite, tmp_path / "bridge.db")
    return f"sqlite:///{tmp_path / 'bridge.db'}"


@pytest.fixture
def postgresql_database_url(postgres_url: str, tmp_path: Path) -> Iterator[str]:
    name = f"test_{abs(hash(tmp_path)):x}"
    _command(postgres_url, f"CREATE DATABASE {name} TEMPLATE ready")
    yield _named(postgres_url, name)
    _command(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest) -> str:
    """The address of a migrated, empty database; every test that asks for it runs on both engines."""
    url: str = request.getfixturevalue(f"{request.param}_database_url")
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


def _named(url: str, name: str) -> str:
    return sa.make_url(url).set(database=name).render_as_string(hide_password=False)


def _command(url: str, statement: str) -> None:
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.text(statement))
    engine.dispose()
