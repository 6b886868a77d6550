"""Signing in and out of the console."""

from __future__ import annotations

import hashlib
import time
from urllib.parse import urlsplit

from flask import Blueprint, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from werkzeug.security import check_password_hash, generate_password_hash

from bridge.console.roles import EVERYBODY, Person, needs
from bridge.settings import ConsoleUser, Settings
from bridge.web.parts import Parts
from bridge.web.server import aside

IDLE = 8 * 3600  # seconds without a request, then one signs in again
LONGEST = 7 * 24 * 3600  # seconds since signing in
MOST_PASSWORD = 256  # characters, so that nobody has a megabyte hashed


class Sessions:
    """Who is signed in, by Flask's signed cookie. It holds no secret: name, times, and a mark of the hash."""

    def __init__(self, settings: Settings) -> None:
        self._users = {user.name: user for user in settings.console.users}

    def person(self) -> Person | None:
        """None: nobody, too long ago, or somebody who was taken out or has another password by now."""
        now = time.time()
        try:
            name, since, seen = str(session["name"]), float(session["since"]), float(session["seen"])
        except (KeyError, TypeError, ValueError):
            return None
        if now - seen > IDLE or now - since > LONGEST:
            return None
        user = self._users.get(name)
        if user is None or session.get("mark") != mark_of(user):
            return None
        if now - seen > 60:
            session["seen"] = now
        return Person(user.name, user.role)

    def start(self, user: ConsoleUser) -> None:
        """A new session: nothing of the one before it stays, its CSRF token neither."""
        session.clear()
        now = time.time()
        session.update(name=user.name, mark=mark_of(user), since=now, seen=now)

    def known(self, name: str, password: str) -> ConsoleUser | None:
        """The user with this name and password. A name that is not known takes as long as one that is."""
        user = self._users.get(name)
        stored = user.password_hash.reveal() if user else _nobodys_hash()
        fits = aside(check_password_hash, stored, password[:MOST_PASSWORD])
        return user if user and fits and len(password) <= MOST_PASSWORD else None


def mark_of(user: ConsoleUser) -> str:
    """Changes with the password, and tells nothing of it."""
    return hashlib.sha256(user.password_hash.reveal().encode()).hexdigest()[:16]


def register(console: Blueprint, parts: Parts, sessions: Sessions) -> None:
    @console.get("/sign-in")
    @needs(EVERYBODY)
    def sign_in() -> ResponseReturnValue:
        return render_template("sign_in.html", next=wanted(), name="", fault="")

    @console.post("/sign-in")
    @needs(EVERYBODY)
    def signed_in() -> ResponseReturnValue:
        name = request.form.get("name", "").strip()
        user = sessions.known(name, request.form.get("password", ""))
        if user is None:
            fault = "This name and password do not belong together."
            return render_template("sign_in.html", next=wanted(), name=name, fault=fault), 401
        to = wanted()
        sessions.start(user)
        return redirect(to, 303)

    @console.post("/sign-out")
    @needs(EVERYBODY)
    def sign_out() -> ResponseReturnValue:
        session.clear()
        return redirect(url_for("console.sign_in"), 303)


def wanted() -> str:
    """Where the person was going: a page of this console and nothing else."""
    to = request.values.get("next", "")
    parts = urlsplit(to) if to.isascii() and to.isprintable() and "\\" not in to else urlsplit("")
    if not parts.scheme and not parts.netloc and parts.path.startswith("/console/"):
        return to
    return url_for("console.home")


_nobody: list[str] = []


def _nobodys_hash() -> str:
    """Made with the same cost as a real one, at the first use."""
    if not _nobody:
        _nobody.append(aside(generate_password_hash, "nobody has this password", "scrypt"))
    return _nobody[0]
