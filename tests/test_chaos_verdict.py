"""The verdict of `make chaos` can fail: each promise, broken, is seen."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from bridge.outbox.upkeep import WORKER_LOST
from chaos.driver import Sent
from chaos.evidence import Evidence
from chaos.journal import Death
from chaos.upstream import Sight
from chaos.verdict import judge

NOW = datetime(2030, 1, 1, tzinfo=UTC)
EPOCH = NOW.timestamp() - 1000.0  # the monotonic clock stands at 1,000


def a_row(number: int, **differs: Any) -> Any:
    """A delivered message of the one key that these tests have, as the table `messages` holds it."""
    row = {
        "seq": number + 1,
        "id": f"id-{number}",
        "request_id": f"k0-{number}",
        "line": 7,
        "state": "delivered",
        "reason": None,
        "action": "create" if number == 0 else "update",
        "event_id": "k0",
        "user_id": "u",
        "was_uncertain": False,
        "tries": 0,
        "received_at": NOW,
    }
    return SimpleNamespace(**row | differs)


def a_sight(number: int, at: float, **differs: Any) -> Sight:
    kind = "create" if number == 0 else "update"
    return replace(Sight(f"k0-{number}", "k0_u", kind, "ok", at, at + 0.1, 202), **differs)


def sent(number: int, **differs: Any) -> Sent:
    one = Sent(
        0, number, "create" if number == 0 else "update", str(number), 1.0, 2.0, [f"id-{number}"], [202]
    )
    return replace(one, **differs)


def what_holds() -> Evidence:
    """Three events of one key, each taken, delivered once and in order."""
    return Evidence(
        sent=[sent(n) for n in range(3)],
        sights=[a_sight(n, 10.0 + n) for n in range(3)],
        calendar={"k0_u": {"s0": "2"}},
        messages=[a_row(n) for n in range(3)],
        now=NOW,
        listed={},
        epoch=EPOCH,
    )


def with_row(number: int, **differs: Any) -> Evidence:
    rows = [a_row(n, **(differs if n == number else {})) for n in range(3)]
    listed = {row.id: row.reason for row in rows if row.state != "delivered"}
    return replace(what_holds(), messages=rows, listed=listed)


def seen_again(number: int, at: float) -> list[Sight]:
    return [*what_holds().sights, a_sight(number, at)]


def test_what_holds_is_no_violation() -> None:
    assert judge(what_holds()).violations == []


class TestLost:
    def test_what_was_promised_and_has_no_row_is_lost(self) -> None:
        evidence = replace(
            what_holds(), messages=[a_row(0), a_row(2)], sights=[a_sight(0, 10), a_sight(2, 12)]
        )

        assert [text[:4] for text in judge(evidence).lost] == ["k0-1"]

    def test_what_is_said_to_be_delivered_and_was_never_seen_is_lost(self) -> None:
        evidence = replace(what_holds(), sights=[a_sight(0, 10), a_sight(2, 12)])

        assert len(judge(evidence).lost) == 1

    def test_what_was_seen_and_had_no_effect_is_lost(self) -> None:
        sights = [a_sight(0, 10), a_sight(1, 11, taken_at=None, status=None), a_sight(2, 12)]

        assert len(judge(replace(what_holds(), sights=sights)).lost) == 1

    def test_what_died_without_a_listed_reason_is_lost(self) -> None:
        assert len(judge(with_row(1, state="dead", reason=None)).lost) == 1

    def test_what_died_with_a_reason_that_no_list_shows_is_lost(self) -> None:
        evidence = replace(with_row(1, state="dead", reason="answered 400"), listed={})
        evidence = replace(evidence, sent=[sent(0), sent(1, title="bad 1"), sent(2)])

        assert len(judge(evidence).lost) == 1

    def test_what_died_of_no_fault_of_its_own_is_lost(self) -> None:
        assert len(judge(with_row(1, state="dead", reason="answered 404")).lost) == 1

    def test_what_died_of_its_own_fault_is_listed_and_not_lost(self) -> None:
        evidence = with_row(1, state="dead", reason="answered 400")
        evidence = replace(evidence, sent=[sent(0), sent(1, title="bad 1"), sent(2)])

        assert judge(evidence).violations == []

    def test_what_has_not_ended_is_lost(self) -> None:
        assert len(judge(with_row(1, state="retrying")).lost) == 1

    def test_one_request_that_became_two_messages_is_told(self) -> None:
        evidence = replace(what_holds(), sent=[sent(0), sent(1, ids=["id-1", "id-2"]), sent(2)])

        assert len(judge(evidence).lost) == 1

    def test_an_event_that_the_bridge_refused_is_lost(self) -> None:
        evidence = replace(what_holds(), sent=[sent(0), sent(1, refusal="422"), sent(2)])

        assert len(judge(evidence).lost) == 1


class TestLeft:
    def test_what_still_waits_is_left(self) -> None:
        row = SimpleNamespace(seq=2, line=7, is_head=True, call_id=None, due_at=NOW)

        assert len(judge(replace(what_holds(), waiting=[row])).left) == 1

    def test_what_waits_out_a_long_back_off_is_not(self) -> None:
        row = SimpleNamespace(seq=2, line=7, is_head=True, call_id=None, due_at=NOW + timedelta(seconds=60))
        evidence = replace(with_row(1, state="retrying", tries=9), waiting=[row])

        assert judge(evidence).violations == []

    def test_a_call_that_nobody_settles_is_left(self) -> None:
        assert len(judge(replace(what_holds(), calls=[SimpleNamespace(id="call")])).left) == 1


class TestOrder:
    def test_a_swapped_order_is_seen(self) -> None:
        sights = [a_sight(0, 10), a_sight(2, 11), a_sight(1, 12)]

        assert len(judge(replace(what_holds(), sights=sights)).order) == 1

    def test_one_that_is_sent_before_the_one_ahead_was_done_is_seen(self) -> None:
        sights = [a_sight(0, 10), a_sight(1, 11, taken_at=12.5), a_sight(2, 12)]

        assert len(judge(replace(what_holds(), sights=sights)).order) == 1

    def test_what_was_never_stored_is_seen(self) -> None:
        evidence = replace(what_holds(), sights=[*what_holds().sights, a_sight(9, 20)])

        assert len(judge(evidence).order) == 1


class TestRepeats:
    def test_an_unmarked_repeat_is_a_violation(self) -> None:
        assert len(judge(replace(what_holds(), sights=seen_again(2, 20))).repeats) == 1

    def test_a_marked_one_is_counted(self) -> None:
        verdict = judge(replace(with_row(2, was_uncertain=True), sights=seen_again(2, 20)))

        assert verdict.violations == []
        assert verdict.repeated == 1

    def test_a_late_one_of_a_killed_worker_is_a_violation_though_it_is_marked(self) -> None:
        evidence = replace(
            with_row(1, was_uncertain=True),
            sights=seen_again(1, 20),
            claims={2: [(11.0, 500)]},
            deaths=[Death(11.0, 500, "outside: worker")],
        )

        assert len(judge(evidence).late) == 1

    def test_a_late_one_of_a_worker_that_slept_is_counted(self) -> None:
        evidence = replace(
            with_row(1, was_uncertain=True),
            sights=seen_again(1, 40),
            claims={2: [(11.0, 500)]},
            stopped=[(500, 11.5, 36.0)],
        )

        verdict = judge(evidence)

        assert verdict.violations == []
        assert verdict.repeated_late == 1

    def test_a_late_one_of_a_line_whose_worker_slept_is_counted(self) -> None:
        evidence = replace(
            with_row(1, was_uncertain=True),
            sights=seen_again(1, 40),
            claims={3: [(11.0, 500)]},
            stopped=[(500, 11.5, 36.0)],
        )

        verdict = judge(evidence)

        assert verdict.violations == []
        assert verdict.repeated_late == 1

    @pytest.mark.parametrize("slept", [(1.0, 2.0), (30.0, 36.0), (41.0, 66.0)])
    def test_a_worker_that_slept_at_another_time_is_no_excuse(self, slept: tuple[float, float]) -> None:
        evidence = replace(
            with_row(1, was_uncertain=True),
            sights=seen_again(1, 40),
            claims={2: [(11.0, 500)]},
            stopped=[(500, *slept)],
        )

        assert len(judge(evidence).late) == 1

    def test_the_update_that_follows_a_create_is_no_repeat(self) -> None:
        sights = [a_sight(0, 10), a_sight(0, 10.5, kind="update"), a_sight(1, 11), a_sight(2, 12)]

        verdict = judge(replace(what_holds(), sights=sights))

        assert verdict.violations == []
        assert verdict.repeated == 0

    def test_what_somebody_replayed_is_no_repeat(self) -> None:
        evidence = replace(what_holds(), sights=seen_again(1, 20), replayed=frozenset({"k0-1"}))

        assert judge(evidence).repeated == 0


class TestStates:
    def test_a_calendar_that_holds_something_else_at_the_end_is_seen(self) -> None:
        assert len(judge(replace(what_holds(), calendar={"k0_u": {"s0": "1"}})).states) == 1

    def test_an_event_that_stands_though_it_was_deleted_is_seen(self) -> None:
        assert len(judge(with_row(2, action="delete")).states) == 1


class TestTakeOver:
    def test_is_measured_from_the_kill_without_the_databases_outages(self) -> None:
        attempt = SimpleNamespace(at=NOW - timedelta(seconds=960), answer=WORKER_LOST, status=None)
        evidence = replace(
            what_holds(),
            attempts={2: [attempt]},
            claims={2: [(11.0, 500)]},
            deaths=[Death(12.0, 500, "during a call", 1)],
            outages=[(20.0, 23.0)],
        )

        assert judge(evidence).take_overs == [25.0]
