"""The worker against a Rokt that fails in every way, on both databases."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from factories import ACCOUNT, SUBSCRIPTION, a_message, an_event
from outbox.steps import Outbox, eventually, ids
from servers import Line, SandboxUnderTest, http, running_sandbox, scripted_server
from sqlalchemy.engine import Connection

from bridge import worker as worker_module
from bridge.database import Database, clock
from bridge.destinations import Destination, Turn, configured
from bridge.destinations.batch import Batch, OneByOne
from bridge.destinations.rokt_calendar import Known
from bridge.ledger.events import Change, Place, Standing, record, standings
from bridge.message import Delivered, Message, NewMessage, Outcome, Retry, State
from bridge.outbox import claim, settle, states, upkeep
from bridge.outbox.tables import messages, waiting
from bridge.outbox.tables import workers as worker_rows
from bridge.rate import Rate
from bridge.settings import Settings
from bridge.worker import Worker, _Done

DAY = timedelta(days=1)
PLACE: Place = (ACCOUNT, "sale_u-1")
EVENTS = "/v1/subscriptionevent"


@pytest.fixture(autouse=True)
def _without_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settle, "BACK_OFF_FIRST", 0.01)
    monkeypatch.setattr(worker_module, "POLL_EVERY", 0.01)
    monkeypatch.setattr(worker_module, "DATABASE_GONE_WAIT", 0.02)


@pytest.fixture
def rokt() -> Iterator[SandboxUnderTest]:
    with running_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def outbox(database: Database) -> Outbox:
    return Outbox(database)


def accept(outbox: Outbox, *given: NewMessage) -> list[str]:
    return ids(outbox.accept(*given, now=datetime.now(UTC)))


def destinations_at(url: str, **variables: str) -> list[Destination]:
    environ = {
        "BRIDGE_ENV": "development",
        "ROKT_CALENDAR_URL": url,
        "ROKT_CALENDAR_CLIENT_ID": "id",
        "ROKT_CALENDAR_CLIENT_SECRET": "secret",
    }
    return configured(Settings.from_env({**environ, **variables}))


@contextmanager
def running(database: Any, destinations: Sequence[Any], retry_for: timedelta = DAY) -> Iterator[Worker]:
    """A worker in a thread; it must come to its end when it is told to."""
    worker = Worker(database, destinations, retry_for)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield worker
    finally:
        worker.stop()
        thread.join(30)
        for destination in destinations:
            destination.close()
        assert not thread.is_alive()


@contextmanager
def working(
    database_url: str, rokt: SandboxUnderTest, retry_for: timedelta = DAY, **variables: str
) -> Iterator[Worker]:
    """A worker as a process has it: with a database and destinations of its own."""
    database = Database(database_url, readers=1)
    with running(database, destinations_at(rokt.url, **variables), retry_for) as worker:
        yield worker
    database.close()


def settled(outbox: Outbox, count: int = 1, seconds: float = 15) -> list[Any]:
    """All messages once this many have ended."""
    ended = [State.DELIVERED, State.DEAD, State.SKIPPED]

    def rows() -> list[Any] | None:
        found = outbox.rows(sa.select(messages).order_by(messages.c.seq))
        return found if sum(row.state in ended for row in found) >= count else None

    found: list[Any] = eventually(rows, seconds)
    return found


def sent(rokt: SandboxUnderTest) -> list[tuple[str, Any]]:
    """The calls about events: the last part of the path, and the status."""
    return [
        ("update" if call["path"].endswith("/update") else call["method"], call["status"])
        for call in rokt.calls("/v")
    ]


def standing(outbox: Outbox) -> Standing:
    with outbox.database.read() as connection:
        return standings(connection, [PLACE])[PLACE]


def assert_all_is_over(outbox: Outbox) -> None:
    """No call rows, no worker rows, no line in disorder."""
    assert outbox.calls() == []
    assert outbox.rows(sa.select(worker_rows)) == []
    assert [row for row in outbox.waiting() if row.call_id] == []
    assert outbox.faults() == []


class TestDelivery:
    def test_a_message_reaches_rokt_and_its_ledger(
        self, outbox: Outbox, database_url: str, rokt: SandboxUnderTest
    ) -> None:
        with working(database_url, rokt):
            accept(outbox, a_message())
            [row] = settled(outbox)

        [event] = rokt.calendar()
        assert event["event_id"] == "sale_u-1"
        assert event["holders"].keys() == {SUBSCRIPTION}
        assert (row.state, row.tries, row.was_uncertain) == ("delivered", 0, False)
        assert [attempt.status for attempt in outbox.attempts()] == [202]
        assert standing(outbox) == Standing(an_event(), True, frozenset({SUBSCRIPTION}))
        assert_all_is_over(outbox)

    def test_a_line_of_changes_becomes_one_create_and_updates(
        self, outbox: Outbox, database_url: str, rokt: SandboxUnderTest
    ) -> None:
        titles = ["one", "two", "three"]
        accept(outbox, *(a_message(action="upsert", event=an_event(title=title)) for title in titles))

        with working(database_url, rokt):
            settled(outbox, 3)

        bodies = [call["body"]["event"]["title"] for call in rokt.calls(EVENTS)]
        assert [method for method, _ in sent(rokt)] == ["POST", "update", "update"]
        assert bodies == titles

    def test_what_rokt_holds_already_is_skipped_with_its_reason(
        self, outbox: Outbox, database_url: str, rokt: SandboxUnderTest
    ) -> None:
        accept(outbox, a_message(), a_message(action="upsert"))

        with working(database_url, rokt):
            _, second = settled(outbox, 2)

        assert (second.state, second.reason) == ("skipped", "Rokt already holds exactly this")
        assert len(sent(rokt)) == 1

    def test_what_came_before_the_databases_clock_was_set_back_leaves_at_once(
        self, outbox: Outbox, database_url: str, rokt: SandboxUnderTest
    ) -> None:
        with outbox.database.read() as connection:
            ahead = clock(connection) + timedelta(hours=1)
        outbox.beat("killed", ahead)
        outbox.accept(a_message(), now=ahead)

        with working(database_url, rokt):
            settled(outbox)

        assert len(sent(rokt)) == 1

    def test_new_ids_and_a_new_state_are_a_create_and_an_update_of_one_message(
        self, outbox: Outbox, database_url: str, rokt: SandboxUnderTest
    ) -> None:
        newer = a_message(action="upsert", subscription_ids=["new-id"], event=an_event(title="Newer"))
        accept(outbox, a_message(), newer)

        with working(database_url, rokt):
            _, second = settled(outbox, 2)

        [event] = rokt.calendar()
        assert second.state == "delivered"
        assert [method for method, _ in sent(rokt)] == ["POST", "POST", "update"]
        assert {holder["title"] for holder in event["holders"].values()} == {"Newer"}
        assert standing(outbox).holders == {SUBSCRIPTION, "new-id"}

    def test_a_delete_for_some_ids_is_a_call_for_each(
        self, outbox: Outbox, database_url: str, rokt: SandboxUnderTest
    ) -> None:
        accept(
            outbox,
            a_message(subscription_ids=["a", "b", "c"]),
            a_message(action="delete", subscription_ids=["a", "b"], event={}),
        )

        with working(database_url, rokt):
            settled(outbox, 2)

        [event] = rokt.calendar()
        assert event["holders"].keys() == {"c"}
        assert standing(outbox).holders == {"c"}

    def test_two_workers_never_send_one_keys_messages_out_of_order(
        self, outbox: Outbox, database_url: str, rokt: SandboxUnderTest
    ) -> None:
        keys, each = 20, 30

        def change(number: int, key: int) -> NewMessage:
            return a_message(user_id=f"u-{key}", action="upsert", event=an_event(title=f"{number:03}"))

        with working(database_url, rokt), working(database_url, rokt):
            for number in range(each):
                accept(outbox, *(change(number, key) for key in range(keys)))
            rows = settled(outbox, keys * each, 60)

        assert {row.state for row in rows} == {State.DELIVERED}
        titles: dict[str, list[str]] = {}
        for call in rokt.calls(EVENTS):
            event = call["body"]["event"]
            titles.setdefault(event["eventId"], []).append(event["title"])
        expected = [f"{number:03}" for number in range(each)]
        assert titles == {f"sale_u-{key}": expected for key in range(keys)}
        assert_all_is_over(outbox)


class TestFailures:
    def test_503s_are_repeated_until_one_is_taken(
        self, outbox: Outbox, database_url: str, rokt: SandboxUnderTest
    ) -> None:
        rokt.fault(path=EVENTS, status=503, times=2)

        with working(database_url, rokt):
            accept(outbox, a_message())
            [row] = settled(outbox)

        assert (row.state, row.tries, row.was_uncertain) == ("delivered", 2, False)
        assert [attempt.status for attempt in outbox.attempts()] == [503, 503, 202]

    def test_a_429_holds_everything_as_long_as_it_asks(
        self, outbox: Outbox, database_url: str, rokt: SandboxUnderTest
    ) -> None:
        rokt.fault(path=EVENTS, retry_after=1, times=1)

        with working(database_url, rokt):
            accept(outbox, a_message())
            eventually(outbox.attempts)
            accept(outbox, a_message(user_id="u-2"))
            settled(outbox, 2)

        refused, *rest = [datetime.fromisoformat(call["at"]) for call in rokt.calls(EVENTS)]
        assert [status for _, status in sent(rokt)] == [429, 202, 202]
        assert all(at - refused >= timedelta(seconds=0.99) for at in rest)

    def test_a_400_is_dead_with_its_reason_and_the_next_goes(
        self, outbox: Outbox, database_url: str, rokt: SandboxUnderTest
    ) -> None:
        words = {"Code": "BadRequest", "Reason": "title: not for ada@example.com"}
        rokt.fault(path=EVENTS, status=400, times=1, body=words)

        with working(database_url, rokt):
            accept(outbox, a_message(), a_message(event=an_event(title="Next")))
            dead, next_one = settled(outbox, 2)

        assert (dead.state, dead.reason) == ("dead", "answered 400: BadRequest title: not for [email]")
        assert next_one.state == "delivered"

    def test_an_update_after_a_create_that_died_leaves_as_that_create(
        self, outbox: Outbox, database_url: str, rokt: SandboxUnderTest
    ) -> None:
        rokt.fault(path=EVENTS, status=400, times=1)
        update = a_message(action="update", subscription_ids=[], event={"title": "Mended"}, is_whole=False)

        with working(database_url, rokt):
            accept(outbox, a_message(), update)
            settled(outbox, 2)

        [event] = rokt.calendar()
        assert event["holders"][SUBSCRIPTION]["title"] == "Mended"
        assert standing(outbox) == Standing(an_event(title="Mended"), True, frozenset({SUBSCRIPTION}))

    def test_it_is_dead_when_its_time_is_over(
        self, outbox: Outbox, database_url: str, rokt: SandboxUnderTest
    ) -> None:
        rokt.fault(path=EVENTS, status=503)

        with working(database_url, rokt, timedelta(seconds=0.2)):
            accept(outbox, a_message())
            [row] = settled(outbox)

        assert row.state == "dead"
        assert row.reason.startswith("tried for 0:00:00.200000: answered 503")
        assert standing(outbox).unsent == {"event": an_event(), "subscription_ids": [SUBSCRIPTION]}

    def test_time_for_which_its_destination_was_closed_is_not_part_of_its_time(
        self, outbox: Outbox, database: Database
    ) -> None:
        upstream = Upstream(answer=lambda message: Retry("answered 503", 503, is_trouble=True))
        upstream.let_go.set()
        accept(outbox, a_message())
        with database.write() as connection:
            now = clock(connection)
            connection.execute(sa.update(messages).values(first_failed_at=now - 3 * DAY, shut_before=0))
            states.pause(connection, upstream.name, "paused by ada", now - 3 * DAY)
            states.resume(connection, upstream.name, now)

        with running(database, [upstream]):
            eventually(outbox.attempts)

        assert outbox.states() == ["retrying"]

    def test_a_token_that_is_not_taken_any_more_is_fetched_again(
        self, outbox: Outbox, database_url: str, rokt: SandboxUnderTest
    ) -> None:
        with working(database_url, rokt):
            accept(outbox, a_message())
            settled(outbox)
            rokt.sandbox.rokt.tokens.revoke()
            accept(outbox, a_message(user_id="u-2"))
            rows = settled(outbox, 2)

        assert [(row.state, row.tries) for row in rows] == [("delivered", 0)] * 2

    def test_an_account_that_is_refused_is_closed_alone(
        self, outbox: Outbox, database_url: str, rokt: SandboxUnderTest
    ) -> None:
        rokt.fault(path=f"{EVENTS}/shut", status=403)

        with working(database_url, rokt):
            accept(outbox, *(a_message(account_code="shut", user_id=f"u-{n}") for n in range(3)))
            eventually(lambda: [s for s in _states_of(outbox) if s.state == states.CLOSED])
            accept(outbox, a_message(), a_message(account_code="shut", user_id="u-9"))
            settled(outbox)

        assert [(s.account_code, s.state) for s in _states_of(outbox)] == [("shut", "closed")]
        assert outbox.states() == ["retrying"] * 3 + ["delivered", "accepted"]

    def test_a_credential_that_the_token_endpoint_refuses_closes_all_and_loses_nothing(
        self, outbox: Outbox, database_url: str
    ) -> None:
        with running_sandbox(client_id="another") as rokt:
            accept(outbox, *(a_message(user_id=f"u-{n}") for n in range(3)))
            with working(database_url, rokt):
                eventually(lambda: [s for s in _states_of(outbox) if s.state == states.CLOSED])

        assert sent(rokt) == []
        assert set(outbox.states()) == {"retrying"}
        assert "refused the credential" in _states_of(outbox)[0].reason

    def test_an_upstream_in_trouble_is_left_alone_until_it_answers_again(
        self, outbox: Outbox, database_url: str, rokt: SandboxUnderTest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(states, "PROBE_EVERY", timedelta(seconds=0.05))
        rokt.fault(path=EVENTS, status=503)
        accept(outbox, *(a_message(user_id=f"u-{n}") for n in range(60)))

        with working(database_url, rokt):
            eventually(lambda: [s for s in _states_of(outbox) if s.state == states.CLOSED])
            probed_from = len(rokt.calls(EVENTS))
            eventually(lambda: len(rokt.calls(EVENTS)) >= probed_from + 3)
            tried = [row.seq for row in outbox.rows(sa.select(messages).where(messages.c.tries > 0))]
            rokt.clear_faults()
            rows = settled(outbox, 60)

        assert len(tried) < 60
        assert {row.state for row in rows} == {"delivered"}
        assert [s.state for s in _states_of(outbox)] == [states.OPEN]

    def test_a_probe_is_one_call(
        self, outbox: Outbox, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(states, "PROBE_EVERY", timedelta(seconds=0.02))
        upstream = Upstream(answer=lambda message: Retry("answered 503", 503, is_trouble=True))
        upstream.let_go.set()
        accept(outbox, *(a_message(user_id=f"u-{n}") for n in range(20)))

        with running(database, [upstream]):
            eventually(lambda: [s for s in _states_of(outbox) if s.state == states.CLOSED])
            before = len(upstream.claimed)
            eventually(lambda: len(upstream.claimed) >= before + 3)

        assert set(upstream.claimed[before:]) == {1}


def _states_of(outbox: Outbox) -> list[Any]:
    with outbox.database.read() as connection:
        return list(states.read_states(connection))


class TestACallWithoutAnAnswer:
    def test_a_create_that_was_not_processed_is_made_once_more(
        self, outbox: Outbox, database_url: str, rokt: SandboxUnderTest
    ) -> None:
        rokt.fault(path=EVENTS, drop="before", times=1)

        with working(database_url, rokt):
            accept(outbox, a_message())
            [row] = settled(outbox)

        assert [(call["status"], call["dropped"]) for call in rokt.calls(EVENTS)] == [
            (None, "before"),
            (202, None),
        ]
        assert (row.state, row.was_uncertain, row.tries) == ("delivered", True, 1)
        assert rokt.calendar()[0]["holders"].keys() == {SUBSCRIPTION}

    def test_a_create_that_was_processed_is_made_once_more_where_rokt_takes_that(
        self, outbox: Outbox, database_url: str, rokt: SandboxUnderTest
    ) -> None:
        rokt.fault(path=EVENTS, drop="after", times=1)

        with working(database_url, rokt):
            accept(outbox, a_message())
            [row] = settled(outbox)

        assert (row.state, row.was_uncertain) == ("delivered", True)
        assert len(rokt.calendar()) == 1
        assert standing(outbox).holders == {SUBSCRIPTION}

    def test_where_rokt_refuses_the_second_create_the_update_decides(
        self, outbox: Outbox, database_url: str
    ) -> None:
        with running_sandbox(refuses_repeats=True) as rokt:
            rokt.fault(path=EVENTS, drop="after", times=1)
            with working(database_url, rokt):
                accept(outbox, a_message(), a_message(action="upsert"))
                first, second = settled(outbox, 2)

        assert sent(rokt) == [("POST", 202), ("POST", 400), ("update", 202)]
        assert (first.state, first.was_uncertain) == ("delivered", True)
        assert second.state == "skipped"
        assert standing(outbox) == Standing(an_event(), True, frozenset({SUBSCRIPTION}))

    def test_where_rokt_refuses_both_the_message_is_dead_and_an_update_leaves_as_its_create(
        self, outbox: Outbox, database_url: str
    ) -> None:
        answers = iter(["drop", http(400), http(404), http(202)])
        leaves: list[tuple[str, Any]] = []

        def script(line: Line) -> None:
            while request := line.request():
                if request.target == "/oauth2/token":
                    token = {"access_token": "t", "token_type": "Bearer", "expires_in": 300}
                    line.send(http(body=json.dumps(token).encode()))
                    continue
                leaves.append((request.target.removeprefix(EVENTS), json.loads(request.body)))
                answer = next(answers)
                if not isinstance(answer, bytes):
                    return line.reset()
                line.send(answer)
            return None

        update = a_message(action="update", subscription_ids=[], event={"title": "Mended"}, is_whole=False)
        with scripted_server(script) as server, running(outbox.database, destinations_at(server.url)):
            accept(outbox, a_message(), update)
            first, second = settled(outbox, 2)

        assert [path for path, _ in leaves] == [
            f"/{ACCOUNT}",
            f"/{ACCOUNT}",
            f"/{ACCOUNT}/update",
            f"/{ACCOUNT}",
        ]
        assert (first.state, first.was_uncertain, first.reason) == ("dead", True, "answered 404")
        assert second.state == "delivered"
        assert leaves[-1][1]["subscriptionIds"] == [SUBSCRIPTION]
        assert leaves[-1][1]["event"]["title"] == "Mended"

    def test_a_test_that_rokt_refuses_the_second_time_changes_nobodys_event(
        self, outbox: Outbox, database_url: str
    ) -> None:
        with running_sandbox(refuses_repeats=True) as rokt:
            rokt.fault(path=EVENTS, drop="after", times=1)
            with working(database_url, rokt):
                accept(outbox, a_message(is_test=True, line=None))
                [row] = settled(outbox)

        assert sent(rokt) == [("POST", 202), ("POST", 400)]
        assert (row.state, row.was_uncertain) == ("dead", True)

    def test_a_delete_that_is_not_found_the_second_time_is_done(
        self, outbox: Outbox, database_url: str, rokt: SandboxUnderTest
    ) -> None:
        with working(database_url, rokt):
            accept(outbox, a_message())
            settled(outbox)
            rokt.fault(path=EVENTS, method="DELETE", drop="after", times=1)
            rokt.fault(path=EVENTS, method="DELETE", status=404, times=1)
            accept(outbox, a_message(action="delete", subscription_ids=[], event={}))
            _, row = settled(outbox, 2)

        assert (row.state, row.was_uncertain) == ("delivered", True)
        assert standing(outbox) == Standing()

    def test_an_update_of_unknown_outcome_is_made_once_more(
        self, outbox: Outbox, database_url: str, rokt: SandboxUnderTest
    ) -> None:
        rokt.fault(path=f"{EVENTS}/{ACCOUNT}/update", drop="after", times=1)

        with working(database_url, rokt):
            accept(outbox, a_message(), a_message(action="update", event=an_event(title="Newer")))
            _, row = settled(outbox, 2)

        assert (row.state, row.was_uncertain) == ("delivered", True)
        assert [method for method, _ in sent(rokt)] == ["POST", "update", "update"]
        assert standing(outbox).is_certain

    def test_after_an_update_that_died_without_an_answer_the_old_state_is_sent_again(
        self, outbox: Outbox, database_url: str, rokt: SandboxUnderTest
    ) -> None:
        rokt.fault(path=f"{EVENTS}/{ACCOUNT}/update", drop="after")

        with working(database_url, rokt, timedelta(seconds=0.1)):
            accept(outbox, a_message(), a_message(action="update", event=an_event(title="Newer")))
            _, dead = settled(outbox, 2)
            rokt.clear_faults()
            accept(outbox, a_message(action="upsert"))
            *_, back = settled(outbox, 3)

        assert (dead.state, back.state) == ("dead", "delivered")
        assert rokt.calendar()[0]["holders"][SUBSCRIPTION]["title"] == "Flash sale"


class TestTests:
    def test_a_test_is_marked_and_leaves_nothing_in_the_ledger(
        self, outbox: Outbox, database_url: str, rokt: SandboxUnderTest
    ) -> None:
        with working(database_url, rokt):
            accept(outbox, a_message(is_test=True, line=None))
            [row] = settled(outbox)

        assert row.state == "delivered"
        assert rokt.calendar()[0]["holders"][SUBSCRIPTION]["title"] == "[TEST] Flash sale"
        assert standing(outbox) == Standing()

    def test_what_a_test_knew_of_the_event_does_not_count(self, outbox: Outbox, database: Database) -> None:
        """It was claimed when the event did not stand yet, and comes back beside a delete."""
        held = Standing(an_event(), True, frozenset({"a", "b"}))
        accept(
            outbox,
            a_message(action="delete", subscription_ids=["a"], event={}),
            a_message(is_test=True, line=None),
        )
        test, delete = sorted(
            (call.message for call in outbox.claim(now=datetime.now(UTC))), key=lambda m: not m.is_test
        )
        [calendar] = destinations_at("http://127.0.0.1:1")
        with database.write() as connection:
            now = clock(connection)
            record(connection, [Change(PLACE, held, "u-1", None, None, now)], {}, now)

        with database.write() as connection:
            done = [Known(delete, held, "wrapped"), Known(test, Standing(), "wrapped")]
            calendar.record(connection, [(k.message, k, Delivered(202), State.DELIVERED) for k in done], now)
        calendar.close()

        assert standing(outbox).holders == {"b"}


class TestExpiry:
    def test_what_is_due_too_late_is_not_sent(
        self, outbox: Outbox, database_url: str, rokt: SandboxUnderTest
    ) -> None:
        with working(database_url, rokt):
            accept(outbox, a_message(user_id="first"))
            settled(outbox)
            accept(
                outbox,
                a_message(expires_at=datetime.now(UTC) - timedelta(seconds=1)),
                a_message(user_id="u-2"),
            )
            _, late, _ = settled(outbox, 3)

        assert (late.state, late.reason) == ("dead", "too late")
        assert [event["event_id"] for event in rokt.calendar()] == ["sale_first", "sale_u-2"]
        assert standing(outbox).unsent == {"event": an_event(), "subscription_ids": [SUBSCRIPTION]}
        assert_all_is_over(outbox)

    def test_what_waits_for_its_next_try_is_swept(
        self, outbox: Outbox, database_url: str, rokt: SandboxUnderTest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(worker_module, "HEARTBEAT_EVERY", 0.05)
        rokt.fault(path=EVENTS, retry_after=3600)

        with working(database_url, rokt):
            accept(outbox, a_message())
            eventually(outbox.attempts)
            with outbox.database.write() as connection:
                connection.execute(sa.update(waiting).values(expires_at=datetime.now(UTC)))
            [row] = settled(outbox)

        assert (row.state, row.reason, row.tries) == ("dead", "too late", 1)
        assert standing(outbox).unsent is not None


class TestStopping:
    def test_what_is_in_flight_is_settled(
        self, outbox: Outbox, database_url: str, rokt: SandboxUnderTest
    ) -> None:
        rokt.fault(path=EVENTS, delay=8)
        accept(outbox, *(a_message(user_id=f"u-{n}") for n in range(5)))

        with working(database_url, rokt) as worker:
            eventually(lambda: len(rokt.calls(EVENTS)) == 5)
            worker.stop()
            rokt.sandbox.stop()  # which ends the delay

        assert set(outbox.states()) == {"delivered"}
        assert_all_is_over(outbox)

    def test_nothing_more_is_claimed(self, outbox: Outbox, database_url: str, rokt: SandboxUnderTest) -> None:
        rokt.fault(path=EVENTS, delay=8)
        accept(outbox, *(a_message(user_id=f"u-{n}") for n in range(50)))

        with working(database_url, rokt) as worker:
            eventually(lambda: len(rokt.calls(EVENTS)) == 32)
            worker.stop()
            rokt.sandbox.stop()

        assert sorted(set(outbox.states())) == ["accepted", "delivered"]
        assert outbox.states().count("delivered") == 32 == len(rokt.calls(EVENTS))
        assert_all_is_over(outbox)

    def test_a_worker_with_nothing_to_do_stops_at_once(
        self, outbox: Outbox, database_url: str, rokt: SandboxUnderTest
    ) -> None:
        with working(database_url, rokt) as worker:
            eventually(lambda: outbox.rows(sa.select(worker_rows)))
            began = time.monotonic()
            worker.stop()

        assert time.monotonic() - began < 5
        assert_all_is_over(outbox)

    def test_a_signal_within_the_handler_of_another_does_not_hang_it(self, database: Database) -> None:
        worker = Worker(database, [], timedelta(days=1), timedelta(days=30))

        def again(*_: object) -> Any:
            worker.stop()
            return again

        def stop() -> None:
            sys.settrace(again)  # at each line of it
            worker.stop()

        thread = threading.Thread(target=stop, daemon=True)
        thread.start()
        thread.join(10)

        assert not thread.is_alive()

    def test_without_its_database_it_ends_in_time_and_does_not_spin(
        self, outbox: Outbox, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(worker_module, "STOPS_WITHIN", 0.5)
        monkeypatch.setattr(worker_module, "DATABASE_GONE_WAIT", 0.1)
        upstream, failing = Upstream(), Failing(database)
        accept(outbox, a_message())
        with running(failing, [upstream]) as worker:
            upstream.is_called.wait(10)
            failing.is_down = True
            upstream.let_go.set()
            worker.stop()

        assert failing.writes < 30


class Failing:
    """A database that fails when it is told to: before a write, or after its commit."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.is_down = False
        self.writes = 0
        self.fails: Callable[[int], str | None] = lambda number: None

    @contextmanager
    def write(self) -> Iterator[Connection]:
        self.writes += 1
        when = "before" if self.is_down else self.fails(self.writes)
        if when == "before":
            raise sa.exc.OperationalError("BEGIN", {}, Exception("the database is gone"))
        with self._database.write() as connection:
            yield connection
        if when == "after":
            raise sa.exc.OperationalError("COMMIT", {}, Exception("the commit's answer is lost"))

    @contextmanager
    def read(self) -> Iterator[Connection]:
        if self.is_down:
            raise sa.exc.OperationalError("BEGIN", {}, Exception("the database is gone"))
        with self._database.read() as connection:
            yield connection


@dataclass
class Upstream(OneByOne):
    """A destination with a list inside."""

    name: str = "rokt_calendar"
    in_flight: int = 4
    rate: Rate = field(default_factory=Rate)
    calls: list[Message] = field(default_factory=list)
    recorded: list[tuple[str, str]] = field(default_factory=list)
    doubted: list[str] = field(default_factory=list)
    claimed: list[int] = field(default_factory=list)
    is_called: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event = field(default_factory=threading.Event)
    answer: Callable[[Message], Outcome] = lambda message: Delivered(202)
    fails_to_record: Callable[[Message], bool] = lambda message: False

    def credential_of(self, account_code: str) -> str:
        return ""

    def look_up(self, connection: Connection, messages: Sequence[Message]) -> Sequence[Any]:
        self.claimed.append(len(messages))
        return [None] * len(messages)

    def deliver(self, messages: Sequence[Message], standings: Sequence[Any], turn: Turn) -> list[Outcome]:
        [message] = messages
        self.calls.append(message)
        self.is_called.set()
        assert self.let_go.wait(20)
        return [self.answer(message)]

    def record(
        self,
        connection: Connection,
        done: Sequence[tuple[Message, Any, Outcome, State | None]],
        now: datetime,
    ) -> None:
        for message, _, outcome, _ in done:
            if self.fails_to_record(message):
                raise KeyError("is_whole")
            self.recorded.append((message.id, type(outcome).__name__))

    def doubt(self, connection: Connection, doubted: Sequence[tuple[Message, Any]]) -> None:
        self.doubted += [message.id for message, _ in doubted]

    def forget_old(self, connection: Connection, now: datetime) -> int:
        return 0

    def check(self) -> dict[str, str]:
        return {}

    def close(self) -> None:
        self.let_go.set()


class TestWhatIsWrongHere:
    def test_a_fault_of_ours_while_sending_is_an_uncertain_call(
        self, outbox: Outbox, database: Database
    ) -> None:
        upstream = Upstream()
        upstream.let_go.set()

        def fail_once(message: Message) -> Outcome:
            if message.user_id == "bad" and message.tries == 0:
                raise KeyError("x")
            return Delivered(202)

        upstream.answer = fail_once
        accept(outbox, a_message(user_id="bad"), a_message(user_id="good"))
        with running(database, [upstream]):
            bad, good = settled(outbox, 2)

        assert (bad.state, bad.was_uncertain, bad.tries) == ("delivered", True, 1)
        assert (good.state, good.tries) == ("delivered", 0)
        assert "the bridge failed: KeyError" in [attempt.answer for attempt in outbox.attempts()]

    def test_one_message_that_cannot_be_settled_does_not_stop_the_others(
        self, outbox: Outbox, database: Database
    ) -> None:
        upstream = Upstream()
        upstream.fails_to_record = lambda message: message.user_id == "bad"
        accept(outbox, *(a_message(user_id=user) for user in ("u-1", "bad", "u-2")))
        with running(database, [upstream]):
            eventually(lambda: len(upstream.calls) == 3)
            upstream.let_go.set()
            rows = settled(outbox, 3)
            accept(outbox, a_message(user_id="u-3"))
            settled(outbox, 4)

        assert [row.state for row in rows] == ["delivered", "dead", "delivered"]
        assert rows[1].reason == "the bridge failed to settle this: KeyError"
        assert len(upstream.calls) == 4
        assert_all_is_over(outbox)

    @pytest.mark.parametrize("request_kept", [{}, {"rokt_event_id": "sale_u-1"}])
    def test_a_request_that_this_release_cannot_read_is_dead_and_the_rest_goes(
        self, outbox: Outbox, database_url: str, rokt: SandboxUnderTest, request_kept: dict[str, Any]
    ) -> None:
        with working(database_url, rokt):
            accept(outbox, a_message(request=request_kept, user_id="u-9"), a_message())
            bad, good = settled(outbox, 2)

        assert (bad.state, good.state) == ("dead", "delivered")

    def test_one_that_expires_and_cannot_be_recorded_does_not_keep_the_others(
        self, outbox: Outbox, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(worker_module, "HEARTBEAT_EVERY", 0.05)
        upstream = Upstream()
        upstream.fails_to_record = lambda message: message.user_id == "bad"
        past = datetime.now(UTC) - timedelta(seconds=1)
        accept(outbox, *(a_message(user_id=user, expires_at=past) for user in ("bad", "good")))

        with running(database, [upstream]):
            rows = settled(outbox, 2)

        assert [row.reason for row in rows] == ["too late", "too late"]
        assert upstream.recorded == [(rows[1].id, "Rejected")]

    def test_a_zone_that_is_not_known_any_more_is_the_messages_fault(
        self, outbox: Outbox, database_url: str, rokt: SandboxUnderTest
    ) -> None:
        event = an_event() | {"timezone": "Atlantis Standard Time"}

        with working(database_url, rokt):
            accept(outbox, a_message(event=event))
            [row] = settled(outbox)

        assert row.state == "dead"
        assert "Atlantis Standard Time" in row.reason
        assert sent(rokt) == []


class TestHeartbeats:
    def test_a_worker_whose_heartbeat_is_old_sends_nothing(
        self, outbox: Outbox, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(worker_module, "SENDS_NOTHING_AFTER", -1.0)
        upstream = Upstream()
        accept(outbox, a_message())

        with running(database, [upstream]):
            eventually(lambda: len(upstream.claimed) >= 3)

        assert upstream.calls == []
        assert outbox.states() == ["accepted"]
        assert outbox.attempts() == []
        assert_all_is_over(outbox)

    def test_a_worker_beats_while_it_has_nothing_to_do(
        self, outbox: Outbox, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(worker_module, "HEARTBEAT_EVERY", 0.05)

        def row() -> Any:
            found = outbox.rows(sa.select(worker_rows))
            return found[0] if found else None

        with running(database, []):
            first = eventually(row)
            eventually(lambda: row().heartbeat_at > first.heartbeat_at)
            assert row().started_at == first.started_at

    def test_the_calls_of_a_worker_that_is_gone_are_made_by_another(
        self, outbox: Outbox, database_url: str, rokt: SandboxUnderTest
    ) -> None:
        long_ago = datetime.now(UTC) - timedelta(seconds=21)
        accept(outbox, a_message())
        outbox.beat("gone", long_ago)
        outbox.claim(worker="gone", now=datetime.now(UTC))

        with working(database_url, rokt):
            [row] = settled(outbox)

        assert (row.state, row.was_uncertain) == ("delivered", True)
        assert_all_is_over(outbox)

    def test_a_late_answer_has_the_last_of_its_line_sent_once_more(
        self, outbox: Outbox, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One worker stalls with a call in flight; another takes over and delivers; then the answer comes."""
        monkeypatch.setattr(upkeep, "STALE_AFTER", timedelta(seconds=1))
        monkeypatch.setattr(worker_module, "HEARTBEAT_EVERY", 0.05)
        stalled_database, slow, quick = Failing(database), Upstream(), Upstream()
        quick.let_go.set()
        other = Database(database_url)
        first, second = accept(outbox, a_message(), a_message(event=an_event(title="Newer")))
        with running(stalled_database, [slow]):
            slow.is_called.wait(10)
            stalled_database.is_down = True
            with running(other, [quick]):
                settled(outbox, 2)
                slow.let_go.set()
                stalled_database.is_down = False
                eventually(lambda: len(quick.calls) + len(slow.calls) == 4)
                rows = settled(outbox, 2)
        other.close()

        sent_by_both = [message.id for message in [*quick.calls, *slow.calls[1:]]]
        assert [row.state for row in rows] == ["delivered", "delivered"]
        assert [row.was_uncertain for row in rows] == [True, True]
        assert sent_by_both == [first, second, second]
        assert slow.doubted == [first]
        assert_all_is_over(outbox)

    def test_where_none_undoes_another_a_late_answer_has_nothing_sent_again(
        self, outbox: Outbox, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(upkeep, "STALE_AFTER", timedelta(seconds=1))
        monkeypatch.setattr(worker_module, "HEARTBEAT_EVERY", 0.05)
        stalled_database, slow, quick = Failing(database), Upstream(), Upstream()
        slow.batch = quick.batch = Batch(undoes=False)
        quick.let_go.set()
        other = Database(database_url)
        first, second = accept(outbox, a_message(), a_message(event=an_event(title="Newer")))
        with running(stalled_database, [slow]):
            slow.is_called.wait(10)
            stalled_database.is_down = True
            with running(other, [quick]):
                settled(outbox, 2)
                slow.let_go.set()
                stalled_database.is_down = False
                eventually(lambda: bool(slow.doubted))
        other.close()

        assert [message.id for message in [*quick.calls, *slow.calls[1:]]] == [first, second]
        assert [(row.state, row.was_uncertain) for row in settled(outbox, 2)] == [
            ("delivered", True),
            ("delivered", False),
        ]
        assert_all_is_over(outbox)


class TestADatabaseThatGoesAway:
    def test_an_outage_longer_than_a_silence_does_not_make_known_outcomes_uncertain(
        self, outbox: Outbox, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(upkeep, "STALE_AFTER", timedelta(seconds=0.1))
        upstream, failing = Upstream(), Failing(database)
        accept(outbox, a_message())
        with running(failing, [upstream]):
            upstream.is_called.wait(10)
            failing.is_down = True
            upstream.let_go.set()
            stale = datetime.now(UTC) + timedelta(seconds=0.3)
            eventually(lambda: datetime.now(UTC) > stale)
            failing.is_down = False
            [row] = settled(outbox)

        assert (row.state, row.was_uncertain, row.tries) == ("delivered", False, 0)
        assert len(upstream.calls) == 1
        assert_all_is_over(outbox)

    def test_writes_that_fail_before_and_after_their_commit_lose_nothing_and_keep_the_order(
        self, outbox: Outbox, database: Database, rokt: SandboxUnderTest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(upkeep, "STALE_AFTER", timedelta(seconds=1))
        monkeypatch.setattr(worker_module, "HEARTBEAT_EVERY", 0.05)
        failing = Failing(database)
        fails = dict.fromkeys((3, 9, 17), "before") | dict.fromkeys((5, 12, 20), "after")
        failing.fails = fails.get
        numbers = range(8)
        changes = [
            a_message(user_id=f"u-{key}", action="upsert", event=an_event(title=f"{number}"))
            for number in numbers
            for key in range(5)
        ]
        accept(outbox, *changes)

        with running(failing, destinations_at(rokt.url)):
            rows = settled(outbox, len(changes), 40)
            eventually(lambda: not outbox.waiting())

        titles: dict[str, list[int]] = {}
        for call in rokt.calls(EVENTS):
            event = call["body"]["event"]
            titles.setdefault(event["eventId"], []).append(int(event["title"]))
        assert {row.state for row in rows} <= {"delivered", "skipped"}
        assert all(sorted(one) == one and set(one) == set(numbers) for one in titles.values())
        assert len(titles) == 5
        assert outbox.faults() == []

    def test_a_worker_goes_on_after_postgresql_ended_its_connections(
        self, postgresql_database_url: str, rokt: SandboxUnderTest
    ) -> None:
        database = Database(postgresql_database_url)
        outbox = Outbox(database)
        end_all = sa.text(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        with working(postgresql_database_url, rokt):
            for number in range(5):
                accept(outbox, *(a_message(user_id=f"u-{number}-{n}") for n in range(10)))
                settled(outbox, number * 10 + 5)
                with database.write() as connection:
                    connection.execute(end_all)
                database.close()
            rows = settled(outbox, 50, 60)

        assert {row.state for row in rows} == {"delivered"}
        assert len(rokt.calendar()) == 50
        database.close()


def test_what_several_destinations_settle_is_locked_at_once(
    outbox: Outbox, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else two transactions could each hold a key that the other waits for."""
    destinations = [Upstream(), Upstream(name="braze")]
    accept(outbox, *(a_message(destination=one.name) for one in destinations))
    worker = Worker(database, destinations, DAY)
    with database.write() as connection:
        now = clock(connection)
        calls = [claim.claim(connection, "w-1", one.name, 1, now)[0] for one in destinations]
    locked: list[set[int]] = []
    monkeypatch.setattr(worker_module, "lock_keys", lambda connection, keys: locked.append(set(keys)))

    worker._settle_all(
        [_Done(one, [call], [None], [Delivered(202)]) for one, call in zip(destinations, calls, strict=True)]
    )

    assert locked == [{call.message.line for call in calls}]
    assert outbox.states() == ["delivered", "delivered"]
