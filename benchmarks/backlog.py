"""What a million waiting messages cost, against two thousand: one table.

    python -m benchmarks.backlog --waiting 1000000 --database sqlite|postgresql

Takes about ten minutes for each database, and some gigabytes where temporary files are kept.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

from benchmarks import databases, depth, lists, report
from benchmarks.depth import Depth
from benchmarks.report import Row


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.backlog", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--waiting", type=int, default=1_000_000)
    parser.add_argument("--database", choices=databases.NAMES, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="some measures: reading, lists, dead, accepting, …")
    given = parser.parse_args(arguments)
    began = time.monotonic()
    with depth.depths(given.database, given.waiting) as (deep, shallow):
        _tell(f"{given.waiting:,} waiting", began)
        rows = []
        measures = _measures(deep, shallow, given.rounds)
        for name in given.only.split(",") if given.only else measures:
            began = time.monotonic()
            rows += measures[name]()
            _tell(name, began)
    print(report.for_docs(report.of_rows(rows)))
    return 0


def _measures(deep: Depth, shallow: Depth, rounds: int) -> dict[str, Callable[[], list[Row]]]:
    """In this order: the later ones leave the backlog changed."""
    measures: dict[str, Callable[[], list[Row]]] = {
        "reading": lambda: [depth.reading(deep, shallow)],
        "lists": lambda: [lists.measure(deep, shallow)],
        "dead": lambda: [depth.dead_upstream(deep)],
        "accepting": lambda: [depth.accepting(deep, shallow, rounds, 3.0)],
        "beside-closed": lambda: [depth.another_destination(deep, shallow, rounds, "closed")],
        "beside-slow": lambda: [depth.another_destination(deep, shallow, rounds, "slow")],
        "patient": lambda: [depth.waiting_callers(deep, 2, 4.0)],
        "long-line": lambda: [depth.one_long_line(deep, deep.waiting // 10, 5.0)],
        "churn": lambda: depth.churn(deep, 150.0, 150.0),
        "reading-after": lambda: [depth.reading(deep, shallow, ", after that")],
        "memory": lambda: depth.memory(deep),
    }
    if deep.name == "sqlite":  # it has no vacuum to wait for
        del measures["churn"], measures["reading-after"]
    return measures


def _tell(what: str, began: float) -> None:
    print(f"{what}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
