"""Versions of templates: files come in, what is published is what every process renders."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bridge.calendar.tables import template_publications, template_versions
from bridge.calendar.templates import Templates, publish_files
from bridge.calendar.versions import published_versions
from bridge.database import Database, clock
from bridge.errors import TemplateRefused

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
BASE = """{# Shared. #}{% block timezone %}Europe/Berlin{% endblock %}"""
ENDLESS = SALE.replace(
    "Sale{% endblock",
    "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}Sale{% endblock",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    room = tmp_path / "templates"
    room.mkdir()
    (room / "sale.jinja").write_text(SALE)
    (room / "_base.jinja").write_text(BASE)
    return room


def _versions(database: Database) -> dict[str, int]:
    with database.read() as connection:
        return {name: version.version for name, version in published_versions(connection).items()}


def test_new_files_are_published_and_the_second_start_changes_nothing(
    database: Database, folder: Path
) -> None:
    first = publish_files(database, folder)
    second = publish_files(database, folder)

    assert (first, second) == ([], [])
    assert _versions(database) == {"sale": 1, "_base": 1}


def test_a_changed_file_is_published_as_the_next_version(database: Database, folder: Path) -> None:
    publish_files(database, folder)
    (folder / "sale.jinja").write_text(SALE.replace("Sale", "Big sale"))

    publish_files(database, folder)

    assert _versions(database) == {"sale": 2, "_base": 1}
    template, version = Templates(database).published("sale")
    assert version == 2
    with database.read() as connection:
        assert template.render({"sale_id": "x"}, clock(connection)).fields["title"] == "Big sale"


def test_a_broken_file_is_told_with_its_line_and_the_published_version_stays(
    database: Database, folder: Path
) -> None:
    publish_files(database, folder)
    (folder / "sale.jinja").write_text(SALE.replace("{{ sale_id }}", "{{ sale_id | upcas }}"))

    [fault] = publish_files(database, folder)

    assert "sale.jinja, line 7" in fault
    assert "upcase" in fault
    assert _versions(database) == {"sale": 1, "_base": 1}


def test_a_shared_piece_that_would_break_a_template_is_not_published(
    database: Database, folder: Path
) -> None:
    publish_files(database, folder)
    (folder / "_base.jinja").write_text("{# Shared. #}{% block location %}{% endblock %}")

    [fault] = publish_files(database, folder)

    assert fault.startswith("sale.jinja")
    assert _versions(database) == {"sale": 1, "_base": 1}


def test_a_template_that_never_ends_is_not_published(database: Database, folder: Path) -> None:
    (folder / "sale.jinja").write_text(ENDLESS)

    [fault] = publish_files(database, folder)

    assert "250 ms" in fault
    assert _versions(database) == {}


def test_a_file_arrives_as_a_draft_where_the_api_has_published(database: Database, folder: Path) -> None:
    publish_files(database, folder)
    with database.write() as connection:
        connection.execute(sa.update(template_versions).values(origin="api"))
    (folder / "sale.jinja").write_text(SALE.replace("Sale", "Big sale"))

    publish_files(database, folder)

    assert _versions(database) == {"sale": 1, "_base": 1}
    with database.read() as connection:
        drafts = connection.scalar(
            sa.select(sa.func.max(template_versions.c.version)).where(template_versions.c.name == "sale")
        )
    assert drafts == 2


def test_an_unknown_template_is_refused_with_the_nearest_and_a_piece_is_none(
    database: Database, folder: Path
) -> None:
    publish_files(database, folder)
    templates = Templates(database)

    with pytest.raises(TemplateRefused) as unknown:
        templates.published("sal")
    with pytest.raises(TemplateRefused) as piece:
        templates.published("_base")

    assert 'did you mean "sale"?' in unknown.value.detail
    assert piece.value.cause == "unknown template"


def test_a_version_cut_off_three_times_in_a_minute_is_suspended_for_every_process(
    database: Database, folder: Path
) -> None:
    publish_files(database, folder)
    here, elsewhere = Templates(database), Templates(database)
    here.published("sale")

    for _ in range(2):
        here.cut_off("sale", 1)
    here.published("sale")
    here.cut_off("sale", 1)

    for templates in (here, elsewhere):
        with pytest.raises(TemplateRefused, match="suspended"):
            templates.published("sale")


def test_a_publication_is_seen_by_a_process_that_rendered_before(
    database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.calendar.templates.LOOK_EVERY", 0.0)
    publish_files(database, folder)
    templates = Templates(database)
    assert templates.published("sale")[1] == 1

    with database.write() as connection:
        source = connection.scalar(
            sa.select(template_versions.c.source).where(template_versions.c.name == "sale")
        )
        row = {
            "name": "sale",
            "version": 2,
            "source": source,
            "origin": "api",
            "made_by": "",
            "made_at": clock(connection),
        }
        connection.execute(sa.insert(template_versions), [row])
        connection.execute(
            sa.update(template_publications).where(template_publications.c.name == "sale").values(version=2)
        )

    assert templates.published("sale")[1] == 2


def test_many_who_ask_for_a_template_at_once_have_it_compiled_once(database: Database, folder: Path) -> None:
    publish_files(database, folder)
    compiled: list[str] = []

    def noted(call: Callable[..., Any], name: str, *given: Any) -> Any:
        compiled.append(name)
        time.sleep(0.05)  # the others come meanwhile
        return call(name, *given)

    templates = Templates(database, noted)
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(templates.published, ["sale"] * 20))

    assert compiled == ["sale"]
    assert len({id(template) for template, _ in found}) == 1
