"""Keys: changed without a gap, compared in constant time, and never in an address but Rokt's webhook's."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from console.conftest import USERS, Visitor
from web.running import Bridge, Starter, literal, start, stocked_sqlite

import bridge as package
from bridge.errors import SettingsInvalid
from bridge.settings import Settings

__all__ = ["start", "stocked_sqlite"]

OLD, NEW = "0123456789abcdef-old", "fedcba9876543210-new"
CODE = Path(package.__file__).parent


def signed_in(bridge: Bridge) -> Visitor:
    visitor = Visitor(bridge.app.test_client())
    assert visitor.sign_in("publisher").status_code == 303
    return visitor


def carried_over(visitor: Visitor, bridge: Bridge) -> Visitor:
    """The same browser, at another process."""
    client = bridge.app.test_client()
    for cookie in visitor.client._cookies.values():
        client.set_cookie(cookie.key, cookie.decoded_value, path=cookie.path)
    return Visitor(client)


class TestSecretKey:
    @pytest.mark.parametrize(("before", "after"), [(OLD, f"{OLD},{NEW}"), (f"{OLD},{NEW}", f"{NEW},{OLD}")])
    def test_a_step_of_its_change_ends_no_session_and_no_token_on_either_side(
        self, start: Starter, before: str, after: str
    ) -> None:
        """While processes are started anew one by one, both settings answer the same browser and the same token."""
        both = [start(SECRET_KEY=key, CONSOLE_USERS=USERS) for key in (before, after)]
        for here, there in (both, both[::-1]):
            visitor = signed_in(here)
            form = visitor.token()
            given = here.app.test_client().post(
                "/oauth2/token", data={"grant_type": "client_credentials"}, auth=("all", "all-secret")
            )
            bearer = {"Authorization": f"Bearer {given.get_json()['access_token']}"}
            there_too = carried_over(visitor, there)

            assert there_too.get("/console/messages").status_code == 200
            taken = there_too.client.post("/console/templates", data={"csrf_token": form, "name": "x y"})
            assert b"This page is too old" not in taken.get_data()
            assert there.post(literal(), key=None, headers=bearer).status in (200, 202)

    def test_one_that_was_taken_away_opens_nothing(self, start: Starter) -> None:
        visitor = signed_in(start(SECRET_KEY=OLD, CONSOLE_USERS=USERS))
        later = start(SECRET_KEY=NEW, CONSOLE_USERS=USERS)

        assert carried_over(visitor, later).get("/console/messages").status_code == 303

    def test_each_of_several_has_to_be_long(self) -> None:
        with pytest.raises(SettingsInvalid, match="SECRET_KEY is too short"):
            Settings.from_env(
                {"BRIDGE_ENV": "development", "CONSOLE_USERS": USERS, "SECRET_KEY": f"{NEW},short"},
                is_web=True,
            )

    def test_none_of_several_is_shown(self) -> None:
        assert "0123456789" not in repr(Settings.from_env({"SECRET_KEY": f"{NEW},{OLD}"}))


def test_a_key_is_changed_without_a_gap(start: Starter) -> None:
    tokens = ("a:old-one", "a:old-one,b:new-one", "b:new-one")
    answers = {
        (token, own): start(BRIDGE_TOKENS=token)
        .call("GET", "/v1/messages", key=None, headers={"Authorization": f"Bearer {own}"})
        .status
        for token in tokens
        for own in ("old-one", "new-one")
    }

    assert [answers[tokens[1], own] for own in ("old-one", "new-one")] == [200, 200]
    assert answers[tokens[0], "new-one"] == answers[tokens[2], "old-one"] == 401


def test_the_webhooks_secret_is_changed_without_a_gap(start: Starter) -> None:
    bridge = start(ROKT_WEBHOOK_SECRET="first-secret-of-it,second-secret-of-it")
    paths = [f"/v1/rokt/webhooks/{which}-secret-of-it" for which in ("first", "second", "third")]

    answers = [bridge.call("POST", path, {}, key=None).status for path in paths]
    assert answers[0] == answers[1] != answers[2]
    assert answers[2] in (401, 403, 404)


def test_secrets_are_compared_in_constant_time() -> None:
    """By structure: wherever a secret is shown to the code, no `==`, no `in` and no look-up takes it."""
    wrong = [
        f"{path.relative_to(CODE)}:{node.lineno}"
        for path in sorted(CODE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        for side in _compared_in(node)
        if any(isinstance(part, ast.Attribute) and part.attr == "reveal" for part in ast.walk(side))
    ]

    assert wrong == []


def _compared_in(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.Compare):
        return [node.left, *node.comparators]
    return [node.slice] if isinstance(node, ast.Subscript) else []


def test_no_key_is_read_from_an_address() -> None:
    """Addresses stand in the logs of every proxy. By structure: no name that is read of a query is a key's."""
    code = "".join(
        path.read_text("utf-8") for path in sorted(CODE.rglob("*.py")) if "sandbox" not in path.parts
    )
    asked = set(re.findall(r"""request\.(?:args|values)(?:\.get(?:list)?\(|\[)\s*["'](\w+)["']""", code))

    assert "cursor" in asked
    assert not {name for name in asked if re.search("key|token|secret|password|auth", name)}


@pytest.mark.parametrize("name", ["key", "token", "access_token", "api_key", "secret", "authorization"])
def test_a_key_in_the_query_opens_nothing(start: Starter, name: str) -> None:
    bridge = start()

    assert bridge.call("GET", f"/v1/messages?{name}=all-secret", key=None).status == 401
    assert bridge.post(literal(), f"/v1/calendar/events?{name}=all-secret", key=None).status == 401
