"""/v1/events: events for Rokt's older API, one or many, what leaves for them, and Rokt's own body of it."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from servers import SandboxUnderTest
from web.running import UNSENT, Answer, Bridge, Starter, check_problem

from bridge.sandbox.rokt_api import HOST

PATH = "/v1/events"
KEY = {"ROKT_ACCOUNT_ID": "1234", "ROKT_API_KEY": "rpub-1", "ROKT_API_SECRET": "rsec-a-secret"}
APP = {"ROKT_ACCOUNT_ID": "1234", "ROKT_APP_ID": "app-1", "ROKT_APP_SECRET": "an-app-secret"}
BOTH = KEY | APP
ALONE = {"ROKT_CALENDAR_CLIENT_ID": "", "ROKT_CALENDAR_CLIENT_SECRET": ""}
NOWHERE = {"ROKT_API_URL": "http://127.0.0.1:9"}
AN_HOUR_AGO = datetime.now(UTC) - timedelta(hours=1)
AT = AN_HOUR_AGO.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def event(**changes: Any) -> dict[str, Any]:
    """A whole event; ... takes a field away."""
    whole = {"email": "ada@example.com", "amount": "129.95"} | changes
    return {k: v for k, v in whole.items() if v is not ...}


def rokts(its_id: str = "e-1", **changes: Any) -> dict[str, Any]:
    """An event of Rokt's own body."""
    return {
        "clientEventId": its_id,
        "eventType": "conversion",
        "eventTime": AT,
        "objectData": [{"name": "email", "value": "ada@example.com"}],
    } | changes


def rokts_body(*events: Any, account: str = "1234") -> dict[str, Any]:
    return {"accountId": account, "events": list(events) or [rokts()]}


@pytest.fixture
def bridge(start: Starter) -> Bridge:
    """Both versions are configured, though nothing listens there."""
    return start(**BOTH, **NOWHERE, **ALONE)


@pytest.fixture
def walked(start: Starter, rokt: SandboxUnderTest) -> Bridge:
    return start(sandbox=rokt, ROKT_API_URL=rokt.url + HOST, BATCH_AGE="1s", **BOTH, **ALONE)


def send(bridge: Bridge, body: Any, status: int = 202, path: str = PATH, **more: Any) -> Answer:
    answer = bridge.post(body, path, **more)
    assert answer.status == status, answer.body
    return answer


def taken(sandbox: SandboxUnderTest) -> list[Any]:
    """The events that stand at Rokt."""
    status, found = sandbox.ask("GET", "/sandbox/events")
    assert status == 200
    return list(found)


class TestOne:
    def test_it_is_answered_with_its_id_and_goes_to_the_second_version(self, bridge: Bridge) -> None:
        answer = send(bridge, event(user_id="u-1", event_id="e-1"), key="send")

        assert answer.body == {
            "id": answer.id,
            "state": "accepted",
            "request_id": answer.headers["X-Request-Id"],
        }
        assert answer.headers["Location"] == f"/v1/messages/{answer.id}"
        message = bridge.message(answer.id)
        assert (message["destination"], message["action"]) == ("rokt_api_v2", "event")
        assert (message["user_id"], message["event_id"]) == ("u-1", "e-1")
        assert message["payload"] == event(user_id="u-1", event_id="e-1")

    @pytest.mark.parametrize("version", ["V2", "v1"])
    def test_it_reaches_rokt_in_the_version_that_it_names(
        self, walked: Bridge, rokt: SandboxUnderTest, version: str
    ) -> None:
        began = datetime.now(UTC).replace(microsecond=0)
        answer = send(walked, event(version=version, meta_data={"source": "braze"}))
        walked.deliver()

        assert walked.message(answer.id)["state"] == "delivered"
        *_, call = rokt.calls(HOST)
        assert call["path"] == f"{HOST}/{version.lower()}/events"
        [arrived] = taken(rokt)
        assert uuid.UUID(arrived["clientEventId"]).version == 4
        assert began <= datetime.fromisoformat(arrived["eventTime"]) <= datetime.now(UTC)
        assert arrived["objectData"] == [
            {"name": "email", "value": "ada@example.com"},
            {"name": "amount", "value": "129.95"},
        ]
        assert arrived["metaData"] == [{"name": "source", "value": "braze"}]

    def test_whoever_waits_is_told_what_became_of_it(self, walked: Bridge) -> None:
        with walked.working():
            answer = send(walked, event(), 200, headers={"Prefer": "wait=20"})

        assert (answer.body["state"], answer.body["attempts"][0]["status"]) == ("delivered", 200)

    def test_what_rokt_does_not_process_is_dead_with_its_words(
        self, walked: Bridge, rokt: SandboxUnderTest
    ) -> None:
        error = {"code": "ValidationError", "message": "amount is wrong"}
        refusal = {"data": {"unprocessedRecords": [{"error": error, "record": {"clientEventId": "e-1"}}]}}
        rokt.fault(path=f"{HOST}/v2", times=1, status=200, body=refusal)
        answer = send(walked, event(event_id="e-1"))
        walked.deliver()

        message = walked.message(answer.id)
        assert message["state"] == "dead"
        assert message["reason"] == "Rokt did not process it: ValidationError: amount is wrong"

    @pytest.mark.parametrize(
        ("changes", "field"),
        [({"email": ...}, "email"), ({"event_time": "2020-01-01T00:00:00Z"}, "event_time"), ({"x": 1}, "x")],
    )
    def test_what_is_wrong_is_refused_by_name_and_not_kept(
        self, bridge: Bridge, changes: dict[str, Any], field: str
    ) -> None:
        answer = bridge.refuse(event(**changes), PATH)

        assert answer.fields == [field]
        assert bridge.count() == 0

    @pytest.mark.parametrize("body", ["text", 1, True])
    def test_it_is_an_object_or_a_list(self, bridge: Bridge, body: Any) -> None:
        assert bridge.refuse(body, PATH).says("an object in braces, or a list")

    @pytest.mark.parametrize("key", ["read", "operate", "templates"])
    def test_it_needs_a_key_that_may_send(self, bridge: Bridge, key: str) -> None:
        bridge.refuse(event(), PATH, status=403, key=key)
        bridge.refuse(event(), PATH, status=401, key=None)

    def test_who_asks_for_a_hash_leaves_no_address_behind(self, bridge: Bridge) -> None:
        answer = send(bridge, event(email="ada@example.com", hash=True))

        assert "ada@" not in str(bridge.message(answer.id))

    def test_any_letter_is_kept_and_arrives(self, start_on_both: Starter, rokt: SandboxUnderTest) -> None:
        bridge = start_on_both(sandbox=rokt, ROKT_API_URL=rokt.url + HOST, BATCH_COUNT="1", **KEY, **ALONE)
        said = "nul \x00 half \ud83d tab \t 日本"
        send(bridge, event(object_data={"note": said}))
        bridge.deliver()

        [arrived] = taken(rokt)
        assert arrived["objectData"][-1]["value"].endswith("tab \t 日本")


class TestMany:
    def test_a_list_goes_to_the_first_version_with_a_verdict_for_each(
        self, walked: Bridge, rokt: SandboxUnderTest
    ) -> None:
        answer = send(walked, {"events": [event(), event(email="x"), event(version="V2")]})
        walked.deliver()

        good, wrong, other = answer.body["results"]
        assert (good["index"], wrong["index"], other["index"]) == (0, 1, 2)
        assert [error["field"] for error in wrong["errors"]] == ["email"]
        destinations = [walked.message(one["id"])["destination"] for one in (good, other)]
        assert destinations == ["rokt_api_v1", "rokt_api_v2"]
        assert len(taken(rokt)) == 2

    def test_a_bare_list_is_one_too(self, bridge: Bridge) -> None:
        [told] = send(bridge, [event()]).body["results"]

        assert bridge.message(told["id"])["destination"] == "rokt_api_v1"

    def test_what_the_list_says_holds_for_all_in_it(self, bridge: Bridge) -> None:
        [told] = send(bridge, {"events": [event()], "version": "v2"}).body["results"]

        assert bridge.message(told["id"])["destination"] == "rokt_api_v2"

    def test_many_share_one_call(self, walked: Bridge, rokt: SandboxUnderTest) -> None:
        send(walked, {"events": [event() for _ in range(100)]})
        walked.deliver()

        [call] = rokt.calls(f"{HOST}/v1/events")
        assert len(call["body"]["events"]) == 100

    def test_a_call_that_rokt_refuses_goes_again_in_halves(
        self, start_on_both: Starter, rokt: SandboxUnderTest
    ) -> None:
        bridge = start_on_both(sandbox=rokt, ROKT_API_URL=rokt.url + HOST, **APP, **ALONE)
        error = {"data": [{"code": "RequestValidationError", "message": "one of them"}]}
        rokt.fault(path=f"{HOST}/v1", times=1, status=400, body=error)
        send(bridge, {"events": [event(event_id=f"e-{n}") for n in range(100)]})
        bridge.deliver()

        calls = rokt.calls(f"{HOST}/v1/events")
        assert [len(call["body"]["events"]) for call in calls] == [100, 50, 50]
        assert {one["clientEventId"] for one in taken(rokt)} == {f"e-{n}" for n in range(100)}

    def test_what_rokt_may_have_taken_is_sent_again_and_stands_there_once(
        self, walked: Bridge, rokt: SandboxUnderTest
    ) -> None:
        rokt.fault(path=f"{HOST}/v1/events", times=1, drop="after")
        told = send(walked, [event(event_id="e-1"), event(event_id="e-2")]).body["results"]
        walked.deliver()

        messages = [walked.message(one["id"]) for one in told]
        assert [one["state"] for one in messages] == ["delivered", "delivered"]
        assert all(one["was_uncertain"] for one in messages)
        assert [one["clientEventId"] for one in taken(rokt)] == ["e-1", "e-2"]

    def test_a_list_without_a_good_one_is_refused(self, bridge: Bridge) -> None:
        answer = bridge.refuse({"events": [event(email="x"), 7]}, PATH)

        assert answer.fields == ["[0].email", "[1]"]

    @pytest.mark.parametrize("count", [0, 1001])
    def test_a_list_has_bounds(self, bridge: Bridge, count: int) -> None:
        assert bridge.refuse({"events": [{}] * count}, PATH).says("from 1 to 1,000 events")


class TestRepeats:
    def test_the_same_event_again_is_the_first(self, bridge: Bridge) -> None:
        first = send(bridge, event(event_id="e-1"))
        again = send(bridge, event(event_id="e-1", amount="130"), 200)

        assert (again.id, again.body["is_repeat"]) == (first.id, True)
        assert bridge.count() == 1

    @pytest.mark.parametrize("changes", [{"event_id": "e-2"}, {"event_type": "refund"}, {"version": "V1"}])
    def test_another_id_type_or_version_is_another_event(
        self, bridge: Bridge, changes: dict[str, Any]
    ) -> None:
        send(bridge, event(event_id="e-1"))
        send(bridge, event(event_id="e-1") | changes)

    def test_without_an_id_only_what_marks_a_conversion_makes_a_repeat(self, bridge: Bridge) -> None:
        for body in (event(), event(), event(confirmation_ref="C-1"), event(transaction_id="T-1")):
            send(bridge, body)

        send(bridge, event(confirmation_ref="C-1", amount="7"), 200)
        send(bridge, event(object_data={"transactionid": "T-1"}), 200)
        send(bridge, event(email="bob@example.com", transaction_id="T-1"))

    def test_a_key_is_of_its_user_and_its_sender(self, bridge: Bridge) -> None:
        key = {"headers": {"Idempotency-Key": "send-7"}}
        first = send(bridge, event(), **key)

        assert send(bridge, event(amount="7"), 200, **key).id == first.id
        send(bridge, event(email="bob@example.com"), **key)
        send(bridge, event(), key="send", **key)
        send(bridge, event(event_type="signup"), **key)
        assert send(bridge, event(idempotency_key="send-7"), 200).id == first.id

    def test_in_a_list_the_key_is_of_each_place(self, bridge: Bridge) -> None:
        both = {"events": [event(), event()], "idempotency_key": "k"}
        first = send(bridge, both).body["results"]
        again = send(bridge, both).body["results"]

        assert [one["id"] for one in again] == [one["id"] for one in first]
        assert first[0]["id"] != first[1]["id"]
        assert all(one["is_repeat"] for one in again)


class TestTrials:
    def test_a_dry_run_shows_what_would_leave_and_sends_nothing(self, bridge: Bridge) -> None:
        answer = send(bridge, event(event_id="e-1", event_time=AT), 200, dry_run=1)

        [request] = answer.body["requests"]
        assert (request["method"], request["url"]) == ("POST", "http://127.0.0.1:9/v2/events")
        assert request["headers"]["Rokt-Version"] == "2020-05-21"
        assert request["headers"]["Charset"] == "utf-8"
        assert "Authorization" not in request["headers"]
        assert request["body"] == {
            "accountId": "1234",
            "events": [
                {
                    "clientEventId": "e-1",
                    "eventType": "conversion",
                    "eventTime": AT,
                    "objectData": [
                        {"name": "email", "value": "ada@example.com"},
                        {"name": "amount", "value": "129.95"},
                    ],
                }
            ],
        }
        assert bridge.count() == 0

    def test_a_dry_run_shows_the_calls_as_they_fill(self, bridge: Bridge) -> None:
        events = [event() for _ in range(150)] + [event(version="V2"), event(email="x")]
        answer = send(bridge, {"events": events}, 200, dry_run=1)

        shown = [(one["url"][-10:], len(one["body"]["events"])) for one in answer.body["requests"]]
        assert shown == [("/v2/events", 1), ("/v1/events", 100), ("/v1/events", 50)]
        assert [one["index"] for one in answer.body["results"]] == [151]

    def test_what_a_dry_run_shows_is_what_leaves(self, walked: Bridge, rokt: SandboxUnderTest) -> None:
        body = event(event_id="e-1", event_time=AT, click_id="c-1")
        [shown] = send(walked, body, 200, dry_run=1).body["requests"]
        send(walked, body)
        walked.deliver()

        [call] = rokt.calls(f"{HOST}/v2/events")
        assert call["body"] == shown["body"]
        sent = {name.lower(): value for name, value in shown["headers"].items() if name != "X-Request-Id"}
        assert sent.items() <= call["headers"].items()

    @pytest.mark.parametrize("mark", ["dispatch_id", "idempotency_key"])
    def test_brazes_test_send_is_a_dry_run_that_says_so(self, bridge: Bridge, mark: str) -> None:
        answer = send(bridge, event(**{mark: f"x-{UNSENT}"}), 200)

        assert (answer.body["dry_run"], answer.body["reason"]) == (True, "a test of Braze: nothing was sent")
        assert bridge.count() == 0

    def test_in_a_list_too(self, bridge: Bridge) -> None:
        one, other = send(bridge, [event(dispatch_id=UNSENT), event()]).body["results"]

        assert one["dry_run"]
        assert bridge.message(other["id"])["state"] == "accepted"
        assert bridge.count() == 1


class TestWithoutVariables:
    def test_all_are_named(self, start: Starter) -> None:
        answer = start(**ALONE).refuse(event(), PATH, status=501)

        assert answer.says(
            "ROKT_ACCOUNT_ID, ROKT_API_KEY and ROKT_API_SECRET", "ROKT_APP_ID and ROKT_APP_SECRET"
        )

    def test_a_version_that_is_off_names_its_own(self, start: Starter) -> None:
        second = start(**KEY, **ALONE)

        send(second, event())
        answer = second.refuse([event()], PATH, status=501)
        assert answer.says("ROKT_APP_ID and ROKT_APP_SECRET", '"version": "V2"')
        assert not answer.says("ROKT_API_KEY")

    def test_the_first_alone_is_enough_for_a_list(self, start: Starter) -> None:
        first = start(**APP, **ALONE)

        send(first, [event()])
        assert first.refuse(event(), PATH, status=501).says("ROKT_API_KEY and ROKT_API_SECRET")

    def test_an_account_alone_turns_nothing_on(self, start: Starter) -> None:
        start(ROKT_ACCOUNT_ID="1234", **ALONE).refuse(event(), PATH, status=501)

    def test_rokts_own_body_is_answered_so_too(self, start: Starter) -> None:
        answer = start(**APP, **ALONE).refuse(rokts_body(), "/v2/events", status=501)

        assert answer.says("ROKT_API_KEY")
        assert answer.body["data"]["code"] == "ServiceUnavailableError"


class TestRoktsOwnBody:
    @pytest.mark.parametrize(
        ("path", "version"), [("/v2/events", "v2"), ("/v2/bulkevents", "v2"), ("/v1/events", "v1")]
    )
    def test_it_arrives_unchanged(
        self, walked: Bridge, rokt: SandboxUnderTest, path: str, version: str
    ) -> None:
        body = rokts_body(rokts("e-1"), rokts("e-2", metaData=[{"name": "n", "value": "v"}]))
        answer = send(walked, body, path=path)
        walked.deliver()

        assert answer.body["data"] == {"unprocessedRecords": []}
        assert [one["index"] for one in answer.body["results"]] == [0, 1]
        [call] = rokt.calls(f"{HOST}/{version}/events")
        assert call["body"] == body

    def test_what_is_wrong_with_one_is_told_as_rokt_tells_it(self, bridge: Bridge) -> None:
        wrong = rokts("e-2", eventTime="2020-01-01T00:00:00Z")
        answer = send(bridge, rokts_body(rokts("e-1"), wrong), path="/v2/events")

        [told] = answer.body["data"]["unprocessedRecords"]
        assert told["record"] == wrong
        assert told["error"]["code"] == "ValidationError"
        assert told["error"]["message"].startswith("eventTime: ")
        assert bridge.count() == 1

    def test_one_that_comes_again_is_the_first(self, bridge: Bridge) -> None:
        [first] = send(bridge, rokts_body(), path="/v2/events").body["results"]
        [again] = send(bridge, rokts_body(), path="/v2/events").body["results"]

        assert again == first | {"is_repeat": True}

    @pytest.mark.parametrize(
        "body", [rokts_body(account="99"), {"accountId": "1234"}, rokts_body({}), rokts_body() | {"x": 1}]
    )
    def test_a_body_that_is_wrong_is_a_problem_with_rokts_code_in_it(
        self, bridge: Bridge, body: dict[str, Any]
    ) -> None:
        answer = bridge.post(body, "/v2/events")

        assert answer.status == 422
        check_problem(answer)
        assert bridge.count() == 0
        assert answer.body["data"].get("code", "RequestValidationError") == "RequestValidationError"

    def test_a_dry_run_shows_it(self, bridge: Bridge) -> None:
        body = rokts_body(rokts(eventTime=AT))
        [request] = send(bridge, body, 200, "/v2/events", dry_run=1).body["requests"]

        assert request["body"] == body
        assert bridge.count() == 0

    def test_it_needs_a_key_that_may_send(self, bridge: Bridge) -> None:
        for path in ("/v2/events", "/v1/events"):
            bridge.refuse(rokts_body(), path, status=403, key="read")
