"""Rokt's Event API on mParticle: conversions by `POST /bulkevents`, a batch for each user.

https://docs.rokt.com/developers/integration-guides/rokt-ads/event-api
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy.engine import Connection

from bridge.conversions.batches import Part, is_known_again
from bridge.conversions.calls import Call, Limits
from bridge.destinations.batch import Batch, Pack
from bridge.destinations.outcomes import of_trouble
from bridge.destinations.rokt_events_packs import Load, Standing, packs_of
from bridge.destinations.rokt_events_verdicts import doubtful, is_nearly_used_up, outcomes
from bridge.errors import CredentialRefused, NotBegun, UpstreamTrouble
from bridge.message import ONCE_MORE, UNSURE, Delivered, Message, Outcome, State, Undecided
from bridge.settings import BatchSettings, RoktEventsSettings
from bridge.upstream import Upstream
from bridge.upstream.basic import Basic

NAME = "rokt_events"
IN_FLIGHT = 8  # calls of one worker at once
SLOWED_FOR = 1.0  # seconds, once nearly all that Rokt allows is used up
NOT_AGAIN = (
    "whether an earlier call of it worked is not known, and without a confirmation_ref Rokt would count it twice: "
    "replay it, or leave it"
)


class RoktEvents:
    name = NAME
    in_flight = IN_FLIGHT

    def __init__(self, settings: RoktEventsSettings, batch: BatchSettings, *, allow_http: bool) -> None:
        self.rate = settings.rate
        self.batch = Batch(batch.count, batch.age, merges=True)
        self._environment = settings.environment
        self._limits = Limits.of(settings.rate, batch.count, batch.size)
        basic = Basic(settings.key, settings.secret.reveal())
        self._upstream = Upstream(settings.url, basic, allow_http=allow_http, connections=IN_FLIGHT)
        self._brake = Brake()

    def credential_of(self, account_code: str) -> str:
        return ""

    def look_up(self, connection: Connection, messages: Sequence[Message]) -> list[Standing]:
        return [self._standing(message) for message in messages]

    def pack(self, messages: Sequence[Message], standings: Sequence[Standing]) -> list[Pack]:
        """A user's in one call, as far as they fit."""
        return packs_of(messages, standings, self._limits)

    def intend(
        self,
        connection: Connection,
        messages: Sequence[Message],
        standings: Sequence[Standing],
        now: datetime,
    ) -> None:
        """A message says itself whether an earlier call of it may have worked."""

    def deliver(
        self, messages: Sequence[Message], standings: Sequence[Standing], turn: Callable[[], None]
    ) -> list[Outcome]:
        """One call for all that leaves."""
        load, positions = Load(), []
        before: int | None = None
        for position, (message, standing) in enumerate(zip(messages, standings, strict=True)):
            load = load.with_one(message, standing, is_same_user=message.line == before)
            if standing.outcome is None:
                positions.append(position)
            before = message.line
        found = [standing.outcome for standing in standings]
        if positions:
            known = [standings[position].is_known_again for position in positions]
            request_id = messages[positions[0]].request_id
            its = self._sent(load.call, known, request_id, turn)
            for position, outcome in zip(positions, its, strict=True):
                found[position] = outcome
        return [outcome for outcome in found if outcome is not None]

    def record(
        self,
        connection: Connection,
        done: Sequence[tuple[Message, Standing, Outcome, State | None]],
        now: datetime,
    ) -> None:
        """Nothing is kept but the messages themselves."""

    def doubt(self, connection: Connection, doubted: Sequence[tuple[Message, Standing | None]]) -> None:
        """No conversion depends on another."""

    def forget_old(self, connection: Connection, now: datetime) -> int:
        return 0

    def check(self) -> dict[str, str | UpstreamTrouble]:
        return {"": self._checked()}

    def close(self) -> None:
        self._upstream.close()

    def _standing(self, message: Message) -> Standing:
        part = Part.of(message.request, message.id, message.received_at, self._environment)
        is_known = is_known_again(message.request)
        outcome: Outcome | None = None
        if message.progress.get(ONCE_MORE):
            outcome = Delivered()
        elif message.progress.get(UNSURE) and not is_known:
            outcome = Undecided(NOT_AGAIN)
        return Standing(part, is_known, outcome)

    def _sent(
        self, call: Call, known: Sequence[bool], request_id: str, turn: Callable[[], None]
    ) -> list[Outcome]:
        """`known`: of each message whether Rokt would know it again."""

        def slowed() -> None:
            self._brake.wait()
            turn()

        headers = {"X-Request-Id": request_id}
        started = time.monotonic()
        try:
            answer = self._upstream.send("POST", call.path, call.body(), headers=headers, turn=slowed)
        except UpstreamTrouble as trouble:
            outcome = of_trouble(trouble, round((time.monotonic() - started) * 1000))
            return [doubtful(outcome, is_known_again=its) for its in known]
        if is_nearly_used_up(answer):
            self._brake.pull()
        return outcomes(answer, call, known)

    def _checked(self) -> str | UpstreamTrouble:
        """A batch without anything is refused, behind the key."""
        try:
            answer = self._upstream.send("POST", "/events", {})
        except UpstreamTrouble as trouble:
            return trouble
        told = f"mParticle answered {answer.status}"
        if answer.status in (401, 403):
            told += ": another key and secret are needed, or another pod in ROKT_EVENTS_POD"
            return CredentialRefused(told)
        if answer.status == 400 or 200 <= answer.status < 300:
            return "the key is taken"
        return NotBegun(told)


class Brake:
    """Holds the calls of this process for a moment. Threads share it."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._until = 0.0

    def pull(self) -> None:
        with self._lock:
            self._until = self._clock() + SLOWED_FOR

    def wait(self) -> None:
        if (left := self._until - self._clock()) > 0:
            self._sleep(left)
