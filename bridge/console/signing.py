"""Signing in by name and password, and out; how fast somebody may guess."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import threading
from collections.abc import Sequence

import structlog
from flask import Blueprint, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from itsdangerous import BadSignature, URLSafeTimedSerializer
from werkzeug.security import check_password_hash, generate_password_hash
from werkzeug.wrappers import Response as BaseResponse

from bridge.console.roles import EVERYBODY, Person, needs
from bridge.console.sessions import Sessions, wanted
from bridge.database import clock
from bridge.ledger import sign_ins
from bridge.settings import ConsoleUser, Settings
from bridge.web.parts import Parts
from bridge.web.server import aside

MOST_PASSWORD = 256  # characters, so that nobody has a megabyte hashed
KNOWN_FOR = 90 * 24 * 3600  # seconds since somebody last signed in with a browser
MOST_AT_ONCE = 2  # passwords of one process, as each takes 32 MB while it is looked at

log = structlog.get_logger()


def register(console: Blueprint, parts: Parts, sessions: Sessions) -> None:
    passwords = Passwords(parts.settings.console.users)
    key = parts.settings.secret_key.reveal().encode()
    browsers = KnownBrowsers(parts.settings)

    @console.get("/sign-in")
    @needs(EVERYBODY)
    def sign_in() -> ResponseReturnValue:
        if g.person is not None:
            return redirect(wanted(), 303)
        return render_template("sign_in.html", next=wanted(), name="", fault="")

    @console.post("/sign-in")
    @needs(EVERYBODY)
    def sign_in_by_password() -> ResponseReturnValue:
        name = request.form.get("name", "").strip()
        # The table holds neither a name, which may be a password in the wrong field, nor an address.
        account = browsers.mark_of(name) or f"account {name.casefold()}"
        subjects = [_digest(key, account), _digest(key, f"address {caller()}")]
        with parts.database.write() as connection:
            wait = sign_ins.count_try(connection, subjects, clock(connection))
        if wait:
            log.info("console.sign_in_slowed", wait=wait)
            return _too_fast(name, wait)
        user = passwords.user(name, request.form.get("password", ""))
        if user is None:
            log.info("console.sign_in_failed")
            fault = "This name and password do not belong together."
            return render_template("sign_in.html", next=wanted(), name=name, fault=fault), 401
        with parts.database.write() as connection:
            sign_ins.forgive(connection, subjects)
        sessions.start(Person(user.name, user.role))
        log.info("console.signed_in", by="password", role=user.role)
        response = redirect(wanted(), 303)
        browsers.remember(response, user.name)
        return response

    @console.post("/sign-out")
    @needs(EVERYBODY)
    def sign_out() -> ResponseReturnValue:
        sessions.end()
        return redirect(url_for("console.sign_in"), 303)


class Passwords:
    """The users of CONSOLE_USERS. A name that is not among them takes as long as one that is."""

    def __init__(self, users: Sequence[ConsoleUser]) -> None:
        self._users = {user.name: user for user in users}
        self._nobodys = ""
        self._at_once = threading.BoundedSemaphore(MOST_AT_ONCE)

    def user(self, name: str, password: str) -> ConsoleUser | None:
        user = self._users.get(name)
        stored = user.password_hash.reveal() if user else self._nobodys_hash()
        with self._at_once:
            fits = aside(check_password_hash, stored, password[:MOST_PASSWORD])
        return user if fits and len(password) <= MOST_PASSWORD else None

    def _nobodys_hash(self) -> str:
        """At the cost of the first user's, made at its first use."""
        if not self._nobodys:
            first = next(iter(self._users.values()), None)
            method = first.password_hash.reveal().partition("$")[0] if first else "scrypt"
            self._nobodys = aside(generate_password_hash, "nobody's", method)
        return self._nobodys


class KnownBrowsers:
    """Browsers in which somebody has signed in before: their guesses are counted by themselves, so that nobody keeps
    a person out by guessing at the name from elsewhere.
    """

    def __init__(self, settings: Settings) -> None:
        self._is_secure = not settings.is_development
        self._cookie = "__Host-bridge-known" if self._is_secure else "bridge-known"
        self._signer = URLSafeTimedSerializer(settings.signing_keys, salt="known-browser")

    def mark_of(self, name: str) -> str | None:
        """Of this browser for this name; None for one in which nobody of that name signed in lately."""
        try:
            known, mark = self._signer.loads(request.cookies.get(self._cookie, ""), max_age=KNOWN_FOR)
        except (BadSignature, ValueError, TypeError):
            return None
        return f"browser {mark}" if known == name else None

    def remember(self, response: BaseResponse, name: str) -> None:
        response.set_cookie(
            self._cookie,
            self._signer.dumps([name, secrets.token_hex(8)]),
            max_age=KNOWN_FOR,
            secure=self._is_secure,
            httponly=True,
            samesite="Lax",
        )


def caller() -> str:
    """The network that the request came from: an address, or an IPv6 customer's 64 bits.

    A peer in a private network is a proxy (Heroku's router is one), which writes its caller at the end of
    X-Forwarded-For; what stands before that, anybody may have written.
    """
    peer = _address(request.remote_addr or "")
    forwarded = _address(request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip())
    found = forwarded if forwarded and (peer is None or peer.is_private) else peer
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found or "")


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _digest(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode("utf-8", "surrogatepass"), "sha256").hexdigest()


def _too_fast(name: str, wait: int) -> ResponseReturnValue:
    fault = f"Too many tries. Wait {wait} second{'s' if wait != 1 else ''}, then try again."
    page = render_template("sign_in.html", next=wanted(), name=name, fault=fault)
    return page, 429, {"Retry-After": str(wait)}
