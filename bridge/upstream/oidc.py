"""OpenID Connect: who somebody is, by an authorization code with PKCE, from a provider's own signed word.

OpenID Connect Core 1.0, Discovery 1.0 and RFC 7636, by authlib; here are only the deadlines and what is believed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus

from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session, OAuthError
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from bridge.errors import AnswerLost, CredentialRefused, InvalidValue, NotBegun, UpstreamTrouble
from bridge.upstream.connections import BoundedAdapter
from bridge.upstream.transport import USER_AGENT, call_until, checked_host

DISCOVERY = "/.well-known/openid-configuration"
CALL_SECONDS = 10.0  # for all calls of one step together
KEPT_FOR = 3600.0  # seconds, what the provider says of itself
LEEWAY = 120  # seconds that its clock may be off
SCOPES = ("openid", "profile", "email")
AUTH_METHODS = ("client_secret_basic", "client_secret_post")
# Signed with the provider's private key. Not the shared secret's (HS…), and least of all "none".
ALGORITHMS = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "Ed25519",
)


@dataclass(frozen=True)
class Attempt:
    """One person's way to the provider and back; all of it belongs to this person's browser alone."""

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)


@dataclass(frozen=True)
class _Metadata:
    issuer: str
    authorization: str
    token: str
    keys: str
    userinfo: str
    auth_methods: list[str]
    algorithms: list[str]
    scope: str
    until: float


class OpenIdProvider:
    """A provider by its issuer's address, shared by threads. `call_seconds` bounds each step as a whole."""

    def __init__(
        self,
        issuer: str,
        client_id: str,
        client_secret: str,
        *,
        allow_http: bool = False,
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        self.host = checked_host(issuer, allow_http)
        self._issuer = issuer.rstrip("/")
        self._client_id, self._client_secret = client_id, client_secret
        self._allow_http = allow_http
        self._call_seconds = call_seconds
        self._lock = threading.Lock()
        self._metadata: _Metadata | None = None
        self._keys: KeySet | None = None

    def __repr__(self) -> str:
        return f"<OpenIdProvider {self.host}>"

    def begin(self, redirect_uri: str) -> tuple[str, Attempt]:
        """Where the browser goes to, and what has to be kept for `finish`. Raises UpstreamTrouble."""
        attempt = Attempt(generate_token(32), generate_token(32), generate_token(48))
        with self._session() as session:
            metadata = self._described(session)
            session.scope = metadata.scope
            address, _ = session.create_authorization_url(
                metadata.authorization,
                state=attempt.state,
                redirect_uri=redirect_uri,
                nonce=attempt.nonce,
                code_verifier=attempt.verifier,
            )
        return str(address), attempt

    def finish(self, redirect_uri: str, code: str, attempt: Attempt) -> dict[str, Any]:
        """What the provider says of the person. Raises UpstreamTrouble: it does not answer, or not as it should."""
        with self._session() as session:
            metadata = self._described(session)
            given = {"code": code, "redirect_uri": redirect_uri, "code_verifier": attempt.verifier}
            token = self._exchange(session, metadata, given)
            claims = self._believed(session, metadata, token, attempt.nonce)
            return self._told(session, metadata, claims)

    def check(self) -> str:
        """For `python -m bridge check --connect`."""
        with self._session() as session:
            self._metadata = None
            metadata = self._described(session)
            count = len(self._fetch_keys(session, metadata).keys)
        return f"{self.host} describes itself, with {count} key{'s' if count != 1 else ''}"

    @contextmanager
    def _session(self) -> Iterator[OAuth2Session]:
        """Connections and a deadline for one step; whatever goes wrong in it is an UpstreamTrouble."""
        with OAuth2Session(self._client_id, code_challenge_method="S256", trust_env=False) as session:
            session.headers["User-Agent"] = USER_AGENT
            for scheme in ("http://", "https://"):
                session.mount(scheme, BoundedAdapter(1))
            try:
                with call_until(time.monotonic() + self._call_seconds, self.host):
                    yield session
            except AnswerLost as error:
                raise NotBegun(str(error)) from error.__cause__
            except (JoseError, OAuthError) as error:
                raise NotBegun(
                    f"{self.host}: what it says cannot be believed ({_word(error.error)})"
                ) from None
            except UpstreamTrouble:
                raise
            except (ValueError, TypeError, KeyError, AttributeError):
                raise NotBegun(f"{self.host}: its answer cannot be read") from None

    def _described(self, session: OAuth2Session) -> _Metadata:
        standing = self._metadata
        if standing is None or time.monotonic() >= standing.until:
            standing = self._metadata = self._describe(session)
        return standing

    def _describe(self, session: OAuth2Session) -> _Metadata:
        its = self._get(session, self._issuer + DISCOVERY)
        if str(its["issuer"]).rstrip("/") != self._issuer:
            raise NotBegun(f"{self.host}: it calls itself by another address than OIDC_ISSUER")
        methods = its.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        offered = its.get("id_token_signing_alg_values_supported") or ["RS256"]
        scopes = [*SCOPES, *(one for one in its.get("scopes_supported") or () if one == "groups")]
        return _Metadata(
            issuer=str(its["issuer"]),
            authorization=self._checked(its["authorization_endpoint"]),
            token=self._checked(its["token_endpoint"]),
            keys=self._checked(its["jwks_uri"]),
            userinfo=self._checked(its["userinfo_endpoint"]) if its.get("userinfo_endpoint") else "",
            auth_methods=[one for one in AUTH_METHODS if one in methods],
            algorithms=[one for one in offered if one in ALGORITHMS],
            scope=" ".join(scopes),
            until=time.monotonic() + KEPT_FOR,
        )

    def _exchange(
        self, session: OAuth2Session, metadata: _Metadata, given: Mapping[str, str]
    ) -> Mapping[str, Any]:
        """The tokens for a code. What the provider offers need not be what it takes from this client: a refused
        credential does not cost the code, and is sent once more in the other way.
        """
        refusal = "no way to authenticate that it offers is known here"
        for method in metadata.auth_methods:
            session.token_endpoint_auth_method = method
            # HTTP Basic has both form-encoded (RFC 6749 section 2.3.1); authlib leaves that to its caller.
            encode = quote_plus if method == "client_secret_basic" else str
            session.client_id, session.client_secret = encode(self._client_id), encode(self._client_secret)
            try:
                token: Mapping[str, Any] = session.fetch_token(
                    metadata.token, grant_type="authorization_code", allow_redirects=False, **given
                )
            except OAuthError as error:
                refusal = _word(error.error)
                if refusal != "invalid_client":
                    break
            else:
                return token
        raise CredentialRefused(f"{self.host} gave no token: {refusal}")

    def _believed(
        self, session: OAuth2Session, metadata: _Metadata, token: Mapping[str, Any], nonce: str
    ) -> dict[str, Any]:
        """The ID token's claims, once its signature, its issuer, its audience, its times and its nonce are right."""
        registry = JWSRegistry(algorithms=metadata.algorithms, strict_check_header=False)
        keys = self._keys or self._fetch_keys(session, metadata)
        try:
            read = jwt.decode(str(token["id_token"]), keys, registry=registry)
        except InvalidKeyIdError:  # it may have new ones
            read = jwt.decode(str(token["id_token"]), self._fetch_keys(session, metadata), registry=registry)
        options = {
            "iss": {"essential": True, "value": metadata.issuer},
            "aud": {"essential": True, "value": self._client_id},
            "nonce": {"essential": True, "value": nonce},
        }
        params = {"nonce": nonce, "client_id": self._client_id, "access_token": token.get("access_token")}
        claims = CodeIDToken(read.claims, read.header, options, params)
        claims.validate(leeway=LEEWAY)
        return dict(claims)

    def _told(self, session: OAuth2Session, metadata: _Metadata, claims: dict[str, Any]) -> dict[str, Any]:
        """With what its userinfo adds, if that speaks of the same person."""
        if not metadata.userinfo:
            return claims
        more = self._get(session, metadata.userinfo, withhold_token=False)
        if more.get("sub") != claims["sub"]:
            raise NotBegun(f"{self.host}: its userinfo speaks of somebody else")
        return more | claims

    def _fetch_keys(self, session: OAuth2Session, metadata: _Metadata) -> KeySet:
        keys = KeySet.import_key_set({"keys": self._get(session, metadata.keys)["keys"]})
        self._keys = keys
        return keys

    def _get(self, session: OAuth2Session, address: str, *, withhold_token: bool = True) -> dict[str, Any]:
        answer = session.get(address, withhold_token=withhold_token, allow_redirects=False)
        if answer.status_code != 200:
            raise NotBegun(f"{self.host}: {answer.status_code} for {address.partition('?')[0]}")
        found = answer.json()
        if not isinstance(found, dict):
            raise TypeError("not an object")
        return found

    def _checked(self, address: object) -> str:
        """An endpoint, which may stand on another host than the issuer, but not without TLS."""
        try:
            checked_host(str(address).partition("?")[0], self._allow_http)
        except InvalidValue:
            raise NotBegun(f"{self.host}: it names an endpoint without https") from None
        return str(address)


def _word(error: object) -> str:
    text = str(error or "")
    return text if text.replace("_", "").isalnum() and len(text) <= 40 else "no reason given"
