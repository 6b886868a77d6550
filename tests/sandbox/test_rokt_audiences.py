"""The stand-in for custom audiences: as strict as Rokt's page, and it holds the lists."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from servers import running_sandbox

from bridge.sandbox.http import Request
from bridge.sandbox.rokt_audiences import RoktAudiences

ADA = hashlib.sha256(b"ada@example.com").hexdigest()
BOB = hashlib.sha256(b"bob@example.com").hexdigest()


def basic(user: str = "rpub-1", secret: str = "rsec-1") -> str:
    return "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()


def asked(body: Any, authorization: str = "") -> Request:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"authorization": authorization or basic()}
    return Request("POST", "/v3/import/suppression", "", headers, content)


def change(**fields: Any) -> dict[str, Any]:
    whole = {"accountId": "1", "action": "include", "list": "VIP", "emails": ["ada@example.com"]} | fields
    return {name: value for name, value in whole.items() if value is not ...}


class TestLists:
    def test_people_come_and_go_by_address_or_hash(self) -> None:
        rokt = RoktAudiences()

        for body in (
            change(),
            change(emails=..., sha256s=[BOB]),
            change(emails=..., email="Ada@example.com"),
        ):
            assert rokt.change(asked(body)).status == 201
        assert rokt.shown() == {"VIP": [BOB, ADA]}

        assert rokt.change(asked(change(action="exclude", emails=..., sha256=ADA))).status == 201
        assert rokt.shown() == {"VIP": [BOB]}

    def test_without_a_list_it_is_rokts_own(self) -> None:
        rokt = RoktAudiences()

        rokt.change(asked(change(list=...)))

        assert rokt.shown() == {"AdvertiserDatabase": [ADA]}


class TestRefusals:
    @pytest.mark.parametrize(
        "body",
        [
            change(accountId=...),
            change(accountId=7),
            change(action="add"),
            change(list=7),
            change(emails=...),
            change(emails=[]),
            change(emails="ada@example.com"),
            change(emails=["ada@example.com", "ada"]),
            change(emails=["ada@example.com", ADA]),
            change(sha256s=[ADA]),
            change(email="ada@example.com"),
            change(emails=..., sha256s=[ADA, "ada@example.com"]),
            change(emails=..., sha256s=[ADA.upper()]),
            change(emails=..., sha256=7),
            change(people=[]),
            [],
            b"{",
        ],
    )
    def test_a_call_that_is_wrong_does_nothing(self, body: Any) -> None:
        rokt = RoktAudiences()

        assert rokt.change(asked(body)).status == 400
        assert rokt.shown() == {}

    @pytest.mark.parametrize(
        ("authorization", "status"),
        [
            (basic(), 201),
            (basic("rpub-2"), 401),
            (basic(secret="other"), 401),
            ("Bearer x", 401),
            ("Basic !", 401),
            ("Basic OjE=", 401),
        ],
    )
    def test_a_pair_of_keys_is_asked_for(self, authorization: str, status: int) -> None:
        rokt = RoktAudiences("1", "rpub-1", "rsec-1")

        assert rokt.change(asked(change(), authorization)).status == status

    def test_another_account_is_not_the_keys(self) -> None:
        rokt = RoktAudiences("1")

        assert rokt.change(asked(change(accountId="2"))).status == 403
        assert rokt.auth_check(asked({"accountId": "2"})).status == 403
        assert rokt.auth_check(asked({"accountId": "1"})).status == 200
        assert rokt.auth_check(asked({})).status == 400


def test_the_sandbox_serves_and_shows_it() -> None:
    with running_sandbox() as sandbox:
        headers = {"Authorization": basic()}
        status, _ = sandbox.ask("POST", "/v3/import/suppression", change(), headers)
        checked, _ = sandbox.ask("POST", "/v3/auth-check", {"accountId": "1"}, headers)

        assert (status, checked) == (201, 200)
        assert sandbox.ask("GET", "/sandbox/audiences") == (200, {"VIP": [ADA]})
        sandbox.clear()
        assert sandbox.ask("GET", "/sandbox/audiences") == (200, {})
