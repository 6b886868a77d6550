"""What docs/subscribers.md and docs/promote.md say: names, and Liquid to paste."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from braze import Aborted, Braze, User

from bridge.settings import ATTRIBUTES
from bridge.subscribers.facts import values
from bridge.subscribers.names import facts_of

DOCS = Path(__file__).parents[2] / "docs"
SUFFIX = "f5733866ade2"
GIVEN = {"optIn1": True, "optIn2": True, "tags": ["a"], "subscription_id": "s-1"}


def section(page: str, title: str) -> str:
    text = (DOCS / f"{page}.md").read_text("utf-8")
    return re.split(r"^##+ ", text.partition(f" {title}\n")[2], flags=re.M)[0]


def rows(text: str) -> list[list[str]]:
    cells = [
        [cell.strip() for cell in row.strip("|").split(" | ")] for row in re.findall(r"^\|.*\|$", text, re.M)
    ]
    return [row for row in cells[2:] if row]


def codes(cell: str) -> list[str]:
    return re.findall(r"`([^`]*)`", cell)


NAMES = [row for row in rows(section("subscribers", "Names")) if codes(row[0])]


def test_the_table_of_names_has_every_fact() -> None:
    assert tuple(codes(row[0])[0] for row in NAMES) == ATTRIBUTES
    assert [codes(row[1]) for row in NAMES] == [[f"rokt:{name}"] for name in ATTRIBUTES]


@pytest.mark.parametrize("row", NAMES, ids=lambda row: row[0])
def test_each_name_of_rokts_is_read_as_the_fact_that_the_table_says(row: list[str]) -> None:
    fact = codes(row[0])[0]
    expected = GIVEN.get(fact, "x")

    for name in codes(row[2]) + codes(row[3]):
        thing: Any = expected
        for part in reversed(name.split(".")):
            thing = {part: thing}
        assert facts_of(thing).facts.get(fact) == expected, name
        assert facts_of({"subscription": thing}).facts.get(fact) == expected, name


def test_the_subscribers_id_is_read_by_each_name_that_the_table_says() -> None:
    [row] = [row for row in rows(section("subscribers", "Names")) if not codes(row[0])]

    assert codes(row[2])
    for name in codes(row[2]) + codes(row[3]):
        assert facts_of({name: "u-1"}).subscriber_id == "u-1"


def test_the_examples_are_what_leaves() -> None:
    stands = {
        name: codes(row[2])[0]
        for row in rows(section("subscribers", "What arrives in Braze"))
        for name in codes(row[0])
        if name.startswith("rokt:")
    }
    facts: dict[str, Any] = {
        name.removeprefix("rokt:"): value.removesuffix(f"/{SUFFIX}") for name, value in stands.items()
    }
    facts |= {"optIn1": True, "optIn2": True, "tags": [facts["tags"]]}

    assert values(facts, SUFFIX, ATTRIBUTES) == {name: [value] for name, value in stands.items()}


def liquid(page: str, title: str) -> str:
    [block] = re.findall(r"```liquid\n(.*?)```", section(page, title), re.S)
    return re.sub(r"^  ", "", block, flags=re.M)


def render(text: str, properties: dict[str, object] | None = None, **attributes: object) -> str:
    custom = {f"rokt:{name}" if name in ATTRIBUTES else name: value for name, value in attributes.items()}
    return Braze().render(text, User("u/1", custom, properties or {})).strip()


def test_a_title_is_shown_without_its_suffix() -> None:
    shown = render(liquid("subscribers", "Segments"), calendar_title=[f"Home / Away/{SUFFIX}", f"B/{SUFFIX}"])

    assert shown == "Home / Away"


def test_an_event_that_was_here_before_is_stopped() -> None:
    text = liquid("subscribers", "Events may come twice")

    assert render(text, {"event_key": "m-2"}, last_rokt_event="m-1") == ""
    assert render(text, {"event_key": "m-2"}) == render(text) == ""
    with pytest.raises(Aborted):
        render(text, {"event_key": "m-1"}, last_rokt_event="m-1")


def test_a_link_names_the_user() -> None:
    assert "SUBSCRIBER-PARAMETER=u%2F1&" in render(liquid("promote", "A link in an e-mail or an SMS"))


def test_a_block_is_for_those_who_have_not_subscribed() -> None:
    text = liquid("promote", "The four ways")

    assert render(text) == render(text, subscription_id=[]) == "…"
    assert render(text, subscription_id=["s-1"]) == ""
