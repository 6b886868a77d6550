"""A destination is one file and one line: those of docs/architecture.md, put into a copy of the bridge, deliver."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from factories import a_message, accept
from outbox.steps import eventually
from servers import Line, http, scripted_server

from bridge.database import Database
from bridge.outbox.tables import attempts, messages, workers

ROOT = Path(__file__).resolve().parent.parent
DOC = (ROOT / "docs" / "architecture.md").read_text("utf-8")
FILE = "bridge/destinations/toy.py"
LIST = "bridge/destinations/__init__.py"
CASES = "tests/destinations/cases.py"
KEY = "toy-key-which-nobody-sees"
TROUBLED = [f"troubled-{number}" for number in range(5)]  # as many lines as close a destination


def told_after(words: str) -> str:
    """The first block of code behind these words of the page."""
    found = re.search(r"```(?:python)?\n(.*?)```", DOC[DOC.index(words) :], re.DOTALL)
    assert found
    return found[1]


def with_line(text: str, begin: str, end: str, line: str) -> str:
    """A line more, at the end of what begins and ends like this."""
    at = text.index(f"\n{end}\n", text.index(begin)) + 1
    return text[:at] + line + text[at:]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with one file and one line more."""
    copy = tmp_path_factory.mktemp("project")
    for folder in ("bridge", "migrations", "templates"):
        shutil.copytree(ROOT / folder, copy / folder)
    (copy / FILE).write_text(told_after(f"`{FILE}`:"), "utf-8")
    listed = (ROOT / LIST).read_text("utf-8")
    line = told_after("The line, at the end of `DESTINATIONS`")
    (copy / LIST).write_text(with_line(listed, "DESTINATIONS = (", ")", line), "utf-8")
    return copy


def run(copy: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(
        command, cwd=copy, env=clean(environ), capture_output=True, text=True, timeout=120, check=False
    )


def clean(environ: Mapping[str, str]) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, "BRIDGE_ENV": "development", **environ}


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


class TestOneFileAndOneLine:
    def test_nothing_else_is_touched(self, copy: Path) -> None:
        before, after = files(ROOT / "bridge"), files(copy / "bridge")

        assert after.keys() - before.keys() == {FILE.removeprefix("bridge/")}
        assert before.keys() - after.keys() == set()
        assert [name for name in before if before[name] != after[name]] == [LIST.removeprefix("bridge/")]
        lines = ((ROOT / LIST).read_text("utf-8").splitlines(), (copy / LIST).read_text("utf-8").splitlines())
        assert len(lines[1]) == len(lines[0]) + 1
        assert set(lines[1]) - set(lines[0]) == {'    "toy",'}

    def test_its_faults_are_told_with_all_others_and_without_its_secret(self, copy: Path) -> None:
        wrong = {"TOY_URL": "ftp://toy.example.com", "TOY_RATE": "fast", "RETRY_FOR": "soon"}
        with_key = {"TOY_KEY": f"{KEY} ", "TOY_RATE": "-1", "BRAZE_API_KEY": "br4ze"}

        found, half = run(copy, "bridge", "check", **wrong), run(copy, "bridge", "check", **with_key)

        assert (found.returncode, half.returncode) == (1, 1)
        assert found.stderr.splitlines()[1:] == [
            "- TOY_KEY is missing: TOY_URL is set",
            "- TOY_URL is not an address such as https://toy.example.com",
            "- TOY_RATE is not a whole number of at least 0",
            "- RETRY_FOR is not a time such as 90s, 15m, 24h or 7d",
        ]
        assert half.stderr.splitlines()[1:] == [
            "- BRAZE_REST_URL is missing: BRAZE_API_KEY is set",
            "- TOY_URL is missing: TOY_KEY is set",
            "- TOY_RATE is not a whole number of at least 0",
        ]
        assert KEY not in half.stderr

    def test_it_keeps_what_the_worker_relies_on(self, copy: Path) -> None:
        shutil.copytree(ROOT / "tests", copy / "tests", ignore=shutil.ignore_patterns("node_modules"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        cases = (ROOT / CASES).read_text("utf-8")
        line = told_after(f"in `CASES` of `{CASES}`")
        (copy / CASES).write_text(with_line(cases, "CASES = {", "}", line), "utf-8")

        found = run(copy, "pytest", "tests/destinations/test_contract.py", "-n0", "-k", "toys or every_line")

        assert found.returncode == 0, found.stdout


@dataclass
class ToyShop:
    """Answers each note as it was told to, and then with 200."""

    answers: dict[str, list[int]]
    seen: list[str] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)

    def __call__(self, line: Line) -> None:
        while (received := line.request()) is not None:
            note = json.loads(received.body)["note"]
            self.seen.append(note)
            self.keys.add(received.headers["authorization"])
            status = next(iter(self.answers.get(note, ())), 200)
            self.answers[note] = self.answers.get(note, [])[1:]
            line.send(http(status, json.dumps({"told": received.headers["authorization"]}).encode()))


@dataclass
class Bridge:
    """The copy with its variables, on a database that this process looks into."""

    copy: Path
    database: Database
    environ: Mapping[str, str]

    def ask(self, *arguments: str) -> Any:
        answer = run(self.copy, "bridge", *arguments, **self.environ)
        assert answer.returncode == 0, answer.stderr
        return json.loads(answer.stdout)

    def accept(self, *notes: str) -> None:
        """As a route would, which names the destination by a word."""
        given = (
            a_message(destination="toy", action="note", request={"note": note}, line=note, user_id=note)
            for note in notes
        )
        accept(self.database, *given, now=datetime.now(UTC))

    def read(self, *columns: Any) -> list[Any]:
        with self.database.read() as connection:
            return list(connection.execute(sa.select(*columns)))

    def states(self, *notes: str) -> dict[str, str]:
        rows = self.read(messages.c.user_id, messages.c.state)
        return {row.user_id: row.state for row in rows if row.user_id in notes}

    def tried(self, note: str) -> list[int]:
        joined = sa.select(attempts.c.status).join(messages).where(messages.c.user_id == note)
        with self.database.read() as connection:
            return list(connection.scalars(joined.order_by(attempts.c.id)))

    @contextmanager
    def working(self, log: Path) -> Iterator[None]:
        with log.open("w") as lines:
            command = [sys.executable, "-m", "bridge", "worker"]
            worker = subprocess.Popen(command, cwd=self.copy, env=clean(self.environ), stderr=lines)
            try:
                yield
            finally:
                worker.send_signal(signal.SIGTERM)
                assert worker.wait(30) == 0


def test_its_messages_are_delivered_tried_again_refused_and_held_up(
    copy: Path, sqlite_database_url: str, tmp_path: Path
) -> None:
    shop = ToyShop({"later": [503], "wrong": [400]} | {note: [503] for note in TROUBLED})
    database = Database(sqlite_database_url)
    with scripted_server(shop) as server:
        toy = {"TOY_URL": server.url, "TOY_KEY": KEY, "DATABASE_URL": sqlite_database_url}
        bridge = Bridge(copy, database, toy)
        assert bridge.ask("destinations", "pause", "toy")["state"] == "paused"
        bridge.accept("plain", "later", "wrong")

        with bridge.working(tmp_path / "log"):
            eventually(lambda: bridge.read(workers), 60)
            [listed] = bridge.ask("destinations", "list")["destinations"]
            assert (listed["name"], listed["is_configured"], listed["state"]) == ("toy", True, "paused")
            assert (listed["waiting"], shop.seen) == (3, [])

            assert bridge.ask("destinations", "resume", "toy")["state"] == "open"
            settled = {"plain": "delivered", "later": "delivered", "wrong": "dead"}
            eventually(lambda: bridge.states(*settled) == settled, 60)
            bridge.accept(*TROUBLED)
            eventually(lambda: set(bridge.states(*TROUBLED).values()) == {"delivered"}, 60)

    assert [bridge.tried(note) for note in settled] == [[200], [503, 200], [400]]
    assert shop.keys == {f"Bearer {KEY}"}
    reasons = [row.reason for row in bridge.read(messages.c.user_id, messages.c.reason) if row.reason]
    assert reasons == ["answered 400"]
    told = (tmp_path / "log").read_text("utf-8")
    assert re.findall(r"destination\.(closed|open)\b.*destination=toy", told) == ["closed", "open"]
    assert KEY not in told + str(bridge.read(attempts.c.answer))
    database.close()
