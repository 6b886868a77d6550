"""The template store: drafts that nobody overwrites, publication of what works, a history to go back in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from factories import NOON

from bridge import schema
from bridge.calendar import versions
from bridge.calendar.engine import TemplateFault
from bridge.calendar.previews import Case, Fault, Previews
from bridge.calendar.templates import Templates
from bridge.calendar.versions import (
    Draft,
    DraftConflict,
    Entry,
    NotPublished,
    OtherPublished,
    publishing,
)
from bridge.calendar.versions.files import publish_files
from bridge.database import Database, UtcDateTime, clock
from bridge.errors import Conflict, InvalidPayload, NotFound, TemplateRefused

SALE = """\
{#
A sale.

sale_id required  e.g. winter
#}
{% extends "_base" %}
{% block event_id %}sale_{{ sale_id }}{% endblock %}
{% block title %}Sale{% endblock %}
{% block start %}2027-12-03T09:00{% endblock %}
"""
BIG = SALE.replace("Sale{%", "Big sale{%")
BILL = SALE.replace("sale", "bill").replace("A bill.", "A bill, once it is due.")
BASE = """{# Shared. #}{% block timezone %}Europe/Berlin{% endblock %}"""
BLANK = "{# Shared. #}{% block location %}{% endblock %}"


@pytest.fixture(scope="module")
def previews() -> Iterator[Previews]:
    warm = Previews()
    yield warm
    warm.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    room = tmp_path / "templates"
    room.mkdir()
    return room


class Store:
    """The store with people in front of it. What is not named has a good default."""

    def __init__(self, database: Database, previews: Previews) -> None:
        self.database, self.previews = database, previews

    def save(self, name: str, source: str, revision: int | None = None, **more: str) -> Draft:
        given: Mapping[str, Any] = {"by": "ada", "origin": "console"} | more
        with self.database.write() as connection:
            return versions.save_draft(connection, name, source, NOON, revision=revision, **given)

    def save_over(self, name: str, source: str, **more: str) -> Draft:
        """Save whatever stands."""
        stands = self.draft(name)
        return self.save(name, source, stands.revision if stands else None, **more)

    def publish(self, name: str, source: str | None = None, **more: Any) -> int:
        if source is not None:
            self.save_over(name, source)
        given = {"by": "ada", "origin": "console", "previews": self.previews} | more
        return versions.publish(self.database, name, **given)

    def roll_back(self, name: str, version: int, by: str = "grace") -> int:
        return versions.roll_back(self.database, name, version, by=by, previews=self.previews)

    def refused(self, name: str, source: str) -> list[TemplateFault]:
        with pytest.raises(NotPublished) as refusal:
            self.publish(name, source)
        return list(refusal.value.faults)

    def draft(self, name: str) -> Draft | None:
        with self.database.read() as connection:
            return versions.draft(connection, name)

    def published(self) -> dict[str, tuple[int, str]]:
        with self.database.read() as connection:
            return {n: (v.version, v.source) for n, v in versions.published_versions(connection).items()}

    def history(self, name: str) -> list[versions.Past]:
        with self.database.read() as connection:
            return versions.history(connection, name)

    def entry(self, name: str) -> Entry:
        with self.database.read() as connection:
            return next(one for one in versions.entries(connection) if one.name == name)

    def suspend(self, name: str, version: int) -> None:
        templates = Templates(self.database)
        for _ in range(3):
            templates.cut_off(name, version)


@pytest.fixture
def store(database: Database, previews: Previews) -> Store:
    """A store with a shared piece and a template that uses it."""
    store = Store(database, previews)
    store.publish("_base", BASE)
    store.publish("sale", SALE)
    return store


class TestDrafts:
    def test_a_draft_says_what_it_was_begun_from_and_by_whom(self, store: Store) -> None:
        store.publish("sale", BIG)

        draft = store.save("sale", SALE)

        assert (draft.based_on, draft.edited_by, draft.edited_at, draft.origin) == (2, "ada", NOON, "console")
        assert draft == store.draft("sale")

    def test_each_save_has_a_revision_of_its_own(self, store: Store) -> None:
        first = store.save("sale", BIG)
        second = store.save("sale", SALE, first.revision)

        assert second.revision > first.revision

    def test_the_second_of_two_editors_is_told_and_the_work_of_the_first_stays(self, store: Store) -> None:
        seen = store.save("sale", BIG)
        store.save("sale", BIG + "{# ada #}", seen.revision)

        with pytest.raises(DraftConflict, match="ada changed the draft of sale") as conflict:
            store.save("sale", BIG + "{# grace #}", seen.revision, by="grace")

        assert conflict.value.draft == store.draft("sale")
        assert conflict.value.draft is not None
        assert conflict.value.draft.source == BIG + "{# ada #}"

    def test_who_saw_no_draft_does_not_write_over_one(self, store: Store) -> None:
        store.save("sale", BIG)

        with pytest.raises(DraftConflict):
            store.save("sale", SALE + "{# grace #}", None)

    def test_the_same_text_saved_again_is_no_conflict(self, store: Store) -> None:
        seen = store.save("sale", BIG)
        first = store.save("sale", SALE, seen.revision)

        again = store.save("sale", SALE, seen.revision)

        assert again == first

    @pytest.mark.parametrize("how", ["published", "discarded"])
    def test_who_still_has_the_last_draft_open_does_not_write_over_the_next(
        self, store: Store, how: str
    ) -> None:
        seen = store.save("sale", BIG)
        if how == "published":
            store.publish("sale")
        else:
            with store.database.write() as connection:
                assert versions.discard_draft(connection, "sale", seen.revision)
        with pytest.raises(DraftConflict, match="published or discarded"):
            store.save("sale", BIG + "{# old #}", seen.revision)
        store.save("sale", BIG + "{# new #}", by="grace")

        with pytest.raises(DraftConflict, match="grace"):
            store.save("sale", BIG + "{# old #}", seen.revision)

    def test_of_many_who_save_at_once_one_does_and_the_others_are_told(
        self, store: Store, database_url: str
    ) -> None:
        seen = store.save("sale", BIG)
        processes = [Database(database_url) for _ in range(4)]

        def save(number: int) -> str:
            try:
                source = BIG + f"{{# {number} #}}"
                return Store(processes[number], store.previews).save("sale", source, seen.revision).source
            except DraftConflict:
                return ""

        with ThreadPoolExecutor(4) as threads:
            saved = [source for source in threads.map(save, range(4)) if source]
        for process in processes:
            process.close()

        draft = store.draft("sale")
        assert draft is not None
        assert saved == [draft.source]

    def test_of_many_who_begin_at_once_one_does(self, store: Store, database_url: str) -> None:
        processes = [Database(database_url) for _ in range(4)]

        def begin(number: int) -> bool:
            try:
                Store(processes[number], store.previews).save("new", f"{{# {number} #}}")
            except DraftConflict:
                return False
            return True

        with ThreadPoolExecutor(4) as threads:
            begun = list(threads.map(begin, range(4)))
        for process in processes:
            process.close()

        assert begun.count(True) == 1

    def test_a_draft_that_changed_is_not_discarded(self, store: Store) -> None:
        seen = store.save("sale", BIG)
        store.save("sale", SALE, seen.revision)

        with store.database.write() as connection:
            assert not versions.discard_draft(connection, "sale", seen.revision)

        assert store.draft("sale") is not None

    def test_line_ends_are_those_of_files(self, store: Store) -> None:
        draft = store.save("sale", "\ufeff" + BIG.replace("\n", "\r\n"))

        assert draft.source == BIG

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("Summer Sale", 'did you mean "summer_sale"?'),
            ("summer-sale.jinja", 'did you mean "summer_sale"?'),
            ("", "no name of a template"),
            ("_", "no name of a template"),
            ("__base", "no name of a template"),
            ("../sale", "no name of a template"),
            ("sale\x00", "no name of a template"),
            ("a" * 65, "64 at most"),
            ("é", "no name of a template"),
        ],
    )
    def test_a_name_that_is_none_is_told_with_one_that_is(self, store: Store, name: str, words: str) -> None:
        with pytest.raises(InvalidPayload) as refusal:
            store.save(name, SALE)

        [error] = refusal.value.errors
        assert error.field == "name"
        assert words in error.message

    @pytest.mark.parametrize(
        ("source", "words"),
        [
            ("one\ntwo\x00", "line 2 holds a NUL character"),
            ("\ud800", "line 1 holds half of a character"),
            ("é" * 32_769, "65,538 bytes, and 65,536 are the most"),
        ],
    )
    def test_a_text_that_cannot_be_stored_is_told(self, store: Store, source: str, words: str) -> None:
        with pytest.raises(InvalidPayload) as refusal:
            store.save("sale", source)

        [error] = refusal.value.errors
        assert error.field == "source"
        assert words in error.message
        assert store.draft("sale") is None

    def test_the_longest_text_and_name_are_taken(self, store: Store) -> None:
        draft = store.save("_" + "a" * 63, "é" * 32_768)

        assert draft == store.draft("_" + "a" * 63)


class TestPublishing:
    def test_a_draft_becomes_the_next_version_and_is_no_draft_any_more(self, store: Store) -> None:
        store.save("sale", BIG)

        version = store.publish("sale", by="grace", note="Bigger")

        assert version == 2
        assert store.published()["sale"] == (2, BIG)
        assert store.draft("sale") is None
        newest = store.history("sale")[0]
        assert (newest.made_by, newest.published_by, newest.note) == ("grace", "grace", "Bigger")
        assert (newest.origin, newest.is_published) == ("console", True)

    def test_it_reaches_another_process_that_rendered_before(
        self, store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        elsewhere = Database(database_url)
        templates = Templates(elsewhere)
        assert templates.published("sale")[1] == 1

        store.publish("sale", BIG)
        now = templates._looked_at + 1.5
        monkeypatch.setattr("bridge.calendar.templates.time.monotonic", lambda: now)
        template, version = templates.published("sale")
        elsewhere.close()

        assert version == 2
        assert template.render({"sale_id": "x"}, NOON).fields["title"] == "Big sale"

    def test_a_broken_draft_is_not_and_its_line_and_the_nearest_name_are_told(self, store: Store) -> None:
        [fault] = store.refused("sale", SALE.replace("{{ sale_id }}", "{{ sale_id | upcas }}"))

        assert (fault.template, fault.line, fault.field) == ("sale", 7, "event_id")
        assert str(fault) == 'sale.jinja, line 7: there is no filter "upcas"; did you mean "upcase"?'
        assert store.published()["sale"] == (1, SALE)
        assert store.draft("sale") is not None

    def test_an_event_that_acceptance_would_refuse_is_not(self, store: Store) -> None:
        [fault] = store.refused("sale", SALE.replace("2027-12-03T09:00", "tomorrow"))

        assert (fault.field, fault.line) == ("start", 9)
        assert "tomorrow" in str(fault)

    def test_what_never_ends_is_not(self, store: Store) -> None:
        loops = "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}Sale{%"

        [fault] = store.refused("sale", SALE.replace("Sale{%", loops))

        assert "250 ms" in str(fault)

    def test_a_machine_that_is_busy_for_once_keeps_nothing_back(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stopped = Fault("sale", None, "template", "preview stopped", "working this out took longer than 2 s")
        times = iter([[Case({}, None, None, stopped, 0.0, (stopped,))]])
        render = store.previews.render
        monkeypatch.setattr(store.previews, "render", lambda *given: next(times, None) or render(*given))

        assert store.publish("sale", BIG) == 2

    def test_what_is_stopped_every_time_is_not(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        stopped = Fault("sale", None, "template", "preview stopped", "working this out took longer than 2 s")
        monkeypatch.setattr(
            store.previews, "render", lambda *_: [Case({}, None, None, stopped, 0.0, (stopped,))]
        )

        [fault] = store.refused("sale", BIG)

        assert "longer than 2 s" in str(fault)

    def test_a_piece_that_breaks_a_template_is_not_and_the_template_is_named(self, store: Store) -> None:
        store.publish("bill", BILL)

        faults = store.refused("_base", BLANK)

        assert [fault.template for fault in faults] == ["bill", "sale"]
        assert all('the block "timezone" is missing' in str(fault) for fault in faults)
        assert store.published()["_base"] == (1, BASE)

    def test_a_piece_within_a_piece_is_tried_too(self, store: Store) -> None:
        store.publish("_foot", "{# A line. #}{{ sale_id }}")
        store.publish("_more", '{# More. #}{% include "_foot" %}')
        body = '{% block description %}{% include "_more" %}{% endblock %}'
        store.publish("sale", SALE + body)

        [fault] = store.refused("_foot", "{# A line. #}{{ sale_id | number }}")  # which winter is not

        assert fault.template == "_foot"

    def test_a_piece_that_cannot_be_read_is_told_once(self, store: Store) -> None:
        store.publish("bill", BILL)

        [fault] = store.refused("_base", "{% block timezone %}")

        assert fault.template == "_base"

    def test_a_piece_is_not_kept_back_by_what_was_broken_before(self, store: Store) -> None:
        with store.database.write() as connection:
            connection.execute(
                sa.text("UPDATE template_versions SET source = :broken WHERE name = 'sale'"),
                {"broken": SALE.replace("start", "strat")},
            )

        assert store.publish("_base", BASE + "\n") == 2

    def test_templates_that_do_not_use_a_piece_are_not_tried_for_it(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.publish("alone", SALE.replace('{% extends "_base" %}', BASE.removeprefix("{# Shared. #}")))
        tried = []
        try_out = publishing._try_out
        monkeypatch.setattr(
            publishing, "_try_out", lambda name, *given: tried.append(name) or try_out(name, *given)
        )

        store.publish("_base", BASE + "\n")

        assert tried == ["_base", "sale"]

    def test_of_many_mistakes_the_first_are_told(self, store: Store) -> None:
        for number in range(14):
            store.publish(f"sale_{number}", SALE)

        with pytest.raises(NotPublished) as refusal:
            store.publish("_base", BLANK)

        assert len(refusal.value.faults) == 15
        assert len(refusal.value.errors) == 13
        assert refusal.value.errors[-1].message == "and 3 more"

    def test_what_another_changed_meanwhile_is_not_published_unseen(self, store: Store) -> None:
        seen = store.save("sale", BIG)
        store.save("sale", BIG + "{# grace #}", seen.revision, by="grace")

        with pytest.raises(DraftConflict, match="grace"):
            store.publish("sale", revision=seen.revision)

        assert store.published()["sale"] == (1, SALE)

    def test_what_another_changed_at_that_very_moment_is_not_lost(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Between the last look at the draft and its end."""
        seen = store.save("sale", BIG)
        end_draft = publishing.end_draft

        def changed_first(connection: Any, name: str, source: str) -> None:
            versions.save_draft(
                connection, name, SALE + "{# grace #}", NOON, by="grace", origin="api", revision=seen.revision
            )
            end_draft(connection, name, source)

        monkeypatch.setattr(publishing, "end_draft", changed_first)

        with pytest.raises(DraftConflict, match="grace"):
            store.publish("sale")

        assert store.published()["sale"] == (1, SALE)

    def test_what_was_published_after_a_draft_was_begun_is_not_undone_unseen(self, store: Store) -> None:
        store.publish("sale", BIG)
        store.save("sale", SALE + "{# new #}")
        store.roll_back("sale", 1)

        with pytest.raises(OtherPublished, match="version 1 of sale is published") as conflict:
            store.publish("sale")
        version = store.publish("sale", over=conflict.value.version)

        assert version == 3

    def test_where_there_is_no_draft_there_is_nothing_to_publish(self, store: Store) -> None:
        with pytest.raises(InvalidPayload, match="no draft of sale: version 1 is published as it is"):
            store.publish("sale")
        with pytest.raises(NotFound, match='did you mean "sale"'):
            store.publish("sal")

    def test_one_draft_is_published_once_by_two_at_once(self, store: Store, database_url: str) -> None:
        seen = store.save("sale", BIG)
        processes = [Database(database_url) for _ in range(3)]

        def publish(process: Database) -> int | None:
            try:
                return Store(process, store.previews).publish("sale", revision=seen.revision)
            except DraftConflict:
                return None

        with ThreadPoolExecutor(3) as threads:
            made = list(threads.map(publish, processes))
        for process in processes:
            process.close()

        assert sorted(made, key=str) == [2, None, None]
        assert [past.version for past in store.history("sale")] == [2, 1]

    def test_two_publish_different_templates_at_once(self, store: Store, database_url: str) -> None:
        names = [f"sale_{number}" for number in range(3)]
        processes = {name: Database(database_url) for name in names}

        with ThreadPoolExecutor(3) as threads:
            made = list(
                threads.map(lambda name: Store(processes[name], store.previews).publish(name, SALE), names)
            )
        for process in processes.values():
            process.close()

        assert made == [1, 1, 1]
        assert {*names, "sale", "_base"} == store.published().keys()

    def test_what_works_alone_and_not_with_what_came_between_is_not_published(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A piece loses a block while a template that needs it is tried: one of the two is refused."""
        store.publish("_extra", '{# More. #}{% extends "_base" %}{% block location %}Here{% endblock %}')
        uses = SALE.replace("_base", "_extra").replace("%}Sale{%", "%}{{ self.location() }}{%")
        faults_of, is_first = publishing.faults_of, [True]

        def publish_between(changed: Any, standing: Any, previews: Previews) -> Any:
            found = faults_of(changed, standing, previews)
            if is_first and is_first.pop():
                store.publish("_extra", '{# Less. #}{% extends "_base" %}')
            return found

        monkeypatch.setattr(publishing, "faults_of", publish_between)

        with pytest.raises(NotPublished):
            store.publish("sale", uses)

        assert store.published()["sale"] == (1, SALE)
        assert store.published()["_extra"][0] == 2

    def test_a_draft_that_is_changed_while_it_is_tried_is_tried_anew(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where the caller did not say which revision is meant."""
        store.save("sale", BIG)
        faults_of, is_first = publishing.faults_of, [True]

        def save_between(changed: Any, standing: Any, previews: Previews) -> Any:
            found = faults_of(changed, standing, previews)
            if is_first and is_first.pop():
                store.save_over("sale", BIG + "{# grace #}", by="grace")
            return found

        monkeypatch.setattr(publishing, "faults_of", save_between)

        store.publish("sale")

        assert store.published()["sale"] == (2, BIG + "{# grace #}")

    def test_who_is_always_overtaken_is_told_to_try_again(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        numbers = iter(range(100))
        monkeypatch.setattr(
            publishing, "published_numbers", lambda _connection: {"other": (next(numbers), False)}
        )

        with pytest.raises(Conflict, match="please try again"):
            store.publish("sale", BIG)

        assert store.draft("sale") is not None

    def test_a_suspended_version_is_published_again_as_a_new_one(self, store: Store) -> None:
        store.suspend("sale", 1)
        with pytest.raises(TemplateRefused, match="suspended"):
            Templates(store.database).published("sale")

        version = store.publish("sale")

        assert version == 2
        assert Templates(store.database).published("sale")[1] == 2
        assert [past.is_suspended for past in store.history("sale")] == [False, True]

    def test_it_starts_its_own_child_where_there_is_no_warm_one(self, store: Store) -> None:
        store.save("sale", BIG)

        assert versions.publish(store.database, "sale", by="ada", origin="api") == 2


class TestRollingBack:
    def test_an_earlier_version_is_published_again_as_itself(self, store: Store) -> None:
        store.publish("sale", BIG)

        version = store.roll_back("sale", 1, by="grace")

        assert version == 1
        assert store.published()["sale"] == (1, SALE)
        newest, first = store.history("sale")
        assert (newest.is_published, first.is_published, first.published_by) == (False, True, "grace")
        assert first.published_at is not None
        assert newest.published_at is not None
        assert first.published_at > newest.published_at

    def test_a_draft_stays(self, store: Store) -> None:
        store.publish("sale", BIG)
        draft = store.save("sale", BIG + "{# new #}")

        store.roll_back("sale", 1)

        assert store.draft("sale") == draft

    def test_the_next_publication_is_a_new_version(self, store: Store) -> None:
        store.publish("sale", BIG)
        store.roll_back("sale", 1)

        assert store.publish("sale", BIG + "\n") == 3

    def test_what_does_not_work_with_the_pieces_of_today_is_refused(self, store: Store) -> None:
        own = SALE.replace('{% extends "_base" %}', "{% block timezone %}UTC{% endblock %}")
        store.publish("sale", own)
        store.publish("_base", BLANK)

        with pytest.raises(NotPublished, match='"timezone" is missing'):
            store.roll_back("sale", 1)

        assert store.published()["sale"] == (2, own)

    def test_a_piece_goes_back_only_if_all_that_use_it_work(self, store: Store) -> None:
        store.publish("_base", BASE + "{% block location %}Here{% endblock %}")
        store.publish("sale", SALE.replace("%}Sale{%", "%}{{ self.location() }}{%"))

        with pytest.raises(NotPublished, match=r"sale\.jinja"):
            store.roll_back("_base", 1)

    def test_a_suspended_version_is_so_no_more(self, store: Store) -> None:
        store.suspend("sale", 1)

        store.roll_back("sale", 1)

        assert Templates(store.database).published("sale")[1] == 1

    def test_what_is_published_already_stays_as_it_is(self, store: Store) -> None:
        before = store.history("sale")

        assert store.roll_back("sale", 1) == 1

        assert store.history("sale") == before

    @pytest.mark.parametrize(
        ("name", "words"), [("sale", "sale has no version 9; its versions are 1 to 1"), ("sal", '"sale"?')]
    )
    def test_a_version_that_is_not_there_is_told(self, store: Store, name: str, words: str) -> None:
        with pytest.raises(NotFound) as refusal:
            store.roll_back(name, 9)

        assert words in str(refusal.value)


class TestLists:
    def test_templates_come_before_pieces_each_with_what_it_is_for(self, store: Store) -> None:
        store.publish("bill", BILL)

        with store.database.read() as connection:
            found = versions.entries(connection)

        assert [(one.name, one.is_piece, one.purpose) for one in found] == [
            ("bill", False, "A bill, once it is due."),
            ("sale", False, "A sale."),
            ("_base", True, "Shared."),
        ]

    def test_a_draft_is_shown_beside_what_is_published(self, store: Store) -> None:
        draft = store.save("sale", BIG, by="grace")

        entry = store.entry("sale")

        assert (entry.version, entry.draft) == (1, draft)
        assert (entry.last_by, entry.last_at) == ("grace", NOON)

    def test_a_new_template_is_there_before_it_is_published_however_broken(self, store: Store) -> None:
        store.save("new", "{# a b c\n\nx y z #}{% blok")

        entry = store.entry("new")

        assert (entry.version, entry.published_at, entry.is_suspended) == (None, None, False)
        assert entry.purpose == ""

    def test_what_was_never_published_and_is_discarded_is_gone(self, store: Store) -> None:
        draft = store.save("new", SALE)
        with store.database.write() as connection:
            versions.discard_draft(connection, "new", draft.revision)

        with store.database.read() as connection:
            assert "new" not in [entry.name for entry in versions.entries(connection)]

    def test_a_suspended_one_says_so(self, store: Store) -> None:
        store.suspend("sale", 1)

        assert store.entry("sale").is_suspended

    def test_sources_can_be_looked_at_with_a_draft_in_them(self, store: Store) -> None:
        with store.database.read() as connection:
            found = versions.sources(connection, sale=BIG, bill=BILL)

        assert found == {"_base": BASE, "sale": BIG, "bill": BILL}

    def test_each_version_can_be_opened(self, store: Store) -> None:
        store.publish("sale", BIG)

        with store.database.read() as connection:
            assert versions.version_source(connection, "sale", 1) == SALE
            assert versions.version_source(connection, "sale", 3) is None
            assert versions.published_source(connection, "sale") == (BIG, 2)
            assert versions.published_source(connection, "bill") is None


class TestFiles:
    def test_a_changed_file_is_a_draft_where_people_have_published(self, store: Store, folder: Path) -> None:
        (folder / "sale.jinja").write_text(BIG)

        assert publish_files(store.database, folder) == []

        draft = store.draft("sale")
        assert draft is not None
        assert (draft.source, draft.origin, draft.edited_by, draft.based_on) == (BIG, "file", "", 1)
        assert store.published()["sale"] == (1, SALE)

    def test_it_does_not_overwrite_a_draft_and_waits_in_the_history(self, store: Store, folder: Path) -> None:
        draft = store.save("sale", SALE + "{# ada #}")
        (folder / "sale.jinja").write_text(BIG)

        publish_files(store.database, folder)

        assert store.draft("sale") == draft
        entry = store.entry("sale")
        assert entry.file_version == 2
        newest = store.history("sale")[0]
        assert (newest.origin, newest.published_at, newest.is_published) == ("file", None, False)
        assert store.roll_back("sale", 2) == 2
        assert store.published()["sale"] == (2, BIG)
        assert store.entry("sale").file_version is None

    def test_a_draft_that_is_the_files_own_is_shown_as_a_draft_alone(
        self, store: Store, folder: Path
    ) -> None:
        (folder / "sale.jinja").write_text(BIG)

        publish_files(store.database, folder)

        assert store.entry("sale").file_version is None

    def test_the_next_file_takes_the_place_of_one_that_nobody_touched(
        self, store: Store, folder: Path
    ) -> None:
        for source in (BIG, BIG + "\n"):
            (folder / "sale.jinja").write_text(source)
            publish_files(store.database, folder)

        draft = store.draft("sale")
        assert draft is not None
        assert draft.source == BIG + "\n"

    def test_a_draft_of_a_file_that_was_discarded_does_not_come_back(
        self, store: Store, folder: Path
    ) -> None:
        (folder / "sale.jinja").write_text(BIG)
        publish_files(store.database, folder)
        draft = store.draft("sale")
        assert draft is not None
        with store.database.write() as connection:
            versions.discard_draft(connection, "sale", draft.revision)

        publish_files(store.database, folder)

        assert store.draft("sale") is None
        assert len(store.history("sale")) == 2

    def test_a_broken_file_may_be_a_draft_and_keeps_no_other_back(self, store: Store, folder: Path) -> None:
        (folder / "sale.jinja").write_text("{% blok")
        (folder / "bill.jinja").write_text(BILL)

        assert publish_files(store.database, folder) == []

        assert store.published()["bill"] == (1, BILL)
        assert store.draft("sale") is not None

    def test_a_file_is_tried_with_the_pieces_that_are_published(self, store: Store, folder: Path) -> None:
        """The piece's file is a draft, as people have published the piece: nothing renders with it yet."""
        (folder / "_base.jinja").write_text(BASE + "{% block location %}Here{% endblock %}")
        (folder / "bill.jinja").write_text(BILL.replace("%}Sale{%", "%}{{ self.location() }}{%"))

        [fault] = publish_files(store.database, folder)

        assert fault.startswith("bill.jinja, line 8: ")

    def test_a_file_that_goes_back_to_what_it_was_is_published_again(
        self, database: Database, previews: Previews, folder: Path
    ) -> None:
        store = Store(database, previews)
        (folder / "_base.jinja").write_text(BASE)
        for source in (SALE, BIG, SALE):
            (folder / "sale.jinja").write_text(source)
            publish_files(database, folder)

        assert store.published()["sale"] == (3, SALE)

    def test_what_was_rolled_back_stays_so_over_a_start(
        self, database: Database, previews: Previews, folder: Path
    ) -> None:
        store = Store(database, previews)
        (folder / "_base.jinja").write_text(BASE)
        for source in (SALE, BIG):
            (folder / "sale.jinja").write_text(source)
            publish_files(database, folder)
        store.roll_back("sale", 1)

        publish_files(database, folder)

        assert store.published()["sale"] == (1, SALE)

    def test_a_file_that_follows_a_way_back_is_no_news_and_its_next_change_is(
        self, database: Database, previews: Previews, folder: Path
    ) -> None:
        store = Store(database, previews)
        (folder / "_base.jinja").write_text(BASE)
        for source in (SALE, BIG):
            (folder / "sale.jinja").write_text(source)
            publish_files(database, folder)
        store.roll_back("sale", 1)

        (folder / "sale.jinja").write_text(SALE)
        publish_files(database, folder)
        after_the_way_back = store.published()["sale"]
        (folder / "sale.jinja").write_text(BIG)
        publish_files(database, folder)

        assert after_the_way_back == (1, SALE)
        assert store.published()["sale"] == (3, BIG)

    @pytest.mark.parametrize(
        ("name", "content", "words"),
        [
            ("Summer Sale", SALE.encode(), 'Summer Sale.jinja: "Summer Sale" is no name of a template'),
            ("sale", b"\xff", "sale.jinja: it is not UTF-8"),
            ("sale", b"a\x00", "sale.jinja: line 1 holds a NUL character"),
            ("sale", b"a" * 65_537, "sale.jinja: has 65,537 bytes"),
        ],
    )
    def test_a_file_that_cannot_be_one_is_told_and_none_is_published(
        self, database: Database, folder: Path, name: str, content: bytes, words: str
    ) -> None:
        (folder / f"{name}.jinja").write_bytes(content)
        (folder / "_base.jinja").write_text(BASE)

        [fault] = publish_files(database, folder)

        assert words in fault
        with database.read() as connection:
            assert versions.published_versions(connection) == {}

    def test_many_starts_at_once_publish_each_file_once(
        self, database: Database, previews: Previews, database_url: str, folder: Path
    ) -> None:
        (folder / "_base.jinja").write_text(BASE)
        (folder / "sale.jinja").write_text(SALE)
        processes = [Database(database_url) for _ in range(3)]

        with ThreadPoolExecutor(3) as threads:
            faults = list(threads.map(lambda process: publish_files(process, folder), processes))
        for process in processes:
            process.close()

        assert faults == [[], [], []]
        assert [past.version for past in Store(database, previews).history("sale")] == [1]


class TestTheReleaseBefore:
    """It makes versions without what it does not know, on the same database."""

    def add(self, database: Database, version: int, source: str, *, is_new: bool) -> None:
        row = {"name": "sale", "version": version, "source": source}
        with database.write() as connection:
            now = clock(connection)
            connection.execute(
                sa.text(
                    "INSERT INTO template_versions (name, version, source, origin, made_by, made_at) "
                    "VALUES (:name, :version, :source, 'file', '', :now)"
                ).bindparams(sa.bindparam("now", now, type_=UtcDateTime)),
                row,
            )
            publication = (
                "INSERT INTO template_publications (name, version, published_at) VALUES ('sale', :version, :now)"
                if is_new
                else "UPDATE template_publications SET version = :version, published_at = :now WHERE name = 'sale'"
            )
            connection.execute(
                sa.text(publication).bindparams(sa.bindparam("now", now, type_=UtcDateTime)),
                {"version": version},
            )

    def test_what_it_publishes_is_published(self, database: Database, previews: Previews) -> None:
        store = Store(database, previews)
        self.add(database, 1, SALE, is_new=True)

        assert store.published() == {"sale": (1, SALE)}
        entry, [past] = store.entry("sale"), store.history("sale")
        assert (entry.file_version, entry.last_by) == (None, "")
        assert entry.published_at == past.published_at is not None
        assert past.is_published

    def test_a_file_that_it_has_published_is_no_news(self, store: Store, folder: Path) -> None:
        (folder / "sale.jinja").write_text(SALE)
        publish_files(store.database, folder)
        self.add(store.database, 2, BIG, is_new=False)
        (folder / "sale.jinja").write_text(BIG)

        publish_files(store.database, folder)

        assert [past.version for past in store.history("sale")] == [2, 1]

    def test_a_file_that_it_has_changed_and_that_is_changed_back_is(self, store: Store, folder: Path) -> None:
        (folder / "sale.jinja").write_text(SALE)
        publish_files(store.database, folder)
        self.add(store.database, 2, BIG, is_new=False)

        publish_files(store.database, folder)

        assert store.published()["sale"] == (3, SALE)

    def test_what_stands_in_its_database_is_taken_over(
        self, database_url: str, previews: Previews, tmp_path: Path
    ) -> None:
        database = self.at_revision("0006", database_url, tmp_path)
        self.add(database, 1, SALE, is_new=True)
        self.add(database, 2, BIG, is_new=False)

        schema.migrate(database)
        newest, first = Store(database, previews).history("sale")
        database.close()

        assert (newest.is_published, first.is_published) == (True, False)
        assert first.published_at == first.made_at

    @staticmethod
    def at_revision(revision: str, database_url: str, tmp_path: Path) -> Database:
        if database_url.startswith("sqlite"):
            database = Database(f"sqlite:///{tmp_path / 'before.db'}")
        else:
            database = Database(database_url)
            with database.write() as connection:
                connection.execute(sa.text("DROP SCHEMA public CASCADE"))
                connection.execute(sa.text("CREATE SCHEMA public"))
        with schema._alone(database) as connection:
            config = schema._config()
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
        return database
