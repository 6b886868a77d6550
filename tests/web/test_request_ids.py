"""A request is known by one id from its caller to the upstream; a call of many by its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from servers import SandboxUnderTest, running_sandbox
from web.running import Bridge, Starter, literal, start, stocked_sqlite
from web.test_conversions import ALONE, EVENTS, PATH, bought

__all__ = ["start", "stocked_sqlite"]


@pytest.fixture
def rokt() -> Iterator[SandboxUnderTest]:
    with running_sandbox() as sandbox:
        yield sandbox


def sent_as(bridge: Bridge) -> list[str]:
    return [call["headers"]["x-request-id"] for call in bridge.sent()]


def attempts(bridge: Bridge, message_id: str) -> list[str]:
    return [attempt["request_id"] for attempt in bridge.message(message_id)["attempts"]]


def test_what_the_caller_named_it_goes_all_the_way(start: Starter, rokt: SandboxUnderTest) -> None:
    bridge = start(sandbox=rokt)

    accepted = bridge.accept(literal(), headers={"X-Request-Id": "braze-7.a_b"})
    bridge.deliver()

    assert accepted.headers["X-Request-Id"] == accepted.body["request_id"] == "braze-7.a_b"
    assert bridge.message(accepted.id)["request_id"] == "braze-7.a_b"
    assert sent_as(bridge) == attempts(bridge, accepted.id) == ["braze-7.a_b"]


@pytest.mark.parametrize("given", ["", "ada@example.com", "a b", "x" * 65, "\xe4"])
def test_what_is_no_id_is_replaced_by_one(start: Starter, given: str) -> None:
    answer = start().call("GET", "/healthz", headers={"X-Request-Id": given})

    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-Id"])


def test_a_call_of_many_is_known_by_an_id_of_its_own_that_each_of_them_has(
    start: Starter, rokt: SandboxUnderTest
) -> None:
    merged: dict[str, Any] = EVENTS | ALONE | {"BATCH_COUNT": "2", "BATCH_AGE": "20s"}
    bridge = start(sandbox=rokt, ROKT_EVENTS_URL=f"{rokt.url}/v2", **merged)

    both = [bridge.accept(bought(confirmation_ref=ref), PATH) for ref in ("C-1", "C-2")]
    bridge.deliver()

    [call_id] = sent_as(bridge)
    assert [attempts(bridge, one.id) for one in both] == [[call_id]] * 2
    requests = [bridge.message(one.id)["request_id"] for one in both]
    assert requests == [one.body["request_id"] for one in both]
    assert call_id not in requests
