"""The worker and Braze through a bad day: in the end each profile is as it should be, and every event has come."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from destinations.bridge_to_braze import KEY, braze_settings, said
from factories import ACCOUNT
from outbox.steps import eventually
from servers import SandboxUnderTest, running_sandbox
from test_worker import running

from bridge import worker as worker_module
from bridge.database import Database
from bridge.destinations.braze import Braze
from bridge.ledger.subscriber_tables import braze_held
from bridge.ledger.subscribers import SubscriberLedger
from bridge.message import State
from bridge.outbox import settle, states
from bridge.outbox.enqueue import Inbox, Request
from bridge.outbox.tables import messages
from bridge.settings import BatchSettings, IdentityRule
from bridge.subscribers.change import SubscriberChange

USERS = 12
FAULTS: tuple[dict[str, Any], ...] = (
    {"drop": "after"},
    {"status": 503},
    {"drop": "before"},
    {"status": 400, "body": {"message": "Max Input Length Exceeded"}},
    {"status": 429, "retry_after": 0},
    {"status": 201, "body": "nobody knows"},
)


@pytest.fixture(autouse=True)
def _without_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settle, "BACK_OFF_FIRST", 0.01)
    monkeypatch.setattr(worker_module, "POLL_EVERY", 0.01)
    monkeypatch.setattr(states, "TROUBLED_LINES", 1000)  # it is no outage


@pytest.fixture
def sandbox() -> Iterator[SandboxUnderTest]:
    with running_sandbox(api_key=KEY) as sandbox:
        yield sandbox


def changes() -> list[SubscriberChange]:
    """Each user has two subscriptions; the first is changed, and ends for every second user."""
    made = []
    for number in range(USERS):
        user, first, second = f"u-{number}", f"a-first{number}", f"a-second{number}"
        made += [said(first, user=user, source="old"), said(second, user=user, account_code=ACCOUNT)]
        made.append(said(first, "update", user=user, source="new"))
        if number % 2:
            made.append(said(first, "unsubscribe", user=user))
    return made


def test_in_the_end_every_profile_is_as_it_should_be(database: Database, sandbox: SandboxUnderTest) -> None:
    ledger = SubscriberLedger(IdentityRule(), syncs=True, looks_up=False, sends_unsubscribe=True)
    inbox = Inbox(database, ledger)
    batch = BatchSettings(count=10, age=timedelta(milliseconds=20))
    braze = Braze(braze_settings(sandbox.url), batch, timedelta(days=30), allow_http=True)
    for fault in FAULTS:
        sandbox.fault(path="/users/track", times=1, **fault)

    with running(database, [braze]):
        for number, change in enumerate(changes()):
            inbox.accept(Request((), f"r-{number}", "rokt", "rokt.webhook", {"body": {}}, change=change))
        ended = eventually(lambda: all_ended(database), 30)
    inbox.close()

    assert sandbox.ask("GET", "/sandbox/faults") == (200, [])
    assert set(ended) <= {State.DELIVERED, State.SKIPPED}
    profiles = {one["external_id"]: one for one in sandbox.ask("GET", "/sandbox/profiles")[1]}
    assert len(profiles) == USERS
    for number in range(USERS):
        has_ended = number % 2
        its = profiles[f"u-{number}"]
        ids = [f"a-second{number}"] if has_ended else [f"a-first{number}", f"a-second{number}"]
        assert sorted(its["attributes"]["rokt:subscription_id"]) == ids
        assert its["attributes"].get("rokt:source", []) == ([] if has_ended else [f"new/first{number}"])
        keys = {event["properties"]["event_key"] for event in its["events"]}
        assert len(keys) == 2 + has_ended
    with database.read() as connection:
        unsure = connection.scalars(sa.select(braze_held.c.unsure)).all()
    assert [one for one in unsure if one] == []


def all_ended(database: Database) -> list[str] | None:
    with database.read() as connection:
        found = list(connection.scalars(sa.select(messages.c.state)))
    waits = {State.ACCEPTED, State.RETRYING, State.UNCERTAIN}
    return None if waits & set(found) else found
