"""Braze for tests: renders its Liquid as far as webhooks use it, and sends what was rendered over loopback.

Braze's Liquid is Liquid with `${…}` for what Braze knows of a user, with outputs inside of tags, and with
`connected_content`, which calls an address while a message is rendered.
"""

from __future__ import annotations

import base64
import json
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TextIO
from urllib.parse import quote

from liquid import Environment, RenderContext, Tag, TokenStream
from liquid.ast import Node
from liquid.exceptions import LiquidError
from liquid.token import TOKEN_EXPRESSION, TOKEN_TAG, Token

_MARKUP = re.compile(r"\{\{(?:\$\{[^}]*\}|(?!\}\}).)*\}\}|\{%(?:(?!%\}).)*%\}", re.DOTALL)
_OUTPUT = re.compile(r"\{\{((?:\$\{[^}]*\}|(?!\}\}).)*)\}\}", re.DOTALL)
_KNOWN_TO_BRAZE = re.compile(r"(\.?)\$\{([^}]*)\}")
_CALLS = re.compile(r"\{%-?\s*connected_content\b")


class Aborted(Exception):
    """Braze does not send this message."""


@dataclass(frozen=True)
class User:
    """`attributes`: the custom ones. `properties`: of the event that triggered the message."""

    user_id: str | None
    attributes: Mapping[str, object] = field(default_factory=dict)
    properties: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Webhook:
    """A webhook as it stands in a campaign: every text of it is Liquid."""

    url: str
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"

    def moved(self, old: str, new: str) -> Webhook:
        """The same on another host, in its address and wherever its headers call it."""
        headers = {name: text.replace(old, new) for name, text in self.headers.items()}
        return Webhook(self.url.replace(old, new), self.body, headers, self.method)


@dataclass(frozen=True)
class Sent:
    """What left Braze, and the answer as the test dialog shows it."""

    url: str
    headers: Mapping[str, str]
    body: str
    status: int
    answer: Any
    answer_headers: Mapping[str, str]


class Braze:
    """One workspace. `credentials`: of Connected Content, name → (user name, password)."""

    def __init__(
        self,
        credentials: Mapping[str, tuple[str, str]] | None = None,
        dispatch_id: str = "0123456789abcdef",
    ) -> None:
        self._environment = Environment(extra=False)
        self._environment.add_tag(_ConnectedContent)
        self._environment.add_tag(_AbortMessage)
        self._environment.add_filter("json_escape", lambda value: json.dumps(str(value))[1:-1])
        self._environment.add_filter("url_param_escape", lambda value: quote(str(value), safe=""))
        self._credentials = credentials or {}
        self._dispatch_id = dispatch_id

    def render(self, text: str, user: User) -> str:
        """Errors: Aborted."""
        template = self._environment.from_string(_plain_liquid(text))
        try:
            return template.render(
                braze={"user_id": user.user_id},
                custom_attribute=user.attributes,
                event_properties=user.properties,
                campaign={"dispatch_id": self._dispatch_id, "message_api_id": "m-1"},
                credentials=self._credentials,
            )
        except _Abort as abort:
            raise Aborted(abort.reason) from None

    def send(self, webhook: Webhook, user: User) -> Sent:
        """Errors: Aborted."""
        url = self.render(webhook.url, user).strip()
        headers = {name: self.render(text, user) for name, text in webhook.headers.items()}
        body = self.render(webhook.body, user)
        status, answer, answer_headers = _call(webhook.method, url, headers, body.encode())
        return Sent(url, headers, body, status, answer, answer_headers)


def _plain_liquid(text: str) -> str:
    return _MARKUP.sub(_plain_markup, text)


def _plain_markup(match: re.Match[str]) -> str:
    markup = match[0]
    if markup.startswith("{%") and not _CALLS.match(markup):
        markup = _OUTPUT.sub(r"\1", markup)
    return _KNOWN_TO_BRAZE.sub(lambda m: f'{"" if m[1] else "braze"}["{m[2].strip()}"]', markup)


def _call(
    method: str, url: str, headers: Mapping[str, str], body: bytes
) -> tuple[int, Any, Mapping[str, str]]:
    assert url.startswith("http://127.0.0.1:"), "tests stay on this machine"
    request = urllib.request.Request(url, body or None, dict(headers), method=method)
    opener = urllib.request.build_opener(_NoRedirects)
    try:
        with opener.open(request, timeout=30) as answer:
            return answer.status, _value(answer.read()), dict(answer.headers)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, _value(refusal.read()), dict(refusal.headers)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Braze follows none."""

    def redirect_request(self, *_: object) -> None:
        return None


def _value(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return content.decode()


class _Abort(LiquidError):
    def __init__(self, reason: str, token: Token) -> None:
        super().__init__(reason, token=token)
        self.reason = reason


class _AbortMessage(Tag):
    name = "abort_message"
    block = False

    def parse(self, stream: TokenStream) -> Node:
        token = stream.eat(TOKEN_TAG)
        reason = stream.current.value if stream.current.kind == TOKEN_EXPRESSION else ""
        return _AbortNode(token, reason.strip(" ()'\""))


class _AbortNode(Node):
    def __init__(self, token: Token, reason: str) -> None:
        super().__init__(token)
        self.reason = reason

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        raise _Abort(self.reason, self.token)


class _ConnectedContent(Tag):
    """`{% connected_content URL :method post :basic_auth NAME :body TEXT :save NAME :retry %}`"""

    name = "connected_content"
    block = False

    def parse(self, stream: TokenStream) -> Node:
        token = stream.eat(TOKEN_TAG)
        url, *options = re.split(r"\s+:(?=[a-z])", stream.current.value.strip())
        return _ConnectedContentNode(token, url, {name: text for name, _, text in map(_parted, options)})


def _parted(option: str) -> tuple[str, str, str]:
    return option.partition(" ")


class _ConnectedContentNode(Node):
    def __init__(self, token: Token, url: str, options: Mapping[str, str]) -> None:
        super().__init__(token)
        self.url, self.options = url, options

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        headers = {}
        if "basic_auth" in self.options:
            user, password = context.resolve("credentials")[self.options["basic_auth"]]
            headers["Authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        body = self.options.get("body", "").encode()
        status, answer, _ = _call(self.options.get("method", "get").upper(), self.url, headers, body)
        if status != 200 and "retry" in self.options:
            raise _Abort(f"connected content answered {status}", self.token)
        if "save" not in self.options:
            return buffer.write(json.dumps(answer) if isinstance(answer, dict | list) else str(answer))
        context.assign(self.options["save"], answer)
        return 0
