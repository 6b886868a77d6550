"""Many threads ask, one answers in groups."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import SimpleNamespace

import pytest
from outbox.steps import eventually

from bridge import groups as groups_module
from bridge.errors import DatabaseUnavailable
from bridge.groups import Groups


class Doubler:
    """Doubles numbers; it begins a group when it is let."""

    def __init__(self) -> None:
        self.may_go = threading.Event()
        self.groups: list[list[int]] = []

    def __call__(self, group: Sequence[int]) -> list[int | BaseException]:
        self.groups.append(list(group))
        self.may_go.wait(10)
        if 13 in group:
            raise RuntimeError("of all")
        return [ValueError(number) if number < 0 else 2 * number for number in group]


@pytest.fixture
def double() -> Doubler:
    return Doubler()


@pytest.fixture
def groups(double: Doubler) -> Iterator[Groups[int, int]]:
    groups = Groups("test", double, lambda number: (1, number), (4, 100))
    yield groups
    double.may_go.set()
    groups.close()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


def behind_a_first(
    groups: Groups[int, int], double: Doubler, pool: ThreadPoolExecutor, *asked: int
) -> list[Future[int]]:
    """What became of these, which were asked in this order while another was being answered."""
    first = pool.submit(groups.ask, 0)
    eventually(lambda: double.groups)
    futures: list[Future[int]] = []
    for number in asked:
        futures.append(pool.submit(groups.ask, number))
        eventually(lambda: groups.waiting == len(futures))
    double.may_go.set()
    wait([first, *futures], 10)
    return futures


def test_who_asks_alone_is_answered(groups: Groups[int, int], double: Doubler) -> None:
    double.may_go.set()

    assert groups.ask(21) == 42


def test_what_is_asked_meanwhile_is_one_group_in_its_order(
    groups: Groups[int, int], double: Doubler, pool: ThreadPoolExecutor
) -> None:
    answers = behind_a_first(groups, double, pool, 1, 2, 3)

    assert double.groups == [[0], [1, 2, 3]]
    assert [answer.result() for answer in answers] == [2, 4, 6]


@pytest.mark.parametrize(
    ("asked", "grouped"),
    [((1, 2, 3, 4, 5), [[1, 2, 3, 4], [5]]), ((60, 40, 1), [[60, 40], [1]]), ((500, 1), [[500], [1]])],
)
def test_a_group_takes_no_more_once_a_sum_is_reached(
    groups: Groups[int, int],
    double: Doubler,
    pool: ThreadPoolExecutor,
    asked: tuple[int, ...],
    grouped: list[list[int]],
) -> None:
    behind_a_first(groups, double, pool, *asked)

    assert double.groups == [[0], *grouped]


def test_a_fault_is_of_the_one_that_has_it(
    groups: Groups[int, int], double: Doubler, pool: ThreadPoolExecutor
) -> None:
    fine, wrong = behind_a_first(groups, double, pool, 1, -1)

    assert fine.result() == 2
    with pytest.raises(ValueError, match="-1"):
        wrong.result()


def test_what_answering_raises_is_of_all_who_asked_and_of_nobody_later(
    groups: Groups[int, int], double: Doubler, pool: ThreadPoolExecutor
) -> None:
    answers = behind_a_first(groups, double, pool, 1, 13)

    for answer in answers:
        with pytest.raises(RuntimeError, match="of all"):
            answer.result()
    assert groups.ask(2) == 4


def test_who_waits_no_more_is_not_asked_for(
    groups: Groups[int, int], double: Doubler, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool.submit(groups.ask, 0)
    eventually(lambda: double.groups)
    with monkeypatch.context() as hasty:
        hasty.setattr(groups_module, "CALLER_WAITS", 0.01)
        with pytest.raises(DatabaseUnavailable):
            groups.ask(1)
    later = pool.submit(groups.ask, 2)
    eventually(lambda: groups.waiting == 2)
    double.may_go.set()

    assert later.result(10) == 4
    assert double.groups == [[0], [2]]


def test_who_asks_waits_for_as_long_as_the_database_says_something(
    double: Doubler, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups_module, "CALLER_WAITS", 0.2)
    heard = [time.monotonic() + 60]
    groups = Groups("test", double, heard_at=lambda: heard[0])
    patient = pool.submit(groups.ask, 21)

    assert not wait([patient], 0.6).done
    heard[0] = 0.0
    later = pool.submit(groups.ask, 22)
    with pytest.raises(DatabaseUnavailable):
        later.result(10)
    double.may_go.set()
    assert patient.result(10) == 42
    groups.close()


def test_nobody_waits_longer_than_a_router_in_between(
    double: Doubler, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups_module, "CALLER_WAITS_MOST", 0.2)
    groups = Groups("test", double, heard_at=time.monotonic)

    with pytest.raises(DatabaseUnavailable):
        groups.ask(21)
    double.may_go.set()
    groups.close()


def test_closing_answers_what_was_asked(
    groups: Groups[int, int], double: Doubler, pool: ThreadPoolExecutor
) -> None:
    first = pool.submit(groups.ask, 0)
    eventually(lambda: double.groups)
    second = pool.submit(groups.ask, 1)
    eventually(lambda: groups.waiting == 1)
    closing = pool.submit(groups.close)
    eventually(lambda: groups.waiting == 2)
    double.may_go.set()

    assert [first.result(10), second.result(10), closing.result(10)] == [0, 2, None]


def test_it_starts_anew_after_it_was_closed(groups: Groups[int, int], double: Doubler) -> None:
    double.may_go.set()
    groups.ask(1)
    groups.close()

    assert groups.ask(2) == 4


def test_a_group_begins_so_long_after_the_last_one_but_after_a_pause_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, slept = 100.0, []

    def sleep(seconds: float) -> None:
        nonlocal now
        slept.append(round(seconds, 3))
        now += seconds

    monkeypatch.setattr(groups_module, "time", SimpleNamespace(monotonic=lambda: now, sleep=sleep))
    groups = Groups("test", lambda group: group, every=0.5)
    for pause in (0.0, 0.2, 0.0, 7.0):
        now += pause
        groups.ask(1)
    groups.close()

    assert slept == [0.3, 0.5]
