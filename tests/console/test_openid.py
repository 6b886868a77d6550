"""Signing in with an OpenID provider that others wrote: oidc-provider, on Node."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from console.conftest import SECRET_KEY, USERS, Console, Visitor, Windows
from node import OIDC_PROVIDER, installed, running_server
from playwright.sync_api import Browser, Page, expect
from web.running import Bridge, Starter

from bridge.console.openid import name_of, role_of
from bridge.errors import SettingsInvalid
from bridge.local import free_port
from bridge.settings import Settings, oidc_roles

CLIENT_ID, SECRET = "the+bridge", "p+l/u=s:a&n%d-and-more-of-it"
ROLES = "marketing:editor,heads:publisher,grace@example.com:publisher,*:viewer"

pytestmark = pytest.mark.usefixtures("without_pages")


@dataclass
class Signing:
    """A console beside a provider."""

    windows: Windows
    bridge: Bridge

    def go(self) -> Page:
        page = self.windows.open()
        page.goto("/console/")
        page.get_by_role("link", name="Sign in with 127.0.0.1").click()
        return page

    def sign_in(self, name: str) -> Page:
        page = self.go()
        page.get_by_placeholder("Enter any login").fill(name)
        page.get_by_placeholder("and password").fill("any")
        page.get_by_role("button", name="Sign-in").click()
        page.get_by_role("button", name="Continue").click()
        page.wait_for_url("**/console/**")
        return page


@contextmanager
def serving(start: Starter, browser: Browser, **environ: str) -> Iterator[Signing]:
    port = free_port()
    redirect_uri = f"http://127.0.0.1:{port}/console/sign-in/openid/return"
    method = environ.pop("AUTH_METHOD", "client_secret_basic")
    client = {
        "CLIENT_ID": CLIENT_ID,
        "CLIENT_SECRET": SECRET,
        "REDIRECT_URI": redirect_uri,
        "AUTH_METHOD": method,
    }
    with running_server(installed(OIDC_PROVIDER), client) as issuer:
        oidc = {"OIDC_ISSUER": issuer, "OIDC_CLIENT_ID": CLIENT_ID, "OIDC_CLIENT_SECRET": SECRET}
        bridge = start(SECRET_KEY=SECRET_KEY, **(oidc | environ))
        with bridge.served(port) as url:
            windows = Windows(browser, Console(bridge, url))
            try:
                yield Signing(windows, bridge)
            finally:
                windows.close()
    assert windows.complaints == []


@pytest.fixture(params=["client_secret_basic", "client_secret_post"])
def either(request: pytest.FixtureRequest, start: Starter, browser: Browser) -> Iterator[Signing]:
    with serving(start, browser, AUTH_METHOD=request.param) as signing:
        yield signing


@pytest.fixture
def signing(start: Starter, browser: Browser) -> Iterator[Signing]:
    with serving(start, browser, OIDC_ROLES=ROLES) as signing:
        yield signing


def test_somebody_signs_in_and_is_a_viewer_without_more(either: Signing) -> None:
    page = either.sign_in("ada")

    expect(page.get_by_text("ada@example.com (viewer)")).to_be_visible()


@pytest.mark.parametrize(
    ("login", "shown"),
    [
        ("ada.marketing", "ada@example.com (editor)"),
        ("ada.marketing.heads", "ada@example.com (publisher)"),
        ("grace", "grace@example.com (publisher)"),
        ("grace.unverified", "(viewer)"),
    ],
)
def test_groups_and_verified_addresses_give_roles(signing: Signing, login: str, shown: str) -> None:
    page = signing.sign_in(login)

    expect(page.get_by_text(shown)).to_be_visible()


def test_somebody_goes_where_they_were_going(signing: Signing) -> None:
    page = signing.windows.open()
    page.goto("/console/go?here=1")
    page.get_by_role("link", name="Sign in with").click()
    page.get_by_placeholder("Enter any login").fill("ada")
    page.get_by_placeholder("and password").fill("any")
    page.get_by_role("button", name="Sign-in").click()
    page.get_by_role("button", name="Continue").click()

    page.wait_for_url("**/console/go?here=1")


def test_somebody_who_says_no_is_told_so(signing: Signing) -> None:
    page = signing.go()

    page.get_by_role("link", name="Cancel").click()

    expect(page.get_by_role("alert")).to_contain_text("did not let you in")


def test_whoever_has_no_role_stays_outside(start: Starter, browser: Browser) -> None:
    with serving(start, browser, OIDC_ROLES="heads:publisher") as signing:
        page = signing.sign_in("ada")

        expect(page.get_by_role("alert")).to_contain_text("nobody gave you a role")
        page.goto("/console/go")
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_return_that_nobody_began_signs_nobody_in(signing: Signing) -> None:
    visitor = Visitor(signing.bridge.app.test_client())

    for query in ("", "?state=x&code=y", "?code=y", "?error=access_denied"):
        answer = visitor.get(f"/console/sign-in/openid/return{query}")

        assert answer.status_code == 400
        assert "Sign in once more" in answer.get_data(as_text=True)
    assert visitor.get("/console/go").status_code == 303


def test_a_way_back_is_good_once_and_in_its_own_browser(signing: Signing) -> None:
    page = signing.go()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_placeholder("Enter any login").fill("mallory")
    page.get_by_placeholder("and password").fill("any")
    page.get_by_role("button", name="Sign-in").click()
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("mallory@example.com")).to_be_visible()
    [back] = [url for url in asked if "/openid/return?" in url]

    for other in (page, signing.windows.open()):
        other.goto(back)

        expect(other.get_by_role("alert")).to_contain_text("begun in another browser")


def test_a_provider_that_is_down_is_told_in_words(start: Starter) -> None:
    bridge = start(
        SECRET_KEY=SECRET_KEY,
        CONSOLE_USERS=USERS,
        OIDC_ISSUER="http://127.0.0.1:9",
        OIDC_CLIENT_ID="x",
        OIDC_CLIENT_SECRET="y",
    )
    visitor = Visitor(bridge.app.test_client())

    answer = visitor.get("/console/sign-in/openid")

    assert answer.status_code == 502
    assert "does not answer as it should" in answer.get_data(as_text=True)
    assert visitor.sign_in("editor").status_code == 303, "by password one still comes in"


class TestNamesAndRoles:
    def test_the_first_claim_that_is_there_names_the_person(self) -> None:
        assert name_of({"sub": "1", "name": "Ada", "email": "ada@example.com"}) == "ada@example.com"
        assert (
            name_of({"sub": "1", "name": "Ada", "email": "a@example.com", "email_verified": False}) == "Ada"
        )
        assert name_of({"sub": "1"}) == "1"

    @pytest.mark.parametrize(
        ("claims", "role"),
        [
            ({"email": "GRACE@example.com"}, "publisher"),
            ({"email": "grace@example.com", "email_verified": False}, "viewer"),
            ({"email": "grace@example.com", "email_verified": "false"}, "viewer"),
            ({"groups": ["a", "Marketing"]}, "editor"),
            ({"groups": "marketing"}, "editor"),
            ({"roles": ["heads"], "groups": ["marketing"]}, "publisher"),
            ({"groups": ["*"]}, "viewer"),
            ({"groups": [["marketing"], None, 7]}, "viewer"),
            ({}, "viewer"),
        ],
    )
    def test_the_highest_role_counts(self, claims: dict[str, Any], role: str) -> None:
        assert role_of(claims, oidc_roles(ROLES)) == role

    def test_nobody_else_comes_in_if_nobody_else_is_named(self) -> None:
        assert role_of({"email": "ada@example.com"}, oidc_roles("grace@example.com:viewer")) is None

    @pytest.mark.parametrize("text", ["ada", "ada:admin", ":viewer", "ada@example.com:"])
    def test_a_role_that_is_none_is_a_fault(self, text: str) -> None:
        oidc = {"OIDC_ISSUER": "https://x.example.com", "OIDC_CLIENT_ID": "i", "OIDC_CLIENT_SECRET": "s"}
        with pytest.raises(SettingsInvalid, match="OIDC_ROLES has"):
            Settings.from_env(oidc | {"OIDC_ROLES": text})
