"""The stand-in for mParticle, as strict as its documents."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from bridge.sandbox.http import Reply, Request
from bridge.sandbox.rokt_events import RoktEvents

PAIR = "Basic " + base64.b64encode(b"key:secret").decode()


def batch(**changes: Any) -> dict[str, Any]:
    data = {
        "event_name": "conversion",
        "custom_event_type": "transaction",
        "custom_attributes": {"amount": 5},
    }
    whole = {
        "environment": "development",
        "user_identities": {"email": "ada@example.com"},
        "events": [{"event_type": "custom_event", "data": data | changes.pop("data", {})}],
    } | changes
    return {k: v for k, v in whole.items() if v is not ...}


def answered(body: Any, authorization: str = PAIR, kind: str = "application/json", **known: Any) -> Reply:
    """By the path for what it is: an object is one batch, an array many."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": kind, **({"authorization": authorization} if authorization else {})}
    events = RoktEvents(**known)
    act = events.bulk if isinstance(body, list) else events.event
    return act(Request("POST", "/v2/events", "", headers, content))


def words(reply: Reply) -> list[str]:
    return [error["message"] for error in reply.body["errors"]]


@pytest.mark.parametrize(
    "body", [batch(), [batch(), batch()], batch(data={"timestamp_unixtime_ms": 1_795_255_200_000})]
)
def test_what_is_right_is_taken_without_a_word(body: Any) -> None:
    reply = answered(body)

    assert reply.status == 202
    assert reply.encoded()[1] == b""


@pytest.mark.parametrize(
    "wrong",
    [
        batch(environment=...),
        batch(environment="live"),
        batch(user_identities={"customerid": "u-1"}),
        batch(user_identities={"other": "ada@example.com"}),
        batch(user_attributes={f"a{n}": n for n in range(101)}),
        batch(user_attributes={"a": {"b": 1}}),
        batch(user_attributes={"a": "x" * 4_097}),
        batch(user_attributes={"x" * 257: 1}),
        batch(events=[]),
        batch(events=[{"event_type": "screen_view"}]),
        batch(data={"event_name": "purchase"}),
        batch(data={"timestamp_unixtime_ms": 1_795_255_200}),
        batch(data={"custom_attributes": {"currency": {"a": 1}}}),
        batch(data={"custom_attributes": {f"a{n}": "x" * 4_000 for n in range(33)}}),
    ],
)
def test_what_is_wrong_is_refused_alone_and_named_among_others(wrong: Any) -> None:
    assert answered(wrong).status == 400
    assert answered([wrong]).status == 400

    among = answered([batch(), wrong, batch()])

    assert among.status == 202
    [told] = words(among)
    assert "Path '[1]'" in told


def test_the_position_is_that_of_the_batch() -> None:
    bodies = [batch(user_attributes={"name": 'a "[" here'}), batch(environment="x")]
    text = json.dumps(bodies)

    [told] = words(answered(bodies))

    position = int(told.rpartition(" ")[2].rstrip("."))
    assert json.loads(text[position - 1 : -1]) == bodies[1]


@pytest.mark.parametrize("count", [0, 101])
def test_a_call_has_from_one_to_a_hundred_batches(count: int) -> None:
    assert answered([batch()] * count).status == 400


def test_a_request_has_256_kb_at_most() -> None:
    assert answered([batch(ip="x" * 100_000)] * 3).status == 413


@pytest.mark.parametrize(("given", "status"), [("", 401), ("Bearer x", 403), ("Basic !", 403), (PAIR, 202)])
def test_the_key_is_looked_at_first(given: str, status: int) -> None:
    assert answered(batch(), given).status == status


def test_a_pair_that_is_given_is_the_only_one() -> None:
    assert answered(batch(), pair=("key", "secret")).status == 202
    assert answered(batch(), pair=("key", "other")).status == 403


def test_nothing_but_json_is_read() -> None:
    assert answered(batch(), kind="text/plain").status == 415
    assert answered(b"{").status == 400
