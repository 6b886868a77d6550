"""Nothing personal and no secret is in a line of the log, an error, a metric or a page: marks are sent everywhere."""

from __future__ import annotations

import dataclasses
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
import sqlalchemy as sa
from echo import Echo, echoing
from marked import (
    ADDRESS,
    DATABASE,
    EMAIL,
    NO_SECRET,
    NOTHING,
    SECRETS,
    TOKENS,
    UPSTREAM,
    USER,
    WEBHOOK,
    environment,
)
from marked_routes import CALENDAR, CONVERSION, ROUTES, SUBSCRIBER, Answer, Pairs, Walk
from web.running import publish_shipped, stocked_sqlite

from bridge.app import create_app
from bridge.database import Database
from bridge.errors import SettingsInvalid
from bridge.local import free_port
from bridge.outbox.tables import attempts
from bridge.settings import Settings

__all__ = ["stocked_sqlite"]

ROOT = Path(__file__).resolve().parent.parent
NOWHERE = "https://127.0.0.1:9"  # nothing listens at the discard port
PATIENCE = 40.0  # seconds that a condition may take on a busy machine


def test_a_mark_is_known_again_in_the_forms_that_things_are_shown_in() -> None:
    for mark in (EMAIL, TOKENS["all"], UPSTREAM["ROKT_EVENTS_SECRET"]):
        pair = b64encode(f"a user:{mark} and more".encode()).decode()
        shown = [
            f"x{mark}y",
            quote(mark),
            quote_plus(f"a={mark}"),
            json.dumps({"a": [mark]}),
            escape(mark),
            pair,
        ]

        assert [NOTHING.shown_in(one) == [] for one in (*shown, repr([mark]))] == [False] * 7
    assert NOTHING.shown_in("GET /v1/messages 200 brazetest flash_sale 06423672") == []


def test_every_route_is_walked() -> None:
    settings = Settings.from_env(production(NOWHERE, "sqlite:///nowhere.db"), is_web=True)
    routes = {
        f"{method} {rule.rule}"
        for rule in create_app(settings).url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }

    assert routes - ROUTES.keys() == set(), "tests/marked_routes.py: a request with marks for each of these"
    assert ROUTES.keys() - routes == set()


def production(upstream: str, database_url: str) -> dict[str, str]:
    return {"BRIDGE_ENV": "production"} | environment(upstream, database_url)


def development(upstream: str, database_url: str) -> dict[str, str]:
    return {"BRIDGE_ENV": "development"} | environment(upstream, database_url)


def check_answers(answers: list[Answer]) -> None:
    shown = [
        f"{one.route} answered {one.status}: {mark}"
        for one in answers
        for mark in (NO_SECRET if one.is_for_operators else NOTHING).shown_in(one.headers + one.text)
    ]
    assert not shown, "\n".join(shown)


class TestProcesses:
    """A web process in production, whose upstreams are not there, and workers whose upstream repeats everything."""

    def test_neither_lines_nor_answers_show_what_was_sent(
        self, postgresql_database_url: str, tmp_path: Path
    ) -> None:
        url = postgresql_database_url.replace("postgres@", f"postgres:{DATABASE}@")
        publish_shipped(url)
        with echoing() as echo, running_web(production(NOWHERE, url), tmp_path / "web.log") as port:
            answers = list(Walk(lambda *given: ask(port, *given)).all())
            answers += [Answer("", *told) for told in malformed(port)]
            deliver(port, echo, url, tmp_path)
            again = Walk(lambda *given: ask(port, *given))
            # What the upstreams said stands there now.
            answers += [*again.of("POST /console/sign-in"), *again.each()]

        check_answers(answers)
        web, of_workers = (tmp_path / "web.log").read_text(), (tmp_path / "worker.log").read_text()
        assert NOTHING.shown_in(web) == []
        assert NOTHING.shown_in(of_workers) == []
        told = [json.loads(line) for line in web.splitlines()]
        assert {"request.answered", "request.malformed", "offers.called"} <= {one["event"] for one in told}
        for event in ("delivery.attempted", "destination.closed", "calls.taken_over"):
            assert event in of_workers
        assert {one.status for one in answers} >= {200, 202, 303, 400, 401, 404, 405, 413, 415, 422, 431, 502}
        unreached = [one.route for one in answers if one.status == 500]
        assert unreached == []


def deliver(port: int, echo: Echo, url: str, folder: Path) -> None:
    """Let workers meet every kind of answer; the first is killed in the middle of a call."""
    database = Database(url)
    environ = development(echo.url, url)
    try:
        echo.goes_on.clear()
        with running_worker(environ, folder / "worker.log") as worker:
            wait_until(lambda: len(echo.calls) >= 3)
            worker.kill()
            worker.wait()
        echo.goes_on.set()
        with database.write() as connection:  # as if it had been killed a while ago
            connection.execute(
                sa.text("UPDATE workers SET heartbeat_at = heartbeat_at - interval '1 minute'")
            )
        with running_worker(environ, folder / "worker.log"):
            for number, status in enumerate((202, 400, 429, 500, 0, 403, 401)):
                echo.status, before = status, count(database)
                for path, body in (
                    ("/v1/calendar/events", CALENDAR | {"user_id": f"{CALENDAR['user_id']}{number}"}),
                    ("/v1/subscribers", SUBSCRIBER | {"external_id": f"{SUBSCRIBER['external_id']}{number}"}),
                    ("/v1/conversions", CONVERSION | {"confirmation_ref": f"C-{number}"}),
                ):
                    good = {"Authorization": f"Bearer {TOKENS['send']}", "Content-Type": "application/json"}
                    assert ask(port, "POST", path, json.dumps(body).encode(), good)[0] in (200, 202)
                wait_until(lambda before=before: count(database) >= before + 2)
            wait_until(lambda: "destination.closed" in (folder / "worker.log").read_text())
    finally:
        database.close()


def count(database: Database) -> int:
    with database.read() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(attempts)) or 0


def ask(
    port: int, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
) -> tuple[int, Pairs, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, {"Connection": "close", **headers})
        answer = connection.getresponse()
        return answer.status, answer.getheaders(), answer.read().decode("utf-8", "replace")
    finally:
        connection.close()


def malformed(port: int) -> Iterator[tuple[int, str, str]]:
    """What is not HTTP, full of marks."""
    host = b"Host: x\r\n"
    for sent in (
        f"GET /{WEBHOOK} {EMAIL}\r\n\r\n".encode(),
        f"POST / HTTP/1.1\r\nAuthorization Bearer {TOKENS['all']}\r\n\r\n".encode(),
        f"GET / HTTP/1.1\r\nX-{EMAIL}: {WEBHOOK}\r\n\r\n".encode(),
        f"GET /{'a' * 9000}{EMAIL} HTTP/1.1\r\n\r\n".encode(),
        f"GET / HTTP/1.1\r\nX-A: {'a' * 20_000}{WEBHOOK}\r\n\r\n".encode(),
        f"GET / HTTP/{EMAIL}\r\n\r\n".encode(),
        b"POST /v1/conversions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
        + host
        + f"\r\n{EMAIL}\r\n{TOKENS['all']}".encode(),
    ):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
            line.sendall(sent)
            line.shutdown(socket.SHUT_WR)
            whole = b"".join(iter(lambda: line.recv(65536), b"")).decode("utf-8", "replace")
        yield int(whole[9:12] or 0) if whole.startswith("HTTP/1.1 ") else 0, "", whole


@contextmanager
def running_web(environ: dict[str, str], log: Path) -> Iterator[int]:
    port = free_port()
    gunicorn = [
        "gunicorn",
        "-c",
        "gunicorn.conf.py",
        "--bind",
        f"127.0.0.1:{port}",
        "bridge.app:create_app()",
    ]
    with running(gunicorn, environ | {"WEB_CONCURRENCY": "1"}, log) as process:
        wait_until(lambda: process.poll() is not None or is_served(port))
        yield port


@contextmanager
def running_worker(environ: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with running(["bridge", "worker"], environ, log) as process:
        yield process


@contextmanager
def running(module: list[str], environ: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Both of its outputs go to the end of `log`."""
    with log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", *module], cwd=ROOT, env=clean() | environ, stdout=file, stderr=file
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(40)
            finally:
                process.kill()


def clean() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "TMPDIR", "LANG")}


def is_served(port: int) -> bool:
    try:
        return ask(port, "GET", "/healthz", None, {})[0] == 200
    except OSError:
        return False


def wait_until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.05)


def a_fault() -> Exception:
    """One that another caused, and that one another: each quotes what it is about."""
    wrong: Exception = UnicodeDecodeError("utf-8", f"{EMAIL} {WEBHOOK}".encode(), 0, 1, USER)
    for above in (
        KeyError(EMAIL),
        sa.exc.IntegrityError(f"SELECT {EMAIL}", {"user_id": USER}, ValueError(f"Key (email)=({EMAIL})")),
        RuntimeError(f"{EMAIL} {TOKENS['all']} {DATABASE} {WEBHOOK}"),
    ):
        above.__cause__ = wrong
        wrong = above
    return wrong


def no_database() -> Exception:
    gone = OSError(f"postgresql://postgres:{DATABASE}@{ADDRESS} is not there")
    return sa.exc.OperationalError("SELECT 1", {"user_id": USER}, gone)


class TestFaults:
    @pytest.mark.parametrize(("broken_by", "status"), [(a_fault, 500), (no_database, 503)])
    def test_an_exception_in_a_view_is_told_without_its_words(
        self,
        broken_by: Callable[[], Exception],
        status: int,
        stocked_sqlite: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        shutil.copy(stocked_sqlite, tmp_path / "bridge.db")
        lines: list[bytes] = []
        monkeypatch.setattr("bridge.log._Lines.write", lambda _, line: lines.append(line))
        environ = production(NOWHERE, f"sqlite:///{tmp_path / 'bridge.db'}")
        app = create_app(Settings.from_env(environ, is_web=True))

        def send(
            method: str, path: str, body: bytes | None, headers: Mapping[str, str]
        ) -> tuple[int, Pairs, str]:
            answer = app.test_client(use_cookies=False).open(
                path, method=method, data=body, headers=dict(headers)
            )
            return answer.status_code, list(answer.headers), answer.get_data(as_text=True)

        @contextmanager
        def broken(_database: Database) -> Iterator[Any]:
            raise broken_by()
            yield

        walk = Walk(send)
        assert [answer.status for answer in walk.of("POST /console/sign-in")] == [401, 303]
        for way in ("read", "write", "browse"):
            monkeypatch.setattr(Database, way, broken)

        answers = list(walk.each())

        for part in ("inbox", "addressees", "previews"):
            getattr(app.extensions["bridge"], part).close()
        check_answers(answers)
        told = b"".join(lines).decode()
        assert NOTHING.shown_in(told) == []
        assert ("request.failed" if status == 500 else "database.unavailable") in told
        assert len([one for one in answers if one.status == status]) > 40


class TestSettings:
    def test_no_part_of_them_shows_a_secret(self) -> None:
        settings = Settings.from_env(production(NOWHERE, f"postgresql://u:{DATABASE}@h/d"), is_web=True)

        def parts_of(value: Any) -> Iterator[Any]:
            yield value
            if dataclasses.is_dataclass(value):
                for field in dataclasses.fields(value):
                    its = getattr(value, field.name)
                    if field.repr or dataclasses.is_dataclass(its):
                        yield from parts_of(its)
            elif isinstance(value, tuple):
                for one in value:
                    yield from parts_of(one)

        parts = list(parts_of(settings))

        assert len(parts) > 50
        for one in parts:
            if not isinstance(one, str):
                shown = f"{one!r} {one} {ValueError(one)} {[one]} {(one,)}"
                assert NOTHING.shown_in(shown) == [], type(one)

    @pytest.mark.parametrize("garbage", ["{}:::", "{} {}", "http://{}", "{}\N{SNOWMAN}"])
    def test_a_fault_of_the_environment_quotes_none(self, garbage: str) -> None:
        environ = production(NOWHERE, f"mysql://u:{DATABASE}@h/d")
        marked = {name: garbage.format(value, value) for name, value in environ.items() if value in SECRETS}
        marked |= {name: garbage.format(environ[name], "") for name in ("BRIDGE_TOKENS", "CONSOLE_USERS")}

        with pytest.raises(SettingsInvalid) as faults:
            Settings.from_env(environ | marked | {"ROKT_WEBHOOK_SECRET": f"{WEBHOOK}/"}, is_web=True)

        assert len(faults.value.faults) > 2
        assert NO_SECRET.shown_in(str(faults.value)) == []


class TestCommands:
    """What a person's terminal, or the log of a release, is told."""

    def test_none_of_them_shows_a_secret(self, stocked_sqlite: Path, tmp_path: Path) -> None:
        shutil.copy(stocked_sqlite, tmp_path / "bridge.db")
        url = f"sqlite:///{tmp_path / 'bridge.db'}"
        gone = f"postgresql://u:{DATABASE}@127.0.0.1:9/d"
        with echoing() as echo:
            echo.status = 401
            told = [
                command(development(echo.url, url), "check", "--connect"),
                command(production(NOWHERE, gone), "check"),
                command(production(NOWHERE, gone), "migrate"),
                command(production(NOWHERE, url) | {"BRIDGE_TOKENS": f"{TOKENS['all']}:"}, "check"),
            ]

        assert [code for code, _ in told] == [1, 1, 1, 1]
        assert "process.failed" in told[2][1]
        for _, text in told:
            assert NOTHING.shown_in(text) == []


def command(environ: dict[str, str], *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "bridge", *arguments],
        cwd=ROOT,
        env=clean() | environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr
