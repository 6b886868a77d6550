"""What the console's tests share: a served console with three people, visitors without and with a browser.

`console`       the running console; `console.visitor("editor")` is somebody signed in, over HTTP without a browser
`signed_in`     `signed_in("editor")`: a page of Chromium, signed in
`page`          a page of Chromium, not signed in

Whatever a page's scripts complain about, and whatever its policy forbids, fails the test.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask.testing import FlaskClient
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Response, sync_playwright
from web.running import Bridge, Starter, start, stocked_sqlite
from werkzeug.security import generate_password_hash
from werkzeug.test import TestResponse

from bridge import console as bridge_console
from bridge.settings import ROLES

__all__ = ["start", "stocked_sqlite"]

PASSWORD = "correct horse"
SECRET_KEY = "0123456789abcdef0123456789abcdef"
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def hashed(password: str) -> str:
    """As `hash-password` prints it, at a thirtieth of the cost."""
    return generate_password_hash(password, "scrypt:1024:8:1")


USERS = ",".join(f"{role}:{hashed(PASSWORD)}:{role}" for role in ROLES)


@dataclass
class Visitor:
    """Somebody at the console without a browser: has cookies and sends forms with their tokens."""

    client: FlaskClient

    def get(self, path: str, **query: Any) -> TestResponse:
        return self.client.get(path, query_string=query or None)

    def post(self, path: str, **form: Any) -> TestResponse:
        """A form, with the CSRF token that a page of this session shows."""
        return self.client.post(path, data={"csrf_token": self.token()} | form)

    def htmx(self, path: str, method: str = "POST", **form: Any) -> TestResponse:
        """As htmx asks for a fragment."""
        headers = {"HX-Request": "true", "X-CSRFToken": self.token()}
        given: dict[str, Any] = {"query_string": form} if method == "GET" else {"data": form}
        return self.client.open(path, method=method, headers=headers, **given)

    def token(self) -> str:
        found: str = self.client.get("/console/token").get_json()["token"]
        return found

    def sign_in(self, name: str, password: str = PASSWORD, **form: str) -> TestResponse:
        return self.post("/console/sign-in", name=name, password=password, **form)


@dataclass
class Console:
    """`bridge`: the application, its database and what tests do with it. `url`: where a browser finds it."""

    bridge: Bridge
    url: str

    def visitor(self, role: str | None = None) -> Visitor:
        """Without a role: somebody who has not signed in."""
        visitor = Visitor(self.bridge.app.test_client())
        if role is not None:
            answer = visitor.sign_in(role)
            assert answer.status_code == 303, answer.get_data(as_text=True)
        return visitor


@pytest.fixture
def console(start: Starter) -> Iterator[Console]:
    bridge = start(CONSOLE_USERS=USERS, SECRET_KEY=SECRET_KEY)
    with bridge.served() as url:
        yield Console(bridge, url)


@pytest.fixture
def without_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signing in ends on a bare page, whatever pages there are."""
    monkeypatch.setattr(bridge_console, "PAGES", ())


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_chromium(), args=ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Windows:
    """Opens pages of Chromium, each with cookies of its own, and remembers what they complain about."""

    browser: Browser
    console: Console
    contexts: list[BrowserContext] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def open(self, **options: Any) -> Page:
        # A colour on its way to another is no colour to be judged.
        context = self.browser.new_context(base_url=self.console.url, reduced_motion="reduce", **options)
        context.set_default_timeout(15_000)
        self.contexts.append(context)
        page = context.new_page()
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("response", self._on_response)
        return page

    def close(self) -> None:
        for context in self.contexts:
            context.close()

    def _on_console(self, message: ConsoleMessage) -> None:
        # Chromium's and htmx's words about a status: which of them are faults, `_on_response` knows better.
        of_status = re.search("Failed to load resource|Response Status Error Code", message.text)
        if message.type in ("error", "warning") and not of_status:
            self.complaints.append(message.text)

    def _on_response(self, response: Response) -> None:
        is_page = response.request.resource_type in ("document", "xhr", "fetch")
        if response.status >= (500 if is_page else 400):
            self.complaints.append(f"{response.status} {response.url}")


@pytest.fixture
def windows(browser: Browser, console: Console) -> Iterator[Windows]:
    windows = Windows(browser, console)
    yield windows
    windows.close()
    assert windows.complaints == []


@pytest.fixture
def page(windows: Windows) -> Page:
    return windows.open()


SignedIn = Callable[..., Page]


@pytest.fixture
def signed_in(windows: Windows) -> SignedIn:
    """`signed_in("editor")`; more arguments are those of Playwright's new_context, such as a viewport."""

    def open_as(role: str, **options: Any) -> Page:
        page = windows.open(**options)
        page.goto("/console/sign-in")
        page.get_by_label("Name").fill(role)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(lambda url: not url.endswith("/sign-in"))
        return page

    return open_as


def _chromium() -> str:
    names = (os.environ.get("CHROMIUM"), "/usr/bin/chromium", "chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, (shutil.which(name) for name in names if name)), None)
    if found is None:
        pytest.fail(
            "no Chromium here: `apt-get install chromium`, or say where it is with CHROMIUM=/path/to/it"
        )
    return found
