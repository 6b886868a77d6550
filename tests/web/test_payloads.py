"""The newest payloads of a template: what a draft is tried with."""

from __future__ import annotations

import pytest
from console.drafting import NAMES, send_five
from web.running import ID, TWO_ACCOUNTS, UNSENT, Bridge, Starter, sale

from bridge.console.trial import variables_of
from bridge.outbox import payloads
from bridge.outbox.payloads import newest_payloads
from bridge.routes.calendar_messages import DESTINATION

OTHER = """{% block event_id %}o{% endblock %}{% block title %}T{% endblock %}
{% block start %}2090-12-01T09:00{% endblock %}{% block timezone %}UTC{% endblock %}"""


def found(bridge: Bridge, most: int = 50, template: str = "flash_sale") -> list[payloads.Payload]:
    with bridge.database.browse() as connection:
        return newest_payloads(connection, DESTINATION, template, most)


def test_they_are_the_newest_of_this_template_and_no_more_than_asked_for(start_on_both: Starter) -> None:
    bridge = start_on_both()
    send_five(bridge)
    bridge.publish(other=OTHER)
    bridge.accept(sale(template="other", variables={}))

    newest = found(bridge, 3)

    assert [one.user_id for one in newest] == ["u4", "u3", "u2"]
    assert [variables_of(one.body)["first_name"] for one in newest] == [*NAMES[:1:-1]]
    assert {one.version for one in newest} == {1}


def test_tests_deletes_and_the_other_accounts_of_a_request_are_left_out(start_on_both: Starter) -> None:
    bridge = start_on_both(TEST_SUBSCRIPTIONS=ID)
    two = bridge.accept(sale(user_id="two", **TWO_ACCOUNTS))
    bridge.accept(sale(user_id="gone", action="delete", variables={"sale_id": "w26"}))
    bridge.accept(sale(user_id="me", dispatch_id=UNSENT), headers={"Prefer": "wait=0"})

    newest = found(bridge)

    assert [(one.user_id, one.message_id) for one in newest] == [("two", two.body["ids"][0])]


def test_what_a_template_refused_is_among_them(start_on_both: Starter) -> None:
    bridge = start_on_both()
    bridge.refuse(sale(user_id="late", variables={}))

    [one] = found(bridge)

    assert (one.user_id, one.version) == ("late", None)


def test_all_together_are_bounded(start_on_both: Starter, monkeypatch: pytest.MonkeyPatch) -> None:
    bridge = start_on_both()
    send_five(bridge, discount="5" + " " * 1000)
    monkeypatch.setattr(payloads, "MOST_BYTES", 3_000)

    assert [one.user_id for one in found(bridge)] == ["u4", "u3"]


def test_a_flat_body_gives_what_is_no_key_of_the_bridge() -> None:
    flat = {"template": "t", "user_id": "u", "sale_id": "w", "variables": {"vip": "yes"}}

    assert variables_of(flat) == {"sale_id": "w", "vip": "yes"}
