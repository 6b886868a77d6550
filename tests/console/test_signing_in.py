"""Signing in and out, and who comes in where."""

from __future__ import annotations

import pytest
from console.conftest import PASSWORD, Console, SignedIn
from playwright.sync_api import Page, expect


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
