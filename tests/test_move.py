"""The move from SQLite to PostgreSQL: everything arrives or nothing does, and what was left takes nothing in."""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from factories import NOON, a_message, a_request, accept, line_with
from processes import ROOT, count, post, running_bridge, wait_for
from servers import running_sandbox
from web.running import Starter, literal, start, stocked_sqlite

from bridge.app import prepare_start
from bridge.calendar.tables import template_versions
from bridge.calendar.versions.files import take_in
from bridge.cli import main
from bridge.database import UNAVAILABLE, Database, metadata
from bridge.errors import DatabaseMoved, InvalidValue, SettingsInvalid
from bridge.moving import END_UNKNOWN, move
from bridge.moving.rows import Outgoing
from bridge.moving.tables import moves
from bridge.moving.target import Target
from bridge.outbox.tables import latest, messages, waiting, workers
from bridge.schema import wait_until_current

__all__ = ["start", "stocked_sqlite"]

ODD = [
    "",
    "\x1e",
    "\x1f",
    "a\x1fb\x1ec",
    "\\",
    "\\N",
    "\\.",
    "a\tb\nc\rd\\e",
    "ü € 日本 \N{GRINNING FACE}",
    "'; DROP TABLE messages; --",
]
FLOATS = [0.0, -0.0, 1.0, 0.1, 1e16, 1e-7, 1e300, 5e-324, math.inf, -math.inf, 1_800_000_000.123456]
TIMES = [NOON, datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)]
KILLED_AT = """
import os, signal, sys
from bridge import moving
from bridge.moving.target import Target
source, target, place = sys.argv[1:]
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
if place == "commit":
    Target.commit = die
elif place == "committed":
    commit = Target.commit
    Target.commit = lambda self: (commit(self), die())
moving.move(source, target, lambda table, *_: die() if table == place else None)
"""


@pytest.fixture
def file(sqlite_database_url: str) -> Iterator[Database]:
    """The SQLite file, migrated and empty. Whoever moves it closes it first."""
    database = Database(sqlite_database_url)
    yield database
    database.close()


@pytest.fixture
def server(postgresql_database_url: str) -> Iterator[Database]:
    database = Database(postgresql_database_url)
    yield database
    database.close()


def moved(file: Database, server: Database) -> Any:
    file.close()
    return move(_url(file), _url(server), _quiet)


def refusal(file: Database, server: Database) -> str:
    """Why it was refused; both databases are as they were."""
    file.close()
    before = number_of(file), contents(server)
    with pytest.raises(InvalidValue) as refused:
        move(_url(file), _url(server), _quiet)
    assert (number_of(file), contents(server)) == before
    return str(refused.value)


def contents(database: Database) -> dict[str, list[Any]]:
    """All rows of all tables as the bridge reads them."""
    engine = sa.create_engine(database.url, poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        return {
            table.name: sorted(map(tuple, connection.execute(sa.select(table))), key=repr)
            for table in metadata.sorted_tables
        }


def number_of(file: Database) -> int:
    """What it was closed with; 0: it is open."""
    engine = sa.create_engine(file.url, poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        return connection.exec_driver_sql("PRAGMA user_version").scalar_one()


def killed(file: Database, server: Database, place: str) -> None:
    """Run a move in a process of its own that is killed when it is at this table, or at its end."""
    file.close()
    command = [sys.executable, "-c", KILLED_AT, _url(file), _url(server), place]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


def rows(database: Database, query: sa.Select[Any]) -> Sequence[Any]:
    with database.read() as connection:
        return connection.execute(query).all()


def _url(database: Database) -> str:
    return database.url.render_as_string(hide_password=False)


def _quiet(_table: str, _done: int, _total: int) -> None:
    pass


class TestWhatArrives:
    def test_every_row_of_every_table(self, file: Database, server: Database) -> None:
        _a_row_in_every_table(file)
        before = contents(file)

        result = moved(file, server)

        [brought] = rows(server, sa.select(moves))
        after = contents(server) | {"moves": []}
        assert after == before
        assert all(before[name] for name in before.keys() - {"moves"})
        assert result.rows == brought.rows == {name: len(its) for name, its in before.items()}

    def test_values_of_every_kind(self, file: Database, server: Database) -> None:
        for number, text in enumerate(ODD):
            accept(
                file,
                a_request(a_message(user_id=text, line=str(number)), request_id=text, payload={text: text}),
            )
        with file.write() as connection:
            for number, as_of in enumerate(FLOATS):
                row = {
                    "subject": (-1) ** number * (2**63 - 1 - number),
                    "digest": str(number),
                    "ids": [],
                    "as_of": as_of,
                }
                row |= {
                    "accepted_at": TIMES[number % 3],
                    "content": {"a": ["\0", "\ud800"]},
                    "keep_until": NOON,
                }
                connection.execute(sa.insert(latest), row)
        before = contents(file)

        moved(file, server)

        after = contents(server) | {"moves": []}
        assert after == before
        assert [str(row[4]) for row in after["latest"]] == [
            str(row[4]) for row in before["latest"]
        ]  # -0.0 too

    def test_a_nul_is_replaced_and_told(self, file: Database, server: Database) -> None:
        accept(file, a_request(request_id="a\0b\x1f"), a_request(request_id="c"))

        result = moved(file, server)

        assert result.nuls == {"messages.request_id": 1}
        found = rows(server, sa.select(messages.c.request_id).order_by(messages.c.seq))
        assert [row.request_id for row in found] == ["a\ufffdb\x1f", "c"]

    def test_numbers_go_on_behind_the_last_that_was_given_out(self, file: Database, server: Database) -> None:
        accept(file, *line_with(3))
        with file.write() as connection:  # forgotten since
            connection.execute(sa.delete(messages).where(messages.c.seq == 3))

        moved(file, server)

        accept(server, a_message(user_id="u-2"))
        assert [row.seq for row in rows(server, sa.select(messages.c.seq).order_by(messages.c.seq))] == [
            1,
            2,
            4,
        ]

    def test_more_than_fits_one_block(self, file: Database, server: Database) -> None:
        accept(file, *(a_request(payload={"text": "x" * 100_000}) for _ in range(7)))
        told: list[tuple[str, int, int]] = []
        file.close()

        move(_url(file), _url(server), lambda *one: told.append(one))

        assert [one for one in told if one[0] == "bodies"] == [
            ("bodies", 3, 7),
            ("bodies", 6, 7),
            ("bodies", 7, 7),
        ]

    def test_templates_that_the_target_published_by_itself_are_replaced(
        self, file: Database, server: Database
    ) -> None:
        for database, source in ((server, "of the server"), (file, "first"), (file, "second")):
            with database.write() as connection:
                take_in(connection, {"sale": source})

        moved(file, server)

        found = rows(server, sa.select(template_versions).order_by(template_versions.c.version))
        assert [row.source for row in found] == ["first", "second"]


class TestWhatIsRefused:
    def test_a_file_that_others_have_open(self, file: Database, server: Database) -> None:
        file.close()
        with running_sandbox() as rokt, running_bridge(_url(file), rokt.url) as bridge:
            assert post(bridge, "/v1/calendar/events", literal()) == 202
            wait_for(lambda: count(_url(file), workers) == 1)

            said = refusal(file, server)

        held_by = re.findall(r"\((\d+)\)", said)
        assert str(bridge.workers[0].pid) in held_by
        assert len(held_by) == 2, "web and worker"
        assert moved(file, server).rows["messages"] == 1

    def test_a_target_that_somebody_has_used(self, file: Database, server: Database) -> None:
        accept(server, a_message())

        assert "not empty (messages, bodies, waiting)" in refusal(file, server)

    def test_a_target_whose_templates_somebody_wrote(self, file: Database, server: Database) -> None:
        with server.write() as connection:
            row = {
                "name": "sale",
                "version": 1,
                "source": "",
                "origin": "console",
                "made_by": "a",
                "made_at": NOON,
            }
            connection.execute(sa.insert(template_versions), row)

        assert "not empty (template_versions)" in refusal(file, server)

    def test_a_target_that_a_worker_looks_at(self, file: Database, server: Database) -> None:
        with server.write() as connection:
            row = {"id": "w", "started_at": NOON, "heartbeat_at": datetime.now(UTC)}
            connection.execute(sa.insert(workers), row)

        assert "A worker runs on the target" in refusal(file, server)

    def test_a_target_that_others_write_into(self, file: Database, server: Database) -> None:
        with server.write() as connection:
            connection.execute(sa.insert(workers), {"id": "w", "started_at": NOON, "heartbeat_at": NOON})
            assert "Others write into the target" in refusal(file, server)

    def test_a_file_of_an_older_release(self, file: Database, server: Database) -> None:
        with file.write() as connection:
            connection.execute(sa.text("UPDATE alembic_version SET version_num = '0001'"))

        assert "python -m bridge migrate" in refusal(file, server)

    def test_a_target_of_a_newer_release(self, file: Database, server: Database) -> None:
        with server.write() as connection:
            connection.execute(sa.text("UPDATE alembic_version SET version_num = 'to come'"))

        assert "the target at to come" in refusal(file, server)

    def test_a_file_that_is_no_database(self, server: Database, tmp_path: Path) -> None:
        (tmp_path / "words.db").write_text("not a database, but long enough to be looked at as one" * 30)

        with pytest.raises(InvalidValue, match="file is not a database"):
            move(f"sqlite:///{tmp_path / 'words.db'}", _url(server), _quiet)

    def test_a_target_in_which_nothing_may_be_made(self, file: Database, server: Database) -> None:
        with server.write() as connection:
            connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        file.close()

        with pytest.raises(InvalidValue, match="no schema has been selected"):
            move(_url(file), _url(server), _quiet)

        assert number_of(file) == 0

    def test_a_file_with_a_table_that_this_release_does_not_know(
        self, file: Database, server: Database
    ) -> None:
        with file.write() as connection:
            connection.execute(sa.text("CREATE TABLE further (id INTEGER)"))

        assert "of another release than this one (further)" in refusal(file, server)

    def test_a_value_that_does_not_fit_is_named_by_its_place_alone(
        self, file: Database, server: Database
    ) -> None:
        accept(file, a_request(route="ada@example.com" * 10))

        said = refusal(file, server)

        assert "messages.route" in said
        assert "ada@" not in said

    def test_text_that_is_none_is_named_by_its_table_alone(self, file: Database, server: Database) -> None:
        accept(file, a_message())
        with file.write() as connection:
            connection.execute(sa.text("UPDATE messages SET user_id = CAST(X'61646180FF' AS TEXT)"))

        file.close()
        with pytest.raises(InvalidValue) as refused:
            move(_url(file), _url(server), _quiet)
        said = str(refused.value)

        assert "messages cannot be read" in said
        assert "ada" not in said
        assert contents(server)["messages"] == []
        assert number_of(file) == 0

    def test_a_file_that_is_not_there(self, server: Database, tmp_path: Path) -> None:
        with pytest.raises(InvalidValue, match="There is no file"):
            move(f"sqlite:///{tmp_path / 'none.db'}", _url(server), _quiet)

        assert not (tmp_path / "none.db").exists()

    @pytest.mark.parametrize(
        "change",
        [
            lambda lines: lines[1:],
            lambda lines: [line.replace("Sale 1", "Sale 9") for line in lines],
        ],
        ids=["a row is missing", "a letter is another"],
    )
    def test_what_did_not_arrive_as_it_left(
        self, file: Database, server: Database, monkeypatch: pytest.MonkeyPatch, change: Any
    ) -> None:
        accept(file, *line_with(3))
        blocks = Outgoing.blocks

        def changed(self: Outgoing, rows: Any) -> Iterator[str]:
            for block in blocks(self, rows):
                yield (
                    "".join(change(block.splitlines(keepends=True))) if self.table.name == "bodies" else block
                )

        monkeypatch.setattr(Outgoing, "blocks", changed)

        assert "bodies did not arrive as it left" in refusal(file, server)


class TestTheFileThatWasLeft:
    def test_no_process_starts_on_it(
        self, file: Database, server: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        moved(file, server)

        with pytest.raises(DatabaseMoved):
            wait_until_current(file, seconds=0)
        monkeypatch.setattr(os, "environ", {"BRIDGE_ENV": "development", "DATABASE_URL": _url(file)})
        with pytest.raises(SettingsInvalid, match="set DATABASE_URL to the new database"):
            prepare_start()

    def test_a_web_process_that_ran_already_takes_nothing_in(
        self, file: Database, server: Database, tmp_path: Path
    ) -> None:
        """It had nothing to do yet, and so no connection that the move could have seen."""
        start = Starter(_url(file), tmp_path)
        bridge = start()
        moved(file, server)

        answer = bridge.refuse(literal(), status=503)
        ready = bridge.call("GET", "/readyz")
        start.stack.close()

        assert answer.headers["Retry-After"] == "5"
        assert "moved to PostgreSQL" in answer.body["detail"]
        assert ready.status == 503
        assert contents(file)["messages"] == []

    def test_it_is_locked_meanwhile(self, file: Database, server: Database) -> None:
        accept(file, a_message())
        file.close()

        def write(table: str, _done: int, _total: int) -> None:
            if table == "waiting":
                with pytest.raises(UNAVAILABLE):
                    accept(file, a_message(user_id="u-2"))

        move(_url(file), _url(server), write)

        assert len(rows(server, sa.select(messages))) == 1

    def test_to_move_it_again_changes_nothing(self, file: Database, server: Database) -> None:
        accept(file, a_message())
        moved(file, server)
        with server.write() as connection:  # at work since
            connection.execute(sa.delete(waiting))
        before = contents(server)

        again = moved(file, server)

        assert again.before is not None
        assert contents(server) == before


class TestBrokenOff:
    def test_a_kill_in_the_middle_leaves_both_as_they_were(self, file: Database, server: Database) -> None:
        accept(file, *line_with(3))
        before = contents(file), contents(server)

        killed(file, server, "waiting")

        assert (contents(file), contents(server)) == before
        accept(file, a_message(user_id="u-2"))  # it is still in use
        assert moved(file, server).rows["messages"] == 4

    def test_a_kill_just_before_the_end_leaves_the_file_closed_until_it_is_moved_again(
        self, file: Database, server: Database
    ) -> None:
        accept(file, *line_with(3))

        killed(file, server, "commit")

        assert contents(server)["messages"] == []
        with pytest.raises(DatabaseMoved):
            accept(file, a_message())
        assert moved(file, server).rows["messages"] == 3

    def test_a_kill_just_after_the_end_is_found_out(self, file: Database, server: Database) -> None:
        accept(file, *line_with(3))

        killed(file, server, "committed")

        assert moved(file, server).before is not None
        assert len(rows(server, sa.select(messages))) == 3

    def test_a_server_that_is_lost_in_the_middle_leaves_both_as_they_were(
        self, file: Database, server: Database
    ) -> None:
        accept(file, *line_with(3))
        file.close()
        before = contents(server)

        def lose(table: str, _done: int, _total: int) -> None:
            if table == "bodies":
                query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY%'"
                with server.write() as connection:
                    connection.execute(sa.text(query))

        with pytest.raises(InvalidValue, match="lost") as lost:
            move(_url(file), _url(server), lose)

        assert "Sale" not in str(lost.value)
        assert (number_of(file), contents(server)) == (0, before)
        assert moved(file, server).rows["messages"] == 3

    def test_a_server_that_is_lost_at_the_end_leaves_words(
        self, file: Database, server: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        accept(file, a_message())
        commit = Target.commit

        def lose(target: Target) -> None:
            commit(target)
            raise sa.exc.OperationalError("COMMIT", {}, OSError())

        with monkeypatch.context() as patch:
            patch.setattr(Target, "commit", lose)
            with pytest.raises(InvalidValue, match="nobody knows") as lost:
                moved(file, server)

        assert str(lost.value) == END_UNKNOWN
        assert moved(file, server).before is not None


def _a_row_in_every_table(file: Database) -> None:
    """One row in each that has none yet, with a value in every column."""
    accept(file, *line_with(2))
    with file.write() as connection:
        for table in metadata.sorted_tables:
            if table is moves or connection.execute(sa.select(table)).first():
                continue
            connection.execute(sa.insert(table), {column.name: _a_value(column) for column in table.c})


def _a_value(column: sa.Column[Any]) -> Any:
    if column.foreign_keys:
        return 1
    kind = column.type
    python_type = getattr(kind, "impl", kind).python_type
    by_type: dict[type, Any] = {
        int: 7,
        float: 1.5,
        bool: True,
        datetime: NOON + timedelta(microseconds=5),
        str: "x",
    }
    return by_type[python_type]


class TestTheCommand:
    @pytest.fixture
    def shell(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> Callable[..., tuple[int, str]]:
        def run(*arguments: str, **environ: str) -> tuple[int, str]:
            monkeypatch.setattr(os, "environ", environ)
            code = main(["move", *arguments])
            out, err = capsys.readouterr()
            return code, out + err

        return run

    @pytest.mark.parametrize("left_out", ["--from", "--to"])
    def test_what_is_left_out_is_database_url(
        self, file: Database, server: Database, shell: Any, left_out: str
    ) -> None:
        accept(file, *line_with(3))
        file.close()
        urls = {"--from": _url(file), "--to": _url(server).replace("postgresql+psycopg", "postgres")}
        here = urls.pop(left_out)

        code, said = shell(*next(iter(urls.items())), DATABASE_URL=here)
        again, said_again = shell(*next(iter(urls.items())), DATABASE_URL=here)

        assert (code, again) == (0, 0)
        assert re.search(r"^messages +3\n", said, re.MULTILINE)
        assert "9 rows moved and compared" in said
        assert "moved there already" in said_again
        assert len(rows(server, sa.select(messages))) == 3

    @pytest.mark.parametrize(
        ("arguments", "environ", "words"),
        [
            ((), {}, "Say where to"),
            (
                ("--to", "postgres://u:hidden@h/d"),
                {"DATABASE_URL": "postgres://h/d"},
                "DATABASE_URL is PostgreSQL",
            ),
            (("--from", "sqlite:///x.db"), {}, "DATABASE_URL is SQLite"),
            (("--from", "postgres://u:hidden@h/d"), {}, "--from is PostgreSQL"),
            (("--to", "sqlite:///x.db"), {}, "--to is SQLite"),
            (("--to", "mysql://u:hidden@h/d"), {}, "--to is neither"),
            (
                ("--to", "postgres://u:hidden@127.0.0.1:1/d"),
                {"DATABASE_URL": "sqlite:///none.db"},
                "no file none.db",
            ),
        ],
    )
    def test_what_cannot_be_done_is_said_in_words(
        self, shell: Any, arguments: Any, environ: Any, words: str
    ) -> None:
        code, said = shell(*arguments, **environ)

        assert code == 1
        assert words in said
        assert "hidden" not in said

    def test_a_target_that_cannot_be_reached(self, file: Database, shell: Any) -> None:
        file.close()

        code, said = shell("--to", "postgres://u:hidden@127.0.0.1:1/d", DATABASE_URL=_url(file))

        assert code == 1
        assert "Connection refused" in said
        assert "Nothing was changed." in said
        assert "hidden" not in said
        assert number_of(file) == 0
