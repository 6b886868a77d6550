"""Rokt's older event API (api.rokt.com): up to 100 events a call, v2 with a pair of keys, v1 with an app's token."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from bridge.conversions.api_calls import Limits, calls_of
from bridge.conversions.api_form import DESTINATIONS, HEADERS, PATHS, call_body
from bridge.destinations.batch import Batch, Pack, WithoutLedger
from bridge.destinations.outcomes import of_trouble, pattern_of, redact
from bridge.destinations.rokt_api_verdicts import outcomes
from bridge.errors import CredentialRefused, NotBegun, UpstreamTrouble
from bridge.message import AT_MOST, Message, Outcome
from bridge.rate import Rate
from bridge.settings import BatchSettings, Credential, RoktApiSettings
from bridge.upstream import Auth, OAuth2ClientCredentials, Upstream
from bridge.upstream.basic import Basic

V2, V1 = DESTINATIONS["V2"], DESTINATIONS["V1"]
TOKEN_PATH = "/auth/oauth2/token"  # noqa: S105  a path
IN_FLIGHT = 8  # calls of one worker at once
ANSWER_LIMIT = 4 * 1024 * 1024  # bytes; what was not processed is repeated in the answer


class RoktApi(WithoutLedger):
    """Rokt knows an event by its id, so one that may have arrived is sent again as it is."""

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
        self._account_id = settings.account_id
        self._limits = Limits.of(settings.account_id, batch.count, batch.size)
        self.batch = Batch(self._limits.events, batch.age, undoes=False)
        self._path = PATHS[version]
        its_id, secret = credential.client_id, credential.secret.reveal()
        auth: Auth = Basic(its_id, secret)
        if version == "V1":
            auth = OAuth2ClientCredentials(
                settings.url + TOKEN_PATH, its_id, secret, allow_http=allow_http, name=self.name
            )
        self._secrets = pattern_of(its_id, secret)
        self._upstream = Upstream(
            settings.url,
            auth,
            allow_http=allow_http,
            connections=IN_FLIGHT,
            answer_limit=ANSWER_LIMIT,
            name=self.name,
        )

    def pack(self, messages: Sequence[Message], standings: Sequence[None]) -> list[Pack]:
        events = ((_event(message), message.progress.get(AT_MOST)) for message in messages)
        return [Pack(size, is_full=is_full) for size, is_full in calls_of(events, self._limits)]

    def deliver(
        self, messages: Sequence[Message], standings: Sequence[None], turn: Callable[[], None]
    ) -> list[Outcome]:
        body = call_body(self._account_id, [_event(message) for message in messages])
        headers = {**HEADERS, "X-Request-Id": messages[0].sent_as}
        started = time.monotonic()
        try:
            answer = self._upstream.send("POST", self._path, body, headers=headers, turn=turn)
        except UpstreamTrouble as trouble:
            return [of_trouble(trouble, round((time.monotonic() - started) * 1000))] * len(messages)
        return outcomes(answer, [_event(message)["clientEventId"] for message in messages], self._redact)

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
