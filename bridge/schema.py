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
MIGRATION_STATEMENT_MS = 15 * 60 * 1000  # an index on a large table outlasts the five seconds of every day


def migrate(database: Database) -> str:
    """Run what is missing; a second process waits for the first. Returns the revision that stands."""
    if database.is_sqlite and database.url.database:
        Path(database.url.database).parent.mkdir(parents=True, exist_ok=True)
    with _alone(database) as connection:
        config = _config()
        config.attributes["connection"] = connection
        if not is_current(connection):
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
        time.sleep(0.5)


@contextmanager
def _alone(database: Database) -> Iterator[Connection]:
    with database.write() as connection:
        if not database.is_sqlite:
            connection.execute(sa.text(f"SET LOCAL statement_timeout = {MIGRATION_STATEMENT_MS}"))
            # Whoever is before may take minutes; the tables' own locks are waited for no longer than always.
            connection.execute(sa.text("SET LOCAL lock_timeout = 0"))
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
            connection.execute(sa.text("SET LOCAL lock_timeout TO DEFAULT"))
        yield connection


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config
