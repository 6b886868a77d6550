"""Braze as a destination: only what it does not hold leaves, and the ledger learns what became of it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import structlog
from destinations.bridge_to_braze import KEY, USER, Bridge, after, profile, said, track_calls
from factories import ACCOUNT, NOON, SUBSCRIPTION
from servers import SandboxUnderTest, running_sandbox

from bridge.database import Database
from bridge.destinations import braze as module
from bridge.destinations.batch import Pack
from bridge.errors import CredentialRefused, NotBegun, SlotMissed, UpstreamTrouble
from bridge.ledger.subscribers import HeldRow, counts, write_held
from bridge.message import Delivered, Divided, Message, Rejected, Retry, Skipped
from bridge.rate import Rate
from bridge.settings import Secret
from bridge.subscribers.sync import EMPTY, Held

SUFFIX = "f5733866ade2"
OTHER = "11111111-b6ba-4536-aa36-000000000002"
PLACE = f"external_id:{USER}"
SUBSCRIBED = {
    "rokt:account_code": [f"{ACCOUNT}/{SUFFIX}"],
    "rokt:subscription_id": [SUBSCRIPTION],
    "events": ["subscribe"],
}


@pytest.fixture
def sandbox() -> Iterator[SandboxUnderTest]:
    with running_sandbox(api_key=KEY) as sandbox:
        yield sandbox


@pytest.fixture
def build(database: Database, sandbox: SandboxUnderTest) -> Iterator[Callable[..., Bridge]]:
    made: list[Bridge] = []

    def build(**fields: Any) -> Bridge:
        made.append(Bridge(database, sandbox.url, **fields))
        return made[-1]

    yield build
    for bridge in made:
        bridge.braze.close()


@pytest.fixture
def bridge(build: Callable[..., Bridge]) -> Bridge:
    return build()


def kinds(outcomes: Sequence[object]) -> list[str]:
    return [type(outcome).__name__ for outcome in outcomes]


@contextmanager
def logged() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as entries:
        yield entries


class TestWhatLeaves:
    def test_a_subscriber_comes_with_attributes_and_an_event(
        self, bridge: Bridge, sandbox: SandboxUnderTest
    ) -> None:
        [message] = bridge.accept(said())

        [outcome] = bridge.send([message])

        assert isinstance(outcome, Delivered)
        assert outcome.status == 201
        assert track_calls(sandbox) == [
            {
                "attributes": [
                    {
                        "external_id": USER,
                        "rokt:account_code": {"add": [f"{ACCOUNT}/{SUFFIX}"]},
                        "rokt:subscription_id": {"add": [SUBSCRIPTION]},
                    }
                ],
                "events": [
                    {
                        "external_id": USER,
                        "name": "subscribe",
                        "time": "2027-03-01T12:00:00.000Z",
                        "properties": {
                            "account_code": ACCOUNT,
                            "subscription_id": SUBSCRIPTION,
                            "event_key": message.id,
                        },
                    }
                ],
            }
        ]
        assert profile(sandbox) == SUBSCRIBED

    def test_the_call_bears_the_key_and_the_first_request_that_has_something_in_it(
        self, bridge: Bridge, sandbox: SandboxUnderTest
    ) -> None:
        bridge.tell(said())
        again, *_ = bridge.accept(said(action="update"))
        [new] = bridge.accept(said(OTHER, user="u-2"))

        bridge.send([replace(again, request_id="r-again"), replace(new, request_id="r-new")])

        [_, call] = sandbox.calls("/users/track")
        assert call["headers"]["x-request-id"] == "r-new"
        assert call["headers"]["authorization"].startswith("Bearer ")

    def test_only_a_change_leaves_and_no_value_is_in_both_lists(
        self, bridge: Bridge, sandbox: SandboxUnderTest
    ) -> None:
        bridge.tell(said(account_code=ACCOUNT, source="old", tags=["a", "b"]))

        bridge.tell(said(action="update", account_code=ACCOUNT, source="new", tags=["b", "c"]))

        assert track_calls(sandbox)[1] == {
            "attributes": [
                {
                    "external_id": USER,
                    "rokt:source": {"add": [f"new/{SUFFIX}"], "remove": [f"old/{SUFFIX}"]},
                    "rokt:tags": {"add": [f"c/{SUFFIX}"], "remove": [f"a/{SUFFIX}"]},
                }
            ]
        }

    def test_what_braze_holds_makes_no_call(self, bridge: Bridge, sandbox: SandboxUnderTest) -> None:
        bridge.tell(said())

        outcomes = bridge.tell(said(action="update"), said(action="update"))

        assert outcomes == [Skipped("Braze holds this already")] * 2
        assert len(track_calls(sandbox)) == 1

    def test_the_end_takes_away_what_was_held(self, bridge: Bridge, sandbox: SandboxUnderTest) -> None:
        bridge.tell(said())
        bridge.tell(said(OTHER))

        bridge.tell(said(action="unsubscribe"))

        assert profile(sandbox) == {
            "rokt:account_code": [f"{ACCOUNT}/000000000002"],
            "rokt:subscription_id": [OTHER],
            "events": ["subscribe", "subscribe", "unsubscribe"],
        }
        assert bridge.held().is_empty

    def test_messages_of_one_user_are_one_object_and_its_events_in_order(
        self, bridge: Bridge, sandbox: SandboxUnderTest
    ) -> None:
        outcomes = bridge.tell(said(), said(OTHER), said(action="unsubscribe"))

        assert kinds(outcomes) == ["Delivered"] * 3
        [call] = track_calls(sandbox)
        assert [event["name"] for event in call["events"]] == ["subscribe", "subscribe", "unsubscribe"]
        assert call["attributes"] == [
            {
                "external_id": USER,
                "rokt:account_code": {"add": [f"{ACCOUNT}/000000000002"]},
                "rokt:subscription_id": {"add": [OTHER]},
            }
        ]

    def test_it_leaves_the_profile_that_it_was_in(self, bridge: Bridge, sandbox: SandboxUnderTest) -> None:
        bridge.tell(said(user="u-0"))

        bridge.tell(said(action="update", user="u-2"))

        assert profile(sandbox, "u-0") == {
            "rokt:account_code": [],
            "rokt:subscription_id": [],
            "events": ["subscribe"],
        }
        assert profile(sandbox, "u-2")["rokt:subscription_id"] == [SUBSCRIPTION]

    def test_what_ends_leaves_the_values_of_another_whose_id_ends_alike(
        self, bridge: Bridge, sandbox: SandboxUnderTest
    ) -> None:
        alike = f"11111111-b6ba-4536-aa36-{SUFFIX}"
        bridge.tell(said())
        bridge.tell(said(alike))

        bridge.tell(said(action="unsubscribe"))

        assert profile(sandbox)["rokt:account_code"] == [f"{ACCOUNT}/{SUFFIX}"]
        assert profile(sandbox)["rokt:subscription_id"] == [alike]

    def test_where_all_is_shared_it_is_the_others(
        self, build: Callable[..., Bridge], sandbox: SandboxUnderTest
    ) -> None:
        bridge = build(attributes=("account_code",))
        alike = f"11111111-b6ba-4536-aa36-{SUFFIX}"
        bridge.tell(said(), said(alike))

        for message in bridge.accept(said(action="update", user="u-2"))[:1]:
            assert bridge.send([message]) == [Skipped("Braze holds this already")]

        assert bridge.held().is_empty
        bridge.tell(said(alike, action="unsubscribe"))
        assert profile(sandbox)["rokt:account_code"] == []

    @pytest.mark.parametrize("at_once", [True, False])
    def test_what_two_shared_goes_with_the_last_of_them(
        self, bridge: Bridge, sandbox: SandboxUnderTest, at_once: bool
    ) -> None:
        alike = f"11111111-b6ba-4536-aa36-{SUFFIX}"
        bridge.tell(said(), said(alike))

        ends = bridge.accept(said(action="unsubscribe"), said(alike, action="unsubscribe"))
        for some_of_them in [ends] if at_once else [ends[:1], ends[1:]]:
            bridge.send(some_of_them)

        assert profile(sandbox)["rokt:account_code"] == []
        assert bridge.held().is_empty
        assert bridge.held(key=alike).is_empty

    def test_only_the_chosen_attributes_leave(
        self, build: Callable[..., Bridge], sandbox: SandboxUnderTest
    ) -> None:
        build(attributes=("subscription_id",)).tell(said())

        [body] = track_calls(sandbox)
        assert body["attributes"] == [{"external_id": USER, "rokt:subscription_id": {"add": [SUBSCRIPTION]}}]

    def test_an_address_is_captured_if_that_is_wanted(
        self, build: Callable[..., Bridge], sandbox: SandboxUnderTest
    ) -> None:
        bridge = build(captures_email=True)
        bridge.tell(said(email="ada@example.com", source="x"))
        bridge.tell(said(action="unsubscribe"))

        first, last = track_calls(sandbox)
        assert first["attributes"][0]["email"] == "ada@example.com"
        assert "email" not in last["attributes"][0]
        assert bridge.tell(said(action="unsubscribe")) == [Skipped("Braze holds this already")]

    def test_no_profile_is_made_if_that_is_not_wanted(
        self, build: Callable[..., Bridge], sandbox: SandboxUnderTest
    ) -> None:
        build(merges=False).tell(said())

        assert sandbox.ask("GET", "/sandbox/profiles") == (200, [])

    def test_what_was_kept_for_the_record_alone_is_passed_over(
        self, bridge: Bridge, sandbox: SandboxUnderTest
    ) -> None:
        [kept] = bridge.accept(said(user=None))
        empty = replace(kept, request={})

        assert bridge.send([kept, empty]) == [Skipped("it names no profile of Braze")] * 2
        assert track_calls(sandbox) == []

    def test_the_event_of_what_was_delivered_before_is_not_sent_again(
        self, bridge: Bridge, sandbox: SandboxUnderTest
    ) -> None:
        [message] = bridge.accept(said())

        bridge.send([replace(message, progress={"once_more": True})])

        assert track_calls(sandbox)[0].keys() == {"attributes"}

    def test_the_event_of_a_change_that_waited_for_a_look_up_is_of_its_own_time(
        self, bridge: Bridge, sandbox: SandboxUnderTest
    ) -> None:
        [message] = bridge.accept(said())
        event = {**message.request["event"], "at": "2026-11-20T09:30:00+00:00"}

        bridge.send([replace(message, request={**message.request, "event": event})])

        [sent] = track_calls(sandbox)[0]["events"]
        assert sent["time"] == "2026-11-20T09:30:00.000Z"
        assert "at" not in sent

    def test_a_slot_that_was_missed_goes_through(self, bridge: Bridge) -> None:
        messages = bridge.accept(said())

        def missed() -> None:
            raise SlotMissed

        with pytest.raises(SlotMissed):
            bridge.send(messages, missed)

    @pytest.mark.parametrize("status", [201, 400, 401, 403, 503])
    def test_a_key_that_braze_repeats_stays_away(
        self, bridge: Bridge, sandbox: SandboxUnderTest, status: int
    ) -> None:
        words = f"Invalid API key: {KEY}, {KEY.upper()}"
        errors = [{"type": words, "input_array": "events", "index": 0}]
        sandbox.fault(path="/users/track", status=status, body={"message": words, "errors": errors})

        found = repr(bridge.tell(said())).lower()

        assert KEY not in found
        assert "invalid api key: [key]" in found or status == 201


class TestTheLedger:
    def test_what_ended_long_ago_is_forgotten_once_braze_holds_nothing_of_it(self, bridge: Bridge) -> None:
        bridge.tell(said(), said(action="unsubscribe"))
        later = [NOON + timedelta(days=days) for days in (29, 31)]

        with bridge.database.write() as connection:
            assert [bridge.braze.forget_old(connection, now) for now in later] == [0, 1]

    def test_what_was_taken_is_certain(self, bridge: Bridge) -> None:
        bridge.tell(said())

        certain = {name: tuple(values) for name, values in SUBSCRIBED.items() if name != "events"}
        assert bridge.held() == Held(certain)

    def test_what_is_about_to_leave_is_written_down_before(self, bridge: Bridge) -> None:
        bridge.tell(said(source="old"))
        standings = bridge.claim(bridge.accept(said(action="update", source="new")))

        values = (f"new/{SUFFIX}", f"old/{SUFFIX}")
        assert bridge.held().unsure == {"rokt:source": values}
        assert "rokt:source" not in bridge.held().certain
        assert standings[0].held.certain["rokt:source"] == (f"old/{SUFFIX}",)

    @pytest.mark.parametrize("status", [429, 401, 400, 413])
    def test_what_was_refused_leaves_it_as_it_was(
        self, bridge: Bridge, sandbox: SandboxUnderTest, status: int
    ) -> None:
        bridge.tell(said(source="old"))
        before = bridge.held()
        sandbox.fault(path="/users/track", status=status, times=1)

        bridge.tell(said(action="update", source="new"))

        assert bridge.held() == before

    @pytest.mark.parametrize("fault", [{"drop": "before"}, {"drop": "after"}, {"status": 503}])
    def test_after_a_lost_answer_the_next_call_sees_to_both(
        self, bridge: Bridge, sandbox: SandboxUnderTest, fault: dict[str, Any]
    ) -> None:
        bridge.tell(said(source="old", tags=["a"]))
        sandbox.fault(path="/users/track", times=1, **fault)
        bridge.tell(said(action="update", source="new", tags=["a"]))
        assert bridge.held().unsure == {"rokt:source": (f"new/{SUFFIX}", f"old/{SUFFIX}")}

        bridge.tell(said(action="update", source="old"))

        assert profile(sandbox)["rokt:source"] == [f"old/{SUFFIX}"]
        assert bridge.held().unsure == {}
        assert bridge.held().certain["rokt:source"] == (f"old/{SUFFIX}",)

    def test_a_connection_that_was_refused_leaves_it_as_it_was(self, database: Database) -> None:
        bridge = Bridge(database, "http://127.0.0.1:9")

        [outcome] = bridge.tell(said())

        assert isinstance(outcome, Retry)
        assert outcome.is_trouble
        assert bridge.held() == EMPTY
        bridge.braze.close()

    def test_a_lost_event_is_sent_again_with_its_time_and_its_key(
        self, bridge: Bridge, sandbox: SandboxUnderTest
    ) -> None:
        [message] = bridge.accept(said())
        sandbox.fault(path="/users/track", times=1, drop="after")

        [lost] = bridge.send([message])
        [taken] = bridge.send([after(message, lost)])

        assert kinds([lost, taken]) == ["Uncertain", "Delivered"]
        first, second = track_calls(sandbox)
        assert first == second
        assert profile(sandbox) == {**SUBSCRIBED, "events": ["subscribe", "subscribe"]}

    def test_a_refused_event_leaves_its_attributes_taken(
        self, bridge: Bridge, sandbox: SandboxUnderTest
    ) -> None:
        good, bad = bridge.accept(said(user="u-0"), said(OTHER))
        request = {**bad.request, "event": {"name": " ", "properties": {}}}

        outcomes = bridge.send([good, replace(bad, request=request)])

        assert kinds(outcomes) == ["Delivered", "Rejected"]
        assert bridge.held(key=OTHER).certain["rokt:subscription_id"] == (OTHER,)

    def test_events_are_counted_by_those_that_left(self, bridge: Bridge) -> None:
        bridge.tell(said(user="u-0"))
        update, bad, good = bridge.accept(
            said(action="update", user="u-0", source="new"), said(OTHER, user="u-1"), said("x", user="u-2")
        )
        bad = replace(bad, request={**bad.request, "event": {"name": " ", "properties": {}}})

        assert kinds(bridge.send([update, bad, good])) == ["Delivered", "Rejected", "Delivered"]

    def test_what_cannot_be_told_apart_goes_again_alone_and_no_event_twice(
        self, bridge: Bridge, sandbox: SandboxUnderTest
    ) -> None:
        messages = bridge.accept(said(user="u-1"), said(OTHER, user="u-2"))
        body = {"message": "success", "attributes_processed": 1, "events_processed": 2}
        sandbox.fault(path="/users/track", times=1, status=201, body=body)

        outcomes = bridge.send(messages)
        again = [after(*one) for one in zip(messages, outcomes, strict=True)]

        assert kinds(outcomes) == ["Uncertain"] * 2
        assert bridge.held().unsure["rokt:subscription_id"] == (SUBSCRIPTION,)
        assert a_pack(bridge, again) == [Pack(1), Pack(1)]
        assert kinds(bridge.send(again[:1])) == ["Delivered"]
        assert track_calls(sandbox)[-1].keys() == {"attributes"}
        assert bridge.held().unsure == {}

    def test_refused_attributes_are_not_held(self, bridge: Bridge, sandbox: SandboxUnderTest) -> None:
        error = {"type": "BAD", "input_array": "attributes", "index": 0}
        body = {"message": "success", "attributes_processed": 1, "events_processed": 2, "errors": [error]}
        sandbox.fault(path="/users/track", times=1, status=201, body=body)

        outcomes = bridge.tell(said(), said(OTHER, user="u-2"))

        assert kinds(outcomes) == ["Rejected", "Delivered"]
        assert bridge.held() == EMPTY
        assert bridge.held("external_id:u-2", OTHER).certain != {}

    def test_what_was_doubted_since_stays_in_doubt(self, bridge: Bridge) -> None:
        messages = bridge.accept(said())
        standings = bridge.claim(messages)
        with bridge.database.write() as connection:
            bridge.braze.doubt(connection, [(messages[0], standings[0])])
            doubted = Held({}, {"rokt:source": ("x",)})
            write_held(connection, [HeldRow(PLACE, SUBSCRIPTION, doubted)], NOON)

        bridge.record(messages, standings, [Delivered(201)])

        assert bridge.held() == doubted

    def test_a_call_that_is_settled_message_by_message_comes_to_the_same(self, bridge: Bridge) -> None:
        messages = bridge.accept(said(), said(action="update"), said(OTHER))
        standings = bridge.claim(messages)

        for message, standing in zip(messages, standings, strict=True):
            bridge.record([message], [standing], [Delivered(201)])

        assert bridge.held().unsure == {}
        assert bridge.held(key=OTHER).unsure == {}

    def test_a_late_call_leaves_what_it_touched_in_doubt(self, bridge: Bridge) -> None:
        bridge.tell(said(source="old", tags=["a"]))
        messages = bridge.accept(said(action="update", source="new", tags=["a"]))
        standings = bridge.look_up(messages)

        with bridge.database.write() as connection:
            bridge.braze.doubt(connection, list(zip(messages, standings, strict=True)))

        assert bridge.held().certain == {}
        assert bridge.held().unsure["rokt:source"] == (f"old/{SUFFIX}", f"new/{SUFFIX}")

    def test_a_late_call_that_changed_nothing_leaves_no_doubt(self, bridge: Bridge) -> None:
        bridge.tell(said())
        before = bridge.held()
        messages = bridge.accept(said(action="update"))
        standings = bridge.look_up(messages)

        with bridge.database.write() as connection:
            bridge.braze.doubt(connection, list(zip(messages, standings, strict=True)))

        assert bridge.held() == before

    def test_without_a_standing_all_of_it_is_in_doubt(self, bridge: Bridge) -> None:
        [message] = bridge.accept(said())
        bridge.send([message])

        with bridge.database.write() as connection:
            bridge.braze.doubt(connection, [(message, None)])

        assert bridge.held().certain == {}
        assert bridge.held().unsure["rokt:subscription_id"] == (SUBSCRIPTION,)

    def test_what_goes_once_more_clears_all_that_is_in_doubt_in_its_profile(
        self, bridge: Bridge, sandbox: SandboxUnderTest
    ) -> None:
        [first] = bridge.accept(said())
        bridge.send([first])
        [last] = bridge.accept(said(OTHER))
        bridge.send([last])
        with bridge.database.write() as connection:
            bridge.braze.doubt(connection, [(first, None)])

        [outcome] = bridge.send([replace(last, progress={"once_more": True})])

        assert isinstance(outcome, Delivered)
        assert track_calls(sandbox)[-1] == {
            "attributes": [
                {
                    "external_id": USER,
                    "rokt:account_code": {"add": [f"{ACCOUNT}/{SUFFIX}"]},
                    "rokt:subscription_id": {"add": [SUBSCRIPTION]},
                }
            ]
        }
        assert bridge.held().unsure == {}
        assert bridge.held().certain["rokt:subscription_id"] == (SUBSCRIPTION,)

    def test_what_was_refused_does_not_go_along(self, bridge: Bridge, sandbox: SandboxUnderTest) -> None:
        [last] = bridge.accept(said())
        bridge.send([last])
        sandbox.fault(path="/users/track", times=1, status=400)
        bridge.tell(said(OTHER))

        [outcome] = bridge.send([replace(last, progress={"once_more": True})])

        assert outcome == Skipped("Braze holds this already")

    def test_a_full_profile_is_told_of_without_naming_it(
        self, bridge: Bridge, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "ARRAYS_NEARLY_FULL", 2)
        with logged() as entries:
            bridge.tell(said())
            [message] = bridge.accept(said(OTHER))
            bridge.send([message])

        told = [entry for entry in entries if entry["event"] == "braze.arrays_nearly_full"]
        assert [(entry["message"], entry["values"]) for entry in told] == [(message.id, 2)]
        assert told[0].keys() == {"event", "log_level", "message", "values"}


_numbers = itertools.count(1000)  # of as many digits


def points(bridge: Bridge) -> tuple[int, int]:
    with bridge.database.read() as connection:
        found = counts(connection)
    return found["data_points_sent"], found["data_points_saved"]


class TestDataPoints:
    def test_the_first_call_saves_nothing(self, bridge: Bridge) -> None:
        bridge.tell(said(source="x"))

        assert points(bridge) == (2, 0)

    def test_what_did_not_change_is_saved(self, bridge: Bridge) -> None:
        bridge.tell(said(source="x"))

        bridge.tell(said(action="update", source="y"))
        bridge.tell(said(action="update", source="y"))

        assert points(bridge) == (2 + 1 + 0, 1 + 2)

    def test_what_two_subscriptions_share_is_paid_once(self, bridge: Bridge) -> None:
        bridge.tell(said(source="x"), said(OTHER, source="x"))

        assert points(bridge) == (2, 2)

    def test_what_was_not_taken_costs_nothing(self, bridge: Bridge, sandbox: SandboxUnderTest) -> None:
        sandbox.fault(path="/users/track", times=1, status=503)

        bridge.tell(said())

        assert points(bridge) == (0, 0)


def a_pack(bridge: Bridge, messages: Sequence[Message]) -> list[Pack]:
    return bridge.braze.pack(messages, bridge.look_up(messages))


def some(bridge: Bridge, count: int, **facts: Any) -> list[Message]:
    """Messages of as many new users, each two objects."""
    numbers = [next(_numbers) for _ in range(count)]
    return bridge.accept(*(said(f"s-{number}", user=f"n-{number}", **facts) for number in numbers))


class TestPacks:
    def test_a_call_has_so_many_objects(self, bridge: Bridge) -> None:
        assert a_pack(bridge, some(bridge, 80)) == [Pack(37), Pack(37), Pack(6, is_full=False)]

    def test_one_is_full_once_another_user_would_not_fit(self, build: Callable[..., Bridge]) -> None:
        bridge = build(batch=6)

        assert a_pack(bridge, some(bridge, 2)) == [Pack(2, is_full=False)]
        assert a_pack(bridge, some(bridge, 3)) == [Pack(3, is_full=True)]

    def test_a_call_has_so_many_messages(self, build: Callable[..., Bridge]) -> None:
        bridge = build(messages=3)

        assert a_pack(bridge, some(bridge, 4)) == [Pack(3), Pack(1, is_full=False)]

    def test_a_call_has_so_many_bytes_as_they_leave(
        self, build: Callable[..., Bridge], sandbox: SandboxUnderTest
    ) -> None:
        limit = 4000
        bridge = build(size=limit)
        messages = some(bridge, 20, source="ä€🎉" * 20)

        packs = a_pack(bridge, messages)

        assert sum(pack.size for pack in packs) == len(messages)
        assert len(packs) > 2
        sizes = []
        for pack in packs:
            its, messages = messages[: pack.size], messages[pack.size :]
            bridge.send(its)
            sizes.append(int(sandbox.calls("/users/track")[-1]["headers"]["content-length"]))
        assert max(sizes) <= limit
        assert all(size > limit * 0.6 for size in sizes[:-1])

    def test_every_byte_of_a_body_counts(
        self, build: Callable[..., Bridge], sandbox: SandboxUnderTest
    ) -> None:
        bridge = build()
        messages = some(bridge, 2)
        standings = bridge.look_up(messages)
        bridge.send(messages)
        size = int(sandbox.calls("/users/track")[-1]["headers"]["content-length"])

        assert build(size=size - 1).braze.pack(messages, standings) == [Pack(1), Pack(1)]
        assert build(size=size + 2).braze.pack(messages, standings) == [Pack(2)]

    def test_one_message_beyond_the_bytes_goes_alone(self, build: Callable[..., Bridge]) -> None:
        bridge = build(size=100)

        assert a_pack(bridge, some(bridge, 3)) == [Pack(1), Pack(1), Pack(1)]

    def test_an_array_has_at_most_75_objects(self, build: Callable[..., Bridge]) -> None:
        bridge = build(batch=225, messages=500)

        assert a_pack(bridge, some(bridge, 100)) == [Pack(75), Pack(25, is_full=False)]

    def test_messages_without_objects_take_no_room(self, build: Callable[..., Bridge]) -> None:
        bridge = build(batch=2)
        messages = some(bridge, 2)
        for message in messages:
            bridge.send([message])

        done = [replace(message, progress={"once_more": True}) for message in messages]
        assert a_pack(bridge, [*done, *bridge.accept(said())]) == [Pack(3)]

    def test_messages_of_one_user_share_their_attributes(self, build: Callable[..., Bridge]) -> None:
        bridge = build(batch=4)
        messages = bridge.accept(said("s-1"), said("s-2"), said("s-3"))

        assert a_pack(bridge, messages) == [Pack(3)]

    def test_a_user_who_does_not_fit_waits_for_a_call_of_his_own(self, build: Callable[..., Bridge]) -> None:
        bridge = build(batch=6)
        messages = [*some(bridge, 2), *bridge.accept(said("x"), said("y"), said("z"))]

        assert a_pack(bridge, messages) == [Pack(2), Pack(3, is_full=False)]

    def test_a_user_who_fits_no_call_is_cut_and_the_rest_is_left_out(
        self, build: Callable[..., Bridge]
    ) -> None:
        bridge = build(batch=4)
        messages = [*bridge.accept(*(said(f"x-{number}") for number in range(5))), *some(bridge, 1)]

        assert a_pack(bridge, messages) == [Pack(3, left_out=2), Pack(1, is_full=False)]

    def test_a_refused_batch_is_halved_until_the_bad_one_is_alone(
        self, bridge: Bridge, sandbox: SandboxUnderTest
    ) -> None:
        waiting = some(bridge, 9)
        bad = replace(waiting[5], request={**waiting[5].request, "identifier": "external_id:bad"})
        waiting[5] = bad
        answers: list[tuple[Message, object]] = []

        while waiting:
            pack = a_pack(bridge, waiting)[0]
            its, waiting = waiting[: pack.size], waiting[pack.size :]
            if bad.id in [message.id for message in its]:
                sandbox.fault(path="/users/track", times=1, status=400, body={"message": "Broken"})
            outcomes = bridge.send(its)
            for message, outcome in zip(its, outcomes, strict=True):
                if isinstance(outcome, Divided):
                    waiting.append(after(message, outcome))
                else:
                    answers.append((message, outcome))

        assert {message.id for message, outcome in answers if isinstance(outcome, Rejected)} == {bad.id}
        assert sum(isinstance(outcome, Delivered) for _, outcome in answers) == 8
        assert len(track_calls(sandbox)) < 9

    def test_a_bound_counts_for_the_whole_call_and_makes_it_go_at_once(self, bridge: Bridge) -> None:
        messages = some(bridge, 5)
        bound = [*messages[:2], replace(messages[2], progress={"at_most": 2}), *messages[3:]]

        assert a_pack(bridge, bound) == [Pack(2), Pack(2, is_full=True), Pack(1, is_full=False)]

    def test_a_bound_call_goes_at_once_though_it_has_room(self, bridge: Bridge) -> None:
        [message] = some(bridge, 1)

        assert a_pack(bridge, [replace(message, progress={"at_most": 9})]) == [Pack(1, is_full=True)]

    def test_what_messages_share_counts_once(self, build: Callable[..., Bridge]) -> None:
        bridge = build(size=1000)
        updates = [said(action="update", source="x" * 200, tags=["y" * 200]) for _ in range(5)]

        assert a_pack(bridge, bridge.accept(*updates)) == [Pack(5, is_full=False)]

    def test_a_bound_user_is_cut(self, bridge: Bridge) -> None:
        messages = bridge.accept(said("x"), said("y"), said("z"))
        bound = [replace(message, progress={"at_most": 1}) for message in messages]

        assert a_pack(bridge, bound) == [Pack(1, left_out=2)]

    def test_half_a_character_is_counted_as_it_leaves(self, bridge: Bridge) -> None:
        [message] = bridge.accept(said())
        event = {"name": "subscribe", "properties": {"source": "\ud83c"}}
        broken = replace(message, request={**message.request, "event": event})

        assert a_pack(bridge, [broken]) == [Pack(1, is_full=False)]
        assert kinds(bridge.send([broken])) == ["Delivered"]


class TestCheck:
    def test_a_good_key_is_taken(self, bridge: Bridge) -> None:
        assert bridge.braze.check() == {"": "the key is taken"}

    def test_a_wrong_key_is_refused_and_not_repeated(
        self, database: Database, sandbox: SandboxUnderTest
    ) -> None:
        other = Bridge(database, sandbox.url, api_key=Secret("another-key"))

        found = other.braze.check()[""]

        assert isinstance(found, CredentialRefused)
        assert "another-key" not in str(found)
        other.braze.close()

    @pytest.mark.parametrize(("status", "kind"), [(403, CredentialRefused), (404, NotBegun), (500, NotBegun)])
    def test_other_answers_are_trouble(
        self, bridge: Bridge, sandbox: SandboxUnderTest, status: int, kind: type[UpstreamTrouble]
    ) -> None:
        sandbox.fault(path="/users/track", status=status)

        assert isinstance(bridge.braze.check()[""], kind)

    def test_there_is_one_credential_and_the_rate_is_the_settings(self, build: Callable[..., Bridge]) -> None:
        braze = build(rate=Rate(7), messages=20).braze

        assert braze.credential_of("any") == ""
        assert braze.rate == Rate(7)
        assert (braze.batch.messages, braze.batch.age.total_seconds(), braze.batch.merges) == (20, 1.0, True)
