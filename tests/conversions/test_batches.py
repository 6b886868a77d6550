"""Batches and calls: what fits, how large it is, and whose each character is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from factories import NOON

from bridge.conversions.batches import Batch, Part, batch_of, is_known_again, size_of
from bridge.conversions.calls import Call, Limits, calls_of
from bridge.conversions.conversion import Conversion
from bridge.rate import Rate


def part(user: str = "ada", **fields: Any) -> Part:
    conversion = Conversion(f"{user}@example.com", **fields)
    return Part.of(batch_of(conversion), "m-1", NOON, "production")


def sent(value: Any) -> str:
    """As Upstream writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def grown(*parts: Part) -> Batch:
    batch = Batch.of(parts[0])
    for one in parts[1:]:
        more = batch.with_part(one)
        assert more is not None
        batch = more
    return batch


@pytest.mark.parametrize("name", ["Ada", "Ährenfried", "𝒜da", "\ud800", 'a "quoted"\nname'])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_batch_knows_the_bytes_that_are_sent(name: str, count: int) -> None:
    batch = grown(*[part(user_attributes={"firstname": name}, attributes={"n": n}) for n in range(count)])

    assert batch.size == len(sent(batch.body()).encode("utf-8", "replace"))


@pytest.mark.parametrize("users", [1, 2, 5])
def test_so_does_a_call(users: int) -> None:
    [call] = calls_of([[part(f"ü{n}"), part(f"ü{n}")] for n in range(users)], Limits())

    assert call.size >= len(sent(call.body()).encode())
    assert call.size - len(sent(call.body()).encode()) <= 2


@pytest.mark.parametrize("users", [1, 2, 4])
def test_every_character_of_a_batch_is_its_own(users: int) -> None:
    [call] = calls_of([[part(f"u{n}")] for n in range(users)], Limits())
    text = sent(call.body())

    for place, batch in enumerate(call.batches):
        start = text.index(sent(batch.body()))
        length = len(sent(batch.body()))
        assert [call.batch_at(at) for at in (start + 1, start + length // 2, start + length)] == [place] * 3
    assert call.batch_at(0) is None
    assert call.batch_at(len(text) + 1) is None


def test_where_counts_differ_nothing_is_guessed() -> None:
    wide = part("u0", user_attributes={"firstname": "𝒜" * 2_000})
    [call] = calls_of([[wide], [part("u1")]], Limits())
    begins = sent(call.body()).rindex('{"environment"') + 1

    assert call.batch_at(begins) is None
    assert call.batch_at(5) == 0


def test_calls_are_cut_where_a_limit_is_reached() -> None:
    users = [[part(f"u{n}")] for n in range(7)]

    assert [len(call.batches) for call in calls_of(users, Limits(batches=3))] == [3, 3, 1]
    assert [len(call.places) for call in calls_of([[part("a")] * 5], Limits(messages=2))] == [2, 2, 1]
    assert [len(call.batches) for call in calls_of(users, Limits(size=1))] == [1] * 7
    assert calls_of([], Limits()) == []


def test_limits_follow_the_rate_and_never_pass_mparticles() -> None:
    assert Limits.of(Rate(270, "item"), 100, 1_000_000) == Limits(27, 100, 256_000)
    assert Limits.of(Rate(0, "item"), 500, 1_000) == Limits(100, 500, 1_000)


def test_what_the_caller_said_is_not_said_anew() -> None:
    batch = batch_of(Conversion("ada@example.com", occurred_at=NOON))
    data = batch["events"][0]["data"]
    data |= {"custom_event_type": "other", "source_message_id": "mine"}

    leaves = Part.of({"environment": "development", **batch}, "m-1", NOON, "production")

    assert leaves.event["data"] == data
    assert leaves.user["environment"] == "development"


@pytest.mark.parametrize(
    ("attributes", "is_known"),
    [({"confirmationref": "C-1"}, True), ({"confirmationref": ""}, False), ({"transactionid": "T-1"}, False)],
)
def test_rokt_knows_a_conversion_again_by_its_reference(attributes: dict[str, Any], is_known: bool) -> None:
    assert is_known_again(batch_of(Conversion("a@b.c", attributes=attributes))) is is_known


@pytest.mark.parametrize(
    ("conversion", "event_id"),
    [
        (Conversion(attributes={"confirmationref": "C-1", "transactionid": "T-1"}), "C-1"),
        (Conversion(attributes={"transactionid": "T-1", "sku": "shirt"}), "T-1/shirt"),
        (Conversion(attributes={"transactionid": "T-1"}), "T-1"),
        (Conversion(attributes={"sku": "shirt"}), ""),
    ],
)
def test_a_conversion_is_told_from_others_of_its_user(conversion: Conversion, event_id: str) -> None:
    assert conversion.event_id == event_id


def test_an_empty_call_takes_any_batch() -> None:
    heavy = part(attributes={"a": "x" * 300_000})

    call = Call().with_part(heavy, is_same_user=False)

    assert [batch.size for batch in call.batches] == [size_of(call.body())]
    assert not call.fits(Limits())
