"""What leaves for one user: one attributes object, and the events in their order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from bridge.subscribers.sync import EMPTY, Held, settled
from bridge.subscribers.track import Sync, body, event_of, objects_of

IDENTIFIER = "external_id:u-1"
AT = datetime(2027, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


def a_sync(key: str = "a", held: Held = EMPTY, **values: list[str]) -> Sync:
    """`values`: what should stand in Braze, by attribute without its prefix."""
    target = {f"rokt:{name}": its for name, its in values.items()}
    return Sync(key, IDENTIFIER, target, held)


def with_event(sync: Sync, name: str = "subscribe") -> Sync:
    return Sync(sync.key, sync.identifier, sync.target, sync.held, {"name": name}, sync.others)


def test_the_values_of_all_subscriptions_are_added_by_one_object() -> None:
    one = a_sync("a", account_code=["x/1"], tags=["t/1", "s/1"])
    other = a_sync("b", account_code=["x/2"])

    objects = objects_of(IDENTIFIER, [one, other], True)

    assert objects.attributes == {
        "external_id": "u-1",
        "rokt:account_code": {"add": ["x/1", "x/2"]},
        "rokt:tags": {"add": ["t/1", "s/1"]},
    }
    assert set(objects.changes) == {"a", "b"}


def test_only_what_is_not_held_leaves() -> None:
    held = settled({"rokt:account_code": ["x/1"], "rokt:calendar_code": ["old/1"]})
    sync = a_sync("a", held, account_code=["x/1"], calendar_code=["new/1"])

    objects = objects_of(IDENTIFIER, [sync], True)

    assert objects.attributes == {
        "external_id": "u-1",
        "rokt:calendar_code": {"add": ["new/1"], "remove": ["old/1"]},
    }
    assert objects.costs == {"a": 1}
    assert sync.full_cost == 2


def test_nothing_leaves_where_nothing_has_changed() -> None:
    sync = a_sync("a", settled({"rokt:account_code": ["x/1"]}), account_code=["x/1"])

    objects = objects_of(IDENTIFIER, [sync], True)

    assert objects.attributes is None
    assert body([objects]) == {}


def test_what_another_subscription_wants_is_not_taken_away() -> None:
    shared = settled({"rokt:account_code": ["x/1"], "rokt:subscription_id": ["a"]})
    ended, live = a_sync("a", shared), a_sync("b", account_code=["x/1"])

    objects = objects_of(IDENTIFIER, [ended, live], True)

    assert objects.attributes == {
        "external_id": "u-1",
        "rokt:subscription_id": {"remove": ["a"]},
        "rokt:account_code": {"add": ["x/1"]},
    }


def test_many_messages_of_one_subscription_change_it_once_and_keep_their_events() -> None:
    sync = a_sync("a", account_code=["x/1"])
    syncs = [with_event(sync), sync, with_event(sync, "unsubscribe")]

    objects = objects_of(IDENTIFIER, syncs, True)

    assert objects.attributes == {"external_id": "u-1", "rokt:account_code": {"add": ["x/1"]}}
    assert [event["name"] for event in objects.events] == ["subscribe", "unsubscribe"]


def test_an_address_is_set_and_never_taken_away() -> None:
    was = settled({"email": ["old@example.com"]})
    moved = Sync("a", IDENTIFIER, {"email": ["new@example.com"]}, was)
    gone = Sync("a", IDENTIFIER, {}, was)

    assert objects_of(IDENTIFIER, [moved], True).attributes == {
        "external_id": "u-1",
        "email": "new@example.com",
    }
    assert objects_of(IDENTIFIER, [gone], True).attributes is None


def test_the_points_of_an_attribute_are_put_down_once() -> None:
    one, other = a_sync("a", account_code=["x/1"], tags=["t/1"]), a_sync("b", account_code=["x/2"])

    assert objects_of(IDENTIFIER, [one, other], True).costs == {"a": 2, "b": 0}


def test_what_was_left_in_doubt_goes_along() -> None:
    doubtful = Sync("b", IDENTIFIER, {}, Held({}, {"rokt:tags": ("t/2",)}))
    sync = Sync("a", IDENTIFIER, {}, EMPTY, None, (doubtful,))

    objects = objects_of(IDENTIFIER, [sync], True)

    assert objects.attributes == {"external_id": "u-1", "rokt:tags": {"remove": ["t/2"]}}
    assert set(objects.changes) == {"b"}


@pytest.mark.parametrize(
    ("identifier", "merges", "fields"),
    [
        ("external_id:u-1", True, {"external_id": "u-1"}),
        ("email:a@b.c", True, {"email": "a@b.c"}),
        ("external_id:u-1", False, {"external_id": "u-1", "_update_existing_only": True}),
        (
            "alias:s-1",
            True,
            {
                "user_alias": {"alias_name": "s-1", "alias_label": "rokt_calendar"},
                "_update_existing_only": False,
            },
        ),
    ],
)
def test_both_kinds_of_objects_name_the_user(identifier: str, merges: bool, fields: object) -> None:
    sync = Sync("a", identifier, {"rokt:tags": ["t/1"]}, EMPTY)
    event = event_of({"name": "subscribe"}, "m-1", AT, identifier, merges)

    assert objects_of(identifier, [sync], merges).attributes == {**fields, "rokt:tags": {"add": ["t/1"]}}
    assert event == {
        **fields,
        "name": "subscribe",
        "time": "2027-03-01T12:00:00.123Z",
        "properties": {"event_key": "m-1"},
    }


def test_an_event_has_its_facts_the_time_of_its_acceptance_in_utc_and_its_key() -> None:
    told = {"name": "subscribe", "properties": {"account_code": "x", "optIn1": True}}
    in_berlin = AT.astimezone(timezone(timedelta(hours=1)))

    event = event_of(told, "m-1", in_berlin, IDENTIFIER, True)

    assert event["time"] == "2027-03-01T12:00:00.123Z"
    assert event["properties"] == {"account_code": "x", "optIn1": True, "event_key": "m-1"}


def test_a_body_has_the_objects_of_all_users_in_their_order_and_no_empty_list() -> None:
    one = objects_of("external_id:1", [Sync("a", "external_id:1", {"rokt:tags": ["t/1"]}, EMPTY)], True)
    other = objects_of("external_id:2", [Sync("b", "external_id:2", {"rokt:tags": ["t/2"]}, EMPTY)], True)

    assert [its["external_id"] for its in body([one, other])["attributes"]] == ["1", "2"]
    assert body([one, other]).keys() == {"attributes"}
