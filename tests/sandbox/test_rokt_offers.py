"""The stand-in for Rokt's partner experiences over HTTP, as strict as Rokt's document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from servers import SandboxUnderTest, running_sandbox

from bridge.sandbox.rokt_offers import INTEGRATION
from bridge.sandbox.rokt_offers_samples import SAMPLE

PATH = "/v2/partner/experiences"
HEADERS = {
    "rokt-pub-id": "pub",
    "rokt-secret": "not-to-be-shown",
    "rokt-tag-id": "1234567890",
    "Content-Type": "application/json",
    "Accept": "application/json",
}
BODY: dict[str, Any] = {
    "attributes": {"email": "test@rokt.com"},
    "pageIdentifier": "your_page_identifier",
    "integration": dict.fromkeys(INTEGRATION, "x"),
}


@pytest.fixture
def sandbox() -> Iterator[SandboxUnderTest]:
    with running_sandbox() as sandbox:
        yield sandbox


def select(sandbox: SandboxUnderTest, body: Any = BODY, **headers: str | None) -> tuple[int, Any]:
    changed = {name.replace("_", "-"): value for name, value in headers.items()}
    sent = {name: value for name, value in {**HEADERS, **changed}.items() if value is not None}
    return sandbox.ask("POST", PATH, body, sent)


def codes(answer: Any) -> list[str]:
    return [error["code"] for error in answer["errors"]]


def test_a_whole_request_gets_the_documents_sample(sandbox: SandboxUnderTest) -> None:
    status, answer = select(sandbox)

    assert status == 200
    assert answer == SAMPLE | {"sessionId": answer["sessionId"]}


def test_a_session_goes_on(sandbox: SandboxUnderTest) -> None:
    assert select(sandbox, {**BODY, "sessionId": "s-1"})[1]["sessionId"] == "s-1"


def test_a_page_that_is_called_empty_has_no_offers(sandbox: SandboxUnderTest) -> None:
    status, answer = select(sandbox, {**BODY, "pageIdentifier": "empty_page"})

    assert (status, answer["plugins"], answer["success"]) == (200, [], True)


@pytest.mark.parametrize("name", ["rokt_pub_id", "rokt_secret"])
def test_without_a_credential_it_is_refused(sandbox: SandboxUnderTest, name: str) -> None:
    assert select(sandbox, **{name: None})[0] == 401


def test_everything_that_lacks_is_told_in_rokts_codes(sandbox: SandboxUnderTest) -> None:
    status, answer = select(sandbox, {"attributes": {}}, rokt_tag_id=None)

    assert (status, answer["status"], answer["success"]) == (422, 422, False)
    assert codes(answer) == [*INTEGRATION.values(), "PageIdentifierNotProvided", "PartnerIdNotProvided"]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        [],
        {**BODY, "attributes": None},
        {**BODY, "attributes": {"age": 7}},
        {**BODY, "integration": "x"},
        {**BODY, "integration": {**BODY["integration"], "version": 1}},
        {**BODY, "integration": {**BODY["integration"], "metadata": {"a": 1}}},
        {**BODY, "pageIdentifier": 7},
    ],
)
def test_another_form_is_an_invalid_payload(sandbox: SandboxUnderTest, body: Any) -> None:
    status, answer = select(sandbox, body)

    assert (status, codes(answer)) == (400, ["InvalidRequestPayload"])


@pytest.mark.parametrize("headers", [{"Content-Type": "text/plain"}, {"Accept": "*/*"}])
def test_content_type_and_accept_are_asked_for(sandbox: SandboxUnderTest, headers: dict[str, str]) -> None:
    assert select(sandbox, **headers)[0] == 400


def test_the_secret_is_not_shown_in_the_record(sandbox: SandboxUnderTest) -> None:
    select(sandbox)

    [call] = sandbox.calls(PATH)

    assert "not-to-be-shown" not in str(call)
    assert call["headers"]["rokt-pub-id"] == "pub"


def test_faults_stand_before_it(sandbox: SandboxUnderTest) -> None:
    sandbox.fault(path=PATH, status=503, times=1)

    assert [select(sandbox)[0] for _ in range(2)] == [503, 200]
