"""/v1/conversions: conversions in, one or many; what leaves for them; and what is taken for a repeat."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from servers import SandboxUnderTest
from web.running import UNSENT, Answer, Bridge, Starter

PATH = "/v1/conversions"
EVENTS = {
    "ROKT_EVENTS_KEY": "a-key",
    "ROKT_EVENTS_SECRET": "an-events-secret",
    "ROKT_EVENTS_ENVIRONMENT": "development",
    "BATCH_COUNT": "1",
}
ALONE = {"ROKT_CALENDAR_CLIENT_ID": "", "ROKT_CALENDAR_CLIENT_SECRET": ""}
API = {"ROKT_ACCOUNT_ID": "1234", "ROKT_API_KEY": "rpub-1", "ROKT_API_SECRET": "a-secret-of-it"}
HASH = hashlib.sha256(b"ada@example.com").hexdigest()


def bought(**changes: Any) -> dict[str, Any]:
    """A whole conversion; ... takes a field away."""
    whole = {
        "email": "ada@example.com",
        "user_id": "u-1",
        "first_name": "Ada",
        "amount": "129.95",
        "currency": "USD",
        "conversion_type": "purchase",
        "transaction_id": "T-1",
        "confirmation_ref": "C-1",
    } | changes
    return {k: v for k, v in whole.items() if v is not ...}


@pytest.fixture
def bridge(start: Starter) -> Bridge:
    """Rokt's Event API is configured, though nothing listens there."""
    return start(ROKT_EVENTS_URL="http://127.0.0.1:9/v2", **EVENTS, **ALONE)


@pytest.fixture
def walked(start: Starter, rokt: SandboxUnderTest) -> Bridge:
    """In front of the sandbox, which stands in for mParticle too."""
    return start(sandbox=rokt, ROKT_EVENTS_URL=f"{rokt.url}/v2", **EVENTS, **ALONE)


def send(bridge: Bridge, body: Any, status: int = 202, **more: Any) -> Answer:
    answer = bridge.post(body, PATH, **more)
    assert answer.status == status, answer.body
    return answer


def would_leave(bridge: Bridge, body: Any) -> Any:
    """The body of the one call of a dry run."""
    [request] = send(bridge, body, 200, dry_run=1).body["requests"]
    return request["body"]


class TestOne:
    def test_it_is_answered_with_its_id_and_where_to_find_it(self, bridge: Bridge) -> None:
        answer = send(bridge, bought(), headers={"X-Request-Id": "of-the-caller"}, key="send")

        assert answer.body == {"id": answer.id, "state": "accepted", "request_id": "of-the-caller"}
        assert answer.headers["Location"] == f"/v1/messages/{answer.id}"
        message = bridge.message(answer.id)
        assert (message["destination"], message["action"]) == ("rokt_events", "conversion")
        assert (message["user_id"], message["event_id"]) == ("u-1", "C-1")
        assert message["payload"] == bought()

    def test_it_reaches_rokt_in_the_shape_of_its_guide(self, walked: Bridge) -> None:
        began = time.time()
        answer = send(walked, bought(event_time=...))
        walked.deliver()

        [call] = walked.sent()
        assert (call["method"], call["path"], call["status"]) == ("POST", "/v2/events", 202)
        [event] = call["body"]["events"]
        data = event["data"]
        assert uuid.UUID(data.pop("source_message_id")).version == 5
        assert began - 5 <= data.pop("timestamp_unixtime_ms") / 1000 <= time.time() + 5
        assert call["body"] == {
            "environment": "development",
            "user_identities": {"email": "ada@example.com", "customerid": "u-1"},
            "user_attributes": {"firstname": "Ada"},
            "events": [
                {
                    "event_type": "custom_event",
                    "data": {
                        "event_name": "conversion",
                        "custom_event_type": "transaction",
                        "custom_attributes": {
                            "amount": 129.95,
                            "currency": "USD",
                            "conversiontype": "purchase",
                            "transactionid": "T-1",
                            "confirmationref": "C-1",
                        },
                    },
                }
            ],
        }
        assert walked.message(answer.id)["state"] == "delivered"

    def test_a_slash_at_the_end_makes_no_difference(self, bridge: Bridge) -> None:
        assert bridge.post(bought(), f"{PATH}/").status == 202

    def test_a_key_without_send_is_refused(self, bridge: Bridge) -> None:
        assert bridge.post(bought(), PATH, key="read").status == 403
        assert bridge.post(bought(), PATH, key=None).status == 401

    def test_prefer_wait_tells_how_it_ended(self, walked: Bridge) -> None:
        with walked.working():
            answer = send(walked, bought(), 200, headers={"Prefer": "wait=20"})

        assert answer.body["state"] == "delivered"

    def test_who_has_no_address_is_refused_by_name(self, bridge: Bridge) -> None:
        answer = bridge.refuse(bought(email=...), PATH)

        assert answer.fields == ["email"]
        assert bridge.count() == 0

    def test_while_it_is_off_the_variables_are_named(self, start: Starter) -> None:
        answer = start(**ALONE).refuse(bought(), PATH, status=501)

        assert answer.says(
            "ROKT_EVENTS_POD", "ROKT_EVENTS_KEY", "ROKT_EVENTS_SECRET", "ROKT_EVENTS_ENVIRONMENT"
        )


class TestMany:
    @pytest.mark.parametrize("wraps", [list, lambda items: {"conversions": items}], ids=["bare", "named"])
    def test_each_has_a_verdict_at_its_place(self, bridge: Bridge, wraps: Any) -> None:
        items = [bought(), 7, bought(confirmation_ref="C-2", amount="much")]

        answer = send(bridge, wraps(items))

        good, number, wrong = answer.body["results"]
        assert good == {"index": 0, "id": good["id"]}
        assert number["errors"] == [{"field": "", "message": "must be an object in braces, not a number"}]
        assert [error["field"] for error in wrong["errors"]] == ["amount"]
        assert bridge.count() == 1

    def test_none_that_is_good_is_refused_with_the_places(self, bridge: Bridge) -> None:
        answer = bridge.refuse({"conversions": [bought(email=...), bought(amount="x")]}, PATH)

        assert answer.fields == ["[0].email", "[1].amount"]

    @pytest.mark.parametrize(
        ("body", "fields"),
        [
            ({"conversions": bought()}, ["conversions"]),
            ({"conversions": [bought()], "email": "a@b.c"}, ["email"]),
            ({"conversions": None}, ["conversions"]),
        ],
    )
    def test_a_list_that_is_none_is_refused(self, bridge: Bridge, body: Any, fields: list[str]) -> None:
        assert bridge.refuse(body, PATH).fields == fields

    @pytest.mark.parametrize("count", [0, 1_001])
    def test_a_list_has_from_one_to_a_thousand(self, bridge: Bridge, count: int) -> None:
        items = [{"email": f"u{n}@example.com"} for n in range(count)]

        assert bridge.refuse({"conversions": items}, PATH).says("from 1 to 1,000")

    def test_what_is_one_users_leaves_in_one_batch(self, start: Starter) -> None:
        bridge = start(ROKT_EVENTS_POD="us2", **EVENTS | {"BATCH_COUNT": "100"}, **ALONE)
        items = [
            bought(confirmation_ref="C-1"),
            bought(email="bob@example.com", confirmation_ref="C-2"),
            bought(confirmation_ref="C-3"),
        ]
        [request] = send(bridge, items, 200, dry_run=1).body["requests"]

        assert request["url"] == "https://s2s.us2.mparticle.com/v2/bulkevents"
        assert [
            (
                batch["user_identities"]["email"],
                [e["data"]["custom_attributes"]["confirmationref"] for e in batch["events"]],
            )
            for batch in request["body"]
        ] == [("ada@example.com", ["C-1", "C-3"]), ("bob@example.com", ["C-2"])]


class TestRepeats:
    def twice(self, bridge: Bridge, first: dict[str, Any], second: dict[str, Any], **more: Any) -> bool:
        """Whether the second is taken for the first."""
        its_id = send(bridge, first, **more).id
        answer = bridge.post(second, PATH, **more)
        assert answer.status in (200, 202), answer.body
        is_repeat = answer.status == 200
        assert is_repeat == (answer.id == its_id) == answer.body.get("is_repeat", False)
        return is_repeat

    @pytest.mark.parametrize(
        "changes",
        [{}, {"amount": 5}, {"transaction_id": "T-2"}, {"email": "bob@example.com"}, {"sku": "shirt"}],
        ids=str,
    )
    def test_the_confirmation_ref_decides_alone(self, bridge: Bridge, changes: dict[str, Any]) -> None:
        assert self.twice(bridge, bought(), bought(**changes))

    @pytest.mark.parametrize(
        ("changes", "is_repeat"),
        [
            ({}, True),
            ({"amount": 5, "event_time": ...}, True),
            ({"email": ..., "email_sha256": HASH}, True),
            ({"transaction_id": "T-2"}, False),
            ({"conversion_type": "renewal"}, False),
            ({"sku": "shirt"}, False),
            ({"email": "bob@example.com"}, False),
            ({"confirmation_ref": "C-1"}, False),
        ],
        ids=str,
    )
    def test_without_one_transaction_type_sku_and_user_decide(
        self, bridge: Bridge, changes: dict[str, Any], is_repeat: bool
    ) -> None:
        first = bought(confirmation_ref=...)

        assert (
            self.twice(bridge, first, {k: v for k, v in (first | changes).items() if v is not ...})
            == is_repeat
        )

    def test_without_both_nothing_is_a_repeat(self, bridge: Bridge) -> None:
        one = bought(confirmation_ref=..., transaction_id=...)

        assert not self.twice(bridge, one, one)

    def test_an_idempotency_key_goes_before_both(self, bridge: Bridge) -> None:
        one = bought(confirmation_ref=..., transaction_id=...)

        assert self.twice(bridge, one, one, headers={"Idempotency-Key": "k-1"})
        assert not self.twice(bridge, bought(idempotency_key="k-2"), bought(idempotency_key="k-3"))

    def test_a_key_that_users_share_is_counted_for_each(self, bridge: Bridge) -> None:
        one = bought(idempotency_key="k-1", confirmation_ref=...)

        assert not self.twice(bridge, one, one | {"email": "bob@example.com"})

    def test_the_keys_of_a_list_are_counted_for_each_place(self, bridge: Bridge) -> None:
        one = bought(confirmation_ref=..., transaction_id=...)
        body = {"conversions": [one, one]}

        first = send(bridge, body, headers={"Idempotency-Key": "k-1"}).body["results"]
        again = send(bridge, body, headers={"Idempotency-Key": "k-1"}).body["results"]

        assert len({result["id"] for result in first}) == 2
        assert again == [result | {"is_repeat": True} for result in first]

    def test_the_setting_makes_the_reference_of_the_transaction(self, start: Starter) -> None:
        bridge = start(ROKT_EVENTS_POD="us1", ROKT_CONFIRMATIONREF="transaction_id", **EVENTS, **ALONE)

        body = would_leave(bridge, bought(confirmation_ref=...))

        assert body["events"][0]["data"]["custom_attributes"]["confirmationref"] == "T-1"
        given = would_leave(bridge, bought())
        assert given["events"][0]["data"]["custom_attributes"]["confirmationref"] == "C-1"


class TestShown:
    def test_a_dry_run_shows_what_would_leave_and_keeps_nothing(self, start: Starter) -> None:
        bridge = start(ROKT_EVENTS_POD="eu1", **EVENTS, **ALONE)

        answer = send(bridge, bought(), 200, dry_run=1)

        [request] = answer.body["requests"]
        assert (request["method"], request["url"]) == ("POST", "https://s2s.eu1.mparticle.com/v2/events")
        assert "Authorization" not in request["headers"]
        assert bridge.count() == 0

    def test_a_test_send_of_braze_is_a_dry_run_that_says_so(self, bridge: Bridge) -> None:
        for body in (bought(dispatch_id=UNSENT), bought(idempotency_key=UNSENT + "u-1")):
            answer = send(bridge, body, 200)

            assert answer.body["dry_run"] is True
            assert "test" in answer.body["reason"]
        assert bridge.count() == 0

    def test_a_dry_run_of_what_is_wrong_is_refused_as_it_is(self, bridge: Bridge) -> None:
        assert bridge.refuse(bought(amount="much"), PATH, dry_run=1).fields == ["amount"]

    def test_exactly_that_leaves(self, walked: Bridge) -> None:
        at = (datetime.now(UTC) - timedelta(days=3)).isoformat()
        whole = bought(
            event_time=at, quantity="3", sku="shirt", click_id="c-9", hash=True, ip_address="172.3.51.182"
        )
        shown = would_leave(walked, whole)

        send(walked, whole)
        walked.deliver()

        [call] = walked.sent()
        for body in (shown, call["body"]):
            body["events"][0]["data"].pop("source_message_id")
        assert call["body"] == shown
        assert "ada@example.com" not in json.dumps(shown)
        assert "sku" not in shown["events"][0]["data"]["custom_attributes"]

    def test_what_is_to_be_hashed_is_not_kept_as_it_is(self, bridge: Bridge) -> None:
        answer = send(bridge, bought(hash=True))

        message = bridge.message(answer.id)
        assert message["payload"]["email"] == HASH
        assert "ada@example.com" not in json.dumps(message)


class TestTheOlderApi:
    def test_the_setting_sends_conversions_there(self, start: Starter, rokt: SandboxUnderTest) -> None:
        bridge = start(
            sandbox=rokt,
            ROKT_CONVERSIONS="v2",
            ROKT_API_URL=f"{rokt.url}/api.rokt.com",
            BATCH_COUNT="1",
            **API,
            **ALONE,
        )

        answer = send(bridge, bought())
        bridge.deliver()

        [call] = bridge.sent()
        assert call["path"] == "/api.rokt.com/v2/events"
        [event] = call["body"]["events"]
        assert {"name": "transactionid", "value": "T-1"} in event["objectData"]
        message = bridge.message(answer.id)
        assert (message["destination"], message["state"]) == ("rokt_api_v2", "delivered")
        assert send(bridge, bought(), 200).body["is_repeat"]

    def test_a_dry_run_shows_that_form(self, start: Starter) -> None:
        bridge = start(ROKT_CONVERSIONS="v2", **API, **ALONE)

        assert would_leave(bridge, bought())["accountId"] == "1234"

    def test_its_own_variables_are_named(self, start: Starter) -> None:
        answer = start(ROKT_CONVERSIONS="v1", **EVENTS, ROKT_EVENTS_POD="us1", **ALONE).refuse(
            bought(), PATH, status=501
        )

        assert answer.says("ROKT_APP_ID", "ROKT_APP_SECRET")

    def test_what_it_does_not_take_is_refused_here(self, start: Starter) -> None:
        bridge = start(ROKT_CONVERSIONS="v2", **API, **ALONE)

        assert bridge.refuse(bought(attributes={"rokt.x": 1}), PATH).fields == ["attributes"]
        assert bridge.count() == 0
