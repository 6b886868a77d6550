"""Who is signed in, by Flask's signed cookie: names, times and marks, no secret. Signing is the SECRET_KEY's."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from flask import request, session, url_for

from bridge.console.roles import Person
from bridge.settings import ConsoleSettings

IDLE = 8 * 3600  # seconds without a request, then one signs in again
LONGEST = {  # seconds since signing in
    "password": 7 * 24 * 3600,
    "openid": 12 * 3600,  # the provider is asked again each day: it may have let somebody go
}
NOTED_EVERY = 60  # seconds, so that not every answer sets the cookie anew


class Sessions:
    def __init__(self, console: ConsoleSettings, clock: Callable[[], float] = time.time) -> None:
        self._users = {user.name: user for user in console.users}
        self._oidc = console.oidc
        self._clock = clock

    def person(self) -> Person | None:
        """None: nobody, or too long ago, or somebody whose password or role was changed or taken since."""
        now = self._clock()
        try:
            person = Person(str(session["name"]), str(session["role"]), str(session["by"]))
            since, seen = float(session["since"]), float(session["seen"])
        except (KeyError, TypeError, ValueError):
            return None
        if now - seen > IDLE or now - since > LONGEST.get(person.by, 0):
            return None
        if session.get("mark") != self._mark(person):
            return None
        if now - seen > NOTED_EVERY:
            session["seen"] = now
        return person

    def start(self, person: Person) -> None:
        """A new session: nothing of the one before it stays, its CSRF token neither."""
        session.clear()
        now = self._clock()
        session.update(name=person.name, role=person.role, by=person.by, since=now, seen=now)
        session["mark"] = self._mark(person)

    def end(self) -> None:
        session.clear()

    def _mark(self, person: Person) -> str | None:
        """Changes with what lets the person in, and tells nothing of it; None if nothing does any more."""
        user = self._users.get(person.name) if person.by == "password" else None
        if user is not None:
            return _digest(user.password_hash.reveal(), user.role)
        if person.by == "openid" and self._oidc is not None:
            roles = [f"{who}:{role}" for who, role in sorted(self._oidc.roles.items())]
            return _digest(self._oidc.issuer, self._oidc.client_id, *roles)
        return None


def wanted() -> str:
    """Where the person was going: a page of this console and nothing else."""
    to = request.values.get("next", "")
    is_plain = to.isascii() and to.isprintable() and "\\" not in to
    try:
        parts = urlsplit(to if is_plain else "")
    except ValueError:
        parts = urlsplit("")
    if not parts.scheme and not parts.netloc and parts.path.startswith("/console/"):
        return to
    return url_for("console.home")


def _digest(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]
