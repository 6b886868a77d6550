"""What is believed of an OpenID provider, and what is not: one that lies, dawdles, or is somebody else."""

from __future__ import annotations

import hmac
import json
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from bridge.errors import InvalidValue, NotBegun, UpstreamTrouble
from bridge.upstream import oidc
from bridge.upstream.oidc import Attempt, OpenIdProvider

ID, SECRET = "client", "s3cret-of-the-client-with-some-length"
BACK = "https://bridge.example.com/console/sign-in/openid/return"
CODE = "the-code"


@dataclass
class Provider:
    """As honest as a provider is; a test changes what it says."""

    url: str = ""
    key: Any = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "1", "use": "sig"}))
    description: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=lambda: {"sub": "ada", "email": "ada@example.com"})
    sign: Callable[[dict[str, Any]], str] | None = None
    keys: dict[str, Any] | None = None
    answers: dict[str, Response] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    nonce: str = ""

    @Request.application
    def app(self, request: Request) -> Response:
        self.asked.append((request.path, request.form.to_dict()))
        if request.path in self.answers:
            return self.answers[request.path]
        found = {
            oidc.DISCOVERY: self._describe,
            "/keys": lambda: self.keys or {"keys": [self.key.as_dict(private=False)]},
            "/token": self._token,
            "/userinfo": lambda: self.userinfo,
        }[request.path]
        return Response(json.dumps(found()), mimetype="application/json")

    def _describe(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize?tenant=1",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "id_token_signing_alg_values_supported": ["RS256", "ES256", "HS256", "none"],
        } | self.description

    def _token(self) -> dict[str, Any]:
        now = int(time.time())
        honest = {"iss": self.url, "sub": "ada", "aud": ID, "iat": now, "exp": now + 300, "nonce": self.nonce}
        claims = {k: v for k, v in (honest | self.claims).items() if v is not None}
        token = self.sign(claims) if self.sign else jwt.encode({"alg": "RS256", "kid": "1"}, claims, self.key)
        return {"access_token": "a", "token_type": "Bearer", "id_token": token}


@pytest.fixture
def provider() -> Iterator[Provider]:
    provider = Provider()
    server = make_server("127.0.0.1", 0, provider.app, threaded=True)
    server.log = lambda *_: None  # type: ignore[method-assign]
    provider.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield provider
    server.shutdown()
    thread.join()
    server.server_close()


def client(provider: Provider, **options: Any) -> OpenIdProvider:
    return OpenIdProvider(provider.url, ID, SECRET, allow_http=True, **options)


def finish(provider: Provider, its: OpenIdProvider | None = None) -> dict[str, Any]:
    its = its or client(provider)
    _, attempt = its.begin(BACK)
    provider.nonce = attempt.nonce
    return its.finish(BACK, CODE, attempt)


def test_the_browser_is_sent_with_a_challenge_that_only_the_verifier_meets(provider: Provider) -> None:
    address, attempt = client(provider).begin(BACK)
    query = {name: value for name, [value] in parse_qs(urlsplit(address).query).items()}

    assert address.startswith(f"{provider.url}/authorize?tenant=1&")
    assert query == {
        "tenant": "1",
        "response_type": "code",
        "client_id": ID,
        "redirect_uri": BACK,
        "scope": "openid profile email",
        "state": attempt.state,
        "nonce": attempt.nonce,
        "code_challenge": urlsafe_b64encode(sha256(attempt.verifier.encode()).digest()).decode().rstrip("="),
        "code_challenge_method": "S256",
    }
    assert len(attempt.verifier) >= 43
    assert len({attempt.state, attempt.nonce, attempt.verifier}) == 3
    assert attempt.verifier not in repr(attempt)


def test_no_two_attempts_have_anything_in_common(provider: Provider) -> None:
    its = client(provider)
    one, other = (its.begin(BACK)[1] for _ in range(2))

    assert not {one.state, one.nonce, one.verifier} & {other.state, other.nonce, other.verifier}


def test_what_an_honest_provider_says_is_believed(provider: Provider) -> None:
    assert finish(provider)["email"] == "ada@example.com"

    [form] = [form for path, form in provider.asked if path == "/token"]
    assert (form["grant_type"], form["code"], form["redirect_uri"]) == ("authorization_code", CODE, BACK)
    assert len(form["code_verifier"]) >= 43


def test_the_id_token_counts_for_more_than_userinfo(provider: Provider) -> None:
    provider.claims["groups"] = ["viewers"]
    provider.userinfo["groups"] = ["publishers"]

    assert finish(provider)["groups"] == ["viewers"]


LIES: dict[str, dict[str, Any]] = {
    "another issuer": {"iss": "https://evil.example.com"},
    "no issuer": {"iss": None},
    "another audience": {"aud": "another-client"},
    "another audience, authorized for this client": {"aud": "another-client", "azp": ID},
    "no audience": {"aud": None},
    "of somebody else's application": {"aud": [ID, "another"], "azp": "another"},
    "another nonce": {"nonce": "a-nonce-of-another-sign-in"},
    "no nonce": {"nonce": None},
    "expired": {"exp": 1_700_000_000},
    "no end": {"exp": None},
    "from the future": {"iat": 4_000_000_000},
    "not yet": {"nbf": 4_000_000_000},
    "nobody": {"sub": None},
    "no text": {"exp": "soon"},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_in_the_claims_is_not_believed(provider: Provider, lie: str) -> None:
    provider.claims = LIES[lie]

    with pytest.raises(NotBegun):
        finish(provider)


def test_a_token_without_a_good_signature_is_not_believed(provider: Provider) -> None:
    def coded(content: bytes) -> str:
        return urlsafe_b64encode(content).decode().rstrip("=")

    def unsigned(claims: dict[str, Any], alg: str = "none") -> str:
        return ".".join(coded(json.dumps(part).encode()) for part in ({"alg": alg, "kid": "1"}, claims)) + "."

    def by_shared(secret: bytes) -> Callable[[dict[str, Any]], str]:
        def sign(claims: dict[str, Any]) -> str:
            content = unsigned(claims, "HS256")
            return content + coded(hmac.digest(secret, content.rstrip(".").encode(), "sha256"))

        return sign

    another = RSAKey.generate_key(2048, {"kid": "1"})
    unknown = ECKey.generate_key("P-256", {"kid": "2"})
    signers: list[Callable[[dict[str, Any]], str]] = [
        unsigned,
        lambda claims: jwt.encode({"alg": "RS256", "kid": "1"}, claims, another),
        lambda claims: jwt.encode({"alg": "ES256", "kid": "2"}, claims, unknown),
        by_shared(provider.key.as_pem(private=False)),
        by_shared(SECRET.encode()),
        lambda claims: jwt.encode({"alg": "RS256", "kid": "1"}, claims, provider.key)[:-8] + "AAAAAAAA",
        lambda _claims: "no token at all",
    ]

    for sign in signers:
        provider.sign = sign
        with pytest.raises(NotBegun):
            finish(provider)


def test_a_provider_may_change_its_keys(provider: Provider) -> None:
    its = client(provider)
    finish(provider, its)
    provider.key = RSAKey.generate_key(2048, {"kid": "2"})
    provider.sign = lambda claims: jwt.encode({"alg": "RS256", "kid": "2"}, claims, provider.key)

    assert finish(provider, its)["sub"] == "ada"


def test_userinfo_of_somebody_else_is_not_believed(provider: Provider) -> None:
    provider.userinfo["sub"] = "mallory"

    with pytest.raises(NotBegun, match="somebody else"):
        finish(provider)


def test_a_provider_without_userinfo_says_it_all_in_the_token(provider: Provider) -> None:
    provider.description["userinfo_endpoint"] = None
    provider.claims["email"] = "grace@example.com"

    assert finish(provider)["email"] == "grace@example.com"


def test_a_description_of_another_issuer_is_not_believed(provider: Provider) -> None:
    provider.description["issuer"] = "https://evil.example.com"

    with pytest.raises(NotBegun, match="another address than OIDC_ISSUER"):
        client(provider).begin(BACK)


def test_an_issuer_may_end_in_a_slash(provider: Provider) -> None:
    provider.description["issuer"] = provider.claims["iss"] = f"{provider.url}/"

    assert finish(provider)["sub"] == "ada"


@pytest.mark.parametrize(
    "name", ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"]
)
@pytest.mark.parametrize(
    "address", ["ftp://x.example.com/", "file:///etc/passwd", "javascript:alert(1)", "/token"]
)
def test_an_endpoint_has_to_be_one(provider: Provider, name: str, address: str) -> None:
    provider.description[name] = address

    with pytest.raises(NotBegun, match="without https"):
        client(provider).begin(BACK)


def test_without_tls_nobody_is_asked_in_production() -> None:
    with pytest.raises(InvalidValue):
        OpenIdProvider("http://login.example.com", ID, SECRET)


@pytest.mark.parametrize("path", [oidc.DISCOVERY, "/keys", "/token", "/userinfo"])
@pytest.mark.parametrize(
    "answer",
    [
        Response("{}", 500),
        Response("{}", 404),
        Response("", 302, {"Location": "https://evil.example.com/"}),
        Response("<html>", 200, mimetype="text/html"),
        Response("[]", 200, mimetype="application/json"),
        Response("null", 200, mimetype="application/json"),
        Response("{}", 200, mimetype="application/json"),
        Response('{"error": "server_error"}', 400, mimetype="application/json"),
    ],
    ids=lambda answer: f"{answer.status_code} {answer.get_data(as_text=True)}",
)
def test_whatever_else_it_answers_is_told_as_its_trouble(
    provider: Provider, path: str, answer: Response
) -> None:
    provider.answers[path] = answer

    with pytest.raises(UpstreamTrouble) as trouble:
        finish(provider)

    assert "127.0.0.1" in str(trouble.value)
    assert not any(secret in str(trouble.value) for secret in (SECRET, CODE, provider.nonce or "?"))


def test_what_it_says_of_itself_is_asked_once(provider: Provider) -> None:
    its = client(provider)
    for _ in range(3):
        finish(provider, its)

    assert [path for path, _ in provider.asked].count(oidc.DISCOVERY) == 1
    assert [path for path, _ in provider.asked].count("/keys") == 1


def test_a_provider_that_cannot_be_reached_is_told() -> None:
    with pytest.raises(NotBegun, match=r"127\.0\.0\.1:9: connection refused"):
        OpenIdProvider("http://127.0.0.1:9", ID, SECRET, allow_http=True).finish(
            BACK, CODE, Attempt("s", "n", "v")
        )


def test_check_tells_how_many_keys_it_has(provider: Provider) -> None:
    assert client(provider).check() == f"{urlsplit(provider.url).netloc} describes itself, with 1 key"
