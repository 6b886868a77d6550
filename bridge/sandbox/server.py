"""The sandbox over HTTP/1.1: a thread for each connection, kept alive, dropped when a fault says so."""

from __future__ import annotations

import signal
import socket
import struct
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from bridge.sandbox.http import Reply, Request
from bridge.sandbox.sandbox import Sandbox, create_sandbox

LONGEST_BODY = 8 * 1024 * 1024


class SandboxServer(ThreadingHTTPServer):
    """Port 0 takes a free one. `close` ends every connection and waits for its thread."""

    request_queue_size = 512
    daemon_threads = False

    def __init__(self, sandbox: Sandbox, host: str = "127.0.0.1", port: int = 0) -> None:
        self.sandbox = sandbox
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__((host, port), _Handler)

    @property
    def url(self) -> str:
        return f"http://{self.server_address[0]!s}:{self.server_address[1]}"

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that goes away in the middle is no news; anything else is a fault of the sandbox."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def close(self) -> None:
        """Only once `serve_forever` runs in another thread."""
        self.shutdown()
        self.sandbox.stop()
        with self._lock:
            for connection in self._open:
                with suppress(OSError):  # the caller was first
                    connection.shutdown(socket.SHUT_RDWR)
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "bridge-sandbox"
    sys_version = ""
    disable_nagle_algorithm = True
    wbufsize = -1
    server: SandboxServer

    def _reply(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdigit()):
            return self._refuse(411, "send a Content-Length")
        if int(length) > LONGEST_BODY:
            return self._refuse(413, f"a body has at most {LONGEST_BODY} bytes")
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(length))
        reply = self.server.sandbox.answer(Request(self.command, path, query, headers, body))
        return self._drop() if reply is None else self._send(reply)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _reply  # noqa: N815

    def _refuse(self, status: int, words: str) -> None:
        """The body is not read, so this connection cannot go on."""
        self.close_connection = True
        self._send(Reply(status, {"error": words}, {"Connection": "close"}))

    def _send(self, reply: Reply) -> None:
        headers, content = reply.encoded()
        self.send_response(reply.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _drop(self) -> None:
        """A reset, as from a machine that fell over."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, *args: object) -> None:
        pass


def serve(port: int, host: str = "127.0.0.1", sandbox: Sandbox | None = None) -> None:
    """Runs until SIGTERM or SIGINT. They are waited for, not handled: a handler could find any lock taken."""
    ends = (signal.SIGTERM, signal.SIGINT)
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    server = SandboxServer(sandbox or create_sandbox(), host, port)
    thread = threading.Thread(target=server.serve_forever, name="sandbox")
    thread.start()
    signal.sigwait(ends)
    server.close()
    thread.join()
