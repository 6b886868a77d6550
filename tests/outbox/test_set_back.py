"""The database's clock is set back by an hour: nothing waits until it is there again."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from factories import NOON, a_message, line_with
from outbox.steps import Outbox

from bridge.message import Retry
from bridge.outbox import set_back, states, tally
from bridge.outbox.jobs import Job, Kind, create, newest, selection
from bridge.outbox.leases import free, lease
from bridge.outbox.reading import Filter
from bridge.outbox.settle import Result
from bridge.outbox.tables import jobs, messages, workers
from bridge.outbox.upkeep import STALE_AFTER

AHEAD = NOON + timedelta(hours=1)  # what the clock showed before
DESTINATION = "rokt_calendar"


@pytest.fixture(autouse=True)
def _worker(outbox: Outbox) -> None:
    outbox.beat("w-1", AHEAD)


def mend(outbox: Outbox) -> None:
    set_back.mend(outbox.database, lambda _connection: NOON)


def is_set_back(outbox: Outbox) -> bool:
    with outbox.database.read() as connection:
        return set_back.is_so(connection, NOON)


def test_a_workers_row_tells_of_it_until_it_is_mended(outbox: Outbox) -> None:
    assert is_set_back(outbox)

    mend(outbox)

    assert not is_set_back(outbox)


def test_the_row_of_whoever_counts_tells_of_it_where_no_worker_runs(outbox: Outbox) -> None:
    with outbox.database.write() as connection:
        connection.execute(sa.delete(workers))
        tally.hold(connection, "w-0", AHEAD)
    assert is_set_back(outbox)

    mend(outbox)

    assert not is_set_back(outbox)


def test_what_ended_in_the_hour_before_is_older_than_what_ends_next(outbox: Outbox) -> None:
    outbox.accept(a_message(), now=AHEAD)
    outbox.deliver(now=AHEAD)

    mend(outbox)

    assert [row.settled_at for row in outbox.rows(sa.select(messages.c.settled_at))] == [NOON]


def test_a_row_of_just_now_tells_of_nothing(outbox: Outbox) -> None:
    outbox.beat("w-1", NOON + timedelta(seconds=1))

    assert not is_set_back(outbox)


def test_what_was_accepted_leaves_at_once_in_its_order(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(set_back, "MOST_ROWS", 2)
    outbox.accept(*line_with(5), now=AHEAD)
    assert outbox.claim(now=NOON) == []

    mend(outbox)

    sent = []
    for _ in range(5):
        [call] = outbox.claim(now=NOON)
        outbox.settle(call, now=NOON)
        sent.append(call.message.seq)
    assert sent == sorted(sent)
    assert outbox.faults() == []


def test_what_was_to_be_tried_again_is(outbox: Outbox) -> None:
    outbox.accept(a_message(), now=AHEAD)
    outbox.settle(outbox.claim(now=AHEAD), Retry("answered 503", 503), now=AHEAD)

    mend(outbox)

    assert len(outbox.claim(now=NOON)) == 1


def test_the_calls_of_a_worker_that_was_killed_are_taken_over(outbox: Outbox) -> None:
    outbox.accept(a_message(), now=AHEAD)
    outbox.claim(now=AHEAD)
    soon = NOON + STALE_AFTER + timedelta(seconds=1)
    assert outbox.take_over(soon) == 0

    mend(outbox)

    assert outbox.take_over(NOON + timedelta(seconds=1)) == 0  # it may live
    assert outbox.take_over(soon) == 1


def test_a_destination_that_closed_is_tried_and_what_it_asked_to_wait_for_is_over(outbox: Outbox) -> None:
    outbox.accept(*[a_message(user_id=f"u-{n}") for n in range(6)], now=AHEAD)
    failed = [
        Result(call, Retry("answered 503", 503, is_trouble=True)) for call in outbox.claim(5, now=AHEAD)
    ]
    with outbox.database.write() as connection:
        states.note(connection, DESTINATION, failed, AHEAD, lambda account: "")
    with outbox.database.read() as connection:
        assert not states.gate(states.read_states(connection, DESTINATION), NOON).probes_due

    mend(outbox)

    with outbox.database.read() as connection:
        assert states.gate(states.read_states(connection, DESTINATION), NOON).probes_due


def test_a_job_of_a_runner_that_was_killed_goes_on(outbox: Outbox) -> None:
    with outbox.database.write() as connection:
        of = selection(Kind.REPLAY, Filter(user_id="u"), newest(connection), AHEAD)
        create(connection, Kind.REPLAY, of, (1, True), AHEAD, by="me", request_id="r-1")
        [job] = free(connection, "killed", AHEAD)
        assert isinstance(lease(connection, job, "killed", AHEAD), Job)
    soon = NOON + timedelta(seconds=10)
    with outbox.database.read() as connection:
        assert free(connection, "other", soon) == []

    mend(outbox)

    with outbox.database.read() as connection:
        assert len(free(connection, "other", soon)) == 1
        assert connection.scalar(sa.select(jobs.c.created_at)) == AHEAD  # what was is told as it was
