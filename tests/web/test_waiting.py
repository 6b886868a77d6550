"""A caller that waits for the outcome costs the database little."""

from __future__ import annotations

import pytest
from web.running import Bridge, literal


class Clock:
    """Its time passes in sleeps alone."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sleeps: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds


def test_who_waits_long_looks_less_and_less_often(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("bridge.web.outcome.time", clock)

    bridge.accept(literal(), headers={"Prefer": "wait=25"})

    assert clock.now == pytest.approx(25)
    assert clock.sleeps[0] == 0.05
    assert len(clock.sleeps) < 60
