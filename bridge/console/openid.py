"""Signing in with the company's OpenID provider, and the role that somebody has by what it says."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import structlog
from flask import Blueprint, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from bridge.console.roles import EVERYBODY, Person, needs
from bridge.console.sessions import Sessions, wanted
from bridge.errors import CredentialRefused, UpstreamTrouble
from bridge.settings import ROLES, Settings
from bridge.upstream.oidc import Attempt, OpenIdProvider

MOST_ATTEMPTS = 4  # of one browser at a time: one for each of its windows
ATTEMPT_LIVES = 600  # seconds
NAME_CLAIMS = ("email", "preferred_username", "name", "sub")  # the first that is there names the person
GROUP_CLAIMS = ("groups", "roles")
ANYBODY = "*"

log = structlog.get_logger()


def register(console: Blueprint, settings: Settings, sessions: Sessions) -> None:
    """Nothing, unless the provider is configured."""
    oidc = settings.console.oidc
    if oidc is None:
        return
    provider = OpenIdProvider(
        oidc.issuer, oidc.client_id, oidc.client_secret.reveal(), allow_http=settings.is_development
    )

    def return_address() -> str:
        scheme = request.scheme if settings.is_development else "https"
        return url_for("console.openid_return", _external=True, _scheme=scheme)

    @console.get("/sign-in/openid")
    @needs(EVERYBODY)
    def openid() -> ResponseReturnValue:
        try:
            address, attempt = provider.begin(return_address())
        except UpstreamTrouble as trouble:
            return _in_trouble(trouble)
        attempts = {k: v for k, v in _attempts().items() if v["at"] > time.time() - ATTEMPT_LIVES}
        newest = dict(sorted(attempts.items(), key=lambda item: item[1]["at"])[-(MOST_ATTEMPTS - 1) :])
        kept = {"nonce": attempt.nonce, "verifier": attempt.verifier, "at": time.time(), "next": wanted()}
        session["openid"] = newest | {attempt.state: kept}
        return redirect(address, 303)

    @console.get("/sign-in/openid/return")
    @needs(EVERYBODY)
    def openid_return() -> ResponseReturnValue:
        state = request.args.get("state", "")
        kept = _attempts().get(state)
        session.pop("openid", None)
        if kept is None or kept["at"] < time.time() - ATTEMPT_LIVES:
            return _refused("This took too long, or was begun in another browser. Sign in once more.")
        if "code" not in request.args:
            return _refused(f"{provider.host} did not let you in.")
        attempt = Attempt(state, kept["nonce"], kept["verifier"])
        try:
            claims = provider.finish(return_address(), request.args["code"], attempt)
        except UpstreamTrouble as trouble:
            return _in_trouble(trouble)
        name, role = name_of(claims), role_of(claims, oidc.roles)
        if role is None:
            log.info("console.sign_in_refused", by="openid", reason="no role")
            return _refused(f"{provider.host} knows you as {name}, but nobody gave you a role here yet.", 403)
        sessions.start(Person(name, role, "openid"))
        log.info("console.signed_in", by="openid", role=role)
        return redirect(kept["next"], 303)


def name_of(claims: Mapping[str, Any]) -> str:
    named = {**claims, "email": _address(claims)}
    return next(str(named[claim])[:200] for claim in NAME_CLAIMS if named.get(claim))


def role_of(claims: Mapping[str, Any], roles: Mapping[str, str]) -> str | None:
    """The highest role of the person's address and groups, else everybody's; None: not let in."""
    known = {_address(claims).lower()} - {""}
    for claim in GROUP_CLAIMS:
        given = claims.get(claim) or []
        known |= {str(one).lower() for one in (given if isinstance(given, list) else [given])}
    found = [role for who, role in roles.items() if who.lower() in known]
    return max(found, key=ROLES.index, default=roles.get(ANYBODY))


def _address(claims: Mapping[str, Any]) -> str:
    """One that the provider calls unverified is nobody's."""
    is_verified = claims.get("email_verified", True) in (True, "true")
    return str(claims.get("email") or "") if is_verified else ""


def _attempts() -> dict[str, dict[str, Any]]:
    kept = session.get("openid")
    return kept if isinstance(kept, dict) else {}


def _refused(words: str, status: int = 400) -> ResponseReturnValue:
    return render_template("sign_in.html", next="", name="", fault=words), status


def _in_trouble(trouble: UpstreamTrouble) -> ResponseReturnValue:
    log.warning("console.openid_trouble", error=str(trouble))
    if isinstance(trouble, CredentialRefused):
        return _refused(
            "The OpenID provider did not take the sign-in. Whoever runs the bridge finds why in its log.", 502
        )
    return _refused("The OpenID provider does not answer as it should. Try again in a moment.", 502)
