"""/v1/audiences: people put on a list and taken off it, and what leaves for that."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from servers import SandboxUnderTest
from web.running import UNSENT, Answer, Bridge, Starter

PATH = "/v1/audiences"
KEYS = {"ROKT_ACCOUNT_ID": "1234", "ROKT_API_KEY": "rpub-1", "ROKT_API_SECRET": "rsec-very-secret"}
BATCH = {"BATCH_AGE": "1s", "BATCH_COUNT": "1"}


def hashed(address: str) -> str:
    return hashlib.sha256(address.encode()).hexdigest()


ADA, BOB = hashed("ada@example.com"), hashed("bob@example.com")


@pytest.fixture
def bridge(start: Starter) -> Bridge:
    """Nothing listens where custom audiences are."""
    return start(ROKT_AUDIENCE_URL="http://127.0.0.1:9", **KEYS, **BATCH)


@pytest.fixture
def walked(start: Starter, rokt: SandboxUnderTest) -> Bridge:
    """In front of the sandbox."""
    return start(sandbox=rokt, ROKT_AUDIENCE_URL=rokt.url, **KEYS, **BATCH)


def members(bridge: Bridge) -> Any:
    assert bridge.sandbox is not None
    return bridge.sandbox.ask("GET", "/sandbox/audiences")[1]


def send(bridge: Bridge, body: Any, path: str = PATH, status: int = 202, **more: Any) -> Answer:
    answer = bridge.post(body, path, **more)
    assert answer.status == status, answer.body
    return answer


class TestOne:
    def test_somebody_is_put_on_a_list_and_taken_off_it(self, walked: Bridge) -> None:
        call = walked.sends({"action": "include", "email": " Ada@Example.com "}, f"{PATH}/VIP")

        assert call["path"] == "/v3/import/suppression"
        assert call["body"] == {
            "accountId": "1234",
            "action": "include",
            "list": "VIP",
            "emails": ["ada@example.com"],
        }
        assert call["status"] == 201
        assert members(walked) == {"VIP": [ADA]}

        walked.sends({"action": "exclude", "sha256": ADA.upper()}, f"{PATH}/VIP")

        assert members(walked) == {"VIP": []}
