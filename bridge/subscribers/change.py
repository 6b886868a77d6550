"""What is said of a subscription: by Rokt's webhook, by the API, or by Rokt when it was asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from bridge.message import Json

Action = Literal["subscribe", "update", "unsubscribe"]


@dataclass(frozen=True)
class SubscriberChange:
    """`subscription_id`: as it was given. `facts`: those that were said and are not blank, see `facts.FACTS`.

    `left_out`: facts (and "subscriber_id") that this source should have told and did not. Rokt may be asked for
    them, once for each subscription; empty for a source that knows no more. `identifier`: the Braze profile that
    the source itself names; it counts where the rule of identity finds none.
    """

    action: Action
    subscription_id: str
    facts: Json = field(default_factory=dict)
    subscriber_id: str | None = None
    email: str | None = None
    left_out: frozenset[str] = frozenset()
    identifier: str | None = None


@dataclass(frozen=True)
class LookedUp:
    """What Rokt answered of a subscription, for the change that waited for it. It fills what is not known yet.

    `event`: the custom event that the change brings about, None for none; `at`: when that was. `is_active`: False
    for what has ended at Rokt.
    """

    action: Action
    subscription_id: str
    event: str | None
    facts: Json = field(default_factory=dict)
    subscriber_id: str | None = None
    email: str | None = None
    at: datetime | None = None
    is_active: bool | None = None
