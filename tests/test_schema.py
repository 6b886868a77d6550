"""The schema: what the migrations make is what the code says, on both engines, once, whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from factories import NOON

from bridge import database as database_module
from bridge import schema
from bridge.calendar import tables as calendar_tables
from bridge.database import Database, JsonText, UtcDateTime, Words, metadata
from bridge.errors import SettingsInvalid
from bridge.ledger import coming_tables, sign_ins, subscriber_tables
from bridge.ledger import tables as ledger_tables
from bridge.moving import tables as moving_tables
from bridge.outbox import claim, sample_tables
from bridge.outbox import tables as outbox_tables

NEXT = '''
"""The next release."""

import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{before}"


def upgrade() -> None:
    op.create_table("further", sa.Column("id", sa.Integer(), primary_key=True))
    {then}
'''


@pytest.fixture
def empty_url(database_url: str, tmp_path: Path) -> str:
    """A database without any table."""
    if database_url.startswith("sqlite"):
        return f"sqlite:///{tmp_path / 'folder' / 'new.db'}"
    engine = sa.create_engine(database_url, poolclass=sa.pool.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        connection.execute(sa.text("CREATE SCHEMA public"))
    return database_url


@pytest.fixture
def empty(empty_url: str) -> Iterator[Database]:
    database = Database(empty_url)
    yield database
    database.close()


def next_release(folder: Path, monkeypatch: pytest.MonkeyPatch, then: str = "pass") -> None:
    """A release with one more migration."""
    newest = ScriptDirectory(str(schema.MIGRATIONS)).get_current_head()
    shutil.copytree(schema.MIGRATIONS, folder / "migrations", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "migrations" / "versions" / "9999_next.py").write_text(NEXT.format(before=newest, then=then))
    monkeypatch.setattr(schema, "MIGRATIONS", folder / "migrations")


def tables(database: Database) -> set[str]:
    with database.read() as connection:
        return set(sa.inspect(connection).get_table_names())


def revision(database: Database) -> str | None:
    with database.read() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def is_current(database: Database) -> bool:
    with database.read() as connection:
        return schema.is_current(connection)


def stamp(database: Database, name: str) -> None:
    with database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = :name"), {"name": name})


class TestMigrating:
    def test_what_the_migrations_make_is_what_the_code_says(self, database: Database) -> None:
        with database.read() as connection:
            context = MigrationContext.configure(
                connection, opts={"compare_type": True, "compare_server_default": True}
            )
            differences = compare_metadata(context, metadata)

        assert differences == []
        for module in (
            *(outbox_tables, sample_tables, calendar_tables, moving_tables),
            *(ledger_tables, subscriber_tables, coming_tables, sign_ins),
        ):
            assert {one.name for one in vars(module).values() if isinstance(one, sa.Table)} <= tables(
                database
            )

    def test_a_partial_index_has_its_condition(self, database: Database) -> None:
        with database.read() as connection:
            indexes = {index["name"]: index for index in sa.inspect(connection).get_indexes("waiting")}

        engine = "sqlite" if database.is_sqlite else "postgresql"
        conditions = {
            name: index["dialect_options"].get(f"{engine}_where") for name, index in indexes.items()
        }
        heads = str(conditions["waiting_heads"])
        assert indexes["waiting_heads"]["unique"]
        assert "is_head" in heads
        assert conditions["waiting_lanes"] is not None
        assert conditions["waiting_claimed"] is not None

    def test_a_new_database_is_made_with_its_folder(self, empty: Database) -> None:
        stands = schema.migrate(empty)

        assert stands == revision(empty)
        assert is_current(empty)
        assert set(metadata.tables) <= tables(empty)

    def test_migrating_again_changes_nothing(self, empty: Database) -> None:
        first = schema.migrate(empty)
        before = tables(empty)

        assert schema.migrate(empty) == first
        assert tables(empty) == before

    def test_what_stands_in_the_database_stays(self, empty: Database) -> None:
        schema.migrate(empty)
        with empty.write() as connection:
            row = {"name": "sale", "version": 1, "published_at": NOON}
            connection.execute(sa.insert(calendar_tables.template_publications), row)

        schema.migrate(empty)

        with empty.read() as connection:
            kept = connection.execute(sa.select(calendar_tables.template_publications)).one()
        assert tuple(kept) == ("sale", 1, NOON)

    def test_two_at_once_make_one(self, empty_url: str) -> None:
        processes = [Database(empty_url) for _ in range(3)]

        with ThreadPoolExecutor(3) as threads:
            stands = list(threads.map(schema.migrate, processes))

        assert len(set(stands)) == 1
        assert is_current(processes[0])
        for process in processes:
            process.close()

    def test_a_second_process_waits_for_a_long_one(
        self, postgresql_database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A migration may take minutes; a statement of every day gives up on a lock after three seconds."""
        monkeypatch.setattr(database_module, "_LOCK_MS", 100)
        first, second = Database(postgresql_database_url), Database(postgresql_database_url)

        with ThreadPoolExecutor(1) as thread:
            with first.write() as connection:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(schema.MIGRATION_LOCK)))
                waiting = thread.submit(schema.migrate, second)
                connection.execute(sa.text("SELECT pg_sleep(0.4)"))
            stands = waiting.result(10)
        first.close()
        second.close()

        assert stands

    def test_one_that_fails_leaves_nothing_behind(
        self, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = (revision(database), tables(database))
        next_release(tmp_path, monkeypatch, then="op.execute('SELECT no_such_column FROM messages')")

        with pytest.raises(sa.exc.DBAPIError):
            schema.migrate(database)

        assert (revision(database), tables(database)) == before

    def test_the_next_release_brings_its_own(
        self, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        next_release(tmp_path, monkeypatch)

        assert schema.migrate(database) == "9999"
        assert "further" in tables(database)


class TestWhileTheReleaseBeforeServes:
    """PostgreSQL: what is made for large tables is made beside their use, in a piece of its own."""

    @pytest.fixture
    def before(self, empty_url: str) -> Iterator[Database]:
        database = Database(empty_url)
        with schema._alone(database) as connection:
            config = schema._config()
            config.attributes["connection"] = connection
            command.upgrade(config, "0001")
        yield database
        database.close()

    def test_messages_that_wait_are_found_by_the_new_index(self, before: Database) -> None:
        with before.write() as connection:
            row = {"seq": 1, "id": "m-1", "state": "accepted", "destination": "d", "action": "create"}
            row |= {"line": 1, "account_code": "a", "request_id": "r", "inbound_key": "k", "route": "x"}
            connection.execute(
                sa.text(
                    f"INSERT INTO messages ({', '.join(row)}, is_test, received_at, tries, was_uncertain) "
                    f"VALUES ({', '.join(f':{name}' for name in row)}, :no, :now, 0, :no)"
                ).bindparams(sa.bindparam("now", type_=UtcDateTime)),
                row | {"no": False, "now": NOON},
            )
            waits = {"seq": 1, "destination": "d", "account_code": "a", "line": 1, "priority": 1}
            connection.execute(
                sa.text(
                    f"INSERT INTO waiting ({', '.join(waits)}, is_head, due_at) "
                    f"VALUES ({', '.join(f':{name}' for name in waits)}, :yes, :now)"
                ).bindparams(sa.bindparam("now", type_=UtcDateTime)),
                waits | {"yes": True, "now": NOON},
            )

        schema.migrate(before)

        with before.read() as connection:
            assert claim.lanes(connection, "d") == [claim.Lane("a", 1, NOON)]

    def test_an_index_whose_making_was_broken_off_is_made_anew(self, before: Database) -> None:
        with before.write() as connection:
            connection.execute(sa.text("CREATE INDEX waiting_lanes ON waiting (line)"))
        if before.is_sqlite:  # where it is made whole or not at all
            with before.write() as connection:
                connection.execute(sa.text("DROP INDEX waiting_lanes"))

        schema.migrate(before)

        with before.read() as connection:
            indexes = {one["name"]: one for one in sa.inspect(connection).get_indexes("waiting")}
        assert indexes["waiting_lanes"]["column_names"][:2] == ["destination", "account_code"]

    def test_writers_go_on_while_it_is_made(self, before: Database) -> None:
        """A transaction of the release before is open the whole time; making it in one piece would wait for it."""
        if before.is_sqlite:
            schema.migrate(before)
            return
        writer = Database(before.url.render_as_string(hide_password=False))
        with ThreadPoolExecutor(1) as thread, writer.write() as connection:
            connection.execute(sa.text("SELECT 1 FROM repeats"))
            stands = thread.submit(schema.migrate, before).result(20)
        writer.close()

        assert stands
        assert is_current(before)


class TestWhetherItIsCurrent:
    def test_an_empty_database_is_not(self, empty: Database) -> None:
        schema.migrate(empty)
        with empty.write() as connection:
            connection.execute(sa.text("DROP TABLE alembic_version"))

        assert not is_current(empty)

    def test_an_older_schema_is_refused(
        self, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        next_release(tmp_path, monkeypatch)

        assert not is_current(database)
        with pytest.raises(SettingsInvalid, match="python -m bridge migrate"):
            schema.wait_until_current(database, seconds=0)

    def test_a_newer_schema_is_taken(self, database: Database) -> None:
        stamp(database, "a release to come")

        assert is_current(database)
        schema.wait_until_current(database, seconds=0)

    def test_a_newer_schema_is_left_as_it_is(self, database: Database) -> None:
        stamp(database, "a release to come")

        assert schema.migrate(database) == "a release to come"

    def test_a_database_that_is_not_reachable_is_not(self) -> None:
        database = Database("postgresql+psycopg://127.0.0.1:1/x")

        with pytest.raises(SettingsInvalid):
            schema.wait_until_current(database, seconds=0)
        database.close()


class TestTypes:
    @pytest.mark.parametrize(
        ("kind", "value", "kept"),
        [
            (UtcDateTime, None, None),
            (JsonText, None, None),
            (JsonText, {"a": ["\x00", "\ud800", "ü", 1.5, None]}, {"a": ["\x00", "\ud800", "ü", 1.5, None]}),
            (Words, None, None),
            (Words, "a\x00b\ud800c", "a\ufffdb\ufffdc"),
        ],
        ids=["no time", "no value", "a value", "no words", "words"],
    )
    def test_a_value_comes_back(self, database: Database, kind: Any, value: Any, kept: Any) -> None:
        with database.read() as connection:
            found = connection.scalar(sa.select(sa.cast(sa.literal(value, kind()), kind())))

        assert found == kept
