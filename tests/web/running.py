"""The web application for tests: on a migrated database, with published templates, keys, a sandbox and workers."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from servers import SandboxUnderTest
from werkzeug.serving import WSGIRequestHandler, make_server

from bridge.app import create_app
from bridge.calendar.versions.files import FOLDER, take_in
from bridge.database import Database
from bridge.destinations import configured
from bridge.outbox.tables import HELD, messages, waiting
from bridge.settings import Settings
from bridge.worker import Worker

KEYS = {
    "all": "all-secret",
    "send": "send-secret:send",
    "read": "read-secret:read",
    "operate": "operate-secret:operate",
    "templates": "templates-secret:templates",
}
NOWHERE = "http://127.0.0.1:9"  # nothing listens at the discard port
PATIENCE = 20.0  # seconds that a condition may take on a busy machine

ACCOUNT = "brazetest/f5733866ade2"
ID = "06423672-b6ba-4536-aa36-f5733866ade2"
OTHER_ACCOUNT = "shop/ff10919f1078"
OTHER_ID = "9a9007c7-f5a4-4811-b13c-ff10919f1078"
THIRD_ID = "d0ce4299-7d6c-4888-bfd8-c7e867a0fa6c"
TWO_ACCOUNTS = {"account_code": [ACCOUNT, OTHER_ACCOUNT], "subscription_ids": [ID, OTHER_ID]}
UNSENT = "dispatch_id_for_unsent_campaign"  # what Braze renders as dispatch_id in a test send
DOUBLED = "2090-11-05T01:30"  # in Eastern Standard Time the clocks go back over it
SKIPPED_HOUR = "2090-03-12T02:30"  # and forward over this one

PLAIN = """\
{% block event_id %}plain{% endblock %}
{% block title %}{{ title }}{% endblock %}
{% block start %}{{ starts }}{% endblock %}
{% block timezone %}UTC{% endblock %}
"""

EVENT = {"event_id": "e1", "title": "T", "start": "2090-12-01T09:00", "timezone": "Eastern Standard Time"}
SALE = {"sale_id": "w26", "starts": "2090-12-04T09:00", "discount": "50"}


def secret(key: str) -> str:
    return KEYS[key].partition(":")[0]


def literal(**changes: Any) -> dict[str, Any]:
    """A whole request with a literal event; fields of the event are changed by `event_…`, others by name."""
    event = EVENT | {k.removeprefix("event__"): v for k, v in changes.items() if k.startswith("event__")}
    rest = {k: v for k, v in changes.items() if not k.startswith("event__")}
    whole = {"user_id": "u1", "account_code": [ACCOUNT], "subscription_ids": [ID], "event": event, **rest}
    return {k: v for k, v in whole.items() if v is not ...}


def sale(**changes: Any) -> dict[str, Any]:
    """A whole request for the template flash_sale."""
    whole = {
        "template": "flash_sale",
        "user_id": "u1",
        "account_code": [ACCOUNT],
        "subscription_ids": [ID],
        "variables": SALE,
    } | changes
    return {k: v for k, v in whole.items() if v is not ...}


def eastern(**changes: Any) -> dict[str, Any]:
    """What leaves for the literal event."""
    return {
        "eventId": "e1_u1",
        "title": "T",
        "description": "",
        "location": "",
        "start": "2090-12-01T09:00:00",
        "end": "2090-12-01T10:00:00",
        "timezone": "Eastern Standard Time",
        "notifyBefore": 15,
    } | changes


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def id(self) -> str:
        found: str = self.body["id"]
        return found

    @property
    def fields(self) -> list[str]:
        """The fields that a problem names."""
        return [error["field"] for error in self.body["errors"]]

    def says(self, *words: str) -> bool:
        text = json.dumps(self.body, ensure_ascii=False).replace('\\"', '"')
        return all(word in text for word in words)


def paths_and_ids(dry_run: Answer) -> dict[str, list[str]]:
    """The subscriptions that a dry run reaches, by account."""
    assert dry_run.status == 200, dry_run.body
    return {r["url"].rpartition("/")[2]: r["body"]["subscriptionIds"] for r in dry_run.body["requests"]}


@dataclass
class Bridge:
    """One web process."""

    app: Flask
    settings: Settings
    sandbox: SandboxUnderTest | None = None

    @property
    def parts(self) -> Any:
        return self.app.extensions["bridge"]

    @property
    def database(self) -> Database:
        found: Database = self.parts.database
        return found

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = "all",
        headers: Mapping[str, str] | None = None,
        **query: Any,
    ) -> Answer:
        """`body`: JSON, or bytes as they are."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json"} if data is not None else {}
        if key is not None:
            sent["Authorization"] = f"Bearer {secret(key)}"
        sent |= headers or {}
        answer = self.app.test_client().open(
            path, method=method, data=data, headers=sent, query_string=query or None
        )
        return Answer(answer.status_code, answer.get_json(silent=True), dict(answer.headers))

    def post(self, body: Any, path: str = "/v1/calendar/events", **more: Any) -> Answer:
        return self.call("POST", path, body, **more)

    def accept(self, body: Any, path: str = "/v1/calendar/events", **more: Any) -> Answer:
        """A request that has to be accepted."""
        answer = self.post(body, path, **more)
        assert answer.status == 202, answer.body
        return answer

    def refuse(
        self, body: Any, path: str = "/v1/calendar/events", *, status: int = 422, **more: Any
    ) -> Answer:
        """A request that has to be refused as a problem."""
        answer = self.post(body, path, **more)
        assert answer.status == status, answer.body
        check_problem(answer)
        return answer

    def message(self, message_id: str) -> dict[str, Any]:
        answer = self.call("GET", f"/v1/messages/{message_id}")
        assert answer.status == 200, answer.body
        found: dict[str, Any] = answer.body
        return found

    def count(self) -> int:
        """The messages of any state."""
        with self.database.read() as connection:
            return connection.scalar(sa.select(sa.func.count()).select_from(messages)) or 0

    def deliver(self) -> None:
        """Run a worker until nothing waits any more, but for a person."""
        with self.working():
            self.wait_until(self.is_empty)

    def is_empty(self) -> bool:
        with self.database.read() as connection:
            leaves = sa.func.coalesce(waiting.c.call_id, "") != HELD
            return connection.scalar(sa.select(waiting.c.seq).where(leaves).limit(1)) is None

    @contextmanager
    def working(self) -> Iterator[None]:
        """A worker in a thread, with a database of its own as in a process of its own."""
        database = Database(self.settings.database_url, readers=1)
        destinations = configured(self.settings, self.parts.inbox.accept_found)
        worker = Worker(database, destinations, self.settings.retry_for)
        thread = threading.Thread(target=worker.run)
        thread.start()
        try:
            yield
        finally:
            worker.stop()
            thread.join()
            for destination in destinations:
                destination.close()
            database.close()

    @staticmethod
    def wait_until(is_so: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE
        while not is_so():
            assert time.monotonic() < until, "it never came true"
            threading.Event().wait(0.005)

    def sent(self) -> list[dict[str, Any]]:
        """What reached Rokt, without the calls for tokens."""
        assert self.sandbox is not None
        return [call for call in self.sandbox.calls() if call["path"] != "/oauth2/token"]

    def sends(self, body: Any, path: str = "/v1/calendar/events", **more: Any) -> dict[str, Any]:
        """Accept, deliver, and the one call that came of it."""
        before = len(self.sent())
        self.accept(body, path, **more)
        self.deliver()
        [call] = self.sent()[before:]
        return call

    def publish(self, **sources: str) -> None:
        """Publish templates as a start does, but without trying them first; this process sees them at once."""
        publish(self.database, sources)
        self.parts.templates._looked_at = float("-inf")

    @contextmanager
    def served(self, port: int = 0) -> Iterator[str]:
        """The address of this application behind a real HTTP server."""
        server = make_server("127.0.0.1", port, self.app, threaded=True, request_handler=_Quiet)
        server.daemon_threads = False
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def close(self) -> None:
        self.parts.inbox.close()
        self.parts.previews.close()
        self.parts.database.close()
        if self.parts.offers is not None:
            self.parts.offers.close()


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002  the base's name
        pass


def check_problem(answer: Answer) -> None:
    """RFC 9457, short, and without anything that a marketer should not see."""
    assert answer.headers["Content-Type"] == "application/problem+json", answer.headers
    assert {"title", "status", "detail", "errors", "request_id"} <= set(answer.body), answer.body
    assert answer.body["status"] == answer.status
    assert answer.body["title"]
    assert answer.body["detail"]
    assert len(answer.body["detail"]) <= 500
    assert answer.body["request_id"] == answer.headers["X-Request-Id"] != ""
    assert all(set(error) == {"field", "message"} for error in answer.body["errors"]), answer.body
    text = json.dumps(answer.body)
    assert len(text) < 8_000, "an answer for people"
    assert "Traceback" not in text
    assert not any(entry.partition(":")[0] in text for entry in KEYS.values())


Start = Callable[..., Bridge]


@dataclass
class Starter:
    """Starts bridges on one database; keyword arguments are variables of the environment. `folder`: to write in."""

    database_url: str
    folder: Path
    stack: ExitStack = field(default_factory=ExitStack)

    def __call__(self, *, sandbox: SandboxUnderTest | None = None, **environ: str) -> Bridge:
        whole = {
            "BRIDGE_ENV": "development",
            "BRIDGE_TOKENS": ",".join(f"{name}:{rest}" for name, rest in KEYS.items()),
            "DATABASE_URL": self.database_url,
            "ROKT_CALENDAR_URL": sandbox.url if sandbox else NOWHERE,
            "ROKT_CALENDAR_CLIENT_ID": "an-id",
            "ROKT_CALENDAR_CLIENT_SECRET": "a-client-secret",
        } | environ
        settings = Settings.from_env({k: v for k, v in whole.items() if v}, is_web=True)
        app = create_app(settings)
        bridge = Bridge(app, settings, sandbox)
        self.stack.callback(bridge.close)
        return bridge


def publish(database: Database, sources: Mapping[str, str]) -> None:
    with database.write() as connection:
        take_in(connection, sources)


def publish_shipped(database_url: str) -> None:
    database = Database(database_url)
    publish(database, {path.stem: path.read_text("utf-8") for path in FOLDER.glob("*.jinja")})
    database.close()


@pytest.fixture(scope="session")
def stocked_sqlite(ready_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file with the shipped templates published."""
    path = tmp_path_factory.mktemp("stocked") / "stocked.db"
    shutil.copy(ready_sqlite, path)
    publish_shipped(f"sqlite:///{path}")
    return path


@pytest.fixture
def start(stocked_sqlite: Path, tmp_path: Path) -> Iterator[Starter]:
    """Starts bridges on one SQLite file."""
    shutil.copy(stocked_sqlite, tmp_path / "bridge.db")
    yield from _starting(f"sqlite:///{tmp_path / 'bridge.db'}", tmp_path)


@pytest.fixture
def start_on_both(database_url: str, tmp_path: Path) -> Iterator[Starter]:
    """Starts bridges on one database; the test runs on both engines."""
    publish_shipped(database_url)
    yield from _starting(database_url, tmp_path)


def _starting(database_url: str, tmp_path: Path) -> Iterator[Starter]:
    starter = Starter(database_url, tmp_path)
    with starter.stack:
        yield starter
