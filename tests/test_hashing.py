"""Addresses and their hashes: one form for all who send them."""

from __future__ import annotations

import hashlib

import pytest

from bridge import hashing

ADA = hashlib.sha256(b"ada@example.com").hexdigest()


@pytest.mark.parametrize(
    "given",
    [
        "ada@example.com",
        "Ada@Example.COM",
        "  ada@example.com\n",
        "ada @ example.com",
        "ada\u00a0@example.com",
    ],
)
def test_an_address_has_one_hash_however_it_is_written(given: str) -> None:
    assert hashing.hashed(given) == ADA


@pytest.mark.parametrize("given", [ADA, ADA.upper(), f" {ADA}\n"])
def test_what_is_hashed_already_is_never_hashed_twice(given: str) -> None:
    assert hashing.hashed(given) == ADA
    assert hashing.hash_of(given) == ADA
    assert hashing.address_of(given) is None


@pytest.mark.parametrize(
    "given",
    [
        "",
        "  ",
        "ada",
        "ada@",
        "@example.com",
        "ada@example",
        "a@b@c",
        ADA[:63],
        ADA + "0",
        "g" * 64,
        "ada\x00@example.com",
        "ada@\ud800.com",
    ],
)
def test_what_is_no_address_and_no_hash_gets_none(given: str) -> None:
    assert hashing.hashed(given) is None
    assert hashing.hash_of(given) is None
    assert hashing.address_of(given) is None


def test_an_address_is_no_hash() -> None:
    assert hashing.hash_of("ada@example.com") is None
    assert hashing.address_of(" Ada@Example.com ") == "ada@example.com"


def test_what_is_far_too_long_is_not_looked_through_again_and_again() -> None:
    assert hashing.address_of("a@" + "." * 1_000_000 + "@") is None


def test_an_address_has_254_bytes_at_most() -> None:
    longest = "a" * (hashing.MOST_BYTES - len("@example.com")) + "@example.com"

    assert hashing.address_of(longest) == longest
    assert hashing.address_of("a" + longest) is None
    assert hashing.hashed("a" + longest) is None
