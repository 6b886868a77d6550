"""The stand-in for Rokt's older API: as strict as its page, and no event twice."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from servers import SandboxUnderTest, running_sandbox

from bridge.sandbox.http import Request
from bridge.sandbox.rokt_api import HOST, RoktApi

BASIC = {"Authorization": "Basic " + base64.b64encode(b"rpub-1:rsec-1").decode()}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def sandbox() -> Iterator[SandboxUnderTest]:
    with running_sandbox() as sandbox:
        yield sandbox


def at(**ago: float) -> str:
    return (datetime.now(UTC) - timedelta(**ago)).isoformat()


def event(its_id: str = "e-1", **changes: Any) -> dict[str, Any]:
    whole = {
        "clientEventId": its_id,
        "eventType": "conversion",
        "eventTime": at(hours=1),
        "objectData": [{"name": "email", "value": "ada@example.com"}],
    } | changes
    return {k: v for k, v in whole.items() if v is not ...}


def data(name: str, value: Any = "v") -> dict[str, Any]:
    return {"objectData": [*event()["objectData"], {"name": name, "value": value}]}


def body(*events: Any, **changes: Any) -> dict[str, Any]:
    return {"accountId": "1234", "events": list(events) or [event()]} | changes


def post(sandbox: SandboxUnderTest, its_body: Any, **headers: str) -> tuple[int, Any]:
    return sandbox.ask("POST", f"{HOST}/v2/events", its_body, BASIC | headers)


def token(sandbox: SandboxUnderTest) -> dict[str, str]:
    status, answer = sandbox.ask(
        "POST", f"{HOST}/auth/oauth2/token", b"grant_type=client_credentials", FORM | BASIC
    )
    assert (status, answer["expires_in"]) == (200, 3600)
    return {"Authorization": f"Bearer {answer['access_token']}"}


def test_both_versions_take_the_same_event_once(sandbox: SandboxUnderTest) -> None:
    nothing = {"data": {"unprocessedRecords": []}}
    same = event()

    assert post(sandbox, body(same)) == (200, nothing)
    assert post(sandbox, body(same, event("e-2"))) == (200, nothing)
    assert sandbox.ask("POST", f"{HOST}/v1/events", body(same), token(sandbox)) == (200, nothing)

    assert [one["clientEventId"] for one in sandbox.sandbox.api.shown()] == ["e-1", "e-2"]


@pytest.mark.parametrize(
    "credential", [{}, {"Authorization": "Bearer made-up"}, {"Authorization": "Basic eA=="}]
)
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_credential_is_asked_for(
    sandbox: SandboxUnderTest, version: str, credential: dict[str, str]
) -> None:
    status, answer = sandbox.ask("POST", f"{HOST}/{version}/events", body(), credential)

    assert (status, answer["data"]["code"]) == (401, "UnauthorizedError")


def test_one_versions_credential_is_not_the_others(sandbox: SandboxUnderTest) -> None:
    assert sandbox.ask("POST", f"{HOST}/v2/events", body(), token(sandbox))[0] == 401
    assert sandbox.ask("POST", f"{HOST}/v1/events", body(), BASIC)[0] == 401


def test_a_key_that_was_seen_is_a_conflict_in_version_1(sandbox: SandboxUnderTest) -> None:
    headers = token(sandbox) | {"Idempotency-Key": "k-1"}

    assert sandbox.ask("POST", f"{HOST}/v1/events", body(events=[]), headers)[0] == 400
    assert sandbox.ask("POST", f"{HOST}/v1/events", body(), headers)[0] == 200
    assert sandbox.ask("POST", f"{HOST}/v1/events", body(), headers)[0] == 409


@pytest.mark.parametrize(
    ("its_body", "code"),
    [
        (b"\xff\xfe", "RequestBodyReadError"),
        (b"{", "RequestJsonUnmarshalError"),
        ([], "RequestValidationError"),
        (body(version="V2"), "RequestValidationError"),
        (body(accountId=""), "RequestValidationError"),
        (body(accountId="a" * 65), "RequestValidationError"),
        (body(events=[]), "RequestValidationError"),
        (body(events=[event(str(n)) for n in range(101)]), "RequestValidationError"),
        (body(event("x" * 37)), "RequestValidationError"),
        (body(event(clientEventId=...)), "RequestValidationError"),
        (body(event(eventType="t" * 129)), "RequestValidationError"),
        (body(event(eventTime=...)), "RequestValidationError"),
        (body(event(eventTime="yesterday")), "RequestValidationError"),
        (body(event(eventTime=at(days=551))), "RequestValidationError"),
        (body(event(eventTime=at(hours=-1))), "RequestValidationError"),
        (body(event(eventTime=at(hours=1)[:-6])), "RequestValidationError"),
        (body(event("e-1"), event(eventTime=at(days=600))), "RequestValidationError"),
        (body(event(metadata=[])), "RequestValidationError"),
    ],
)
def test_what_is_wrong_with_a_call_refuses_all_of_it(
    sandbox: SandboxUnderTest, its_body: Any, code: str
) -> None:
    status, answer = post(sandbox, its_body)

    assert (status, answer["data"]["code"]) == (400, code)
    assert sandbox.sandbox.api.shown() == []


@pytest.mark.parametrize(
    "changes",
    [
        {"objectData": []},
        {"objectData": ...},
        {"objectData": {"email": "ada@example.com"}},
        {"objectData": [{"name": "email", "value": ""}]},
        {"metaData": [{"name": "n"}]},
        data("n", 7),
        data("n" * 257),
        data("n", "v" * 65_537),
        data("Rokt.n"),
        data(""),
    ],
)
def test_what_is_wrong_with_one_event_leaves_the_others(
    sandbox: SandboxUnderTest, changes: dict[str, Any]
) -> None:
    wrong = event("e-2", **changes)

    status, answer = post(sandbox, body(event("e-1"), wrong))

    assert status == 200
    [told] = answer["data"]["unprocessedRecords"]
    assert (told["record"], told["error"]["code"]) == (wrong, "ValidationError")
    assert [one["clientEventId"] for one in sandbox.sandbox.api.shown()] == ["e-1"]


def test_another_type_needs_no_identity(sandbox: SandboxUnderTest) -> None:
    assert (
        post(sandbox, body(event(eventType="signup", objectData=...)))[1]["data"]["unprocessedRecords"] == []
    )


@pytest.mark.parametrize(("version", "status"), [("2020-05-21", 200), ("", 200), ("2019-01-01", 400)])
def test_its_version_is_a_date_that_it_knows(sandbox: SandboxUnderTest, version: str, status: int) -> None:
    assert post(sandbox, body(), **{"Rokt-Version": version})[0] == status


def test_a_given_pair_and_account_are_the_only_ones() -> None:
    api = RoktApi(("rpub-1", "rsec-1"), "1234")

    def status(authorization: str, account: str) -> int:
        headers = {"authorization": authorization}
        content = json.dumps(body(accountId=account)).encode()
        return api.v2(Request("POST", "/v2/events", "", headers, content)).status

    other = "Basic " + base64.b64encode(b"rpub-1:other").decode()
    assert status(BASIC["Authorization"], "1234") == 200
    assert status(other, "1234") == 401
    assert status(BASIC["Authorization"], "99") == 403


def test_all_can_be_forgotten(sandbox: SandboxUnderTest) -> None:
    post(sandbox, body())
    assert len(sandbox.ask("GET", "/sandbox/events")[1]) == 1

    sandbox.clear()

    assert sandbox.ask("GET", "/sandbox/events") == (200, [])
