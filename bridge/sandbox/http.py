"""What the stand-ins see of a request and say in reply, without the HTTP around it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs


@dataclass(frozen=True)
class Request:
    """`path` is still percent-encoded; the names of `headers` are lower-case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> object:
        """Raises ValueError."""
        value: object = json.loads(self.body)
        return value

    def without_body(self) -> Request:
        return replace(self, body=b"")

    def asked(self, name: str, default: str = "") -> str:
        return parse_qs(self.query).get(name, [default])[-1]


@dataclass(frozen=True)
class Reply:
    """`body` goes out as JSON, a text as HTML."""

    status: int
    body: Any = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def encoded(self) -> tuple[str, bytes]:
        if isinstance(self.body, str):
            return "text/html; charset=utf-8", self.body.encode()
        return "application/json", json.dumps(self.body).encode()
