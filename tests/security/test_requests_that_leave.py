"""Where requests go: to the hosts of the settings, whatever a caller, a template or an answer says."""

from __future__ import annotations

import ast
import re
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from security.escapes import FRAME
from servers import ScriptedServer, always, http, running_sandbox, scripted_server
from web.running import NOWHERE, Starter, literal, start, stocked_sqlite
from web.test_offers import DROP_IN, WHOLE

import bridge as package
from bridge.calendar.engine import compile_template
from bridge.errors import UpstreamTrouble
from bridge.upstream import OAuth2ClientCredentials, Upstream
from bridge.upstream.oidc import OpenIdProvider

__all__ = ["start", "stocked_sqlite"]

CODE = Path(package.__file__).parent
HOSTILE_IDS = [
    "../../v1/other",
    "..",
    "//evil.example/x",
    "@evil.example",
    "a@evil.example/",
    "a#b",
    "a?b=c",
    "a%2f..%2fb",
    "a\r\nHost: evil.example",
    "a\\..\\b",
    "http://evil.example/",
    "\u2025/x",
    "a;b",
    "ａ／ｂ",
]

CALLS: dict[str, Callable[[str], object]] = {
    "get": lambda url: Upstream(url, None, allow_http=True).send("GET", "/v1/x"),
    "post": lambda url: Upstream(url, None, allow_http=True).send("POST", "/v1/x", {"a": 1}),
    "delete": lambda url: Upstream(url, None, allow_http=True).send("DELETE", "/v1/x"),
    "token": lambda url: OAuth2ClientCredentials(
        f"{url}/oauth2/token", "id", "secret", allow_http=True
    ).authorization(time.monotonic() + 5),
    "openid": lambda url: OpenIdProvider(url, "id", "secret", allow_http=True).begin("https://here.example/"),
}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("call", CALLS)
def test_no_redirect_is_followed(call: str, status: int) -> None:
    with scripted_server(always(http(200))) as elsewhere:
        aside = http(status, Location=f"{elsewhere.url}/taken")
        with scripted_server(always(aside)) as upstream, suppress(UpstreamTrouble):
            CALLS[call](upstream.url)

        assert (was_asked(upstream), was_asked(elsewhere)) == (True, False)


def was_asked(server: ScriptedServer) -> bool:
    return bool(server.received)


def test_every_call_of_a_library_says_that_it_follows_no_redirect() -> None:
    """For those that would follow one of themselves."""
    wrong = [
        f"{path.name}:{node.lineno}"
        for path in sorted((CODE / "upstream").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and (
            node.func.attr in ("urlopen", "fetch_token", "request")
            or ast.unparse(node.func) in ("session.get", "session.post")
        )
        and not any(
            one.arg in ("redirect", "allow_redirects") and ast.unparse(one.value) == "False"
            for one in node.keywords
        )
    ]

    assert wrong == []


def test_an_upstreams_host_comes_out_of_the_settings() -> None:
    """Whoever makes an upstream names a setting, or what is handed in with the settings, and no text of its own."""
    named = {
        f"{path.relative_to(CODE)}:{node.lineno}": node.args[0]
        for path in sorted(CODE.rglob("*.py"))
        if not {"upstream", "sandbox"} & set(path.parts)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("Upstream", "OAuth2ClientCredentials", "OpenIdProvider", "pool_of")
    }

    assert len(named) >= 10
    assert [where for where, its in named.items() if not OF_SETTINGS.search(ast.unparse(its))] == []
    assert [where for where, its in named.items() if any(map(is_an_address, ast.walk(its)))] == []


def is_an_address(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and "//" in str(node.value)


OF_SETTINGS = re.compile(r"\bsettings\.|\boidc\.issuer|\burl\b|\bbase_url\b|_url$")


@pytest.mark.parametrize("hostile", HOSTILE_IDS)
def test_an_id_changes_neither_the_host_nor_the_path(start: Starter, hostile: str) -> None:
    body = literal(event__event_id=hostile, user_id=f"u{hostile}", action="delete")
    answer = start().post(body, dry_run="true")

    if "\n" in hostile:
        assert answer.status == 422
        return
    assert len(answer.body["requests"]) == 1
    for sent in answer.body["requests"]:
        parts = urlsplit(sent["url"])
        assert f"{parts.scheme}://{parts.netloc}" == NOWHERE
        assert re.fullmatch(
            r"(/v[12])?(/(subscription|subscriptionevent|[A-Za-z0-9_-]+))*/[A-Za-z0-9%._~-]+", parts.path
        )
        assert not {"", ".", ".."} & set(parts.path.split("/")[1:])
        assert not parts.query + parts.fragment


@pytest.mark.parametrize("hostile", HOSTILE_IDS)
def test_what_is_no_account_code_is_refused(start: Starter, hostile: str) -> None:
    answer = start().post(literal(account_code=[hostile]), dry_run="true")

    assert answer.status == 422
    assert answer.says("account_code")


def test_a_template_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The filter for links reads an address and does not follow it."""

    def refuse(*_given: object) -> None:
        raise AssertionError("a template opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    trick = '{{ "http://169.254.169.254/latest?a=b" | link(campaign="x") }}'
    template = compile_template("t", {"t": FRAME.replace("@@", trick)})

    printed = template.render({}, datetime(2026, 11, 20, 12, tzinfo=UTC)).fields["description"]

    assert printed.startswith("http://169.254.169.254/latest?a=b&utm_source=")


SPLIT = "x\r\nX-Injected: yes\r\n\r\n<p>"


def test_no_value_of_a_caller_becomes_a_header_of_the_answer(start: Starter) -> None:
    """In each part of each path, in a query, and in each header that is read, on every route."""
    bridge = start()
    client = bridge.app.test_client()
    given = {"Authorization": "Bearer all-secret", "Idempotency-Key": "a b\x0b", "X-Request-Id": "a b\x0b"}
    wrong = []
    for rule in bridge.app.url_map.iter_rules():
        path = re.sub("<int[^>]*>", "1", rule.rule)
        path = re.sub("<[^>]+>", quote(SPLIT, safe=""), path)
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            answer = client.open(
                path,
                method=method,
                headers=given,
                query_string={"next": SPLIT, "name": SPLIT, "cursor": SPLIT},
                json={"name": SPLIT},
            )
            names = {name.lower() for name, _ in answer.headers}
            echoed = any(SPLIT[:3] in value or "a b" in value for value in answer.headers.values())
            if "x-injected" in names or echoed or answer.status_code == 500:
                wrong.append((method, rule.rule, answer.status_code))

    assert wrong == []


def test_a_template_cannot_write_a_header_of_what_leaves(start: Starter) -> None:
    """Its lines are JSON in the body, and its id, which stands in an address, may have none."""
    split = "t\r\nX-Injected: yes"
    source = (
        f"{{% block event_id %}}e-1{{% endblock %}}{{% block title %}}{split}{{% endblock %}}"
        f"{{% block description %}}{split}{{% endblock %}}{{% block location %}}{split}{{% endblock %}}"
        "{% block start %}2090-12-01T09:00{% endblock %}{% block timezone %}UTC{% endblock %}"
    )
    with running_sandbox() as rokt:
        bridge = start(sandbox=rokt)
        bridge.publish(split=source)
        bridge.accept(literal(event=..., template="split", variables={}))
        bridge.deliver()
        bridge.publish(split=source.replace("e-1", split))
        refused = bridge.post(literal(event=..., template="split", variables={}))
        headers = [header.lower() for call in rokt.calls() for header in call["headers"]]

    assert "x-request-id" in headers
    assert "x-injected" not in headers
    assert refused.status == 422


def test_a_folded_header_of_rokt_does_not_split_our_answer(start: Starter) -> None:
    """RFC 9112 let a header go on in the next line; passed on as it came it would be two."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nrokt-account-id: a\r\n X-Injected: yes\r\n"
    with scripted_server(always(head + b"Content-Length: 2\r\n\r\n{}")) as rokt:
        bridge = start(ROKT_OFFERS_URL=rokt.url, ROKT_PUB_ID="pub", ROKT_SECRET="secret", ROKT_TAG_ID="1")
        answer = bridge.post(WHOLE, DROP_IN)

    assert "X-Injected" not in answer.headers
    assert answer.status != 500, answer.body
    assert rokt.received, answer.body
