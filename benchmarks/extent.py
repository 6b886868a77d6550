"""How long each measure goes on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Extent:
    """`rounds`: how often each pair is measured in turn. `seconds`: of one measurement.

    `both`: messages that are accepted and delivered at once. `tokens`: deliveries while tokens are counted, with a
    `token_life` in seconds. `in_process`: requests of the breakdown.
    """

    rounds: int
    seconds: float
    both: int
    tokens: int
    token_life: int
    in_process: int


USUAL = Extent(rounds=5, seconds=3.0, both=4000, tokens=10_000, token_life=3, in_process=6000)
QUICK = Extent(rounds=1, seconds=1.5, both=1000, tokens=2000, token_life=1, in_process=1500)
FULL = Extent(rounds=5, seconds=3.0, both=4000, tokens=100_000, token_life=300, in_process=6000)
