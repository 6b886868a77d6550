"""Brings the database to this release's schema, one process at a time, and tells whether it is there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from bridge.database import UNAVAILABLE, Database
from bridge.errors import SettingsInvalid
from bridge.outbox.tables import key_of

OLDER = "the database is older than this release: run `python -m bridge migrate`"
MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
MIGRATION_LOCK = key_of("bridge", "migration")
LOCK_MS = 3_000  # what a migration locks it waits for no longer than every statement does
LOOK_AGAIN = 0.5  # seconds
MIGRATION_STATEMENT_MS = 15 * 60 * 1000  # an index on a large table outlasts the five seconds of every day


def migrate(database: Database) -> str:
    """Run what is missing; a second process waits for the first. Returns the revision that stands."""
    if database.is_sqlite and database.url.database:
        Path(database.url.database).parent.mkdir(parents=True, exist_ok=True)
    with _alone(database) as connection:
        config = _config()
        config.attributes["connection"] = connection
        if not is_current(connection):
            if not database.is_sqlite:
                connection.commit()  # what only looked: each migration has a transaction of its own
            command.upgrade(config, "head")
        return MigrationContext.configure(connection).get_current_revision() or ""


def is_current(connection: Connection) -> bool:
    """This release's schema, or a newer one: code starts on a newer schema and refuses an older."""
    stands = MigrationContext.configure(connection).get_current_revision()
    scripts = ScriptDirectory.from_config(_config())
    known = {script.revision for script in scripts.walk_revisions()}
    return stands is not None and (stands == scripts.get_current_head() or stands not in known)


def wait_until_current(database: Database, seconds: float = 120.0) -> None:
    """A worker may be started before the release step is through. Errors: SettingsInvalid when it never is."""
    until = time.monotonic() + seconds
    while True:
        try:
            with database.read() as connection:
                if is_current(connection):
                    return
        except UNAVAILABLE:
            pass  # it may be on its way
        if time.monotonic() >= until:
            raise SettingsInvalid([OLDER])
        time.sleep(LOOK_AGAIN)


@contextmanager
def _alone(database: Database) -> Iterator[Connection]:
    if database.is_sqlite:
        with database.write() as connection:
            yield connection
        return
    # Not the bridge's own connections: a migration commits in between, and has statements that last minutes.
    options = f"-c statement_timeout={MIGRATION_STATEMENT_MS} -c lock_timeout={LOCK_MS} -c timezone=UTC"
    engine = sa.create_engine(
        database.url, poolclass=sa.pool.NullPool, hide_parameters=True, connect_args={"options": options}
    )
    with engine.connect() as connection:
        # Asked for again and again: an index that is made concurrently waits for every statement under way, and
        # one that waits for this lock would be waited for.
        while not connection.scalar(sa.select(sa.func.pg_try_advisory_lock(MIGRATION_LOCK))):
            connection.rollback()
            time.sleep(LOOK_AGAIN)
        connection.commit()
        yield connection


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config
