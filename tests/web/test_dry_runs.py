"""What is shown and not sent: dry runs, and Braze's test sends."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from servers import SandboxUnderTest
from web.running import (
    DOUBLED,
    ID,
    SALE,
    THIRD_ID,
    TWO_ACCOUNTS,
    UNSENT,
    Bridge,
    Starter,
    eastern,
    literal,
    sale,
)

from bridge.outbox.tables import waiting


class TestDryRuns:
    CREATED = (literal(), literal(user_id="u2", **TWO_ACCOUNTS))

    @pytest.mark.parametrize("update_body", ["wrapped", "flat"])
    @pytest.mark.parametrize(
        "body",
        [
            literal(event__event_id="new"),
            literal(event__event_id="new", **TWO_ACCOUNTS),
            sale(),
            literal(),
            literal(event__title="changed"),
            literal(subscription_ids=[ID, THIRD_ID]),
            literal(action="upsert", subscription_ids=[ID, THIRD_ID], event__title="changed"),
            literal(action="update", event={"event_id": "e1", "location": "there"}, account_code=...),
            literal(action="update", event={"event_id": "e1", "location": "there"}, user_id="u2"),
            literal(action="upsert", event={"event_id": "e1", "end": "2090-12-01T11:00"}),
            literal(action="delete", event={"event_id": "e1"}),
            {"action": "delete", "event_id": "e1", "user_id": "u2"},
            literal(event__timezone="America/Vancouver", event__start="2027-01-15T12:00"),
        ],
        ids=range(13),
    )
    def test_a_dry_run_shows_exactly_what_the_worker_then_sends(
        self, start: Starter, rokt: SandboxUnderTest, body: dict[str, Any], update_body: str
    ) -> None:
        bridge = start(sandbox=rokt, ROKT_CALENDAR_UPDATE_BODY=update_body)
        for one in self.CREATED:
            bridge.accept(one)
        bridge.deliver()
        before = len(bridge.sent())

        dry = bridge.post(body, dry_run="1", headers={"X-Request-Id": "r-1"})
        real = bridge.post(body, headers={"X-Request-Id": "r-1"})
        bridge.deliver()

        assert (dry.status, dry.body["dry_run"]) == (200, True)
        sent = sorted(map(self.as_dry_run, bridge.sent()[before:]), key=json.dumps)
        if real.body.get("is_repeat"):  # the very request that made the event: nothing is sent for it again
            sent = dry.body["requests"]
        assert sorted(dry.body["requests"], key=json.dumps) == sent
        assert bridge.sandbox is not None
        assert all(call["status"] == 202 for call in bridge.sent())

    @staticmethod
    def as_dry_run(call: dict[str, Any]) -> dict[str, Any]:
        """A call of the sandbox's record, without what HTTP itself adds."""
        names = {
            "accept": "Accept",
            "content-type": "Content-Type",
            "user-agent": "User-Agent",
            "x-request-id": "X-Request-Id",
        }
        known = {"host", "accept-encoding", "content-length", "authorization", "connection", *names}
        assert call["headers"].keys() <= known
        host = call["headers"]["host"]
        return {
            "method": call["method"],
            "url": f"http://{host}{call['path']}",
            "headers": {names[name]: text for name, text in call["headers"].items() if name in names},
            "body": call["body"] or None,
        }

    def test_a_dry_run_keeps_and_sends_nothing(self, walked: Bridge) -> None:
        for flag in ("1", "true", "TRUE", "yes"):
            assert walked.post(literal(), dry_run=flag).body["dry_run"] is True
        walked.deliver()

        assert walked.count() == 0
        assert walked.sandbox is not None
        assert walked.sandbox.calls() == []

    @pytest.mark.parametrize("flag", ["maybe", "on!", "2"])
    def test_a_dry_run_that_is_neither_yes_nor_no_sends_nothing(self, bridge: Bridge, flag: str) -> None:
        assert bridge.refuse(literal(), path=f"/v1/calendar/events?dry_run={flag}").fields == ["dry_run"]
        assert bridge.count() == 0

    @pytest.mark.parametrize("name", ["dryrun", "dry-run", "Dry_Run", "dry_rum", "dryRun"])
    def test_a_slip_in_its_name_sends_nothing(self, bridge: Bridge, name: str) -> None:
        answer = bridge.refuse(literal(), path=f"/v1/calendar/events?{name}=1")

        assert answer.fields == [name]
        assert answer.says("did you mean dry_run?")

    def test_no_dry_run_is_no_dry_run(self, bridge: Bridge) -> None:
        for number, flag in enumerate(("0", "false", "no")):
            assert bridge.post(literal(user_id=f"u{number}"), dry_run=flag).status == 202

    def test_a_dry_run_of_a_partial_update_counts_with_what_still_waits(self, walked: Bridge) -> None:
        walked.accept(literal(event__location="here"))
        partial = {"action": "update", "user_id": "u1", "event": {"event_id": "e1", "title": "New"}}

        dry = walked.post(partial, dry_run="1")
        walked.accept(partial)
        walked.deliver()

        assert dry.status == 200, dry.body
        assert [request["body"] for request in dry.body["requests"]] == [walked.sent()[-1]["body"]]

    def test_what_waits_for_others_changes_no_dry_run(self, bridge: Bridge) -> None:
        bridge.accept(literal(user_id="u2"))
        bridge.accept(literal(event__event_id="e2"))

        [request] = bridge.post(literal(), dry_run="1").body["requests"]

        assert request["body"] == {"event": eastern(), "subscriptionIds": [ID]}

    def test_a_dry_run_says_why_nothing_would_leave(self, bridge: Bridge) -> None:
        answer = bridge.post(sale(variables=SALE | {"discount": "1"}), dry_run="1")

        assert answer.body["requests"] == []
        assert answer.body["reason"] == "discount under 5 %"

    def test_a_dry_run_of_what_stands_there_already_says_so(self, walked: Bridge) -> None:
        walked.accept(literal())
        waiting = walked.post(literal(), dry_run="1")
        walked.deliver()
        standing = walked.post(literal(action="upsert"), dry_run="1")

        for answer in (waiting, standing):
            assert answer.body["requests"] == []
            assert "exactly so already" in answer.body["reason"]

    def test_a_dry_run_tells_the_warnings(self, bridge: Bridge) -> None:
        answer = bridge.post(literal(event__start=DOUBLED), dry_run="1")

        assert any("exists twice" in warning for warning in answer.body["warnings"])

    def test_what_a_template_refuses_in_a_dry_run_is_not_kept(self, bridge: Bridge) -> None:
        answer = bridge.refuse(sale(template="nothing"), path="/v1/calendar/events?dry_run=1")

        assert "id" not in answer.body
        assert bridge.count() == 0

    def test_a_drop_in_has_dry_runs_too(self, bridge: Bridge) -> None:
        body = {"event": eastern(notifyBefore="15"), "subscriptionIds": [ID]}

        answer = bridge.post(body, "/v1/subscriptionevent/brazetest", dry_run="1")

        assert answer.body["requests"][0]["body"] == {"event": eastern(), "subscriptionIds": [ID]}


class TestTestSends:
    MARKED: tuple[tuple[dict[str, str], dict[str, str]], ...] = (
        ({"dispatch_id": UNSENT}, {}),
        ({"idempotency_key": f"m-1-{UNSENT}"}, {}),
        ({}, {"Idempotency-Key": f"m-1-{UNSENT}"}),
        ({"idempotency_key": "m-1"}, {"Idempotency-Key": f"m-1-{UNSENT}"}),
    )

    @pytest.mark.parametrize(("fields", "headers"), MARKED)
    def test_a_test_reaches_the_teams_own_subscriptions_and_says_the_outcome(
        self, start: Starter, rokt: SandboxUnderTest, fields: dict[str, str], headers: dict[str, str]
    ) -> None:
        bridge = start(sandbox=rokt, TEST_SUBSCRIPTIONS=f"{ID.upper()}, s-9")

        with bridge.working():
            answer = bridge.post(literal(subscription_ids=[ID, THIRD_ID], **fields), headers=headers)

        assert (answer.status, answer.body["state"]) == (200, "delivered"), answer.body
        assert answer.body["attempts"][0]["status"] == 202
        [call] = bridge.sent()
        assert call["body"] == {"event": eastern(title="[TEST] T"), "subscriptionIds": [ID]}

    @pytest.mark.parametrize("team", ["", "s-9"])
    @pytest.mark.parametrize("body", [literal(), sale(), literal(action="update"), literal(action="upsert")])
    def test_a_test_of_anybody_else_is_a_dry_run_that_says_so(
        self, start: Starter, rokt: SandboxUnderTest, body: dict[str, Any], team: str
    ) -> None:
        bridge = start(sandbox=rokt, TEST_SUBSCRIPTIONS=team)

        answer = bridge.post(body | {"dispatch_id": UNSENT})
        bridge.deliver()

        assert (answer.status, answer.body["dry_run"]) == (200, True)
        assert "TEST_SUBSCRIPTIONS" in answer.body["reason"]
        real = bridge.post(body, dry_run="1")
        assert [r["body"] for r in answer.body["requests"]] == [r["body"] for r in real.body["requests"]]
        assert len(answer.body["requests"]) == 1
        assert bridge.count() == 0
        assert rokt.calls() == []

    def test_a_test_of_a_partial_update_is_whole_though_nothing_has_left_yet(
        self, start: Starter, rokt: SandboxUnderTest
    ) -> None:
        bridge = start(sandbox=rokt, TEST_SUBSCRIPTIONS=ID)
        bridge.accept(literal())
        with bridge.database.write() as connection:
            connection.execute(sa.update(waiting).values(due_at=datetime.now(UTC) + timedelta(days=1)))

        with bridge.working():
            partial = literal(action="update", event={"event_id": "e1", "title": "New"}, dispatch_id=UNSENT)
            answer = bridge.post(partial)

        assert answer.body["state"] == "delivered"
        assert bridge.sent()[-1]["body"] == {"event": eastern(title="[TEST] New"), "subscriptionIds": [ID]}

    def test_a_test_of_a_drop_in_is_known_by_its_header(self, start: Starter, rokt: SandboxUnderTest) -> None:
        bridge = start(sandbox=rokt, TEST_SUBSCRIPTIONS=ID)
        body = {"event": eastern(), "subscriptionIds": [ID]}

        with bridge.working():
            answer = bridge.post(body, "/v1/subscriptionevent/brazetest", headers={"Idempotency-Key": UNSENT})

        assert answer.body["state"] == "delivered"
        assert bridge.sent()[0]["body"]["event"]["title"] == "[TEST] T"

    def test_a_test_is_never_taken_for_the_events_state(self, start: Starter, rokt: SandboxUnderTest) -> None:
        bridge = start(sandbox=rokt, TEST_SUBSCRIPTIONS=ID)
        with bridge.working():
            bridge.post(literal(dispatch_id=UNSENT, as_of=10))
        before = len(bridge.sent())

        bridge.accept(literal(action="upsert", as_of=9))
        bridge.deliver()

        [call] = bridge.sent()[before:]
        assert call["body"] == {"event": eastern(), "subscriptionIds": [ID]}

    def test_a_test_is_never_taken_for_a_repeat(self, start: Starter, rokt: SandboxUnderTest) -> None:
        bridge = start(sandbox=rokt, TEST_SUBSCRIPTIONS=ID)

        with bridge.working():
            first = bridge.post(literal(idempotency_key=UNSENT))
            second = bridge.post(literal(idempotency_key=UNSENT))

        assert first.id != second.id
        assert len(bridge.sent()) == 2

    def test_a_test_that_a_template_refuses_is_told_and_not_kept(self, bridge: Bridge) -> None:
        for wrong in (sale(template="nothing"), sale(variables={}), sale(variables=SALE | {"vip": "maybe"})):
            for fields, headers in self.MARKED:
                assert "id" not in bridge.refuse(wrong | fields, headers=headers).body

        assert bridge.count() == 0

    def test_a_test_tells_the_warnings(self, start: Starter, rokt: SandboxUnderTest) -> None:
        bridge = start(sandbox=rokt, TEST_SUBSCRIPTIONS=ID)

        with bridge.working():
            answer = bridge.post(literal(dispatch_id=UNSENT, event__start=DOUBLED))

        assert any("exists twice" in warning for warning in answer.body["warnings"])

    def test_a_test_that_is_skipped_says_why(self, bridge: Bridge) -> None:
        answer = bridge.post(sale(variables=SALE | {"discount": "1"}, dispatch_id=UNSENT))

        assert answer.status == 200
        assert answer.body["reason"] == "discount under 5 %"

    def test_a_test_of_a_delete_reaches_nobody_but_the_team(
        self, start: Starter, rokt: SandboxUnderTest
    ) -> None:
        bridge = start(sandbox=rokt, TEST_SUBSCRIPTIONS=ID)
        bridge.sends(literal(subscription_ids=[ID, THIRD_ID]))

        for_all = bridge.post({"action": "delete", "user_id": "u1", "event_id": "e1", "dispatch_id": UNSENT})
        assert for_all.body["dry_run"] is True
        with bridge.working():
            bridge.post(literal(action="delete", subscription_ids=[ID, THIRD_ID], dispatch_id=UNSENT))

        assert [call["path"] for call in bridge.sent()[1:]] == [
            f"/v2/subscription/brazetest/{ID}/subscriptionevent/e1_u1"
        ]

    def test_a_real_dispatch_is_no_test(self, bridge: Bridge) -> None:
        assert bridge.post(literal(dispatch_id="5f1c", idempotency_key="m-1-5f1c")).status == 202
