"""How long each measure goes on."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Extent:
    """`rounds`: how often each pair is measured in turn. `seconds`: of one measurement, `warm_up` before it.

    `connections`: with which accepting is measured. `delays`: milliseconds before the upstream answers. `both`:
    messages that are accepted and delivered at once. `tokens`: deliveries while tokens are counted, with a
    `token_life` in seconds. `subscribers`: that are drained into Braze. `addresses`: that are drained into a custom
    audience. `conversions`: of so many users, that are drained to Rokt's Event API. `history`: messages that are old
    enough to be forgotten. `in_process`: requests and messages of the breakdowns.
    """

    rounds: int = 3
    seconds: float = 3.0
    warm_up: float = 1.0
    connections: tuple[int, ...] = (64, 16)
    delays: tuple[int, ...] = (0, 100)
    both: int = 4000
    tokens: int = 10_000
    token_life: int = 3
    subscribers: int = 100_000
    addresses: int = 1_000_000
    conversions: int = 100_000
    history: int = 300_000
    in_process: int = 6000


USUAL = Extent()
QUICK = Extent(
    rounds=1,
    seconds=1.5,
    warm_up=0.5,
    connections=(64,),
    both=1000,
    tokens=2000,
    token_life=1,
    subscribers=5_000,
    addresses=50_000,
    conversions=6_000,
    history=50_000,
    in_process=1500,
)
FULL = replace(USUAL, rounds=5, tokens=100_000, token_life=300)
