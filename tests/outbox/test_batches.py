"""Calls of many messages: filled or aged, a line's rest with its head, settled message by message."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from factories import a_message, an_event, title_of
from outbox.steps import DAY, Outbox
from outbox.test_concurrency import other, overlap
from sqlalchemy.engine import Connection

from bridge import filling
from bridge.database import Database, clock
from bridge.destinations.batch import Batch, Pack
from bridge.errors import UpstreamTrouble
from bridge.filling import Claimed
from bridge.message import Delivered, Divided, Message, Outcome, Rejected, Retry, Uncertain
from bridge.outbox import settle, states, upkeep
from bridge.outbox.lines import give_up
from bridge.outbox.settle import Result
from bridge.outbox.tables import lock_keys
from bridge.rate import Rate
from bridge.sending import Sender

__all__ = ["other"]  # a fixture

SECOND = timedelta(seconds=1)
LONG_AGO = timedelta(hours=1)
TAKEN = Delivered(201)


@dataclass
class Crate:
    """A destination whose calls take four messages; one that says so fills a call alone."""

    name: str = "rokt_calendar"
    in_flight: int = 4
    rate: Rate = field(default_factory=Rate)
    batch: Batch = field(default_factory=lambda: Batch(4, SECOND, merges=True))
    intended: list[list[str]] = field(default_factory=list)

    def credential_of(self, account_code: str) -> str:
        return ""

    def look_up(self, connection: Connection, messages: Sequence[Message]) -> Sequence[Any]:
        return [title_of(message.request) for message in messages]

    def pack(self, messages: Sequence[Message], standings: Sequence[Any]) -> Sequence[Pack]:
        if "heavy" in standings:
            return [Pack(len(messages))]
        most = self.batch.messages
        sizes = [min(most, len(messages) - start) for start in range(0, len(messages), most)]
        return [Pack(size, is_full=size == most) for size in sizes]

    def intend(
        self, connection: Connection, messages: Sequence[Message], standings: Sequence[Any], now: datetime
    ) -> None:
        self.intended.append([title_of(message.request) for message in messages])

    def deliver(
        self, messages: Sequence[Message], standings: Sequence[Any], turn: Callable[[], None]
    ) -> list[Outcome]:
        return [TAKEN] * len(messages)

    def record(self, connection: Connection, done: Any, now: datetime) -> None: ...

    def doubt(self, connection: Connection, doubted: Any) -> None: ...

    def forget_old(self, connection: Connection, now: datetime) -> int:
        return 0

    def check(self) -> dict[str, str | UpstreamTrouble]:
        return {}

    def close(self) -> None: ...


class Sending:
    """One process's sender; what was accepted has waited for an hour unless it is said otherwise."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self.database, self.outbox = database, outbox
        self.destination = Crate()
        self.sender = Sender(self.destination, database)

    def accept(self, *titles: str, ago: timedelta = LONG_AGO, **fields: Any) -> None:
        messages = [a_message(event=an_event(title=title), **{"line": None, **fields}) for title in titles]
        self.outbox.accept(*messages, now=self.now() - ago)

    def now(self) -> datetime:
        with self.database.read() as connection:
            return clock(connection)

    def may_claim(self) -> bool:
        with self.database.read() as connection:
            return self.sender.may_claim(connection)

    def claim(self) -> list[Claimed]:
        with self.database.write() as connection:
            return self.sender.claim(connection, "w-1", clock(connection))

    def settle(self, claimed: Claimed, *outcomes: Outcome) -> settle.Settled:
        results = [Result(call, outcome) for call, outcome in zip(claimed.calls, outcomes, strict=True)]
        with self.database.write() as connection:
            return settle.settle(connection, results, clock(connection), DAY)


@pytest.fixture
def sending(database: Database, outbox: Outbox) -> Iterator[Sending]:
    made = Sending(database, outbox)
    yield made
    made.sender.close()


def titles(claimed: Sequence[Claimed]) -> list[list[str]]:
    return [[title_of(call.message.request) for call in one.calls] for one in claimed]


class TestFilling:
    def test_messages_of_many_lines_share_a_call(self, sending: Sending) -> None:
        sending.accept("a", "b", "c")

        [claimed] = sending.claim()

        assert titles([claimed]) == [["a", "b", "c"]]
        assert claimed.standings == ["a", "b", "c"]
        assert {call.id for call in claimed.calls} == {row.id for row in sending.outbox.calls()}

    def test_more_than_one_takes_make_more_calls(self, sending: Sending) -> None:
        sending.accept(*"abcdefghi")

        assert titles(sending.claim()) == [list("abcd"), list("efgh"), ["i"]]

    def test_no_more_calls_than_may_be_under_way(self, sending: Sending) -> None:
        sending.accept(*(f"{number:02}" for number in range(40)))
        sending.sender.in_flight = 2

        assert len(sending.claim()) == 2

    def test_one_that_is_not_full_waits_for_its_age(self, sending: Sending) -> None:
        sending.accept("a", ago=timedelta(0))

        assert sending.claim() == []
        assert not sending.may_claim()
        assert sending.outbox.calls() == []
        assert sending.destination.intended == []

    def test_a_full_one_goes_at_once_and_what_is_left_waits(self, sending: Sending) -> None:
        sending.accept(*"abcde", ago=timedelta(0))

        assert sending.may_claim()
        assert titles(sending.claim()) == [list("abcd")]
        assert sending.destination.intended == [list("abcd")]
        assert not sending.may_claim()

    def test_one_is_full_by_the_messages_of_one_line(self, sending: Sending) -> None:
        sending.accept(*"abcde", ago=timedelta(0), line="one")

        assert sending.may_claim()
        assert titles(sending.claim()) == [list("abcd")]

    def test_one_is_full_by_what_its_messages_weigh(self, sending: Sending) -> None:
        sending.accept("heavy", ago=timedelta(0))

        assert sending.may_claim()
        assert titles(sending.claim()) == [["heavy"]]

    def test_what_was_not_full_is_looked_at_again_when_more_has_come_and_some_time_has_gone(
        self, sending: Sending, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        passed = 0.0
        began = time.monotonic()
        monkeypatch.setattr(filling, "time", SimpleNamespace(monotonic=lambda: began + passed))
        sending.destination.batch = Batch(40, timedelta(hours=2), merges=True)
        sending.accept("a")
        assert sending.may_claim()
        assert sending.claim() == []

        passed = 100.0
        assert not sending.may_claim()
        sending.accept("heavy")
        assert sending.may_claim()
        passed = 0.1
        assert not sending.may_claim()

    def test_the_age_is_that_of_the_first(self, sending: Sending) -> None:
        sending.accept("old")
        sending.accept("new", ago=timedelta(0))

        assert sending.may_claim()
        assert titles(sending.claim()) == [["old", "new"]]

    def test_what_was_tried_before_waits_for_nobody(self, sending: Sending) -> None:
        sending.accept("a")
        [claimed] = sending.claim()
        sending.settle(claimed, Divided("too many", 400, progress={"at_most": 1}))

        assert titles(sending.claim()) == [["a"]]

    def test_a_test_waits_for_nobody(self, sending: Sending) -> None:
        sending.accept("test", ago=timedelta(0), is_test=True)

        assert sending.may_claim()
        assert titles(sending.claim()) == [["test"]]

    def test_what_is_too_late_does_not_leave_among_the_others(self, sending: Sending) -> None:
        sending.accept("late", "late too", expires_at=sending.now() - SECOND)
        sending.accept("in time")

        assert titles(sending.claim()) == [["in time"]]

    def test_where_all_is_too_late_nothing_leaves(self, sending: Sending) -> None:
        sending.accept(*"abcde", expires_at=sending.now() - SECOND)

        assert sending.claim() == []
        assert sending.outbox.calls() == []


class TestLines:
    def test_nothing_leaves_before_what_is_too_late_in_its_line(self, sending: Sending) -> None:
        sending.accept("first", line="one")
        sending.accept("late", line="one", expires_at=sending.now() - SECOND)
        sending.accept("behind it", line="one")

        assert titles(sending.claim()) == [["first"]]

    def test_the_rest_of_a_line_goes_with_its_head_in_order(self, sending: Sending) -> None:
        sending.accept("1", "2", line="u-1")
        sending.accept("other")
        sending.accept("3", line="u-1")

        assert titles(sending.claim()) == [["1", "2", "3", "other"]]

    def test_of_a_long_line_goes_what_one_call_takes(self, sending: Sending) -> None:
        sending.accept(*(str(number) for number in range(1_000)), line="u-1")

        assert titles(sending.claim()) == [["0", "1", "2", "3"]]
        assert sending.claim() == []

    def test_what_a_pack_leaves_out_stays(self, sending: Sending, monkeypatch: pytest.MonkeyPatch) -> None:
        sending.accept("1", "2", "3", line="u-1")
        sending.accept("other")
        packs = [Pack(2, left_out=1), Pack(1)]
        monkeypatch.setattr(sending.destination, "pack", lambda messages, standings: packs)

        first, second = sending.claim()

        assert titles([first, second]) == [["1", "2"], ["other"]]
        sending.settle(first, TAKEN, TAKEN)
        monkeypatch.undo()
        assert titles(sending.claim()) == [["3"]]

    def test_while_a_part_of_a_line_is_under_way_nothing_else_of_it_leaves(self, sending: Sending) -> None:
        sending.accept("1", "2", line="u-1")
        [claimed] = sending.claim()
        sending.accept("3", line="u-1")

        assert sending.claim() == []
        sending.settle(claimed, TAKEN, TAKEN)
        assert titles(sending.claim()) == [["3"]]

    def test_what_is_just_cancelled_behind_a_head_does_not_leave_with_it(
        self, database: Database, other: Database, sending: Sending
    ) -> None:
        sending.accept("1", "2", line="u-1")
        [_, behind] = sending.outbox.waiting()
        claimed: list[Claimed] = []

        def cancelling(connection: Connection) -> None:
            lock_keys(connection, [behind.line])
            give_up(connection, [behind.seq], "cancelled", clock(connection))

        overlap(
            other,
            cancelling,
            database,
            lambda connection: claimed.extend(sending.sender.claim(connection, "w-1", clock(connection))),
        )

        assert titles(claimed) == [["1"]]


class TestSettling:
    def test_each_message_ends_by_its_own_outcome(self, sending: Sending) -> None:
        sending.accept("good", "bad", "later", "unknown")
        [claimed] = sending.claim()

        sending.settle(
            claimed, TAKEN, Rejected("no such user", 201), Retry("answered 503", 503), Uncertain("cut off")
        )

        assert sending.outbox.states() == ["delivered", "dead", "retrying", "retrying"]
        assert sending.outbox.calls() == []
        assert len(sending.outbox.attempts()) == 4
        assert [row.call_id for row in sending.outbox.waiting()] == [None, None]

    def test_a_part_that_is_settled_alone_leaves_the_call_to_the_rest(self, sending: Sending) -> None:
        sending.accept("a", "b")
        [claimed] = sending.claim()
        first, second = claimed.calls

        settled = [
            sending.settle(Claimed(claimed.destination, [call], [None]), TAKEN) for call in (first, second)
        ]

        assert [len(one.final) for one in settled] == [1, 1]
        assert sending.outbox.states() == ["delivered", "delivered"]
        assert sending.outbox.faults() == []

    def test_a_divided_batch_goes_again_at_once_and_counts_no_failure(self, sending: Sending) -> None:
        sending.accept("a", "b")
        [claimed] = sending.claim()

        sending.settle(claimed, *[Divided("Max Input Length Exceeded", 400, progress={"at_most": 1})] * 2)

        [again] = sending.claim()
        assert [call.message.progress for call in again.calls] == [{"at_most": 1}] * 2
        assert [(call.message.tries, call.message.first_failed_at) for call in again.calls] == [(0, None)] * 2

    def test_a_silent_workers_call_is_uncertain_for_each_of_its_messages(self, sending: Sending) -> None:
        sending.outbox.beat("w-1", sending.now() - timedelta(minutes=1))
        sending.accept("1", "2", line="u-1")
        sending.accept("other")
        [claimed] = sending.claim()

        assert sending.outbox.take_over(sending.now()) == 1

        assert [row.call_id for row in sending.outbox.waiting()] == [None] * 3
        [again] = sending.claim()
        assert titles([again]) == [["1", "2", "other"]]
        assert all(call.message.was_uncertain for call in again.calls)
        assert len(sending.settle(claimed, TAKEN, TAKEN, TAKEN).late) == 3

    def test_a_late_answer_takes_over_its_line_and_leaves_the_rest_of_a_batch(self, sending: Sending) -> None:
        sending.accept("1", "2", line="u-1")
        sending.accept("other")
        [claimed] = sending.claim()
        line = claimed.calls[0].message.line

        with sending.database.write() as connection:
            again = upkeep.send_last_again(connection, [line], clock(connection))

        assert [title_of(message.request) for message in again] == ["1", "2"]
        assert sending.outbox.faults() == []
        settled = sending.settle(claimed, TAKEN, TAKEN, TAKEN)
        assert [title_of(result.call.message.request) for result, _ in settled.final] == ["other"]
        assert len(settled.late) == 2
        assert sending.outbox.calls() == []

    def test_a_call_that_fails_is_one_failure_however_many_it_carries(self, sending: Sending) -> None:
        for _ in range(states.TROUBLED_LINES - 1):
            sending.accept(*"abcd")
        claimed = sending.claim()
        failed = Retry("answered 503", 503, is_trouble=True)

        for one in claimed:
            with sending.database.write() as connection:
                results = [Result(call, failed) for call in one.calls]
                states.note(connection, sending.destination.name, results, clock(connection))

        with sending.database.read() as connection:
            [state] = states.read_states(connection)
        assert (state.state, len(state.troubled_lines)) == ("open", states.TROUBLED_LINES - 1)

    def test_an_answer_counts_more_than_what_did_not_leave(self, sending: Sending) -> None:
        sending.accept("a", "b")
        [claimed] = sending.claim()
        with sending.database.write() as connection:
            trouble = [Result(call, Retry("down", is_trouble=True)) for call in claimed.calls]
            states.note(connection, sending.destination.name, trouble, clock(connection))
            mixed = [Rejected("too late"), Rejected("no such user", 201)]
            results = [Result(call, one) for call, one in zip(claimed.calls, mixed, strict=True)]
            states.note(connection, sending.destination.name, results, clock(connection))

            [state] = states.read_states(connection)

        assert state.troubled_lines == ()
