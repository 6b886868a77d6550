"""What one rendering may spend: time, depth, and the characters and items that it makes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from decimal import Decimal
from time import monotonic, thread_time

from bridge.calendar.engine.faults import Refusal

SECONDS = 0.25
# A thread that waits for the others is not slow itself: only one that has worked this long is cut off.
CPU_SECONDS = 0.05
# How long a rendering runs on before the others of its thread may go on too: not longer than a thread of the database
# waits for the interpreter.
SLICE_SECONDS = 0.003
MAX_TEXT = 100_000
MAX_ITEMS = 10_000
# All texts and lists of one rendering together; it bounds the memory that a loop can hold on to.
MAX_MADE = 5_000_000
MAX_DEPTH = 30
MAX_NUMBER = 10**18


class TookTooLong(Refusal):
    def __init__(self) -> None:
        super().__init__(
            f"this took longer than {SECONDS * 1000:.0f} ms and was cut off", "rendering took too long"
        )


class TooLarge(Refusal):
    def __init__(self, words: str) -> None:
        super().__init__(words, "result too large")


class Budget:
    """The allowance of one rendering. It belongs to one thread.

    `give_way` lets the others of this thread go on. Of the renderings that take long only one goes on at a time, so
    that ten of them slow the others no more than one does.
    """

    __slots__ = ("_cpu_ends", "_ends", "_give_way", "_is_long", "_made", "_slice_ends", "depth")

    def __init__(self, give_way: Callable[[], None] | None = None) -> None:
        now = monotonic()
        self._ends = now + SECONDS
        self._cpu_ends = thread_time() + CPU_SECONDS
        self._slice_ends = now + SLICE_SECONDS if give_way else float("inf")
        self._give_way = give_way
        self._is_long = False
        self._made = 0
        self.depth = 0

    def tick(self) -> None:
        """Count one step; TookTooLong when the time is up."""
        now = monotonic()
        if now > self._ends and thread_time() > self._cpu_ends:
            raise TookTooLong
        if now > self._slice_ends and self._give_way is not None:
            self._pause(now, self._give_way)

    def _pause(self, now: float, give_way: Callable[[], None]) -> None:
        cpu = thread_time()
        give_way()
        if not self._is_long:
            _long.acquire()
            self._is_long = True
        then = monotonic()
        # What the others took meanwhile is not this one's.
        self._ends += then - now
        self._cpu_ends += thread_time() - cpu
        self._slice_ends = then + SLICE_SECONDS

    def end(self) -> None:
        if self._is_long:
            self._is_long = False
            _long.release()

    def spend(self, amount: int) -> None:
        """Count characters or items that were made."""
        self._made += amount
        if self._made > MAX_MADE:
            raise TooLarge(f"all texts and lists together are longer than {MAX_MADE:,} characters")
        self.tick()

    def enter(self) -> None:
        """Count one call within a call; the caller takes it back with `depth -= 1`."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise TooLarge(f"this calls itself, or goes more than {MAX_DEPTH} calls deep")
        self.tick()


_current: ContextVar[Budget | None] = ContextVar("budget", default=None)


_others: list[Callable[[], None]] = []  # none in a process of threads
_long = threading.Lock()  # held by the one long rendering that goes on


def between_slices(give_way: Callable[[], None]) -> None:
    """For a process whose requests share a thread: `give_way` lets the others go on, every few milliseconds."""
    _others[:] = [give_way]


@contextmanager
def spending() -> Iterator[Budget]:
    """One rendering: what runs inside shares one Budget."""
    budget = Budget(*_others)
    token = _current.set(budget)
    try:
        yield budget
    finally:
        budget.end()
        _current.reset(token)


def current() -> Budget:
    """The running rendering's Budget; outside of a rendering a fresh one."""
    return _current.get() or Budget()


def made(value: object) -> object:
    """`value` as it is, once it is known to be small enough and counted."""
    kind = type(value)
    if kind is str:
        size = len(value)  # type: ignore[arg-type]
        if size > MAX_TEXT:
            raise TooLarge(f"a text here is longer than {MAX_TEXT:,} characters")
        current().spend(size)
    elif kind is int or kind is Decimal:
        _check_number(value)  # type: ignore[arg-type]
    elif kind in _CONTAINERS:
        current().spend(_WEIGHT * _count(value, MAX_ITEMS))
    return value


def check_length(length: int) -> None:
    """Refuse a text before it is made."""
    if length > MAX_TEXT:
        raise TooLarge(f"a text here would be longer than {MAX_TEXT:,} characters")


def check_count(count: int) -> None:
    """Refuse a list before it is made."""
    if count > MAX_ITEMS:
        raise TooLarge(f"a list here has more than {MAX_ITEMS:,} items")


_CONTAINERS = (list, tuple, dict)
_WEIGHT = 16  # an item takes about as much memory as so many characters


def _check_number(value: int | Decimal) -> None:
    if not -MAX_NUMBER < value < MAX_NUMBER:
        raise TooLarge("a number here is larger than 18 digits")


def _count(value: object, limit: int) -> int:
    """The items of `value` with all that they hold, each counted as often as it is met.

    A list may hold another one twice, and that one a third: comparing or printing such a list takes time for each
    way to an item, so the ways are what is bounded.
    """
    count, rest = 0, [value]
    while rest:
        item = rest.pop()
        if isinstance(item, dict):
            rest.extend(item)
            rest.extend(item.values())
            count += 2 * len(item)
        elif isinstance(item, (list, tuple)):
            rest.extend(item)
            count += len(item)
        if count > limit:
            raise TooLarge(
                f"a list here has more than {MAX_ITEMS:,} items, those of lists within counted too"
            )
    return count
