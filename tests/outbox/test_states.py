"""An upstream in trouble is a state of its destination, the same for all workers and after a restart."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from factories import ACCOUNT, NOON, a_call, a_message
from outbox.steps import DESTINATION, TAKEN, Outbox

from bridge.database import Database
from bridge.message import Delivered, Outcome, Rejected, Retry, Skipped, Uncertain
from bridge.outbox import states
from bridge.outbox.settle import Result
from bridge.outbox.states import CLOSED, COMMON, OPEN, PAUSED, WHOLE, DestinationState, Gate

SECOND = timedelta(seconds=1)
BUSY = Retry("answered 503", 503, is_trouble=True)
LOST = Uncertain("closed without an answer")
OPEN_GATE = Gate(is_open=True)
HELD_GATE = Gate(is_open=False)
SHUT_GATE = Gate(is_open=False, closed=frozenset({WHOLE}))
PROBE = Gate(is_open=False, closed=frozenset({WHOLE}), probes_due=(WHOLE,))
OWN = {"own": "OWN"}  # the accounts with a credential of their own


NO_TOKEN = Retry("the credential is refused", refused_account="")


def credential_of(account_code: str) -> str:
    return OWN.get(account_code, "")


def refused(account: str) -> Retry:
    return Retry("answered 401", 401, refused_account=account)


class Upstream:
    """What the workers see of one destination: calls that end, and the gate that they ask."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(
        self, *ended: tuple[object, Outcome], now: datetime = NOON, **message: Any
    ) -> list[DestinationState]:
        results = [Result(a_call(line, **message), outcome) for line, outcome in ended]
        with self._database.write() as connection:
            return states.note(connection, DESTINATION, results, now, credential_of)

    def gate(self, now: datetime = NOON) -> Gate:
        """As one of several workers, which takes the probes that are due."""
        with self._database.write() as connection:
            gate = states.gate(states.read_states(connection, DESTINATION), now)
            taken = (p for p in gate.probes_due if states.take_probe(connection, DESTINATION, p, now))
            return replace(gate, probes_due=tuple(taken))

    def state(self, account: str = "") -> DestinationState:
        with self._database.read() as connection:
            [found] = [
                state
                for state in states.read_states(connection, DESTINATION)
                if state.account_code == account
            ]
        return found

    def close(self, now: datetime = NOON) -> None:
        self.note(*((line, BUSY) for line in range(5)), now=now)
        assert self.state().state == CLOSED

    def probes(self, at: Iterable[datetime]) -> list[datetime]:
        return [now for now in at if WHOLE in self.gate(now).probes_due]


@pytest.fixture
def upstream(database: Database) -> Upstream:
    return Upstream(database)


class TestClosing:
    def test_a_destination_of_which_nothing_is_known_is_open(self, upstream: Upstream) -> None:
        assert upstream.gate() == OPEN_GATE

    @pytest.mark.parametrize("trouble", [BUSY, LOST])
    def test_five_different_keys_in_trouble_close_it(self, upstream: Upstream, trouble: Outcome) -> None:
        told = upstream.note(*((line, trouble) for line in range(4)))
        assert (told, upstream.gate()) == ([], OPEN_GATE)

        told = upstream.note((4, trouble))

        assert [(state.state, state.reason) for state in told] == [(CLOSED, trouble.reason)]
        assert upstream.gate() == SHUT_GATE

    def test_one_key_in_trouble_again_and_again_does_not(self, upstream: Upstream) -> None:
        for _ in range(20):
            upstream.note((1, BUSY), (2, LOST))

        assert upstream.gate() == OPEN_GATE

    @pytest.mark.parametrize("answer", [TAKEN, Rejected("answered 400", 400), Retry("answered 429", 429)])
    def test_an_answer_in_between_counts_from_the_start(self, upstream: Upstream, answer: Outcome) -> None:
        upstream.note(*((line, BUSY) for line in range(4)))
        upstream.note((9, answer))
        upstream.note(*((line, BUSY) for line in range(10, 14)))

        assert upstream.gate().is_open

    @pytest.mark.parametrize("outcome", [Skipped("already so"), Rejected("event.title: is needed")])
    def test_what_was_never_sent_says_nothing_of_the_upstream(
        self, upstream: Upstream, outcome: Outcome
    ) -> None:
        upstream.note(*((line, BUSY) for line in range(4)))
        upstream.note((9, outcome))

        upstream.note((4, BUSY))

        assert upstream.gate() == SHUT_GATE

    def test_it_closes_within_one_group_of_calls(self, upstream: Upstream) -> None:
        upstream.note(*((line, BUSY) for line in range(32)))

        assert upstream.gate() == SHUT_GATE

    def test_the_order_within_a_group_counts(self, upstream: Upstream) -> None:
        upstream.note(*((line, BUSY) for line in range(5)), (9, TAKEN))

        assert upstream.gate() == OPEN_GATE

    def test_another_destination_goes_on(self, upstream: Upstream, database: Database) -> None:
        upstream.close()

        with database.write() as connection:
            assert states.gate(states.read_states(connection, "braze"), NOON) == OPEN_GATE

    def test_calls_that_succeed_write_nothing(self, upstream: Upstream, database: Database) -> None:
        upstream.note((1, TAKEN), (2, Rejected("answered 400", 400)))

        with database.read() as connection:
            assert states.read_states(connection) == []


class TestProbing:
    def test_one_leaves_each_second_for_a_minute_then_each_ten(self, upstream: Upstream) -> None:
        upstream.close()

        looks = [NOON + n * timedelta(milliseconds=100) for n in range(1200)]
        seconds = [(probe - NOON).total_seconds() for probe in upstream.probes(looks)]

        assert seconds == [*range(1, 61), 70, 80, 90, 100, 110]

    def test_only_one_worker_gets_it(self, upstream: Upstream, database_url: str) -> None:
        upstream.close()
        processes = [Database(database_url) for _ in range(3)]

        gates = [Upstream(process).gate(NOON + SECOND) for process in processes]
        for process in processes:
            process.close()

        assert gates == [PROBE, SHUT_GATE, SHUT_GATE]

    @pytest.mark.parametrize("answer", [Delivered(202), Rejected("answered 400", 400)])
    def test_an_answer_opens_it(self, upstream: Upstream, answer: Outcome) -> None:
        upstream.close()

        told = upstream.note((9, answer), now=NOON + SECOND)

        assert [(state.state, state.since) for state in told] == [(OPEN, NOON + SECOND)]
        assert upstream.gate(NOON + SECOND) == OPEN_GATE
        assert upstream.state().reason is None

    def test_a_probe_that_fails_leaves_it_closed_since_it_was(self, upstream: Upstream) -> None:
        upstream.close()

        told = upstream.note((9, BUSY), now=NOON + SECOND)

        assert told == []
        assert (upstream.state().state, upstream.state().since) == (CLOSED, NOON)
        assert upstream.gate(NOON + SECOND) == PROBE

    def test_it_takes_five_again_to_close_it_again(self, upstream: Upstream) -> None:
        upstream.close()
        upstream.note((9, TAKEN), now=NOON + SECOND)

        upstream.note(*((line, BUSY) for line in range(10, 14)), now=NOON + SECOND)
        assert upstream.gate(NOON + SECOND) == OPEN_GATE

        upstream.note((14, BUSY), now=NOON + SECOND)
        assert upstream.gate(NOON + SECOND) == SHUT_GATE

    def test_what_was_in_back_off_goes_when_it_opens(self, upstream: Upstream, outbox: Outbox) -> None:
        outbox.accept(*(a_message(user_id=f"u-{n}") for n in range(6)), a_message(user_id="u-0"))
        outbox.accept(a_message(destination="braze"), now=NOON + 60 * SECOND)
        *troubled, _ = outbox.claim()
        outbox.settle(troubled, Retry("answered 503", 503, wait=600, is_trouble=True))
        upstream.close()
        assert outbox.claim(now=NOON + SECOND) == []

        upstream.note((9, TAKEN), now=NOON + SECOND)

        claimed = outbox.claim(now=NOON + SECOND)
        assert [call.message.user_id for call in claimed] == [f"u-{n}" for n in range(5)]
        assert outbox.faults() == []


class TestRetryAfter:
    def test_all_workers_wait_as_long_as_the_upstream_asked(self, upstream: Upstream) -> None:
        upstream.note((1, Retry("answered 429", 429, wait=30)))

        assert upstream.gate(NOON + 29.9 * SECOND) == HELD_GATE
        assert upstream.gate(NOON + 30 * SECOND) == OPEN_GATE

    def test_a_shorter_wish_does_not_shorten_it(self, upstream: Upstream) -> None:
        upstream.note((1, Retry("answered 429", 429, wait=30)), (2, Retry("answered 429", 429, wait=5)))

        assert upstream.gate(NOON + 29 * SECOND) == HELD_GATE

    def test_no_probe_leaves_before_it_is_over(self, upstream: Upstream) -> None:
        upstream.note(*((n, Retry("answered 503", 503, wait=20, is_trouble=True)) for n in range(5)))

        probes = upstream.probes(NOON + n * SECOND for n in range(25))

        assert probes[0] == NOON + 20 * SECOND

    def test_no_probe_of_an_account_leaves_before_it_is_over(self, upstream: Upstream) -> None:
        upstream.note((1, refused("shut")))
        upstream.note((2, Retry("answered 429", 429, wait=30)))

        assert upstream.gate(NOON + 20 * SECOND).probes_due == ()
        assert upstream.gate(NOON + 30 * SECOND).probes_due == ("shut",)

    def test_a_429_without_it_holds_nobody_and_halves_for_a_minute(self, upstream: Upstream) -> None:
        upstream.note((1, Retry("answered 429", 429)))

        assert upstream.gate() == Gate(is_open=True, is_halved=True)
        assert upstream.gate(NOON + 59.9 * SECOND).is_halved
        assert upstream.gate(NOON + 60 * SECOND) == OPEN_GATE

    def test_another_within_it_makes_it_longer_and_not_a_quarter(self, upstream: Upstream) -> None:
        upstream.note((1, Retry("answered 429", 429)))
        upstream.note((2, Retry("answered 429", 429)), now=NOON + 50 * SECOND)

        assert upstream.gate(NOON + 109 * SECOND) == Gate(is_open=True, is_halved=True)
        assert upstream.gate(NOON + 110 * SECOND) == OPEN_GATE

    def test_what_says_that_little_more_is_allowed_halves_for_two_seconds(self, upstream: Upstream) -> None:
        upstream.note((1, Delivered(202)), (2, Delivered(202, is_nearly_too_much=True)))

        assert upstream.gate(NOON + 1.9 * SECOND) == Gate(is_open=True, is_halved=True)
        assert upstream.gate(NOON + 2 * SECOND) == OPEN_GATE

    def test_while_it_goes_on_saying_so_it_stays_halved(self, upstream: Upstream) -> None:
        for moment in range(5):
            now = NOON + moment * SECOND
            upstream.note((moment, Delivered(202, is_nearly_too_much=True)), now=now)

        assert upstream.gate(NOON + 5 * SECOND).is_halved
        assert upstream.gate(NOON + 6 * SECOND) == OPEN_GATE

    def test_it_does_not_end_what_a_429_has_halved(self, upstream: Upstream) -> None:
        upstream.note((1, Retry("answered 429", 429)))
        upstream.note((2, Delivered(202, is_nearly_too_much=True)), now=NOON + SECOND)

        assert upstream.gate(NOON + 59 * SECOND).is_halved

    def test_a_429_that_says_how_long_halves_nothing(self, upstream: Upstream) -> None:
        upstream.note((1, Retry("answered 429", 429, wait=1)))

        assert upstream.gate(NOON + SECOND) == OPEN_GATE


class TestARefusedCredential:
    def test_it_closes_its_account_alone(self, upstream: Upstream) -> None:
        told = upstream.note((1, refused("shut")))

        assert [(state.account_code, state.state) for state in told] == [("shut", CLOSED)]
        assert upstream.gate() == Gate(is_open=True, closed=frozenset({"shut"}))

    def test_the_account_is_probed_every_ten_seconds(self, upstream: Upstream) -> None:
        upstream.note((1, refused("shut")))

        looks = [NOON + n * SECOND / 2 for n in range(100)]
        probed = [(now - NOON).total_seconds() for now in looks if upstream.gate(now).probes_due]

        assert probed == [10, 20, 30, 40]

    def test_only_one_worker_gets_the_probe(self, upstream: Upstream, database_url: str) -> None:
        upstream.note((1, refused("shut")))
        other = Database(database_url)

        gates = [one.gate(NOON + 10 * SECOND) for one in (upstream, Upstream(other))]
        other.close()

        assert [gate.probes_due for gate in gates] == [("shut",), ()]

    def test_a_probe_that_is_refused_again_is_followed_by_one_in_ten_seconds(
        self, upstream: Upstream
    ) -> None:
        upstream.note((1, refused("shut")))
        upstream.gate(NOON + 10 * SECOND)

        told = upstream.note((1, refused("shut")), now=NOON + 12 * SECOND)

        assert told == []
        assert upstream.state("shut").since == NOON
        assert upstream.gate(NOON + 21 * SECOND).probes_due == ()
        assert upstream.gate(NOON + 22 * SECOND).probes_due == ("shut",)

    @pytest.mark.parametrize("answer", [Delivered(202), Rejected("answered 400", 400)])
    def test_an_answer_to_the_account_opens_it_and_its_messages_go(
        self, upstream: Upstream, outbox: Outbox, answer: Outcome
    ) -> None:
        outbox.accept(a_message(account_code="shut"), a_message(account_code="other"))
        outbox.settle(outbox.claim(), Retry("answered 401", 401, wait=600))
        upstream.note((1, refused("shut")))

        upstream.note((1, answer), now=NOON + 10 * SECOND, account_code="shut")

        assert upstream.gate(NOON + 10 * SECOND) == OPEN_GATE
        claimed = outbox.claim(now=NOON + 10 * SECOND)
        assert [call.message.account_code for call in claimed] == ["shut"]

    def test_an_answer_to_another_account_does_not(self, upstream: Upstream) -> None:
        upstream.note((1, refused("shut")))

        upstream.note((2, TAKEN), account_code="other")

        assert upstream.gate().closed == {"shut"}


class TestTheCommonCredential:
    """What the token endpoint refuses keeps back the accounts that go by it, and no others."""

    def test_accounts_with_their_own_go_on(self, upstream: Upstream) -> None:
        told = upstream.note((1, NO_TOKEN))

        gate = upstream.gate()
        assert [(state.account_code, state.state) for state in told] == [(COMMON, CLOSED)]
        assert gate == Gate(is_open=True, closed=frozenset({COMMON}))
        assert (gate.lets("own", "OWN"), gate.lets("one", ""), gate.lets("another", "")) == (
            True,
            False,
            False,
        )

    def test_it_is_probed_every_ten_seconds(self, upstream: Upstream) -> None:
        upstream.note((1, NO_TOKEN))

        assert upstream.gate(NOON + 9 * SECOND).probes_due == ()
        assert upstream.gate(NOON + 10 * SECOND).probes_due == (COMMON,)

    def test_an_answer_to_an_account_with_its_own_does_not_open_it(self, upstream: Upstream) -> None:
        upstream.note((1, NO_TOKEN))

        upstream.note((2, TAKEN), account_code="own")

        assert upstream.gate().closed == {COMMON}

    @pytest.mark.parametrize(
        "answer", [TAKEN, Rejected("answered 400", 400), Retry("answered 503", 503, is_trouble=True)]
    )
    def test_any_answer_to_an_account_that_goes_by_it_opens_it(
        self, upstream: Upstream, answer: Outcome
    ) -> None:
        upstream.note((1, NO_TOKEN))

        upstream.note((2, answer), account_code="one", now=NOON + 10 * SECOND)

        assert upstream.gate() == OPEN_GATE

    def test_a_refused_account_shows_that_there_was_a_token(self, upstream: Upstream) -> None:
        upstream.note((1, NO_TOKEN))

        upstream.note((2, refused("shut")), account_code="shut")

        assert upstream.gate().closed == {"shut"}

    def test_messages_without_an_account_are_kept_back_by_a_refusal_too(self, upstream: Upstream) -> None:
        upstream.note((1, refused("")), account_code="")
        upstream.note((2, refused("")), account_code="", now=NOON + 10 * SECOND)

        assert upstream.gate().closed == {COMMON}
        assert upstream.state(COMMON).since == NOON


class TestAPause:
    @pytest.fixture
    def paused(self, database: Database) -> None:
        with database.write() as connection:
            assert states.pause(connection, DESTINATION, "paused by ada", NOON)

    def resume(self, database: Database, now: datetime = NOON) -> bool:
        with database.write() as connection:
            return states.resume(connection, DESTINATION, now)

    def test_it_lets_nothing_out_until_it_is_over(
        self, upstream: Upstream, database: Database, paused: None
    ) -> None:
        assert upstream.gate() == Gate(is_open=False, closed=frozenset({PAUSED}))

        assert self.resume(database)

        assert upstream.gate() == OPEN_GATE

    def test_no_probe_leaves_in_it(self, upstream: Upstream, paused: None) -> None:
        upstream.close()
        upstream.note((1, refused("shut")), (2, NO_TOKEN))

        assert upstream.gate(NOON + 100 * SECOND).probes_due == ()

    def test_an_answer_to_a_call_that_was_under_way_does_not_end_it(
        self, upstream: Upstream, paused: None
    ) -> None:
        upstream.note((1, BUSY), (2, TAKEN))

        assert upstream.gate().closed == {PAUSED}

    def test_what_was_closed_is_closed_after_it(
        self, upstream: Upstream, database: Database, paused: None
    ) -> None:
        upstream.close()

        self.resume(database)

        assert upstream.gate() == SHUT_GATE

    def test_to_pause_or_resume_twice_changes_nothing(
        self, upstream: Upstream, database: Database, paused: None
    ) -> None:
        with database.write() as connection:
            assert not states.pause(connection, DESTINATION, "paused by bob", NOON + SECOND)
        assert (upstream.state(PAUSED).reason, upstream.state(PAUSED).since) == ("paused by ada", NOON)

        assert [self.resume(database), self.resume(database)] == [True, False]

    def test_another_destination_goes_on(self, database: Database, paused: None) -> None:
        with database.read() as connection:
            assert states.gate(states.read_states(connection, "braze"), NOON) == OPEN_GATE


class TestTheTimeThatIsNotCounted:
    """A message is tried for RETRY_FOR; the time for which it was kept back is not counted."""

    def seconds(self, database: Database, now: datetime, account: str = ACCOUNT) -> float:
        message = a_call(account_code=account).message
        with database.read() as connection:
            known = states.read_states(connection, DESTINATION)
        return states.shut_seconds(known, message, credential_of, now)

    def test_it_runs_while_the_destination_is_closed(self, upstream: Upstream, database: Database) -> None:
        before = self.seconds(database, NOON)
        upstream.close()

        assert before == 0
        assert self.seconds(database, NOON + 5 * SECOND) == 5

    def test_it_stands_while_it_is_open_and_goes_on_from_there(
        self, upstream: Upstream, database: Database
    ) -> None:
        upstream.close()
        upstream.note((9, TAKEN), now=NOON + 10 * SECOND)
        assert self.seconds(database, NOON + 100 * SECOND) == 10

        upstream.close(now=NOON + 200 * SECOND)

        assert self.seconds(database, NOON + 207 * SECOND) == 17

    def test_a_pause_counts(self, database: Database) -> None:
        with database.write() as connection:
            states.pause(connection, DESTINATION, "paused by ada", NOON)
            states.resume(connection, DESTINATION, NOON + 60 * SECOND)

        assert self.seconds(database, NOON + 100 * SECOND) == 60

    def test_an_account_counts_for_its_own_messages(self, upstream: Upstream, database: Database) -> None:
        upstream.note((1, refused("shut")))

        late = NOON + 8 * SECOND
        assert [self.seconds(database, late, account) for account in ("shut", "other")] == [8, 0]

    def test_the_common_credential_counts_for_those_that_go_by_it(
        self, upstream: Upstream, database: Database
    ) -> None:
        upstream.note((1, NO_TOKEN))

        late = NOON + 8 * SECOND
        assert [self.seconds(database, late, account) for account in ("one", "own")] == [8, 0]


class TestARestart:
    def test_a_new_process_finds_what_was_closed_and_held(
        self, database: Database, database_url: str
    ) -> None:
        before = Upstream(database)
        before.note((1, refused("shut")), (2, Retry("answered 429", 429, wait=30)))
        before.close()
        known = [before.state(), before.state("shut")]
        database.close()
        process = Database(database_url)

        after = Upstream(process)
        found = [after.state(), after.state("shut")]
        gates = [after.gate(NOON + 29 * SECOND), after.gate(NOON + 30 * SECOND)]
        process.close()

        assert found == known
        closed = frozenset({"shut", WHOLE})
        assert gates == [Gate(False, closed=closed), Gate(False, closed=closed, probes_due=("", "shut"))]

    def test_failures_are_counted_over_a_restart(self, database: Database, database_url: str) -> None:
        Upstream(database).note(*((line, BUSY) for line in range(4)))
        database.close()
        process = Database(database_url)

        Upstream(process).note((4, BUSY))
        gate = Upstream(process).gate()
        process.close()

        assert gate == SHUT_GATE
