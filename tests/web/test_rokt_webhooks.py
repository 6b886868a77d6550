"""POST /v1/rokt/webhooks/…: Rokt's calls are known by their path, durable before their 200, and repeats of none."""

from __future__ import annotations

import json
import traceback
from typing import Any

import pytest
import sqlalchemy as sa
from servers import SandboxUnderTest
from web.running import Answer, Bridge, Starter, check_problem

from bridge.database import Database
from bridge.outbox.enqueue import Inbox
from bridge.outbox.tables import bodies

SECRET, NEW_SECRET = "a-secret-of-rokts-webhook", "the-one-that-follows-it"
HOOK = f"/v1/rokt/webhooks/{SECRET}"
ID = "0f1d5918-052d-4915-89a7-8cc9c4d33492"
ALONE = {"ROKT_CALENDAR_CLIENT_ID": "", "ROKT_CALENDAR_CLIENT_SECRET": ""}
ENVIRON = {
    "ROKT_WEBHOOK_SECRET": f"{SECRET}, {NEW_SECRET}",
    "BRAZE_REST_URL": "http://127.0.0.1:9",
    "BRAZE_API_KEY": "a-braze-key",
    "BATCH_COUNT": "1",
}
# As on Rokt's page, commas before closing brackets included.
SAMPLE = b"""{
  "eventId": "%s",
  "eventType": "Subscribe",
  "eventDetails": {
    "actionType": "SubscriptionViaCalendarPage",
    "accountId": "0b98ef2c-f739-45f1-81e3-b2def2bb868f",
    "accountName": "Your Account, Inc",
    "accountCode": "your-account",
    "subscription": {
      "calendarSubscriptionId": "0f1d5918-052d-4915-89a7-8cc9c4d33492",
      "calendarId": "4a2d4acb-bd05-e511-af43-067f1c947754",
      "calendarTitle": "My ,} Calendar",
      "calendarCode": "my-sports-calendar",
      "subscriptionMethod": "Google",
      "subscriberId": "u-1",
      "emailAddress": "ada@example.com",
      "calendarTags": [{"tagId": "6513319e", "tagName": "Hawks",},],
    },
  },
}"""


def sample(event_id: str = "e-1") -> bytes:
    return SAMPLE % event_id.encode()


def webhook(
    event_type: str = "Subscribe", event_id: str | None = "e-1", **subscription: Any
) -> dict[str, Any]:
    details = {"accountCode": "your-account", "subscription": {"calendarSubscriptionId": ID, **subscription}}
    whole = {"eventId": event_id, "eventType": event_type, "eventDetails": details}
    return {name: value for name, value in whole.items() if value is not None}


class Log:
    """Keeps what is logged, tracebacks too."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, event: str, **more: Any) -> None:
        self.lines.append(f"{event} {more}")

    warning = info

    def exception(self, event: str, **more: Any) -> None:
        self.lines.append(f"{event} {more} {traceback.format_exc()}")


@pytest.fixture
def bridge(start: Starter) -> Bridge:
    """Braze is configured, though nothing listens there; Rokt Calendar is not."""
    return start(**ENVIRON, **ALONE)


def rokt_sends(bridge: Bridge, body: Any, path: str = HOOK, status: int = 200) -> Answer:
    answer = bridge.post(body, path, key=None)
    assert answer.status == status, answer.body
    return answer


class TestTheSecret:
    @pytest.mark.parametrize(
        "path",
        [
            HOOK,
            f"{HOOK}/",
            f"{HOOK}//",
            f"/v1/rokt/webhooks//{SECRET}",
            f"/v1/rokt/webhooks/{NEW_SECRET}",
            f"{HOOK}?x=1",
        ],
    )
    def test_each_of_them_opens_with_and_without_slashes(self, bridge: Bridge, path: str) -> None:
        rokt_sends(bridge, webhook(), path)

    @pytest.mark.parametrize(
        "given",
        [
            "wrong",
            "",
            "/",
            SECRET[:-1],
            SECRET + "x",
            SECRET.upper(),
            f"{SECRET}/x",
            f"x/{SECRET}",
            "%00",
            "ä",
        ],
    )
    def test_anything_else_is_401_and_kept_nowhere(self, bridge: Bridge, given: str) -> None:
        answer = bridge.refuse(webhook(), f"/v1/rokt/webhooks/{given}", key=None, status=401)

        assert SECRET not in json.dumps(answer.body)
        assert bridge.count() == 0

    def test_a_key_of_the_bridge_does_not_open_it(self, bridge: Bridge) -> None:
        bridge.refuse(webhook(), "/v1/rokt/webhooks/wrong", key="all", status=401)
        bridge.refuse(webhook(), "/v1/rokt/webhooks", key="all", status=401)

    def test_what_only_begins_like_its_path_is_nothing(self, bridge: Bridge) -> None:
        bridge.refuse(webhook(), f"/v1/rokt/webhooks-{SECRET}", key=None, status=404)

    def test_other_methods_are_none_of_it(self, bridge: Bridge) -> None:
        answer = bridge.call("GET", HOOK, key=None)

        assert answer.status == 405
        check_problem(answer)
        assert bridge.call("OPTIONS", "/v1/rokt/webhooks/wrong", key=None).status == 401

    def test_without_one_the_webhook_is_off(self, start: Starter) -> None:
        bridge = start(**{**ENVIRON, "ROKT_WEBHOOK_SECRET": ""})

        assert bridge.refuse(webhook(), HOOK, key=None, status=501).says("ROKT_WEBHOOK_SECRET")

    def test_while_braze_is_off_it_is_too_unless_only_the_ledger_is_kept(self, start: Starter) -> None:
        off = {**ENVIRON, **ALONE, "BRAZE_REST_URL": "", "BRAZE_API_KEY": ""}

        answer = start(**off).refuse(webhook(), HOOK, key=None, status=501)
        assert answer.says("BRAZE_REST_URL", "BRAZE_API_KEY")
        assert rokt_sends(start(**off, BRAZE_SYNC="off"), webhook()).body["state"] == "skipped"

    def test_it_stands_in_no_log_no_answer_and_no_payload(
        self, bridge: Bridge, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def odd(self: Inbox, request: Any) -> None:
            raise RuntimeError("odd")

        log = Log()
        for module in ("answered", "problems"):
            monkeypatch.setattr(f"bridge.web.{module}.log", log)
        shown = [rokt_sends(bridge, webhook()), rokt_sends(bridge, b"{", status=400)]
        shown.append(rokt_sends(bridge, webhook("Subscribe", "e-2", calendarSubscriptionId="")))
        shown.append(rokt_sends(bridge, [], status=422))
        shown.append(bridge.call("GET", HOOK, key=None))
        with monkeypatch.context() as patch:
            patch.setattr(Inbox, "accept", odd)
            shown.append(rokt_sends(bridge, webhook(), status=500))
        for answer in shown:
            assert SECRET not in json.dumps([answer.body, dict(answer.headers)])
        with bridge.database.read() as connection:
            stored = connection.execute(sa.select(bodies.c.payload, bodies.c.request)).all()
        assert SECRET not in str(stored)
        told = [line.partition(" ")[0] for line in log.lines]
        assert told == ["request.answered"] * 5 + ["request.failed", "request.answered"]
        assert SECRET not in str(log.lines)
        assert SECRET not in repr(bridge.settings)


class TestWhatItTakes:
    def test_rokts_sample_with_its_slips_is_durable_before_the_answer(self, bridge: Bridge) -> None:
        answer = rokt_sends(bridge, sample())

        assert answer.body == {
            "id": answer.id,
            "state": "accepted",
            "request_id": answer.headers["X-Request-Id"],
        }
        message = bridge.message(answer.id)
        assert (message["destination"], message["action"], message["user_id"]) == (
            "braze",
            "subscribe",
            "u-1",
        )
        assert message["payload"]["eventDetails"]["subscription"]["calendarTitle"] == "My ,} Calendar"
        assert message["request"]["identifier"] == "external_id:u-1"

    def test_it_arrives_in_braze(self, start: Starter, rokt: SandboxUnderTest) -> None:
        bridge = start(sandbox=rokt, **{**ENVIRON, **ALONE, "BRAZE_REST_URL": rokt.url})
        answer = rokt_sends(bridge, sample())
        bridge.deliver()

        [call] = bridge.sent()
        assert call["path"] == "/users/track"
        assert call["body"]["attributes"][0] == {
            "external_id": "u-1",
            "rokt:account_code": {"add": ["your-account/8cc9c4d33492"]},
            "rokt:account_id": {"add": ["0b98ef2c-f739-45f1-81e3-b2def2bb868f/8cc9c4d33492"]},
            "rokt:account_name": {"add": ["Your Account, Inc/8cc9c4d33492"]},
            "rokt:calendar_code": {"add": ["my-sports-calendar/8cc9c4d33492"]},
            "rokt:calendar_id": {"add": ["4a2d4acb-bd05-e511-af43-067f1c947754/8cc9c4d33492"]},
            "rokt:calendar_title": {"add": ["My ,} Calendar/8cc9c4d33492"]},
            "rokt:subscriber_email": {"add": ["ada@example.com/8cc9c4d33492"]},
            "rokt:subscription_id": {"add": [ID]},
            "rokt:subscription_method": {"add": ["Google/8cc9c4d33492"]},
            "rokt:tags": {"add": ["Hawks/8cc9c4d33492"]},
        }
        [event] = call["body"]["events"]
        assert (event["name"], event["properties"]["event_key"]) == ("subscribe", answer.id)

    def test_what_it_leaves_out_is_asked_of_rokt_first(self, start: Starter) -> None:
        bridge = start(**ENVIRON)

        message = bridge.message(rokt_sends(bridge, webhook()).id)

        assert (message["destination"], message["action"]) == ("rokt_calendar", "look_up")

    @pytest.mark.parametrize(
        ("body", "state", "reason"),
        [
            (webhook("Test"), "skipped", "a test of Rokt's dashboard"),
            (webhook("SubscriptionEventAdded"), "skipped", "kept as a fact: no subscriber changes by it"),
            (webhook("SomethingNew"), "skipped", "kept as a fact: no subscriber changes by it"),
            (
                {"eventType": "Subscribe"},
                "dead",
                "no subscription id: eventDetails has no calendarSubscriptionId",
            ),
            ({}, "dead", "no subscription id: eventDetails has no calendarSubscriptionId"),
            (webhook("Subscribe"), "skipped", "no identifier: "),
        ],
    )
    def test_everything_with_the_secret_is_kept(
        self, bridge: Bridge, body: dict[str, Any], state: str, reason: str
    ) -> None:
        answer = rokt_sends(bridge, body)

        message = bridge.message(answer.id)
        assert (answer.body["state"], message["state"]) == (state, state)
        assert message["reason"].startswith(reason)
        assert message["destination"] == "braze"
        assert message["payload"] == body
        assert message["is_test"] == (body.get("eventType") == "Test")

    @pytest.mark.parametrize("body", [webhook("Test"), {"eventType": "Subscribe"}, webhook("SomethingNew")])
    def test_what_is_only_kept_cannot_be_replayed_and_says_so(
        self, bridge: Bridge, body: dict[str, Any]
    ) -> None:
        kept = rokt_sends(bridge, body)

        for query in ({}, {"render": "current"}):
            answer = bridge.post(None, f"/v1/messages/{kept.id}/replay", **query)
            assert answer.status == 422
            check_problem(answer)

    def test_odd_letters_do_no_harm(self, start_on_both: Starter) -> None:
        bridge = start_on_both(**ENVIRON, **ALONE)
        odd = 'a\x00b\\ud800c"'

        for number, body in enumerate(
            [
                webhook("Subscribe", "e-1", subscriberId=odd, emailAddress=odd, calendarTags=[odd]),
                webhook("Subscribe", "e-2", calendarSubscriptionId=odd),
                webhook(odd, odd),
                {
                    "eventType": "SubscriptionEventAdded",
                    "eventDetails": {"subscriptionEvent": {"eventId": odd}},
                },
            ]
        ):
            raw = json.dumps(body).replace("\\\\ud800", "\\ud800").encode()
            assert rokt_sends(bridge, raw).id, number
        assert bridge.count() == 4
        assert bridge.call("GET", "/v1/messages").status == 200

    @pytest.mark.parametrize(
        ("body", "status"), [(b"", 400), (b'{"a":,}', 400), (b'{"a": 1', 400), (b"[]", 422), (b"\xff", 400)]
    )
    def test_what_is_no_object_is_refused(self, bridge: Bridge, body: bytes, status: int) -> None:
        check_problem(rokt_sends(bridge, body, status=status))
        assert bridge.count() == 0

    def test_the_commas_are_forgiven_here_alone(self, bridge: Bridge) -> None:
        bridge.refuse(b'{"action": "subscribe",}', "/v1/subscribers", status=400)

    def test_503_makes_rokt_send_it_again(self, bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
        def gone(self: Database) -> None:
            raise sa.exc.OperationalError("COMMIT", {}, Exception("gone"))

        with monkeypatch.context() as patch:
            patch.setattr(Database, "write", gone)
            bridge.refuse(sample(), HOOK, key=None, status=503)

        assert rokt_sends(bridge, sample()).body["state"] == "accepted"


class TestRepeats:
    def test_the_same_event_id_is_answered_with_the_first_message(self, bridge: Bridge) -> None:
        first = rokt_sends(bridge, sample())
        again = rokt_sends(bridge, sample())

        assert again.body == {
            "id": first.id,
            "state": "accepted",
            "request_id": again.headers["X-Request-Id"],
            "is_repeat": True,
        }
        assert bridge.count() == 1

    def test_it_is_one_through_either_secret_and_whatever_else_it_says(self, bridge: Bridge) -> None:
        first = rokt_sends(bridge, sample())

        again = rokt_sends(bridge, webhook("subscribe", "e-1"), f"/v1/rokt/webhooks/{NEW_SECRET}")

        assert again.id == first.id

    def test_rokts_samples_share_one_id_over_all_types(self, bridge: Bridge) -> None:
        types = ("Subscribe", "SubscriptionDetailsUpdated", "Unsubscribe", "SubscriptionEventAdded")

        ids = {rokt_sends(bridge, webhook(one, subscriberId="u-1")).id for one in types}

        assert len(ids) == 4

    def test_without_an_id_only_the_same_bytes_as_the_latest_are_one(self, bridge: Bridge) -> None:
        begins = webhook("Subscribe", None, subscriberId="u-1")
        ends = webhook("Unsubscribe", None, subscriberId="u-1")

        first, again, end, anew = (rokt_sends(bridge, body) for body in (begins, begins, ends, begins))

        assert again.body["is_repeat"] is True
        assert len({first.id, end.id, anew.id}) == 3

    def test_a_test_is_never_one(self, bridge: Bridge) -> None:
        first, again = rokt_sends(bridge, webhook("Test")), rokt_sends(bridge, webhook("Test"))

        assert first.id != again.id
        assert "is_repeat" not in again.body
