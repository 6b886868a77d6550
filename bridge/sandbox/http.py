"""What the stand-ins see of a request and say in reply, without the HTTP around it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs

WITHOUT_BODY = (204, 304)


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
        try:
            value: object = json.loads(self.body)
        except RecursionError:
            raise ValueError("nested too deeply") from None
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

    def encoded(self) -> tuple[dict[str, str], bytes]:
        """All headers, and the content."""
        if self.status in WITHOUT_BODY:
            return dict(self.headers), b""
        is_page = isinstance(self.body, str)
        content = self.body.encode("utf-8", "replace") if is_page else json.dumps(self.body).encode()
        kind = "text/html; charset=utf-8" if is_page else "application/json"
        return {"Content-Type": kind, "Content-Length": str(len(content)), **self.headers}, content
