"""Rokt's Event API on mParticle: conversions by `POST /bulkevents`, a batch for each user.

https://docs.rokt.com/developers/integration-guides/rokt-ads/event-api
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from sqlalchemy.engine import Connection

from bridge.conversions.batches import Part, is_known_again
from bridge.conversions.calls import Call, Limits
from bridge.destinations.batch import Batch, Pack, WithoutLedger
from bridge.destinations.outcomes import of_trouble, pattern_of
from bridge.destinations.rokt_events_packs import Load, Standing, packs_of
from bridge.destinations.rokt_events_verdicts import doubtful, outcomes
from bridge.errors import CredentialRefused, InvalidValue, NotBegun, UpstreamTrouble
from bridge.message import ONCE_MORE, UNSURE, Delivered, Message, Outcome, Undecided
from bridge.rate import Rate
from bridge.settings import BatchSettings, RoktEventsSettings, Settings
from bridge.settings.declared import Declared, Setup, Words
from bridge.settings.secret import api_key, user
from bridge.settings.variables import Variables, base_url, one_of, whole
from bridge.upstream import Upstream
from bridge.upstream.basic import Basic

NAME = "rokt_events"
URL = "https://s2s.{pod}.mparticle.com/v2"
PODS = ("us1", "us2", "eu1", "au1")  # where Rokt keeps an account's data
IN_FLIGHT = 8  # calls of one worker at once
NOT_AGAIN = (
    "whether an earlier call of it worked is not known, and without a confirmation_ref Rokt would count it twice: "
    "replay it, or leave it"
)


class RoktEvents(WithoutLedger):
    """A message says itself whether an earlier call of it may have worked, and no conversion depends on another."""

    name = NAME
    in_flight = IN_FLIGHT

    def __init__(self, settings: RoktEventsSettings, batch: BatchSettings, *, allow_http: bool) -> None:
        self.rate = settings.rate
        self.batch = Batch(batch.count, batch.age, merges=True, undoes=False)
        self._environment = settings.environment
        self._limits = Limits.of(settings.rate, batch.count, batch.size)
        secret = settings.secret.reveal()
        self._secrets = pattern_of(settings.key, secret)
        basic = Basic(settings.key, secret)
        self._upstream = Upstream(
            settings.url, basic, allow_http=allow_http, connections=IN_FLIGHT, name=NAME
        )

    def look_up(self, connection: Connection, messages: Sequence[Message]) -> list[Standing]:
        return [self._standing(message) for message in messages]

    def pack(self, messages: Sequence[Message], standings: Sequence[Standing]) -> list[Pack]:
        """A user's in one call, as far as they fit."""
        return packs_of(messages, standings, self._limits)

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
            request_id = messages[positions[0]].sent_as
            its = self._sent(load.call, known, request_id, turn)
            for position, outcome in zip(positions, its, strict=True):
                found[position] = outcome
        return [outcome for outcome in found if outcome is not None]

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
        headers = {"X-Request-Id": request_id}
        started = time.monotonic()
        try:
            answer = self._upstream.send("POST", call.path, call.body(), headers=headers, turn=turn)
        except UpstreamTrouble as trouble:
            outcome = of_trouble(trouble, round((time.monotonic() - started) * 1000))
            return [doubtful(outcome, is_known_again=its) for its in known]
        clean = replace(answer, text=self._secrets.sub("[key]", answer.text))
        return outcomes(clean, call, known)

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


def _read(variables: Variables) -> Setup[RoktEventsSettings] | None:
    pod, url = "ROKT_EVENTS_POD", "ROKT_EVENTS_URL"
    names = ("ROKT_EVENTS_KEY", "ROKT_EVENTS_SECRET", "ROKT_EVENTS_ENVIRONMENT")
    given = [name for name in (pod, url, *names) if variables.text(name)]
    for name in names if given else ():
        if name not in given:
            variables.fault(f"{name} is missing: {given[0]} is set")
    if given and not {pod, url} & set(given):
        variables.fault(f"{pod} is missing (or {url}): {given[0]} is set")
    if {pod, url} <= set(given):
        variables.fault(f"{pod} and {url} are both set: say one of the two")
    its_pod = variables.read(pod, PODS[0], lambda text: one_of(*PODS)(text.lower()))
    settings = RoktEventsSettings(
        url=variables.read(
            url, URL.format(pod=its_pod or PODS[0]), lambda text: _base(text, variables.is_development)
        ),
        key=variables.read("ROKT_EVENTS_KEY", "", user),
        secret=variables.read("ROKT_EVENTS_SECRET", "", api_key),
        environment=variables.read(
            "ROKT_EVENTS_ENVIRONMENT", "development", one_of("development", "production")
        ),
        rate=Rate(variables.read("ROKT_EVENTS_RATE", "270", whole(0)), per="item"),
    )
    return Setup(settings, settings.rate) if given else None


def _base(text: str, is_development: bool) -> str:
    """What /events and /bulkevents follow."""
    base = base_url(URL.format(pod=PODS[0]), allow_http=is_development)(text)
    if base.endswith(("/events", "/bulkevents")):
        raise InvalidValue("ends in the path of a call: leave /events out, what ends in /v2 is the base")
    return base


def _make(its: RoktEventsSettings, settings: Settings, _accept: object) -> RoktEvents:
    return RoktEvents(its, settings.batch, allow_http=settings.is_development)


DECLARED = Declared(Words("Rokt conversions", "Rokt", "ROKT_EVENTS_KEY and ROKT_EVENTS_SECRET"), _read, _make)
