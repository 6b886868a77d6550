"""`render` of a version, and `templates`: list, publish, pull."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_cli import SALE, Shell, shell
from web.running import PLAIN

from bridge.calendar import versions
from bridge.calendar.versions.files import publish_files
from bridge.commands import template_work
from bridge.database import Database, clock

__all__ = ["shell"]

BROKEN = PLAIN.replace("{{ title }}", "{{ title | upcas }}")
LOUD = PLAIN.replace("{{ title }}", "{{ title }}!")
VALUES = json.dumps({"title": "Sale", "starts": "2090-12-01T09:00"})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What stands for templates/, with one file."""
    room = tmp_path / "room"
    room.mkdir()
    (room / "plain.jinja").write_text(PLAIN)
    monkeypatch.setattr(template_work, "FOLDER", room)
    return room


@pytest.fixture
def here(shell: Shell, database_url: str, folder: Path, database: Database) -> Shell:
    """Commands on a database in which that file is published."""
    shell.set(DATABASE_URL=database_url)
    publish_files(database, folder)
    return shell


def draft(database: Database, source: str, name: str = "plain", *, origin: str = "console") -> None:
    with database.write() as connection:
        stands = versions.draft(connection, name)
        versions.save_draft(
            connection,
            name,
            source,
            clock(connection),
            by="ada",
            origin=origin,
            revision=stands.revision if stands else None,
        )


def published(database: Database) -> dict[str, tuple[int, str]]:
    with database.read() as connection:
        return {n: (v.version, v.source) for n, v in versions.published_versions(connection).items()}


def has_draft(database: Database, name: str = "plain") -> bool:
    with database.read() as connection:
        return versions.draft(connection, name) is not None


class TestRender:
    def test_the_request_names_what_is_not_known_here(self, shell: Shell) -> None:
        shell.set(ROKT_CALENDAR_URL="https://rokt.example.com/")

        code, out, _ = shell.run("render", "flash_sale", "--data", "-", stdin=json.dumps(SALE))

        assert code == 0
        request = json.loads(out)["request"]
        assert request["method"] == "POST"
        assert request["url"] == "https://rokt.example.com/v1/subscriptionevent/{account_code}"
        assert request["body"]["subscriptionIds"] == ["{subscription_id}"]
        assert request["body"]["event"]["eventId"] == "sale_w26_{user_id}"

    def test_a_version_of_the_database_is_rendered(self, here: Shell, database: Database) -> None:
        draft(database, LOUD)
        versions.publish(database, "plain", by="ada", origin="console")

        titles = [
            json.loads(here.run("render", "plain", "--data", "-", *more, stdin=VALUES)[1])["fields"]["title"]
            for more in ((), ("--version", "1"), ("--version", "2"))
        ]

        assert titles == ["Sale", "Sale", "Sale!"]

    @pytest.mark.parametrize(
        ("name", "words"), [("plain", "its versions are 1 to 1"), ("plaim", 'did you mean "plain"')]
    )
    def test_a_version_that_is_not_there_is_told(self, here: Shell, name: str, words: str) -> None:
        code, out, err = here.run("render", name, "--data", "-", "--version", "7", stdin=VALUES)

        assert (code, out) == (1, "")
        assert words in err

    def test_a_file_that_is_no_text_is_told(self, here: Shell, folder: Path) -> None:
        (folder / "other.jinja").write_bytes(b"\xff\xfe")

        code, _, err = here.run("render", "other", "--data", "-", stdin="{}")

        assert code == 1
        assert "other.jinja: it is not UTF-8" in err


class TestList:
    def test_it_shows_what_is_published_and_what_is_drafted(self, here: Shell, database: Database) -> None:
        draft(database, LOUD)

        code, out, _ = here.run("templates", "list")

        [entry] = json.loads(out)["templates"]
        assert code == 0
        assert (entry["name"], entry["version"], entry["draft"]["edited_by"]) == ("plain", 1, "ada")

    def test_a_database_that_is_not_migrated_is_told(self, shell: Shell, tmp_path: Path) -> None:
        shell.set(DATABASE_URL=f"sqlite:///{tmp_path / 'empty.db'}")

        code, _, err = shell.run("templates", "list")

        assert code == 1
        assert "python -m bridge migrate" in err

    def test_a_database_that_is_down_is_told(self, shell: Shell) -> None:
        shell.set(DATABASE_URL="postgresql://127.0.0.1:1/x")

        code, _, err = shell.run("templates", "list")

        assert code == 1
        assert "not reachable" in err


class TestPublish:
    def test_the_draft_is_published(self, here: Shell, database: Database) -> None:
        draft(database, LOUD)

        code, out, _ = here.run("templates", "publish", "plain", "--note", "Louder")

        assert (code, out) == (0, "plain: version 2 is published, from the draft of ada.\n")
        assert published(database)["plain"] == (2, LOUD)
        with database.read() as connection:
            newest = versions.history(connection, "plain")[0]
        assert (newest.origin, newest.note, newest.made_by) == ("console", "Louder", "command line")

    def test_without_a_draft_the_changed_file_is(self, here: Shell, database: Database, folder: Path) -> None:
        (folder / "plain.jinja").write_text(LOUD)

        code, out, _ = here.run("templates", "publish", "plain")

        assert (code, out) == (0, "plain: version 2 is published, from its file.\n")
        assert published(database)["plain"] == (2, LOUD)

    def test_with_its_file_published_a_template_follows_its_file_again(
        self, here: Shell, database: Database, folder: Path
    ) -> None:
        draft(database, LOUD)
        versions.publish(database, "plain", by="ada", origin="console")

        here.run("templates", "publish", "plain", "--file")
        (folder / "plain.jinja").write_text(LOUD.replace("!", "?"))
        publish_files(database, folder)

        assert published(database)["plain"] == (4, LOUD.replace("!", "?"))

    def test_the_file_goes_before_a_draft_when_it_is_asked_for(self, here: Shell, database: Database) -> None:
        draft(database, LOUD)

        code, out, _ = here.run("templates", "publish", "plain", "--file")

        assert (code, out) == (0, "plain: version 2 is published, from its file.\n")
        assert has_draft(database)

    def test_what_is_as_published_is_not_published_again(self, here: Shell, database: Database) -> None:
        code, _, err = here.run("templates", "publish", "plain")

        assert code == 1
        assert "nothing to publish" in err
        assert published(database)["plain"] == (1, PLAIN)

    def test_a_mistake_is_told_with_its_line(self, here: Shell, database: Database) -> None:
        draft(database, BROKEN)

        code, _, err = here.run("templates", "publish", "plain")

        assert code == 1
        assert 'plain.jinja, line 2: there is no filter "upcas"; did you mean "upcase"?' in err
        assert has_draft(database)

    def test_a_draft_of_an_older_version_is_published_over_the_one_that_was_looked_at(
        self, here: Shell, database: Database, folder: Path
    ) -> None:
        draft(database, LOUD)
        (folder / "plain.jinja").write_text(PLAIN + "\n")
        publish_files(database, folder)

        first, _, err = here.run("templates", "publish", "plain")
        second, _, _ = here.run("templates", "publish", "plain", "--over", "2")

        assert (first, second) == (1, 0)
        assert "version 2 of plain is published" in err
        assert published(database)["plain"] == (3, LOUD)

    def test_a_name_that_is_nowhere_is_told(self, here: Shell) -> None:
        code, _, err = here.run("templates", "publish", "plan")

        assert code == 1
        assert "There is no file templates/plan.jinja" in err


class TestPull:
    def test_what_is_published_is_written_and_arrives_as_nothing_new(
        self, here: Shell, database: Database, folder: Path
    ) -> None:
        draft(database, LOUD)
        versions.publish(database, "plain", by="ada", origin="console")
        draft(database, PLAIN, "other")
        versions.publish(database, "other", by="ada", origin="console")

        code, out, _ = here.run("templates", "pull")
        faults = publish_files(database, folder)

        assert code == 0
        assert "templates/other.jinja: written, version 1\n" in out
        assert "templates/plain.jinja: written, version 2\n" in out
        assert (folder / "plain.jinja").read_text() == LOUD
        assert faults == []
        assert published(database) == {"plain": (2, LOUD), "other": (1, PLAIN)}
        assert not has_draft(database)
        with database.read() as connection:
            assert len(versions.history(connection, "plain")) == 2

    def test_what_was_pulled_is_no_news_after_the_next_publication(
        self, here: Shell, database: Database, folder: Path
    ) -> None:
        draft(database, LOUD)
        versions.publish(database, "plain", by="ada", origin="console")
        here.run("templates", "pull")
        draft(database, LOUD + "\n")
        versions.publish(database, "plain", by="ada", origin="console")

        publish_files(database, folder)

        assert published(database)["plain"] == (3, LOUD + "\n")
        assert not has_draft(database)

    def test_a_draft_is_not_written(self, here: Shell, database: Database, folder: Path) -> None:
        draft(database, LOUD)

        code, out, _ = here.run("templates", "pull")

        assert (code, out) == (0, "1 of 1 were as published already.\n")
        assert (folder / "plain.jinja").read_text() == PLAIN

    def test_a_file_that_is_not_published_is_left_and_told(self, here: Shell, folder: Path) -> None:
        (folder / "mine.jinja").write_text("mine")

        _, out, _ = here.run("templates", "pull")

        assert "templates/mine.jinja: not published, left as it is\n" in out
        assert (folder / "mine.jinja").read_text() == "mine"
