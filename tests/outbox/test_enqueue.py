"""What taking requests into the outbox promises: durable, in order, each alone responsible for its faults."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from factories import NOON, a_message, a_request, an_event, line_with
from outbox.steps import Outbox, eventually, ids
from sqlalchemy.engine import Connection

from bridge import groups
from bridge.database import Database
from bridge.errors import DatabaseUnavailable
from bridge.message import State
from bridge.outbox.enqueue import Accepted, Inbox, Request
from bridge.outbox.tables import bodies, messages


class HeldBack:
    """A database whose writes wait until they are let go, so that a test knows what stands in one group."""

    wrote_at = 0.0

    def __init__(self, database: Database) -> None:
        self._database = database
        self.let_go = threading.Event()
        self.has_begun = threading.Event()
        self.writes = 0
        self.trouble: Exception | None = None

    @contextmanager
    def write(self) -> Iterator[Connection]:
        self.has_begun.set()
        assert self.let_go.wait(20)
        self.writes += 1
        if self.trouble:
            raise self.trouble
        with self._database.write() as connection:
            yield connection


@contextmanager
def an_inbox(database: Any) -> Iterator[Inbox]:
    inbox = Inbox(database)
    yield inbox
    inbox.close()


def accept_as_one_group(held: HeldBack, requests: Sequence[Request]) -> list[Future[Accepted]]:
    """The answers to requests that queued while the writer was busy with one that came before them."""
    with an_inbox(held) as inbox, ThreadPoolExecutor(len(requests) + 1) as callers:
        before = callers.submit(inbox.accept, a_request(a_message(user_id="before")))
        assert held.has_begun.wait(10)
        answers = []
        for count, request in enumerate(requests, 1):
            answers.append(callers.submit(inbox.accept, request))
            eventually(lambda count=count: inbox._groups.waiting == count)
        held.let_go.set()
        before.exception(10)
        for answer in answers:
            answer.exception(10)
    return answers


def let_it_idle(database: Database, connection: Connection) -> None:
    """Until PostgreSQL has ended the session."""
    session = connection.scalar(sa.text("SELECT pg_backend_pid()"))
    connection.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = 20"))

    def is_gone() -> bool:
        with database.read() as other:
            query = sa.text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid")
            return other.scalar(query, {"pid": session}) == 0

    eventually(is_gone)


class TestOrder:
    def test_a_message_waits_as_the_head_of_its_line(self, outbox: Outbox) -> None:
        [accepted] = outbox.accept(a_message())

        [row] = outbox.waiting()
        assert (row.is_head, row.call_id, row.due_at) == (True, None, NOON)
        assert accepted.state == State.ACCEPTED
        assert outbox.message(accepted.ids[0]).state == State.ACCEPTED

    def test_messages_of_a_line_stand_behind_its_head(self, outbox: Outbox) -> None:
        outbox.accept(a_message())
        outbox.accept(a_message(), a_message())

        assert [row.is_head for row in outbox.waiting()] == [True, False, False]

    def test_messages_without_a_line_have_one_each(self, outbox: Outbox) -> None:
        outbox.accept(a_message(line=None), a_message(line=None))

        first, second = outbox.waiting()
        assert first.is_head
        assert second.is_head
        assert first.line != second.line

    def test_two_destinations_have_lines_of_their_own_for_one_key(self, outbox: Outbox) -> None:
        outbox.accept(a_message(line="u-1"), a_message(line="u-1", destination="braze"))

        assert [row.is_head for row in outbox.waiting()] == [True, True]

    def test_a_group_is_stored_in_its_order(self, outbox: Outbox) -> None:
        accepted = outbox.accept(*line_with(64))

        by_seq = outbox.rows(sa.select(messages.c.id).order_by(messages.c.seq))
        assert [row.id for row in by_seq] == ids(accepted)

    def test_each_message_keeps_its_own_request_and_payload(self, outbox: Outbox) -> None:
        requests = [
            a_request(a_message(event=an_event(title=f"Sale {n}")), payload={"n": n}) for n in range(20)
        ]
        accepted = outbox.accept(*requests)

        query = sa.select(messages.c.id, bodies).join(bodies, bodies.c.seq == messages.c.seq)
        kept = {row.id: (row.request["event"]["title"], row.payload["n"]) for row in outbox.rows(query)}
        assert [kept[one] for one in ids(accepted)] == [(f"Sale {n}", n) for n in range(20)]

    def test_the_messages_of_one_request_stand_together(self, outbox: Outbox) -> None:
        accounts = ["one", "two", "three"]
        [accepted] = outbox.accept(a_request(*(a_message(account_code=code) for code in accounts)))

        stored = [outbox.message(one).account_code for one in accepted.ids]
        assert stored == accounts

    def test_what_is_accepted_after_an_answer_stands_behind_it(
        self, database: Database, database_url: str
    ) -> None:
        processes = [Database(database_url) for _ in range(2)]
        inboxes = [Inbox(one) for one in processes]

        def send(caller: int) -> list[str]:
            inbox = inboxes[caller % 2]
            return [inbox.accept(a_request(a_message(line=f"line {n % 3}"))).ids[0] for n in range(24)]

        with ThreadPoolExecutor(6) as callers:
            answers = list(callers.map(send, range(6)))
        for inbox, process in zip(inboxes, processes, strict=True):
            inbox.close()
            process.close()

        stored = Outbox(database)
        order = {row.id: row.seq for row in stored.rows(sa.select(messages.c.id, messages.c.seq))}
        assert len(order) == 6 * 24
        assert [sorted(one, key=order.__getitem__) for one in answers] == answers
        assert stored.faults() == []

    def test_the_database_refuses_a_second_head(self, outbox: Outbox) -> None:
        outbox.accept(a_message(), a_message())

        with pytest.raises(sa.exc.IntegrityError), outbox.database.write() as connection:
            connection.execute(sa.text("UPDATE waiting SET is_head = true"))

    @pytest.mark.parametrize("state", [State.SKIPPED, State.DEAD])
    def test_what_is_kept_for_the_record_does_not_wait(self, outbox: Outbox, state: State) -> None:
        [accepted] = outbox.accept(a_message(state=state, reason="for a reason", request={}))

        row = outbox.message(accepted.ids[0])
        assert (row.state, row.reason, row.settled_at) == (state, "for a reason", NOON)
        assert accepted.state == state
        assert outbox.waiting() == []

    def test_a_reason_that_quotes_what_no_database_holds_is_kept_without_it(self, outbox: Outbox) -> None:
        refused = a_message(state=State.DEAD, reason="title: \x00 \ud800", request={})

        [accepted] = outbox.accept(refused)

        assert outbox.message(accepted.ids[0]).reason == "title: \ufffd \ufffd"

    def test_a_test_goes_before_what_waits(self, outbox: Outbox) -> None:
        outbox.accept(a_message())
        [test] = outbox.accept(a_message(line=None, is_test=True), now=NOON + timedelta(seconds=1))

        [call] = outbox.claim(1, now=NOON + timedelta(seconds=1))
        assert call.message.id == test.ids[0]


class TestGroups:
    def test_what_queues_during_a_commit_is_one_commit(self, database: Database) -> None:
        held = HeldBack(database)

        answers = accept_as_one_group(held, [a_request(a_message(user_id=f"u-{n}")) for n in range(20)])

        assert held.writes == 2
        assert {answer.result().state for answer in answers} == {State.ACCEPTED}
        assert len(Outbox(database).waiting()) == 21

    def test_a_group_has_at_most_64_messages(self, database: Database) -> None:
        held = HeldBack(database)
        two = [a_message(account_code=code) for code in ("one", "two")]

        accept_as_one_group(held, [a_request(*two) for _ in range(33)])

        assert held.writes == 3

    def test_a_group_has_at_most_four_megabytes(self, database: Database) -> None:
        held = HeldBack(database)

        accept_as_one_group(held, [a_request(size=1024 * 1024) for _ in range(5)])

        assert held.writes == 3

    def test_a_group_keeps_the_order_in_which_it_queued(self, database: Database) -> None:
        answers = accept_as_one_group(HeldBack(database), [a_request(one) for one in line_with(20)])

        query = sa.select(messages.c.id).where(messages.c.user_id != "before").order_by(messages.c.seq)
        order = [row.id for row in Outbox(database).rows(query)]
        assert order == [answer.result().ids[0] for answer in answers]

    def test_what_the_database_cannot_hold_fails_alone(self, database: Database) -> None:
        good = [a_request(a_message(user_id=f"u-{n}")) for n in range(4)]
        bad = a_request(a_message(user_id="half \ud800"))

        answers = accept_as_one_group(HeldBack(database), [*good[:2], bad, *good[2:]])

        failed = [answer.exception() for answer in answers]
        assert [error is None for error in failed] == [True, True, False, True, True]
        assert not isinstance(failed[2], DatabaseUnavailable)
        assert len(Outbox(database).waiting()) == 5

    def test_a_repeat_within_a_group_is_recognised(self, database: Database) -> None:
        request = a_request(repeat_key="k-1")

        first, second = accept_as_one_group(HeldBack(database), [request, replace(request)])

        assert not first.result().is_repeat
        assert second.result() == Accepted(first.result().ids, State.ACCEPTED, is_repeat=True)


class TestADatabaseAwayForAMoment:
    def test_what_was_not_stored_is_tried_again_while_its_caller_waits(self, database: Database) -> None:
        held = HeldBack(database)
        held.let_go.set()
        held.trouble = sa.exc.OperationalError("INSERT", {}, Exception("gone"))

        with an_inbox(held) as inbox, ThreadPoolExecutor(1) as callers:
            answer = callers.submit(inbox.accept, a_request())
            eventually(lambda: held.writes > 1)
            held.trouble = None

            assert answer.result(10).state == State.ACCEPTED

    def test_what_may_have_been_stored_is_left_to_its_caller(self, database: Database) -> None:
        """Nothing but an idempotency key would tell the second from the first."""

        class LosesItsWord(HeldBack):
            @contextmanager
            def write(self) -> Iterator[Connection]:
                with super().write() as connection:
                    yield connection
                raise sa.exc.OperationalError("COMMIT", {}, Exception("gone"))

        held = LosesItsWord(database)
        held.let_go.set()

        with an_inbox(held) as inbox, pytest.raises(DatabaseUnavailable):
            inbox.accept(a_request())
        assert len(Outbox(database).waiting()) == 1


class TestAnUnavailableDatabase:
    @pytest.fixture(autouse=True)
    def _nobody_waits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(groups, "AGAIN_EVERY", 60.0)

    def test_all_of_a_group_hear_of_it(self, database: Database) -> None:
        held = HeldBack(database)
        held.trouble = sa.exc.OperationalError("INSERT", {}, Exception("gone"))

        answers = accept_as_one_group(held, [a_request(a_message(user_id=f"u-{n}")) for n in range(5)])

        assert {type(answer.exception()) for answer in answers} == {DatabaseUnavailable}
        assert held.writes == 2

    @pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
    def test_a_database_that_cannot_be_opened_is_unavailable(self, engine: str, tmp_path: Path) -> None:
        (tmp_path / "folder").mkdir()
        url = {
            "sqlite": f"sqlite:///{tmp_path / 'folder'}",
            "postgresql": "postgresql+psycopg://127.0.0.1:1/x",
        }
        database = Database(url[engine])

        with an_inbox(database) as inbox, pytest.raises(DatabaseUnavailable):
            inbox.accept(a_request())
        database.close()

    def test_the_next_request_is_stored_once_the_database_is_back(self, database: Database) -> None:
        held = HeldBack(database)
        held.let_go.set()
        held.trouble = sa.exc.OperationalError("INSERT", {}, Exception("gone"))

        with an_inbox(held) as inbox:
            with pytest.raises(DatabaseUnavailable):
                inbox.accept(a_request())
            held.trouble = None
            accepted = inbox.accept(a_request())

        assert accepted.state == State.ACCEPTED

    @pytest.mark.parametrize("is_standby", [True, False])
    def test_a_standby_and_a_session_ended_for_idling_are_unavailable(
        self, postgresql_database_url: str, is_standby: bool
    ) -> None:
        """PostgreSQL tells neither as an operational error."""
        database = Database(postgresql_database_url)

        class InTrouble(HeldBack):
            @contextmanager
            def write(self) -> Iterator[Connection]:
                with super().write() as connection:
                    if is_standby:
                        connection.execute(sa.text("SET TRANSACTION READ ONLY"))
                    else:
                        let_it_idle(database, connection)
                    yield connection

        held = InTrouble(database)
        held.let_go.set()
        with an_inbox(held) as inbox, pytest.raises(DatabaseUnavailable):
            inbox.accept(a_request())
        database.close()

    def test_a_caller_waits_a_bounded_time(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(groups, "CALLER_WAITS", 0.05)
        held = HeldBack(database)

        with an_inbox(held) as inbox:
            with pytest.raises(DatabaseUnavailable):
                inbox.accept(a_request())
            held.let_go.set()

    def test_a_request_that_gave_up_in_the_queue_is_not_stored(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(groups, "CALLER_WAITS", 0.05)
        held = HeldBack(database)

        with an_inbox(held) as inbox:
            for user_id in ("begun", "queued"):
                with pytest.raises(DatabaseUnavailable):
                    inbox.accept(a_request(a_message(user_id=user_id)))
                assert held.has_begun.wait(10)
            held.let_go.set()

        stored = Outbox(database).rows(sa.select(messages.c.user_id))
        assert [row.user_id for row in stored] == ["begun"]

    def test_a_repeat_of_a_request_whose_commit_came_too_late_is_recognised(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(groups, "CALLER_WAITS", 0.05)
        held = HeldBack(database)
        request = a_request(repeat_key="k-1")

        with an_inbox(held) as inbox:
            with pytest.raises(DatabaseUnavailable):
                inbox.accept(request)
            held.let_go.set()
            monkeypatch.setattr(groups, "CALLER_WAITS", 10)
            again = inbox.accept(request)

        assert again.is_repeat
        assert len(Outbox(database).waiting()) == 1

    def test_closing_writes_what_was_asked_for(self, database: Database) -> None:
        inbox = Inbox(database)
        inbox.accept(a_request())

        inbox.close()

        assert len(Outbox(database).waiting()) == 1
        assert not [one for one in threading.enumerate() if one.name == "inbox"]

    def test_closing_while_a_group_waits_writes_it_and_ends(self, database: Database) -> None:
        held = HeldBack(database)
        inbox = Inbox(held)

        with ThreadPoolExecutor(3) as threads:
            begun = threads.submit(inbox.accept, a_request())
            assert held.has_begun.wait(10)
            queued = threads.submit(inbox.accept, a_request())
            eventually(lambda: inbox._groups.waiting == 1)
            closing = threads.submit(inbox.close)
            eventually(lambda: inbox._groups.waiting == 2)
            held.let_go.set()
            done = wait([begun, queued, closing], 10).done
            inbox._groups._queue.put(None)  # so that a writer that was forgotten ends all the same

        assert done == {begun, queued, closing}
        assert len(Outbox(database).waiting()) == 2

    def test_an_inbox_that_was_never_used_has_no_thread_to_close(self, database: Database) -> None:
        Inbox(database).close()
