"""Every byte that leaves: an upstream with its credential, one call with a deadline, trouble translated."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol
from urllib.parse import urlsplit

from bridge.errors import AnswerLost, NotBegun
from bridge.metrics.counted import LOST, UNSENT, called, class_of
from bridge.upstream.answer import ANSWER_LIMIT, Answer
from bridge.upstream.connections import pool_of
from bridge.upstream.credentials import without
from bridge.upstream.oauth import OAuth2ClientCredentials
from bridge.upstream.transport import USER_AGENT, call_until, checked_host, exchange, seconds_of_call

__all__ = ["ANSWER_LIMIT", "Answer", "Auth", "OAuth2ClientCredentials", "Upstream"]


class Auth(Protocol):
    """How calls to one upstream are authenticated. `deadline` is monotonic; threads share the object."""

    def authorization(self, deadline: float) -> str:
        """The value of the Authorization header."""

    def refused(self, authorization: str) -> bool:
        """The API answered 401 to it. True: a fresh one may do."""

    def check(self, deadline: float) -> str:
        """Proves the credential as far as it goes without a message, and says how."""


class Upstream:
    """One base address with its credential and its pool of connections, shared by threads.

    `call_seconds` bounds a whole call: the token, the connection, sending, and the last byte of the answer.
    `answer_limit`: bytes of an answer that are read. `name`: what its calls are counted by; without one they are not.
    """

    def __init__(
        self,
        base_url: str,
        auth: Auth | None,
        *,
        allow_http: bool = False,
        connections: int = 32,
        call_seconds: float = 10.0,
        answer_limit: int = ANSWER_LIMIT,
        name: str | None = None,
    ) -> None:
        self._host = checked_host(base_url, allow_http)
        self._base_path = urlsplit(base_url).path.rstrip("/")
        self._auth = auth
        self._call_seconds = call_seconds
        self._answer_limit = answer_limit
        self._name = name
        self._pool = pool_of(base_url, connections)

    def __repr__(self) -> str:
        return f"<Upstream {self._host}>"

    def send(
        self,
        method: str,
        path: str,
        body: object | None = None,
        *,
        headers: Mapping[str, str] = MappingProxyType({}),
        turn: Callable[[], None] | None = None,
        within: float | None = None,
    ) -> Answer:
        """One call; any status is an Answer. `path` begins with "/" and is percent-encoded already.
        `within`: seconds that this call may take, if not `call_seconds`.

        `turn` is called when token and connection are at hand and returns when the first byte may leave; what it
        raises comes out of here. A 401 costs the token and is sent once more with a fresh one, in a turn of its
        own; a second 401 is the Answer. Raises NotBegun, AnswerLost, CredentialRefused.
        """
        deadline = time.monotonic() + (self._call_seconds if within is None else within)
        sent = {"Accept": "application/json", "User-Agent": USER_AGENT}
        content = None
        if body is not None:
            # A lone surrogate has no UTF-8; a "?" in its place delivers the rest of the event.
            content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
            sent["Content-Type"] = "application/json"
        sent.update(headers)
        answer = self._call(method, path, sent, content, deadline, turn)
        if answer.status == 401 and self._auth is not None and self._auth.refused(sent["Authorization"]):
            answer = self._call(method, path, sent, content, deadline, turn)
        return without(answer, sent)

    def _call(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        content: bytes | None,
        deadline: float,
        turn: Callable[[], None] | None,
    ) -> Answer:
        if self._auth is not None:
            headers["Authorization"] = self._auth.authorization(deadline)
        began = time.monotonic()
        try:
            with call_until(deadline, self._host, turn):
                answer = exchange(
                    self._pool, method, self._base_path + path, headers, content, self._answer_limit
                )
        except (NotBegun, AnswerLost) as trouble:
            self._count(LOST if isinstance(trouble, AnswerLost) else UNSENT, seconds_of_call(began))
            raise
        self._count(class_of(answer.status), answer.ms / 1000)
        return answer

    def _count(self, status: str, seconds: float) -> None:
        if self._name is not None:
            called(self._name, status, seconds)

    def check(self) -> str:
        """For `python -m bridge check --connect`: what was proved, in words. Raises as `send`."""
        if self._auth is None:
            return "no credential to prove"
        return self._auth.check(time.monotonic() + self._call_seconds)

    def close(self) -> None:
        self._pool.close()
