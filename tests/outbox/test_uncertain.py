"""What must not be repeated: an end that nobody knows is for a person, and its line waits for that."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa
from factories import NOON, a_message, line_with
from outbox.steps import DAY, DESTINATION, Outbox, ids

from bridge.message import UNSURE, Delivered, Rejected, Retry, State, Uncertain, Undecided
from bridge.outbox import claim, overview, reading, retention, samples
from bridge.outbox.claim import Call
from bridge.outbox.depth import Depth
from bridge.outbox.lines import give_up
from bridge.outbox.merging import with_their_lines
from bridge.outbox.sample_tables import depths
from bridge.outbox.tables import messages, waiting
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
    assert outbox.calls() == outbox.faults() == []
    assert [(one.status, one.ms, one.answer) for one in outbox.attempts()] == [(None, 7, LOST.reason)]


def cancel(outbox: Outbox, *, is_uncertain: bool) -> int:
    with outbox.database.write() as connection:
        every = [row.seq for row in outbox.waiting()]
        return len(give_up(connection, every, "cancelled by me", NOON, is_uncertain=is_uncertain))


def claimed_together(outbox: Outbox, most: int) -> list[Call]:
    """A head and what waits behind it, as a destination that merges takes them."""
    with outbox.database.write() as connection:
        heads = claim.due(connection, DESTINATION, 1, NOON, claim.lanes(connection, DESTINATION))
        its = [one.message for one in with_their_lines(connection, heads, most)]
        [held] = claim.hold(connection, "w-1", DESTINATION, [its], NOON)
    return held


class TestItsLine:
    """One uncertain message, with another of its line behind it."""

    def test_waits(self, outbox: Outbox) -> None:
        outbox.accept(*line_with(2), a_message(user_id="u-other"))
        first = outbox.claim(1)

        outbox.settle(first, LOST)

        outbox.deliver()
        assert outbox.claim(now=NOON + DAY) == []
        assert outbox.states() == ["uncertain", "accepted", "delivered"]
        with outbox.database.read() as connection:
            unclear, behind = reading.shown(connection, [row.seq for row in outbox.waiting()])
        assert (unclear["waits_for"], behind["waits_for"]) == (None, unclear["id"])
        assert outbox.faults() == []

    def test_is_counted_as_waiting_without_it(self, outbox: Outbox) -> None:
        outbox.accept(*line_with(2))
        outbox.settle(outbox.claim(), LOST)
        later = NOON + timedelta(minutes=1)
        with outbox.database.write() as connection:
            behind = sa.select(sa.func.max(messages.c.seq)).scalar_subquery()
            connection.execute(sa.update(messages).where(messages.c.seq == behind).values(received_at=later))

        count = Depth()
        with outbox.database.write() as connection:
            while not count.piece(connection, later):
                pass
            count.write(connection, later)
            kept = connection.execute(sa.select(depths.c.waiting, depths.c.oldest_at)).one()
            live = samples.waiting_by_destination(connection)[DESTINATION]

            assert tuple(kept) == (live.messages, live.oldest_at) == (1, later)
            assert overview.backlogs(connection) == {DESTINATION: overview.Backlog(1, later)}
            assert reading.waiting_since(connection) == later

    def test_does_not_expire_or_leave_with_a_probe(self, outbox: Outbox) -> None:
        outbox.accept(a_message(expires_at=NOON + timedelta(minutes=1)))
        outbox.settle(outbox.claim(), LOST)

        assert outbox.expire(NOON + DAY) == []
        assert outbox.claim(now=NOON + DAY, is_probe=True) == []
        assert outbox.take_over(NOON + DAY) == 0
        assert outbox.states() == ["uncertain"]

    def test_goes_on_in_order_once_it_is_replayed(self, outbox: Outbox) -> None:
        first, _ = ids(outbox.accept(*line_with(2)))
        outbox.settle(outbox.claim(), LOST)

        assert outbox.replay(first) == State.ACCEPTED

        assert [call.message.id for call in outbox.claim()] == [first]
        assert outbox.faults() == []

    def test_goes_on_once_it_is_cancelled(self, outbox: Outbox) -> None:
        outbox.accept(*line_with(2))
        outbox.settle(outbox.claim(), LOST)

        assert cancel(outbox, is_uncertain=True) == 1

        outbox.deliver()
        assert outbox.states() == ["dead", "delivered"]
        assert outbox.faults() == []

    def test_is_cancelled_too_if_an_earlier_release_did_not_hold_it(self, outbox: Outbox) -> None:
        outbox.accept(a_message())
        outbox.settle(outbox.claim(), LOST)
        with outbox.database.write() as connection:
            [seq] = connection.scalars(sa.select(messages.c.seq))
            connection.execute(sa.delete(waiting))
            gone = give_up(connection, [seq], "cancelled by me", NOON, is_uncertain=True)

        assert (len(gone), outbox.states()) == (1, ["dead"])

    def test_is_not_touched_by_a_cancel_of_what_waits(self, outbox: Outbox) -> None:
        outbox.accept(*line_with(2))
        outbox.settle(outbox.claim(), LOST)

        assert cancel(outbox, is_uncertain=False) == 1

        assert outbox.states() == ["uncertain", "dead"]
        assert outbox.faults() == []

    def test_goes_on_once_it_is_forgotten(self, outbox: Outbox) -> None:
        outbox.accept(*line_with(2))
        outbox.settle(outbox.claim(), LOST)

        for days, left in ((20, 2), (32, 1)):
            with outbox.database.write() as connection:
                retention.forget_old(connection, NOON + days * DAY, 10 * DAY)
            assert len(outbox.states()) == left

        outbox.deliver(now=NOON + 32 * DAY)
        assert outbox.states() == ["delivered"]
        assert outbox.faults() == []

    def test_goes_on_once_its_replay_is_overtaken(self, outbox: Outbox) -> None:
        first, _, _ = ids(outbox.accept(*line_with(3)))
        unclear, taken = claimed_together(outbox, 2)
        outbox.settle(unclear, LOST)
        outbox.settle(taken)
        assert outbox.claim() == []

        assert outbox.replay(first) == State.SUPERSEDED

        outbox.deliver()
        assert outbox.states() == ["superseded", "delivered", "delivered"]
        assert outbox.faults() == []

    def test_waits_for_each_of_several(self, outbox: Outbox) -> None:
        first, second, _ = ids(outbox.accept(*line_with(3)))
        outbox.settle(claimed_together(outbox, 2), LOST)

        assert outbox.replay(second) == State.ACCEPTED
        assert outbox.claim() == []
        assert outbox.replay(first, force=True) == State.ACCEPTED

        outbox.deliver(3)
        assert outbox.states() == ["delivered"] * 3
        assert outbox.faults() == []

    def test_lets_an_older_one_that_is_replayed_go_first(self, outbox: Outbox) -> None:
        older, _, _ = ids(outbox.accept(*line_with(3)))
        outbox.settle(outbox.claim(), Rejected("answered 400", 400))
        outbox.settle(outbox.claim(), LOST)

        assert outbox.replay(older) == State.ACCEPTED

        outbox.deliver()
        assert outbox.claim() == []
        assert outbox.states() == ["delivered", "uncertain", "accepted"]
        assert outbox.faults() == []

    def test_is_cut_there_where_a_line_goes_in_one_call(self, outbox: Outbox) -> None:
        older, *_ = ids(outbox.accept(*line_with(4)))
        outbox.settle(outbox.claim(), Rejected("answered 400", 400))
        outbox.settle(outbox.claim(), LOST)
        outbox.replay(older)

        with outbox.database.write() as connection:
            heads = claim.due(connection, DESTINATION, 10, NOON, claim.lanes(connection, DESTINATION))
            leaving = with_their_lines(connection, heads, 10)

        assert [one.message.id for one in leaving] == [older]


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
