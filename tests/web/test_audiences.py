"""/v1/audiences: people put on a list and taken off it, and what leaves for that."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import structlog
from servers import SandboxUnderTest
from web.running import UNSENT, Answer, Bridge, Starter

from bridge import worker
from bridge.web import answered, lists

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

    def test_it_is_answered_with_its_id_and_where_to_find_it(self, bridge: Bridge) -> None:
        answer = send(bridge, {"action": "include", "email": "ada@example.com"}, key="send")

        assert answer.body == {
            "id": answer.id,
            "state": "accepted",
            "request_id": answer.headers["X-Request-Id"],
        }
        assert answer.headers["Location"] == f"/v1/messages/{answer.id}"
        message = bridge.message(answer.id)
        assert (message["destination"], message["action"]) == ("rokt_audiences", "include")
        assert (message["user_id"], message["event_id"], message["account_code"]) == (
            None,
            "AdvertiserDatabase",
            "",
        )

    @pytest.mark.parametrize(
        ("path", "name"),
        [
            ("/Gold%20members", "Gold members"),
            ("/a%2Fb", "a/b"),
            ("/a%252Fb", "a%2Fb"),
            ("/a/b/", "a/b"),
            ("", "AdvertiserDatabase"),
            ("/", "AdvertiserDatabase"),
        ],
    )
    def test_the_name_of_a_list_is_that_of_the_path_decoded_once(
        self, bridge: Bridge, path: str, name: str
    ) -> None:
        answer = send(bridge, {"action": "include", "email": "ada@example.com"}, PATH + path)

        assert bridge.message(answer.id)["request"]["list"] == name
        [found] = bridge.call("GET", "/v1/messages", event_id=name).body["messages"]
        assert found["id"] == answer.id

    @pytest.mark.parametrize(
        "path", ["/v1/audiences//VIP", "/v1/audiencesVIP", "/v1//audiences", "/v1/audiences//"]
    )
    def test_other_paths_are_nothing_and_nothing_is_redirected(self, bridge: Bridge, path: str) -> None:
        bridge.refuse({"action": "include", "email": "ada@example.com"}, path, status=404)

    def test_a_mixed_list_leaves_as_a_call_of_each_kind(self, walked: Bridge) -> None:
        answer = send(walked, {"action": "include", "emails": ["ada@example.com", BOB]}, f"{PATH}/VIP")
        walked.deliver()

        assert len(answer.body["ids"]) == 2
        bodies = [call["body"] for call in walked.sent()]
        assert [body.get("emails") or body.get("sha256s") for body in bodies] == [["ada@example.com"], [BOB]]
        assert members(walked) == {"VIP": [ADA, BOB]}

    def test_what_is_to_be_hashed_is_kept_hashed_alone(self, walked: Bridge) -> None:
        body = {"action": "include", "email": "Ada@example.com", "hash": True}
        answer = send(walked, body)
        walked.deliver()

        message = walked.message(answer.id)
        assert message["payload"] == {
            "action": "include",
            "list": "AdvertiserDatabase",
            "email": 1,
            "hash": True,
        }
        assert message["request"]["sha256s"] == [ADA]
        assert "ada@" not in str(message).lower()
        assert members(walked) == {"AdvertiserDatabase": [ADA]}

    def test_include_and_exclude_of_one_person_leave_in_their_order(
        self, start: Starter, rokt: SandboxUnderTest
    ) -> None:
        walked = start(sandbox=rokt, ROKT_AUDIENCE_URL=rokt.url, BATCH_AGE="1s", **KEYS)
        ids = [
            send(walked, {"action": action, "email": "ada@example.com"}, f"{PATH}/VIP").id
            for action in ("include", "exclude", "include", "exclude")
        ]
        walked.deliver()

        assert [call["body"]["action"] for call in walked.sent()] == ["exclude"]
        assert [walked.message(one)["state"] for one in ids] == [
            "skipped",
            "delivered",
            "skipped",
            "delivered",
        ]

    def test_while_it_is_off_the_variables_are_named(self, start: Starter) -> None:
        bridge = start()

        answer = bridge.refuse({"action": "include", "email": "ada@example.com"}, PATH, status=501)

        assert answer.says("ROKT_ACCOUNT_ID", "ROKT_API_KEY", "ROKT_API_SECRET")
        assert bridge.count() == 0

    def test_a_key_needs_the_scope_send(self, bridge: Bridge) -> None:
        body = {"action": "include", "email": "ada@example.com"}

        bridge.refuse(body, PATH, status=403, key="read")
        bridge.refuse(body, f"{PATH}/VIP", status=401, key=None)

    def test_what_is_wrong_is_refused_and_not_kept(self, bridge: Bridge) -> None:
        answer = bridge.refuse({"action": "join", "email": "nobody at all", "lst": "VIP"}, PATH)

        assert set(answer.fields) == {"action", "email", "lst"}
        assert not answer.says("nobody at all")
        assert bridge.count() == 0

    @pytest.mark.parametrize(
        ("body", "status"), [(b"{", 400), (b"", 400), (b"7", 422), (b'"x"', 422), (b"[]", 422)]
    )
    def test_what_is_no_object_and_no_list_is_refused(self, bridge: Bridge, body: bytes, status: int) -> None:
        bridge.refuse(body, PATH, status=status)

    def test_it_waits_for_the_outcome_where_that_is_wished(self, walked: Bridge) -> None:
        with walked.working():
            body = {"action": "include", "email": "ada@example.com"}
            answer = send(walked, body, status=200, headers={"Prefer": "wait=20"})

        assert answer.body["state"] == "delivered"
        assert answer.body["attempts"][0]["status"] == 201


TWO = {"action": "include", "emails": ["ada@example.com", "bob@example.com"]}


class TestRepeats:
    def test_a_key_makes_a_repeat_of_the_same_people_on_the_same_list(self, bridge: Bridge) -> None:
        first = send(bridge, TWO, headers={"Idempotency-Key": "k-1"})
        again = send(bridge, TWO, status=200, headers={"Idempotency-Key": "k-1"})

        assert (again.id, again.body["is_repeat"]) == (first.id, True)
        assert bridge.count() == 1

    @pytest.mark.parametrize(
        ("change", "path"),
        [
            ({"action": "exclude"}, PATH),
            ({"emails": ["ada@example.com"]}, PATH),
            ({"hash": True}, PATH),
            ({}, f"{PATH}/VIP"),
            ({"idempotency_key": "k-2"}, PATH),
        ],
    )
    def test_the_same_key_for_anything_else_is_none(
        self, bridge: Bridge, change: dict[str, Any], path: str
    ) -> None:
        send(bridge, TWO, headers={"Idempotency-Key": "k-1"})
        send(bridge, TWO | change, path, headers={"Idempotency-Key": "k-1"})

        assert bridge.count() == 2

    def test_without_a_key_nothing_is_a_repeat(self, bridge: Bridge) -> None:
        send(bridge, TWO)
        send(bridge, TWO)

        assert bridge.count() == 2

    def test_a_list_that_is_sent_again_is_one_item_by_item(self, bridge: Bridge) -> None:
        body = [
            {"action": action, "email": "ada@example.com"} for action in ("include", "exclude", "include")
        ]
        first = send(bridge, body, headers={"Idempotency-Key": "k-1"})
        again = send(bridge, {"updates": body, "idempotency_key": "k-1"})

        ids = [[one["id"] for one in answer.body["results"]] for answer in (first, again)]
        assert ids[0] == ids[1]
        assert len(set(ids[0])) == 3
        assert all(one["is_repeat"] for one in again.body["results"])


class TestMany:
    def test_each_has_its_verdict_and_the_good_ones_leave(self, walked: Bridge) -> None:
        updates = [
            {"action": "include", "email": "ada@example.com"},
            {"action": "include", "email": "ada"},
            {"action": "include", "list": "other", "sha256": BOB},
            7,
        ]

        answer = send(walked, {"updates": updates, "list": "VIP"})
        walked.deliver()

        results = answer.body["results"]
        assert [one["index"] for one in results] == [0, 1, 2, 3]
        assert ["id" in one for one in results] == [True, False, True, False]
        assert results[1]["errors"][0]["field"] == "email"
        assert members(walked) == {"VIP": [ADA], "other": [BOB]}

    def test_none_may_name_another_list_than_the_path(self, bridge: Bridge) -> None:
        updates = [{"action": "include", "list": "other", "sha256": BOB}]

        answer = bridge.refuse({"updates": updates}, f"{PATH}/VIP")

        assert answer.says("another list than that of the path")

    def test_a_bare_list_may_name_a_list_in_each(self, walked: Bridge) -> None:
        answer = send(
            walked,
            [
                {"action": "include", "list": "VIP", "email": "ada@example.com"},
                {"action": "include", "sha256": BOB},
            ],
        )
        walked.deliver()

        assert all("id" in one for one in answer.body["results"])
        assert members(walked) == {"VIP": [ADA], "AdvertiserDatabase": [BOB]}

    def test_where_none_is_right_it_is_refused(self, bridge: Bridge) -> None:
        answer = bridge.refuse({"updates": [{"action": "include"}, {}]}, PATH)

        assert answer.says("None of the 2 updates")
        assert bridge.count() == 0

    def test_there_are_a_thousand_at_most(self, bridge: Bridge) -> None:
        items = [{"action": "include", "sha256": hashed(str(number))} for number in range(1_001)]

        bridge.refuse(items, PATH)
        send(bridge, items[:-1])

        assert bridge.count() == 1_000

    def test_as_many_people_go_into_one_as_fit_into_a_mebibyte(self, start: Starter) -> None:
        bridge = start(ROKT_AUDIENCE_URL="http://127.0.0.1:9", **KEYS)
        people = [hashed(str(number)) for number in range(15_000)]

        answer = send(bridge, {"action": "include", "sha256s": people})

        assert len(answer.body["ids"]) == bridge.count() == 150
        bridge.refuse({"action": "include", "sha256s": people + people[:1_000]}, PATH, status=413)


class TestDryRuns:
    def test_it_shows_what_would_leave_and_sends_nothing(self, bridge: Bridge) -> None:
        body = {"action": "include", "email": "Ada@example.com"}

        answer = send(bridge, body, f"{PATH}/a%2Fb", status=200, dry_run="1")

        [shown] = answer.body["requests"]
        assert (shown["method"], shown["url"]) == ("POST", "http://127.0.0.1:9/v3/import/suppression")
        assert shown["body"] == {
            "accountId": "1234",
            "action": "include",
            "list": "a/b",
            "emails": ["ada@example.com"],
        }
        assert "Authorization" not in shown["headers"]
        assert bridge.count() == 0

    def test_it_is_what_leaves(self, start: Starter, rokt: SandboxUnderTest) -> None:
        walked = start(sandbox=rokt, ROKT_AUDIENCE_URL=rokt.url, BATCH_AGE="1s", **KEYS)
        updates = [
            {"action": "include", "list": "VIP", "emails": ["ada@example.com", BOB]},
            {"action": "exclude", "list": "VIP", "email": "bob@example.com"},
            {"action": "include", "email": "eve@example.com"},
            {"action": "include", "list": "VIP", "email": "eve@example.com"},
        ]

        shown = send(walked, updates, status=200, dry_run="1").body["requests"]
        send(walked, updates)
        walked.deliver()

        def told(requests: Any) -> list[str]:
            return sorted(str(one["body"]) for one in requests)

        assert told(shown) == told(walked.sent())

    def test_a_test_of_braze_is_shown_alone(self, bridge: Bridge) -> None:
        body = {"action": "include", "email": "ada@example.com", "dispatch_id": UNSENT}

        answer = send(bridge, body, status=200)

        assert answer.body["reason"] == "a test of Braze: nothing was sent"
        assert len(answer.body["requests"]) == 1
        assert bridge.count() == 0


def test_no_address_is_logged(
    start: Starter, rokt: SandboxUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = structlog.testing.CapturingLogger()
    for module in (answered, lists, worker):
        monkeypatch.setattr(module, "log", logger)
    walked = start(sandbox=rokt, ROKT_AUDIENCE_URL=rokt.url, **KEYS, **BATCH)
    rokt.fault(path="/v3", times=1, status=400, body={"message": f"ada@example.com and {ADA} are wrong"})

    send(walked, {"action": "include", "emails": ["ada@example.com", BOB]})
    walked.deliver()

    assert {"request.answered", "delivery.attempted"} <= {call.args[0] for call in logger.calls}
    assert not any(personal in str(logger.calls) for personal in ("ada@", ADA, BOB, "rsec-very-secret"))
