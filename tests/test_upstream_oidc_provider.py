"""The token client against an OAuth server that others wrote: oidc-provider, on Node.

It holds to RFC 6749: it reads the Basic credential as form-encoded, and refuses a wrong secret.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from node import OIDC_PROVIDER, installed, running_server

from bridge.errors import CredentialRefused
from bridge.upstream import OAuth2ClientCredentials, Upstream

CLIENT_ID = "the bridge"
SECRET = "p+l/u=s:a&n%d space"


@pytest.fixture(scope="module")
def provider_folder() -> Path:
    return installed(OIDC_PROVIDER)


def running_provider(folder: Path, token_seconds: int) -> AbstractContextManager[str]:
    """The server's address."""
    environ = {"CLIENT_ID": CLIENT_ID, "CLIENT_SECRET": SECRET, "TOKEN_SECONDS": str(token_seconds)}
    return running_server(folder, environ)


@contextmanager
def upstream_of(url: str, secret: str) -> Iterator[Upstream]:
    auth = OAuth2ClientCredentials(f"{url}/oauth2/token", CLIENT_ID, secret, allow_http=True)
    upstream = Upstream(url, auth, allow_http=True)
    try:
        yield upstream
    finally:
        upstream.close()


def test_the_right_secret_gets_a_token_that_the_api_takes(provider_folder: Path) -> None:
    with running_provider(provider_folder, 300) as url, upstream_of(url, SECRET) as upstream:
        assert upstream.check() == "token for 300 s"
        assert [upstream.send("POST", "/v1/thing", {}).status for _ in range(3)] == [202] * 3


@pytest.mark.parametrize("secret", ["wrong", SECRET.upper(), SECRET.replace("+", " ")])
def test_a_wrong_secret_is_refused_by_name(provider_folder: Path, secret: str) -> None:
    with (
        running_provider(provider_folder, 300) as url,
        upstream_of(url, secret) as upstream,
        pytest.raises(CredentialRefused, match="401 invalid_client") as caught,
    ):
        upstream.send("POST", "/v1/thing", {})

    assert secret not in str(caught.value)


def test_calls_go_on_over_the_ends_of_short_tokens(provider_folder: Path) -> None:
    """Tokens of one second, for three of them: no call is refused, and few tokens are fetched."""
    with running_provider(provider_folder, 1) as url, upstream_of(url, SECRET) as upstream:
        tokens: set[str] = set()
        statuses: list[int] = []
        until = time.monotonic() + 3
        while time.monotonic() < until:
            statuses.append(upstream.send("POST", "/v1/thing", {}).status)
            tokens.add(vars(upstream._auth)["_token"].header)

    assert set(statuses) == {202}
    assert 3 <= len(tokens) <= 6
    assert len(statuses) > 10 * len(tokens)
