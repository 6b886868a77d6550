"""Gathers what many threads ask of the database into groups, which one thread answers: by one commit or look-up."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from bridge.errors import DatabaseUnavailable

CALLER_WAITS = 5.0  # seconds in which the database says nothing
AGAIN_EVERY = 0.2  # seconds
A_TURN = 0.01  # seconds
CALLER_WAITS_MOST = 20.0  # seconds; a router in between gives up after thirty

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class _Entry(Generic[Asked, Answer]):
    __slots__ = ("answer", "asked", "asked_at", "fault", "is_awaited", "is_done")

    def __init__(self, asked: Asked) -> None:
        self.asked, self.asked_at = asked, time.monotonic()
        self.is_awaited = True
        self.is_done = threading.Event()
        self.answer: Answer | None = None
        self.fault: BaseException | None = None

    def wait(self, until: Callable[[], float]) -> Answer | BaseException:
        """The answer, or what is raised instead, by this monotonic time, which may move on meanwhile."""
        while not self.is_done.wait(max(0.0, until() - time.monotonic())):
            time.sleep(A_TURN)  # what the database said may not have been heard yet by those who listen to it
            if time.monotonic() >= until() and not self.is_done.is_set():
                self.is_awaited = False
                return DatabaseUnavailable("The database took too long; please send this again.")
        return self.fault or self.answer  # type: ignore[return-value]


class Groups(Generic[Asked, Answer]):
    """One thread for each process, started by the first that asks after the fork.

    `answer`: a group into its answers, one for each in their order; what it raises goes to each that asked.
    `weigh`: what one adds to its group, which takes no more once any of the sums reaches its `most`.
    `every`: seconds between the begins of two groups, at least. After a pause one begins at once.
    `heard_at`: when the database last said something, by the monotonic clock.
    `again_on`: what passes by itself; it is tried again while those who asked wait anyway.
    """

    def __init__(
        self,
        name: str,
        answer: Callable[[Sequence[Asked]], Sequence[Answer | BaseException]],
        weigh: Callable[[Asked], tuple[int, ...]] = lambda asked: (1,),
        most: tuple[int, ...] = (1_000,),
        every: float = 0.0,
        heard_at: Callable[[], float] = lambda: 0.0,
        again_on: tuple[type[Exception], ...] = (),
    ) -> None:
        self._every, self._heard_at, self._again_on = every, heard_at, again_on
        self._name, self._answer, self._weigh, self._most = name, answer, weigh, most
        self._queue: queue.SimpleQueue[_Entry[Asked, Answer] | None] = queue.SimpleQueue()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def ask(self, asked: Asked) -> Answer:
        """The answer. Errors: DatabaseUnavailable after five seconds in which the database said nothing, or twenty
        in all, when it may be done all the same; whatever answering raised.
        """
        [answer] = self.ask_all([asked])
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def ask_all(self, asked: Sequence[Asked], since: float | None = None) -> list[Answer | BaseException]:
        """The answer of each, or what `ask` would raise. All of them together may take as long as one.

        `since`: from when on the twenty seconds count, by the monotonic clock, if not from now.
        """
        if self._thread is None:
            self._start()
        entries: list[_Entry[Asked, Answer]] = [_Entry(one) for one in asked]
        for entry in entries:
            self._queue.put(entry)
        asked_at = time.monotonic()

        def until() -> float:
            """Many callers are no reason to send one away: while the database works they wait for their turn."""
            most = (asked_at if since is None else since) + CALLER_WAITS_MOST
            return min(max(asked_at, self._heard_at()) + CALLER_WAITS, most)

        return [entry.wait(until) for entry in entries]

    @property
    def waiting(self) -> int:
        """How many have asked and are in no group yet."""
        return self._queue.qsize()

    def close(self) -> None:
        """Answer what was asked, then end the thread."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def _run(self) -> None:
        began_at = float("-inf")
        while group := self._next(began_at + self._every):
            began_at = time.monotonic()
            try:
                answers = self._answered([entry.asked for entry in group], group[0].asked_at + CALLER_WAITS)
            except Exception as fault:  # noqa: BLE001  it is of those who asked
                answers = [fault] * len(group)
            for entry, answer in zip(group, answers, strict=True):
                if isinstance(answer, BaseException):
                    entry.fault = answer
                else:
                    entry.answer = answer
                entry.is_done.set()

    def _answered(self, asked: Sequence[Asked], until: float) -> Sequence[Answer | BaseException]:
        while True:
            try:
                return self._answer(asked)
            except self._again_on:
                if time.monotonic() + AGAIN_EVERY >= until:
                    raise
            time.sleep(AGAIN_EVERY)

    def _next(self, not_before: float) -> list[_Entry[Asked, Answer]]:
        """What queued meanwhile and is awaited still; empty: this closes."""
        first = self._queue.get()
        if first is not None and (rest := not_before - time.monotonic()) > 0:
            time.sleep(rest)
        group: list[_Entry[Asked, Answer]] = []
        sums = [0] * len(self._most)
        while first is not None:
            if first.is_awaited:
                group.append(first)
                sums = [sum(pair) for pair in zip(sums, self._weigh(first.asked), strict=True)]
            if any(one >= most for one, most in zip(sums, self._most, strict=True)):
                return group
            try:
                first = self._queue.get(block=not group)
            except queue.Empty:
                return group
        if group:
            self._queue.put(None)
        return group
