"""How changes fall into calls: what Rokt holds in the end is what was said last."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable

import pytest

from bridge.audiences.calls import (
    CALL_BYTES,
    CALL_MOST,
    MOST_CHANGES,
    AudienceCall,
    Limits,
    batches_of,
    calls_of,
    first_batch,
    limits_of,
)
from bridge.audiences.change import Action, AudienceChange, Kind


def hashed(address: str) -> str:
    return hashlib.sha256(address.encode()).hexdigest()


ADA, BOB, EVE = "ada@example.com", "bob@example.com", "eve@example.com"


def change(
    action: Action, *identifiers: str, list_name: str = "VIP", kind: Kind | None = None
) -> AudienceChange:
    kind = kind or ("emails" if "@" in identifiers[0] else "sha256s")
    return AudienceChange(list_name, action, kind, identifiers)


def told(calls: Iterable[AudienceCall]) -> list[tuple[str, str, str, tuple[str, ...]]]:
    return [(one.list_name, one.action, one.kind, one.identifiers) for one in calls]


class TestCalls:
    def test_changes_of_one_list_action_and_kind_share_a_call(self) -> None:
        [call] = calls_of([change("include", ADA), change("include", BOB, EVE)])

        assert call.identifiers == (ADA, BOB, EVE)
        assert call.positions == (0, 1)

    def test_lists_actions_and_kinds_never_share_one(self) -> None:
        calls = calls_of(
            [
                change("include", ADA),
                change("include", BOB, list_name="other"),
                change("exclude", EVE),
                change("include", hashed(EVE), list_name="third"),
            ]
        )

        assert told(calls) == [
            ("VIP", "include", "emails", (ADA,)),
            ("other", "include", "emails", (BOB,)),
            ("VIP", "exclude", "emails", (EVE,)),
            ("third", "include", "sha256s", (hashed(EVE),)),
        ]

    def test_of_one_person_the_last_word_alone_leaves(self) -> None:
        calls = calls_of([change("include", ADA, BOB), change("exclude", ADA)])

        assert told(calls) == [
            ("VIP", "include", "emails", (BOB,)),
            ("VIP", "exclude", "emails", (ADA,)),
        ]

    def test_the_last_word_wins_also_where_one_is_hashed_and_the_other_is_not(self) -> None:
        calls = calls_of([change("include", ADA), change("exclude", hashed(ADA))])

        assert told(calls) == [("VIP", "exclude", "sha256s", (hashed(ADA),))]
        assert calls[0].positions == (1,)

    def test_who_comes_back_is_included_once(self) -> None:
        calls = calls_of([change("include", ADA), change("exclude", ADA), change("include", ADA)])

        assert told(calls) == [("VIP", "include", "emails", (ADA,))]
        assert calls[0].positions == (0, 2)

    def test_one_list_says_nothing_about_another(self) -> None:
        calls = calls_of([change("include", ADA), change("exclude", ADA, list_name="other")])

        assert len(calls) == 2

    def test_a_body_has_exactly_one_key_of_identifiers(self) -> None:
        [call] = calls_of([change("include", ADA)])

        assert call.body("1234") == {
            "accountId": "1234",
            "action": "include",
            "list": "VIP",
            "emails": [ADA],
        }

    @pytest.mark.parametrize("seed", range(20))
    def test_any_order_of_the_calls_leads_to_what_was_said_last(self, seed: int) -> None:
        chance = random.Random(seed)
        people = [f"u{number}@example.com" for number in range(6)]
        changes = []
        for _ in range(12):
            some = chance.sample(people, chance.randint(1, 3))
            some = [hashed(one) for one in some] if chance.random() < 0.5 else some
            action: Action = chance.choice(("include", "exclude"))
            changes.append(change(action, *some, list_name=chance.choice(("VIP", "other"))))
        expected = members(
            told([AudienceCall(c.list_name, c.action, c.kind, c.identifiers, ()) for c in changes])
        )

        calls = calls_of(changes)
        chance.shuffle(calls)

        assert members(told(calls)) == expected
        assert len(calls) <= 8  # of two lists, two actions, two kinds


def members(calls: Iterable[tuple[str, str, str, tuple[str, ...]]]) -> set[tuple[str, str]]:
    """Who stands on which list, as Rokt would have it."""
    held: set[tuple[str, str]] = set()
    for list_name, action, _, identifiers in calls:
        its = {(list_name, one if "@" not in one else hashed(one)) for one in identifiers}
        held = held | its if action == "include" else held - its
    return held


class TestLimits:
    def test_a_batch_has_as_many_changes_as_are_set_and_never_more_than_a_thousand(self) -> None:
        assert limits_of("1234", 100, 10**6).changes == 100
        assert limits_of("1234", 10**6, 10**6).changes == MOST_CHANGES

    def test_a_call_never_has_more_than_a_million_bytes(self) -> None:
        assert limits_of("1234", 100, 10**9).size == CALL_BYTES

    def test_ten_thousand_hashes_fit_into_a_call_and_no_more(self) -> None:
        hundred = tuple(hashed(str(number)) for number in range(100))
        changes = [change("include", *hundred)] * 200

        load = first_batch(changes, limits_of("1234", 1_000, 10**6))

        assert load.changes == CALL_MOST // 100
        assert load.is_full

    def test_each_call_of_a_batch_has_its_own_limit(self) -> None:
        hundred = tuple(hashed(str(number)) for number in range(100))
        changes = [change("include", *hundred), change("exclude", *hundred)] * 150

        assert first_batch(changes, limits_of("1234", 1_000, 10**6)).changes == 2 * CALL_MOST // 100

    @pytest.mark.parametrize("letter", ["a", "ü", '"', "\\", "😀"])
    @pytest.mark.parametrize("kind", ["emails", "sha256s"])
    def test_bytes_are_counted_as_they_are_sent(self, letter: str, kind: Kind) -> None:
        size = 5_000
        account_id, list_name = "a-count", letter * 20
        limits = limits_of(account_id, 1_000, size)
        name = hashed if kind == "sha256s" else lambda text: f"{letter * 9}{text}@example.com"
        changes = [
            change("include", name(str(n)), name(f"{n}+"), list_name=list_name, kind=kind) for n in range(500)
        ]

        batches = list(batches_of(changes, limits))

        sizes = [sent(call, account_id) for batch in batches for call in calls_of(batch)]
        assert len(sizes) == len(batches) > 1
        assert max(sizes) <= size
        largest = max(sent(one, account_id) for each in changes for one in calls_of([each]))
        assert min(sizes[:-1]) > size - largest  # and another would not have fitted

    def test_one_change_always_fits(self) -> None:
        changes = [change("include", hashed("1"), hashed("2"))] * 2

        load = first_batch(changes, Limits(100, 10, 10))

        assert load.changes == 1
        assert load.is_full

    def test_a_batch_with_room_is_not_full(self) -> None:
        assert not first_batch([change("include", ADA)], limits_of("1234", 100, 10**6)).is_full

    def test_batches_keep_the_order_of_each_list(self) -> None:
        changes = [change("include", f"u{n}@example.com", list_name=f"list{n % 2}") for n in range(7)]

        batches = list(batches_of(changes, limits_of("1234", 2, 10**6)))

        assert [[one.identifiers[0] for one in batch] for batch in batches] == [
            ["u0@example.com", "u2@example.com"],
            ["u4@example.com", "u6@example.com"],
            ["u1@example.com", "u3@example.com"],
            ["u5@example.com"],
        ]


def sent(call: AudienceCall, account_id: str) -> int:
    body = json.dumps(call.body(account_id), ensure_ascii=False, separators=(",", ":"))
    return len(body.encode())
