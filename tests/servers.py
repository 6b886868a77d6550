"""Servers for tests, on loopback: the sandbox, and upstreams that misbehave on the socket."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from bridge.sandbox import Sandbox, SandboxServer, create_sandbox


@dataclass(frozen=True)
class SandboxUnderTest:
    """`sandbox`: the thing itself, in this process. The rest goes over HTTP, as a person would."""

    url: str
    sandbox: Sandbox

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").partition(":")
        return host, int(port)

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


@dataclass(frozen=True)
class Received:
    """One request as it came over the line. The names of `headers` are lower-case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Line:
    """The server's end of one connection, for scripts that answer byte by byte."""

    def __init__(self, sock: socket.socket, server: ScriptedServer) -> None:
        self._sock = sock
        self._file = sock.makefile("rb")
        self._server = server

    def request(self) -> Received | None:
        """The next request, None when the caller has gone."""
        head = list(iter(lambda: self._file.readline().strip().decode("latin-1"), ""))
        if not head:
            return None
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])
        }
        body = self._file.read(int(headers.get("content-length", "0")))
        method, target, _ = head[0].split(" ")
        received = Received(method, target, headers, body)
        self._server.received.append(received)
        return received

    def send(self, content: bytes) -> None:
        self._sock.sendall(content)

    def drip(self, content: bytes, seconds: float) -> None:
        """A byte, a pause, a byte, for as long as somebody listens and the test lasts."""
        for byte in content:
            self.send(bytes([byte]))
            if self.pause(seconds):
                return

    def pause(self, seconds: float = 60.0) -> bool:
        """True when the test is over."""
        return self._server.is_over.wait(seconds)

    def reset(self) -> None:
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """Closes at once, whether or not there is something unread."""
        self._file.close()
        self._sock.close()


Script = Callable[[Line], None]


@dataclass
class ScriptedServer:
    """`closed` counts the connections whose script has ended, to be waited for."""

    port: int
    is_secure: bool = False
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    is_over: threading.Event = field(default_factory=threading.Event)
    closed: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    @property
    def url(self) -> str:
        return f"{'https' if self.is_secure else 'http'}://127.0.0.1:{self.port}"


@contextmanager
def scripted_server(*scripts: Script, tls: ssl.SSLContext | None = None) -> Iterator[ScriptedServer]:
    """Plays the first script on the first connection and so on, the last on all further ones."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        server = ScriptedServer(listener.getsockname()[1], tls is not None)
        sockets: list[socket.socket] = []
        threads: list[threading.Thread] = []

        def play(sock: socket.socket, script: Script) -> None:
            with suppress(OSError):
                if tls is not None:
                    sock = tls.wrap_socket(sock, server_side=True)
                    sockets.append(sock)
                line = Line(sock, server)
                with suppress(OSError, ValueError):
                    script(line)
                with suppress(OSError):
                    line.close()
            sock.close()
            server.closed.release()

        def accept() -> None:
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                script = scripts[min(server.connections, len(scripts) - 1)]
                server.connections += 1
                sockets.append(sock)
                threads.append(threading.Thread(target=play, args=(sock, script)))
                threads[-1].start()

        acceptor = threading.Thread(target=accept)
        acceptor.start()
        try:
            yield server
        finally:
            server.is_over.set()
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            acceptor.join()
            for sock in sockets:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


def http(status: int = 200, body: bytes = b"{}", **headers: str) -> bytes:
    """A whole answer. In a header's name `_` stands for `-`."""
    fields = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} Whatever\r\n{lines}\r\n".encode() + body


def always(answer: bytes) -> Script:
    """Gives every request on the connection this answer and keeps the connection open."""

    def script(line: Line) -> None:
        while line.request() is not None:
            line.send(answer)

    return script


def once(*steps: Callable[[Line], object]) -> Script:
    """Reads one request, then does the steps."""

    def script(line: Line) -> None:
        line.request()
        for step in steps:
            step(line)

    return script
