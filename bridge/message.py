"""A message, and what can become of it: the one thing that web and worker share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

Json = Mapping[str, Any]


class State(StrEnum):
    ACCEPTED = "accepted"
    RETRYING = "retrying"
    DELIVERED = "delivered"
    UNCERTAIN = "uncertain"
    DEAD = "dead"
    SKIPPED = "skipped"
    SUPERSEDED = "superseded"


# In a message's progress: an earlier call of it may have worked, and nobody knows.
UNSURE = "unsure"
# It was delivered, and goes again only because an older call of its line was answered late.
ONCE_MORE = "once_more"
# So many messages, at the most, share its next call.
AT_MOST = "at_most"

SETTLED = frozenset({State.DELIVERED, State.DEAD, State.SKIPPED, State.SUPERSEDED, State.UNCERTAIN})


# By which messages are found, in a list or for a job.
FILTERS = (
    "state",
    "destination",
    "user_id",
    "event_id",
    "template",
    "reason",
    "cause",
    "was_uncertain",
    "since",
    "until",
)


@dataclass(frozen=True)
class NewMessage:
    """What a route makes of a request: one thing to be sent to one destination.

    `line`: the key whose messages leave in order, None for a line of its own. `request`: what the destination
    needs to send it, JSON. `state` other than accepted: kept for the record only, with its `reason`.
    """

    destination: str
    action: str
    request: Json
    line: str | None = None
    user_id: str | None = None
    event_id: str | None = None
    account_code: str = ""
    template: str | None = None
    version: int | None = None
    expires_at: datetime | None = None
    is_test: bool = False
    state: State = State.ACCEPTED
    reason: str | None = None


@dataclass(frozen=True)
class Message:
    """A stored message as a destination sees it. `progress` is what earlier calls of this message achieved."""

    seq: int
    id: str
    destination: str
    action: str
    request: Json
    line: int
    user_id: str | None
    event_id: str | None
    account_code: str
    template: str | None
    version: int | None
    is_test: bool
    was_uncertain: bool
    received_at: datetime
    first_failed_at: datetime | None
    tries: int
    expires_at: datetime | None
    request_id: str
    progress: Json = field(default_factory=dict)
    shut_before: float = 0.0  # seconds for which its destination had ever been shut when it first failed
    call_id: str = ""  # of a call that is made for it and for others

    @property
    def sent_as(self) -> str:
        """The X-Request-Id of a call of it: its request's, or where many leave together the call's own."""
        return self.call_id or self.request_id


@dataclass(frozen=True)
class Delivered:
    """The upstream has taken it. `progress` other than None: this call did a part, the rest follows at once.

    `is_nearly_too_much`: it said that little more is allowed for now.
    """

    status: int | None = None
    answer: str = ""
    ms: int = 0
    progress: Json | None = None
    is_nearly_too_much: bool = False


@dataclass(frozen=True)
class Skipped:
    """Nothing had to leave, for this reason."""

    reason: str


@dataclass(frozen=True)
class Rejected:
    """The message's own fault, as the upstream said it: dead, with its reason. `progress`: what was taken of it."""

    reason: str
    status: int | None = None
    answer: str = ""
    ms: int = 0
    progress: Json | None = None


@dataclass(frozen=True)
class Divided:
    """The upstream refused a whole batch and did nothing: its messages go again at once, in smaller ones.

    `progress`: what bounds the next call of this message.
    """

    reason: str
    status: int | None = None
    answer: str = ""
    ms: int = 0
    progress: Json | None = None


@dataclass(frozen=True)
class Retry:
    """Not begun, or answered with a refusal that may pass.

    `is_trouble`: the upstream is in trouble (network, 5xx), not this message. `refused_account`: the credential
    is not taken; "" means the one that all accounts share. `wait`: what the upstream asked for, seconds.
    """

    reason: str
    status: int | None = None
    answer: str = ""
    ms: int = 0
    wait: float | None = None
    is_trouble: bool = False
    refused_account: str | None = None


@dataclass(frozen=True)
class Uncertain:
    """The first byte was written and no whole answer came. `progress`: what the next call must know of it.

    `is_final`: it must not be repeated, so a person decides.
    """

    reason: str
    ms: int = 0
    progress: Json | None = None
    is_final: bool = False


@dataclass(frozen=True)
class Undecided:
    """Nothing left: an earlier call may have worked, and the message must not be repeated. A person decides."""

    reason: str


Outcome = Delivered | Skipped | Rejected | Divided | Retry | Uncertain | Undecided
