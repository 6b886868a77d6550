"""python -m chaos: breaks what the bridge runs on, and exits 1 when its promise was broken."""

from __future__ import annotations

import argparse
import signal
import sys

from chaos.report import told
from chaos.run import Plan, run
from chaos.sabotage import SABOTAGES

DATABASES = ("sqlite", "postgresql")
SEEDS = (1, 2)
SLOW_COMMIT_MS = 3.0
LONG = 240.0  # seconds on each database
SHORT = 10.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=DATABASES, action="append", help="both unless said")
    parser.add_argument("--seed", type=int, action="append", help="1 and 2 unless said; in a short run 1")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--short", action="store_true", help="judged for what is right, not for speed")
    parser.add_argument("--rate", type=float, default=40.0, help="events a second")
    parser.add_argument("--keys", type=int, default=400)
    parser.add_argument(
        "--commit-ms", type=float, help="added to every commit; 3 unless said where the seed is even"
    )
    parser.add_argument("--retry-for", default="24h", help="RETRY_FOR: a short one makes messages die")
    parser.add_argument("--break", dest="broken", choices=SABOTAGES, default="", help="chaos must catch this")
    parser.add_argument("--keep", action="store_true", help="keep the database and the log")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started must be ended first
    reports = []
    for seed in given.seed or (SEEDS[:1] if given.short else SEEDS):
        for database in given.database or DATABASES:
            plan = Plan(
                database=database,
                seed=seed,
                seconds=given.seconds or (SHORT if given.short else LONG),
                rate=given.rate,
                keys=given.keys,
                retry_for=given.retry_for,
                commit_ms=_commit_ms(given.commit_ms, seed),
                broken=given.broken,
                is_short=given.short,
                keep=given.keep,
            )
            reports.append(run(plan))
            print(told(reports[-1:]), flush=True)
    if len(reports) > 1:
        print(told(reports))
    return 1 if any(report.violations for report in reports) else 0


def _commit_ms(given: float | None, seed: int) -> float:
    if given is not None:
        return given
    return 0.0 if seed % 2 else SLOW_COMMIT_MS


if __name__ == "__main__":
    sys.exit(main())
