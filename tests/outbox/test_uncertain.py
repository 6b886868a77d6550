"""What must not be repeated: an end that nobody knows is for a person, and holds nobody up."""

from __future__ import annotations

from datetime import timedelta

from factories import NOON, a_message, line_with
from outbox.steps import DAY, Outbox, ids

from bridge.message import UNSURE, Delivered, Retry, State, Uncertain, Undecided
from bridge.outbox.upkeep import STALE_AFTER

LOST = Uncertain("no whole answer in time", 7, is_final=True)
STALE = NOON + STALE_AFTER + timedelta(milliseconds=1)


def test_a_final_doubt_ends_a_message_as_uncertain_with_its_attempt(outbox: Outbox) -> None:
    [accepted] = outbox.accept(a_message())

    settled = outbox.settle(outbox.claim(), LOST)

    row = outbox.message(accepted.ids[0])
    assert [state for _, state in settled.final] == [State.UNCERTAIN]
    assert (row.state, row.was_uncertain, row.settled_at, row.reason) == (
        "uncertain",
        True,
        NOON,
        LOST.reason,
    )
    assert outbox.waiting() == outbox.calls() == []
    assert [(one.status, one.ms, one.answer) for one in outbox.attempts()] == [(None, 7, LOST.reason)]


def test_the_next_of_its_line_goes(outbox: Outbox) -> None:
    outbox.accept(*line_with(2))

    outbox.settle(outbox.claim(), LOST)
    outbox.deliver()

    assert outbox.states() == ["uncertain", "delivered"]
    assert outbox.faults() == []


def test_what_is_left_undecided_was_no_attempt(outbox: Outbox) -> None:
    [accepted] = outbox.accept(a_message())

    outbox.settle(outbox.claim(), Undecided("not sent again"))

    row = outbox.message(accepted.ids[0])
    assert (row.state, row.reason, row.tries, row.settled_at) == ("uncertain", "not sent again", 0, NOON)
    assert outbox.attempts() == []


def test_a_person_may_send_it_again_and_nothing_is_in_doubt_then(outbox: Outbox) -> None:
    [message_id] = ids(outbox.accept(a_message()))
    outbox.settle(outbox.claim(), LOST)

    state = outbox.replay(message_id, now=NOON + DAY)

    [call] = outbox.claim(now=NOON + DAY)
    assert state == State.ACCEPTED
    assert UNSURE not in call.message.progress
    assert call.message.was_uncertain


def test_a_doubt_that_may_be_repeated_is_known_to_the_next_call(outbox: Outbox) -> None:
    outbox.accept(a_message())

    outbox.settle(outbox.claim(), Uncertain("lost", progress={"at_most": 1}))

    [call] = outbox.claim(now=NOON + DAY)
    assert dict(call.message.progress) == {UNSURE: True, "at_most": 1}


def test_a_refusal_leaves_no_doubt(outbox: Outbox) -> None:
    outbox.accept(a_message())

    outbox.settle(outbox.claim(), Retry("answered 503", 503, is_trouble=True))

    [call] = outbox.claim(now=NOON + DAY)
    assert UNSURE not in call.message.progress


def test_the_next_call_of_what_a_silent_worker_sent_knows_of_it(outbox: Outbox) -> None:
    outbox.accept(a_message())
    outbox.settle(outbox.claim(), Delivered(202, progress={"deleted": ["a"]}))
    outbox.beat("silent")
    outbox.claim(worker="silent")

    outbox.take_over(STALE)

    [call] = outbox.claim(now=STALE)
    assert dict(call.message.progress) == {"deleted": ["a"], UNSURE: True}


def test_what_was_in_doubt_and_is_replayed_is_in_none_when_it_is_refused(outbox: Outbox) -> None:
    [message_id] = ids(outbox.accept(a_message()))
    outbox.beat("silent")
    outbox.claim(worker="silent")
    outbox.take_over(STALE)
    outbox.settle(outbox.claim(now=STALE), Undecided("not sent again"), now=STALE)
    outbox.replay(message_id, now=STALE)

    outbox.settle(outbox.claim(now=STALE), Retry("answered 503", 503), now=STALE)

    [call] = outbox.claim(now=STALE + DAY)
    assert UNSURE not in call.message.progress
