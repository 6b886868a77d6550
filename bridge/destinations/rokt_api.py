"""Rokt's older event API (api.rokt.com): up to 100 events a call, v2 with a pair of keys, v1 with an app's token."""

from __future__ import annotations

import re
import time
from base64 import b64encode
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Connection

from bridge.conversions.api_form import DESTINATIONS, HEADERS, MOST_EVENTS, PATHS, call_body
from bridge.conversions.batches import size_of
from bridge.destinations.batch import Batch, Pack
from bridge.destinations.outcomes import of_trouble, redact
from bridge.destinations.rokt_api_verdicts import AT_MOST, outcomes
from bridge.errors import CredentialRefused, NotBegun, UpstreamTrouble
from bridge.message import Message, Outcome, State
from bridge.rate import Rate
from bridge.settings import BatchSettings, Credential, RoktApiSettings
from bridge.upstream import Auth, OAuth2ClientCredentials, Upstream
from bridge.upstream.basic import Basic

V2, V1 = DESTINATIONS["V2"], DESTINATIONS["V1"]
TOKEN_PATH = "/auth/oauth2/token"  # noqa: S105  a path
IN_FLIGHT = 8  # calls of one worker at once
ANSWER_LIMIT = 4 * 1024 * 1024  # bytes; what was not processed is repeated in the answer


class RoktApi:
    in_flight = IN_FLIGHT
    rate = Rate()  # Rokt names no limit

    def __init__(
        self,
        settings: RoktApiSettings,
        version: str,
        credential: Credential,
        batch: BatchSettings,
        *,
        allow_http: bool,
    ) -> None:
        """`version`: V2, whose credential is rpub and rsec, or V1, whose credential is App ID and App Secret."""
        self.name = DESTINATIONS[version]
        self.batch = Batch(min(batch.count, MOST_EVENTS), batch.age)
        self._size = batch.size
        self._account_id = settings.account_id
        self._frame = size_of(call_body(self._account_id, []))
        self._path = PATHS[version]
        its_id, secret = credential.client_id, credential.secret.reveal()
        auth: Auth = Basic(its_id, secret)
        if version == "V1":
            auth = OAuth2ClientCredentials(settings.url + TOKEN_PATH, its_id, secret, allow_http=allow_http)
        told = (secret, b64encode(f"{its_id}:{secret}".encode()).decode())
        self._secrets = re.compile("|".join(map(re.escape, told)), re.IGNORECASE)
        self._upstream = Upstream(
            settings.url, auth, allow_http=allow_http, connections=IN_FLIGHT, answer_limit=ANSWER_LIMIT
        )

    def credential_of(self, account_code: str) -> str:
        return ""

    def look_up(self, connection: Connection, messages: Sequence[Message]) -> list[None]:
        """An event needs to know of no other."""
        return [None] * len(messages)

    def pack(self, messages: Sequence[Message], standings: Sequence[None]) -> list[Pack]:
        """By count and bytes; an id is never twice in a call, as its answer goes by ids. One event always fits."""
        packs: list[Pack] = []
        ids: set[str] = set()
        size, most = self._frame, self.batch.messages
        for message in messages:
            its_id, its_size = _id(message), _size(message)
            most = min(most, message.progress.get(AT_MOST, most))
            if ids and (len(ids) >= most or size + its_size > self._size or its_id in ids):
                packs.append(Pack(len(ids)))
                ids, size = set(), self._frame
                most = min(self.batch.messages, message.progress.get(AT_MOST, self.batch.messages))
            ids.add(its_id)
            size += its_size
        if ids:
            another = (size - self._frame) // len(ids)
            packs.append(Pack(len(ids), is_full=len(ids) >= most or size + another > self._size))
        return packs

    def intend(
        self, connection: Connection, messages: Sequence[Message], standings: Sequence[None], now: datetime
    ) -> None:
        """Rokt knows an event by its id, so one that may have arrived is sent again as it is."""

    def deliver(
        self, messages: Sequence[Message], standings: Sequence[None], turn: Callable[[], None]
    ) -> list[Outcome]:
        body = call_body(self._account_id, [_event(message) for message in messages])
        headers = {**HEADERS, "X-Request-Id": messages[0].request_id}
        started = time.monotonic()
        try:
            answer = self._upstream.send("POST", self._path, body, headers=headers, turn=turn)
        except UpstreamTrouble as trouble:
            return [of_trouble(trouble, round((time.monotonic() - started) * 1000))] * len(messages)
        return outcomes(answer, [_id(message) for message in messages], self._redact)

    def record(
        self,
        connection: Connection,
        done: Sequence[tuple[Message, None, Outcome, State | None]],
        now: datetime,
    ) -> None:
        """There is no ledger of events."""

    def doubt(self, connection: Connection, doubted: Sequence[tuple[Message, None]]) -> None:
        """A late call may have brought what a newer one brought too: to Rokt both are the same event."""

    def forget_old(self, connection: Connection, now: datetime) -> int:
        return 0

    def check(self) -> dict[str, str | UpstreamTrouble]:
        return {"": self._checked()}

    def close(self) -> None:
        self._upstream.close()

    def _checked(self) -> str | UpstreamTrouble:
        """A call without events is refused, behind the credential."""
        try:
            answer = self._upstream.send("POST", self._path, call_body(self._account_id, []), headers=HEADERS)
        except UpstreamTrouble as trouble:
            return trouble
        told = f"Rokt answered {answer.status}"
        if answer.status in (401, 403):
            return CredentialRefused(f"{told}: it does not take this credential, or not for this account")
        if answer.status == 400 or 200 <= answer.status < 300:
            return "the credential is taken"
        return NotBegun(told)

    def _redact(self, text: str) -> str:
        return redact(self._secrets.sub("[key]", text))


def _event(message: Message) -> dict[str, Any]:
    found: dict[str, Any] = message.request["event"]
    return found


def _id(message: Message) -> str:
    return str(_event(message)["clientEventId"])


def _size(message: Message) -> int:
    """Of an event and the comma behind it."""
    return size_of(_event(message)) + 1
