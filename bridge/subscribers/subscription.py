"""One subscription as the ledger knows it, and how what is said of it changes that."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

from bridge.message import Json
from bridge.settings import IdentityRule
from bridge.subscribers.change import LookedUp, SubscriberChange
from bridge.subscribers.facts import FACTS, key_of_subscription, suffix_of, values
from bridge.subscribers.identity import address, chosen, usable


@dataclass(frozen=True)
class Subscription:
    """`identifier`: the Braze profile that it belongs to. `suffix`: how its values end there.

    `is_looked_up`: Rokt was asked for it. `lookups`: messages that wait for that, or behind one that does.
    `is_assumed`: that it is active follows from an update; its subscribe was not seen.
    """

    key: str
    given_id: str
    facts: Json
    suffix: str
    is_active: bool
    subscriber_id: str | None
    email: str | None
    identifier: str | None
    is_looked_up: bool
    lookups: int
    updated_at: datetime
    is_assumed: bool = False

    def target(
        self, identifier: str, wanted: Collection[str], *, captures_email: bool = False
    ) -> dict[str, list[str]]:
        """What this profile's arrays should hold of it; nothing if it ended or belongs to another profile.

        `captures_email`: Braze's own `email` too, which is no array: one value, that is never taken away.
        """
        if not self.is_active or self.identifier != identifier:
            return {}
        found = values(self.facts, self.suffix, wanted)
        if captures_email and self.email and not identifier.startswith("email:"):
            found["email"] = [self.email]
        return found

    def knows(self, name: str) -> bool:
        """`name`: of a fact, or "subscriber_id"."""
        return self.subscriber_id is not None if name == "subscriber_id" else name in self.facts

    def identified(self, rule: IdentityRule, *, may_fall_back: bool = True) -> Subscription:
        """By its subscriber id if it has one; else the profile stays, be it a source's own or a second choice."""
        its = chosen(
            rule, self.identifier, self.subscriber_id, self.email, self.key, may_fall_back=may_fall_back
        )
        return replace(self, identifier=its)


def told(before: Subscription | None, change: SubscriberChange, now: datetime) -> Subscription:
    """What is said replaces what was known, and what is not said stays. See `identified` for the profile."""
    known = before or _unknown(change.subscription_id, now)
    # A subscribe may come after an update: Rokt repeats what it could not deliver, minutes later.
    is_assumed = change.action == "update" and (before is None or before.is_assumed)
    # An end moves nothing to another profile: that would get the event of somebody else's subscription.
    named = known.identifier if change.action == "unsubscribe" else None
    return replace(
        known,
        facts={**known.facts, **_said(change.facts), "subscription_id": known.given_id},
        is_active=change.action == "subscribe" or (change.action == "update" and known.is_active),
        is_assumed=is_assumed,
        subscriber_id=known.subscriber_id if named else usable(change.subscriber_id) or known.subscriber_id,
        email=known.email if named else address(change.email) or known.email,
        identifier=named or change.identifier or known.identifier,
        updated_at=now,
    )


def looked_up(before: Subscription | None, change: LookedUp, now: datetime) -> Subscription:
    """What Rokt answered fills what is not known; it may be older than what was said since."""
    known = before or replace(_unknown(change.subscription_id, now), is_active=change.action != "unsubscribe")
    return replace(
        known,
        facts={**_said(change.facts), **known.facts, "subscription_id": known.given_id},
        is_active=known.is_active and change.is_active is not False,
        subscriber_id=known.subscriber_id or usable(change.subscriber_id),
        email=known.email or address(change.email),
        is_looked_up=True,
        lookups=max(0, known.lookups - 1),
        updated_at=now,
    )


def _unknown(given_id: str, now: datetime) -> Subscription:
    given_id = given_id.strip()
    return Subscription(
        key=key_of_subscription(given_id),
        given_id=given_id,
        facts={},
        suffix=suffix_of(given_id),
        is_active=True,
        subscriber_id=None,
        email=None,
        identifier=None,
        is_looked_up=False,
        lookups=0,
        updated_at=now,
    )


def _said(facts: Json) -> dict[str, object]:
    return {name: facts[name] for name in FACTS if facts.get(name) not in (None, "")}
