"""The worker and custom audiences through a bad day: in the end each list holds who was said last to be on it."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from outbox.steps import eventually
from servers import SandboxUnderTest, running_sandbox
from test_worker import running

from bridge import worker as worker_module
from bridge.database import Database
from bridge.destinations.rokt_audiences import RoktAudiences
from bridge.message import State
from bridge.outbox import settle, states
from bridge.outbox.enqueue import Inbox, Request
from bridge.outbox.tables import attempts, messages
from bridge.routes import audiences
from bridge.settings import BatchSettings, Credential, RoktApiSettings, Secret

PATH = "/v3/import/suppression"
PEOPLE, CHANGES = 8, 60
FAULTS: tuple[dict[str, Any], ...] = (
    {"drop": "after"},
    {"status": 503},
    {"drop": "before"},
    {"status": 429, "retry_after": 0},
    {"status": 400, "body": {"message": "nobody knows why"}},
    {"status": 413},
    {"status": 502, "body": "<html>"},
)


@pytest.fixture(autouse=True)
def _without_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settle, "BACK_OFF_FIRST", 0.01)
    monkeypatch.setattr(worker_module, "POLL_EVERY", 0.01)
    monkeypatch.setattr(states, "TROUBLED_LINES", 1000)  # it is no outage


@pytest.fixture
def sandbox() -> Iterator[SandboxUnderTest]:
    with running_sandbox() as sandbox:
        yield sandbox


def destination(url: str, **batch: Any) -> RoktAudiences:
    key = Credential("rpub-1", Secret("rsec-1"))
    settings = RoktApiSettings("https://api.rokt.com", "1234", key, None, url)
    return RoktAudiences(settings, key, BatchSettings(**batch), allow_http=True)


def asked(inbox: Inbox, body: dict[str, Any]) -> list[str]:
    update = audiences.read(body, None, None)
    request = Request(update.messages(), "r-1", "braze", audiences.NAME, {"body": dict(update.told)})
    return list(inbox.accept(request).ids)


def all_ended(database: Database) -> list[str] | None:
    with database.read() as connection:
        found = list(connection.scalars(sa.select(messages.c.state)))
    waits = {State.ACCEPTED, State.RETRYING, State.UNCERTAIN}
    return None if waits & set(found) else found


@pytest.mark.parametrize("seed", range(3))
def test_in_the_end_every_list_holds_whom_it_should(
    database: Database, sandbox: SandboxUnderTest, seed: int
) -> None:
    chance = random.Random(seed)
    for fault in chance.sample(FAULTS, len(FAULTS)):
        sandbox.fault(path=PATH, times=1, **fault)
    inbox = Inbox(database)
    rokt = destination(sandbox.url, count=10, age=timedelta(milliseconds=20))
    expected: dict[str, set[str]] = {"VIP": set(), "other": set()}

    # All are accepted first: a refusal of one message alone would be its own.
    for _ in range(CHANGES):
        people = [f"u{number}@example.com" for number in chance.sample(range(PEOPLE), chance.randint(2, 3))]
        hashes = {hashlib.sha256(one.encode()).hexdigest() for one in people}
        list_name, action = chance.choice(("VIP", "other")), chance.choice(("include", "exclude"))
        asked(
            inbox,
            {"list": list_name, "action": action, "emails": people, "hash": chance.random() < 0.5},
        )
        its = expected[list_name]
        expected[list_name] = its | hashes if action == "include" else its - hashes
    with running(database, [rokt]):
        ended = eventually(lambda: all_ended(database), 30)
    inbox.close()

    assert sandbox.ask("GET", "/sandbox/faults") == (200, [])
    assert set(ended) <= {State.DELIVERED, State.SKIPPED}
    assert {name: set(its) for name, its in sandbox.sandbox.audiences.shown().items()} == expected


def test_what_was_refused_is_not_overtaken_by_what_stood_behind_it(
    database: Database, sandbox: SandboxUnderTest
) -> None:
    sandbox.fault(path=PATH, times=1, status=400)
    inbox = Inbox(database)
    asked(inbox, {"action": "include", "email": "bob@example.com"})
    asked(inbox, {"action": "include", "emails": ["ada@example.com", "eve@example.com"]})
    asked(inbox, {"action": "exclude", "email": "bob@example.com"})
    rokt = destination(sandbox.url, age=timedelta(milliseconds=20))

    with running(database, [rokt]):
        ended = eventually(lambda: all_ended(database), 30)
    inbox.close()

    assert sorted(ended) == [State.DELIVERED, State.DELIVERED, State.SKIPPED]
    [members] = sandbox.sandbox.audiences.shown().values()
    assert len(members) == 2


def test_a_large_list_goes_in_few_calls_in_its_order(database: Database, sandbox: SandboxUnderTest) -> None:
    inbox = Inbox(database)
    hashes = [hashlib.sha256(b"%d" % number).hexdigest() for number in range(12_000)]
    for start in range(0, 12_000, 4_000):
        assert len(asked(inbox, {"action": "include", "sha256s": hashes[start : start + 4_000]})) == 40
    rokt = destination(sandbox.url, age=timedelta(milliseconds=20))

    with running(database, [rokt]):
        eventually(lambda: all_ended(database), 30)
    inbox.close()

    calls = [call["body"]["sha256s"] for call in sandbox.calls(PATH)]
    assert [len(call) for call in calls] == [10_000, 2_000]
    assert [one for call in calls for one in call] == hashes


def test_nobody_is_named_in_the_attempts_that_are_kept(database: Database, sandbox: SandboxUnderTest) -> None:
    address = "ada@example.com"
    its_hash = hashlib.sha256(address.encode()).hexdigest()
    words = f"{address} and {its_hash} are not valid"
    sandbox.fault(path=PATH, status=400, body={"message": words})
    inbox = Inbox(database)
    asked(inbox, {"action": "include", "emails": [address, its_hash]})
    rokt = destination(sandbox.url, age=timedelta(milliseconds=20))

    with running(database, [rokt]):
        ended = eventually(lambda: all_ended(database), 30)
    inbox.close()

    assert set(ended) == {State.DEAD}
    with database.read() as connection:
        told = repr(connection.execute(sa.select(attempts.c.answer)).all())
        told += repr(connection.execute(sa.select(messages.c.reason, messages.c.progress)).all())
    assert "are not valid" in told
    assert address not in told
    assert its_hash not in told
