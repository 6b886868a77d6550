"""What is old enough goes, what a person may still want stays longer, what waits always stays."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta

import pytest
import sqlalchemy as sa
from factories import NOON, a_message, a_request, a_subject, line_with
from outbox.steps import DAY, Outbox, ids

from bridge.database import Database
from bridge.message import Delivered, Outcome, Rejected, Skipped, State
from bridge.outbox import jobs, retention
from bridge.outbox.enqueue import store
from bridge.outbox.lines import FORCED, OVERTAKEN
from bridge.outbox.reading import Filter
from bridge.outbox.retention import forget_old
from bridge.outbox.tables import bodies, latest, messages, repeats

THIRTY_DAYS = timedelta(days=30)
REFUSED = Rejected("answered 400", 400)


def _count(database: Database, table: sa.Table) -> int:
    with database.read() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def _forget(database: Database, days: float) -> int:
    with database.write() as connection:
        return forget_old(connection, NOON + timedelta(days=days), THIRTY_DAYS)


def test_a_skipped_message_goes_with_its_body_after_the_retention(database: Database) -> None:
    with database.write() as connection:
        store(connection, [a_request(a_message(state=State.SKIPPED))], NOON)

    before = _forget(database, 29.9)
    after = _forget(database, 30.1)

    assert (before, after) == (0, 1)
    assert (_count(database, messages), _count(database, bodies)) == (0, 0)


def test_a_dead_message_stays_three_times_as_long(database: Database) -> None:
    with database.write() as connection:
        store(connection, [a_request(a_message(state=State.DEAD))], NOON)

    assert _forget(database, 89.9) == 0
    assert _forget(database, 90.1) == 1


def test_a_job_goes_when_it_has_been_over_for_as_long_as_that(database: Database) -> None:
    with database.write() as connection:
        of = jobs.selection(jobs.Kind.REPLAY, Filter(user_id="u-1"), 0, NOON)
        over, runs = (
            jobs.create(connection, jobs.Kind.REPLAY, of, (0, True), NOON, by="ops", request_id="r-1")
            for _ in range(2)
        )
        jobs.stop(connection, over, NOON)

    assert _forget(database, 89.9) == 0
    assert _forget(database, 90.1) == 1
    with database.read() as connection:
        assert [job["id"] for job in jobs.listed(connection)] == [runs]


def test_what_still_waits_never_goes(database: Database) -> None:
    with database.write() as connection:
        store(connection, [a_request()], NOON)

    _forget(database, 1000)

    assert _count(database, messages) == 1


def test_repeats_go_after_seven_days_and_the_latest_with_its_event(database: Database) -> None:
    request = a_request(repeat_key="k", subject=a_subject(keep_until=NOON + timedelta(days=40)))
    with database.write() as connection:
        store(connection, [request], NOON)

    _forget(database, 6.9)
    assert _count(database, repeats) == 1
    _forget(database, 7.1)
    assert (_count(database, repeats), _count(database, latest)) == (0, 1)
    _forget(database, 40.1)
    assert _count(database, latest) == 0


def test_what_ended_again_just_now_holds_nothing_up(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand old ones that were replayed come first in the order of acceptance."""
    monkeypatch.setattr(retention, "MOST_ROWS", 2)
    for day in (20, 20, 0):
        with database.write() as connection:
            store(connection, [a_request(a_message(state=State.SKIPPED))], NOON + timedelta(days=day))

    gone = _forget(database, 31)

    assert gone == 1
    with database.read() as connection:
        kept = list(connection.scalars(sa.select(messages.c.settled_at)))
    assert kept == [NOON + timedelta(days=20)] * 2


def test_a_piece_is_small_whatever_there_is_to_forget(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "MOST_ROWS", 2)
    for number in range(3):
        request = a_request(
            a_message(state=State.SKIPPED),
            a_message(state=State.DEAD),
            repeat_key=f"k-{number}",
            subject=a_subject(f"e-{number}"),
        )
        with database.write() as connection:
            store(connection, [request], NOON)

    pieces = [_forget(database, 1000) for _ in range(6)]

    assert pieces == [2, 2, 2, 2, 1, 0]
    assert [_count(database, table) for table in (messages, bodies, repeats, latest)] == [0, 0, 0, 0]


def test_two_workers_forget_different_rows(postgresql_database_url: str) -> None:
    """On SQLite one waits for the other."""
    with (
        closing(Database(postgresql_database_url)) as first,
        closing(Database(postgresql_database_url)) as second,
    ):
        with first.write() as connection:
            store(connection, [a_request(a_message(state=State.SKIPPED))], NOON)

        with first.write() as connection:
            assert forget_old(connection, NOON + timedelta(days=31), THIRTY_DAYS) == 1
            assert _forget(second, 31) == 0


class TestAnOldDeadMessageOfAForgottenLine:
    """It is kept for longer than the later one that was delivered, and must not overwrite that."""

    @pytest.fixture
    def outbox(self, database: Database) -> Outbox:
        return Outbox(database)

    def line_of(self, outbox: Outbox, *outcomes: Outcome) -> list[str]:
        accepted = outbox.accept(*line_with(len(outcomes)))
        for outcome in outcomes:
            outbox.settle(outbox.claim(), outcome)
        return ids(accepted)

    @pytest.mark.parametrize("later", [Delivered(202), Skipped("already so")])
    def test_it_is_superseded_when_it_is_replayed(
        self, outbox: Outbox, database: Database, later: Outcome
    ) -> None:
        dead, _ = self.line_of(outbox, REFUSED, later)

        assert _forget(database, 30.1) == 1

        assert outbox.replay(dead, now=NOON + 31 * DAY) == State.SUPERSEDED
        assert outbox.message(dead).reason == OVERTAKEN

    def test_force_sends_it_all_the_same(self, outbox: Outbox, database: Database) -> None:
        dead, _ = self.line_of(outbox, REFUSED, Delivered(202))

        _forget(database, 30.1)

        assert outbox.replay(dead, now=NOON + 31 * DAY, force=True) == State.ACCEPTED

    def test_a_later_one_goes(self, outbox: Outbox, database: Database) -> None:
        _, dead = self.line_of(outbox, Delivered(202), REFUSED)

        _forget(database, 30.1)

        assert outbox.replay(dead, now=NOON + 31 * DAY) == State.ACCEPTED

    def test_it_goes_where_the_later_one_died_too(self, outbox: Outbox, database: Database) -> None:
        older, _ = self.line_of(outbox, REFUSED, REFUSED)
        outbox.accept(a_message(user_id="u-2"))
        outbox.deliver()

        assert _forget(database, 30.1) == 1

        assert outbox.replay(older, now=NOON + 31 * DAY) == State.ACCEPTED

    def test_it_goes_where_the_later_one_was_about_something_else(
        self, outbox: Outbox, database: Database
    ) -> None:
        dead, _ = ids(outbox.accept(*(a_message(line="u-1", event_id=thing) for thing in ("a", "b"))))
        outbox.settle(outbox.claim(), REFUSED)
        outbox.settle(outbox.claim(), Delivered(202))

        assert _forget(database, 30.1) == 1

        assert outbox.replay(dead, now=NOON + 31 * DAY) == State.ACCEPTED

    def test_one_that_waits_is_left_alone(self, outbox: Outbox, database: Database) -> None:
        dead, _ = self.line_of(outbox, REFUSED, Delivered(202))
        outbox.replay(dead, force=True)

        _forget(database, 30.1)

        assert outbox.claim()[0].message.progress == {FORCED: True}
