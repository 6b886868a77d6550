"""Braze: a subscriber's attributes and events by `POST /users/track`, only what Braze does not hold already."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import structlog
from sqlalchemy.engine import Connection

from bridge.destinations.batch import Batch, Pack
from bridge.destinations.braze_packs import Limits, packs_of
from bridge.destinations.braze_users import parts_of, users_of
from bridge.destinations.braze_verdicts import EVENT, TAKEN, outcomes
from bridge.destinations.outcomes import of_trouble, redact
from bridge.errors import CredentialRefused, NotBegun, UpstreamTrouble
from bridge.ledger.braze_doubts import doubt, unsure_of
from bridge.ledger.braze_shared import certain_of
from bridge.ledger.subscribers import Place, forget_old, fullest, held, subscriptions_of, write_held
from bridge.message import ONCE_MORE, Message, Outcome, Skipped, State
from bridge.rate import Rate
from bridge.settings import ATTRIBUTES, BatchSettings, BrazeSettings, Settings
from bridge.settings.declared import Declared, Setup, Words
from bridge.settings.secret import api_key
from bridge.settings.subscribers import merges
from bridge.settings.variables import Variables, on_off, some_of, whole
from bridge.subscribers.subscription import Subscription
from bridge.subscribers.sync import EMPTY, Held, Values
from bridge.subscribers.track import Sync, body, event_of
from bridge.upstream import Upstream
from bridge.upstream.bearer import Bearer

NAME = "braze"
EXAMPLE_URL = "https://rest.iad-01.braze.com"  # of one of Braze's clusters, to show what is meant
MOST_OBJECTS = 225  # of one /users/track call: 75 attributes, 75 events, 75 purchases
TRACK = "/users/track"
IN_FLIGHT = 8  # calls of one worker at once
ALREADY_SO = "Braze holds this already"
NOBODY = "it names no profile of Braze"
ARRAYS_NEARLY_FULL = 450  # values of one array: beyond 500 Braze drops the oldest

log = structlog.get_logger()


class Braze:
    name = NAME
    in_flight = IN_FLIGHT

    def __init__(
        self, settings: BrazeSettings, batch: BatchSettings, retention: timedelta, *, allow_http: bool
    ) -> None:
        """`retention`: for how long a subscription is known that has ended."""
        self._retention = retention
        self.rate = settings.rate
        self.batch = Batch(batch.count, batch.age, merges=True)
        self._settings = settings
        self._limits = Limits(settings.batch, batch.count, batch.size)
        key = settings.api_key.reveal()
        self._key = re.compile(re.escape(key), re.IGNORECASE)
        self._upstream = Upstream(
            settings.url, Bearer(key), allow_http=allow_http, connections=IN_FLIGHT, name=NAME
        )

    def credential_of(self, account_code: str) -> str:
        return ""

    def look_up(self, connection: Connection, messages: Sequence[Message]) -> list[Sync]:
        """What each message's subscription is now, and what Braze holds of it."""
        doubtful = unsure_of(connection, {_place(m)[0] for m in messages if m.progress.get(ONCE_MORE)})
        places = {*map(_place, messages), *doubtful}
        known = subscriptions_of(connection, {key for _, key in places})
        stands = held(connection, sorted(places))
        syncs = [self._sync(message, known, stands, doubtful) for message in messages]
        holdings = certain_of(connection, {sync.identifier for sync in syncs if sync.lost})
        return [_with_those_beside(sync, holdings.get(sync.identifier, {})) for sync in syncs]

    def pack(self, messages: Sequence[Message], standings: Sequence[Sync]) -> list[Pack]:
        return packs_of(messages, standings, self._limits, self._settings.merges)

    def intend(
        self, connection: Connection, messages: Sequence[Message], standings: Sequence[Sync], now: datetime
    ) -> None:
        """From here until the call has come back nobody knows what Braze holds."""
        rows = [row for user in users_of(standings, self._settings.merges) for row in user.intents()]
        write_held(connection, rows, now)

    def deliver(
        self, messages: Sequence[Message], standings: Sequence[Sync], turn: Callable[[], None]
    ) -> list[Outcome]:
        """One call for all; none if Braze holds everything already."""
        users = users_of(standings, self._settings.merges)
        sent = parts_of(users)
        found: list[Outcome] = [Skipped(ALREADY_SO if sync.identifier else NOBODY) for sync in standings]
        if not sent.parts:
            return found
        headers = {"X-Request-Id": messages[min(sent.positions)].sent_as}
        started = time.monotonic()
        its: Sequence[Outcome]
        try:
            what = body([user.objects for user in users])
            answer = self._upstream.send("POST", TRACK, what, headers=headers, turn=turn)
        except UpstreamTrouble as trouble:
            its = [of_trouble(trouble, round((time.monotonic() - started) * 1000))] * len(sent.parts)
        else:
            its = outcomes(answer, sent, self._redact)
        for position, outcome in zip(sent.positions, its, strict=True):
            found[position] = outcome
        return found

    def record(
        self,
        connection: Connection,
        done: Sequence[tuple[Message, Sync, Outcome, State | None]],
        now: datetime,
    ) -> None:
        """Write what Braze holds, as far as the outcomes tell."""
        users = users_of([sync for _, sync, _, _ in done], self._settings.merges)
        outcomes_of_all = [outcome for _, _, outcome, _ in done]
        stands = held(connection, sorted({place for user in users for place in user.places}))
        rows, grown = [], {}
        for user in users:
            its_rows = user.rows([outcomes_of_all[position] for position in user.positions], stands)
            rows += its_rows
            if any(row.sent and row.held.certain for row in its_rows):
                grown[user.identifier] = done[user.positions[0]][0].id
        write_held(connection, rows, now)
        for identifier, count in fullest(connection, grown).items():
            if count >= ARRAYS_NEARLY_FULL:
                log.warning("braze.arrays_nearly_full", message=grown[identifier], values=count)

    def doubt(self, connection: Connection, doubted: Sequence[tuple[Message, Sync | None]]) -> None:
        """A late call may have arrived after a newer one."""
        unknown = self.look_up(connection, [message for message, sync in doubted if sync is None])
        known = [sync for _, sync in doubted if sync is not None]
        touched = [one for sync in known for one in sync.every if one.change]
        values: dict[Place, dict[str, list[str]]] = {}
        for one in (*touched, *unknown):
            its = values.setdefault((one.identifier, one.key), {})
            for name, lists in one.change.items():
                its.setdefault(name, []).extend([*lists.get("add", ()), *lists.get("remove", ())])
        doubt(connection, values)

    def forget_old(self, connection: Connection, now: datetime) -> int:
        return forget_old(connection, now - self._retention)

    def check(self) -> dict[str, str | UpstreamTrouble]:
        return {"": self._checked()}

    def close(self) -> None:
        self._upstream.close()

    def _sync(
        self,
        message: Message,
        known: Mapping[str, Subscription],
        stands: Mapping[Place, Held],
        doubtful: Sequence[Place],
    ) -> Sync:
        place = identifier, _ = _place(message)
        event = message.request.get("event")
        others: tuple[Sync, ...] = ()
        if not identifier:
            event = None
        elif message.progress.get(ONCE_MORE):
            event = None
            others = tuple(
                self._standing(other, known, stands)
                for other in doubtful
                if other[0] == identifier and other != place
            )
        elif message.progress.get(EVENT) == TAKEN:
            event = None
        if event is not None:
            at = datetime.fromisoformat(event["at"]) if "at" in event else message.received_at
            event = event_of(event, message.id, at, identifier, self._settings.merges)
        sync = self._standing(place, known, stands)
        return Sync(sync.key, identifier, sync.target, sync.held, event, others)

    def _standing(
        self, place: Place, known: Mapping[str, Subscription], stands: Mapping[Place, Held]
    ) -> Sync:
        identifier, key = place
        target: Values = {}
        if key in known:
            wanted, captures_email = self._settings.attributes, self._settings.captures_email
            target = known[key].target(identifier, wanted, captures_email=captures_email)
        return Sync(key, identifier, target, stands.get(place, EMPTY))

    def _checked(self) -> str | UpstreamTrouble:
        """An empty list is refused, behind the key."""
        try:
            answer = self._upstream.send("POST", TRACK, {"attributes": []})
        except UpstreamTrouble as trouble:
            return trouble
        told = f"Braze answered {answer.status}"
        if answer.status == 401:
            return CredentialRefused(f"{told}: another key is needed, or another cluster in BRAZE_REST_URL")
        if answer.status == 403:
            return CredentialRefused(f"{told}: the key may not be used, or lacks the permission users.track")
        if answer.status == 400 or 200 <= answer.status < 300:
            return "the key is taken"
        return NotBegun(told)

    def _redact(self, text: str) -> str:
        """Braze repeats a key that it does not take."""
        return redact(self._key.sub("[key]", text))


def _with_those_beside(sync: Sync, holdings: Mapping[str, Values]) -> Sync:
    """`holdings`: of the whole profile, by the key of each subscription."""
    lost = sync.lost
    beside: dict[str, Values] = {}
    for key, values in holdings.items() if lost else ():
        shared = {name: [one for one in values.get(name, ()) if one in gone] for name, gone in lost.items()}
        if any(shared.values()) and key != sync.key:
            beside[key] = shared
    return replace(sync, beside=beside) if beside else sync


def _place(message: Message) -> Place:
    """Blank for what was kept for the record alone and is sent again all the same."""
    return message.request.get("identifier", ""), message.request.get("subscription_id", "")


def _read(variables: Variables) -> Setup[BrazeSettings] | None:
    is_on = variables.together("BRAZE_REST_URL", "BRAZE_API_KEY")
    settings = BrazeSettings(
        url=variables.address("BRAZE_REST_URL", EXAMPLE_URL),
        api_key=variables.read("BRAZE_API_KEY", "", api_key),
        batch=variables.read("BRAZE_TRACK_BATCH", "75", whole(2, MOST_OBJECTS)),
        rate=Rate(variables.read("BRAZE_TRACK_RATE", "1000", whole(0))),
        captures_email=variables.read("BRAZE_EMAIL_CAPTURE", "off", on_off),
        attributes=variables.read("ROKT_ATTRIBUTES", "", some_of(ATTRIBUTES, "rokt:")),
        merges=merges(variables),
    )
    return Setup(settings, settings.rate, carries=settings.batch) if is_on else None


def _make(its: BrazeSettings, settings: Settings, _accept: object) -> Braze:
    retention = timedelta(days=settings.retention_days)
    return Braze(its, settings.batch, retention, allow_http=settings.is_development)


DECLARED = Declared(Words("Braze", "Braze", "BRAZE_API_KEY"), _read, _make)
