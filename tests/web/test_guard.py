"""Keys as Bearer and as Basic, the bridge's own tokens, and that nothing is open but what is meant to be."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from types import ModuleType
from typing import Any

import pytest
from itsdangerous import TimestampSigner, URLSafeTimedSerializer
from servers import SandboxUnderTest
from web.running import KEYS, SALE, Answer, Bridge, Starter, check_problem, literal, sale, secret

from bridge.web.guard import TOKEN_LIVES
from bridge.web.signatures import AHEAD

OPEN = {"/healthz", "/readyz", "/v1/timezones", "/oauth2/token", "/openapi.json", "/docs"}
BY_PATH = {"/v1/rokt/webhooks/x"}  # no key opens it: its last part is the secret
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def ask_for_token(
    bridge: Bridge, headers: dict[str, str], form: bytes = b"grant_type=client_credentials"
) -> Answer:
    return bridge.post(form, "/oauth2/token", key=None, headers=FORM | headers)


def token_of(bridge: Bridge, key: str = "all") -> str:
    answer = ask_for_token(bridge, basic(key, secret(key)))
    assert answer.status == 200, answer.body
    found: str = answer.body["access_token"]
    return found


def is_taken(bridge: Bridge, headers: dict[str, str]) -> bool:
    status = bridge.call("GET", "/v1/messages", key=None, headers=headers).status
    assert status in (200, 401)
    return status == 200


def calls_of(bridge: Bridge) -> list[tuple[str, str]]:
    """Every method and path that takes keys, with something in place of what varies; the console has people."""
    found = []
    for rule in bridge.app.url_map.iter_rules():
        if rule.endpoint.startswith("console."):
            continue
        path = (
            rule.rule.replace("<rest:rest>", "/x")
            .replace("<message_id>", "x")
            .replace("<path:path>", "x")
            .replace("<name>", "x")
            .replace("<job_id>", "x")
            .replace("<int(max=2147483647):version>", "1")
        )
        assert "<" not in path, f"say in calls_of what stands for the variable part of {rule.rule}"
        found += [(method, path) for method in sorted(rule.methods - {"HEAD", "OPTIONS"})]
    return found


class TestWhatIsOpen:
    def test_nothing_answers_without_a_key_but_what_is_meant_to(self, start: Starter) -> None:
        bridge = start(ROKT_WEBHOOK_SECRET="a-secret-of-rokts-webhook")
        calls = calls_of(bridge)

        answers = {call: bridge.call(*call, key=None) for call in calls}

        assert len(calls) > 8
        for (method, path), answer in answers.items():
            if path in OPEN:
                assert answer.status in (200, 400), (method, path)
            else:
                assert answer.status == 401, (method, path)
                check_problem(answer)

    def test_nothing_answers_to_a_key_without_its_scope(self, start: Starter) -> None:
        secret_of_path = {"ROKT_WEBHOOK_SECRET": "a-secret-of-rokts-webhook"}
        keys = "templates:templates-secret:templates,sends:sends-secret:send"
        bridge = start(BRIDGE_TOKENS=keys, **secret_of_path)

        for method, path in calls_of(bridge):
            if path not in OPEN:
                other = "sends-secret" if path.startswith("/v1/templates") else "templates-secret"
                answer = bridge.call(method, path, key=None, headers=bearer(other))
                assert answer.status == (401 if path in BY_PATH else 403), (method, path)

    def test_options_tell_nothing_without_a_key(self, bridge: Bridge) -> None:
        assert bridge.call("OPTIONS", "/v1/calendar/events", key=None).status == 401

    def test_without_any_key_development_is_open(self, start: Starter) -> None:
        bridge = start(BRIDGE_TOKENS="")

        assert bridge.post(literal(), key=None).status == 202
        assert bridge.call("GET", "/v1/messages", key=None).status == 200


class TestKeys:
    def test_a_key_is_taken_as_bearer_and_as_basics_password(self, bridge: Bridge) -> None:
        for headers in (
            bearer("all-secret"),
            {"Authorization": "bearer all-secret"},
            {"Authorization": "BEARER  all-secret "},
            basic("all", "all-secret"),
            basic("", "all-secret"),
            basic("whoever", "all-secret"),
        ):
            assert is_taken(bridge, headers), headers

    @pytest.mark.parametrize(
        "own", ["a=b", "a==", "YWJjZA==", "a=b, c", "x~y-z._+/", 'quo"te', "with blank", "é"]
    )
    def test_a_secret_may_hold_what_it_likes(self, start: Starter, own: str) -> None:
        own = own.replace(",", ";")  # a comma ends an entry of BRIDGE_TOKENS
        bridge = start(BRIDGE_TOKENS=f"odd:{own}")

        assert is_taken(bridge, {"Authorization": "Bearer " + own.encode().decode("latin-1")})
        assert is_taken(bridge, basic("odd", own))
        assert not is_taken(bridge, bearer(own[:-1]))

    @pytest.mark.parametrize(
        "sent", ["Basic \u00ff", "Basic \u00e9\u00e9\u00e9\u00e9", "Basic !", "Digest x", "Bearer \u00ff", ""]
    )
    def test_what_is_no_key_opens_nothing_and_harms_nothing(self, bridge: Bridge, sent: str) -> None:
        for path in ("/v1/messages", "/oauth2/token"):
            method = "POST" if path == "/oauth2/token" else "GET"
            form = FORM if method == "POST" else {}
            body = b"grant_type=client_credentials" if method == "POST" else None

            answer = bridge.call(method, path, body, key=None, headers={"Authorization": sent} | form)

            assert answer.status == 401

    def test_several_keys_are_good_at_once_so_that_one_can_be_rotated(self, start: Starter) -> None:
        bridge = start(BRIDGE_TOKENS="new:n-secret,old:o-secret")

        assert is_taken(bridge, bearer("n-secret"))
        assert is_taken(bridge, bearer("o-secret"))

    def test_a_name_is_no_secret(self, bridge: Bridge) -> None:
        assert not is_taken(bridge, bearer("all"))
        assert not is_taken(bridge, basic("all-secret", "all"))
        assert not is_taken(bridge, basic("all", ""))

    @pytest.mark.parametrize(
        ("method", "path", "scope"),
        [
            ("POST", "/v1/calendar/events", "send"),
            ("POST", "/v1/subscriptionevent/x", "send"),
            ("DELETE", "/v1/subscriptionevent/x/y_z", "send"),
            ("GET", "/v1/messages", "read"),
            ("GET", "/v1/messages/x", "read"),
            ("POST", "/v1/messages/x/replay", "operate"),
            ("POST", "/v1/subscribers", "send"),
            ("GET", "/v1/subscribers", "read"),
            ("GET", "/v1/subscribers/counts", "read"),
        ],
    )
    def test_each_path_needs_its_own_scope(self, bridge: Bridge, method: str, path: str, scope: str) -> None:
        for key in KEYS:
            status = bridge.call(method, path, {} if method == "POST" else None, key=key).status
            assert (status != 403) == (key in (scope, "all")), key


class TestOwnTokens:
    def test_a_token_is_given_for_a_keys_name_and_secret(self, bridge: Bridge) -> None:
        answer = ask_for_token(bridge, basic("send", "send-secret"))

        assert answer.status == 200
        assert answer.body == {
            "access_token": answer.body["access_token"],
            "token_type": "Bearer",
            "expires_in": TOKEN_LIVES,
        }
        assert answer.headers["Cache-Control"] == "no-store"
        assert TOKEN_LIVES == 3600

    def test_a_token_does_what_its_key_may_and_no_more(self, bridge: Bridge) -> None:
        token = bearer(token_of(bridge, "send"))

        assert bridge.post(literal(), key=None, headers=token).status == 202
        assert bridge.call("GET", "/v1/messages", key=None, headers=token).status == 403
        [shown] = bridge.call("GET", "/v1/messages").body["messages"]
        assert shown["state"] == "accepted"

    def test_a_token_ends_after_an_hour(self, bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
        token = bearer(token_of(bridge))
        now = TimestampSigner("x").get_timestamp()

        monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda self: now + TOKEN_LIVES - 5)
        assert is_taken(bridge, token)
        monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda self: now + TOKEN_LIVES + 5)
        assert not is_taken(bridge, token)

    @pytest.mark.parametrize(("back", "holds"), [(2, True), (AHEAD - 5, True), (AHEAD + 5, False)])
    def test_a_token_of_a_machine_whose_clock_is_ahead_holds(
        self, bridge: Bridge, monkeypatch: pytest.MonkeyPatch, back: int, holds: bool
    ) -> None:
        token = bearer(token_of(bridge))
        now = TimestampSigner("x").get_timestamp()

        monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda self: now - back)

        assert is_taken(bridge, token) is holds

    def test_a_token_goes_with_its_key(self, start: Starter) -> None:
        token = bearer(self.issued(start))

        for tokens in ("b:t:send", "a:other:send,b:t:send", "renamed:s:send"):
            bridge = start(BRIDGE_TOKENS=tokens, SECRET_KEY="k")
            assert bridge.post(literal(), key=None, headers=token).status == 401, tokens

    def test_a_token_loses_what_its_key_loses(self, start: Starter) -> None:
        token = bearer(self.issued(start))

        assert (
            start(BRIDGE_TOKENS="a:s:read", SECRET_KEY="k").post(literal(), key=None, headers=token).status
            == 403
        )

    @staticmethod
    def issued(start: Starter) -> str:
        bridge = start(BRIDGE_TOKENS="a:s:send", SECRET_KEY="k")
        found: str = ask_for_token(bridge, basic("a", "s")).body["access_token"]
        assert bridge.post(literal(), key=None, headers=bearer(found)).status == 202
        return found

    def test_a_token_is_good_at_every_process_with_the_same_secret_key(self, start: Starter) -> None:
        token = self.issued(start)

        assert (
            start(BRIDGE_TOKENS="a:s:send,b:t", SECRET_KEY="k")
            .post(literal(user_id="u2"), key=None, headers=bearer(token))
            .status
            == 202
        )
        assert (
            start(BRIDGE_TOKENS="a:s:send", SECRET_KEY="other")
            .post(literal(), key=None, headers=bearer(token))
            .status
            == 401
        )

    def test_a_token_that_was_changed_anywhere_is_refused(self, bridge: Bridge) -> None:
        token = token_of(bridge)

        assert is_taken(bridge, bearer(token))
        for position in range(0, len(token) - 1, 3):
            letter = "A" if token[position] != "A" else "B"
            assert not is_taken(bridge, bearer(token[:position] + letter + token[position + 1 :])), position
        payload, _, rest = token.partition(".")
        forged = base64.urlsafe_b64encode(json.dumps(["all", "0" * 16]).encode()).decode().rstrip("=")
        for wrong in (f"{forged}.{rest}", payload, f"{payload}.", f".{rest}", f"{token}.", token + token, ""):
            assert not is_taken(bridge, bearer(wrong)), wrong

    def test_a_token_signed_for_something_else_is_refused(self, start: Starter) -> None:
        bridge = start(SECRET_KEY="k")
        mark = hashlib.sha256(b"all-secret").hexdigest()[:16]

        own = URLSafeTimedSerializer("k", salt="oauth2-token")
        assert is_taken(bridge, bearer(own.dumps(["all", mark])))
        assert not is_taken(bridge, bearer(URLSafeTimedSerializer("k", salt="session").dumps(["all", mark])))
        for odd in (["all"], ["all", mark, 1], "all", None, {"a": 1}, [None, None], 5):
            assert not is_taken(bridge, bearer(own.dumps(odd))), odd

    def test_a_token_holds_no_secret(self, bridge: Bridge) -> None:
        payload = token_of(bridge).partition(".")[0]

        decoded = base64.urlsafe_b64decode(payload + "==").decode()
        assert "all" in decoded
        assert "all-secret" not in decoded

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            basic("all", "wrong"),
            basic("send", "all-secret"),
            basic("", "all-secret"),
            basic("all", ""),
            bearer("all-secret"),
            {"Authorization": "Basic !!!"},
        ],
    )
    def test_a_wrong_name_or_secret_is_invalid_client(self, bridge: Bridge, headers: dict[str, str]) -> None:
        answer = ask_for_token(bridge, headers)

        assert answer.status == 401
        check_problem(answer)
        assert answer.body["error"] == "invalid_client"
        assert answer.headers["WWW-Authenticate"].startswith("Basic")

    @pytest.mark.parametrize(
        "form", [b"", b"grant_type=password", b"grant_type", b'{"grant_type": 1}', b"\xff"]
    )
    def test_another_grant_is_unsupported(self, bridge: Bridge, form: bytes) -> None:
        answer = ask_for_token(bridge, basic("all", "all-secret"), form)

        assert answer.status == 400
        check_problem(answer)
        assert answer.body["error"] == "unsupported_grant_type"

    def test_a_token_cannot_buy_another(self, bridge: Bridge) -> None:
        assert ask_for_token(bridge, basic("all", token_of(bridge))).status == 401


class Log:
    """Keeps what is logged, whoever asks for which level."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __getattr__(self, level: str) -> Any:
        return lambda event, **more: self.lines.append(f"{level} {event} {more}")


def listening(monkeypatch: pytest.MonkeyPatch) -> Log:
    """To all of the bridge, whichever module says it."""
    log = Log()
    for name, module in list(sys.modules.items()):
        its = getattr(module, "log", None)
        if name.startswith("bridge.") and its is not None and not isinstance(its, ModuleType):
            monkeypatch.setattr(module, "log", log)
    return log


def test_no_secret_is_shown_or_logged_anywhere(
    start: Starter, rokt: SandboxUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = listening(monkeypatch)
    bridge = start(sandbox=rokt, SECRET_KEY="signing-secret")
    token = token_of(bridge)
    shown = [repr(bridge.settings), repr(bridge.settings.keys), str(vars(bridge.parts))]

    accepted = bridge.accept(literal(), key=None, headers=bearer(token))
    bridge.deliver()
    rokt.fault(path="/oauth2/token", status=401, body={"error": "a-client-secret is wrong"})
    for answer in (
        accepted,
        bridge.call("GET", f"/v1/messages/{accepted.id}"),
        bridge.post(literal(user_id="u2"), dry_run="1"),
        bridge.post(literal(), key=None, headers=bearer("wrong-secret")),
        bridge.post(literal(), key="read"),
    ):
        shown += [json.dumps(answer.body), str(answer.headers)]

    assert any("request.answered" in line for line in log.lines)
    assert any("delivery.attempted" in line for line in log.lines)
    for text in (*shown, *log.lines):
        for hidden in (*map(secret, KEYS), "a-client-secret", "signing-secret", token, "wrong-secret"):
            assert hidden not in text


def test_no_log_line_holds_what_was_sent(walked: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    log = listening(monkeypatch)

    walked.accept(literal(event__title="a-private-title", user_id="private@example.com"))
    walked.refuse(sale(template="flash_sal", user_id="private@example.com"))
    walked.refuse(sale(variables=SALE | {"discount": "a-private-title"}))
    walked.deliver()

    assert len(log.lines) > 3
    assert not any("private" in line for line in log.lines)
