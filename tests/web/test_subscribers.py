"""/v1/subscribers: changes in, one or many; what leaves for them; and what is known."""

from __future__ import annotations

import time
from typing import Any

import pytest
import sqlalchemy as sa
from servers import SandboxUnderTest
from web.running import UNSENT, Answer, Bridge, Starter, check_problem

from bridge.database import Database
from bridge.ledger.subscriber_tables import subscriptions

PATH = "/v1/subscribers"
ID = "06423672-b6ba-4536-aa36-f5733866ade2"
OTHER_ID = "9a9007c7-f5a4-4811-b13c-ff10919f1078"
BRAZE = {"BRAZE_API_KEY": "a-braze-key", "BATCH_COUNT": "1"}
ALONE = {"ROKT_CALENDAR_CLIENT_ID": "", "ROKT_CALENDAR_CLIENT_SECRET": ""}
ADDED = {
    "external_id": "u-1",
    "rokt:account_code": {"add": ["brazetest/f5733866ade2"]},
    "rokt:calendar_code": {"add": ["test-calendar-1/f5733866ade2"]},
    "rokt:optIn1": {"add": ["True/f5733866ade2"]},
    "rokt:subscription_id": {"add": [ID]},
    "rokt:subscription_method": {"add": ["WebCal/f5733866ade2"]},
    "rokt:tags": {"add": ["All Teams/f5733866ade2", "Home/f5733866ade2"]},
}
REMOVED = {name: {"remove": its["add"]} for name, its in ADDED.items() if isinstance(its, dict)}


def told(action: str = "subscribe", **changes: Any) -> dict[str, Any]:
    """A whole request; facts are changed by `s__…`, others by name; ... takes one away."""
    subscription = {
        "subscription_id": ID,
        "account_code": "brazetest",
        "calendar_code": "test-calendar-1",
        "optIn1": True,
        "subscription_method": "WebCal",
        "tags": ["All Teams", "Home"],
    } | {k[3:]: v for k, v in changes.items() if k.startswith("s__")}
    whole = {"action": action, "external_id": "u-1", "subscription": subscription}
    whole |= {k: v for k, v in changes.items() if not k.startswith("s__")}
    return {k: v for k, v in whole.items() if v is not ...}


@pytest.fixture
def bridge(start: Starter) -> Bridge:
    """Braze is configured, though nothing listens there; Rokt Calendar is not."""
    return start(BRAZE_REST_URL="http://127.0.0.1:9", **BRAZE, **ALONE)


@pytest.fixture
def walked(start: Starter, rokt: SandboxUnderTest) -> Bridge:
    """In front of the sandbox, which stands in for Braze too."""
    return start(sandbox=rokt, BRAZE_REST_URL=rokt.url, **BRAZE, **ALONE)


def send(bridge: Bridge, body: Any, status: int = 202, **more: Any) -> Answer:
    answer = bridge.post(body, PATH, **more)
    assert answer.status == status, answer.body
    return answer


def without_marks(track: dict[str, Any]) -> dict[str, Any]:
    """A body of /users/track without what is of one message alone."""
    events = [
        event | {"time": "", "properties": {k: v for k, v in event["properties"].items() if k != "event_key"}}
        for event in track.get("events", [])
    ]
    return track | ({"events": events} if events else {})


def known(bridge: Bridge, **query: Any) -> list[dict[str, Any]]:
    answer = bridge.call("GET", PATH, key="read", **query)
    assert answer.status == 200, answer.body
    found: list[dict[str, Any]] = answer.body["subscribers"]
    return found


def count_known(bridge: Bridge) -> int:
    with bridge.database.read() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(subscriptions)) or 0


class TestOne:
    def test_it_is_answered_with_its_id_and_where_to_find_it(self, bridge: Bridge) -> None:
        answer = send(bridge, told(), headers={"X-Request-Id": "of-the-caller"}, key="send")

        assert answer.body == {"id": answer.id, "state": "accepted", "request_id": "of-the-caller"}
        assert answer.headers["Location"] == f"/v1/messages/{answer.id}"
        message = bridge.message(answer.id)
        assert (message["destination"], message["action"], message["user_id"]) == (
            "braze",
            "subscribe",
            "u-1",
        )
        assert message["payload"] == told()

    def test_what_begins_changes_and_ends_leaves_as_that(self, walked: Bridge) -> None:
        for body in (told(), told("update", s__tags=["Home", "Away"]), told("unsubscribe")):
            send(walked, body)
            walked.deliver()

        first, second, third = (call["body"] for call in walked.sent())
        assert first["attributes"] == [ADDED]
        assert second == {
            "attributes": [
                {
                    "external_id": "u-1",
                    "rokt:tags": {"add": ["Away/f5733866ade2"], "remove": ["All Teams/f5733866ade2"]},
                }
            ]
        }
        assert third["attributes"][0]["rokt:subscription_id"] == {"remove": [ID]}
        assert [event["name"] for call in (first, third) for event in call["events"]] == [
            "subscribe",
            "unsubscribe",
        ]
        [profile] = walked.sandbox.sandbox.braze.profiles.shown() if walked.sandbox else [{}]
        assert not any(profile["attributes"].values())

    def test_an_address_alone_names_a_profile(self, walked: Bridge) -> None:
        send(walked, told(external_id=..., email="Ada@example.com"))
        walked.deliver()

        assert walked.sent()[0]["body"]["attributes"][0]["email"] == "ada@example.com"

    def test_who_is_known_need_not_be_named_again(self, walked: Bridge) -> None:
        send(walked, told())
        walked.deliver()
        send(walked, told("update", external_id=..., s__source="x"))
        walked.deliver()

        assert [call["body"]["attributes"][0]["external_id"] for call in walked.sent()] == ["u-1", "u-1"]

    def test_without_an_identifier_it_is_kept_and_skipped(self, bridge: Bridge) -> None:
        answer = send(bridge, told(external_id=""), status=200)

        assert answer.body["state"] == "skipped"
        assert answer.body["reason"].startswith("no identifier: ")
        assert [one["identifier"] for one in known(bridge, state="unidentified")] == [None]

    def test_a_second_choice_may_name_it(self, start: Starter) -> None:
        bridge = start(
            BRAZE_REST_URL="http://127.0.0.1:9", ROKT_SUBSCRIBER_FALLBACK="alias", **BRAZE, **ALONE
        )

        send(bridge, told(external_id=...))

        assert known(bridge)[0]["identifier"] == f"alias:{ID}"

    def test_with_the_sync_off_only_the_ledger_is_kept(self, start: Starter) -> None:
        bridge = start(BRAZE_SYNC="off", **ALONE)

        answer = send(bridge, told(), status=200)

        assert (answer.body["state"], answer.body["reason"]) == ("skipped", "BRAZE_SYNC is off")
        assert known(bridge)[0]["is_active"]

    def test_while_braze_is_off_nothing_is_taken(self, start: Starter) -> None:
        bridge = start()

        answer = bridge.refuse(told(), PATH, status=501)

        assert answer.says("BRAZE_REST_URL", "BRAZE_API_KEY", "BRAZE_SYNC=off")
        assert (bridge.count(), count_known(bridge)) == (0, 0)

    def test_it_waits_for_the_outcome_where_that_is_wished(self, walked: Bridge) -> None:
        with walked.working():
            answer = send(walked, told(), status=200, headers={"Prefer": "wait=20"})

        assert answer.body["state"] == "delivered"
        assert answer.body["attempts"][0]["status"] == 201
        assert answer.headers["Location"] == f"/v1/messages/{answer.id}"

    def test_a_slash_at_the_end_makes_no_difference_and_none_is_ever_redirected(self, bridge: Bridge) -> None:
        assert bridge.post(told(), PATH + "/").status == 202
        assert bridge.post(told(), PATH + "//").status == 404
        assert bridge.post(told(), "/v1//subscribers").status == 404

    def test_what_is_wrong_is_refused_and_not_kept(self, bridge: Bridge) -> None:
        answer = bridge.refuse(told("begin", s__optIn1="x", extern_id="u"), PATH)

        assert set(answer.fields) == {"action", "subscription.optIn1", "extern_id"}
        assert (bridge.count(), count_known(bridge)) == (0, 0)

    @pytest.mark.parametrize(("body", "status"), [(b"{", 400), (b"", 400), (b"7", 422), (b'"x"', 422)])
    def test_what_is_no_object_and_no_list_is_refused(self, bridge: Bridge, body: bytes, status: int) -> None:
        bridge.refuse(body, PATH, status=status)


class TestRepeats:
    def test_the_same_bytes_again_are_a_repeat_of_the_latest_alone(self, bridge: Bridge) -> None:
        first = send(bridge, told())
        again = send(bridge, told(), status=200)

        assert again.body == {
            "id": first.id,
            "state": "accepted",
            "is_repeat": True,
            "request_id": again.body["request_id"],
        }
        assert again.headers["Location"] == f"/v1/messages/{first.id}"
        assert send(bridge, told("unsubscribe")).id != first.id
        assert send(bridge, told()).id != first.id

    def test_the_order_of_fields_does_not_matter(self, bridge: Bridge) -> None:
        first = send(bridge, told())

        assert send(bridge, dict(reversed(told().items())), status=200).id == first.id

    @pytest.mark.parametrize("is_header", [True, False])
    def test_a_key_decides_for_its_action_user_and_subscription(
        self, bridge: Bridge, is_header: bool
    ) -> None:
        def keyed(body: dict[str, Any], status: int, key: str = "all") -> str:
            more = {} if is_header else {"idempotency_key": "k-1"}
            headers = {"Idempotency-Key": "k-1"} if is_header else {}
            return send(bridge, body | more, status, headers=headers, key=key).id

        first = keyed(told(), 202)

        assert keyed(told(s__source="other"), 200) == first
        others = [
            keyed(told("update"), 202),
            keyed(told(external_id="u-2"), 202),
            keyed(told(s__subscription_id=OTHER_ID), 202),
            keyed(told(), 202, key="send"),
        ]
        assert len({first, *others}) == 5


class TestDryRuns:
    def test_it_shows_exactly_what_leaves(self, walked: Bridge) -> None:
        for body in (told(), told("update", s__tags=["Home"], s__source="x"), told("unsubscribe")):
            shown = send(walked, body, status=200, dry_run="1")
            send(walked, body)
            walked.deliver()

            [request] = shown.body["requests"]
            call = walked.sent()[-1]
            assert shown.body["dry_run"] is True
            assert "reason" not in shown.body
            assert (request["method"], request["url"]) == (
                "POST",
                f"{walked.sandbox.url if walked.sandbox else None}/users/track",
            )
            assert without_marks(request["body"]) == without_marks(call["body"])
            assert "Authorization" not in request["headers"]
            assert request["headers"]["Content-Type"] == "application/json"

    def test_nothing_is_stored_by_it(self, bridge: Bridge) -> None:
        send(bridge, told(), status=200, dry_run="1")

        assert (bridge.count(), count_known(bridge)) == (0, 0)

    def test_where_nothing_would_leave_it_says_why(self, walked: Bridge) -> None:
        send(walked, told())
        walked.deliver()

        same = send(walked, told("update"), status=200, dry_run="1").body
        nobody = send(walked, told(external_id="", s__subscription_id=OTHER_ID), status=200, dry_run="1").body

        assert (same["requests"], same["reason"]) == ([], "Braze holds this already")
        assert nobody["requests"] == []
        assert nobody["reason"].startswith("no identifier: ")

    def test_with_the_sync_off_it_says_so(self, start: Starter) -> None:
        bridge = start(BRAZE_SYNC="off", **ALONE)

        assert send(bridge, told(), status=200, dry_run="1").body["reason"] == "BRAZE_SYNC is off"

    def test_a_slip_in_its_name_sends_nothing(self, bridge: Bridge) -> None:
        assert bridge.refuse(told(), PATH, dryrun="1").fields == ["dryrun"]
        assert bridge.refuse(told(), PATH, dry_run="maybe").fields == ["dry_run"]
        assert bridge.count() == 0

    @pytest.mark.parametrize("field", ["idempotency_key", "dispatch_id"])
    def test_a_test_send_of_braze_is_one_that_says_so(self, bridge: Bridge, field: str) -> None:
        answer = send(bridge, told(**{field: f"{UNSENT}-1"}), status=200)

        assert answer.body["dry_run"] is True
        assert answer.body["reason"] == "a test of Braze: nothing was sent"
        assert len(answer.body["requests"]) == 1
        assert (bridge.count(), count_known(bridge)) == (0, 0)

    def test_values_move_from_one_profile_to_another(self, walked: Bridge) -> None:
        send(walked, told(external_id=..., email="ada@example.com"))
        walked.deliver()

        shown = send(walked, told("update"), status=200, dry_run="1").body["requests"]

        [call] = shown
        gone, come = call["body"]["attributes"]
        assert gone == {"email": "ada@example.com", **REMOVED}
        assert come == ADDED

    def test_what_waits_for_rokt_shows_that_rokt_is_asked(self, start: Starter) -> None:
        bridge = start(BRAZE_REST_URL="http://127.0.0.1:9", ROKT_WEBHOOK_SECRET="a-secret-of-rokts", **BRAZE)
        webhook = {"eventType": "Subscribe", "eventDetails": {"calendarSubscriptionId": ID}}
        assert bridge.post(webhook, "/v1/rokt/webhooks/a-secret-of-rokts", key=None).status == 200

        body = send(bridge, told("update"), status=200, dry_run="1").body

        [request] = body["requests"]
        assert (request["method"], request["body"]) == ("GET", None)
        assert request["url"].endswith(f"/v1/subscription/{ID}")
        assert body["reason"].startswith("Rokt is asked first")


class TestLists:
    def test_each_is_answered_by_itself(self, bridge: Bridge) -> None:
        items = [
            told(),
            7,
            told("begin", s__subscription_id="s-2"),
            told(external_id="u-3", s__subscription_id="s-3"),
        ]

        results = send(bridge, items).body["results"]

        assert [result["index"] for result in results] == [0, 1, 2, 3]
        assert results[0] == {"index": 0, "id": results[0]["id"]}
        [error] = results[1]["errors"]
        assert error == {"field": "", "message": "must be an object in braces, not a number"}
        assert [error["field"] for error in results[2]["errors"]] == ["action"]
        assert bridge.message(results[3]["id"])["user_id"] == "u-3"

    def test_the_same_subscription_twice_is_taken_in_order(self, bridge: Bridge) -> None:
        results = send(bridge, [told(), told("unsubscribe"), told()]).body["results"]

        assert len({result["id"] for result in results}) == 3
        assert [one["is_active"] for one in known(bridge)] == [True]
        results = send(bridge, [told("unsubscribe")]).body["results"]
        assert [one["is_active"] for one in known(bridge)] == [False]

    def test_one_that_changes_its_user_is_two_messages(self, bridge: Bridge) -> None:
        results = send(bridge, [told(), told(external_id="u-2")]).body["results"]

        assert [bridge.message(one)["user_id"] for one in results[1]["ids"]] == ["u-1", "u-2"]
        assert results[1]["id"] == results[1]["ids"][0]

    def test_skipped_ones_say_why(self, bridge: Bridge) -> None:
        [result] = send(bridge, [told(external_id="")]).body["results"]

        assert result["state"] == "skipped"
        assert result["reason"].startswith("no identifier")

    def test_a_header_makes_the_whole_list_known_again(self, bridge: Bridge) -> None:
        items = [told(), told("unsubscribe"), told()]
        header = {"Idempotency-Key": "list-1"}

        first = send(bridge, items, headers=header).body["results"]
        again = send(bridge, items, headers=header).body["results"]

        assert len({result["id"] for result in first}) == 3
        assert again == [result | {"is_repeat": True} for result in first]

    def test_if_none_is_good_it_is_a_problem(self, bridge: Bridge) -> None:
        answer = bridge.refuse([told("begin"), None, {}], PATH)

        assert answer.fields[:2] == ["[0].action", "[1]"]
        assert [result["index"] for result in answer.body["results"]] == [0, 1, 2]
        assert bridge.count() == 0

    @pytest.mark.parametrize("count", [0, 1_001])
    def test_it_has_from_one_to_a_thousand(self, bridge: Bridge, count: int) -> None:
        assert bridge.refuse([{}] * count, PATH).says("from 1 to 1,000 subscribers")

    def test_a_thousand_are_taken_at_once(self, bridge: Bridge) -> None:
        items = [
            {"action": "subscribe", "external_id": f"u-{n}", "subscription": {"subscription_id": f"s-{n}"}}
            for n in range(1_000)
        ]
        began = time.monotonic()

        results = send(bridge, items).body["results"]

        assert time.monotonic() - began < 20
        assert [result["index"] for result in results] == list(range(1_000))
        assert len({result["id"] for result in results}) == count_known(bridge) == 1_000

    def test_a_dry_run_shows_what_leaves_for_all(self, walked: Bridge) -> None:
        items = [told(), told(external_id="u-2", s__subscription_id=OTHER_ID), told("unsubscribe"), 7]

        body = send(walked, items, status=200, dry_run="1").body

        [request] = body["requests"]
        assert [one["external_id"] for one in request["body"]["attributes"]] == ["u-2"]
        assert [one["name"] for one in request["body"]["events"]] == ["subscribe", "unsubscribe", "subscribe"]
        assert [result["index"] for result in body["results"]] == [3]
        assert walked.count() == 0

    def test_a_dry_run_of_many_shows_several_calls(self, bridge: Bridge) -> None:
        items = [told(external_id=f"u-{n}", s__subscription_id=f"s-{n}") for n in range(80)]

        requests = send(bridge, items, status=200, dry_run="1").body["requests"]

        sizes = [len(r["body"]["attributes"]) + len(r["body"]["events"]) for r in requests]
        assert sizes == [74, 74, 12]

    def test_tests_among_them_are_only_shown(self, bridge: Bridge) -> None:
        items = [told(), told(external_id="u-2", s__subscription_id=OTHER_ID, dispatch_id=UNSENT)]

        results = send(bridge, items).body["results"]

        assert set(results[0]) == {"index", "id"}
        assert results[1]["dry_run"] is True
        assert count_known(bridge) == 1
        send(bridge, items[1:], status=200)


class TestWhenTheDatabaseIsGone:
    @pytest.mark.parametrize("body", [told(), [told(), told("unsubscribe")]])
    def test_503_asks_for_a_repeat_which_is_taken(
        self, bridge: Bridge, monkeypatch: pytest.MonkeyPatch, body: Any
    ) -> None:
        def gone(self: Database) -> None:
            raise sa.exc.OperationalError("COMMIT", {}, Exception("gone"))

        with monkeypatch.context() as patch:
            patch.setattr(Database, "write", gone)
            answer = bridge.refuse(body, PATH, status=503)

        assert answer.headers["Retry-After"] == "5"
        send(bridge, body)

    def test_one_that_cannot_be_written_is_not_its_neighbours_fault(
        self, bridge: Bridge, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def odd(self: Any, change: Any, now: Any) -> Any:
            if change.subscriber_id == "odd":
                raise RuntimeError("odd")
            return apply(self, change, now)

        from bridge.ledger.subscribers import Loaded

        apply = Loaded.apply
        monkeypatch.setattr(Loaded, "apply", odd)

        results = send(bridge, [told(), told(external_id="odd", s__subscription_id="s-2")]).body["results"]

        assert "id" in results[0]
        assert results[1]["errors"] == [{"field": "", "message": "the bridge failed on this one"}]


def test_both_databases_take_lists_and_know_the_same(start_on_both: Starter, rokt: SandboxUnderTest) -> None:
    bridge = start_on_both(sandbox=rokt, BRAZE_REST_URL=rokt.url, **BRAZE, **ALONE)
    people = [told(external_id=f"u-{n}", s__subscription_id=f"s-{n:03}") for n in range(70)]
    ended = told("unsubscribe", external_id="u-x")

    send(bridge, [*people, told(external_id="", s__subscription_id="s-x"), ended])
    again = send(bridge, people[:1], headers={"Prefer": "wait=1"}).body["results"]
    bridge.deliver()

    assert again[0]["is_repeat"] is True
    assert len(rokt.sandbox.braze.profiles.shown()) == 71
    first = bridge.call("GET", PATH, limit="40", state="active").body
    second = bridge.call("GET", PATH, limit="40", state="active", cursor=first["next"]).body
    shown = first["subscribers"] + second["subscribers"]
    assert [one["subscription_id"] for one in shown] == [*(f"s-{n:03}" for n in range(70)), "s-x"]
    assert [one["subscription_id"] for one in known(bridge, user_id="u-7")] == ["s-007"]
    counts = bridge.call("GET", PATH + "/counts").body
    assert (counts["active"], counts["inactive"], counts["unidentified"]) == (71, 1, 1)
    assert counts["data_points_sent"] == 70 * 6
    assert send(bridge, told("update"), status=200, dry_run="1").body["requests"] == []


class TestWhatIsKnown:
    @pytest.fixture
    def stocked(self, walked: Bridge) -> Bridge:
        send(walked, [told(), told(external_id="u-2", s__subscription_id=OTHER_ID)])
        send(walked, told("unsubscribe", external_id="u-2", s__subscription_id=OTHER_ID))
        send(walked, told(external_id="", s__subscription_id="s-3"), status=200)
        walked.deliver()
        return walked

    def test_one_is_shown_with_its_facts_and_its_data_points(self, stocked: Bridge) -> None:
        [shown] = known(stocked, user_id="u-1")

        assert shown["updated_at"].endswith("Z")
        del shown["updated_at"]
        assert shown == {
            "subscription_id": ID,
            "user_id": "u-1",
            "email": None,
            "identifier": "external_id:u-1",
            "is_active": True,
            "facts": told()["subscription"],
            "suffix": "f5733866ade2",
            "data_points_sent": 6,
            "data_points_saved": 0,
        }

    @pytest.mark.parametrize(
        ("query", "ids"),
        [
            ({}, {ID, OTHER_ID, "s-3"}),
            ({"user_id": "u-2"}, {OTHER_ID}),
            ({"user_id": "nobody"}, set()),
            ({"subscription_id": ID.upper()}, {ID}),
            ({"state": "active"}, {ID, "s-3"}),
            ({"state": "inactive"}, {OTHER_ID}),
            ({"state": "unidentified"}, {"s-3"}),
            ({"state": "", "user_id": "", "limit": "", "cursor": ""}, {ID, OTHER_ID, "s-3"}),
            ({"state": "active", "user_id": "u-2"}, set()),
        ],
    )
    def test_filters_say_which(self, stocked: Bridge, query: dict[str, str], ids: set[str]) -> None:
        assert {one["subscription_id"] for one in known(stocked, **query)} == ids

    def test_pages_follow_each_other(self, stocked: Bridge) -> None:
        seen, cursor = [], ""
        while True:
            body = stocked.call("GET", PATH, limit="1", cursor=cursor).body
            seen += [one["subscription_id"] for one in body["subscribers"]]
            if body["next"] is None:
                break
            cursor = body["next"]

        assert seen == sorted([ID, OTHER_ID, "s-3"])
        assert stocked.call("GET", PATH, limit="3").body["next"] is None

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ({"state": "activ"}, "state"),
            ({"limit": "0"}, "limit"),
            ({"limit": "x"}, "limit"),
            ({"user": "u-1"}, "user"),
        ],
    )
    def test_a_filter_that_is_none_is_refused(
        self, bridge: Bridge, query: dict[str, str], field: str
    ) -> None:
        answer = bridge.call("GET", PATH, **query)

        assert answer.status == 422
        check_problem(answer)
        assert answer.fields == [field]

    def test_counts_are_of_all(self, stocked: Bridge) -> None:
        answer = stocked.call("GET", PATH + "/counts", key="read")

        assert answer.status == 200
        assert {name: answer.body[name] for name in ("active", "inactive", "unidentified")} == {
            "active": 2,
            "inactive": 1,
            "unidentified": 1,
        }
        assert answer.body["data_points_sent"] >= 6
        assert answer.body["data_points_saved"] >= 0

    def test_scopes_are_those_of_sending_and_reading(self, bridge: Bridge) -> None:
        assert bridge.call("GET", PATH, key="send").status == 403
        assert bridge.call("GET", PATH + "/counts", key="send").status == 403
        assert bridge.post(told(), PATH, key="read").status == 403
        assert bridge.post(told(), PATH, key=None).status == 401
