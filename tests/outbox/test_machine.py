"""The outbox against a model of it, on both databases; and the model against an outbox that lacks a rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from outbox import transactions
from outbox.machine import OutboxMachine
from outbox.model import Model
from outbox.transactions import Harness
from sqlalchemy.engine import Connection

from bridge.database import Database
from bridge.outbox import enqueue, replay, settle, states, upkeep
from bridge.outbox.enqueue import Accepted, Request
from bridge.outbox.tables import waiting

EXAMPLES = 20
FOUND_WITHIN = 60  # examples: what a rule is for comes to light within a dozen, whatever the seed
RARELY_WITHIN = 300  # where much must come together: within ninety
SEED = 2
SETTINGS = settings(
    stateful_step_count=40,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],  # a failure is told as it was found: to make it shorter takes minutes
)


def run(harness: Harness, examples: int = EXAMPLES) -> None:
    @seed(SEED)
    def machine() -> OutboxMachine:
        return OutboxMachine(harness)

    run_state_machine_as_test(machine, settings=settings(SETTINGS, max_examples=examples))


@contextmanager
def harness_of(database_url: str) -> Iterator[Harness]:
    database, other = Database(database_url), Database(database_url)
    with ThreadPoolExecutor(1) as thread:
        yield Harness(database, other, thread)
    for one in (database, other):
        one.close()


@pytest.fixture(autouse=True)
def _few_lines_close_a_destination(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "TROUBLED_LINES", 3)


@pytest.fixture
def harness(database_url: str) -> Iterator[Harness]:
    with harness_of(database_url) as harness:
        yield harness


def test_whatever_happens_the_outbox_does_as_its_model(harness: Harness) -> None:
    run(harness)


class TestWithoutARule:
    """The machine finds what each rule is for: it can fail."""

    @pytest.fixture
    def postgresql_harness(self, postgresql_database_url: str) -> Iterator[Harness]:
        with harness_of(postgresql_database_url) as harness:
            yield harness

    @pytest.fixture
    def sqlite_harness(self, sqlite_database_url: str) -> Iterator[Harness]:
        with harness_of(sqlite_database_url) as harness:
            yield harness

    @pytest.fixture
    def without_the_index(self, harness: Harness) -> Iterator[None]:
        [index] = [one for one in waiting.indexes if one.name == "waiting_heads"]
        harness.do(index.drop)
        yield
        harness.empty()
        harness.do(index.create)

    def test_without_the_fence_a_late_worker_settles_what_others_have(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(settle, "_fence", lambda connection, results: (list(results), ()))

        with pytest.raises(AssertionError, match="a call settles once"):
            run(harness, FOUND_WITHIN)

    def test_without_the_lock_of_its_key_a_line_loses_its_head_or_has_two(
        self, postgresql_harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """PostgreSQL alone: SQLite's one writer at a time is such a lock itself."""
        for module in (enqueue, settle, upkeep, replay, transactions):
            monkeypatch.setattr(module, "lock_keys", lambda connection, keys: None)

        with pytest.raises((AssertionError, sa.exc.IntegrityError)):
            run(postgresql_harness, FOUND_WITHIN)

    @pytest.mark.usefixtures("without_the_index")
    def test_without_a_unique_head_each_message_may_be_one(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = enqueue.store

        def store_heads(connection: Connection, requests: Sequence[Request], now: datetime) -> list[Accepted]:
            answers = store(connection, requests, now)
            connection.execute(sa.update(waiting).values(is_head=True))
            return answers

        monkeypatch.setattr(enqueue, "store", store_heads)

        with pytest.raises(AssertionError, match="is stored as"):
            run(harness, FOUND_WITHIN)

    def test_where_a_late_answer_mends_nothing_an_old_word_stands(
        self, sqlite_harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """On one database, as it has nothing to do with which."""
        monkeypatch.setattr(upkeep, "send_last_again", lambda connection, lines, now: [])
        monkeypatch.setattr(Model, "answered_late", lambda self, line: None)

        with pytest.raises(AssertionError, match="is the last word, and Rokt holds"):
            run(sqlite_harness, RARELY_WITHIN)

    def test_where_the_first_request_stays_the_latest_the_way_back_is_taken_for_a_repeat(
        self, sqlite_harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        remember = enqueue._Known._remember

        def remember_the_first(self: Any, subject: Any, ids: Any, before: Any) -> None:
            if before is None:
                remember(self, subject, ids, before)

        monkeypatch.setattr(enqueue._Known, "_remember", remember_the_first)

        with pytest.raises(AssertionError, match="is the last word, or a repeat of it"):
            run(sqlite_harness, FOUND_WITHIN)
