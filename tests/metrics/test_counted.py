"""What is counted where: calls to upstreams, tokens, statements, groups, and why messages go again."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from factories import NOON, a_message, a_request
from outbox.steps import Outbox
from outbox.test_samples import count
from servers import Line, http, running_sandbox, scripted_server
from test_worker import EVENTS, accept, destinations_at, running, settled

from bridge.database import Database
from bridge.errors import AnswerLost, CredentialRefused, NotBegun, SlotMissed
from bridge.message import Delivered, Divided, Outcome, Rejected, Retry, Skipped, State, Uncertain, Undecided
from bridge.metrics import causes, counted
from bridge.metrics.samples import Samples, key, since
from bridge.outbox import counters, samples, settle
from bridge.outbox.enqueue import Inbox
from bridge.rate import Rate
from bridge.turns import Pace
from bridge.upstream import OAuth2ClientCredentials, Upstream

BRAZE = {"destination": "braze"}
SECOND = timedelta(seconds=1)
OUTCOMES = counted.TOKEN_OUTCOMES


class More:
    """What was counted since."""

    def __init__(self) -> None:
        self._before = counted._collected(counted._registry)

    @property
    def now(self) -> Samples:
        return since(counted._collected(counted._registry), self._before)

    def __call__(self, name: str, **labels: str) -> float:
        return self.now.get(key(name, **labels), 0)

    def calls(self) -> dict[str, float]:
        """Calls to Braze, by status."""
        name = "bridge_upstream_seconds_count"
        return {dict(labels)["status"]: value for (one, labels), value in self.now.items() if one == name}


@pytest.fixture
def more() -> More:
    return More()


@contextmanager
def braze(*answers: bytes | Callable[[Line], None], **options: Any) -> Iterator[Upstream]:
    def script(line: Line) -> None:
        for answer in answers:
            line.request()
            answer(line) if callable(answer) else line.send(answer)

    with scripted_server(script) as server:
        upstream = Upstream(server.url, None, allow_http=True, name="braze", **options)
        yield upstream
        upstream.close()


class TestCalls:
    def test_are_counted_by_the_class_of_their_status(self, more: More) -> None:
        with braze(http(201), http(429), http(503), http(200)) as upstream:
            for _ in range(4):
                upstream.send("GET", "/")

        assert more.calls() == {"2xx": 2, "4xx": 1, "5xx": 1}

    def test_without_an_answer_are_lost(self, more: More) -> None:
        with braze(lambda line: line.reset()) as upstream, pytest.raises(AnswerLost):
            upstream.send("GET", "/")

        assert more.calls() == {"lost": 1}

    def test_that_never_began_are_unsent(self, more: More) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(NotBegun):
            Upstream(url, None, allow_http=True, name="braze").send("GET", "/")

        assert more.calls() == {"unsent": 1}

    def test_are_not_measured_with_their_wait_for_a_slot(self, more: More) -> None:
        with braze(http(200), lambda line: line.reset()) as upstream:
            upstream.send("GET", "/", turn=lambda: time.sleep(0.5))
            with pytest.raises(AnswerLost):
                upstream.send("GET", "/", turn=lambda: time.sleep(0.5))

        name = "bridge_upstream_seconds_sum"
        assert 0 < more(name, **BRAZE, status="lost") < 0.5
        assert more(name, **BRAZE, status="2xx") < 0.5

    def test_whose_slot_was_missed_are_none(self, more: More) -> None:
        def missed() -> None:
            raise SlotMissed("missed")

        with braze(http(200)) as upstream, pytest.raises(SlotMissed):
            upstream.send("GET", "/", turn=missed)

        assert more.calls() == {}

    def test_of_offers_are_the_web_processes_and_all_others_the_workers(self) -> None:
        for name in ("braze", counted.OFFERS_UPSTREAM):
            counted.called(name, "2xx", 0.1)

        of_web, of_workers = (
            {dict(labels)["destination"] for name, labels in its if name == "bridge_upstream_seconds_count"}
            for its in (counted.of_web(), counted.of_workers())
        )
        assert of_web == {"rokt_offers"}
        assert "braze" in of_workers
        assert "rokt_offers" not in of_workers


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (http(200, b'{"access_token": "t", "expires_in": 300}'), "granted"),
        (http(401, b'{"error": "invalid_client"}'), "refused"),
        (http(503), "failed"),
        (http(200, b"{}"), "failed"),
    ],
)
def test_calls_for_tokens_are_counted_by_their_outcome(answer: bytes, outcome: str, more: More) -> None:
    with scripted_server(lambda line: (line.request(), line.send(answer))) as server:
        tokens = OAuth2ClientCredentials(f"{server.url}/t", "id", "s", allow_http=True, name="rokt_calendar")
        for _ in range(2):  # the second goes by the token of the first, or is refused a connection
            try:
                tokens.authorization(time.monotonic() + 5)
            except (NotBegun, CredentialRefused):
                break

    told = {
        one: more("bridge_token_calls_total", destination="rokt_calendar", outcome=one) for one in OUTCOMES
    }
    assert told == {one: float(one == outcome) for one in OUTCOMES}


@pytest.mark.parametrize(
    ("outcome", "cause"),
    [
        (Retry("", 401, refused_account="acme"), "credential"),
        (Retry("", refused_account=""), "credential"),
        (Retry("", 429, wait=3.0), "too_many"),
        (Retry("", 408), "asked_to_wait"),
        (Retry("", 425), "asked_to_wait"),
        (Retry("", 503, is_trouble=True), "server_error"),
        (Retry("", 200), "other"),
        (Retry("", is_trouble=True), "network"),
        (Retry(""), "other"),
        (Uncertain(""), "answer_lost"),
        (Divided(""), "divided"),
        (Delivered(progress={}), None),
        (Rejected(""), None),
        (Skipped(""), None),
        (Undecided(""), None),
    ],
)
def test_why_a_message_goes_again_is_one_of_a_few_words(outcome: Outcome, cause: str | None) -> None:
    assert causes.of_retry(outcome) == cause
    assert cause is None or cause in causes.OF_RETRIES


class TestAWorker:
    def test_counts_what_goes_again_and_carries_it_on_its_row(
        self, database: Database, more: More, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(settle, "BACK_OFF_FIRST", 0.01)
        outbox = Outbox(database)
        with running_sandbox() as rokt:
            rokt.fault(path=EVENTS, times=2, status=503)
            accept(outbox, a_message())
            own = Database(database.url.render_as_string(hide_password=False), process="worker")
            with running(own, destinations_at(rokt.url)):
                settled(outbox)
            own.close()

        its = {"destination": "rokt_calendar"}
        assert more("bridge_messages_retried_total", **its, cause="server_error") == 2
        assert more("bridge_database_seconds_count", process="worker", operation="commit") > 3
        with database.read() as connection:
            kept = counters.read(connection)
        assert kept[key("bridge_messages_retried_total", **its, cause="server_error")] == 2
        assert kept[key("bridge_upstream_seconds_count", **its, status="5xx")] == 2
        assert kept[key("bridge_database_seconds_count", process="worker", operation="statement")] > 10

    def test_counts_the_slots_that_it_takes(self, database: Database, more: More) -> None:
        pace = Pace(database, "braze", Rate(100))
        with database.write() as connection:
            lease = pace.lease(connection, "", is_halved=False)
            pace.turns(lease, "", 3, is_halved=False)

        assert more("bridge_budget_slots_total", **BRAZE) == 3


class TestTheDatabase:
    def test_each_statement_and_commit_is_measured(self, database: Database, more: More) -> None:
        with database.write() as connection:
            connection.exec_driver_sql("SELECT 1")
            connection.exec_driver_sql("SELECT 2")
        with database.read() as connection:
            connection.exec_driver_sql("SELECT 3")

        def count(operation: str) -> float:
            return more("bridge_database_seconds_count", process="web", operation=operation)

        assert count("commit") == 1
        assert count("statement") >= 3

    def test_a_statement_that_fails_is_measured_too(self, database: Database, more: More) -> None:
        with pytest.raises(Exception, match="nowhere"), database.read() as connection:
            connection.exec_driver_sql("SELECT * FROM nowhere")

        assert more("bridge_database_seconds_count", process="web", operation="statement") == 1

    def test_what_is_taken_back_is_no_commit(self, database: Database, more: More) -> None:
        with pytest.raises(ZeroDivisionError), database.write():
            raise ZeroDivisionError

        assert more("bridge_database_seconds_count", process="web", operation="commit") == 0

    def test_requests_of_one_commit_are_counted_together(self, database: Database, more: More) -> None:
        inbox = Inbox(database)
        inbox.accept_all([a_request(a_message(user_id=f"u-{n}")) for n in range(5)])
        inbox.close()

        assert more("bridge_group_commit_requests_sum") == 5
        assert 1 <= more("bridge_group_commit_requests_count") <= 5


DIED = {
    "too late": "too_late",
    "cancelled by ada": "cancelled",
    "tried for 1 day, 0:00:00: answered 503": "tried_out",
    "answered 400: BadRequest": "refused",
    "Braze refused it: no such field": "refused",
    "Rokt refused it: no such field": "refused",
    "Rokt did not process it: it does not say why": "refused",
    "ROKT_CALENDAR_CLIENT_ID__ACME is not set": "setting",
    "the bridge failed to settle this: KeyError": "bridge",
    "the moon is full": "other",
}


class TestTheDead:
    def test_are_counted_by_their_cause(self, database: Database) -> None:
        outbox = Outbox(database)
        for number, reason in enumerate(DIED):
            outbox.accept(a_message(user_id=f"u-{number}", template="sale", version=1), now=NOON)
            outbox.settle(outbox.claim(), Rejected(reason))
        refused = a_message(template="sale", version=None, state=State.DEAD, reason="answered 400")
        outbox.accept(refused, a_message(user_id="v"), now=NOON)
        outbox.settle(outbox.claim())
        for _ in range(2):
            count(database, NOON + 60 * SECOND)

        with database.read() as connection:
            total = samples.totals(connection)["rokt_calendar"]
        wanted = [*DIED.values(), "template"]
        assert total.causes == {cause: wanted.count(cause) for cause in set(wanted)}
        assert set(total.causes) == set(causes.OF_DEAD)
        assert total.counts["dead"] == len(wanted)
