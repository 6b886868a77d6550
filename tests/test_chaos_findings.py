"""What `make chaos` found with the worker and Rokt together, each as small as it can be told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from factories import SUBSCRIPTION, a_message, an_event
from outbox.steps import Outbox
from servers import SandboxUnderTest, running_sandbox
from test_worker import EVENTS, accept, settled, standing, working

from bridge.database import Database

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
