"""What becomes of profiles in the stand-in for Braze, over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from servers import SandboxUnderTest, running_sandbox

from bridge.sandbox import braze_profiles
from bridge.sandbox.braze_profiles import Profiles, changed

KEY = {"Content-Type": "application/json", "Authorization": "Bearer braze-key"}
U1 = {"external_id": "u-1"}
ALIAS = {"user_alias": {"alias_name": "s-1", "alias_label": "rokt_calendar"}}
SUBSCRIBE = {"name": "subscribe", "time": "2026-01-02T03:04:05.678Z"}


@pytest.fixture
def sandbox() -> Iterator[SandboxUnderTest]:
    with running_sandbox() as sandbox:
        yield sandbox


def track(sandbox: SandboxUnderTest, **body: Any) -> Any:
    status, answer = sandbox.ask("POST", "/users/track", body, KEY)
    assert status == 201, answer
    return answer


def set_u1(sandbox: SandboxUnderTest, **attributes: Any) -> None:
    track(sandbox, attributes=[U1 | attributes])


def profiles(sandbox: SandboxUnderTest) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = sandbox.ask("GET", "/sandbox/profiles")[1]
    return [{name: value for name, value in one.items() if name != "braze_id"} for one in shown]


def attributes_of_u1(sandbox: SandboxUnderTest) -> dict[str, Any]:
    [profile] = profiles(sandbox)
    attributes: dict[str, Any] = profile["attributes"]
    return attributes


class TestAttributes:
    def test_they_are_set_and_taken_away_by_null(self, sandbox: SandboxUnderTest) -> None:
        set_u1(sandbox, plan="gold", points=7, tags=["b", "a", "b"])
        set_u1(sandbox, plan=None)

        assert profiles(sandbox) == [U1 | {"attributes": {"points": 7, "tags": ["a", "b"]}, "events": []}]

    def test_an_array_grows_and_shrinks(self, sandbox: SandboxUnderTest) -> None:
        for change in ({"add": ["a", "b"]}, {"add": ["c"], "remove": ["a", "never there"]}):
            set_u1(sandbox, tags=change)

        assert attributes_of_u1(sandbox) == {"tags": ["b", "c"]}

    def test_add_comes_before_remove_so_a_value_in_both_is_gone(self, sandbox: SandboxUnderTest) -> None:
        set_u1(sandbox, tags={"add": ["a", "b"], "remove": ["a"]})

        assert attributes_of_u1(sandbox) == {"tags": ["b"]}

    def test_a_value_that_is_there_already_moves_to_the_end(self) -> None:
        assert changed(["a", "b", "c"], {"add": ["a"]}) == ["b", "c", "a"]

    def test_of_more_than_five_hundred_the_oldest_go_even_if_others_are_taken_away(self) -> None:
        full = [str(n) for n in range(500)]

        assert changed(full, {"add": ["new"]}) == [*full[1:], "new"]
        assert changed(full, {"add": ["new"], "remove": ["7"]}) == [
            *(one for one in full[1:] if one != "7"),
            "new",
        ]
        assert changed(None, [*full, "new"]) == [*full[1:], "new"]

    def test_what_is_no_array_does_not_become_one(self) -> None:
        assert changed("gold", {"add": ["a"]}) == "gold"

    def test_taking_away_makes_no_array(self, sandbox: SandboxUnderTest) -> None:
        set_u1(sandbox, tags={"remove": ["a"]})
        assert attributes_of_u1(sandbox) == {}

        set_u1(sandbox, tags={"add": ["a"]})
        set_u1(sandbox, tags={"remove": ["a"]})
        assert attributes_of_u1(sandbox) == {"tags": []}

    def test_only_good_objects_have_an_effect(self, sandbox: SandboxUnderTest) -> None:
        track(sandbox, attributes=[U1 | {"a": "x" * 256}, U1 | {"b": "x"}, {"c": "x"}])

        assert attributes_of_u1(sandbox) == {"b": "x"}

    def test_a_refused_call_has_none(self, sandbox: SandboxUnderTest) -> None:
        sandbox.fault(status=500, times=1)
        bodies = ({"attributes": [U1]}, {"attributes": [U1 | {"a": "b"}] * 76})

        assert [sandbox.ask("POST", "/users/track", body, KEY)[0] for body in bodies] == [500, 400]
        assert profiles(sandbox) == []

    def test_a_call_whose_answer_is_lost_has_its_effect(self, sandbox: SandboxUnderTest) -> None:
        sandbox.fault(drop="after", times=1)

        with pytest.raises(ConnectionError):
            set_u1(sandbox, plan="gold")

        assert attributes_of_u1(sandbox) == {"plan": "gold"}


class TestUsers:
    def test_an_alias_makes_a_profile_only_if_that_is_said(self, sandbox: SandboxUnderTest) -> None:
        track(sandbox, attributes=[ALIAS | {"a": "b"}])
        assert profiles(sandbox) == []

        track(sandbox, attributes=[ALIAS | {"a": "b", "_update_existing_only": False}])
        track(sandbox, attributes=[ALIAS | {"c": "d"}])

        assert profiles(sandbox) == [ALIAS | {"attributes": {"a": "b", "c": "d"}, "events": []}]

    @pytest.mark.parametrize("user", [U1, {"email": "ada@example.com"}, ALIAS, {"braze_id": "unknown"}])
    def test_none_is_made_where_only_existing_ones_are_wanted(
        self, sandbox: SandboxUnderTest, user: dict[str, Any]
    ) -> None:
        only = user | {"_update_existing_only": True}
        answer = track(sandbox, attributes=[only | {"a": "b"}], events=[only | SUBSCRIBE])

        assert answer == {"message": "success", "attributes_processed": 1, "events_processed": 1}
        assert profiles(sandbox) == []

    def test_an_address_finds_whom_it_belongs_to_in_any_case_of_letters(
        self, sandbox: SandboxUnderTest
    ) -> None:
        set_u1(sandbox, email="Ada@example.com")
        track(sandbox, attributes=[{"email": "ada@Example.com", "plan": "gold"}])
        set_u1(sandbox, email="countess@example.com")
        track(sandbox, attributes=[{"email": "ada@example.com", "plan": "silver"}])

        assert [(one.get("external_id"), one["email"], one["attributes"]) for one in profiles(sandbox)] == [
            ("u-1", "countess@example.com", {"plan": "gold"}),
            (None, "ada@example.com", {"plan": "silver"}),
        ]

    def test_of_several_with_one_address_one_with_an_external_id_is_meant(
        self, sandbox: SandboxUnderTest
    ) -> None:
        address = {"email": "ada@example.com"}
        track(sandbox, attributes=[address, U1 | address, {"external_id": "u-2"} | address])
        set_u1(sandbox, plan="gold")
        track(sandbox, attributes=[address | {"found": True}])

        [found] = [one for one in profiles(sandbox) if one["attributes"].get("found")]
        assert found["external_id"] == "u-1"

    def test_beside_an_external_id_an_address_is_no_identifier(self, sandbox: SandboxUnderTest) -> None:
        track(sandbox, attributes=[{"email": "ada@example.com"}, U1 | {"email": "ada@example.com"}])

        assert len(profiles(sandbox)) == 2

    def test_a_profile_is_found_by_its_braze_id(self, sandbox: SandboxUnderTest) -> None:
        set_u1(sandbox)
        [shown] = sandbox.ask("GET", "/sandbox/profiles")[1]
        track(sandbox, attributes=[{"braze_id": shown["braze_id"], "plan": "gold"}])

        assert attributes_of_u1(sandbox) == {"plan": "gold"}

    def test_those_changed_last_are_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(braze_profiles, "PROFILES_KEPT", 2)
        kept = Profiles()
        for name in ("u-1", "u-2", "u-1", "u-3", "u-2"):
            kept.track([{"external_id": name, "email": "ada@example.com"}], [], [])

        assert [one["external_id"] for one in kept.shown()] == ["u-3", "u-2"]
        assert [one["external_id"] for one in kept.shown(last=1)] == ["u-2"]
        assert vars(kept)["_by"].keys() >= {"external_id:u-2", "external_id:u-3", "email:ada@example.com"}
        assert "external_id:u-1" not in vars(kept)["_by"]


class TestEvents:
    def test_they_are_kept_with_time_and_properties_each_one(self, sandbox: SandboxUnderTest) -> None:
        event = SUBSCRIBE | {"properties": {"account_code": "acme"}}
        track(sandbox, events=[U1 | event, U1 | event])

        assert profiles(sandbox) == [U1 | {"attributes": {}, "events": [event, event]}]

    def test_an_event_of_the_future_happens_now(self) -> None:
        now = datetime(2026, 1, 1, tzinfo=UTC)
        kept = Profiles(lambda: now)
        kept.track([], [U1 | SUBSCRIBE, U1 | SUBSCRIBE | {"time": "2025-12-31T00:00:00"}], [])

        assert [event["time"] for event in kept.shown()[0]["events"]] == [
            "2026-01-01T00:00:00.000+00:00",
            "2025-12-31T00:00:00",
        ]

    def test_attributes_come_before_events(self, sandbox: SandboxUnderTest) -> None:
        """So an event for somebody who must exist finds whom the same call's attributes make."""
        only = U1 | {"_update_existing_only": True}
        track(sandbox, events=[only | SUBSCRIBE], attributes=[U1])

        assert len(profiles(sandbox)[0]["events"]) == 1

    def test_only_the_last_ones_are_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        kept = Profiles()
        kept.track([], [U1 | SUBSCRIBE | {"name": str(n)} for n in range(101)], [])

        assert [event["name"] for event in kept.shown()[0]["events"]] == [str(n) for n in range(1, 101)]

    @pytest.mark.parametrize(
        "changes",
        [
            {"time": "yesterday"},
            {"properties": []},
            {"properties": {"time": "x"}},
            {"properties": {"event_name": "x"}},
            {"properties": {"$x": 1}},
            {"properties": {"": 1}},
            {"properties": {"x" * 256: 1}},
            {"properties": {"x": "x" * 256}},
        ],
    )
    def test_a_wrong_one_is_refused(self, sandbox: SandboxUnderTest, changes: dict[str, Any]) -> None:
        body = {"events": [U1 | SUBSCRIBE | changes]}

        assert sandbox.ask("POST", "/users/track", body, KEY)[0] == 400


@pytest.mark.parametrize(
    "user",
    [
        {"external_id": 7},
        {"user_alias": "s-1"},
        {"user_alias": {"alias_name": "s-1"}},
        {"email": "nobody"},
        U1 | {"email": 7},
    ],
)
def test_a_wrong_identifier_is_refused(sandbox: SandboxUnderTest, user: dict[str, Any]) -> None:
    assert sandbox.ask("POST", "/users/track", {"attributes": [user]}, KEY)[0] == 400


def test_an_external_id_may_be_longer_than_an_attribute(sandbox: SandboxUnderTest) -> None:
    track(sandbox, attributes=[{"external_id": "x" * 987}])


def test_a_sandbox_as_new_has_no_profiles(sandbox: SandboxUnderTest) -> None:
    set_u1(sandbox)
    sandbox.clear()

    assert profiles(sandbox) == []


def test_the_page_shows_attributes_and_events_and_escapes_them(sandbox: SandboxUnderTest) -> None:
    set_u1(sandbox, **{"rokt:tags": {"add": ["<b>/f5733866ade2", "c"]}})
    track(sandbox, events=[ALIAS | {"_update_existing_only": False} | SUBSCRIBE])

    page = sandbox.ask("GET", "/")[1]

    assert "external_id u-1" in page
    assert "alias s-1 (rokt_calendar)" in page
    assert "rokt:tags: &lt;b&gt;/f5733866ade2, c" in page
    assert "subscribe 2026-01-02T03:04:05.678Z {}" in page
    assert "<b>/f" not in page
