"""The webhook to paste in Braze: what Braze renders of it, the bridge takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from braze import Aborted, Braze, User
from web.conftest import start, stocked_sqlite
from web.running import ID, Starter

from bridge.calendar.braze_webhook import webhook
from bridge.calendar.engine import compile_template
from bridge.calendar.liquid.importing import import_here
from bridge.calendar.versions.files import FOLDER

__all__ = ["start", "stocked_sqlite"]

ADA = {
    "rokt:account_code": ["brazetest/f5733866ade2"],
    "rokt:subscription_id": [ID],
}
NAMES = ["Ada", 'Anna "Ann" \\ Back', "two\nlines", "😀 Zoë", "{{ x }}"]
BODY = """\
{"event": {"eventId": "m_{{event_properties.${match}}}_{{${user_id}}}",
 "title": "{{custom_attribute.${nick name} | json_escape}}: {{custom_attribute.${teams} | join: ' v '}}",
 "start": "{{event_properties.${kickoff}}}", "timezone": "Europe/Berlin"}}
"""


def variables_of(source: str, name: str = "n", **pieces: str) -> list[dict[str, Any]]:
    return [vars(one) for one in compile_template(name, {name: source, **pieces}).variables]


def shipped(name: str) -> list[dict[str, Any]]:
    sources = {path.stem: path.read_text("utf-8") for path in FOLDER.glob("*.jinja")}
    return [vars(one) for one in compile_template(name, sources).variables]


def rendered(body: str, user_id: str | None = "u1", **found: Mapping[str, object]) -> dict[str, Any]:
    user = User(user_id, ADA | dict(found.get("attributes", {})), found.get("properties", {}))
    sent: dict[str, Any] = json.loads(Braze().render(body, user))
    return sent


@pytest.mark.parametrize("name", NAMES)
def test_the_bridge_takes_what_braze_renders_of_an_imported_templates_webhook(
    start: Starter, name: str
) -> None:
    imported = import_here(BODY, name="match")
    bridge = start()
    bridge.publish(match=imported.source)
    made = webhook("match", variables_of(imported.source), "https://bridge.example.com")
    sent = rendered(
        made.body,
        attributes={"nick name": name, "teams": ["Reds", "Blues"]},
        properties={"match": "m1", "kickoff": "2090-03-05T18:30:00"},
    )

    answer = bridge.post(sent, key="send", dry_run=1)

    assert answer.status == 200, answer.body
    [request] = answer.body["requests"]
    assert request["body"]["event"]["eventId"] == "m_m1_u1"
    assert request["body"]["event"]["title"] == f"{name}: Reds v Blues"
    assert request["body"]["subscriptionIds"] == [ID]
    assert made.to_adapt == ()


def test_address_and_headers_have_a_place_for_the_key() -> None:
    made = webhook("flash_sale", shipped("flash_sale"), "https://bridge.example.com/")

    assert made.url == "https://bridge.example.com/v1/calendar/events"
    assert made.headers == {"Authorization": "Bearer YOUR-KEY", "Content-Type": "application/json"}


def test_what_braze_itself_knows_needs_no_adapting_and_the_rest_is_named() -> None:
    made = webhook("flash_sale", shipped("flash_sale"), "https://b")

    assert made.sources["first_name"] == "{{${first_name} | json_escape}}"
    assert made.sources["time_zone"] == "{{${time_zone} | json_escape}}"
    assert made.to_adapt == ("sale_id", "starts", "discount", "vip")


@pytest.mark.parametrize(
    ("place", "written"),
    [
        ("event", "{{event_properties.${sale_id} | json_escape}}"),
        ("trigger", "{{api_trigger_properties.${sale_id} | json_escape}}"),
        ("context", "{{context.${sale_id} | json_escape}}"),
        ("attribute", "{{custom_attribute.${sale_id} | json_escape}}"),
        ("here", "winter26"),
    ],
)
def test_where_the_values_come_from_can_be_chosen(place: str, written: str) -> None:
    made = webhook("flash_sale", shipped("flash_sale"), "https://b", place=place)

    assert made.sources["sale_id"] == written


def test_a_note_in_the_first_comment_says_where_braze_has_a_value() -> None:
    source = (
        "{#\nx\n\ntier required e.g. gold (custom_attribute.${Loyalty Tier})\n"
        "teams required e.g. a,b (event_properties.${fan}.teams, with commas between)\n#}"
        "{% block event_id %}{{ tier }}{% endblock %}{% block title %}{{ teams }}{% endblock %}"
        "{% block start %}2090-01-01T09:00{% endblock %}{% block timezone %}UTC{% endblock %}"
    )

    made = webhook("n", variables_of(source), "https://b")

    assert made.sources["tier"] == "{{custom_attribute.${Loyalty Tier} | json_escape}}"
    assert made.sources["teams"] == "{{event_properties.${fan}.teams | join: ',' | json_escape}}"
    assert made.to_adapt == ()


def test_an_example_that_is_written_into_the_webhook_stays_text() -> None:
    odd = [{"name": "x", "note": "", "example": 'a "b" \\ {{ c }}\n{% d %}', "default": None}]

    sent = rendered(webhook("n", odd, "https://b", place="here").body)

    assert sent["variables"]["x"] == 'a "b" \\ { { c }}\n{ % d %}'


def test_a_delete_sends_what_the_event_id_needs_alone() -> None:
    made = webhook("flash_sale", shipped("flash_sale"), "https://b", action="delete", key=["sale_id"])

    sent = rendered(made.body, properties={"sale_id": "w"})

    assert sent["action"] == "delete"
    assert sent["variables"] == {"sale_id": "w"}
    assert "subscription_ids" not in sent


def test_by_the_user_alone_no_attributes_of_rokt_are_sent() -> None:
    sent = rendered(webhook("flash_sale", shipped("flash_sale"), "https://b", by_user=True).body)

    assert not {"account_code", "subscription_ids"} & sent.keys()


@pytest.mark.parametrize("user_id", ["", None])
def test_braze_sends_nothing_for_a_user_without_an_id(user_id: str | None) -> None:
    with pytest.raises(Aborted):
        rendered(webhook("flash_sale", shipped("flash_sale"), "https://b").body, user_id)


def test_a_template_without_variables_has_an_empty_object() -> None:
    assert rendered(webhook("plain", [], "https://b").body)["variables"] == {}
