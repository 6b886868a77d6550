"""What failed, by cause: counted in words, with what mends it and sends it again."""

from __future__ import annotations

import re
from typing import Any

import pytest
from console.conftest import Console, SignedIn
from console.test_messages import PLAIN, console, refuse, rokt, text, work
from playwright.sync_api import expect
from servers import SandboxUnderTest
from web.running import literal, sale

from bridge.console.reasons import in_words, said, spot, what_to_do
from bridge.outbox import causes

__all__ = ["console", "rokt"]

NUMBER = """\
{#
n  required, number
#}
{% block event_id %}n{% endblock %}
{% block title %}{{ n }}{% endblock %}
{% block start %}2090-12-01T09:00{% endblock %}
{% block timezone %}UTC{% endblock %}
"""


def send(console: Console, user_id: str, **variables: object) -> str:
    return console.bridge.refuse(sale(template="plain", user_id=user_id, variables=variables)).id


def test_messages_that_failed_alike_are_one_cause_with_a_count(console: Console) -> None:
    console.bridge.publish(plain=NUMBER)
    for number, value in enumerate(["x", "y", "seven"]):
        send(console, f"u{number}", n=value)
    send(console, "u9")

    told = text(console.visitor("viewer").get("/console/dead"))

    assert "4 messages need you" in told
    assert '3 messages of plain: n: "…" is not a number' in told
    assert "1 message of plain: n was not sent, and the template needs it" in told
    assert told.index("3 messages") < told.index("1 message ")


def test_a_blank_title_is_told_as_a_marketer_says_it(console: Console) -> None:
    console.bridge.publish(plain=NUMBER.replace("required, number", 'default ""'))
    send(console, "ada", n="")

    assert "1 message of plain: title is empty" in text(console.visitor("viewer").get("/console/dead"))


def test_no_connection_is_held_while_causes_are_grouped(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others compute before it in their turn, and lists wait for a connection meanwhile."""
    held = []

    def noted(call: Any, *given: Any) -> Any:
        held.append(console.bridge.database._browser.pool.checkedout())  # type: ignore[attr-defined]
        return call(*given)

    monkeypatch.setattr("bridge.console.dead.in_turn", noted)
    console.visitor("viewer").get("/console/dead")

    assert held == [0, 0]


def test_what_needs_nobody_is_said_to_be_so(console: Console) -> None:
    console.bridge.accept(literal())

    assert "Nothing needs you" in text(console.visitor("viewer").get("/console/dead"))


def test_what_rokt_refused_is_told_apart_by_template_and_in_its_words(
    console: Console, rokt: SandboxUnderTest
) -> None:
    rokt.fault(path="/v1", times=2, status=400, body={"message": "closed account"})
    console.bridge.publish(plain=PLAIN)
    console.bridge.accept(literal())
    its = {"title": "T", "starts": "2090-12-01T09:00"}
    console.bridge.accept(sale(template="plain", user_id="u2", variables=its))
    console.bridge.deliver()

    told = text(console.visitor("publisher").get("/console/dead"))

    assert "1 message of plain: Rokt answered 400" in told
    assert "1 message: Rokt answered 400" in told
    assert told.count("closed account") == 2
    assert told.count("Send again as it was…") == 2
    assert told.count("Send with the version published now…") == 1


def test_of_very_many_only_the_newest_are_counted_and_it_says_so(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(causes, "MOST_LOOKED_AT", 2)
    for number in range(3):
        refuse(console, f"u{number}")

    told = text(console.visitor("viewer").get("/console/dead"))

    assert "of the newest 2" in told
    assert "2 messages of plain" in told


def test_a_cause_is_mended_and_exactly_its_messages_are_sent_again(
    console: Console, signed_in: SignedIn
) -> None:
    console.bridge.publish(plain=NUMBER)
    meant = [send(console, f"u{number}", n=value) for number, value in enumerate(["x", "y", "z"])]
    other = send(console, "u9")
    page = signed_in("publisher")

    page.goto("/console/dead")
    card = page.locator("article").filter(has_text="is not a number")
    expect(card.get_by_role("button", name="Mend plain, line 2")).to_have_attribute(
        "href", "/console/templates/plain#line-2"
    )
    card.get_by_role("button", name="Mend plain, line 2").click()
    expect(page).to_have_url(re.compile("/console/templates/plain"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("plain")
    page.goto("/console/dead")
    console.bridge.publish(plain=NUMBER.replace("required, number", 'default ""'))
    card.get_by_role("button", name="Mended: send all 3 again…").click()
    expect(page.get_by_role("heading", name="Send 3 messages again?")).to_be_visible()
    page.get_by_role("button", name="Send 3 messages again").click()
    expect(page.get_by_role("heading", name="Sending again 3 messages")).to_be_visible()
    work(console)
    expect(page.get_by_text("3 of 3 messages on the way again.")).to_be_visible()
    console.bridge.deliver()

    assert [console.bridge.message(one)["state"] for one in meant] == ["delivered"] * 3
    assert console.bridge.message(other)["state"] == "dead"
    page.get_by_role("link", name="What still needs you").click()
    expect(page.get_by_role("heading", name="1 message needs you")).to_be_visible()


def test_a_cause_leads_to_the_list_of_its_messages(console: Console, signed_in: SignedIn) -> None:
    console.bridge.publish(plain=NUMBER)
    for number, value in enumerate(["x", "y"]):
        send(console, f"u{number}", n=value)
    send(console, "u9")
    page = signed_in("viewer")

    page.goto("/console/dead")
    page.get_by_role("link", name="See them").click()

    expect(page.locator(".messages tbody tr")).to_have_count(2)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ('no title: title: p.jinja, line 9: the block "title" printed nothing', "title is empty"),
        (
            'missing variable: variables.n: p.jinja, line 5: "n" is required and was not sent',
            "n was not sent, and the template needs it",
        ),
        (
            'unknown template: template: there is no published template "nope"; there are a, b',
            'there is no published template "nope"',
        ),
        ("wrong event: end: 10:00 is before the start, 11:00", "10:00 is before the start, 11:00"),
        ("", "no reason is known"),
    ],
)
def test_what_a_template_refused_is_told_without_what_only_machines_need(reason: str, words: str) -> None:
    assert in_words(reason, "rokt_calendar", is_refused=True) == words


@pytest.mark.parametrize(
    ("reason", "destination", "words"),
    [
        ("answered 400: no such account", "rokt_calendar", "Rokt answered 400: no such account"),
        ("answered 400", "braze", "Braze answered 400"),
        ("too late", "rokt_calendar", "too late: its time was up before it could leave"),
        ("tried for 1 day, 0:00:00: answered 503", "braze", "given up after 1 day, 0:00:00: answered 503"),
    ],
)
def test_what_an_upstream_refused_is_told_with_its_name(reason: str, destination: str, words: str) -> None:
    assert in_words(reason, destination) == words


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ('{"message": "closed"}', "closed"),
        ('{"error": {"code": 7}}', '{"error": {"code": 7}}'),
        ('["a"]', '["a"]'),
        ("<html>", "<html>"),
        ("", ""),
    ],
)
def test_an_answer_is_told_in_its_own_words(answer: str, words: str) -> None:
    assert said(answer) == words


def test_the_place_of_a_fault_is_read_from_its_reason() -> None:
    found = spot('no title: title: _brand.jinja, line 9: the block "title" printed nothing')

    assert (found.template, found.line) == ("_brand", 9)  # type: ignore[union-attr]
    assert spot("too late") is None


def test_every_cause_has_something_to_do() -> None:
    assert "Rokt" in what_to_do("answered 400", "rokt_calendar", is_refused=False)
    assert "publish" in what_to_do("anything new", "rokt_calendar", is_refused=True)
    assert "send again" in what_to_do("anything new", "rokt_calendar", is_refused=False)
