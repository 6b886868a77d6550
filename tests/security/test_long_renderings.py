"""A rendering that takes long, in a process whose requests share one thread: the others go on meanwhile."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from security.escapes import FRAME

from bridge.calendar.engine import TemplateFault, budget, compile_template

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ENDLESS = "{% for a in range(5000) %}{% for b in range(5000) %}{% endfor %}{% endfor %}"
SHORT = "{% for a in range(99) %}{{ a }}{% endfor %}"


def render(trick: str) -> str:
    template = compile_template("tricky", {"tricky": FRAME.replace("@@", trick)})
    return template.render({}, NOW).fields["description"]


@pytest.fixture
def gave_way(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    gave_way: list[int] = []
    monkeypatch.setattr(budget, "_others", [lambda: gave_way.append(1)])
    return gave_way


def test_a_long_rendering_gives_way_again_and_again_and_is_cut_off(gave_way: list[int]) -> None:
    with pytest.raises(TemplateFault, match="250 ms"):
        render(ENDLESS)

    assert len(gave_way) > 5


@pytest.mark.parametrize(
    "trick",
    [
        "{% for a in range(20) %}{% set x = range(9999) | unique | list %}{% endfor %}",
        "{% for a in range(20) %}{% set x = range(9999) | list | sort(reverse=true) %}{% endfor %}",
        "{% for a in range(9) %}{% set x = text | wordwrap(1) %}{% endfor %}",
    ],
)
def test_the_longest_steps_give_way_in_between(
    monkeypatch: pytest.MonkeyPatch, gave_way: list[int], trick: str
) -> None:
    """Those that were one step of half a second, or two, while nobody looked."""
    monkeypatch.setattr(budget, "SECONDS", 1000)  # on a busy machine one step may take them all

    with suppress(TemplateFault):
        render("{% set text = '" + "x " * 30_000 + "' %}" + trick)

    assert len(gave_way) > 1


def test_what_the_others_take_is_not_taken_from_a_rendering(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 0.001
        return now

    def others() -> None:
        nonlocal now
        now += 10

    monkeypatch.setattr(budget, "monotonic", clock)
    monkeypatch.setattr(budget, "thread_time", clock)
    monkeypatch.setattr(budget, "_others", [others])

    assert render("{% for a in range(50) %}.{% endfor %}") == "." * 50
    assert now > 50


def test_of_several_long_renderings_one_goes_on_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "SLICE_SECONDS", 0.0)
    first, second = budget.Budget(lambda: None), budget.Budget(lambda: None)
    first.tick()
    waiting = threading.Thread(target=lambda: (second.tick(), second.end()), daemon=True)
    waiting.start()
    waiting.join(0.2)

    assert waiting.is_alive()
    first.end()
    waiting.join(10)
    assert not waiting.is_alive()


def test_a_rendering_that_fails_leaves_the_place_to_the_next(gave_way: list[int]) -> None:
    for _ in range(2):
        with pytest.raises(TemplateFault):
            render(ENDLESS)

    assert not budget._long.locked()
