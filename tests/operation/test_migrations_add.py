"""A migration runs while the release before it serves, so it takes away nothing that one uses."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory

from bridge import schema
from bridge.app import prepare_start
from bridge.database import Database
from bridge.errors import SettingsInvalid

SCRIPTS = {script.revision: script for script in ScriptDirectory(str(schema.MIGRATIONS)).walk_revisions()}
LATER = sorted(SCRIPTS)[1:]  # nothing serves before the first
# Of what another release may be using at the moment. An index that goes makes nothing wrong.
TAKES_AWAY = re.compile(
    r"DROP (TABLE|COLUMN|CONSTRAINT|TYPE|SEQUENCE)|RENAME|ALTER COLUMN|SET NOT NULL|TRUNCATE|DELETE FROM|"
    r"ADD CONSTRAINT",
    re.I,
)
NEW_TABLE = re.compile(r"CREATE TABLE (\w+)", re.I)
INDEX = re.compile(r"(CREATE UNIQUE|CREATE|DROP) INDEX( CONCURRENTLY)?(?:.* ON (\w+))?", re.I)
NEW_COLUMN = re.compile(r"ALTER TABLE \w+ ADD (?:COLUMN )?(\w+)", re.I)
FILLS = re.compile(r"UPDATE \w+ SET (\w+)", re.I)


def statements(revision: str, dialect: str) -> list[str]:
    """What a migration tells the database."""
    out = io.StringIO()
    context = MigrationContext.configure(
        dialect_name=dialect, opts={"as_sql": True, "output_buffer": out, "transactional_ddl": True}
    )
    with context.begin_transaction(), Operations.context(context):
        SCRIPTS[revision].module.upgrade()
    return [" ".join(one.split()) for one in out.getvalue().split(";\n")]


def faults(told: list[str], dialect: str) -> Iterator[str]:
    new_tables = {name for one in told for name in NEW_TABLE.findall(one)}
    new_columns = {name for one in told for name in NEW_COLUMN.findall(one)}
    for one in told:
        filled = FILLS.match(one)
        if TAKES_AWAY.search(one) or (filled and filled[1] not in new_columns):
            yield f"the release before may use it: {one}"
        if NEW_COLUMN.match(one) and "NOT NULL" in one and "DEFAULT" not in one:
            yield f"the release before does not fill it: {one}"
        index = INDEX.match(one)
        if index and index[3] not in new_tables:
            if index[1].upper() == "CREATE UNIQUE":
                yield f"the release before may write what it forbids: {one}"
            if dialect == "postgresql" and not index[2]:
                yield f"nobody could write meanwhile: {one}"


@pytest.mark.parametrize("dialect", ["postgresql", "sqlite"])
@pytest.mark.parametrize("revision", LATER)
def test_a_migration_only_adds(revision: str, dialect: str) -> None:
    told = statements(revision, dialect)

    assert [one for one in told if one not in ("", "BEGIN", "COMMIT")]
    assert not list(faults(told, dialect))


@pytest.mark.parametrize(
    "wrong",
    [
        "ALTER TABLE messages DROP COLUMN reason",
        "ALTER TABLE messages RENAME TO notes",
        "ALTER TABLE messages ADD COLUMN colour TEXT NOT NULL",
        "ALTER TABLE messages ALTER COLUMN reason TYPE INTEGER",
        "CREATE INDEX i ON messages (reason)",
        "CREATE UNIQUE INDEX CONCURRENTLY i ON messages (reason)",
        "DROP INDEX i",
        "UPDATE messages SET state = 'dead'",
    ],
)
def test_what_would_break_the_release_before_is_seen(wrong: str) -> None:
    assert list(
        faults(["CREATE TABLE other (id INTEGER)", "CREATE INDEX j ON other (id)", wrong], "postgresql")
    )


def test_a_migration_waits_for_a_lock_no_longer_than_those_who_serve_can(
    postgresql_database_url: str,
) -> None:
    database = Database(postgresql_database_url)
    with schema._alone(database) as connection:
        assert connection.execute(sa.text("SHOW lock_timeout")).scalar_one() == "3s"
    database.close()


@pytest.mark.parametrize(("stands", "starts"), [("9999", True), ("0010", False)])
def test_web_starts_on_a_newer_schema_and_refuses_an_older(
    database: Database, monkeypatch: pytest.MonkeyPatch, stands: str, starts: bool
) -> None:
    """A release that is taken back finds what the next one made."""
    with database.write() as connection:
        connection.execute(sa.text(f"UPDATE alembic_version SET version_num = '{stands}'"))
    monkeypatch.setenv("DATABASE_URL", database.url.render_as_string(hide_password=False))
    monkeypatch.setenv("BRIDGE_ENV", "development")

    with nullcontext() if starts else pytest.raises(SettingsInvalid, match="older than this release"):
        prepare_start()


def test_the_revisions_stand_in_one_line() -> None:
    assert len(ScriptDirectory(str(schema.MIGRATIONS)).get_heads()) == 1
    assert {path.stem.split("_")[0] for path in Path(schema.MIGRATIONS, "versions").glob("*.py")} == set(
        SCRIPTS
    )
