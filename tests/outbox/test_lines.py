"""Claim, settle, back-off, expiry: what leaves next, and what becomes of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from factories import ACCOUNT, NOON, a_call, a_message, line_with, title_of
from outbox.steps import DAY, DESTINATION, TAKEN, Outbox

from bridge.message import Delivered, Rejected, Retry, Skipped, State, Uncertain
from bridge.outbox import claim, settle, upkeep
from bridge.outbox.claim import Lane
from bridge.outbox.settle import BACK_OFF_MOST, Result, back_off, ending_of

SECOND = timedelta(seconds=1)
TROUBLE = Retry("answered 503", 503, is_trouble=True)
LOST = Uncertain("closed without an answer", ms=12)


def five(**fields: Any) -> list[Any]:
    return [a_message(user_id=f"u-{n}", **fields) for n in range(5)]


class TestClaim:
    def test_a_claimed_message_comes_as_it_was_accepted(self, outbox: Outbox) -> None:
        [message] = [a_message(template="summer", version=3, expires_at=NOON + DAY)]
        [accepted] = outbox.accept(message)

        [call] = outbox.claim()

        claimed = call.message
        assert (claimed.id, claimed.tries, claimed.was_uncertain) == (accepted.ids[0], 0, False)
        assert (claimed.request, dict(claimed.progress)) == (message.request, {})
        assert (claimed.received_at, claimed.expires_at) == (NOON, NOON + DAY)
        assert (claimed.user_id, claimed.event_id, claimed.account_code) == ("u-1", "sale", "brazetest")
        assert (claimed.template, claimed.version) == ("summer", 3)

    def test_a_call_is_written_down_before_anything_is_sent(self, outbox: Outbox) -> None:
        outbox.accept(*five())

        claimed = outbox.claim(worker="w-7")

        assert {(row.id, row.worker_id, row.started_at) for row in outbox.calls()} == {
            (call.id, "w-7", NOON) for call in claimed
        }
        assert {row.call_id for row in outbox.waiting()} == {call.id for call in claimed}

    def test_only_heads_are_taken(self, outbox: Outbox) -> None:
        outbox.accept(*line_with(3), *line_with(3, user_id="u-2"))

        claimed = outbox.claim()

        assert [title_of(call.message.request) for call in claimed] == ["Sale 1", "Sale 1"]

    def test_no_more_are_taken_than_were_asked_for(self, outbox: Outbox) -> None:
        outbox.accept(*five())

        assert len(outbox.claim(2)) == 2
        assert len(outbox.claim(2)) == 2
        assert len(outbox.claim(2)) == 1

    def test_what_is_in_flight_is_not_taken_again(self, outbox: Outbox) -> None:
        outbox.accept(*line_with(2))
        outbox.claim()

        assert outbox.claim(worker="w-2") == []

    def test_what_was_due_first_is_taken_first(self, outbox: Outbox) -> None:
        late, early = a_message(user_id="late"), a_message(user_id="early")
        outbox.accept(late, now=NOON + SECOND)
        outbox.accept(early, now=NOON)

        [call] = outbox.claim(1, now=NOON + DAY)

        assert call.message.user_id == "early"

    def test_nothing_is_taken_before_it_is_due(self, outbox: Outbox) -> None:
        outbox.accept(a_message(), now=NOON + SECOND)

        assert outbox.claim(now=NOON) == []

    def test_messages_of_another_destination_stay(self, outbox: Outbox) -> None:
        outbox.accept(a_message(destination="braze"))

        assert outbox.claim() == []

    def test_messages_of_closed_accounts_stay(self, outbox: Outbox) -> None:
        outbox.accept(a_message(account_code="shut"), a_message(account_code="open"))

        with outbox.database.write() as connection:
            lanes = [lane for lane in claim.lanes(connection, DESTINATION) if lane.account_code == "open"]
            claimed = claim.claim(connection, "w-1", DESTINATION, 100, NOON, lanes)

        assert [call.message.account_code for call in claimed] == ["open"]

    def test_a_probe_takes_a_head_in_back_off(self, outbox: Outbox) -> None:
        outbox.accept(a_message(), now=NOON + DAY)

        assert len(outbox.claim(1, is_probe=True)) == 1

    def test_lanes_tell_when_something_is_due_without_taking_it(self, outbox: Outbox) -> None:
        outbox.accept(*line_with(2))

        def lanes() -> list[Lane]:
            with outbox.database.read() as connection:
                return claim.lanes(connection, DESTINATION)

        assert lanes() == lanes() == [Lane(ACCOUNT, 1, NOON)]
        outbox.claim()
        assert lanes() == []

    def test_what_was_never_sent_is_given_back_untouched(self, outbox: Outbox) -> None:
        [accepted] = outbox.accept(a_message())
        before = outbox.message(accepted.ids[0])
        claimed = outbox.claim()

        with outbox.database.write() as connection:
            claim.give_back(connection, claimed)

        assert outbox.message(accepted.ids[0]) == before
        assert outbox.calls() == []
        assert [call.message.id for call in outbox.claim()] == list(accepted.ids)


class TestSettle:
    def test_a_delivered_message_is_settled_and_the_next_becomes_the_head(self, outbox: Outbox) -> None:
        accepted = outbox.accept(*line_with(3))
        [call] = outbox.claim()

        settled = outbox.settle(call, Delivered(202, "ok", 40), now=NOON + SECOND)

        row = outbox.message(accepted[0].ids[0])
        assert (row.state, row.settled_at, row.reason, row.tries) == ("delivered", NOON + SECOND, None, 0)
        assert [state for _, state in settled.final] == [State.DELIVERED]
        assert [row.is_head for row in outbox.waiting()] == [True, False]
        assert outbox.calls() == []

    def test_a_line_is_delivered_in_the_order_of_acceptance(self, outbox: Outbox) -> None:
        outbox.accept(*line_with(6))
        sent = []

        while claimed := outbox.claim():
            sent += [title_of(call.message.request) for call in claimed]
            outbox.settle(claimed)

        assert sent == [f"Sale {n}" for n in range(1, 7)]

    @pytest.mark.parametrize(
        ("outcome", "state", "reason"),
        [
            (Rejected("answered 400: no title", 400), "dead", "answered 400: no title"),
            (Skipped("Rokt already holds exactly this"), "skipped", "Rokt already holds exactly this"),
        ],
    )
    def test_one_that_ends_otherwise_says_why_and_lets_the_next_go(
        self, outbox: Outbox, outcome: Any, state: str, reason: str
    ) -> None:
        accepted = outbox.accept(*line_with(2))
        outbox.settle(outbox.claim(), outcome)

        row = outbox.message(accepted[0].ids[0])
        assert (row.state, row.reason, row.settled_at) == (state, reason, NOON)
        assert [call.message.id for call in outbox.claim()] == list(accepted[1].ids)

    def test_a_retry_keeps_its_place_and_its_line_waits(self, outbox: Outbox) -> None:
        accepted = outbox.accept(*line_with(2))
        outbox.settle(outbox.claim(), TROUBLE)

        first, second = outbox.waiting()
        row = outbox.message(accepted[0].ids[0])
        assert (row.state, row.reason, row.tries) == ("retrying", "answered 503", 1)
        assert (row.first_failed_at, row.settled_at) == (NOON, None)
        assert (first.is_head, first.call_id, second.is_head) == (True, None, False)
        assert NOON <= first.due_at <= NOON + SECOND
        assert [c.message.id for c in outbox.claim(now=NOON + SECOND)] == list(accepted[0].ids)

    def test_a_head_in_back_off_blocks_its_own_line_alone(self, outbox: Outbox) -> None:
        outbox.accept(*line_with(2), a_message(user_id="u-2"))
        blocked, free = outbox.claim()
        outbox.settle(blocked, Retry("answered 429", 429, wait=60))
        outbox.settle(free)
        outbox.accept(a_message(user_id="u-3"))

        assert [call.message.user_id for call in outbox.claim()] == ["u-3"]

    def test_the_first_failure_is_kept_and_tries_are_counted(self, outbox: Outbox) -> None:
        [accepted] = outbox.accept(a_message())
        for n in range(3):
            outbox.settle(outbox.claim(now=NOON + n * 5 * SECOND), TROUBLE, now=NOON + n * 5 * SECOND)

        row = outbox.message(accepted.ids[0])
        assert (row.tries, row.first_failed_at) == (3, NOON)

    def test_a_success_after_a_failure_clears_the_reason(self, outbox: Outbox) -> None:
        [accepted] = outbox.accept(a_message())
        outbox.settle(outbox.claim(), TROUBLE)
        outbox.settle(outbox.claim(now=NOON + SECOND))

        row = outbox.message(accepted.ids[0])
        assert (row.state, row.reason, row.tries) == ("delivered", None, 1)

    def test_an_uncertain_call_is_repeated_and_remembered(self, outbox: Outbox) -> None:
        [accepted] = outbox.accept(a_message())
        outbox.settle(outbox.claim(), LOST)

        row = outbox.message(accepted.ids[0])
        assert (row.state, row.was_uncertain, row.tries) == ("retrying", True, 1)

        [call] = outbox.claim(now=NOON + SECOND)
        outbox.settle(call, now=NOON + SECOND)
        row = outbox.message(accepted.ids[0])
        assert call.message.was_uncertain
        assert (row.state, row.was_uncertain) == ("delivered", True)

    def test_a_part_that_was_delivered_keeps_the_line_and_the_rest_goes_at_once(self, outbox: Outbox) -> None:
        accepted = outbox.accept(*line_with(2))
        settled = outbox.settle(outbox.claim(), Delivered(202, progress={"deleted": ["a"]}))

        assert settled.final == ()
        [call] = outbox.claim()
        assert call.message.id == accepted[0].ids[0]
        assert call.message.progress == {"deleted": ["a"]}
        assert (call.message.tries, outbox.states()) == (0, ["accepted", "accepted"])

    def test_progress_is_kept_over_a_failure(self, outbox: Outbox) -> None:
        outbox.accept(a_message())
        outbox.settle(outbox.claim(), Delivered(202, progress={"deleted": ["a"]}))
        outbox.settle(outbox.claim(), TROUBLE)

        [call] = outbox.claim(now=NOON + SECOND)
        assert call.message.progress == {"deleted": ["a"]}

    def test_a_part_delivered_after_a_failure_goes_on_retrying(self, outbox: Outbox) -> None:
        outbox.accept(a_message())
        outbox.settle(outbox.claim(), TROUBLE)
        outbox.settle(outbox.claim(now=NOON + SECOND), Delivered(202, progress={}))

        assert outbox.states() == ["retrying"]

    def test_many_are_settled_at_once_each_with_its_own_outcome(self, outbox: Outbox) -> None:
        outbox.accept(*five())
        claimed = outbox.claim()
        outcomes = [TAKEN, TROUBLE, Rejected("no", 400), Skipped("same"), LOST]
        results = [Result(call, outcome) for call, outcome in zip(claimed, outcomes, strict=True)]

        with outbox.database.write() as connection:
            settle.settle(connection, results, NOON, DAY)

        assert outbox.states() == ["delivered", "retrying", "dead", "skipped", "retrying"]
        assert len(outbox.waiting()) == 2
        assert outbox.calls() == []

    def test_an_attempt_is_kept_for_each_call_that_was_made(self, outbox: Outbox) -> None:
        outbox.accept(*five())
        outcomes = [
            Delivered(202, "{}", 40),
            Retry("answered 503", 503, "busy", 50, is_trouble=True),
            Rejected("tells why", 400, "bad", 60),
            Skipped("already so"),
            Uncertain("no whole answer in time", 10_000),
        ]
        for call, outcome in zip(outbox.claim(), outcomes, strict=True):
            outbox.settle(call, outcome)

        assert [(row.status, row.answer, row.ms, NOON - row.at) for row in outbox.attempts()] == [
            (202, "{}", 40, timedelta(milliseconds=40)),
            (503, "busy", 50, timedelta(milliseconds=50)),
            (400, "bad", 60, timedelta(milliseconds=60)),
            (None, "no whole answer in time", 10_000, timedelta(seconds=10)),
        ]

    def test_what_was_refused_before_a_call_has_no_attempt(self, outbox: Outbox) -> None:
        outbox.accept(a_message())
        outbox.settle(outbox.claim(), Rejected("event.title: is needed"))

        assert outbox.attempts() == []
        assert outbox.states() == ["dead"]

    def test_a_long_answer_is_cut(self, outbox: Outbox) -> None:
        outbox.accept(a_message())
        outbox.settle(outbox.claim(), Delivered(202, "x" * 60_000))

        assert [len(row.answer) for row in outbox.attempts()] == [settle.ANSWER_KEPT]

    @pytest.mark.parametrize("bad", ["nul \x00", "half \ud800"], ids=["nul", "surrogate"])
    def test_an_answer_that_no_database_holds_does_not_stop_the_settling(
        self, outbox: Outbox, bad: str
    ) -> None:
        accepted = outbox.accept(*five())
        claimed = outbox.claim()
        outcomes = [TAKEN, Rejected(bad, 400, bad), Retry(bad, 503, bad), Uncertain(bad), Skipped(bad)]

        with outbox.database.write() as connection:
            results = [Result(call, outcome) for call, outcome in zip(claimed, outcomes, strict=True)]
            settle.settle(connection, results, NOON, DAY)

        assert outbox.states() == ["delivered", "dead", "retrying", "retrying", "skipped"]
        assert outbox.message(accepted[1].ids[0]).reason == f"{bad[:-1]}\N{REPLACEMENT CHARACTER}"


class TestTheFence:
    def test_a_call_that_was_settled_is_not_settled_again(self, outbox: Outbox) -> None:
        outbox.accept(a_message())
        [call] = outbox.claim()
        outbox.settle(call)

        settled = outbox.settle(call, Rejected("no", 400))

        assert settled.final == ()
        assert [late.call for late in settled.late] == [call]
        assert outbox.states() == ["delivered"]
        assert len(outbox.attempts()) == 1

    def test_only_the_calls_that_are_still_ours_are_settled(self, outbox: Outbox) -> None:
        outbox.accept(a_message(user_id="lost"), a_message(user_id="ours"))
        lost, ours = outbox.claim()
        with outbox.database.write() as connection:
            claim.give_back(connection, [lost])

        settled = outbox.settle([lost, ours])

        assert [result.call for result, _ in settled.final] == [ours]
        assert outbox.states() == ["accepted", "delivered"]

    def test_a_message_that_another_worker_took_since_is_left_to_it(self, outbox: Outbox) -> None:
        outbox.accept(a_message())
        [early] = outbox.claim(worker="w-1")
        with outbox.database.write() as connection:
            claim.give_back(connection, [early])
        [late] = outbox.claim(worker="w-2")

        outbox.settle(early, Rejected("no", 400))

        assert outbox.states() == ["accepted"]
        assert [row.call_id for row in outbox.waiting()] == [late.id]


class TestBackOff:
    @pytest.mark.parametrize("tries", range(12))
    def test_it_is_full_jitter_that_doubles_to_a_quarter_of_an_hour(self, tries: int) -> None:
        most = min(BACK_OFF_MOST, 2.0**tries)

        waits = [back_off(tries).total_seconds() for _ in range(400)]

        assert all(0 <= one <= most for one in waits)
        assert min(waits) < most * 0.1
        assert max(waits) > most * 0.9

    def test_a_great_many_tries_do_not_overflow(self) -> None:
        assert back_off(100_000).total_seconds() <= BACK_OFF_MOST

    @pytest.mark.parametrize("asked", [30, 3600])
    def test_it_is_never_shorter_than_what_the_upstream_asked_for(self, asked: float) -> None:
        assert back_off(0, asked).total_seconds() == asked

    def test_a_short_wish_does_not_shorten_it(self) -> None:
        waits = [back_off(10, 0.5).total_seconds() for _ in range(100)]

        assert min(waits) >= 0.5
        assert max(waits) > 100

    def test_a_settled_retry_waits_as_long_as_was_asked(self, outbox: Outbox) -> None:
        outbox.accept(a_message())
        outbox.settle(outbox.claim(), Retry("answered 429", 429, wait=120))

        [row] = outbox.waiting()
        assert row.due_at == NOON + timedelta(seconds=120)


class TestTimeThatDoesNotCount:
    def test_a_message_does_not_die_of_the_time_for_which_it_was_kept_back(self) -> None:
        """It failed, was kept back for two days, and fails again; of a day it was tried for an hour."""
        shut = 2 * DAY.total_seconds()
        call = a_call(first_failed_at=NOON - 2 * DAY - 3600 * SECOND, shut_before=100.0)

        assert ending_of(Result(call, TROUBLE), NOON, DAY, shut + 100)[0] == State.RETRYING
        assert ending_of(Result(call, TROUBLE), NOON, DAY, 100)[0] == State.DEAD

    def test_what_was_before_its_first_failure_is_not_taken_off(self) -> None:
        call = a_call(first_failed_at=NOON - DAY, shut_before=5000.0)

        assert ending_of(Result(call, TROUBLE), NOON, DAY, 5000.0)[0] == State.DEAD

    def test_probes_of_a_closed_destination_kill_nobody(self, outbox: Outbox) -> None:
        """Each probe fails long after the message's time would have been over."""
        outbox.accept(a_message())
        outbox.settle(outbox.claim(), TROUBLE)

        for day in range(1, 6):
            now = NOON + day * DAY
            [call] = outbox.claim(1, now=now, is_probe=True)
            with outbox.database.write() as connection:
                shut = (now - NOON).total_seconds()
                settle.settle(connection, [Result(call, TROUBLE)], now, DAY, lambda _message, s=shut: s)

        assert outbox.states() == ["retrying"]

    def test_the_sum_at_its_first_failure_is_kept(self, outbox: Outbox) -> None:
        outbox.accept(a_message())
        for number in (1, 2):
            [call] = outbox.claim(now=NOON + number * DAY)
            with outbox.database.write() as connection:
                sums = {1: 70.0, 2: 90.0}[number]
                settle.settle(connection, [Result(call, TROUBLE)], NOON, DAY, lambda _message, s=sums: s)

        [call] = outbox.claim(now=NOON + 3 * DAY)
        assert call.message.shut_before == 70.0


class TestTheEndOfTrying:
    @pytest.mark.parametrize("outcome", [TROUBLE, LOST])
    def test_a_message_is_dead_when_its_time_is_over(self, outcome: Any) -> None:
        result = Result(a_call(first_failed_at=NOON - DAY, tries=40), outcome)

        state, due_at, reason = ending_of(result, NOON, DAY)

        assert (state, due_at) == (State.DEAD, None)
        assert reason == f"tried for 1 day, 0:00:00: {outcome.reason}"

    def test_its_time_counts_from_its_own_first_failure(self) -> None:
        old = Result(a_call(received_at=NOON - 5 * DAY, first_failed_at=NOON - DAY + SECOND), TROUBLE)
        new = Result(a_call(received_at=NOON - 5 * DAY), TROUBLE)

        assert [ending_of(one, NOON, DAY)[0] for one in (old, new)] == [State.RETRYING] * 2

    def test_a_dead_message_lets_the_next_go(self, outbox: Outbox) -> None:
        accepted = outbox.accept(*line_with(2))
        outbox.settle(outbox.claim(), TROUBLE)
        outbox.settle(outbox.claim(now=NOON + DAY), LOST, now=NOON + DAY)

        row = outbox.message(accepted[0].ids[0])
        assert (row.state, row.was_uncertain, row.tries) == ("dead", True, 2)
        assert [call.message.id for call in outbox.claim(now=NOON + DAY)] == list(accepted[1].ids)


class TestExpiry:
    def test_what_has_not_left_in_time_is_dead_and_the_next_goes(self, outbox: Outbox) -> None:
        accepted = outbox.accept(a_message(expires_at=NOON + SECOND), a_message())

        early = outbox.expire(NOON)
        gone = outbox.expire(NOON + SECOND)

        row = outbox.message(accepted[0].ids[0])
        assert early == []
        assert [message.id for message in gone] == list(accepted[0].ids)
        assert (row.state, row.reason, row.settled_at) == ("dead", "too late", NOON + SECOND)
        assert [call.message.id for call in outbox.claim(now=NOON + SECOND)] == list(accepted[1].ids)

    def test_one_in_the_middle_of_a_line_goes_and_leaves_no_gap(self, outbox: Outbox) -> None:
        outbox.accept(a_message(), a_message(expires_at=NOON), a_message())

        outbox.expire(NOON)

        assert outbox.states() == ["accepted", "dead", "accepted"]
        assert [row.is_head for row in outbox.waiting()] == [True, False]

    def test_what_is_in_flight_is_left_to_its_call(self, outbox: Outbox) -> None:
        outbox.accept(a_message(expires_at=NOON))
        [call] = outbox.claim()

        assert outbox.expire(NOON + DAY) == []
        outbox.settle(call)
        assert outbox.states() == ["delivered"]

    def test_a_head_in_back_off_expires_too(self, outbox: Outbox) -> None:
        outbox.accept(a_message(expires_at=NOON + SECOND))
        outbox.settle(outbox.claim(), Retry("answered 429", 429, wait=600))

        outbox.expire(NOON + SECOND)

        assert outbox.states() == ["dead"]

    def test_one_sweep_takes_a_bounded_number(self, outbox: Outbox) -> None:
        outbox.accept(*(a_message(user_id=f"u-{n}", expires_at=NOON) for n in range(70)))

        assert [len(outbox.expire(NOON)) for _ in range(3)] == [upkeep.SWEEP_ROWS, 6, 0]

    def test_what_never_expires_stays(self, outbox: Outbox) -> None:
        outbox.accept(a_message())

        assert outbox.expire(NOON + 1000 * DAY) == []
