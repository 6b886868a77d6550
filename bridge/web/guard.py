"""Who may do what: the keys of BRIDGE_TOKENS as Bearer or Basic, and the hour-long tokens of POST /oauth2/token."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flask import Blueprint, Request, Response, g, jsonify, request
from itsdangerous import BadSignature, URLSafeTimedSerializer
from werkzeug.datastructures import Authorization
from werkzeug.exceptions import LengthRequired

from bridge.errors import Forbidden, TooLarge, Unauthorized
from bridge.settings import InboundKey, Settings
from bridge.web.problems import problem
from bridge.web.server import BROKEN_BODY
from bridge.web.signatures import Signer

TOKEN_LIVES = 3600  # seconds
SALT = "oauth2-token"
MOST_FORM = 16 * 1024  # bytes


@dataclass(frozen=True)
class Needs:
    """Whoever calls has one of these scopes. The interface document tells them."""

    scopes: Sequence[str]
    admit: Callable[[Sequence[str]], None]

    def __call__(self) -> None:
        self.admit(self.scopes)


class Guard:
    def __init__(self, settings: Settings) -> None:
        self._keys = settings.keys
        self._is_open = settings.is_development and not settings.keys
        self._signer = URLSafeTimedSerializer(settings.signing_keys, salt=SALT, signer=Signer)

    def needs(self, *scopes: str) -> Needs:
        """A check before each request of a blueprint: a key has one of these scopes. Its name is in `g.key_name`."""
        return Needs(scopes, self._admit)

    def _admit(self, scopes: Sequence[str]) -> None:
        if self._is_open:
            g.key_name = "development"
            return
        key = self._key_of(request)
        if key is None:
            raise Unauthorized(
                "Send a key of BRIDGE_TOKENS as 'Authorization: Bearer <secret>', or as HTTP Basic's password."
            )
        if key.scopes.isdisjoint(scopes):
            raise Forbidden(f"The key {key.name} has not the scope {' or '.join(scopes)}.")
        g.key_name = key.name

    def issue(self, authorization: Authorization | None) -> str | None:
        """A token for a key's name and secret; None when they are wrong."""
        if authorization is None:
            return None
        key = self._named(authorization.password or "")
        if key is None or not hmac.compare_digest(key.name.encode(), (authorization.username or "").encode()):
            return None
        return self._signer.dumps([key.name, _mark(key)])

    def _key_of(self, request: Request) -> InboundKey | None:
        if (basic := basic_of(request)) is not None:
            return self._named(basic.password or "")
        # Werkzeug takes a token with "=" in its middle for parameters.
        scheme, _, rest = request.headers.get("Authorization", "").strip().partition(" ")
        token = rest.strip().encode("latin-1", "replace").decode("utf-8", "replace")
        if scheme.lower() != "bearer" or not token:
            return None
        return self._named(token) or self._signed(token)

    def _named(self, secret: str) -> InboundKey | None:
        """The key with this secret; all are compared, each in constant time."""
        given, found = _digest(secret), None
        for key in self._keys:
            if hmac.compare_digest(given, _digest(key.secret.reveal())):
                found = key
        return found

    def _signed(self, token: str) -> InboundKey | None:
        try:
            name, mark = self._signer.loads(token, max_age=TOKEN_LIVES)
        except (BadSignature, ValueError, TypeError):
            return None
        # A key that was taken away or given a new secret takes its tokens with it.
        return next((k for k in self._keys if k.name == name and _is_mark(mark, k)), None)


def check_form(request: Request) -> None:
    """Whoever is not known yet sends little, and says how much: the large bodies' places are not theirs to hold.

    Errors: TooLarge, LengthRequired.
    """
    if (request.content_length or 0) > MOST_FORM:
        raise TooLarge(f"A form may have {MOST_FORM // 1024} KiB at most.")
    if request.content_length is None and "Transfer-Encoding" in request.headers:
        raise LengthRequired


def basic_of(request: Request) -> Authorization | None:
    """The name and the password of HTTP Basic; None where none were sent that can be read."""
    try:
        found = request.authorization
    except ValueError:  # Werkzeug lets pass what base64 says of letters that it has not
        return None
    return found if found is not None and found.type == "basic" else None


def token_blueprint(guard: Guard) -> Blueprint:
    """`POST /oauth2/token`, so that a campaign made for Rokt moves by changing its host. Guarded by itself."""
    blueprint = Blueprint("token", __name__)

    @blueprint.post("/oauth2/token")
    def issue() -> Response:
        check_form(request)
        try:
            grant_type = request.form.get("grant_type")
        except BROKEN_BODY:
            return _oauth_error(
                400, "invalid_request", "The body broke off, or its chunks do not follow HTTP/1.1."
            )
        if grant_type != "client_credentials":
            return _oauth_error(
                400, "unsupported_grant_type", "Send grant_type=client_credentials as a form."
            )
        token = guard.issue(basic_of(request))
        if token is None:
            return _oauth_error(
                401, "invalid_client", "Send a key's name and secret of BRIDGE_TOKENS by HTTP Basic."
            )
        response = jsonify({"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_LIVES})
        response.headers["Cache-Control"] = "no-store"
        return response

    return blueprint


def _oauth_error(status: int, error: str, words: str) -> Response:
    """RFC 6749 §5.2 asks for `error`; the rest is a problem like any other."""
    response = problem(status, "No token", words, error=error, error_description=words)
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Basic realm="bridge"'
    return response


def _mark(key: InboundKey) -> str:
    """Changes with the key's secret, and tells nothing of it."""
    return _digest(key.secret.reveal()).hex()[:16]


def _is_mark(given: object, key: InboundKey) -> bool:
    return isinstance(given, str) and hmac.compare_digest(
        given.encode("utf-8", "replace"), _mark(key).encode()
    )


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
