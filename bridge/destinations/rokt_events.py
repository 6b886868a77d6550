"""Rokt's Event API on mParticle: conversions by `POST /bulkevents`, a batch for each user.

https://docs.rokt.com/developers/integration-guides/rokt-ads/event-api
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from sqlalchemy.engine import Connection

from bridge.conversions.batches import Part, is_known_again
from bridge.conversions.calls import Call, Limits
from bridge.destinations.batch import Batch, Pack
from bridge.destinations.outcomes import of_trouble
from bridge.destinations.rokt_events_verdicts import AT_MOST, doubtful, is_nearly_used_up, outcomes
from bridge.errors import CredentialRefused, NotBegun, UpstreamTrouble
from bridge.message import UNSURE, Delivered, Message, Outcome, State, Undecided
from bridge.settings import BatchSettings, RoktEventsSettings
from bridge.upstream import Upstream
from bridge.upstream.basic import Basic

NAME = "rokt_events"
IN_FLIGHT = 8  # calls of one worker at once
SLOWED_FOR = 1.0  # seconds, once nearly all that Rokt allows is used up
ONCE_MORE = "once_more"  # in a message's progress: it was delivered, and an older call of its line came late
NOT_AGAIN = (
    "whether an earlier call of it worked is not known, and without a confirmation_ref Rokt would count it twice: "
    "replay it, or leave it"
)


@dataclass(frozen=True)
class Standing:
    """What a message puts into its call. `outcome`: instead of that, where nothing of it leaves."""

    part: Part
    is_known_again: bool
    outcome: Outcome | None = None


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
        packs: list[Pack] = []
        load = _Load()
        both = zip(messages, standings, strict=True)
        for _, group in groupby(both, lambda one: one[0].line):
            its = list(group)
            if load.messages and not load.with_all(its).fits(self._limits):
                packs.append(Pack(load.messages))
                load = _Load()
            for number, one in enumerate(its):
                grown = load.with_one(*one, is_same_user=number > 0)
                if load.messages and not grown.fits(self._limits):
                    packs.append(Pack(load.messages, left_out=len(its) - number))
                    load = _Load()
                    break
                load = grown
        if load.messages:
            packs.append(Pack(load.messages, is_full=load.is_full(self._limits)))
        return packs

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
        load, positions = _Load(), []
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


@dataclass(frozen=True)
class _Load:
    """What messages put into a call. `most`: messages, as one of them demands."""

    call: Call = Call()  # noqa: RUF009  frozen
    messages: int = 0
    most: int | None = None

    def with_one(self, message: Message, standing: Standing, *, is_same_user: bool) -> _Load:
        call = self.call
        if standing.outcome is None:
            call = call.with_part(standing.part, is_same_user=is_same_user)
        demanded = [one for one in (self.most, message.progress.get(AT_MOST)) if one is not None]
        return _Load(call, self.messages + 1, min(demanded, default=None))

    def with_all(self, its: Sequence[tuple[Message, Standing]]) -> _Load:
        load = self
        for number, (message, standing) in enumerate(its):
            load = load.with_one(message, standing, is_same_user=number > 0)
        return load

    def fits(self, limits: Limits) -> bool:
        most = min(limits.messages, self.most or limits.messages)
        return self.messages <= most and self.call.fits(limits)

    def is_full(self, limits: Limits) -> bool:
        return self.most is not None or self.messages >= limits.messages or not self.call.has_room(limits)
