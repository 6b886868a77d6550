"""Workers that fall silent: their calls are uncertain, their lines go on, and what they say late changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from factories import NOON, a_message, line_with, title_of
from outbox.steps import TAKEN, Outbox

from bridge.message import Delivered, Message, NewMessage, Rejected, Retry, State
from bridge.outbox import upkeep
from bridge.outbox.claim import Call
from bridge.outbox.tables import workers
from bridge.outbox.upkeep import CALL_LASTS, STALE_AFTER, WORKER_LOST

MOMENT = timedelta(milliseconds=1)
STALE = NOON + STALE_AFTER + MOMENT


def a_late_answer(outbox: Outbox, line: Sequence[NewMessage], *, delivered: int) -> Call:
    """The call of a line's first message, taken over; so many of the line were delivered since."""
    outbox.accept(*line)
    outbox.beat("late")
    [late] = outbox.claim(worker="late")
    outbox.take_over(STALE)
    outbox.deliver(delivered, now=STALE)
    return late


def send_last_again(outbox: Outbox, late: Call) -> list[Message]:
    with outbox.database.write() as connection:
        return upkeep.send_last_again(connection, [late.message.line], STALE)


def sent_from(outbox: Outbox, now: datetime) -> list[str]:
    sent = []
    while claimed := outbox.claim(now=now):
        sent += [title_of(call.message.request) for call in claimed]
        outbox.settle(claimed, now=now)
    return sent


def workers_known(outbox: Outbox) -> set[str]:
    return {row.id for row in outbox.rows(sa.select(workers.c.id))}


class TestTakingOver:
    def test_the_calls_of_a_silent_worker_are_freed(self, outbox: Outbox) -> None:
        outbox.accept(*line_with(2), a_message(user_id="u-2"))
        outbox.beat("silent")
        lost = outbox.claim(worker="silent")

        assert outbox.take_over(STALE) == 2
        assert outbox.calls() == []
        again = outbox.claim(worker="w-2", now=STALE)
        assert [call.message.id for call in again] == [call.message.id for call in lost]

    def test_they_are_uncertain_and_say_so(self, outbox: Outbox) -> None:
        [accepted] = outbox.accept(a_message())
        outbox.beat("silent")
        outbox.claim(worker="silent")

        outbox.take_over(STALE)

        row = outbox.message(accepted.ids[0])
        assert (row.state, row.was_uncertain, row.tries) == ("retrying", True, 1)
        assert (row.reason, row.first_failed_at, row.settled_at) == (WORKER_LOST, STALE, None)
        assert [(one.seq, one.status, one.answer) for one in outbox.attempts()] == [
            (row.seq, None, WORKER_LOST)
        ]
        [call] = outbox.claim(now=STALE)
        assert call.message.was_uncertain

    def test_the_first_failure_of_a_message_stays_its_first(self, outbox: Outbox) -> None:
        [accepted] = outbox.accept(a_message())
        outbox.settle(outbox.claim(), Retry("answered 503", 503))
        outbox.beat("silent")
        outbox.claim(worker="silent", now=NOON + timedelta(seconds=1))

        outbox.take_over(STALE)

        assert outbox.message(accepted.ids[0]).first_failed_at == NOON

    def test_the_rest_of_their_lines_goes_on_in_order(self, outbox: Outbox) -> None:
        outbox.accept(*line_with(3))
        outbox.beat("silent")
        outbox.claim(worker="silent")
        outbox.take_over(STALE)

        assert sent_from(outbox, STALE) == ["Sale 1", "Sale 2", "Sale 3"]
        assert outbox.faults() == []

    def test_a_worker_that_beats_keeps_its_calls(self, outbox: Outbox) -> None:
        outbox.accept(a_message())
        outbox.beat("alive")
        outbox.claim(worker="alive")
        outbox.beat("alive", NOON + STALE_AFTER)

        assert outbox.take_over(STALE + STALE_AFTER - 2 * MOMENT) == 0
        assert len(outbox.calls()) == 1
        assert workers_known(outbox) == {"alive"}

    def test_a_worker_is_silent_after_twenty_seconds_and_not_before(self, outbox: Outbox) -> None:
        outbox.accept(a_message())
        outbox.beat("w-1")
        outbox.claim(worker="w-1")

        assert outbox.take_over(NOON + timedelta(seconds=20)) == 0
        assert outbox.take_over(NOON + timedelta(seconds=20) + MOMENT) == 1

    def test_a_silent_worker_is_forgotten(self, outbox: Outbox) -> None:
        outbox.beat("idle")
        outbox.beat("alive", STALE)

        assert outbox.take_over(STALE) == 0
        assert workers_known(outbox) == {"alive"}

    def test_a_call_is_taken_over_once(self, outbox: Outbox) -> None:
        outbox.accept(a_message())
        outbox.beat("silent")
        outbox.claim(worker="silent")

        assert [outbox.take_over(STALE), outbox.take_over(STALE)] == [1, 0]
        assert len(outbox.attempts()) == 1

    def test_the_call_of_a_worker_that_nobody_knows_is_taken_over(self, outbox: Outbox) -> None:
        """It was forgotten while the transaction of its last claim was under way, and never beat again."""
        outbox.accept(a_message())
        outbox.claim(worker="forgotten")

        assert outbox.take_over(NOON) == 1
        assert len(outbox.claim()) == 1


class TestALateWorker:
    def test_it_cannot_settle_a_call_that_was_taken_over(self, outbox: Outbox) -> None:
        [accepted] = outbox.accept(a_message())
        outbox.beat("late")
        [call] = outbox.claim(worker="late")
        outbox.take_over(STALE)

        settled = outbox.settle(call, Rejected("answered 400", 400), now=STALE)

        assert settled.final == ()
        assert [result.call for result in settled.late] == [call]
        assert outbox.message(accepted.ids[0]).state == "retrying"
        assert len(outbox.waiting()) == 1

    def test_it_cannot_settle_one_that_another_has_in_flight(self, outbox: Outbox) -> None:
        outbox.accept(a_message())
        outbox.beat("late")
        [late] = outbox.claim(worker="late")
        outbox.take_over(STALE)
        [newer] = outbox.claim(worker="w-2", now=STALE)

        outbox.settle(late, TAKEN, now=STALE)
        assert [row.call_id for row in outbox.waiting()] == [newer.id]

        outbox.settle(newer, TAKEN, now=STALE)
        assert outbox.states() == ["delivered"]

    def test_the_last_of_its_line_goes_once_more(self, outbox: Outbox) -> None:
        """Its old call may have reached the upstream after the newer one."""
        late = a_late_answer(outbox, line_with(2), delivered=2)

        again = send_last_again(outbox, late)

        assert [title_of(message.request) for message in again] == ["Sale 2"]
        assert outbox.states() == ["delivered", "retrying"]
        [call] = outbox.claim(now=STALE)
        assert call.message.was_uncertain
        outbox.settle(call, now=STALE)
        assert outbox.states() == ["delivered", "delivered"]

    def test_the_last_goes_before_what_waits_as_that_may_yet_die(self, outbox: Outbox) -> None:
        late = a_late_answer(outbox, line_with(3), delivered=2)

        again = send_last_again(outbox, late)

        assert [title_of(message.request) for message in again] == ["Sale 2"]
        assert outbox.states() == ["delivered", "retrying", "accepted"]
        assert outbox.faults() == []
        assert sent_from(outbox, STALE) == ["Sale 2", "Sale 3"]

    def test_what_is_in_flight_goes_once_more_after_its_call_has_ended(self, outbox: Outbox) -> None:
        """The late call may have reached the upstream after that one, too."""
        late = a_late_answer(outbox, line_with(3), delivered=2)
        [in_flight] = outbox.claim(worker="w-2", now=STALE)

        again = send_last_again(outbox, late)

        assert [title_of(message.request) for message in again] == ["Sale 2", "Sale 3"]
        assert (outbox.calls(), outbox.claim(now=STALE + CALL_LASTS - MOMENT)) == ([], [])
        assert outbox.faults() == []
        assert outbox.settle(in_flight, now=STALE).final == ()
        assert sent_from(outbox, STALE + CALL_LASTS) == ["Sale 2", "Sale 3"]

    def test_what_was_in_flight_left_in_time(self, outbox: Outbox) -> None:
        late = a_late_answer(outbox, line_with(2, expires_at=STALE + MOMENT), delivered=1)
        outbox.claim(worker="w-2", now=STALE)

        send_last_again(outbox, late)

        assert outbox.expire(STALE + CALL_LASTS) == []
        assert sent_from(outbox, STALE + CALL_LASTS) == ["Sale 1", "Sale 2"]

    def test_one_late_answer_after_another_sends_no_older_one_again(self, outbox: Outbox) -> None:
        late = a_late_answer(outbox, line_with(3), delivered=3)

        again = [send_last_again(outbox, late) for _ in range(2)]

        assert [len(messages) for messages in again] == [1, 0]
        assert sent_from(outbox, STALE) == ["Sale 3"]

    def test_the_last_is_what_was_delivered_last(self, outbox: Outbox) -> None:
        """An older one may have been forced behind a newer one."""
        late = a_late_answer(outbox, line_with(2), delivered=2)
        outbox.replay(late.message.id, force=True, now=STALE + MOMENT)
        outbox.deliver(now=STALE + MOMENT)

        [again] = send_last_again(outbox, late)

        assert again.id == late.message.id

    def test_a_line_that_delivered_nothing_has_nothing_to_send_again(self, outbox: Outbox) -> None:
        outbox.accept(a_message())
        [call] = outbox.claim()
        outbox.settle(call, Rejected("answered 400", 400))

        with outbox.database.write() as connection:
            assert upkeep.send_last_again(connection, [call.message.line], STALE) == []

        assert outbox.states() == [State.DEAD]

    def test_progress_begins_anew_when_the_last_goes_once_more(self, outbox: Outbox) -> None:
        outbox.accept(a_message())
        outbox.settle(outbox.claim(), Delivered(202, progress={"deleted": ["a"]}))
        [call] = outbox.claim()
        assert call.message.progress == {"deleted": ["a"]}
        outbox.settle(call)

        with outbox.database.write() as connection:
            [message] = upkeep.send_last_again(connection, [call.message.line], STALE)

        assert "deleted" not in message.progress
