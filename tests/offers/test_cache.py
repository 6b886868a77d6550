"""What is kept: for how long, and how much."""

from __future__ import annotations

from bridge.offers.cache import ENTRY_BYTES, Cache


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_what_is_kept_is_there_until_its_end() -> None:
    clock = Clock()
    cache: Cache[str] = Cache(10_000, clock)
    cache.put(b"a", "kept", 10, life=60)

    clock.now += 59.9
    before = cache.get(b"a")
    clock.now += 0.1

    assert (before, cache.get(b"a")) == ("kept", None)
    assert cache.bytes == 0


def test_what_is_asked_for_does_not_live_longer() -> None:
    clock = Clock()
    cache: Cache[str] = Cache(10_000, clock)
    cache.put(b"a", "kept", 10, life=60)

    for _ in range(6):
        clock.now += 10
        found = cache.get(b"a")

    assert found is None


def test_beyond_its_bytes_what_was_not_asked_for_the_longest_goes() -> None:
    cache: Cache[str] = Cache(3 * (100 + ENTRY_BYTES))
    for key in (b"a", b"b", b"c"):
        cache.put(key, "kept", 100, life=60)
    cache.get(b"a")

    cache.put(b"d", "kept", 100, life=60)

    assert [cache.get(key) for key in (b"a", b"b", b"c", b"d")] == ["kept", None, "kept", "kept"]
    assert cache.bytes == 3 * (100 + ENTRY_BYTES)


def test_a_large_one_takes_the_place_of_many() -> None:
    cache: Cache[str] = Cache(2_000)
    for number in range(3):
        cache.put(bytes([number]), "small", 100, life=60)

    cache.put(b"large", "large", 1_400, life=60)

    assert cache.get(b"large") == "large"
    assert cache.get(b"\0") is None
    assert cache.bytes <= 2_000


def test_what_is_larger_than_all_that_may_be_kept_is_not_kept() -> None:
    cache: Cache[str] = Cache(1_000)
    cache.put(b"small", "small", 100, life=60)

    cache.put(b"a", "kept", 1_001, life=60)

    assert (cache.get(b"a"), cache.get(b"small")) == (None, "small")


def test_a_newer_one_takes_the_place_of_an_older() -> None:
    cache: Cache[str] = Cache(10_000)
    cache.put(b"a", "old", 100, life=60)

    cache.put(b"a", "new", 200, life=60)

    assert cache.get(b"a") == "new"
    assert cache.bytes == 200 + ENTRY_BYTES
