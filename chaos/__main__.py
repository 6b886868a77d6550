"""python -m chaos --database sqlite --seconds 60 --seed 1: exits 1 when the promise was broken."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from bridge.database import Database  # noqa: E402
from bridge.local import free_port  # noqa: E402
from bridge.outbox.tables import calls, waiting  # noqa: E402
from bridge.schema import migrate  # noqa: E402
from postgres import Server  # noqa: E402
from processes import KEY, Processes  # noqa: E402

from chaos.driver import Driver  # noqa: E402
from chaos.faults import STOPPED_FOR, Faults  # noqa: E402
from chaos.upstream import Upstream  # noqa: E402
from chaos.verdict import judge  # noqa: E402

TAKEN_WITHIN = 60.0  # seconds after the last fault, for what the callers still repeat
DRAINED_WITHIN = 90.0


@dataclass
class Place:
    """Where the outbox is: `server` for PostgreSQL, `path` for SQLite."""

    url: str
    server: Server | None = None
    path: str = ""


class Logged(Processes):
    """The bridge's processes, each with its log in a file."""

    folder = Path()

    def start_web(self) -> None:
        """A stopped worker that holds SQLite's write lock keeps a starting web waiting for as long."""
        try:
            super().start_web()
        except RuntimeError:
            until = time.monotonic() + STOPPED_FOR
            while time.monotonic() < until:
                with suppress(OSError), urllib.request.urlopen(f"{self.url}/healthz", timeout=2):
                    return
                time.sleep(0.2)
            raise

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        fixed = {
            "BRIDGE_ENV": "development",
            "BRIDGE_TOKENS": f"test:{KEY}",
            "DATABASE_URL": self.database_url,
            "ROKT_CALENDAR_URL": self.rokt_url,
            "ROKT_CALENDAR_CLIENT_ID": "id",
            "ROKT_CALENDAR_CLIENT_SECRET": "secret",
        }
        with (self.folder / f"{arguments[1]}-{time.monotonic():.2f}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *arguments],
                cwd=ROOT,
                env=os.environ | fixed | self.environ,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), required=True)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=40)
    parser.add_argument("--retry-for", default="24h", help="RETRY_FOR: a short one makes messages die")
    parser.add_argument("--keep", action="store_true", help="keep the database and the logs")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    folder.chmod(0o755)
    violations: list[str] = ["it did not come to an end"]
    try:
        with _database(given.database, folder) as place:
            violations = _run(given, place, folder)
    finally:
        if violations or given.keep:
            print(f"logs and database: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return 1 if violations else 0


def _run(given: Any, place: Place, folder: Path) -> list[str]:
    database = Database(place.url)
    migrate(database)
    upstream = Upstream(given.seed)
    bridge = Logged(
        place.url, upstream.url, free_port(), {"WEB_CONCURRENCY": "2", "RETRY_FOR": given.retry_for}
    )
    bridge.folder = folder
    driver = Driver(bridge.port, given.seed, given.rate)
    faults = Faults(bridge, place, given.seed)
    try:
        bridge.start_web()
        bridge.start_worker()
        bridge.start_worker()
        sender = threading.Thread(target=driver.run, daemon=True)
        sender.start()
        threading.Thread(target=driver.replay, daemon=True).start()
        faults.run(time.monotonic() + given.seconds)
        driver.stopping.set()
        sender.join()
        upstream.calm_down()
        quiet_at = time.monotonic()
        untaken = driver.finish(TAKEN_WITHIN)
        drained = _drain(database, quiet_at + DRAINED_WITHIN)
        took = time.monotonic() - quiet_at
        verdict = judge(driver, upstream, database, faults.kills, may_die=given.retry_for != "24h")
    finally:
        faults.over.set()
        bridge.stop()
        database.close()
        upstream.close()
    violations = faults.violations + verdict.violations
    if untaken:
        violations.append(f"{untaken} events were not taken within {TAKEN_WITHIN} s of quiet")
    if verdict.in_back_off:
        print(f"in back-off after many tries, seconds left by line: {sorted(verdict.in_back_off.values())}")
    elif not drained:
        violations.append(f"not drained within {DRAINED_WITHIN} s of quiet")
    print(f"database {given.database}  seed {given.seed}  seconds {given.seconds}")
    print(f"faults {sum(faults.happened.values())}: {dict(faults.happened)}")
    again = sum(len(one.statuses) - 1 for one in driver.sent)
    print(
        f"events {len(driver.sent)}  asked again {again}  calls seen {len(upstream.sights)}  {verdict.counts}"
    )
    print(f"listed {verdict.reasons}")
    print(f"lost {len(verdict.lost)}  order {len(verdict.order)}  last states {len(verdict.states)}")
    print(f"repeats {verdict.repeated} of {verdict.uncertain} uncertain, {len(verdict.repeats)} of others")
    print(f"worst delivery after a worker's kill {verdict.worst_after_kill:.1f} s  drained in {took:.1f} s")
    for violation in violations[:40]:
        print(f"VIOLATION {violation}")
    print(f"{len(violations)} violations" if violations else "the promise held", flush=True)
    return violations


def _drain(database: Database, until: float) -> bool:
    while time.monotonic() < until:
        try:
            with database.read() as connection:
                left = [
                    connection.scalar(sa.select(sa.func.count()).select_from(t)) for t in (waiting, calls)
                ]
            if not any(left):
                return True
        except sa.exc.DBAPIError:
            pass
        time.sleep(0.3)
    return False


@contextmanager
def _database(name: str, folder: Path) -> Iterator[Place]:
    if name == "sqlite":
        yield Place(f"sqlite:///{folder}/bridge.db", path=f"{folder}/bridge.db")
        return
    # What is committed must be there after the server was killed; the tests' own settings give that up for speed.
    home = Path(tempfile.mkdtemp(prefix="pg-"))
    server = Server(home, "-c synchronous_commit=on")
    server.start()
    try:
        yield Place(server.url, server)
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
