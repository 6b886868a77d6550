"""Why messages failed, in groups: reasons that differ only in values fall together, and others never do."""

from __future__ import annotations

import re

import pytest
from factories import a_message
from outbox.steps import Outbox

from bridge.message import State
from bridge.outbox import causes, search
from bridge.outbox.causes import cause_of, grouped, pattern_of
from bridge.outbox.reading import Filter

UUID = "06423672-b6ba-4536-aa36-f5733866ade2"
ALIKE = [
    (
        'wrong value: variables.n: p.jinja, line 5: n: "x" is not a number, such as 1249.50',
        'wrong value: variables.n: p.jinja, line 5: n: "twenty two" is not a number, such as 1249.50',
    ),
    (f"answered 400: subscription {UUID} is unknown", "answered 400: subscription s-7 is unknown"),
    ("answered 400: “a” is wrong", "answered 400: “b” is wrong"),
    (
        'unknown template: template: there is no published template "nope"; there are a, b',
        'unknown template: template: there is no published template "nope"; there are a, b, c',
    ),
    ("end: 2026-12-04T09:00 is before 2026-12-05T09:00", "end: 2027-01-04T09:00 is before 2027-01-05T10:00"),
    ('it says "' + "a" * 900, 'it says "' + "b" * 300),  # cut in the middle
    ("many: " + "1 " * 300, "many: " + "2 " * 30),
]
OTHER = [
    ("answered 400", "answered 404"),
    ('x: the block "title" printed nothing', 'x: the block "start" printed nothing'),
    (
        'missing variable: variables.a: p.jinja, line 5: "a" is required and was not sent',
        'missing variable: variables.b: p.jinja, line 5: "b" is required and was not sent',
    ),
    ("p.jinja, line 5: no", "p.jinja, line 6: no"),
    ("too late", "too late for this"),
    ("", "too late"),
]


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_reasons_that_differ_in_values_are_one_cause(one: str, other: str) -> None:
    assert cause_of(one) == cause_of(other)
    assert re.search(pattern_of(cause_of(one)), other)


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_reasons_that_differ_otherwise_are_two_causes(one: str, other: str) -> None:
    assert cause_of(one) != cause_of(other)
    assert not re.search(pattern_of(cause_of(one)), other)
    assert not re.search(pattern_of(cause_of(other)), one)


def test_a_cause_is_found_in_either_database_by_its_pattern(outbox: Outbox) -> None:
    reasons = [reason for pair in [*ALIKE, *OTHER] for reason in pair]
    for number, reason in enumerate(reasons):
        outbox.accept(a_message(user_id=f"u-{number}", state=State.DEAD, reason=reason))

    with outbox.database.read() as connection:
        found = {
            cause: search.listed(connection, Filter(state=State.DEAD, cause=cause, limit=99))[0]
            for cause in map(cause_of, reasons)
        }

    for cause, its in found.items():
        assert {one["reason"] for one in its} == {one for one in reasons if cause_of(one) == cause}


@pytest.mark.parametrize("cause", ["…" * 500, "a…b…" * 200, "… " * 400, '"…"' * 300, "(((", "[…", "\\", "…a"])
def test_a_made_up_cause_takes_no_time_and_breaks_nothing(outbox: Outbox, cause: str) -> None:
    outbox.accept(a_message(state=State.DEAD, reason="1" * 990 + "!"))

    with outbox.database.read() as connection:
        found, _ = search.listed(connection, Filter(state=State.DEAD, cause=cause))

    assert found == []


def test_the_dead_are_counted_by_template_and_cause_the_most_first(outbox: Outbox) -> None:
    for number in range(5):
        refused = a_message(
            user_id=f"u-{number}", state=State.DEAD, reason=f'n: "{number}" is no', template="sale"
        )
        outbox.accept(refused)
    outbox.accept(a_message(user_id="x", state=State.DEAD, reason="answered 400", template="sale", version=2))
    outbox.accept(a_message(user_id="y", state=State.DEAD, reason="answered 400", template=None))
    outbox.accept(a_message(user_id="z"))

    with outbox.database.read() as connection:
        rows, is_all = causes.newest(connection, State.DEAD)
    found = grouped(State.DEAD, rows)

    assert is_all
    assert [(one.template, one.is_refused, one.cause, one.count) for one in found] == [
        ("sale", True, 'n: "…" is no', 5),
        (None, False, "answered 400", 1),
        ("sale", False, "answered 400", 1),
    ]
    assert found[0].example == 'n: "4" is no'


def test_of_very_many_dead_the_newest_are_counted_and_it_says_so(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(causes, "MOST_LOOKED_AT", 3)
    for number in range(4):
        outbox.accept(a_message(user_id=f"u-{number}", state=State.DEAD, reason="too late"))

    with outbox.database.read() as connection:
        rows, is_all = causes.newest(connection, State.DEAD)

    assert not is_all
    assert [one.count for one in grouped(State.DEAD, rows)] == [3]


def test_what_no_template_made_is_found_by_a_blank_one(outbox: Outbox) -> None:
    outbox.accept(a_message(user_id="u-1", template=None))
    outbox.accept(a_message(user_id="u-2", template="sale"))

    with outbox.database.read() as connection:
        found, _ = search.listed(connection, Filter(template=""))

    assert [one["user_id"] for one in found] == ["u-1"]


def test_a_look_among_many_ends_and_goes_on_where_it_ended(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MOST_LOOKED_AT", 4)
    for number in range(10):
        template = "rare" if number in (0, 8) else "sale"
        outbox.accept(a_message(user_id=f"u-{number}", template=template, state=State.DEAD))

    pages, before = [], None
    with outbox.database.read() as connection:
        while True:
            wanted = Filter(state=State.DEAD, template="rare", before=before)
            found, before, is_cut = search.looked_for(connection, wanted)
            pages.append(([one["user_id"] for one in found], is_cut))
            if before is None:
                break

    assert pages == [(["u-8"], True), ([], True), (["u-0"], False)]
