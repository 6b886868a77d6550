"""Known ways out of a template engine, and known ways to use it up: live, before publishing, at the import."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from security.escapes import CUT_OFF, Escape, escapes

from bridge.calendar.engine import TemplateFault, compile_template
from bridge.calendar.liquid import LiquidFault, import_liquid
from bridge.calendar.liquid.importing import import_here
from bridge.calendar.previews import Previews
from bridge.calendar.zones import use_pinned_tzdata

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
CANARY = "canary-5f1d"
# What stands in every machine's files, and how Python shows an object.
LEAKED = re.compile(rf"{CANARY}|root:x:|object at 0x|<class |<function |<built-in|<module |\bbound method\b")
JINJA = [*escapes("objects"), *escapes("exhaustion")]
TRIED = [escape for escape in JINJA if not escape.is_by_hand]
WEBHOOK = """{"event": {"eventId": "e-1_{{${user_id}}}", "title": "t", "start": "2026-12-04T09:00",
"timezone": "Europe/Berlin", "description": "@@"}, "subscriptionIds": ["s-1"]}"""


@pytest.fixture(autouse=True)
def canary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", CANARY)
    use_pinned_tzdata()


@pytest.fixture(scope="module")
def previews() -> Iterator[Previews]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CANARY", CANARY)
        previews = Previews()
        yield previews
        previews.close()


def test_the_corpus_is_large_enough() -> None:
    assert len({escape.trick for escape in JINJA}) >= 800  # 200 are asked for


@pytest.mark.parametrize("escape", TRIED, ids=str)
def test_an_escape_is_refused_or_cut_off_live(escape: Escape) -> None:
    try:
        printed = compile_template("tricky", escape.sources).render({}, NOW).fields["description"]
    except TemplateFault as fault:
        told, became = str(fault), "cut off" if fault.cause in CUT_OFF else "refused"
    else:
        told, became = printed, "prints"

    assert (became, printed if became == "prints" else "") == (escape.expected, escape.printed)
    assert not LEAKED.search(told)


def test_an_escape_is_refused_or_cut_off_before_it_is_published(previews: Previews) -> None:
    """In the child process, whose answer decides whether it may be published."""
    others = [escape for escape in TRIED if not escape.takes_long]
    long = [escape for escape in TRIED if escape.takes_long][:2]
    wrong = []
    for escape in (*others, *long):
        [case] = previews.render("tricky", escape.sources, [{}], NOW)
        printed = case.fields["description"] if case.fields else ""
        if (case.fault is None) != (escape.expected == "prints") or printed != escape.printed:
            wrong.append((str(escape), case))
        if LEAKED.search(str((case.fault, printed))):
            wrong.append((str(escape), case))

    assert wrong == []


@pytest.mark.parametrize("escape", [e for e in escapes("liquid") if not e.takes_long], ids=str)
def test_an_escape_in_liquid_leaves_nothing_that_runs(escape: Escape) -> None:
    """It is refused, or left out with a note that has to be seen to."""
    try:
        imported = import_here(WEBHOOK.replace("@@", escape.trick), name="imported")
    except LiquidFault as fault:
        told = str(fault)
    else:
        told = repr(imported.cases)
        assert any(note.is_open for note in imported.notes)
        assert "{% include" not in re.sub(r"\{#.*?#\}", "", imported.source, flags=re.DOTALL)

    assert not LEAKED.search(told)


@pytest.mark.parametrize(
    "escape", [e for e in escapes("liquid") if e.takes_long and not e.is_by_hand], ids=str
)
def test_liquid_without_end_is_cut_off(escape: Escape) -> None:
    """Both engines try what was imported, in the child process; neither gets to an end."""
    try:
        imported = import_liquid(WEBHOOK.replace("@@", escape.trick), name="imported")
    except LiquidFault:
        return

    assert len(repr(imported.cases)) < 100_000
    with suppress(TemplateFault):
        compile_template("imported", {"imported": imported.source}).render({}, NOW)
