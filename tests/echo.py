"""An upstream that repeats whatever it was sent, its callers' secrets too, under any status."""

from __future__ import annotations

import json
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from marked import EMAIL, FIRST, UPSTREAM_TOKEN


class Echo(ThreadingHTTPServer):
    """`status` of its answers, 0: it hangs up instead. `calls`: the headers of what came, but for tokens. Nobody is
    answered while `goes_on` is not set.
    """

    daemon_threads = True

    def __init__(self) -> None:
        self.status = 202
        self.calls: list[dict[str, str]] = []
        self.goes_on = threading.Event()
        self.goes_on.set()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a caller that was killed


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Echo

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode("utf-8", "replace")
        status = self.server.status
        if self.path.endswith("/oauth2/token"):
            if status != 401:
                return self._send(200, {"access_token": UPSTREAM_TOKEN, "expires_in": 300})
        else:
            self.server.calls.append({name.lower(): value for name, value in self.headers.items()})
            self.server.goes_on.wait(30)
        if not status:
            self.close_connection = True
            return None
        told = f"{FIRST} <{EMAIL}>: {self.path} {body} {' '.join(_credentials(self.headers))} {dict(self.headers)}"
        errors = [told, {"code": told, "message": told}]
        whole = {
            "message": told,
            "Code": status,
            "Reason": told,
            "error": told,
            "errors": errors,
            "data": told,
        }
        return self._send(status, whole)

    do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815  the names that http.server calls

    def _send(self, status: int, body: Any) -> None:
        content = json.dumps(body, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


def _credentials(headers: Any) -> list[str]:
    """What a call was made with, as it is."""
    kind, _, given = headers.get("Authorization", "").partition(" ")
    plain = b64decode(given).decode().split(":") if kind == "Basic" else []
    return [given, *plain, headers.get("rokt-secret", "")]


@contextmanager
def echoing() -> Iterator[Echo]:
    server = Echo()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.goes_on.set()
        server.shutdown()
        thread.join()
        server.server_close()
