"""A stand-in for an OAuth token endpoint: client credentials by HTTP Basic, bearer tokens that end."""

from __future__ import annotations

import base64
import binascii
import secrets
import threading
import time
from collections.abc import Callable
from urllib.parse import parse_qs

from bridge.sandbox.http import Reply, Request


class Tokens:
    """Any client id and secret are good unless they are given. `clock`: monotonic, in seconds."""

    def __init__(
        self,
        client_id: str | None,
        client_secret: str | None,
        seconds: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._credential = (client_id, client_secret)
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._ends: dict[str, float] = {}

    def give(self, request: Request) -> Reply:
        form = parse_qs(request.body.decode("utf-8", "replace"))
        if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            return Reply(400, {"error": "invalid_request"})
        if form.get("grant_type") != ["client_credentials"]:
            return Reply(400, {"error": "unsupported_grant_type"})
        if not self._is_known(request.headers.get("authorization", "")):
            return Reply(401, {"error": "invalid_client"}, {"WWW-Authenticate": "Basic"})
        token, now = secrets.token_urlsafe(24), self._clock()
        with self._lock:
            self._ends = {given: end for given, end in self._ends.items() if end > now}
            self._ends[token] = now + self._seconds
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": self._seconds}
        return Reply(200, answer, {"Cache-Control": "no-store"})

    def take(self, request: Request) -> bool:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        with self._lock:
            return scheme == "Bearer" and self._ends.get(token, 0.0) > self._clock()

    def revoke(self) -> None:
        with self._lock:
            self._ends.clear()

    def _is_known(self, authorization: str) -> bool:
        scheme, _, encoded = authorization.partition(" ")
        try:
            client_id, colon, client_secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        if scheme != "Basic" or not (client_id and colon and client_secret):
            return False
        pairs = zip(self._credential, (client_id, client_secret), strict=True)
        return all(known is None or known == said for known, said in pairs)
