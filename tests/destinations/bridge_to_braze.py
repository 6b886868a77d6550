"""The ledger and the destination with a Braze beside them: what is said is accepted, leaves, and is settled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from factories import ACCOUNT, NOON, SUBSCRIPTION, a_call
from servers import SandboxUnderTest

from bridge.database import Database
from bridge.destinations.braze import Braze
from bridge.ledger.subscribers import SubscriberLedger, held
from bridge.message import Message, NewMessage, Outcome
from bridge.rate import Rate
from bridge.settings import ATTRIBUTES, BatchSettings, BrazeSettings, IdentityRule, Secret
from bridge.subscribers.change import Action, SubscriberChange
from bridge.subscribers.sync import Held
from bridge.subscribers.track import Sync
from bridge.turns import at_once

KEY = "0a1b2c3d-1111-2222-3333-444455556666"
USER = "u-1"
SECOND = timedelta(seconds=1)


def said(
    subscription_id: str = SUBSCRIPTION, action: Action = "subscribe", user: str | None = USER, **facts: Any
) -> SubscriberChange:
    """Without facts those of an account."""
    email = facts.pop("email", None)
    return SubscriberChange(
        action, subscription_id, facts=facts or {"account_code": ACCOUNT}, subscriber_id=user, email=email
    )


def braze_settings(url: str, **fields: Any) -> BrazeSettings:
    defaults: dict[str, Any] = {
        "url": url,
        "api_key": Secret(KEY),
        "batch": 75,
        "rate": Rate(),
        "captures_email": False,
        "attributes": ATTRIBUTES,
        "merges": True,
    }
    return BrazeSettings(**{**defaults, **fields})


class Bridge:
    """`batch` and `size` are of the messages of a call; other fields those of BrazeSettings."""

    def __init__(self, database: Database, url: str, **fields: Any) -> None:
        batch = BatchSettings(fields.pop("messages", 100), SECOND, fields.pop("size", 1_000_000))
        self.database = database
        self.braze = Braze(braze_settings(url, **fields), batch, timedelta(days=30), allow_http=True)
        self.ledger = SubscriberLedger(IdentityRule(), syncs=True, looks_up=False, sends_unsubscribe=True)
        self._seq = 0

    def accept(self, *changes: SubscriberChange, now: datetime = NOON) -> list[Message]:
        made: list[NewMessage] = []
        with self.database.write() as connection:
            loaded = self.ledger.load(connection, changes)
            for change in changes:
                made += loaded.apply(change, now)
            loaded.write(connection, now)
        return [self._stored(one, now) for one in made]

    def _stored(self, new: NewMessage, now: datetime) -> Message:
        return a_call(
            new.line,
            destination="braze",
            action=new.action,
            request=new.request,
            user_id=new.user_id,
            event_id=new.event_id,
            account_code="",
            received_at=now,
        ).message

    def look_up(self, messages: Sequence[Message]) -> list[Sync]:
        with self.database.read() as connection:
            return self.braze.look_up(connection, messages)

    def claim(self, messages: Sequence[Message]) -> list[Sync]:
        """As the worker does before a call: the messages are all of it."""
        with self.database.write() as connection:
            standings = self.braze.look_up(connection, messages)
            self.braze.intend(connection, messages, standings, NOON)
        return standings

    def record(
        self, messages: Sequence[Message], standings: Sequence[Sync], outcomes: Sequence[Outcome]
    ) -> None:
        with self.database.write() as connection:
            done = [(*one, None) for one in zip(messages, standings, outcomes, strict=True)]
            self.braze.record(connection, done, NOON)

    def send(self, messages: Sequence[Message], turn: Callable[[], None] = at_once) -> list[Outcome]:
        """One call, from its claim to its settling."""
        standings = self.claim(messages)
        outcomes = self.braze.deliver(messages, standings, turn)
        self.record(messages, standings, outcomes)
        return outcomes

    def tell(self, *changes: SubscriberChange) -> list[Outcome]:
        return self.send(self.accept(*changes))

    def held(self, identifier: str = f"external_id:{USER}", key: str = SUBSCRIPTION) -> Held:
        with self.database.read() as connection:
            return held(connection, [(identifier, key)])[identifier, key]


def after(message: Message, outcome: Outcome) -> Message:
    """As the outbox would have it for its next call."""
    return replace(message, progress={**message.progress, **(getattr(outcome, "progress", None) or {})})


def track_calls(sandbox: SandboxUnderTest) -> list[dict[str, Any]]:
    return [call["body"] for call in sandbox.calls("/users/track")]


def profile(sandbox: SandboxUnderTest, external_id: str = USER) -> dict[str, Any]:
    """What stands in Braze: its attributes, and the names of its events."""
    status, profiles = sandbox.ask("GET", "/sandbox/profiles")
    assert status == 200
    [found] = [one for one in profiles if one.get("external_id") == external_id]
    return {**found["attributes"], "events": [event["name"] for event in found["events"]]}
