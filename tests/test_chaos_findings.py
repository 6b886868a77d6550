"""What `make chaos` found with the worker and Rokt together, each as small as it can be told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from factories import SUBSCRIPTION, a_message, an_event
from outbox.steps import Outbox
from servers import SandboxUnderTest, running_sandbox
from test_worker import EVENTS, Upstream, accept, assert_all_is_over, settled, standing, working

from bridge import worker as worker_module
from bridge.database import Database
from bridge.outbox import upkeep
from bridge.worker import Worker

AT_ONCE = timedelta(0)


@pytest.fixture
def outbox(database: Database) -> Outbox:
    return Outbox(database)


@pytest.fixture
def rokt() -> Iterator[SandboxUnderTest]:
    with running_sandbox(refuses_repeats=True) as sandbox:
        yield sandbox


def an_update(title: str) -> Any:
    return a_message(action="update", subscription_ids=[], event={"title": title}, is_whole=False)


@contextmanager
def one_that_dies_unanswered(
    outbox: Outbox, database_url: str, rokt: SandboxUnderTest, message: Any, drop: str
) -> Iterator[None]:
    rokt.fault(path="/v", drop=drop, times=1)
    with working(database_url, rokt, retry_for=AT_ONCE):
        accept(outbox, message)
        yield


class TestWhatDiedWithoutAnAnswer:
    @pytest.mark.parametrize("drop", ["before", "after"])
    def test_after_a_create_the_updates_arrive_whether_it_had_worked_or_not(
        self, outbox: Outbox, database_url: str, rokt: SandboxUnderTest, drop: str
    ) -> None:
        with one_that_dies_unanswered(outbox, database_url, rokt, a_message(), drop):
            accept(outbox, an_update("Second"), an_update("Third"))
            rows = settled(outbox, 3)

        assert [row.state for row in rows] == ["dead", "delivered", "delivered"]
        assert [event["title"] for event in rokt.calendar()[0]["holders"].values()] == ["Third"]
        assert standing(outbox).holders == {SUBSCRIPTION}

    @pytest.mark.parametrize("drop", ["before", "after"])
    @pytest.mark.parametrize("action", ["create", "upsert"])
    def test_after_a_delete_a_create_arrives_whether_it_had_worked_or_not(
        self, outbox: Outbox, database_url: str, rokt: SandboxUnderTest, drop: str, action: str
    ) -> None:
        with working(database_url, rokt):
            accept(outbox, a_message())
            settled(outbox)

        delete = a_message(action="delete", subscription_ids=[], event={})
        with one_that_dies_unanswered(outbox, database_url, rokt, delete, drop):
            accept(outbox, a_message(action=action, event=an_event()))
            rows = settled(outbox, 3)

        assert [row.state for row in rows] == ["delivered", "dead", "delivered"]
        assert rokt.calendar()[0]["holders"].keys() == {SUBSCRIPTION}
        assert len(rokt.calls(EVENTS)) >= 3


class TestClaimsThatNobodyMakes:
    def test_where_no_thread_starts_for_a_call_it_is_taken_over(
        self, outbox: Outbox, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """`can't start new thread` comes between the claim's commit and the call."""
        monkeypatch.setattr(upkeep, "STALE_AFTER", timedelta(seconds=0.3))
        monkeypatch.setattr(worker_module, "HEARTBEAT_EVERY", 0.05)
        upstream = Upstream()
        upstream.let_go.set()
        accept(outbox, a_message(), a_message(user_id="u-2"), a_message(user_id="u-3"))
        worker = Worker(database, [upstream], timedelta(days=1))
        _fail_once(worker, monkeypatch)

        with run(worker):
            rows = settled(outbox, 3)

        assert {row.state for row in rows} == {"delivered"}
        assert_all_is_over(outbox)


def _fail_once(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    [sender] = worker._senders.values()
    pool = sender._threads
    submit, failures = pool.submit, iter([RuntimeError("can't start new thread")])

    def fail_once(*given: Any) -> Any:
        taken = submit(*given)  # as the real one: it is queued before a thread is started for it
        for failure in failures:
            raise failure
        return taken

    monkeypatch.setattr(pool, "submit", fail_once)


@contextmanager
def run(worker: Worker) -> Iterator[None]:
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join(30)
        assert not thread.is_alive()
