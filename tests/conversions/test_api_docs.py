"""What docs/conversions.md says of Rokt's older API is so."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from braze import Aborted, Braze, User

from bridge.conversions import api_form
from bridge.routes.api_events import KEYS, VERSIONS, read

PAGE = (Path(__file__).parents[2] / "docs" / "conversions.md").read_text("utf-8")
CHAPTER = PAGE.partition("\n## Rokt's older API\n")[2]
NOW = datetime.now(UTC)
[WEBHOOK] = re.findall(r"```liquid\n(.*?)```", CHAPTER, re.DOTALL)
ORDER = {"order_id": 'no. "7"', "total": 129.95, "currency": "USD"}


def rendered(email: str, **properties: object) -> str:
    text = WEBHOOK.replace("{{${email_address}}}", "custom_attribute.email_address")
    return Braze().render(text, User("u-1", {"email_address": email}, properties))


def test_the_webhook_is_taken_with_what_braze_knows() -> None:
    call = read(json.loads(rendered("Ada@example.com", **ORDER)), NOW, None, version="V2")

    assert call.event.client_event_id == ORDER["order_id"]
    data = dict(call.event.object_data)
    assert (data["amount"], data["currency"], data["customerid"]) == ("129.95", "USD", "u-1")
    assert len(data["emailsha256"]) == 64
    assert "email" not in data
    assert not call.is_test


def test_blanks_do_no_harm() -> None:
    call = read(json.loads(rendered("ada@example.com")), NOW, None, version="V2")

    assert len(call.event.client_event_id) == 36
    assert dict(call.event.object_data).keys() == {"emailsha256", "customerid"}


def test_a_user_without_an_address_is_left_out() -> None:
    with pytest.raises(Aborted):
        rendered("")


def test_the_call_is_taken() -> None:
    [body] = re.findall(r"-d '(\{.*?\})'\n```", CHAPTER, re.DOTALL)

    assert read(json.loads(body), NOW, None, version="V2").event.client_event_id == "order-1001"


def test_the_table_has_every_field_that_is_no_conversions() -> None:
    table = CHAPTER.partition("### An event\n")[2].partition("\n\nA conversion needs")[0]
    told = {
        name for cell in re.findall(r"^\| ([^|]*) \|", table, re.M) for name in re.findall(r"`(\w+)`", cell)
    }

    assert told == {"event_id", "event_time", "event_type", "object_data", "hash", "meta_data", "version"} | {
        "idempotency_key",
        "dispatch_id",
    }
    assert told < set(KEYS)


def test_its_numbers_are_the_ones_that_hold() -> None:
    for words in (
        f"at most {api_form.MOST_ID} characters",
        f"at most {api_form.MOST_TYPE} characters",
        f"at most {api_form.MOST_NAME} characters",
        f"at most {api_form.MOST_VALUE:,}",
        f"At most {api_form.MOST_EVENTS} events share a call",
        f"{api_form.OLDEST_MONTHS} months ago",
        f"Rokt-Version: {api_form.HEADERS['Rokt-Version']}",
    ):
        assert words in CHAPTER
    assert all(f"| `{version}` |" in CHAPTER for version in VERSIONS)
