"""Lines under many writers and workers at once: always one head, always in order, never two of a line in flight."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from factories import NOON, a_message, a_request, a_subject
from outbox.steps import DAY, DESTINATION, TAKEN, Outbox, faults
from sqlalchemy.engine import Connection

from bridge.database import Database, clock
from bridge.message import Rejected, State
from bridge.outbox import claim, enqueue, replay, settle, upkeep
from bridge.outbox.enqueue import Inbox, store
from bridge.outbox.retention import forget_old
from bridge.outbox.settle import Result
from bridge.outbox.tables import latest, messages, repeats

Step = Callable[[Connection], Any]


@pytest.fixture
def other(database_url: str) -> Iterator[Database]:
    """The same database as another process has it."""
    database = Database(database_url)
    yield database
    database.close()


def overlap(database: Database, first: Step, other: Database, second: Step, *, patience: float = 0.2) -> bool:
    """Two transactions, the second begun when the first has done all but commit. True: the second waited."""

    def run_second() -> None:
        with other.write() as connection:
            second(connection)

    with ThreadPoolExecutor(1) as thread:
        with database.write() as connection:
            first(connection)
            running = thread.submit(run_second)
            has_waited = not wait([running], patience).done
        running.result(10)
    return has_waited


def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (enqueue, settle, upkeep, replay):
        monkeypatch.setattr(module, "lock_keys", lambda connection, keys: None)


def accepting(connection: Connection) -> None:
    store(connection, [a_request()], NOON)


class Line:
    """A line with one message in flight, one waiting, and one that is dead: what can happen to it at once."""

    def __init__(self, outbox: Outbox) -> None:
        [self.dead] = outbox.accept(a_message())
        outbox.settle(outbox.claim(), Rejected("answered 400", 400))
        self.outbox = outbox

    def in_flight(self) -> Step:
        self.outbox.accept(a_message())
        calls = self.outbox.claim()
        return lambda connection: settle.settle(connection, [Result(calls[0], TAKEN)], NOON, DAY)

    def expired(self) -> Step:
        self.outbox.accept(a_message(expires_at=NOON))
        return lambda connection: upkeep.expire(connection, NOON)

    def waiting(self) -> Step:
        self.outbox.accept(a_message())
        return lambda connection: claim.claim(connection, "w-2", DESTINATION, 10, NOON)

    def replaying(self, connection: Connection) -> None:
        found = replay.settled(connection, self.dead.ids[0])
        assert found is not None
        replay.send_again(connection, found[0], NOON, force=True)


@pytest.fixture
def line(outbox: Outbox) -> Line:
    line = Line(outbox)
    assert outbox.states() == [State.DEAD]
    return line


class TestTwoTransactionsAtOnce:
    def test_a_message_that_comes_while_its_head_is_settled_becomes_the_head(
        self, database: Database, other: Database, line: Line
    ) -> None:
        has_waited = overlap(database, line.in_flight(), other, accepting)

        assert has_waited
        assert [row.is_head for row in line.outbox.waiting()] == [True]

    def test_a_head_that_is_settled_while_a_message_comes_makes_it_the_head(
        self, database: Database, other: Database, line: Line
    ) -> None:
        settling = line.in_flight()

        has_waited = overlap(database, accepting, other, settling)

        assert has_waited
        assert [row.is_head for row in line.outbox.waiting()] == [True]

    def test_a_message_that_comes_while_its_head_expires_becomes_the_head(
        self, database: Database, other: Database, line: Line
    ) -> None:
        overlap(database, line.expired(), other, accepting)

        assert [row.is_head for row in line.outbox.waiting()] == [True]

    def test_two_messages_that_come_at_once_to_an_empty_line_are_its_head_and_the_next(
        self, database: Database, other: Database, line: Line
    ) -> None:
        overlap(database, accepting, other, accepting)

        assert [row.is_head for row in line.outbox.waiting()] == [True, False]

    def test_a_replay_while_the_head_is_settled_becomes_the_head(
        self, database: Database, other: Database, line: Line
    ) -> None:
        overlap(database, line.in_flight(), other, line.replaying)

        assert [row.is_head for row in line.outbox.waiting()] == [True]

    @pytest.mark.parametrize("is_replay_first", [True, False])
    def test_a_replay_and_a_message_that_come_at_once_are_the_head_and_the_next(
        self, database: Database, other: Database, line: Line, is_replay_first: bool
    ) -> None:
        steps = [line.replaying, accepting] if is_replay_first else [accepting, line.replaying]

        overlap(database, steps[0], other, steps[1])

        assert [row.is_head for row in line.outbox.waiting()] == [True, False]

    def test_a_replay_while_the_head_is_claimed_stays_behind_it(
        self, database: Database, other: Database, line: Line
    ) -> None:
        overlap(database, line.waiting(), other, line.replaying)

        assert line.outbox.faults() == []
        assert [(row.is_head, bool(row.call_id)) for row in line.outbox.waiting()] == [
            (False, False),
            (True, True),
        ]

    def test_a_claim_while_a_replay_goes_in_front_takes_at_most_one_of_them(
        self, database: Database, other: Database, line: Line
    ) -> None:
        claiming = line.waiting()

        overlap(database, line.replaying, other, claiming)

        assert line.outbox.faults() == []
        assert sum(bool(row.call_id) for row in line.outbox.waiting()) <= 1

    def test_a_replay_while_old_messages_are_forgotten_is_not_forgotten(
        self, database: Database, other: Database, line: Line
    ) -> None:
        overlap(
            database, line.replaying, other, lambda connection: forget_old(connection, NOON + 4 * DAY, DAY)
        )

        assert line.outbox.states() == [State.ACCEPTED]
        assert [row.is_head for row in line.outbox.waiting()] == [True]

    def test_a_repeat_key_that_is_renewed_while_old_ones_are_forgotten_stays(
        self, database: Database, other: Database, outbox: Outbox
    ) -> None:
        later = NOON + 8 * DAY
        request = a_request(repeat_key="k-1", subject=a_subject(keep_until=NOON + DAY))
        outbox.accept(request)
        renewed = replace(request, subject=a_subject(keep_until=later + DAY))

        overlap(
            database,
            lambda connection: store(connection, [renewed], later),
            other,
            lambda connection: forget_old(connection, later, 30 * DAY),
        )

        assert len(outbox.rows(sa.select(repeats))) == 1
        assert len(outbox.rows(sa.select(latest))) == 1

    def test_two_claims_at_once_do_not_wait_for_each_other_and_share_nothing(
        self, database: Database, other: Database, outbox: Outbox
    ) -> None:
        outbox.accept(*(a_message(user_id=f"u-{n}") for n in range(6)))
        claimed: list[int] = []

        def claiming(connection: Connection) -> None:
            claimed.extend(c.message.seq for c in claim.claim(connection, "w", DESTINATION, 4, NOON))

        has_waited = overlap(
            database, claiming, other, claiming, patience=10 if not database.is_sqlite else 0.1
        )

        assert sorted(claimed) == [row.seq for row in outbox.waiting()]
        assert has_waited == database.is_sqlite

    def test_two_groups_with_the_same_keys_in_other_orders_do_not_block_each_other_for_good(
        self, database: Database, database_url: str
    ) -> None:
        keys = [a_message(user_id=f"u-{n}") for n in range(20)]
        processes = [Database(database_url) for _ in range(2)]

        def write(number: int) -> None:
            for _ in range(15):
                group = [a_request(one) for one in (keys if number else keys[::-1])]
                with processes[number].write() as connection:
                    store(connection, group, NOON)

        with ThreadPoolExecutor(2) as threads:
            list(threads.map(write, range(2)))
        for process in processes:
            process.close()

        assert len(Outbox(database).waiting()) == 600
        assert Outbox(database).faults() == []


class TestWithoutTheLock:
    """The same checks find a variant that forgot to lock its keys: they can fail."""

    @pytest.fixture
    def database_url(self, postgresql_database_url: str) -> str:
        """SQLite's one writer at a time is such a lock itself."""
        return postgresql_database_url

    def test_a_line_loses_its_head_and_is_found(
        self, database: Database, other: Database, line: Line, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settling = line.in_flight()
        without_locks(monkeypatch)

        has_waited = overlap(database, settling, other, accepting, patience=10)

        assert not has_waited
        assert [fault.partition(" has ")[2] for fault in line.outbox.faults()] == ["0 heads"]

    def test_an_expired_head_leaves_a_line_without_one_and_is_found(
        self, database: Database, other: Database, line: Line, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        expiring = line.expired()
        without_locks(monkeypatch)

        overlap(database, expiring, other, accepting, patience=10)

        assert [fault.partition(" has ")[2] for fault in line.outbox.faults()] == ["0 heads"]

    def test_two_heads_of_a_line_are_refused_by_the_index(
        self, database: Database, other: Database, line: Line, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        without_locks(monkeypatch)

        with pytest.raises(sa.exc.IntegrityError, match="waiting_heads"):
            overlap(database, accepting, other, accepting)

    def test_a_message_overtakes_one_that_was_accepted_before_it(
        self, database: Database, other: Database, line: Line, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        outbox = line.outbox
        settling = line.in_flight()
        left: list[int] = []
        without_locks(monkeypatch)

        def settle_and_claim(connection: Connection) -> None:
            accepting(connection)
            settling(connection)
            left.extend(c.message.seq for c in claim.claim(connection, "w-2", DESTINATION, 1, NOON))

        overlap(database, accepting, other, settle_and_claim, patience=10)

        first_in_line = min(row.seq for row in outbox.waiting())
        assert left > [first_in_line]


class TestManyAtOnce:
    KEYS = 4
    EACH = 25

    def test_few_keys_under_many_writers_and_workers_are_all_delivered_in_order(
        self, database: Database, database_url: str
    ) -> None:
        processes = [Database(database_url) for _ in range(4)]
        inboxes = [Inbox(one) for one in processes[:2]]
        run = _Run(self.KEYS * self.EACH * 2)

        def write(number: int) -> None:
            for n in range(self.EACH):
                for key in range(self.KEYS):
                    inboxes[number].accept(a_request(a_message(line=f"{key}"), request_id=f"{number}:{n}"))

        with ThreadPoolExecutor(4) as threads:
            tasks = [threads.submit(write, number) for number in range(2)]
            tasks += [threads.submit(run.work, f"w-{n}", process) for n, process in enumerate(processes[2:])]
            for task in tasks:
                task.result(60)
        for inbox in inboxes:
            inbox.close()
        for process in processes:
            process.close()

        stored = Outbox(database)
        assert run.overlaps == []
        assert stored.waiting() == []
        assert stored.calls() == []
        assert set(stored.states()) == {State.DELIVERED}
        accepted: dict[int, list[int]] = {}
        for row in stored.rows(sa.select(messages.c.line, messages.c.seq).order_by(messages.c.seq)):
            accepted.setdefault(row.line, []).append(row.seq)
        assert run.sent == accepted
        assert len(accepted) == self.KEYS


class _Run:
    """Workers' loops without calls: what was sent in which order, and whether two of a line ever left at once."""

    def __init__(self, wanted: int) -> None:
        self._left = wanted
        self._lock = threading.Lock()
        self._in_flight: set[int] = set()
        self.sent: dict[int, list[int]] = {}
        self.overlaps: list[int] = []

    def work(self, worker: str, database: Database) -> None:
        while self._left > 0:
            with database.write() as connection:
                now = clock(connection)
                claimed = claim.claim(connection, worker, DESTINATION, 3, now)
            if not claimed:
                continue
            with self._lock:
                self.overlaps += [c.message.seq for c in claimed if c.message.line in self._in_flight]
                self._in_flight |= {call.message.line for call in claimed}
                for call in claimed:
                    self.sent.setdefault(call.message.line, []).append(call.message.seq)
            with database.write() as connection:
                settle.settle(connection, [Result(call, TAKEN) for call in claimed], now, DAY)
                assert faults(connection) == []
                with self._lock:
                    self._in_flight -= {call.message.line for call in claimed}
                    self._left -= len(claimed)
