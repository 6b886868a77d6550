"""POST /v1/forget: one person leaves every table, nobody else does, and what statistics go by stays."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import structlog
from servers import SandboxUnderTest, running_sandbox
from web.running import Answer, Bridge, Starter, literal, sale

from bridge import job_runner
from bridge.database import clock, metadata
from bridge.destinations import configured
from bridge.forget import Forget, Person
from bridge.job_runner import JobRunner
from bridge.ledger import coming
from bridge.ledger.coming_tables import coming as coming_table
from bridge.outbox.tables import jobs, messages, waiting
from bridge.sandbox.rokt_api import HOST

PATH = "/v1/forget"
SECRET = "a-secret-of-rokts-webhook"
EVENTS = {"ROKT_EVENTS_KEY": "k", "ROKT_EVENTS_SECRET": "s", "ROKT_EVENTS_ENVIRONMENT": "development"}
API = {"ROKT_ACCOUNT_ID": "1234", "ROKT_API_KEY": "rpub-1", "ROKT_API_SECRET": "rsec-a-secret"}
BRAZE = {"BRAZE_API_KEY": "a-braze-key"}
SOON = (datetime.now(UTC) + timedelta(days=30)).strftime("%Y-%m-%dT09:00")
BATCH = {"BATCH_AGE": "1s", "BATCH_COUNT": "1"}


class Somebody:
    """Texts that stand nowhere else than where this person does."""

    def __init__(self, name: str, number: int) -> None:
        self.user_id = f"u_{name}-1"
        self.name = f"{name}ine"
        self.email = f"{name}@{name}.example"
        self.hash = hashlib.sha256(self.email.encode()).hexdigest()
        self.ids = (
            f"06423672-b6ba-4536-aa36-f573386{number:05}",
            f"1d423672-b6ba-4536-aa36-F573386{number:05}",
        )

    def in_(self, text: str) -> list[str]:
        text = text.lower()
        marks = (self.user_id, self.name, self.email, self.hash, *(one.lower() for one in self.ids))
        return [mark for mark in marks if mark.lower() in text]


ADA, BOB = Somebody("adalove", 11111), Somebody("bobhope", 22222)


def everything(sandbox: SandboxUnderTest) -> dict[str, str]:
    return {
        **EVENTS, **API, **BRAZE, **BATCH,
        "ROKT_EVENTS_URL": f"{sandbox.url}/v2",
        "ROKT_API_URL": sandbox.url + HOST,
        "ROKT_AUDIENCE_URL": sandbox.url,
        "BRAZE_REST_URL": sandbox.url,
        "ROKT_WEBHOOK_SECRET": SECRET,
    }  # fmt: skip


def fill(bridge: Bridge, who: Somebody) -> None:
    """Something of every kind."""
    subscription = {"account_code": "brazetest", "calendar_code": "test", "subscriber_email": who.email}
    for one in who.ids:
        told = {"subscription_id": one, "device_name": f"{who.name}'s", **subscription}
        bridge.accept(
            {"action": "subscribe", "external_id": who.user_id, "subscription": told}, "/v1/subscribers"
        )
    hook = {
        "eventId": f"hook-{who.name}",
        "eventType": "SubscriptionDetailsUpdated",
        "eventDetails": {
            "accountCode": "brazetest",
            "subscription": {
                "calendarSubscriptionId": who.ids[0],
                "subscriberId": who.user_id,
                "deviceName": f"{who.name}'s other",
            },
        },
    }
    bridge.post(hook, f"/v1/rokt/webhooks/{SECRET}")
    to = {"account_code": ["brazetest"], "subscription_ids": [who.ids[0]], "user_id": who.user_id}
    named = {"event__title": f"For {who.name}", "event__event_id": f"for-{who.name}"}
    bridge.accept(literal(**to, **named, event__start=SOON))
    bridge.accept(sale(**to), headers={"Idempotency-Key": who.name})
    bridge.refuse(sale(**to, variables={"starts": f"{who.name}'s day", "sale_id": "x", "discount": "50"}))
    event = {
        "eventId": f"dropped_{who.user_id}", "title": who.name, "description": "", "location": "",
        "start": "2090-12-01T09:00:00", "end": "2090-12-01T10:00:00", "timezone": "UTC",
    }  # fmt: skip
    body = {"event": event, "subscriptionIds": [who.ids[0]]}
    bridge.accept(body, "/v1/subscriptionevent/brazetest")
    conversion = {"amount": 5, "transaction_id": f"t-{who.name}"}
    bridge.accept({"email": who.email, **conversion}, "/v1/conversions")
    bridge.accept({"email": who.email.upper(), "hash": True, "amount": 6}, "/v1/conversions")
    bridge.accept({"user_id": who.user_id, "email": f"other-{who.email}", "amount": 7}, "/v1/conversions")
    bridge.accept({"email": f" {who.email.title()} ", "event_id": f"e-{who.name}"}, "/v1/events")
    bridge.accept({"email_sha256": who.hash.upper(), "amount": 1}, "/v1/events")
    bridge.accept({"action": "include", "email": who.email}, "/v1/audiences")
    bridge.accept({"action": "exclude", "email": who.email, "hash": True}, "/v1/audiences/Some")
    for kind in ("replay", "cancel"):
        state = {"replay": "dead", "cancel": "accepted"}[kind]
        bridge.accept({"user_id": f"{who.user_id}", "state": state}, f"/v1/messages/{kind}")
    bridge.accept({"event_id": f"for-{who.name}_{who.user_id}", "state": "dead"}, "/v1/messages/replay")


def fill_both(bridge: Bridge) -> None:
    """Each by himself, and both in one list."""
    for who in (ADA, BOB):
        fill(bridge, who)
    bridge.accept({"action": "include", "emails": [ADA.email, BOB.email]}, "/v1/audiences")
    bridge.accept({"action": "include", "emails": [BOB.email, ADA.email], "hash": True}, "/v1/audiences/Some")


def dump(bridge: Bridge) -> dict[str, list[str]]:
    """Every row of every table, as the database itself holds it."""
    with bridge.database.read() as connection:
        return {
            table.name: sorted(
                repr([bytes(one) if isinstance(one, memoryview) else one for one in row])
                for row in connection.execute(sa.text(f'SELECT * FROM "{table.name}"'))
            )
            for table in metadata.sorted_tables
        }


def holding(rows: dict[str, list[str]], who: Somebody) -> dict[str, list[str]]:
    return {name: its for name, all_ in rows.items() if (its := [row for row in all_ if who.in_(row)])}


def kept(bridge: Bridge) -> list[Any]:
    names = (
        "id",
        "seq",
        "destination",
        "action",
        "account_code",
        "template",
        "version",
        "received_at",
        "tries",
    )
    with bridge.database.read() as connection:
        return list(connection.execute(sa.select(*messages.c[names]).order_by(messages.c.seq)))


def states(bridge: Bridge) -> dict[str, str]:
    with bridge.database.read() as connection:
        return {row.id: row.state for row in connection.execute(sa.select(messages))}


def work(bridge: Bridge) -> None:
    """Do all jobs, as a worker does."""
    forget = Forget(bridge.database, timedelta(days=30))
    runner = JobRunner(bridge.database, configured(bridge.settings), None, None, forget)  # type: ignore[arg-type]
    while runner.step() not in (job_runner.LOOK_EVERY, job_runner.HELD_UP_WAIT):
        pass


def forget(bridge: Bridge, status: int = 200, **body: Any) -> Answer:
    answer = bridge.post(body, PATH, key="operate")
    assert answer.status == status, answer.body
    return answer


@pytest.fixture
def walked(start_on_both: Starter, rokt: SandboxUnderTest) -> Bridge:
    return start_on_both(sandbox=rokt, **everything(rokt))


@pytest.mark.parametrize("is_delivered", [True, False], ids=["delivered", "waiting"])
def test_every_trace_of_one_person_goes_and_every_one_of_another_stays(
    walked: Bridge, is_delivered: bool
) -> None:
    fill_both(walked)
    if is_delivered:
        walked.deliver()
        with walked.database.write() as connection:
            look = coming.Look()
            while not look.piece(connection, clock(connection)):
                pass
            look.write(connection, clock(connection))
    before, whole, its_states = dump(walked), kept(walked), states(walked)
    expected = {"messages", "bodies", "subscriptions", "latest", "jobs"}
    expected |= {"calendar_events", "calendar_holders", "braze_held", "coming"} if is_delivered else set()
    assert expected <= holding(before, ADA).keys()

    answer = forget(walked, user_id=ADA.user_id, email=ADA.email)

    after = dump(walked)
    assert holding(after, ADA) == {}
    assert answer.body["known"] is True
    alone = {name: [row for row in rows if not ADA.in_(row)] for name, rows in holding(before, BOB).items()}
    shared = {
        name: [row for row in rows if row not in alone[name]] for name, rows in holding(after, BOB).items()
    }
    assert {name: [row for row in rows if row in after[name]] for name, rows in alone.items()} == alone
    assert {name: len(rows) for name, rows in shared.items() if rows} == {"bodies": 2}
    assert kept(walked) == whole
    ended = {its_id for its_id, state in states(walked).items() if state != its_states[its_id]}
    assert all(its_states[its_id] in ("accepted", "retrying") for its_id in ended)
    assert bool(ended) is not is_delivered
    assert ADA.in_(json.dumps(answer.body)) == []


def test_what_is_left_of_others_is_delivered_and_nothing_of_who_was_forgotten(walked: Bridge) -> None:
    fill_both(walked)

    forget(walked, user_id=ADA.user_id, email=ADA.email)
    walked.deliver()

    assert ADA.in_(json.dumps(walked.sent())) == []
    assert len(BOB.in_(json.dumps(walked.sent()))) == 6
    assert holding(dump(walked), ADA) == {}
