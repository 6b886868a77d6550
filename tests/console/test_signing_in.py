"""Signing in and out, and who comes in where."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pytest
import sqlalchemy as sa
from console.conftest import PASSWORD, SECRET_KEY, USERS, Console, SignedIn, Visitor
from playwright.sync_api import Page, expect
from web.running import Starter
from werkzeug.test import TestResponse

from bridge.console.signing import Passwords, caller
from bridge.ledger.sign_ins import MOST_TRIES, sign_in_tries

pytestmark = pytest.mark.usefixtures("without_pages")


def test_somebody_signs_in_and_out(page: Page) -> None:
    page.goto("/console/")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()

    page.get_by_label("Name").fill("editor")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()

    expect(page.get_by_text("editor (editor)")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.goto("/console/go")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


@pytest.mark.parametrize("name", ["editor", "nobody", "", "<script>"])
def test_a_wrong_password_and_a_wrong_name_are_told_alike(console: Console, name: str) -> None:
    answer = console.visitor().sign_in(name, "wrong password")

    assert answer.status_code == 401
    assert "This name and password do not belong together." in answer.get_data(as_text=True)
    assert "<script>" not in answer.get_data(as_text=True).replace('<script src="', "")


def test_each_role_signs_in(signed_in: SignedIn) -> None:
    for role in ("viewer", "editor", "publisher"):
        expect(signed_in(role).get_by_text(f"{role} ({role})")).to_be_visible()


def statuses(answers: list[TestResponse]) -> list[int]:
    return [answer.status_code for answer in answers]


class TestGuessing:
    def test_the_eleventh_guess_of_an_account_waits(self, console: Console) -> None:
        guesses = [guess(console, "editor", f"10.0.0.{n}", f"wrong {n}") for n in range(MOST_TRIES)]

        right = guess(console, "editor", "10.0.1.1", PASSWORD)
        another = guess(console, "viewer", "10.0.1.1", PASSWORD)

        assert statuses(guesses) == [401] * MOST_TRIES
        assert right.status_code == 429
        assert 0 < int(right.headers["Retry-After"]) <= 60
        assert f"Wait {right.headers['Retry-After']} second" in right.get_data(as_text=True)
        assert another.status_code == 303

    def test_the_eleventh_guess_from_an_address_waits(self, console: Console) -> None:
        guesses = [guess(console, f"name {n}", "203.0.113.7", "wrong") for n in range(MOST_TRIES)]

        assert statuses(guesses) == [401] * MOST_TRIES
        assert guess(console, "editor", "203.0.113.7", PASSWORD).status_code == 429
        assert guess(console, "editor", "203.0.113.8", PASSWORD).status_code == 303

    def test_an_account_that_is_none_waits_as_well(self, console: Console) -> None:
        guesses = [guess(console, "nobody", f"10.0.0.{n}", "wrong") for n in range(MOST_TRIES + 1)]

        assert statuses(guesses) == [401] * MOST_TRIES + [429]

    def test_a_name_counts_in_any_case_and_with_spaces(self, console: Console) -> None:
        for n in range(MOST_TRIES):
            guess(console, ["editor", " EDITOR ", "Editor"][n % 3], f"10.0.0.{n}", "wrong")

        assert guess(console, "editor", "10.0.1.1", PASSWORD).status_code == 429

    def test_nobody_is_kept_out_by_guesses_from_elsewhere(self, console: Console) -> None:
        """In a browser in which the person signed in before; it has ten tries of its own, and for that name alone."""
        at_home = console.visitor("editor")
        at_home.post("/console/sign-out")
        for n in range(MOST_TRIES + 1):
            guess(console, "editor", f"10.0.0.{n}", "wrong")
            guess(console, "viewer", f"10.0.0.{n}", "wrong")
        assert guess(console, "editor", "10.0.1.1", PASSWORD).status_code == 429

        assert at_home.sign_in("viewer").status_code == 429
        assert at_home.sign_in("editor").status_code == 303
        at_home.post("/console/sign-out")
        tries = [guess(console, "editor", f"10.0.2.{n}", "wrong", at_home) for n in range(MOST_TRIES + 1)]
        assert statuses(tries) == [401] * MOST_TRIES + [429]

    def test_a_browser_is_not_known_by_what_it_says_of_itself(self, console: Console) -> None:
        for n in range(MOST_TRIES):
            guess(console, "editor", f"10.0.0.{n}", "wrong")
        for forged in ("x", "WyJlZGl0b3IiLCJ4Il0.aaaa.bbbb", ""):
            visitor = console.visitor()
            visitor.client.set_cookie("bridge-known", forged)

            assert guess(console, "editor", "10.0.1.1", PASSWORD, visitor).status_code == 429

    def test_the_other_web_processes_count_too(self, console: Console, start: Starter) -> None:
        other = Console(start(CONSOLE_USERS=USERS, SECRET_KEY=SECRET_KEY), "")
        for n in range(MOST_TRIES):
            guess([console, other][n % 2], "editor", f"10.0.0.{n}", "wrong")

        assert guess(console, "editor", "10.0.1.1", PASSWORD).status_code == 429
        assert guess(other, "editor", "10.0.1.2", PASSWORD).status_code == 429

    def test_neither_names_nor_addresses_are_kept(self, console: Console) -> None:
        guess(console, "hunter2 in the wrong field", "203.0.113.7", "wrong")

        with console.bridge.database.read() as connection:
            kept = list(connection.scalars(sa.select(sign_in_tries.c.subject)))
        assert len(kept) == 2
        assert all(re.fullmatch("[0-9a-f]{64}", subject) for subject in kept)

    def test_a_name_that_is_unknown_costs_what_a_known_one_does(
        self, start: Starter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each takes one scrypt at the same cost, which is nearly all of the time."""
        passwords = Passwords(start(CONSOLE_USERS=USERS, SECRET_KEY=SECRET_KEY).settings.console.users)
        passwords.user("nobody", "x")  # the first one makes a hash
        costs: list[tuple[int, ...]] = []
        scrypt = hashlib.scrypt

        def counted(password: bytes, *, n: int, r: int, p: int, **more: Any) -> bytes:
            costs.append((n, r, p))
            return scrypt(password, n=n, r=r, p=p, **more)

        monkeypatch.setattr(hashlib, "scrypt", counted)
        assert passwords.user("editor", PASSWORD) is not None
        assert passwords.user("editor", "wrong") is None
        assert passwords.user("nobody", "wrong") is None
        assert passwords.user("nobody", "nobody's") is None

        assert costs == [(1024, 8, 1)] * 4

    def test_a_password_without_end_is_no_work(self, console: Console) -> None:
        assert guess(console, "editor", "10.0.0.1", PASSWORD + "x" * 10_000).status_code == 401
        assert guess(console, "editor", "10.0.0.1", PASSWORD + "x" * 500_000).status_code == 413


class TestTheCaller:
    @pytest.mark.parametrize(
        ("peer", "forwarded", "caller_is"),
        [
            ("93.184.216.34", "", "93.184.216.34"),
            (
                "93.184.216.34",
                "198.51.100.1",
                "93.184.216.34",
            ),  # whoever calls directly may write what they like
            ("10.1.2.3", "198.51.100.1", "198.51.100.1"),  # a router's word
            ("127.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1"),  # what stands before it, the caller wrote
            ("10.1.2.3", "nonsense", "10.1.2.3"),
            ("10.1.2.3", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2a00:1450:1:2:3:4:5:6", "", "2a00:1450:1:2::/64"),
            ("", "198.51.100.1", "198.51.100.1"),
            ("", "", ""),
        ],
    )
    def test_it_is_the_last_that_is_known_for_certain(
        self, console: Console, peer: str, forwarded: str, caller_is: str
    ) -> None:
        headers = {"X-Forwarded-For": forwarded} if forwarded else {}
        environ = {"REMOTE_ADDR": peer}

        with console.bridge.app.test_request_context(headers=headers, environ_overrides=environ):
            assert caller() == caller_is


def guess(
    console: Console, name: str, address: str, password: str, visitor: Visitor | None = None
) -> TestResponse:
    visitor = visitor or console.visitor()
    form = {"name": name, "password": password, "csrf_token": visitor.token()}
    return visitor.client.post("/console/sign-in", data=form, headers={"X-Forwarded-For": address})
