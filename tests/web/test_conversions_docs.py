"""docs/conversions.md: the webhook to paste does what the page says, and its table knows every field."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from braze import Braze, User, Webhook
from servers import SandboxUnderTest
from web.running import Bridge, Starter, secret
from web.test_conversions import ALONE, EVENTS, HASH, PATH

from bridge.routes.conversions import KEYS

PAGE = (Path(__file__).parents[2] / "docs" / "conversions.md").read_text("utf-8")
[SNIPPET] = re.findall(r"<!-- the webhook -->\n```liquid\n(.*?)```", PAGE, re.DOTALL)
# What Braze has of a user by itself; the Braze of these tests knows the user's id alone.
OWN = ("email_address", "first_name", "last_name", "phone_number")
ORDER = {
    "total": "129.95",
    "currency": "USD",
    "quantity": "1",
    "order_id": "T-1",
    "ordered_at": "",
}


@pytest.fixture
def walked(start: Starter, rokt: SandboxUnderTest) -> Bridge:
    return start(sandbox=rokt, ROKT_EVENTS_URL=f"{rokt.url}/v2", **EVENTS, **ALONE)


def send(bridge: Bridge, braze: Braze, attributes: dict[str, Any]) -> Any:
    body = SNIPPET
    for name in OWN:
        body = body.replace(f"{{{{${{{name}}}", f"{{{{custom_attribute.${{{name}}}")
    with bridge.served() as url:
        headers = {"Authorization": f"Bearer {secret('send')}", "Content-Type": "application/json"}
        return braze.send(Webhook(url + PATH, body, headers), User("u-1", attributes, ORDER))


def test_the_webhook_sends_a_conversion(walked: Bridge) -> None:
    sent = send(walked, Braze(), {"email_address": "Ada@Example.com", "first_name": 'Ada "A"'})
    walked.deliver()

    assert sent.status == 202, sent.answer
    [call] = walked.sent()
    assert call["body"]["user_identities"] == {"other": HASH, "customerid": "u-1"}
    assert call["body"]["user_attributes"] == {"firstname": 'Ada "A"'}
    [event] = call["body"]["events"]
    assert event["data"]["custom_attributes"] == {
        "amount": 129.95,
        "currency": "USD",
        "quantity": 1,
        "conversiontype": "purchase",
        "transactionid": "T-1",
        "confirmationref": "T-1",
    }


def test_who_has_no_address_is_told_by_name(walked: Bridge) -> None:
    sent = send(walked, Braze(), {})

    assert sent.status == 422
    assert [error["field"] for error in sent.answer["errors"]] == ["email"]


def test_its_test_send_reaches_nobody(walked: Bridge) -> None:
    sent = send(
        walked, Braze(dispatch_id="dispatch_id_for_unsent_campaign"), {"email_address": "ada@example.com"}
    )

    assert (sent.status, sent.answer["dry_run"]) == (200, True)
    assert walked.count() == 0


def test_the_table_has_every_field() -> None:
    table = PAGE.partition("## The fields\n")[2].partition("\n## ")[0]
    told = {name for row in re.findall(r"^\| (.*?) \|", table, re.M) for name in re.findall(r"`(\w+)`", row)}

    assert told == set(KEYS)
