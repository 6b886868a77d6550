"""Requests whose messages a ledger makes while they are accepted: in order, once, and each in its line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest
from factories import NOON, a_call, a_message, a_request, a_subject, an_event, title_of
from outbox.steps import Outbox, ids
from sqlalchemy.engine import Connection

from bridge.database import Database
from bridge.errors import DatabaseUnavailable
from bridge.message import NewMessage, State
from bridge.outbox.enqueue import Accepted, Inbox, Request, store


@dataclass
class Counts:
    """A ledger of one number for each word; each change of it makes a message in the word's line."""

    numbers: dict[str, int] = field(default_factory=dict)
    loads: list[list[str]] = field(default_factory=list)
    written: int = 0
    skips: bool = False
    breaks: str = ""

    def load(self, connection: Connection, changes: Sequence[str]) -> Counts:
        self.loads.append(list(changes))
        return self

    def apply(self, change: str, now: datetime) -> tuple[NewMessage, ...]:
        if change == self.breaks:
            raise ValueError(change)
        self.numbers[change] = self.numbers.get(change, 0) + 1
        message = a_message(line=change, event=an_event(title=f"{change} {self.numbers[change]}"))
        if self.skips:
            return (NewMessage("rokt_calendar", "update", {}, state=State.SKIPPED, reason="nobody to tell"),)
        return (message,)

    def write(self, connection: Connection, now: datetime) -> None:
        self.written += 1


def a_change(word: str, **fields: Any) -> Request:
    return a_request(**{"messages": (), "change": word, "subject": a_subject(word), **fields})


@pytest.fixture
def counts() -> Counts:
    return Counts()


@pytest.fixture
def take(outbox: Outbox, counts: Counts) -> Any:
    def take(*requests: Request) -> list[Accepted]:
        with outbox.database.write() as connection:
            return store(connection, requests, NOON, counts)

    return take


class TestOneGroup:
    def test_each_change_is_applied_once_and_in_order(
        self, take: Any, outbox: Outbox, counts: Counts
    ) -> None:
        take(a_change("a"), a_change("b"), a_change("a"))

        assert counts.loads == [["a", "b", "a"]]
        assert counts.written == 1
        sent = [title_of(call.message.request) for call in outbox.claim()]
        assert sent == ["a 1", "b 1"]  # the second of a waits for the first
        assert outbox.faults() == []

    def test_its_messages_stand_behind_what_waits_in_their_line(self, take: Any, outbox: Outbox) -> None:
        take(a_change("a"))
        [first] = outbox.claim()

        take(a_change("a"))

        assert outbox.claim() == []
        assert outbox.faults() == []
        outbox.settle(first)
        assert [title_of(call.message.request) for call in outbox.claim()] == ["a 2"]

    def test_a_repeat_is_not_applied(self, take: Any, counts: Counts) -> None:
        [first, again] = take(a_change("a", repeat_key="k"), a_change("a", repeat_key="k"))

        assert (again.is_repeat, again.ids) == (True, first.ids)
        assert counts.numbers == {"a": 1}

    def test_byte_for_byte_the_latest_is_a_repeat_also_where_nothing_had_to_leave(
        self, take: Any, counts: Counts
    ) -> None:
        counts.skips = True
        subject = a_subject("a", digest="same")

        [first] = take(a_change("a", subject=subject))
        [again] = take(a_change("a", subject=subject))

        assert (first.state, first.reason) == (State.SKIPPED, "nobody to tell")
        assert again.is_repeat
        assert counts.numbers == {"a": 1}

    def test_others_in_the_group_are_taken_beside(self, take: Any, outbox: Outbox, counts: Counts) -> None:
        answers = take(a_request(a_message(line=None)), a_change("a"), a_request(a_message(line=None)))

        assert len(ids(answers)) == 3
        assert counts.loads == [["a"]]
        assert len(outbox.claim()) == 3

    def test_a_group_without_changes_asks_no_ledger(self, take: Any, counts: Counts) -> None:
        take(a_request())

        assert (counts.loads, counts.written) == ([], 0)


class TestTheInbox:
    def test_many_are_answered_in_their_order(
        self, database: Database, outbox: Outbox, counts: Counts
    ) -> None:
        inbox = Inbox(database, counts)

        answers = inbox.accept_all([a_change(f"word-{number % 7}") for number in range(200)])

        inbox.close()
        assert all(isinstance(one, Accepted) for one in answers)
        assert len({one.ids for one in answers if isinstance(one, Accepted)}) == 200
        assert counts.numbers == {f"word-{word}": 200 // 7 + (word < 200 % 7) for word in range(7)}
        assert [row.line for row in outbox.waiting() if row.is_head] != []
        assert outbox.faults() == []

    def test_one_that_fails_fails_alone(self, database: Database, outbox: Outbox, counts: Counts) -> None:
        counts.breaks = "b"
        inbox = Inbox(database, counts)

        answers = inbox.accept_all([a_change("a"), a_change("b"), a_change("c")])

        inbox.close()
        assert [type(one) for one in answers] == [Accepted, ValueError, Accepted]
        assert outbox.states() == ["accepted", "accepted"]

    def test_without_a_database_each_is_told_so(self, counts: Counts) -> None:
        inbox = Inbox(Database("postgresql+psycopg://nobody@127.0.0.1:9/none"), counts)

        answers = inbox.accept_all([a_change("a"), a_change("b")])

        inbox.close()
        assert [type(one) for one in answers] == [DatabaseUnavailable] * 2

    def test_what_a_call_found_out_is_taken_in_once(
        self, database: Database, outbox: Outbox, counts: Counts
    ) -> None:
        """The call is made again when its worker dies before it is settled."""
        outbox.accept(a_message(line="asks"))
        [call] = outbox.claim()
        inbox = Inbox(database, counts)

        for _ in range(2):
            inbox.accept_found("a", {"found": True}, call.message)

        inbox.close()
        assert counts.numbers == {"a": 1}
        assert [row.is_head for row in outbox.waiting()] == [True, True]

    def test_what_was_found_out_for_a_message_that_was_erased_is_not_taken_in(
        self, database: Database, counts: Counts
    ) -> None:
        inbox = Inbox(database, counts)

        inbox.accept_found("a", {"found": True}, a_call().message)

        inbox.close()
        assert counts.numbers == {}
