"""One run on one database: starts everything, lets the faults loose, waits for quiet, and asks for the verdict."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from bridge.database import Database
from bridge.local import free_port
from bridge.outbox.tables import calls, waiting
from bridge.schema import migrate

from chaos.driver import Driver
from chaos.evidence import gather
from chaos.faults import Faults, Recovery
from chaos.journal import Journal
from chaos.place import Place, a_place
from chaos.running import WORKERS, Running, Setting
from chaos.upstream import Upstream
from chaos.verdict import Verdict, judge

DRAINED_WITHIN = 180.0  # seconds after the last fault, for all that was promised to have ended
TAKEN_OVER_WITHIN = 25.0
FULL_RATE_WITHIN = 10.0


@dataclass(frozen=True)
class Plan:
    """What to do. A short run has no fault that lasts for tens of seconds, and is not judged for speed."""

    database: str
    seed: int
    seconds: float
    rate: float = 40.0
    keys: int = 400
    retry_for: str = "24h"
    commit_ms: float = 0.0
    broken: str = ""
    is_short: bool = False
    keep: bool = False


@dataclass(frozen=True)
class Report:
    plan: Plan
    violations: list[str]
    verdict: Verdict
    kills: Counter[str]
    faults: Counter[str]
    accepted: int
    asked_again: int
    calls: int
    stops: int
    in_flight: int  # at all kills together
    recoveries: list[Recovery]
    drained_in: float


def run(plan: Plan) -> Report:
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    folder.chmod(0o755)
    report = None
    try:
        with a_place(plan.database, folder) as place:
            report = _run(plan, place, folder)
    finally:
        if report is None or report.violations or plan.keep:
            print(f"log and database: {folder}", flush=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return report


def _run(plan: Plan, place: Place, folder: Path) -> Report:
    seed = f"{plan.database}-{plan.seed}"
    database = Database(place.url)
    migrate(database)
    upstream, journal = Upstream(seed), Journal()
    setting = Setting(
        database_url=place.url,
        upstream_url=upstream.url,
        port=free_port(),
        seed=seed,
        retry_for=plan.retry_for,
        commit_ms=plan.commit_ms,
        broken=plan.broken,
    )
    bridge = Running(setting, folder, journal)
    driver = Driver(setting.port, seed, plan.rate, plan.keys)
    faults = Faults(bridge, place, driver, upstream, seed, is_short=plan.is_short)
    try:
        for _ in range(WORKERS):
            bridge.start_worker()
        sender = threading.Thread(target=driver.run, daemon=True)
        sender.start()
        threading.Thread(target=driver.replay, daemon=True).start()
        faults.run(time.monotonic() + plan.seconds)
        driver.stopping.set()
        sender.join()
        upstream.calm_down()
        quiet_at = time.monotonic()
        untaken = driver.finish(DRAINED_WITHIN)
        is_drained = _drain(database, quiet_at + DRAINED_WITHIN)
        drained_in = time.monotonic() - quiet_at
        evidence = gather(driver, upstream, database, faults, journal, may_die=plan.retry_for != "24h")
    finally:
        driver.stopping.set()
        driver.abandon.set()
        bridge.stop()
        database.close()
        upstream.close()
    verdict = judge(evidence)
    violations = faults.violations + verdict.violations
    if not journal.deaths:
        violations.append("no process was killed")
    if untaken:
        violations.append(f"{untaken} events were not taken within {DRAINED_WITHIN} s of quiet")
    if not is_drained and not verdict.in_back_off:
        violations.append(f"not drained within {DRAINED_WITHIN} s of quiet")
    if not plan.is_short:
        violations += faults.too_slow + _too_slow(verdict, faults.recoveries)
    return Report(
        plan=plan,
        violations=violations,
        verdict=verdict,
        kills=Counter(death.by for death in journal.deaths),
        faults=faults.happened,
        accepted=sum(one.taken_at is not None for one in driver.sent),
        asked_again=sum(len(one.statuses) - 1 for one in driver.sent),
        calls=len(evidence.sights),
        stops=len(faults.stopped),
        in_flight=sum(death.in_flight for death in journal.deaths),
        recoveries=faults.recoveries,
        drained_in=drained_in,
    )


def _too_slow(verdict: Verdict, recoveries: list[Recovery]) -> list[str]:
    slow = [f"taken over after {seconds} s" for seconds in verdict.take_overs if seconds > TAKEN_OVER_WITHIN]
    slow += [
        f"not at the full rate within {FULL_RATE_WITHIN} s: {one}"
        for one in recoveries
        if max(one.taken, one.delivered) > FULL_RATE_WITHIN
    ]
    return slow


def _drain(database: Database, until: float) -> bool:
    while time.monotonic() < until:
        with suppress(sa.exc.DBAPIError), database.read() as connection:
            left = [connection.scalar(sa.select(sa.func.count()).select_from(t)) for t in (waiting, calls)]
            if not any(left):
                return True
        time.sleep(0.3)
    return False
