"""Jobs over many messages: what they take, what they leave alone, in which order, and how they are shared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from factories import NOON, a_message, an_event, line_with, title_of
from outbox.steps import DAY, Outbox, eventually, ids
from sqlalchemy.engine import Connection

from bridge import job_runner
from bridge.job_runner import JobRunner
from bridge.message import Delivered, Message, NewMessage, Outcome, Rejected, Retry, Skipped, State, Uncertain
from bridge.outbox import jobs, leases, pieces, selection
from bridge.outbox.jobs import Kind
from bridge.outbox.pieces import Refusal
from bridge.outbox.reading import Filter
from bridge.outbox.tables import jobs as job_rows
from bridge.outbox.tables import messages

REFUSED = Rejected("answered 400", 400)
LATER = NOON + DAY
FULL = Retry("answered 503", 503)


@dataclass
class FakeDestination:
    """Writes down what it is told. `broken`: the titles that it cannot take."""

    name: str = "rokt_calendar"
    in_flight: int = 32
    doubted: list[str] = field(default_factory=list)
    recorded: list[tuple[str, str, State | None]] = field(default_factory=list)
    broken: tuple[str, ...] = ()

    def look_up(self, connection: Connection, found: Sequence[Message]) -> list[None]:
        return [None] * len(found)

    def record(
        self,
        connection: Connection,
        done: Sequence[tuple[Message, Any, Outcome, State | None]],
        now: datetime,
    ) -> None:
        assert len({message.line for message, *_ in done}) == len(done)
        self.recorded += [(m.id, outcome.reason, state) for m, _, outcome, state in done]  # type: ignore[union-attr]

    def doubt(self, connection: Connection, doubted: Sequence[tuple[Message, Any]]) -> None:
        if any(title_of(message.request) in self.broken for message, _ in doubted):
            raise ValueError("broken")
        self.doubted += [message.id for message, _ in doubted]


class Jobs:
    """A runner and the jobs it works on, step by step."""

    def __init__(self, outbox: Outbox, **options: Any) -> None:
        self.outbox = outbox
        self.destination = FakeDestination(**options)
        self.made: Callable[[Message, dict[str, Any]], tuple[NewMessage, ...] | Refusal] = _nothing
        self.runner = self.another()

    def another(self) -> JobRunner:
        return JobRunner(self.outbox.database, [self.destination], lambda m, p: self.made(m, p))  # type: ignore[list-item]

    def create(self, kind: Kind = Kind.REPLAY, *, now: datetime = LATER, **wanted: Any) -> str:
        options = {k: wanted.pop(k) for k in ("force", "is_current") if k in wanted}
        with self.outbox.database.write() as connection:
            of = jobs.selection(kind, Filter(**wanted), jobs.newest(connection), now)
            counted = selection.count(connection, of, 10)
            return jobs.create(connection, kind, of, counted, now, by="ops", request_id="r-1", **options)

    def work(self) -> None:
        """Until nothing is left to do, or what was sent again has to leave first."""
        while self.runner.step() not in (job_runner.LOOK_EVERY, job_runner.HELD_UP_WAIT):
            pass

    def shown(self, job_id: str) -> dict[str, Any]:
        with self.outbox.database.read() as connection:
            found = jobs.one(connection, job_id)
        assert found is not None
        return found

    def counts(self, job_id: str) -> tuple[str, int, int, int, int]:
        shown = self.shown(job_id)
        return shown["state"], shown["count"], shown["done"], shown["skipped"], shown["failed"]

    def read_piece(self, job_id: str) -> tuple[jobs.Job, pieces.Piece]:
        """As a worker does, which then takes its time."""
        with self.outbox.database.write() as connection:
            [job] = [one for one in leases.free(connection, "slow", LATER) if one.id == job_id]
            leased = leases.lease(connection, job, "slow", LATER)
            assert leased is not None
            return leased, pieces.next_piece(connection, leased)

    def write_piece(self, job: jobs.Job, piece: pieces.Piece) -> tuple[jobs.Job, list[Message]] | None:
        with self.outbox.database.write() as connection:
            return pieces.work(connection, job, piece, {}, LATER)

    def expire_leases(self) -> None:
        with self.outbox.database.write() as connection:
            connection.execute(sa.text("UPDATE jobs SET worked_at = NULL, runner_id = NULL"))


def _nothing(message: Message, payload: dict[str, Any]) -> Refusal:
    raise AssertionError("nothing was to be made anew")


@pytest.fixture
def work(outbox: Outbox) -> Jobs:
    return Jobs(outbox)


def dead(outbox: Outbox, count: int, **fields: Any) -> list[str]:
    """So many dead messages, each in a line of its own."""
    new = [a_message(user_id=f"u-{n}", event=an_event(title=f"Sale {n}"), **fields) for n in range(count)]
    found = ids(outbox.accept(*new))
    outbox.settle(outbox.claim(count), REFUSED)
    return found


class TestReplay:
    def test_what_is_dead_is_sent_again(self, outbox: Outbox, work: Jobs) -> None:
        found = dead(outbox, 3)
        job = work.create(state=State.DEAD)

        work.work()

        assert work.counts(job) == ("done", 3, 3, 0, 0)
        assert [row.priority for row in outbox.waiting()] == [2, 2, 2]
        assert outbox.faults() == []
        assert work.destination.doubted == found
        assert sorted(call.message.id for call in outbox.claim()) == sorted(found)

    def test_without_a_state_it_is_of_what_ended_badly(self, outbox: Outbox, work: Jobs) -> None:
        lines = [a_message(user_id=f"u-{n}") for n in range(6)]
        refused, taken, skipped, uncertain, overtaken, waits = ids(outbox.accept(*lines))
        outcomes = (REFUSED, Delivered(202), Skipped("already so"), Delivered(202), Delivered(202), FULL)
        for call, outcome in zip(outbox.claim(), outcomes, strict=True):
            outbox.settle(call, outcome)
        set_state(outbox, uncertain, "uncertain")
        set_state(outbox, overtaken, "superseded")
        job = work.create(destination="rokt_calendar")

        work.work()

        assert work.counts(job) == ("done", 2, 2, 0, 0)
        states = {one: outbox.message(one).state for one in (taken, skipped, overtaken, waits)}
        assert list(states.values()) == ["delivered", "skipped", "superseded", "retrying"]
        assert [outbox.message(one).state for one in (refused, uncertain)] == ["accepted"] * 2

    @pytest.mark.parametrize("outcome", [Delivered(202), Skipped("already so")])
    def test_another_state_has_to_be_asked_for(self, outbox: Outbox, work: Jobs, outcome: Outcome) -> None:
        outbox.accept(a_message())
        outbox.settle(outbox.claim(), outcome)
        job = work.create(state=State(outbox.states()[0]))

        work.work()

        assert work.counts(job) == ("done", 1, 1, 0, 0)
        assert outbox.states() == ["accepted"]

    def test_what_it_sent_and_was_delivered_meanwhile_does_not_go_once_more(
        self, outbox: Outbox, work: Jobs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pieces, "MOST", 2)
        outbox.accept(*(a_message(user_id=f"u-{n}") for n in range(5)))
        outbox.settle(outbox.claim())
        job = work.create(state=State.DELIVERED)
        sent = []

        while work.runner.step() != job_runner.LOOK_EVERY:
            claimed = outbox.claim(now=LATER)
            sent += [call.message.id for call in claimed]
            outbox.settle(claimed, now=LATER + DAY)

        assert work.counts(job) == ("done", 5, 5, 0, 0)
        assert len(sent) == len(set(sent)) == 5

    def test_what_ended_after_it_was_made_is_left_alone(self, outbox: Outbox, work: Jobs) -> None:
        dead(outbox, 1)
        outbox.accept(a_message(user_id="late"))
        job = work.create(state=State.DEAD)
        outbox.settle(outbox.claim(), REFUSED, now=LATER + DAY)
        outbox.accept(a_message(user_id="later"), now=LATER + DAY)
        outbox.settle(outbox.claim(now=LATER + DAY), REFUSED)  # a clock that was set back

        work.work()

        assert work.counts(job) == ("done", 1, 1, 0, 0)
        assert outbox.states() == ["accepted", "dead", "dead"]

    def test_what_a_later_one_overtook_is_superseded_unless_forced(self, outbox: Outbox, work: Jobs) -> None:
        outbox.accept(*line_with(3))
        for outcome in (REFUSED, Delivered(202), REFUSED):
            outbox.settle(outbox.claim(), outcome)
        job = work.create(state=State.DEAD)
        work.work()

        assert work.counts(job) == ("done", 2, 1, 1, 0)
        assert work.shown(job)["reasons"] == {pieces.OVERTAKEN: 1}
        assert outbox.states() == ["superseded", "delivered", "accepted"]
        forced = work.create(state=State.SUPERSEDED, force=True, now=LATER + DAY)
        work.work()
        assert work.counts(forced) == ("done", 1, 1, 0, 0)
        assert outbox.states() == ["accepted", "delivered", "accepted"]
        assert outbox.faults() == []

    def test_many_go_piece_by_piece_each_once_and_lines_in_order(self, outbox: Outbox, work: Jobs) -> None:
        found = dead(outbox, 150)
        outbox.accept(*line_with(100, user_id="one"))
        for _ in range(100):
            outbox.settle(outbox.claim(), REFUSED)
        job = work.create(reason="answered 4")
        steps = 0
        while work.runner.step() != job_runner.LOOK_EVERY:
            steps += 1

        assert work.counts(job) == ("done", 250, 250, 0, 0)
        assert steps == 4
        assert outbox.faults() == []
        sent, order = outbox.claim(1000, now=LATER), []
        assert {call.message.id for call in sent} > set(found)
        while sent:
            order += [title_of(call.message.request) for call in sent if call.message.user_id == "one"]
            outbox.settle(sent)
            sent = outbox.claim(1000, now=LATER)
        assert order == [f"Sale {n}" for n in range(1, 101)]

    @pytest.mark.parametrize(
        ("wanted", "users"),
        [
            ({"template": "summer"}, ["u-2"]),
            ({"user_id": "u-1"}, ["u-1"]),
            ({"event_id": "other"}, ["u_3"]),
            ({"event_id": "other_u_3"}, ["u_3"]),
            ({"event_id": "other_u_4"}, []),
            ({"reason": "answered 400"}, ["u-0", "u-1", "u-2"]),
            ({"reason": "answered 400 "}, []),
            ({"since": NOON + timedelta(hours=1)}, ["u_3"]),
            ({"until": NOON + timedelta(hours=1), "template": "summer"}, ["u-2"]),
            ({"was_uncertain": True}, ["u_3"]),
            ({"destination": "elsewhere"}, []),
        ],
    )
    def test_each_filter_takes_its_own(
        self, outbox: Outbox, work: Jobs, wanted: dict[str, Any], users: list[str]
    ) -> None:
        outbox.accept(a_message(user_id="u-0"), a_message(user_id="u-1"))
        outbox.accept(a_message(user_id="u-2", template="summer", version=1))
        outbox.settle(outbox.claim(), REFUSED)
        at = NOON + timedelta(hours=1)
        outbox.accept(a_message(user_id="u_3", event_id="other"), now=at)
        outbox.settle(outbox.claim(now=at), Uncertain("lost"), now=at)
        outbox.settle(outbox.claim(now=at + DAY), Rejected("answered 410", 410), now=at + DAY)
        job = work.create(now=LATER + DAY, **wanted)

        work.work()

        assert work.counts(job)[:3] == ("done", len(users), len(users))
        assert [call.message.user_id for call in outbox.claim(now=LATER + DAY)] == users

    def test_it_reads_on_however_few_of_many_it_is_about(
        self, outbox: Outbox, work: Jobs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(selection, "FIRST_EXAMINED", 1)
        monkeypatch.setattr(selection, "EXAMINED", 3)
        found = dead(outbox, 10)
        for one in (found[0], found[8]):
            set_state(outbox, one, "dead", template="summer")
        job = work.create(template="summer")

        work.work()

        assert work.counts(job) == ("done", 2, 2, 0, 0)

    def test_what_others_did_before_its_turn_is_told(self, outbox: Outbox, work: Jobs) -> None:
        found = dead(outbox, 3)
        job = work.create(state=State.DEAD)
        outbox.replay(found[1], now=LATER)

        work.work()

        assert work.counts(job) == ("done", 3, 2, 1, 0)
        assert work.shown(job)["reasons"] == {leases.CHANGED: 1}

    def test_a_replay_between_reading_and_writing_is_not_made_twice(self, outbox: Outbox, work: Jobs) -> None:
        found = dead(outbox, 2)
        job, piece = work.read_piece(work.create(state=State.DEAD))
        outbox.replay(found[0], now=LATER)
        outbox.settle(outbox.claim(now=LATER), REFUSED, now=LATER + DAY)

        worked = work.write_piece(job, piece)

        assert worked is not None
        assert [message.id for message in worked[1]] == [found[1]]
        assert outbox.states() == ["dead", "accepted"]


class TestMadeAnew:
    def test_what_a_template_refused_is_rendered_now(self, outbox: Outbox, work: Jobs) -> None:
        [one] = refused(outbox, 1)
        asked = []

        def render(message: Message, payload: dict[str, Any]) -> tuple[NewMessage, ...]:
            asked.append(payload)
            return (a_message(event=an_event(title="Mended"), template="summer", version=4),)

        work.made = render
        job = work.create(reason="blank title")
        work.work()

        row = outbox.message(one)
        assert work.counts(job) == ("done", 1, 1, 0, 0)
        assert asked == [{"body": {"user_id": "u-1"}, "inbound_key": "braze", "route": "calendar_events"}]
        assert (row.state, row.template, row.version, row.account_code) == (
            "accepted",
            "summer",
            4,
            "brazetest",
        )
        [call] = outbox.claim(now=LATER)
        assert title_of(call.message.request) == "Mended"
        assert work.destination.doubted == [one]

    def test_its_other_accounts_are_stored_and_wait_behind_live_ones_too(
        self, outbox: Outbox, work: Jobs
    ) -> None:
        refused(outbox, 1)
        outbox.accept(a_message(account_code="third"))
        work.made = lambda _m, _p: tuple(
            a_message(account_code=code) for code in ("brazetest", "shop", "third")
        )
        work.create(reason="blank title")

        work.work()

        assert [(row.account_code, row.priority) for row in outbox.waiting()] == [
            ("brazetest", 2),
            ("third", 1),
            ("shop", 2),
            ("third", 1),
        ]
        assert outbox.faults() == []

    def test_what_is_refused_again_is_counted_by_cause_and_keeps_its_new_reason(
        self, outbox: Outbox, work: Jobs
    ) -> None:
        found = refused(outbox, 3)
        reasons = {found[0]: "missing variable: a", found[1]: "missing variable: b", found[2]: None}
        work.made = lambda m, _p: Refusal((reasons[m.id] or "not right").partition(":")[0], reasons[m.id])
        job = work.create(state=State.DEAD)

        work.work()

        assert work.counts(job) == ("done", 3, 0, 0, 3)
        assert work.shown(job)["reasons"] == {"missing variable": 2, "not right": 1}
        assert [outbox.message(one).reason for one in found] == [
            "missing variable: a",
            "missing variable: b",
            "blank title",
        ]
        assert outbox.states() == ["dead"] * 3

    def test_what_its_template_skips_now_is_skipped(self, outbox: Outbox, work: Jobs) -> None:
        refused(outbox, 1)
        work.made = lambda _m, _p: (
            a_message(request={}, line=None, state=State.SKIPPED, reason="discount under 5"),
        )
        job = work.create(state=State.DEAD)

        work.work()

        assert work.counts(job) == ("done", 1, 0, 1, 0)
        assert outbox.states() == ["skipped"]

    def test_the_stored_request_is_sent_unless_the_current_version_is_asked_for(
        self, outbox: Outbox, work: Jobs
    ) -> None:
        dead(outbox, 1)
        work.made = lambda m, _p: (a_message(user_id=m.user_id, event=an_event(title="Now")),)
        work.create(state=State.DEAD)
        work.work()
        [stored] = outbox.claim(now=LATER)
        outbox.settle(stored, REFUSED, now=LATER)

        work.create(state=State.DEAD, is_current=True, now=LATER + DAY)
        work.work()

        [anew] = outbox.claim(now=LATER + DAY)
        assert [title_of(c.message.request) for c in (stored, anew)] == ["Sale 0", "Now"]

    def test_a_piece_renders_a_few_and_leaves_out_none(self, outbox: Outbox, work: Jobs) -> None:
        found = refused(outbox, 40)
        asked: list[str] = []
        work.made = lambda m, _p: asked.append(m.id) or Refusal("no")  # type: ignore[func-returns-value]
        job = work.create(state=State.DEAD)

        work.runner.step()
        assert len(asked) == pieces.MOST_RENDERED
        work.work()

        assert asked == found
        assert work.counts(job) == ("done", 40, 0, 0, 40)


class TestBehindLiveTraffic:
    def test_what_was_just_accepted_leaves_first(self, outbox: Outbox, work: Jobs) -> None:
        dead(outbox, 3)
        work.create(state=State.DEAD)
        work.work()
        [live] = ids(outbox.accept(a_message(user_id="live"), now=LATER))

        assert [call.message.id for call in outbox.claim(1, now=LATER)] == [live]
        assert len(outbox.claim(now=LATER)) == 3

    def test_where_live_ones_of_its_event_wait_it_goes_with_them(self, outbox: Outbox, work: Jobs) -> None:
        outbox.accept(*line_with(1))
        outbox.settle(outbox.claim(), REFUSED)
        outbox.accept(*line_with(2)[1:])
        work.create(state=State.DEAD)

        work.work()

        assert [(row.priority, row.is_head) for row in outbox.waiting()] == [(1, True), (1, False)]

    def test_a_live_one_that_comes_to_wait_for_it_makes_it_live(self, outbox: Outbox, work: Jobs) -> None:
        outbox.accept(*line_with(2))
        for _ in range(2):
            outbox.settle(outbox.claim(), REFUSED)
        dead(outbox, 1, event_id="other")
        work.create(state=State.DEAD)
        work.work()
        assert [row.priority for row in outbox.waiting()] == [2, 2, 2]

        outbox.accept(a_message(event=an_event(title="Newer")), now=LATER)

        assert [row.priority for row in outbox.waiting()] == [1, 1, 2, 1]
        assert outbox.faults() == []

    def test_so_does_a_person_who_replays_one_before_it(self, outbox: Outbox, work: Jobs) -> None:
        first, second = ids(outbox.accept(*line_with(2)))
        for _ in range(2):
            outbox.settle(outbox.claim(), REFUSED)
        set_state(outbox, second, "dead", template="summer")
        work.create(template="summer")
        work.work()

        outbox.replay(first, now=LATER)

        assert [(row.priority, row.is_head) for row in outbox.waiting()] == [(1, True), (1, False)]

    def test_it_waits_while_enough_of_what_it_sent_is_due(
        self, outbox: Outbox, work: Jobs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pieces, "MOST", 2)
        monkeypatch.setattr(pieces, "MOST_BEHIND", 4)
        dead(outbox, 9)
        job = work.create(state=State.DEAD)

        work.work()
        assert work.counts(job) == ("running", 9, 4, 0, 0)
        assert work.runner.step() == job_runner.HELD_UP_WAIT

        outbox.settle(outbox.claim(1, now=LATER))
        work.work()
        assert work.counts(job)[2] == 6

    def test_what_backs_off_does_not_hold_it_up(
        self, outbox: Outbox, work: Jobs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pieces, "MOST_BEHIND", 2)
        monkeypatch.setattr(pieces, "MOST", 2)
        dead(outbox, 4)
        job = work.create(state=State.DEAD)
        work.work()
        assert work.counts(job)[2] == 2
        outbox.settle(outbox.claim(now=LATER), Retry("answered 429", 429, wait=10_000_000_000))

        work.work()

        assert work.counts(job) == ("done", 4, 4, 0, 0)

    def test_while_live_ones_wait_for_long_it_goes_slowly_and_a_cancel_does_not(
        self, outbox: Outbox, work: Jobs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(job_runner, "REST", 0.0)
        at = datetime.now(UTC)
        monkeypatch.setattr(job_runner, "clock", lambda _connection: at)
        dead(outbox, 1)
        rests = {}
        for name, kind, due in (
            ("nothing waits", Kind.REPLAY, None),
            ("just now", Kind.REPLAY, at - pieces.LATE / 2),
            ("late", Kind.REPLAY, at - pieces.LATE),
            ("cancel", Kind.CANCEL, at - pieces.LATE),
        ):
            if due is not None:
                outbox.accept(a_message(user_id=name), now=due)
            work.create(kind, user_id="nobody")
            rests[name] = work.runner.step()

        assert rests.pop("late") == job_runner.LIVE_LATE_REST
        assert set(rests.values()) == {job_runner.LEAST_REST}

    def test_a_cancel_does_not_wait_for_that(
        self, outbox: Outbox, work: Jobs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pieces, "MOST_BEHIND", 1)
        dead(outbox, 70)
        replay = work.create(state=State.DEAD)
        work.work()
        [live] = ids(outbox.accept(a_message(user_id="live"), now=LATER))
        cancel = work.create(Kind.CANCEL, user_id="live")

        work.work()

        assert work.counts(replay) == ("running", 70, 64, 0, 0)
        assert work.counts(cancel) == ("done", 1, 1, 0, 0)
        assert outbox.message(live).state == "dead"


class TestCancel:
    def test_what_waits_is_dead_and_can_be_replayed(self, outbox: Outbox, work: Jobs) -> None:
        retries, waits, other = ids(outbox.accept(*(a_message(user_id=f"u-{n}") for n in range(3))))
        outbox.settle(outbox.claim(1), FULL)
        job = work.create(Kind.CANCEL, since=NOON - DAY, until=NOON + DAY, event_id="sale")

        work.work()

        assert work.counts(job) == ("done", 3, 3, 0, 0)
        for one in (waits, retries, other):
            row = outbox.message(one)
            assert (row.state, row.reason, row.settled_at is None) == ("dead", "cancelled by ops", False)
        assert outbox.waiting() == []
        assert outbox.replay(waits) == State.ACCEPTED

    def test_one_whose_call_is_under_way_is_not_touched(self, outbox: Outbox, work: Jobs) -> None:
        outbox.accept(*line_with(2))
        outbox.accept(a_message(user_id="u-2"))
        calls = outbox.claim(1)
        job = work.create(Kind.CANCEL, destination="rokt_calendar")

        work.work()

        assert work.counts(job) == ("done", 3, 2, 1, 0)
        assert work.shown(job)["reasons"] == {pieces.UNDER_WAY: 1}
        assert outbox.states() == ["accepted", "dead", "dead"]
        outbox.settle(calls)
        assert outbox.states() == ["delivered", "dead", "dead"]
        assert outbox.faults() == []

    def test_the_next_of_a_line_goes_instead(self, outbox: Outbox, work: Jobs) -> None:
        first, second = ids(outbox.accept(*line_with(2)))
        set_state(outbox, first, "accepted", template="summer")
        work.create(Kind.CANCEL, template="summer")

        work.work()

        assert [call.message.id for call in outbox.claim()] == [second]

    def test_the_ledger_hears_of_each_and_of_one_of_a_line_at_a_time(
        self, outbox: Outbox, work: Jobs
    ) -> None:
        found = ids(outbox.accept(*line_with(2), a_message(user_id="u-2")))
        work.create(Kind.CANCEL, event_id="sale")

        work.work()

        ending = ("cancelled by ops", State.DEAD)
        assert work.destination.recorded == [(one, *ending) for one in (found[0], found[2], found[1])]

    def test_a_state_takes_only_its_own(self, outbox: Outbox, work: Jobs) -> None:
        outbox.accept(*(a_message(user_id=f"u-{n}") for n in range(2)))
        outbox.settle(outbox.claim(1), FULL)
        work.create(Kind.CANCEL, state=State.RETRYING)

        work.work()

        assert outbox.states() == ["dead", "accepted"]

    def test_what_was_accepted_later_is_not_touched(self, outbox: Outbox, work: Jobs) -> None:
        outbox.accept(a_message())
        job = work.create(Kind.CANCEL, event_id="sale")
        outbox.accept(a_message(user_id="u-2"))

        work.work()

        assert work.counts(job) == ("done", 1, 1, 0, 0)
        assert outbox.states() == ["dead", "accepted"]


class TestShared:
    def test_another_worker_leaves_it_alone_until_its_lease_ends(
        self, outbox: Outbox, work: Jobs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pieces, "MOST", 2)
        dead(outbox, 5)
        job = work.create(state=State.DEAD)
        work.runner.step()
        work.runner = work.another()

        assert work.runner.step() == job_runner.LOOK_EVERY
        assert work.counts(job)[2] == 2

        monkeypatch.setattr(leases, "LEASE", timedelta(0))
        work.work()
        assert work.counts(job) == ("done", 5, 5, 0, 0)
        assert len(outbox.waiting()) == 5

    def test_a_worker_that_wakes_late_changes_nothing(self, outbox: Outbox, work: Jobs) -> None:
        dead(outbox, 3)
        job_id = work.create(state=State.DEAD)
        late = work.read_piece(job_id)
        work.expire_leases()
        work.work()
        outbox.settle(outbox.claim(now=LATER), REFUSED)  # as they were: only the fence tells them apart

        assert work.write_piece(*late) is None
        assert work.counts(job_id) == ("done", 3, 3, 0, 0)
        assert outbox.states() == ["dead"] * 3

    def test_a_piece_is_done_once_however_often_it_is_written(
        self, outbox: Outbox, work: Jobs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pieces, "MOST", 2)
        dead(outbox, 3)
        job_id = work.create(state=State.DEAD)
        piece = work.read_piece(job_id)

        assert work.write_piece(*piece) is not None
        outbox.settle(outbox.claim(now=LATER), REFUSED)  # as they were: only the cursor tells them apart
        assert work.write_piece(*piece) is None
        assert outbox.waiting() == []
        assert work.counts(job_id) == ("running", 3, 2, 0, 0)

    def test_stopped_in_the_middle_it_stays_where_it_is(
        self, outbox: Outbox, work: Jobs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pieces, "MOST", 2)
        dead(outbox, 5)
        job_id = work.create(state=State.DEAD)
        work.runner.step()
        under_way = work.read_piece(job_id)
        with outbox.database.write() as connection:
            assert jobs.stop(connection, job_id, LATER)

        assert work.write_piece(*under_way) is None
        work.work()

        shown = work.shown(job_id)
        assert work.counts(job_id) == ("cancelled", 5, 2, 0, 0)
        assert shown["finished_at"] == "2027-03-02T12:00:00.000Z"
        assert outbox.states() == ["accepted", "accepted", "dead", "dead", "dead"]
        with outbox.database.write() as connection:
            assert not jobs.stop(connection, job_id, LATER + DAY)
        assert work.shown(job_id) == shown

    def test_jobs_take_turns(self, outbox: Outbox, work: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pieces, "MOST", 2)
        dead(outbox, 8)
        first, second = (
            work.create(until=NOON + DAY, reason="answered 400"),
            work.create(until=NOON + DAY, event_id="sale"),
        )

        for _ in range(2):
            work.runner.step()

        assert [work.shown(job)["state"] for job in (first, second)] == ["running", "running"]

    def test_one_messages_fault_is_not_that_of_the_others(self, outbox: Outbox) -> None:
        work = Jobs(outbox, broken=("Sale 1",))
        dead(outbox, 4)
        job = work.create(state=State.DEAD)

        work.work()

        assert work.counts(job) == ("done", 4, 3, 0, 1)
        assert work.shown(job)["reasons"] == {"the bridge failed: ValueError": 1}
        assert outbox.states() == ["accepted", "dead", "accepted", "accepted"]

    def test_neither_is_one_that_cannot_be_rendered(self, outbox: Outbox, work: Jobs) -> None:
        found = refused(outbox, 3)

        def render(message: Message, _payload: dict[str, Any]) -> Refusal:
            if message.id == found[1]:
                raise KeyError("of an older release")
            return Refusal("no")

        work.made = render
        job = work.create(state=State.DEAD)
        work.work()

        assert work.counts(job) == ("done", 3, 0, 0, 3)
        assert work.shown(job)["reasons"] == {"no": 2, "the bridge failed: KeyError": 1}
        assert outbox.message(found[1]).reason == "blank title"

    def test_a_job_that_cannot_go_on_fails_and_the_next_goes(
        self, outbox: Outbox, work: Jobs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        dead(outbox, 1)
        broken, good = work.create(state=State.DEAD), work.create(state=State.DEAD)
        read = pieces.next_piece

        def broken_once(connection: Connection, job: jobs.Job) -> pieces.Piece:
            if job.id == broken:
                raise ValueError("broken")
            return read(connection, job)

        monkeypatch.setattr(pieces, "next_piece", broken_once)
        work.work()

        assert work.counts(broken) == ("failed", 1, 0, 0, 0)
        assert work.shown(broken)["reason"] == "the bridge failed: ValueError"
        assert work.counts(good) == ("done", 1, 1, 0, 0)

    def test_many_different_reasons_do_not_make_it_large(self, outbox: Outbox, work: Jobs) -> None:
        refused(outbox, 30)
        numbers = iter(range(30))
        work.made = lambda _m, _p: Refusal(f"reason {next(numbers)}")
        job = work.create(state=State.DEAD)

        work.work()

        reasons = work.shown(job)["reasons"]
        assert len(reasons) == leases.MOST_REASONS + 1
        assert reasons[leases.OTHER_REASONS] == 10


class TestInAThreadOfItsOwn:
    def test_it_works_until_it_is_stopped(self, outbox: Outbox, work: Jobs) -> None:
        dead(outbox, 3)
        job = work.create(state=State.DEAD)

        work.runner.start()
        eventually(lambda: work.counts(job) == ("done", 3, 3, 0, 0))
        work.runner.stop()

        later = work.create(state=State.DEAD, now=LATER + DAY)
        assert work.counts(later)[0] == "waiting"

    def test_a_database_that_is_gone_for_a_while_and_a_fault_of_ours_do_not_end_it(
        self, outbox: Outbox, work: Jobs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for wait in ("DATABASE_GONE_WAIT", "LOOK_EVERY"):
            monkeypatch.setattr(job_runner, wait, 0.0)
        faults = [sa.exc.OperationalError("", {}, Exception("gone")), ValueError("broken")]
        find = leases.free

        def break_off(*given: Any) -> list[jobs.Job]:
            if faults:
                raise faults.pop()
            return find(*given)

        monkeypatch.setattr(leases, "free", break_off)
        dead(outbox, 1)
        job = work.create(state=State.DEAD)

        work.runner.start()
        eventually(lambda: work.counts(job)[0] == "done")
        work.runner.stop()

        assert faults == []

    def test_a_piece_that_the_database_did_not_take_is_done_later(
        self, outbox: Outbox, work: Jobs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        dead(outbox, 2)
        job = work.create(state=State.DEAD)
        do, gone = pieces.work, sa.exc.OperationalError("", {}, Exception("gone"))

        def after_the_work(*given: Any) -> None:
            do(*given)
            raise gone

        with monkeypatch.context() as while_gone:
            while_gone.setattr(pieces, "work", after_the_work)
            with pytest.raises(sa.exc.OperationalError):
                work.runner.step()
        assert work.counts(job) == ("running", 2, 0, 0, 0)
        assert outbox.waiting() == []

        work.work()
        assert work.counts(job) == ("done", 2, 2, 0, 0)


class TestCount:
    def test_it_is_whole_over_many_windows(self, outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(selection, "EXAMINED", 2)
        dead(outbox, 5)

        assert counted(outbox, 10) == (5, True)

    def test_when_its_time_is_up_it_says_so(self, outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(selection, "EXAMINED", 2)
        dead(outbox, 5)

        assert counted(outbox, 0) == (2, False)

    def test_one_that_two_ways_lead_to_counts_once(self, outbox: Outbox) -> None:
        outbox.accept(a_message(user_id="b", event_id="a_b"))
        outbox.settle(outbox.claim(), REFUSED)

        assert counted(outbox, 10, event_id="a_b") == (1, True)


def counted(outbox: Outbox, seconds: float, **wanted: Any) -> tuple[int, bool]:
    with outbox.database.read() as connection:
        of = jobs.selection(Kind.REPLAY, Filter(**wanted), jobs.newest(connection), LATER)
        return selection.count(connection, of, seconds)


def refused(outbox: Outbox, count: int) -> list[str]:
    """What a template refused."""
    one = a_message(request={}, line=None, account_code="", state=State.DEAD, reason="blank title")
    return ids(outbox.accept(*(one for _ in range(count))))


def set_state(outbox: Outbox, message_id: str, state: str, **values: Any) -> None:
    with outbox.database.write() as connection:
        changed = sa.update(messages).where(messages.c.id == message_id)
        connection.execute(changed.values(state=state, **values))


@pytest.mark.parametrize("newer", [{"kind": "rewrite"}, {"wanted": {"colour": "red"}}], ids=str)
def test_what_only_a_newer_version_can_do_is_left_to_it(
    work: Jobs, outbox: Outbox, newer: dict[str, Any]
) -> None:
    dead(outbox, 1)
    left, done = work.create(), work.create()
    with outbox.database.write() as connection:
        connection.execute(sa.update(job_rows).where(job_rows.c.id == left).values(**newer))

    work.work()

    states = dict(outbox.rows(sa.select(job_rows.c.id, job_rows.c.state)))
    assert states == {left: "waiting", done: "done"}
