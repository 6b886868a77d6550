"""The token client against an OAuth server that others wrote: oidc-provider, on Node.

It holds to RFC 6749: it reads the Basic credential as form-encoded, and refuses a wrong secret.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridge.errors import CredentialRefused
from bridge.upstream import OAuth2ClientCredentials, Upstream

FOLDER = Path(__file__).parent / "oidc_provider"
LOCK, INSTALLED = FOLDER / "package-lock.json", FOLDER / "node_modules" / ".package-lock.json"
INSTALL = ["npm", "ci", "--no-audit", "--no-fund"]

CLIENT_ID = "the bridge"
SECRET = "p+l/u=s:a&n%d space"


@pytest.fixture(scope="module")
def provider_folder() -> Path:
    """Installed once, by whichever process of the tests comes first."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.fail(f"{program} is missing: install Node.js 20 or newer (`apt-get install nodejs npm`)")
    with LOCK.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not INSTALLED.exists() or INSTALLED.stat().st_mtime < LOCK.stat().st_mtime:
            done = subprocess.run(INSTALL, cwd=FOLDER, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.fail(f"run `cd {FOLDER} && {' '.join(INSTALL)}`: {done.stderr}")
    return FOLDER


@contextmanager
def running_provider(folder: Path, token_seconds: int) -> Iterator[str]:
    """The server's address."""
    environment = {
        "PATH": os.environ["PATH"],
        "CLIENT_ID": CLIENT_ID,
        "CLIENT_SECRET": SECRET,
        "TOKEN_SECONDS": str(token_seconds),
    }
    with subprocess.Popen(
        ["node", "server.mjs"],
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        port = next((line.strip() for line in lines if line.strip().isdigit()), None)
        assert port is not None, "the server did not start"
        yield f"http://127.0.0.1:{port}"
        process.stdin.close()
        process.wait(10)


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
