"""A stand-in for Rokt's custom audience import, as strict as its page, and the lists that it changes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import threading
from collections.abc import Mapping
from typing import Any

from bridge.sandbox.http import Reply, Request

CONTACTS_MOST = 1_000_000
KEYS = ("accountId", "action", "list", "email", "emails", "sha256", "sha256s")
ONE = ("email", "sha256")
DEFAULT_LIST = "AdvertiserDatabase"

_SHA256 = re.compile(r"[0-9a-f]{64}")


class RoktAudiences:
    """Any account and key are good unless they are given."""

    def __init__(
        self, account_id: str | None = None, key: str | None = None, secret: str | None = None
    ) -> None:
        self._account_id, self._credential = account_id, (key, secret)
        self._lock = threading.Lock()
        self._lists: dict[str, dict[str, None]] = {}

    def clear(self) -> None:
        with self._lock:
            self._lists.clear()

    def shown(self) -> dict[str, list[str]]:
        """The members of each list by their hashes, in the order in which they came."""
        with self._lock:
            return {name: list(people) for name, people in self._lists.items()}

    def auth_check(self, request: Request) -> Reply:
        return self._refusal(request, _object(request)) or Reply(200, {"status": "ok"})

    def change(self, request: Request) -> Reply:
        body = _object(request)
        if refused := self._refusal(request, body):
            return refused
        if fault := _fault(body):
            return Reply(400, {"message": fault})
        people = _people(body)
        with self._lock:
            members = self._lists.setdefault(body.get("list") or DEFAULT_LIST, {})
            for person in people:
                members.pop(person, None)
                if body["action"] == "include":
                    members[person] = None
        return Reply(201, {"message": "accepted"})

    def _refusal(self, request: Request, body: Mapping[str, Any]) -> Reply | None:
        if not self._is_known(request.headers.get("authorization", "")):
            return Reply(401, {"message": "Unauthorized"})
        account_id = body.get("accountId")
        if not isinstance(account_id, str) or not account_id:
            return Reply(400, {"message": "accountId is required"})
        if self._account_id not in (None, account_id):
            return Reply(403, {"message": "Forbidden"})
        return None

    def _is_known(self, authorization: str) -> bool:
        scheme, _, encoded = authorization.partition(" ")
        try:
            user, colon, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        if scheme != "Basic" or not (user and colon and secret):
            return False
        return all(
            known in (None, said) for known, said in zip(self._credential, (user, secret), strict=True)
        )


def _object(request: Request) -> Mapping[str, Any]:
    try:
        body = request.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _fault(body: Mapping[str, Any]) -> str | None:
    if unknown := [key for key in body if key not in KEYS]:
        return f"{unknown[0]} is not known"
    if body.get("action") not in ("include", "exclude"):
        return "action must be include or exclude"
    if not isinstance(body.get("list", ""), str):
        return "list must be a string"
    given = [key for key in KEYS[3:] if key in body]
    if len(given) != 1:
        return "exactly one of email, emails, sha256, sha256s is required"
    people = [body[given[0]]] if given[0] in ONE else body[given[0]]
    if not isinstance(people, list) or not people or len(people) > CONTACTS_MOST:
        return f"{given[0]} must have from 1 to {CONTACTS_MOST} entries"
    is_hash = given[0].startswith("sha256")
    for person in people:
        if not isinstance(person, str) or bool(_SHA256.fullmatch(person)) != is_hash:
            return f"{given[0]} holds what is no {'SHA-256' if is_hash else 'e-mail address'}"
        if not is_hash and not re.fullmatch(r"[^\s@]+@[^\s@]+", person):
            return f"{given[0]} holds what is no e-mail address"
    return None


def _people(body: Mapping[str, Any]) -> list[str]:
    [key] = [key for key in KEYS[3:] if key in body]
    people = [body[key]] if key in ONE else body[key]
    if key.startswith("sha256"):
        return people
    return [hashlib.sha256(person.lower().encode()).hexdigest() for person in people]
