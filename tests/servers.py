"""Servers for tests, on loopback: the sandbox, and upstreams that misbehave on the socket."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bridge.sandbox import Sandbox, SandboxServer, create_sandbox


@dataclass(frozen=True)
class SandboxUnderTest:
    """`sandbox`: the thing itself, in this process. The rest goes over HTTP, as a person would."""

    url: str
    sandbox: Sandbox

    def calls(self, path_prefix: str | None = None) -> list[dict[str, Any]]:
        return self.sandbox.record.calls(path_prefix or "")

    def fault(self, **fault: Any) -> None:
        """path, method, times, status, delay, drop, retry_after, body: the body of `POST /sandbox/faults`."""
        status, answer = self.ask("POST", "/sandbox/faults", fault)
        assert status == 201, answer

    def clear_faults(self) -> None:
        self.ask("DELETE", "/sandbox/faults")

    def calendar(self) -> list[dict[str, Any]]:
        return self.sandbox.rokt.calendars()

    def clear(self) -> None:
        self.ask("DELETE", "/sandbox")

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        content = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, content, headers or {}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, _value(answer.read())
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, _value(refusal.read())


@contextmanager
def running_sandbox(**options: Any) -> Iterator[SandboxUnderTest]:
    """The sandbox on a free port, in threads of this process. Options: those of `create_sandbox`."""
    sandbox = create_sandbox(**options)
    server = SandboxServer(sandbox)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield SandboxUnderTest(server.url, sandbox)
    finally:
        server.close()
        thread.join()


def _value(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return content.decode()
