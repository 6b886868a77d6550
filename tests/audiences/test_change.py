"""Changes of a list: of one kind of identifier each, in small pieces."""

from __future__ import annotations

import hashlib

from bridge.audiences.change import MOST_IDENTIFIERS, AudienceChange, changes_of


def hashed(address: str) -> str:
    return hashlib.sha256(address.encode()).hexdigest()


ADA, BOB = "ada@example.com", "bob@example.com"


def test_addresses_and_hashes_are_told_apart() -> None:
    found = changes_of("VIP", "include", [ADA, hashed(BOB), BOB])

    assert found == (
        AudienceChange("VIP", "include", "emails", (ADA, BOB)),
        AudienceChange("VIP", "include", "sha256s", (hashed(BOB),)),
    )


def test_who_is_named_twice_is_named_once() -> None:
    [change] = changes_of("VIP", "exclude", [ADA, BOB, ADA])

    assert change.identifiers == (ADA, BOB)


def test_many_are_cut_into_pieces_in_their_order() -> None:
    addresses = [f"u{number}@example.com" for number in range(2 * MOST_IDENTIFIERS + 1)]

    found = changes_of("VIP", "include", addresses)

    assert [len(change.identifiers) for change in found] == [MOST_IDENTIFIERS, MOST_IDENTIFIERS, 1]
    assert [one for change in found for one in change.identifiers] == addresses


def test_a_person_is_the_same_by_address_and_by_hash() -> None:
    by_address, by_hash = changes_of("VIP", "include", [ADA, hashed(ADA)])

    assert by_address.people == by_hash.people == (hashed(ADA),)


def test_a_change_comes_back_as_it_was_stored() -> None:
    for change in changes_of("a/b c", "exclude", [ADA, hashed(BOB)]):
        assert AudienceChange.of(change.stored()) == change


def test_what_is_stored_has_one_key_of_identifiers() -> None:
    by_address, by_hash = (one.stored() for one in changes_of("VIP", "include", [ADA, hashed(BOB)]))

    assert by_address == {"list": "VIP", "action": "include", "emails": [ADA]}
    assert by_hash == {"list": "VIP", "action": "include", "sha256s": [hashed(BOB)]}
