"""Replay: a settled message goes again, in its place in its line, unless a later one was delivered."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from factories import NOON, a_message, an_event, line_with, title_of
from outbox.steps import DAY, Outbox, ids

from bridge.errors import InvalidPayload
from bridge.message import Delivered, NewMessage, Rejected, Retry, Skipped, State, Uncertain
from bridge.outbox import replay, upkeep

REFUSED = Rejected("answered 400", 400)


def settled_line(outbox: Outbox, *outcomes: Any) -> list[str]:
    """A line whose messages came to these ends; their ids."""
    accepted = outbox.accept(*line_with(len(outcomes)))
    for outcome in outcomes:
        outbox.settle(outbox.claim(), outcome)
    return ids(accepted)


def sent_from(outbox: Outbox) -> list[str]:
    sent = []
    while claimed := outbox.claim():
        sent += [title_of(call.message.request) for call in claimed]
        outbox.settle(claimed)
    return sent


class TestWhatMayBeReplayed:
    @pytest.mark.parametrize("outcome", [Delivered(202), REFUSED, Skipped("already so")])
    def test_a_settled_message_is_sent_again_as_it_is_stored(self, outbox: Outbox, outcome: Any) -> None:
        [message_id] = settled_line(outbox, outcome)

        state = outbox.replay(message_id, now=NOON + DAY)

        [call] = outbox.claim(now=NOON + DAY)
        assert state == State.ACCEPTED
        assert call.message.id == message_id
        assert title_of(call.message.request) == "Sale 1"
        assert outbox.message(message_id).settled_at is None

    def test_it_starts_anew(self, outbox: Outbox) -> None:
        [accepted] = outbox.accept(a_message(expires_at=NOON + timedelta(hours=1)))
        message_id = accepted.ids[0]
        outbox.settle(outbox.claim(), Delivered(202, progress={"deleted": ["a"]}))
        outbox.settle(outbox.claim(), Retry("answered 503", 503, is_trouble=True))
        outbox.settle(outbox.claim(now=NOON + DAY), Uncertain("lost"), now=NOON + DAY)
        assert outbox.message(message_id).state == State.DEAD

        outbox.replay(message_id, now=NOON + 2 * DAY)

        [call] = outbox.claim(now=NOON + 2 * DAY)
        row = outbox.message(message_id)
        assert (call.message.tries, call.message.first_failed_at, dict(call.message.progress)) == (
            0,
            None,
            {},
        )
        assert (call.message.expires_at, row.reason, row.was_uncertain) == (None, None, True)
        assert outbox.expire(NOON + 3 * DAY) == []

    def test_one_that_waits_is_refused(self, outbox: Outbox) -> None:
        first, second = ids(outbox.accept(*line_with(2)))
        outbox.settle(outbox.claim(), Retry("answered 503", 503))

        for message_id, state in ((first, "retrying"), (second, "accepted")):
            with pytest.raises(InvalidPayload, match=f"this message is {state}: it is on its way already"):
                outbox.replay(message_id)

    def test_an_unknown_one_is_not_found(self, outbox: Outbox) -> None:
        with outbox.database.read() as connection:
            assert replay.settled(connection, "nobody") is None

    def test_of_two_replays_at_once_one_is_made(self, outbox: Outbox) -> None:
        [message_id] = settled_line(outbox, REFUSED)
        with outbox.database.read() as connection:
            found = replay.settled(connection, message_id)
        assert found is not None

        states = []
        for _ in range(2):
            with outbox.database.write() as connection:
                states.append(replay.send_again(connection, found[0], NOON, force=False))

        assert states == [State.ACCEPTED, State.ACCEPTED]
        assert len(outbox.waiting()) == 1

    def test_what_its_caller_sent_comes_with_it(self, outbox: Outbox) -> None:
        [message_id] = settled_line(outbox, REFUSED)

        with outbox.database.read() as connection:
            found = replay.settled(connection, message_id)

        assert found is not None
        assert found[1] == {"body": {"user_id": "u-1"}, "inbound_key": "braze", "route": "calendar_events"}


class TestItsPlaceInItsLine:
    def test_it_goes_before_what_waits_behind_it(self, outbox: Outbox) -> None:
        [dead] = settled_line(outbox, REFUSED)
        outbox.accept(*line_with(2)[1:], *line_with(3)[2:])

        outbox.replay(dead)

        assert outbox.faults() == []
        assert [row.is_head for row in outbox.waiting()] == [True, False, False]
        assert sent_from(outbox) == ["Sale 1", "Sale 2", "Sale 3"]

    def test_it_goes_before_a_head_in_back_off(self, outbox: Outbox) -> None:
        first, _ = ids(outbox.accept(*line_with(2)))
        outbox.settle(outbox.claim(), REFUSED)
        outbox.settle(outbox.claim(), Retry("answered 429", 429, wait=60))

        outbox.replay(first)

        assert [title_of(c.message.request) for c in outbox.claim()] == ["Sale 1"]

    def test_two_that_are_replayed_in_the_wrong_order_go_in_the_right_one(self, outbox: Outbox) -> None:
        first, second, third = settled_line(outbox, REFUSED, REFUSED, REFUSED)

        for message_id in (third, first, second):
            outbox.replay(message_id)

        assert outbox.faults() == []
        assert sent_from(outbox) == ["Sale 1", "Sale 2", "Sale 3"]

    def test_a_line_of_another_key_is_not_touched(self, outbox: Outbox) -> None:
        [dead] = settled_line(outbox, REFUSED)
        outbox.accept(a_message(user_id="u-2"))

        outbox.replay(dead)

        assert [row.is_head for row in outbox.waiting()] == [True, True]


class TestWhatALaterOneOvertook:
    def test_it_is_superseded_when_a_later_one_was_delivered(self, outbox: Outbox) -> None:
        dead, _ = settled_line(outbox, REFUSED, Delivered(202))

        state = outbox.replay(dead, now=NOON + DAY)

        row = outbox.message(dead)
        assert state == State.SUPERSEDED
        assert (row.state, row.reason, row.settled_at) == ("superseded", replay.OVERTAKEN, NOON + DAY)
        assert outbox.waiting() == []

    def test_force_sends_it_all_the_same(self, outbox: Outbox) -> None:
        dead, _ = settled_line(outbox, REFUSED, Delivered(202))

        assert outbox.replay(dead, force=True) == State.ACCEPTED
        assert sent_from(outbox) == ["Sale 1"]

    def test_what_was_superseded_can_still_be_forced(self, outbox: Outbox) -> None:
        dead, _ = settled_line(outbox, REFUSED, Delivered(202))
        outbox.replay(dead)

        outbox.replay(dead, force=True)

        assert sent_from(outbox) == ["Sale 1"]

    def test_a_later_one_that_stands_without_a_call_counts_too(self, outbox: Outbox) -> None:
        dead, _ = settled_line(outbox, REFUSED, Skipped("Rokt already holds exactly this"))

        assert outbox.replay(dead) == State.SUPERSEDED

    def test_a_later_one_that_is_dead_does_not_count(self, outbox: Outbox) -> None:
        dead, _ = settled_line(outbox, REFUSED, REFUSED)

        assert outbox.replay(dead) == State.ACCEPTED

    def test_an_earlier_one_that_was_delivered_does_not_count(self, outbox: Outbox) -> None:
        _, dead = settled_line(outbox, Delivered(202), REFUSED)

        assert outbox.replay(dead) == State.ACCEPTED

    def test_a_later_one_of_another_line_does_not_count(self, outbox: Outbox) -> None:
        [dead] = settled_line(outbox, REFUSED)
        outbox.accept(a_message(user_id="u-2"))
        outbox.deliver()

        assert outbox.replay(dead) == State.ACCEPTED


class TestWhatItsUpstreamTook:
    def test_a_part_that_was_taken_though_the_message_died_is_known_to_its_replay(
        self, outbox: Outbox
    ) -> None:
        told = {"event": "taken", "attributes": "unknown"}
        [dead] = settled_line(outbox, replace(REFUSED, progress=told))

        outbox.replay(dead)

        [call] = outbox.claim()
        assert call.message.progress == {"event": "taken"}

    def test_many_replays_at_once_keep_each_their_own(self, outbox: Outbox) -> None:
        accepted = ids(outbox.accept(*(a_message(user_id=f"u-{n}") for n in range(3))))
        outcomes = [replace(REFUSED, progress={"event": "taken"}), REFUSED, Delivered(202)]
        for call, outcome in zip(outbox.claim(), outcomes, strict=True):
            outbox.settle(call, outcome)
        with outbox.database.write() as connection:
            found = [replay.settled(connection, one) for one in accepted]
            replay.send_each_again(connection, [one[0] for one in found if one], NOON, force=False)

        assert [call.message.progress for call in outbox.claim()] == [{"event": "taken"}, {}, {}]


class TestALineOfSeveralThings:
    """All subscriptions of a user stand in one line; one of them says nothing of another."""

    def about(self, *things: str) -> list[NewMessage]:
        return [a_message(line="u-1", event_id=thing, event=an_event(title=thing)) for thing in things]

    def test_a_later_one_about_something_else_does_not_count(self, outbox: Outbox) -> None:
        [dead, _] = ids(outbox.accept(*self.about("a", "b")))
        outbox.settle(outbox.claim(), REFUSED)
        outbox.settle(outbox.claim())

        assert outbox.replay(dead) == State.ACCEPTED

    def test_a_later_one_about_the_same_counts(self, outbox: Outbox) -> None:
        [dead, *_] = ids(outbox.accept(*self.about("a", "b", "a")))
        outbox.settle(outbox.claim(), REFUSED)
        for _ in range(2):
            outbox.settle(outbox.claim())

        assert outbox.replay(dead) == State.SUPERSEDED

    def test_behind_a_head_in_flight_only_what_is_about_the_same_is_superseded(self, outbox: Outbox) -> None:
        dead = ids(outbox.accept(*self.about("a", "b")))
        for _ in range(2):
            outbox.settle(outbox.claim(), REFUSED)
        outbox.accept(*self.about("a"))
        in_flight = outbox.claim()
        for message_id in dead:
            outbox.replay(message_id)

        outbox.settle(in_flight)

        assert outbox.states() == ["superseded", "accepted", "delivered"]
        assert sent_from(outbox) == ["b"]


class TestBehindAHeadInFlight:
    def test_it_does_not_leave_beside_it(self, outbox: Outbox) -> None:
        [dead] = settled_line(outbox, REFUSED)
        outbox.accept(a_message(event=an_event(title="Newer")))
        outbox.claim()

        assert outbox.replay(dead) == State.ACCEPTED
        assert outbox.claim(worker="w-2") == []
        assert outbox.faults() == []

    def test_it_is_superseded_once_that_is_delivered(self, outbox: Outbox) -> None:
        """Else the older state would be the last that the calendar gets."""
        dead = settled_line(outbox, REFUSED, REFUSED)
        outbox.accept(a_message(event=an_event(title="Newer")), a_message(event=an_event(title="Newest")))
        in_flight = outbox.claim()
        for message_id in dead:
            outbox.replay(message_id)

        outbox.settle(in_flight, now=NOON + DAY)

        assert outbox.states() == ["superseded", "superseded", "delivered", "accepted"]
        row = outbox.message(dead[0])
        assert (row.reason, row.settled_at) == (replay.OVERTAKEN, NOON + DAY)
        assert outbox.faults() == []
        assert sent_from(outbox) == ["Newest"]

    @pytest.mark.parametrize(
        "again", [Retry("answered 503", 503), Uncertain("lost"), Delivered(202, progress={})]
    )
    def test_it_is_superseded_when_that_is_delivered_at_a_later_try(self, outbox: Outbox, again: Any) -> None:
        [dead] = settled_line(outbox, REFUSED)
        outbox.accept(a_message(event=an_event(title="Newer")))
        in_flight = outbox.claim()
        outbox.replay(dead)
        outbox.settle(in_flight, again)

        outbox.settle(outbox.claim(now=NOON + DAY))

        assert outbox.states() == ["superseded", "delivered"]
        assert outbox.waiting() == []

    def test_it_goes_when_that_ends_without_being_delivered(self, outbox: Outbox) -> None:
        [dead] = settled_line(outbox, REFUSED)
        outbox.accept(a_message(event=an_event(title="Newer")))
        in_flight = outbox.claim()
        outbox.replay(dead)

        outbox.settle(in_flight, REFUSED)

        assert sent_from(outbox) == ["Sale 1"]

    def test_force_sends_it_after_that(self, outbox: Outbox) -> None:
        [dead] = settled_line(outbox, REFUSED)
        outbox.accept(a_message(event=an_event(title="Newer")), a_message(event=an_event(title="Newest")))
        in_flight = outbox.claim()
        outbox.replay(dead, force=True)

        outbox.settle(in_flight)

        assert sent_from(outbox) == ["Sale 1", "Newest"]
        assert set(outbox.states()) == {State.DELIVERED}


class TestRenderedAgain:
    def test_what_a_template_refused_gets_its_request_and_its_line(self, outbox: Outbox) -> None:
        refused = a_message(request={}, line=None, account_code="", state=State.DEAD, reason="blank title")
        [message_id] = ids(outbox.accept(refused))
        outbox.accept(a_message())
        new = a_message(event=an_event(title="Mended"), template="summer", version=4)

        with outbox.database.write() as connection:
            found = replay.settled(connection, message_id)
            assert found is not None
            message = replay.rewrite(connection, found[0], new, NOON)
            replay.send_again(connection, message, NOON, force=False)

        row = outbox.message(message_id)
        assert (row.account_code, row.template, row.version, row.reason) == ("brazetest", "summer", 4, None)
        assert outbox.faults() == []
        assert sent_from(outbox) == ["Mended", "Flash sale"]

    def test_what_renders_to_a_skip_is_skipped(self, outbox: Outbox) -> None:
        [message_id] = settled_line(outbox, REFUSED)
        new = a_message(request={}, line=None, state=State.SKIPPED, reason="discount under 5")

        with outbox.database.write() as connection:
            found = replay.settled(connection, message_id)
            assert found is not None
            replay.rewrite(connection, found[0], new, NOON + DAY)

        row = outbox.message(message_id)
        assert (row.state, row.reason, row.settled_at) == ("skipped", "discount under 5", NOON + DAY)
        assert outbox.waiting() == []

    def test_what_is_refused_again_says_the_new_reason(self, outbox: Outbox) -> None:
        [message_id] = settled_line(outbox, REFUSED)

        with outbox.database.write() as connection:
            found = replay.settled(connection, message_id)
            assert found is not None
            replay.refuse_again(connection, found[0], "unknown variable: sale")

        assert outbox.message(message_id).reason == "unknown variable: sale"
        assert outbox.states() == ["dead"]


def test_the_last_of_a_line_goes_once_more_after_a_late_answer(outbox: Outbox) -> None:
    _, last = settled_line(outbox, Delivered(202), Delivered(202))
    line = outbox.message(last).line

    with outbox.database.write() as connection:
        again = upkeep.send_last_again(connection, [line, line], NOON + DAY)

    row = outbox.message(last)
    assert [message.id for message in again] == [last]
    assert (row.state, row.was_uncertain, row.settled_at) == ("retrying", True, None)
    assert outbox.faults() == []
