"""Rokt's custom audiences: `POST /v3/import/suppression`, the changes of one list merged into a few calls."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from sqlalchemy.engine import Connection

from bridge.audiences.calls import AudienceCall, calls_of, first_batch, limits_of
from bridge.audiences.change import AudienceChange
from bridge.audiences.part import Part
from bridge.destinations.batch import Batch, Pack, WithoutLedger
from bridge.destinations.outcomes import begin_of, halved, of_answer, of_trouble, pattern_of, redact
from bridge.destinations.rokt_account import read_account
from bridge.errors import CredentialRefused, NotBegun, UpstreamTrouble
from bridge.message import (
    AT_MOST,
    Delivered,
    Divided,
    Message,
    Outcome,
    Rejected,
    Retry,
    Skipped,
    Uncertain,
)
from bridge.rate import Rate
from bridge.settings import BatchSettings, Credential, RoktApiSettings, Settings
from bridge.settings.declared import Declared, Setup, Words
from bridge.settings.upstreams import AUDIENCE_URL
from bridge.settings.variables import Variables
from bridge.upstream import Answer, Upstream
from bridge.upstream.basic import Basic

NAME = "rokt_audiences"
IMPORT = "/v3/import/suppression"
AUTH_CHECK = "/v3/auth-check"  # Segment's destination makes this call; Rokt's pages do not name it
IN_FLIGHT = 8  # of different lists
CALL_SECONDS = 10.0  # for all calls of a batch together
LEAST_SECONDS = 3.0  # that must be left for a further one
PART = "part"  # in a message's progress: what of it goes next
WORDS_MOST = 300  # characters of what Rokt says

SAID_OTHERWISE = "a later message says otherwise of everybody in this one"
NOT_YET = "left for the next batch: this one took long"
BEHIND = "goes again behind what stands before it in its list"

_HASH = re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{64}(?![0-9A-Za-z])")
_ADDRESS = re.compile(r"[^\s\"<>@,;]+@[^\s\"'<>@,;:]+")  # an apostrophe may stand before the @


class RoktAudiences(WithoutLedger):
    """Rokt alone holds the lists, and to say a thing of one twice does no harm."""

    name = NAME
    in_flight = IN_FLIGHT

    def __init__(
        self, settings: RoktApiSettings, key: Credential, batch: BatchSettings, *, allow_http: bool
    ) -> None:
        self.rate = Rate()  # Rokt names none
        self._account_id = settings.account_id
        self._limits = limits_of(settings.account_id, batch.count, batch.size)
        self.batch = Batch(self._limits.changes, batch.age, merges=True)
        user, secret = key.client_id, key.secret.reveal()
        self._secrets = pattern_of(user, secret)
        self._upstream = Upstream(
            settings.audience_url,
            Basic(user, secret),
            allow_http=allow_http,
            connections=IN_FLIGHT,
            call_seconds=CALL_SECONDS,
            name=NAME,
        )

    def look_up(self, connection: Connection, messages: Sequence[Message]) -> list[AudienceChange]:
        """What each message says, as far as it goes with its next call."""
        return [_part_of(message).among(AudienceChange.of(message.request)) for message in messages]

    def pack(self, messages: Sequence[Message], standings: Sequence[AudienceChange]) -> list[Pack]:
        """A batch of each list, as the next begins when it has come back."""
        packs = []
        both = zip(messages, standings, strict=True)
        for _, its in groupby(both, lambda one: one[0].line):
            packs.append(self._packed(list(its)))
        return packs

    def deliver(
        self, messages: Sequence[Message], standings: Sequence[AudienceChange], turn: Callable[[], None]
    ) -> list[Outcome]:
        """The few calls of one batch: of each action the addresses, and the hashes."""
        found: list[Outcome] = [Skipped(SAID_OTHERWISE)] * len(messages)
        until = time.monotonic() + CALL_SECONDS
        instead: Outcome | None = None
        for number, call in enumerate(calls_of(standings)):
            left = until - time.monotonic()
            if instead is None and number and left < LEAST_SECONDS:
                instead = Divided(NOT_YET)
            outcome = instead or self._sent(call, messages, left, turn)
            for position in call.positions:
                found[position] = outcome
            if instead is None and isinstance(outcome, Retry | Uncertain):
                instead = _not_sent(outcome)
        if len(messages) == 1:
            found = [_of_part(messages[0], found[0])]
        return _in_order(found)

    def check(self) -> dict[str, str | UpstreamTrouble]:
        return {"": self._checked()}

    def close(self) -> None:
        self._upstream.close()

    def _packed(self, its: Sequence[tuple[Message, AudienceChange]]) -> Pack:
        """Messages of one line."""
        most = self._limits.changes
        for count, (message, _) in enumerate(its):
            demanded = min(most, message.progress.get(AT_MOST, most))
            if count >= demanded:
                most = count
                break
            most = demanded
        load = first_batch([change for _, change in its], replace(self._limits, changes=most))
        return Pack(load.changes, is_full=load.is_full, left_out=len(its) - load.changes)

    def _sent(
        self, call: AudienceCall, messages: Sequence[Message], seconds: float, turn: Callable[[], None]
    ) -> Outcome:
        headers = {"X-Request-Id": messages[call.positions[0]].sent_as}
        body = call.body(self._account_id)
        started = time.monotonic()
        try:
            answer = self._upstream.send("POST", IMPORT, body, headers=headers, turn=turn, within=seconds)
        except UpstreamTrouble as trouble:
            return of_trouble(trouble, round((time.monotonic() - started) * 1000))
        clean = replace(answer, text=self._redact(answer.text))
        outcome = of_answer(clean, "", self._words(answer), has_one_address=True)
        # Of several calls of a batch one may have a single message, which shares the next with nobody.
        return outcome if len(messages) == 1 else halved(outcome, max(2, len(call.positions)))

    def _words(self, answer: Answer) -> str:
        """Rokt's own, in whichever of the forms its systems answer in."""
        body = answer.json()
        told = body.get("data", body) if isinstance(body, dict) else None
        if not isinstance(told, dict):
            return ""
        words = [told[key] for key in ("code", "message", "error", "title", "detail") if key in told]
        errors = told.get("errors")
        first = errors[0] if isinstance(errors, list) and errors else None
        words += [first.get("message", "")] if isinstance(first, dict) else [first]
        return self._redact(": ".join(word for word in words if isinstance(word, str) and word))[:WORDS_MOST]

    def _redact(self, text: str) -> str:
        """A hash names a person to whoever knows the address."""
        text = _ADDRESS.sub("[email]", _HASH.sub("[hash]", self._secrets.sub("[key]", begin_of(text))))
        return redact(text)

    def _checked(self) -> str | UpstreamTrouble:
        try:
            answer = self._upstream.send("POST", AUTH_CHECK, {"accountId": self._account_id})
        except UpstreamTrouble as trouble:
            return trouble
        told = f"Rokt answered {answer.status}"
        if 200 <= answer.status < 300:
            return "the key is taken"
        if answer.status in (401, 403):
            return CredentialRefused(f"{told}: ROKT_API_KEY, ROKT_API_SECRET or ROKT_ACCOUNT_ID is not right")
        if answer.status == 400:
            return CredentialRefused(f"{told}: ROKT_ACCOUNT_ID may not be right")
        return NotBegun(told)


def _part_of(message: Message) -> Part:
    """Of a message from which somebody was taken who is forgotten the places mean others: it begins anew."""
    whole = Part.whole(AudienceChange.of(message.request))
    stored = message.progress.get(PART)
    return Part.of(stored) if stored and stored["count"] == whole.count else whole


def _of_part(message: Message, outcome: Outcome) -> Outcome:
    """Of a message that was alone in its call: whether the rest of it follows, and in which pieces."""
    if not isinstance(outcome, Delivered | Rejected):
        return outcome
    part = _part_of(message)
    part = part.after_taken() if isinstance(outcome, Delivered) else part.after_refused(outcome.reason)
    if not part.is_over:
        progress: dict[str, Any] = {AT_MOST: 1, PART: part.stored()}
        if isinstance(outcome, Delivered):
            return replace(outcome, progress=progress)
        return Divided(outcome.reason, outcome.status, outcome.answer, outcome.ms, progress)
    if not part.refused:
        return outcome
    return Rejected(part.told(), outcome.status, outcome.answer, outcome.ms)


def _not_sent(outcome: Retry | Uncertain) -> Retry:
    """Of the further calls of a batch: what kept one back is not asked for another time."""
    reason = f"not sent, as the call before it did not come through: {outcome.reason}"
    if isinstance(outcome, Uncertain):
        return Retry(reason, is_trouble=True)
    return replace(outcome, reason=reason, status=None, answer="", ms=0)


def _in_order(found: Sequence[Outcome]) -> list[Outcome]:
    """What is left of a line must not be older than what has ended: it would count as overtaken. So whatever came
    after that goes again with it, which does no harm."""
    ordered: list[Outcome] = []
    is_waiting = False
    for outcome in found:
        if is_waiting and isinstance(outcome, Delivered):
            outcome = replace(outcome, progress=outcome.progress or {})
        elif is_waiting and isinstance(outcome, Skipped):
            outcome = Divided(BEHIND)
        is_waiting = is_waiting or not isinstance(outcome, Delivered | Skipped | Rejected)
        ordered.append(outcome)
    return ordered


def _read(variables: Variables) -> Setup[RoktApiSettings] | None:
    url = variables.address("ROKT_AUDIENCE_URL", AUDIENCE_URL)
    account = read_account(variables)
    return Setup(replace(account, audience_url=url)) if account and account.key else None


def _make(its: RoktApiSettings, settings: Settings, _accept: object) -> RoktAudiences:
    assert its.key is not None, "without it this is off"
    return RoktAudiences(its, its.key, settings.batch, allow_http=settings.is_development)


DECLARED = Declared(Words("Rokt audiences", "Rokt", "ROKT_API_KEY and ROKT_API_SECRET"), _read, _make)
