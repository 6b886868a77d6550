"""What one process claims and sends: by the gate, by what is free, and in its turn."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from factories import a_call, a_message
from outbox.steps import DESTINATION, Outbox
from test_worker import Upstream

from bridge import sending
from bridge.database import Database, clock
from bridge.filling import Claimed
from bridge.message import Delivered, Outcome, Retry
from bridge.outbox import budget, states
from bridge.outbox.settle import Result
from bridge.outbox.tables import budgets, waiting
from bridge.rate import Rate
from bridge.sending import Sender
from bridge.turns import at_once

BUSY = Retry("answered 503", 503, is_trouble=True)
NO_TOKEN = Retry("the credential is refused", refused_account="")
SECOND = timedelta(seconds=1)
LONG_AGO = timedelta(hours=1)


class TwoCredentials(Upstream):
    def credential_of(self, account_code: str) -> str:
        return "OWN" if account_code == "own" else ""


class Senders:
    """Processes on one database, and what the destination's calls came to."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.outbox = Outbox(database)
        self._made: list[Sender] = []

    def make(self, **options: Any) -> Sender:
        sender = Sender(TwoCredentials(**options), self.database)
        self._made.append(sender)
        return sender

    def now(self) -> datetime:
        with self.database.read() as connection:
            return clock(connection)

    def accept(self, *accounts: str, **fields: Any) -> None:
        given = [a_message(account_code=account, line=None, **fields) for account in accounts]
        self.outbox.accept(*given, now=self.now() - LONG_AGO)

    def note(self, *outcomes: Outcome, ago: timedelta = timedelta(0)) -> None:
        results = [Result(a_call(line), outcome) for line, outcome in enumerate(outcomes)]
        with self.database.write() as connection:
            states.note(connection, DESTINATION, results, clock(connection) - ago)

    def may_claim(self, sender: Sender) -> bool:
        with self.database.read() as connection:
            return sender.may_claim(connection)

    def claim(self, sender: Sender) -> list[Claimed]:
        with self.database.write() as connection:
            claimed = sender.claim(connection, "w-1", clock(connection))
        sender.in_flight += len(claimed)
        return claimed

    def close(self) -> None:
        for sender in self._made:
            sender.close()


@pytest.fixture
def senders(database: Database) -> Iterator[Senders]:
    senders = Senders(database)
    yield senders
    senders.close()


def accounts(claimed: Sequence[Claimed]) -> list[str]:
    return sorted(one.calls[0].message.account_code for one in claimed)


class TestTheGate:
    def test_all_that_is_due_goes_as_far_as_calls_are_free(self, senders: Senders) -> None:
        sender = senders.make(in_flight=4)
        senders.accept(*"abcdef")

        assert senders.may_claim(sender)
        assert len(senders.claim(sender)) == 4
        assert not senders.may_claim(sender)
        assert senders.claim(sender) == []

    def test_a_few_more_are_claimed_than_there_are_threads(self, senders: Senders) -> None:
        sender = senders.make(in_flight=16)
        senders.accept(*(f"a-{number}" for number in range(20)))

        assert len(senders.claim(sender)) == 18

    def test_nothing_leaves_a_paused_one(self, senders: Senders) -> None:
        sender = senders.make()
        senders.accept("a")
        with senders.database.write() as connection:
            states.pause(connection, DESTINATION, "paused by ada", clock(connection))

        assert not senders.may_claim(sender)
        assert senders.claim(sender) == []

    def test_a_closed_one_is_left_alone_until_a_probe_is_due(self, senders: Senders) -> None:
        sender = senders.make()
        senders.accept(*"abc")
        senders.note(*[BUSY] * 5)

        assert not senders.may_claim(sender)
        assert senders.claim(sender) == []

    def test_a_probe_is_one_call_though_all_are_in_back_off(self, senders: Senders) -> None:
        sender = senders.make()
        senders.accept(*"abc")
        with senders.database.write() as connection:
            connection.execute(sa.update(waiting).values(due_at=waiting.c.due_at))
            later = clock(connection) + LONG_AGO
            connection.execute(sa.update(waiting).values(due_at=later))
        senders.note(*[BUSY] * 5, ago=LONG_AGO)

        assert senders.may_claim(sender)
        assert [one.is_probe for one in senders.claim(sender)] == [True]
        assert not senders.may_claim(sender)

    def test_what_is_of_no_account_is_probed_and_goes_on_when_it_opens(self, senders: Senders) -> None:
        """The whole destination is written as a blank account is."""
        sender = senders.make()
        senders.accept("", "")
        senders.note(*[BUSY] * 5, ago=LONG_AGO)

        assert senders.may_claim(sender)
        assert [one.is_probe for one in senders.claim(sender)] == [True]

        senders.note(Delivered(202))
        assert len(senders.claim(sender)) == 1

    def test_no_probe_is_taken_where_nothing_waits(self, senders: Senders) -> None:
        sender = senders.make()
        senders.note(*[BUSY] * 5, ago=LONG_AGO)

        assert not senders.may_claim(sender)
        assert senders.claim(sender) == []

        senders.accept("a")
        assert senders.may_claim(sender)

    def test_the_accounts_of_the_common_credential_close_together_and_the_others_go_on(
        self, senders: Senders
    ) -> None:
        sender = senders.make()
        senders.accept("a", "own", "b")
        senders.note(NO_TOKEN)

        assert accounts(senders.claim(sender)) == ["own"]
        assert not senders.may_claim(sender)

    def test_its_probe_is_one_call_of_theirs(self, senders: Senders) -> None:
        sender = senders.make()
        senders.accept("own", "a", "b")
        senders.note(NO_TOKEN, ago=LONG_AGO)

        claimed = senders.claim(sender)

        assert [one.is_probe for one in claimed] == [True, False]
        assert accounts(claimed) == ["a", "own"]
        assert not senders.may_claim(sender)

    def test_a_closed_account_is_probed_beside_those_that_go_on(self, senders: Senders) -> None:
        sender = senders.make(in_flight=10)
        senders.accept("shut", "shut", "a", "a")
        senders.note(Retry("answered 403", 403, refused_account="shut"), ago=LONG_AGO)

        assert accounts(senders.claim(sender)) == ["a", "a", "shut"]

    def test_half_of_the_calls_are_free_after_a_429(self, senders: Senders) -> None:
        sender = senders.make(in_flight=8)
        senders.accept(*"abcdefghij")
        senders.note(Retry("answered 429", 429))

        assert len(senders.claim(sender)) == 4
        assert not senders.may_claim(sender)

    def test_a_retry_after_stops_every_process(self, senders: Senders) -> None:
        first, second = senders.make(), senders.make()
        senders.accept(*"abc")
        senders.note(Retry("answered 429", 429, wait=60))

        assert [senders.may_claim(one) for one in (first, second)] == [False, False]
        assert [senders.claim(one) for one in (first, second)] == [[], []]


class TestWhatItCosts:
    @contextmanager
    def told(self, database: Database) -> Iterator[list[str]]:
        statements: list[str] = []

        def note(_connection: Any, _cursor: Any, text: str, *_: Any) -> None:
            statements.append(text)

        engines = (database._reader, database._writer)
        for engine in engines:
            sa.event.listen(engine, "before_cursor_execute", note)
        yield statements
        for engine in engines:
            sa.event.remove(engine, "before_cursor_execute", note)

    def test_with_nothing_to_do_a_look_is_one_read(self, senders: Senders, database: Database) -> None:
        sender = senders.make(rate=Rate(50))
        with self.told(database) as statements:
            senders.may_claim(sender)

        assert len(statements) == 1

    def test_a_closed_destination_costs_no_more_than_reads(
        self, senders: Senders, database: Database
    ) -> None:
        sender = senders.make(rate=Rate(50))
        senders.accept(*"abc")
        senders.note(*[BUSY] * 5)

        with self.told(database) as statements:
            for _ in range(10):
                assert not senders.may_claim(sender)

        assert len(statements) <= 40
        assert all(text.startswith(("SELECT", "WITH")) for text in statements)


class TestTheRate:
    @pytest.fixture(autouse=True)
    def _stand_still(self, senders: Senders, monkeypatch: pytest.MonkeyPatch) -> None:
        now, monotonic = senders.now(), time.monotonic()
        for module in (budget, sending):
            monkeypatch.setattr(module, "clock", lambda _connection: now)
        monkeypatch.setattr(time, "monotonic", lambda: monotonic)

    def test_without_one_every_call_goes_at_once(self, senders: Senders) -> None:
        senders.accept(*"abc")

        assert {one.turn for one in senders.claim(senders.make())} == {at_once}

    def test_only_what_has_a_slot_is_claimed(self, senders: Senders) -> None:
        """At 50 a second three of them open within the next 50 ms."""
        sender = senders.make(in_flight=32, rate=Rate(50))
        senders.accept(*"abcdefghij")

        assert len(senders.claim(sender)) == 3
        assert not senders.may_claim(sender)
        assert sender.wakes_at is not None

    def test_another_process_gets_none_of_the_same_slots(self, senders: Senders) -> None:
        first, second = (senders.make(in_flight=32, rate=Rate(1)) for _ in range(2))
        senders.accept(*"abc")

        assert [len(senders.claim(one)) for one in (first, second)] == [1, 0]

    def test_each_credential_has_a_budget_of_its_own(self, senders: Senders) -> None:
        sender = senders.make(in_flight=32, rate=Rate(1))
        senders.accept("a", "own", "b", "own")

        assert accounts(senders.claim(sender)) == ["a", "own"]

    def test_a_429_halves_it(self, senders: Senders, monkeypatch: pytest.MonkeyPatch) -> None:
        sender = senders.make(in_flight=32, rate=Rate(100))
        senders.accept(*"abcdefghij")
        senders.note(Retry("answered 429", 429))

        assert len(senders.claim(sender)) == 3

    def test_a_probe_needs_a_slot_too(self, senders: Senders) -> None:
        first, second = (senders.make(rate=Rate(1)) for _ in range(2))
        senders.accept(*"abc")
        senders.claim(first)
        senders.note(*[BUSY] * 5, ago=LONG_AGO)

        assert senders.claim(second) == []
        with senders.database.write() as connection:
            connection.execute(sa.delete(budgets))
        assert [one.is_probe for one in senders.claim(senders.make(rate=Rate(1)))] == [True]
