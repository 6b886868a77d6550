"""The points of `make chaos` are where their names say: what a process leaves behind that dies there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from factories import a_message, accept
from outbox.steps import eventually
from servers import running_sandbox

from bridge.database import Database
from bridge.outbox.tables import calls, messages
from chaos.points import AFTER_CLAIM, BEFORE_ACCEPTANCE, BEFORE_ANSWER, BEFORE_SETTLE, DURING_CALL

ROOT = Path(__file__).resolve().parent.parent
UNTIL_IT_DIES = 60.0  # seconds

DIES_AT = """
import sys
from pathlib import Path
from chaos import points, seams

points.SPARED, points.MOST_PASSES = 0.0, 1
fuse = points.Fuse((sys.argv[1],), "1", 1, Path(sys.argv[3]))
fuse._draw()
seams.install(fuse, 0.0)
"""
A_WEB = """
from bridge.database import Database
from bridge.outbox.enqueue import Inbox
from factories import a_message, a_request

Inbox(Database(sys.argv[2])).accept(a_request(a_message()))
print("answered", flush=True)
"""
A_WORKER = """
from bridge.cli import main

main(["worker"])
"""


def dies_at(point: str, what: str, database_url: str, rokt_url: str = "http://127.0.0.1:9") -> None:
    """Runs a process that must die at this point, and tell so before."""
    environ = {
        "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
        "BRIDGE_ENV": "development",
        "DATABASE_URL": database_url,
        "ROKT_CALENDAR_URL": rokt_url,
        "ROKT_CALENDAR_CLIENT_ID": "id",
        "ROKT_CALENDAR_CLIENT_SECRET": "secret",
    }
    done = subprocess.run(
        [sys.executable, "-c", DIES_AT + what, point, database_url, str(ROOT)],
        cwd=ROOT,
        env=os.environ | environ,
        stdout=subprocess.PIPE,
        timeout=UNTIL_IT_DIES,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith(b"{")]
    assert [one["point"] for one in told if one["what"] == "killed"] == [point]
    assert b"answered" not in done.stdout


def count(database: Database, table: sa.Table) -> int:
    with database.read() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0


@pytest.mark.parametrize(("point", "stored"), [(BEFORE_ACCEPTANCE, 0), (BEFORE_ANSWER, 1)])
def test_a_web_dies_on_either_side_of_the_commit(
    database: Database, database_url: str, point: str, stored: int
) -> None:
    dies_at(point, A_WEB, database_url)

    assert count(database, messages) == stored


@pytest.mark.parametrize(("point", "seen"), [(AFTER_CLAIM, 0), (DURING_CALL, 1), (BEFORE_SETTLE, 1)])
def test_a_worker_dies_with_its_call_unsettled(
    database: Database, database_url: str, point: str, seen: int
) -> None:
    accept(database, a_message(), now=datetime.now(UTC))
    with running_sandbox() as rokt:
        dies_at(point, A_WORKER, database_url, rokt.url)

        # Its request is under way when it dies: the other end may read it a moment later.
        assert eventually(lambda: len(rokt.calls("/v1/subscriptionevent")) == seen)
    assert count(database, calls) == 1
