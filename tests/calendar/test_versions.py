"""The template store: drafts that nobody overwrites, publication of what works, a history to go back in."""

from __future__ import annotations

import pytest
from factories import NOON

from bridge.calendar import versions
from bridge.calendar.versions import Draft, DraftConflict, NotPublished
from bridge.database import Database

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


def save(
    database: Database, name: str, source: str, revision: int | None = None, *, by: str = "ada"
) -> Draft:
    with database.write() as connection:
        return versions.save_draft(connection, name, source, NOON, by=by, origin="console", revision=revision)


def publish(database: Database, **sources: str) -> dict[str, int]:
    made = {}
    for name, source in sources.items():
        save(database, name, source)
        made[name] = versions.publish(database, name, by="ada", origin="console")
    return made


def standing(database: Database) -> dict[str, tuple[int, str]]:
    with database.read() as connection:
        return {n: (v.version, v.source) for n, v in versions.published_versions(connection).items()}


def draft(database: Database, name: str) -> Draft | None:
    with database.read() as connection:
        return versions.draft(connection, name)


def test_a_draft_is_published_as_the_next_version_and_is_gone(database: Database) -> None:
    made = publish(database, _base=BASE, sale=SALE)
    save(database, "sale", SALE.replace("Sale", "Big sale"))

    version = versions.publish(database, "sale", by="grace", origin="console", note="Bigger")

    assert made == {"_base": 1, "sale": 1}
    assert version == 2
    assert standing(database)["sale"] == (2, SALE.replace("Sale", "Big sale"))
    assert draft(database, "sale") is None


def test_the_second_of_two_editors_is_told_and_the_work_of_the_first_stays(database: Database) -> None:
    seen = save(database, "sale", SALE)
    save(database, "sale", SALE + "{# ada #}", seen.revision)

    with pytest.raises(DraftConflict) as conflict:
        save(database, "sale", SALE + "{# grace #}", seen.revision, by="grace")

    assert conflict.value.draft is not None
    assert (conflict.value.draft.source, conflict.value.draft.edited_by) == (SALE + "{# ada #}", "ada")
    assert draft(database, "sale") == conflict.value.draft


def test_a_broken_draft_is_not_published_and_its_line_and_the_nearest_name_are_told(
    database: Database,
) -> None:
    publish(database, _base=BASE)
    save(database, "sale", SALE.replace("{{ sale_id }}", "{{ sale_id | upcas }}"))

    with pytest.raises(NotPublished, match=r'sale\.jinja, line 7: .*did you mean "upcase"'):
        versions.publish(database, "sale", by="ada", origin="console")

    assert draft(database, "sale") is not None
    assert "sale" not in standing(database)


def test_an_earlier_version_is_published_again_as_itself(database: Database) -> None:
    publish(database, _base=BASE, sale=SALE)
    publish(database, sale=SALE.replace("Sale", "Big sale"))

    version = versions.roll_back(database, "sale", 1, by="grace")

    assert version == 1
    assert standing(database)["sale"] == (1, SALE)
