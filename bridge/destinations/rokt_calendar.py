"""Rokt Calendar: create, update and delete an event in the calendars of an account's subscribers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from sqlalchemy.engine import Connection

from bridge.calendar.plan import CalendarRequest, Step, after, next_step, progressed
from bridge.destinations import rokt_lookup
from bridge.destinations.batch import OneByOne
from bridge.destinations.outcomes import of_answer, of_trouble
from bridge.destinations.rokt_lookup import Accept, Asked
from bridge.errors import InvalidPayload, InvalidValue, UpstreamTrouble
from bridge.ledger.events import Change, Standing, doubt, forget_old, record, standings
from bridge.message import Delivered, Message, Outcome, Rejected, Skipped, State, Uncertain
from bridge.rate import Rate
from bridge.settings import CALENDAR_URL, CalendarSettings, Credential, Secret, Settings, account_key
from bridge.settings.declared import Declared, Setup, Words
from bridge.settings.variables import Variables, one_of, whole
from bridge.upstream import Answer, OAuth2ClientCredentials, Upstream

NAME = "rokt_calendar"
IN_FLIGHT = 32  # calls of one worker at once
ALREADY_SO = "Rokt already holds exactly this"
UNSENDABLE = (InvalidPayload, InvalidValue)  # nothing to stand on, or a zone that is not known any more


@dataclass(frozen=True)
class Known:
    """A message with what Rokt is known to hold of its event. Its next call is asked for when it is made and
    again when that is settled, and found once.
    """

    message: Message
    standing: Standing
    update_body: str

    @cached_property
    def request(self) -> CalendarRequest:
        message = self.message
        return CalendarRequest.read(
            message.action, message.account_code, message.request, is_test=message.is_test
        )

    @cached_property
    def step(self) -> Step | None:
        """Errors: see UNSENDABLE."""
        return next_step(self.request, self.standing, self.message.progress, self.update_body)


class RoktCalendar(OneByOne):
    name = NAME
    in_flight = IN_FLIGHT

    def __init__(
        self,
        settings: CalendarSettings,
        retention: timedelta,
        *,
        allow_http: bool,
        accept: Accept = rokt_lookup.nowhere,
    ) -> None:
        """`accept`: takes in what a look-up found."""
        self.rate = settings.rate
        self._accept = accept
        self._settings = settings
        self._retention = retention
        self._upstreams = {
            key: _upstream(settings.url, credential, allow_http)
            for key, credential in settings.credentials.items()
        }

    def credential_of(self, account_code: str) -> str:
        key = account_key(account_code)
        return key if key in self._upstreams else ""

    def look_up(self, connection: Connection, messages: Sequence[Message]) -> list[Known | Asked]:
        """What Rokt is known to hold of each message's event, or whether its subscription was looked up."""
        events = [m for m in messages if not _is_look_up(m)]
        found = standings(connection, map(_place, events))
        asked = iter(rokt_lookup.standings(connection, [m for m in messages if _is_look_up(m)]))
        return [
            next(asked) if _is_look_up(m) else Known(m, found[_place(m)], self._settings.update_body)
            for m in messages
        ]

    def deliver(
        self, messages: Sequence[Message], standings: Sequence[Known | Asked], turn: Callable[[], None]
    ) -> list[Outcome]:
        """Make the next call for a message; the rest, if there is one, follows as its own call."""
        [message], [standing] = messages, standings
        return [self._sent(message, standing, turn)]

    def _sent(self, message: Message, standing: Known | Asked, turn: Callable[[], None]) -> Outcome:
        credential = self.credential_of(message.account_code)
        upstream, owner = self._upstreams.get(credential), message.account_code if credential else ""
        if isinstance(standing, Asked):
            return rokt_lookup.look_up(message, standing, upstream, owner, self._accept, turn)
        known = standing
        try:
            step = known.step
        except UNSENDABLE as wrong:
            return Rejected(str(wrong))
        if step is None:
            return Skipped(ALREADY_SO)
        if upstream is None:
            return Rejected(f"ROKT_CALENDAR_CLIENT_ID__{account_key(message.account_code)} is not set")
        started = time.monotonic()
        try:
            answer = upstream.send(
                step.method,
                step.path,
                step.body,
                headers={"X-Request-Id": message.sent_as},
                turn=turn,
            )
        except UpstreamTrouble as trouble:
            return of_trouble(trouble, round((time.monotonic() - started) * 1000), refused_account=owner)
        return _outcome(answer, message, step, known.standing)

    def record(
        self,
        connection: Connection,
        done: Sequence[tuple[Message, Known | Asked, Outcome, State | None]],
        now: datetime,
    ) -> None:
        """Write what Rokt has taken, or may have, into the event ledger."""
        changes = []
        before = {}
        for message, known, outcome, final in done:
            if message.is_test or isinstance(known, Asked):
                continue
            before[_place(message)] = known.standing
            if change := self._change(known, outcome, final, now):
                changes.append(change)
        record(connection, changes, before, now)

    def close(self) -> None:
        for upstream in self._upstreams.values():
            upstream.close()

    def doubt(self, connection: Connection, doubted: Sequence[tuple[Message, Any]]) -> None:
        doubt(connection, *(_place(message) for message, _ in doubted if not _is_look_up(message)))

    def forget_old(self, connection: Connection, now: datetime) -> int:
        return forget_old(connection, now)

    def check(self) -> dict[str, str | UpstreamTrouble]:
        return {key: _checked(upstream) for key, upstream in self._upstreams.items()}

    def _change(self, known: Known, outcome: Outcome, final: State | None, now: datetime) -> Change | None:
        message, standing = known.message, known.standing
        new: Standing | None = standing
        unsent: dict[str, Any]
        try:
            step = known.step
        except UNSENDABLE:
            return None
        if step is None:
            return None
        if isinstance(outcome, Delivered) and not (outcome.progress or {}).get("ask_update"):
            new = after(step, known.request, standing)
        elif final == State.DEAD and step.content and step.subscription_ids and not standing.holders:
            unsent = {"event": step.content, "subscription_ids": list(step.subscription_ids)}
            # A refusal with a status has decided: it does not stand. Time that ran out has not.
            is_decided = isinstance(outcome, Rejected) and outcome.status is not None
            if not is_decided and (_may_have_worked(message, outcome) or _may_stand(standing)):
                unsent["is_uncertain"] = True
            new = replace(standing, unsent=unsent)
        elif final == State.DEAD and step.kind == "delete" and standing.is_known:
            if _may_have_worked(message, outcome):
                holders = sorted(standing.holders)
                unsent = {"event": standing.content, "subscription_ids": holders, "is_uncertain": True}
                new = Standing(unsent=unsent)
        elif isinstance(outcome, Uncertain) and standing.is_known and step.kind != "delete":
            new = replace(standing, is_certain=False)
        if new == standing:
            return None
        keep_until = max(_end(new.content if new and new.content else step.content), now) + self._retention
        return Change(_place(message), new, message.user_id, message.template, message.version, keep_until)


def _is_look_up(message: Message) -> bool:
    return message.action == rokt_lookup.ACTION


def _may_have_worked(message: Message, outcome: Outcome) -> bool:
    return message.was_uncertain or isinstance(outcome, Uncertain)


def _may_stand(standing: Standing) -> bool:
    """Nobody knows what became of the last create or delete here: it died without an answer."""
    return bool((standing.unsent or {}).get("is_uncertain"))


def _outcome(answer: Answer, message: Message, step: Step, standing: Standing) -> Outcome:
    outcome = of_answer(answer, message.account_code, _told(answer))
    if isinstance(outcome, Delivered):
        return replace(outcome, progress=progressed(step, message.progress)) if step.goes_on else outcome
    if isinstance(outcome, Rejected) and (message.was_uncertain or _may_stand(standing)):
        if step.kind == "create" and not message.is_test:
            # An earlier create may have worked after all: the update will tell. Not for a test: an update
            # reaches everybody who holds the event.
            return Delivered(outcome.status, outcome.answer, outcome.ms, progress={"ask_update": True})
        if answer.status == 404 and step.kind in ("delete", "delete_one"):
            progress = progressed(step, message.progress) if step.goes_on else None
            return Delivered(outcome.status, outcome.answer, outcome.ms, progress)
    return outcome


def _told(answer: Answer) -> str:
    """Rokt Calendar's error form: {"Code": …, "Reason": …}."""
    body: Any = answer.json()
    if not isinstance(body, dict):
        return ""
    return " ".join(str(body[key]) for key in ("Code", "Reason") if body.get(key))


def _place(message: Message) -> tuple[str, str]:
    return message.account_code, message.request.get("rokt_event_id", "")


def _end(content: Mapping[str, Any] | None) -> datetime:
    return datetime.fromisoformat((content or {}).get("end", "1970-01-01T00:00:00Z"))


def _checked(upstream: Upstream) -> str | UpstreamTrouble:
    try:
        return upstream.check()
    except UpstreamTrouble as trouble:
        return trouble


def _upstream(url: str, credential: Credential, allow_http: bool) -> Upstream:
    auth = OAuth2ClientCredentials(
        f"{url}/oauth2/token",
        credential.client_id,
        credential.secret.reveal(),
        allow_http=allow_http,
        name=NAME,
    )
    return Upstream(url, auth, allow_http=allow_http, connections=IN_FLIGHT, name=NAME)


def _read(variables: Variables) -> Setup[CalendarSettings] | None:
    url = variables.address("ROKT_CALENDAR_URL", CALENDAR_URL)
    update_body = variables.read("ROKT_CALENDAR_UPDATE_BODY", "wrapped", one_of("wrapped", "flat"))
    rate = Rate(variables.read("ROKT_CALENDAR_RATE", "0", whole(0)))
    prefix, secret_prefix = "ROKT_CALENDAR_CLIENT_ID", "ROKT_CALENDAR_CLIENT_SECRET"
    ids, secrets = variables.by_account(prefix), variables.by_account(secret_prefix)
    for account in sorted(ids.keys() | secrets.keys()):
        suffix = f"__{account}" if account else ""
        variables.together(prefix + suffix, secret_prefix + suffix)
    credentials = {a: Credential(ids[a], Secret(secrets[a])) for a in ids.keys() & secrets.keys()}
    if not credentials:
        return None
    return Setup(CalendarSettings(url, credentials, update_body, rate), rate, carries=len(credentials))


def _make(its: CalendarSettings, settings: Settings, accept: Accept) -> RoktCalendar:
    retention = timedelta(days=settings.retention_days)
    return RoktCalendar(its, retention, allow_http=settings.is_development, accept=accept)


DECLARED = Declared(
    Words(
        "Rokt Calendar",
        "Rokt",
        "ROKT_CALENDAR_CLIENT_ID and ROKT_CALENDAR_CLIENT_SECRET",
        by_account=True,
    ),
    _read,
    _make,
)
