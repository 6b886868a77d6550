"""What `make chaos` and the reading beside it found, each as small as it can be told."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from factories import NOON, a_call, a_message
from outbox.steps import DAY, DESTINATION, Outbox

from bridge.database import Database
from bridge.message import Delivered, Outcome, Retry
from bridge.outbox import settle, states, upkeep
from bridge.outbox.claim import Call
from bridge.outbox.settle import Result
from bridge.outbox.states import CLOSED, OPEN, Gate

SECOND = timedelta(seconds=1)
BUSY = Retry("answered 503", 503, is_trouble=True)


class TestADestinationAndItsOnlyAccountClosedTogether:
    """Neither may wait for the other: each keeps out what the other's probe could be."""

    def test_the_account_is_probed_while_the_destination_is_closed(self, database: Database) -> None:
        _note(database, _refused("only"), *[BUSY] * 5)

        gate = _gate(database, 10 * SECOND)

        assert "only" in gate.probes_due
        assert not gate.is_open

    def test_an_answer_to_that_probe_opens_both(self, database: Database) -> None:
        _note(database, _refused("only"), *[BUSY] * 5)

        _note(database, Delivered(202))

        assert _states(database) == {"": OPEN, "only": OPEN}

    def test_a_refused_credential_is_an_answer_so_the_destination_opens(self, database: Database) -> None:
        _note(database, *[BUSY] * 5)

        _note(database, _refused("only"))

        assert _states(database) == {"": OPEN, "only": CLOSED}

    def test_a_token_endpoint_that_refuses_is_no_answer_of_the_upstream(self, database: Database) -> None:
        _note(database, *[BUSY] * 5)

        _note(database, Retry("refused", refused_account="only"))

        assert _states(database) == {"": CLOSED, "only": CLOSED}


class TestManyTriesInAShortTime:
    def test_they_do_not_make_a_line_wait_for_long(self) -> None:
        """Nine tries within fifteen seconds, by probes and openings: the next must not be minutes away."""
        call = a_call(tries=9, first_failed_at=NOON - 15 * SECOND)

        waits = [_wait(call) for _ in range(200)]

        assert max(waits) <= 32 * SECOND

    def test_many_tries_in_a_long_time_do(self) -> None:
        call = a_call(tries=9, first_failed_at=NOON - 300 * SECOND)

        assert max(_wait(call) for _ in range(200)) > 256 * SECOND


def _wait(call: Call) -> timedelta:
    _, due_at, _ = settle.ending_of(Result(call, BUSY), NOON, DAY)
    assert due_at is not None
    return due_at - NOON


class TestWhatIsSentOnceMoreAfterALateAnswer:
    def test_it_does_not_die_of_a_deadline_that_it_met_before(self, outbox: Outbox) -> None:
        [accepted] = outbox.accept(a_message(expires_at=NOON + SECOND))
        [call] = outbox.claim()
        outbox.settle(call)

        later = NOON + 2 * SECOND
        _send_last_again(outbox, call.message.line, later)

        assert outbox.expire(later) == []
        [again] = outbox.claim(now=later)
        assert (again.message.id, again.message.expires_at) == (accepted.ids[0], None)

    def test_its_first_failure_is_not_one_from_before_it_was_delivered(self, outbox: Outbox) -> None:
        outbox.accept(a_message())
        outbox.settle(outbox.claim(), BUSY)
        [call] = outbox.claim(now=NOON + DAY / 2)
        outbox.settle(call, now=NOON + DAY / 2)

        _send_last_again(outbox, call.message.line, NOON + DAY)
        outbox.settle(outbox.claim(now=NOON + DAY), BUSY, now=NOON + DAY)

        assert outbox.states() == ["retrying"]


@pytest.fixture
def outbox(database: Database) -> Outbox:
    return Outbox(database)


def _send_last_again(outbox: Outbox, line: int, now: datetime) -> None:
    with outbox.database.write() as connection:
        upkeep.send_last_again(connection, [line], now)


def _refused(account: str) -> Retry:
    return Retry("answered 401", 401, refused_account=account)


def _note(database: Database, *outcomes: Outcome) -> None:
    results = [Result(a_call(n, account_code="only"), outcome) for n, outcome in enumerate(outcomes)]
    with database.write() as connection:
        states.note(connection, DESTINATION, results, NOON)


def _gate(database: Database, after: timedelta) -> Gate:
    with database.write() as connection:
        return states.gate(states.read_states(connection, DESTINATION), NOON + after)


def _states(database: Database) -> dict[str, str]:
    with database.read() as connection:
        return {s.account_code: s.state for s in states.read_states(connection, DESTINATION)}
