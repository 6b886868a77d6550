"""Rokt's Event API under its own paths: the guide's own example, what is refused as mParticle does, repeats."""

from __future__ import annotations

import base64
import copy
import json
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from servers import SandboxUnderTest
from web.running import Answer, Bridge, Starter, secret
from web.test_conversions import ALONE, EVENTS

ONE, MANY = "/v2/events", "/v2/bulkevents"

# As Rokt's guide prints it.
EXAMPLE = """{
"environment": "development",
"user_identities": {
"email": "john.doe@example.com",
"other": "SHA256-hash-of-email"
},
"user_attributes": {
"firstname": "John",
"lastname": "Doe",
"mobile": "123-456-7890",
"ipaddress": "172.3.51.182"
},
"events": [
{
"event_type": "custom_event",
"data": {
"event_name": "conversion",
"custom_attributes": {
"amount": 100.00,
"currency": "USD",
"quantity": 1,
"conversiontype": "purchase",
"productname": "Maroon 5 t-shirt, Warriors vs. Raptors",
"sku": "230847",
"paymenttype": "VISA",
"margin": 10.0,
"transactionid": "ABC789",
"confirmationref": "XYZ123"
}
}
}
]
}"""
ADDED = {"custom_event_type", "timestamp_unixtime_ms", "source_message_id"}


def example(**changes: Any) -> dict[str, Any]:
    """The guide's, with some of its fields changed; ... takes one away."""
    return {k: v for k, v in (json.loads(EXAMPLE) | changes).items() if v is not ...}


def conversion(**attributes: Any) -> dict[str, Any]:
    data = {"event_name": "conversion", "custom_attributes": attributes}
    return {"event_type": "custom_event", "data": data}


def without_added(batch: dict[str, Any]) -> dict[str, Any]:
    bare = copy.deepcopy(batch)
    for event in bare["events"]:
        for name in ADDED:
            event["data"].pop(name, None)
    return bare


@pytest.fixture
def bridge(start: Starter) -> Bridge:
    return start(ROKT_EVENTS_URL="http://127.0.0.1:9/v2", **EVENTS, **ALONE)


@pytest.fixture
def walked(start: Starter, rokt: SandboxUnderTest) -> Bridge:
    its = EVENTS | {"ROKT_EVENTS_ENVIRONMENT": "production", "BATCH_COUNT": "100"}
    return start(sandbox=rokt, ROKT_EVENTS_URL=f"{rokt.url}/v2", **its, **ALONE)


def take(bridge: Bridge, body: Any, path: str = ONE, **more: Any) -> None:
    answer = bridge.post(body, path, **more)
    assert (answer.status, answer.body) == (202, None)


def refused(bridge: Bridge, body: Any, path: str = ONE) -> str:
    """What it says, as mParticle would."""
    answer = bridge.post(body, path)
    assert answer.status == 400, answer.body
    assert answer.headers["Content-Type"] == "application/json"
    assert {error["code"] for error in answer.body["errors"]} == {"BAD_REQUEST"}
    assert bridge.count() == 0
    return "\n".join(error["message"] for error in answer.body["errors"])


def said(bridge: Bridge) -> list[dict[str, Any]]:
    answer = bridge.call("GET", "/v1/messages")
    found: list[dict[str, Any]] = answer.body["messages"]
    return found


class TestTheGuidesExample:
    def test_it_is_taken_as_it_is_and_leaves_with_nothing_but_what_mparticle_asks_for(
        self, walked: Bridge
    ) -> None:
        take(walked, EXAMPLE.encode())
        walked.deliver()

        [call] = walked.sent()
        assert (call["path"], call["status"]) == (ONE, 202)
        assert without_added(call["body"]) == json.loads(EXAMPLE)
        [event] = call["body"]["events"]
        assert event["data"].keys() == ADDED | {"event_name", "custom_attributes"}
        assert event["data"]["custom_event_type"] == "transaction"
        assert uuid.UUID(event["data"]["source_message_id"]).version == 5

    def test_its_pair_of_key_and_secret_is_http_basic(self, bridge: Bridge) -> None:
        pair = base64.b64encode(f"example-api-key:{secret('send')}".encode()).decode()

        take(bridge, EXAMPLE.encode(), key=None, headers={"Authorization": f"Basic {pair}"})

    def test_a_slash_at_the_end_makes_no_difference(self, bridge: Bridge) -> None:
        take(bridge, EXAMPLE.encode(), f"{ONE}/")
        take(bridge, [example()], f"{MANY}/")

    def test_many_go_as_an_array(self, walked: Bridge) -> None:
        bodies = [
            example(
                user_identities={"email": f"u{n}@example.com"}, events=[conversion(confirmationref=str(n))]
            )
            for n in range(3)
        ]

        take(walked, bodies, MANY)
        walked.deliver()

        [call] = walked.sent()
        assert call["path"] == MANY
        assert [without_added(batch) for batch in call["body"]] == bodies

    def test_the_events_of_a_batch_leave_in_one_batch_again(self, walked: Bridge) -> None:
        body = example(events=[conversion(confirmationref=str(n)) for n in range(5)])

        take(walked, body)
        walked.deliver()

        [call] = walked.sent()
        assert without_added(call["body"]) == body
        assert len({event["data"]["source_message_id"] for event in call["body"]["events"]}) == 5
        assert len(said(walked)) == 5

    def test_what_it_says_itself_is_not_said_anew(self, walked: Bridge) -> None:
        body = example(device_info={"http_header_user_agent": "curl"}, ip="172.3.51.182", mpid=7)
        data = body["events"][0]["data"]
        data |= {"custom_event_type": "other", "source_message_id": "mine"}

        take(walked, body)
        walked.deliver()

        [call] = walked.sent()
        leaves = call["body"]
        data["timestamp_unixtime_ms"] = leaves["events"][0]["data"]["timestamp_unixtime_ms"]
        assert leaves == body


class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"environment": ...}, "environment: is needed: development or production"),
            ({"environment": "staging"}, "environment"),
            ({"user_identities": ...}, "user_identities"),
            ({"user_identities": {"customerid": "u-1"}}, "user_identities: must have the user's email"),
            ({"user_identities": {"email": "nobody"}}, "user_identities.email"),
            ({"user_identities": {"other": "ada@example.com"}}, "user_identities.other: is an address"),
            ({"user_attributes": []}, "user_attributes: must be an object"),
            ({"user_attributes": {"firstname": {"a": 1}}}, "user_attributes.firstname"),
            ({"user_attributes": {"x" * 257: "a"}}, "256 characters"),
            ({"user_attributes": {"firstname": "x" * 4_097}}, "4,096"),
            ({"user_attributes": {f"a{n}": n for n in range(101)}}, "100 are the most"),
            ({"events": ...}, "events: is needed"),
            ({"events": []}, "events: is needed"),
            ({"events": [7]}, "events[0]"),
            ({"events": [{"event_type": "screen_view"}]}, "events[0].event_type: must be custom_event"),
            ({"events": [{"event_type": "custom_event"}]}, "events[0].data"),
            ({"events": [conversion(amount=[1])]}, "events[0].data.custom_attributes.amount"),
            ({"events": [conversion(confirmationref=True)]}, "confirmationref: must be text in quotes"),
            ({"events": [conversion(emailsha256="ada@example.com")]}, "emailsha256: is an address, not its"),
            ({"user_identites": {}}, "did you mean user_identities"),
        ],
        ids=str,
    )
    def test_what_rokt_would_refuse_is_refused_by_name(
        self, bridge: Bridge, changes: dict[str, Any], words: str
    ) -> None:
        body = example(**changes)

        assert words in refused(bridge, body)
        assert "[1]." in refused(bridge, [example(), body], MANY)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("event_name", "purchase"),
            ("timestamp_unixtime_ms", 1),
            ("timestamp_unixtime_ms", "2026-01-01"),
            ("timestamp_unixtime_ms", 1_300_000_000_000),
            ("source_message_id", ""),
            ("custom_attributes", "none"),
        ],
    )
    def test_so_is_what_is_wrong_in_an_event(self, bridge: Bridge, name: str, value: Any) -> None:
        event = conversion(amount=1)
        event["data"][name] = value

        assert f"events[0].data.{name}" in refused(bridge, example(events=[event]))

    def test_what_is_wrong_in_one_batch_hides_nothing_of_the_next(self, bridge: Bridge) -> None:
        told = refused(bridge, [example(environment="x"), example(user_identities={})], MANY)

        assert "[0].environment" in told
        assert "[1].user_identities: must have the user's email" in told

    @pytest.mark.parametrize("body", [{}, [], [example()] * 101, "x"], ids=["object", "none", "101", "text"])
    def test_a_bulk_body_is_an_array_of_at_most_a_hundred(self, bridge: Bridge, body: Any) -> None:
        assert "an array of 1 to 100 batches" in refused(bridge, body, MANY)

    def test_broken_json_is_told_with_its_place(self, bridge: Bridge) -> None:
        assert "Line 1, column 2" in refused(bridge, b"{,}")

    def test_a_request_has_256_kb_at_most(self, bridge: Bridge) -> None:
        assert "256,000" in refused(bridge, [example(ip="x" * 2_700)] * 100, MANY)

    def test_a_batch_has_128_kb_at_most(self, bridge: Bridge) -> None:
        attributes = {f"a{n}": "x" * 4_000 for n in range(40)}

        assert "128,000" in refused(bridge, example(events=[conversion(**attributes)]))

    def test_one_that_is_wrong_keeps_out_all(self, bridge: Bridge) -> None:
        refused(bridge, [example(), example(environment="x")], MANY)

    def test_who_may_not_send_is_refused_as_everywhere(self, bridge: Bridge) -> None:
        assert bridge.post(example(), ONE, key=None).status == 401
        assert bridge.post(example(), ONE, key="read").status == 403

    def test_while_it_is_off_the_variables_are_named(self, start: Starter) -> None:
        answer: Answer = start(**ALONE).refuse(example(), ONE, status=501)

        assert answer.says("ROKT_EVENTS_KEY")


class TestAddresses:
    def leaving(self, bridge: Bridge, **identities: Any) -> Any:
        answer = bridge.post(example(user_identities=identities), ONE, dry_run=1)
        assert answer.status == 200, answer.body
        return answer.body["requests"][0]["body"]["user_identities"]

    def test_a_hash_that_stands_as_an_address_is_recognised(self, bridge: Bridge) -> None:
        assert self.leaving(bridge, email="AB" * 32) == {"other": "ab" * 32}

    def test_an_address_is_written_as_rokt_compares_it(self, bridge: Bridge) -> None:
        assert self.leaving(bridge, email=" John.Doe@Example.com ") == {"email": "john.doe@example.com"}

    def test_other_names_stay(self, bridge: Bridge) -> None:
        its = {"email": "a@b.c", "customerid": "7", "other2": "click", "facebook": "f"}

        assert self.leaving(bridge, **its) == its


class TestRepeats:
    def test_the_confirmationref_makes_one(self, bridge: Bridge) -> None:
        take(bridge, EXAMPLE.encode())
        take(bridge, EXAMPLE.encode())

        assert bridge.count() == 1

    def test_it_is_the_same_as_that_of_a_conversion(self, bridge: Bridge) -> None:
        take(bridge, EXAMPLE.encode())
        answer = bridge.post({"email": "ada@example.com", "confirmation_ref": "XYZ123"}, "/v1/conversions")

        assert (answer.status, bridge.count()) == (200, 1)

    def test_without_marks_nothing_is(self, bridge: Bridge) -> None:
        for _ in range(2):
            take(bridge, example(events=[conversion(amount=1), conversion(amount=1)]))

        assert bridge.count() == 4

    def test_an_idempotency_key_makes_each_event_one(self, bridge: Bridge) -> None:
        for _ in range(2):
            body = example(events=[conversion(amount=1), conversion(amount=1)])
            take(bridge, body, headers={"Idempotency-Key": "k-1"})

        assert bridge.count() == 2


class TestTheOlderApi:
    @pytest.mark.parametrize("path", [ONE, MANY])
    def test_what_names_an_account_is_for_api_rokt_com(self, start: Starter, path: str) -> None:
        bridge = start(
            ROKT_ACCOUNT_ID="1234", ROKT_API_KEY="rpub-1", ROKT_API_SECRET="a-secret-of-it", **ALONE
        )
        at = datetime.now(UTC).isoformat()
        event = {"clientEventId": "e-1", "eventType": "conversion", "eventTime": at}
        event |= {"objectData": [{"name": "email", "value": "ada@example.com"}]}

        answer = bridge.post({"accountId": "1234", "events": [event]}, path)

        assert answer.status == 202, answer.body
        assert [message["destination"] for message in said(bridge)] == ["rokt_api_v2"]
