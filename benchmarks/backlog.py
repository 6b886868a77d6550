"""What a million waiting messages cost, against two thousand: one table.

    python -m benchmarks.backlog --waiting 1000000 --database sqlite|postgresql

Takes about ten minutes for each database, and some gigabytes where temporary files are kept.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator

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
    parser.add_argument("--lists", action="store_true", help="only what is read, in two minutes")
    given = parser.parse_args(arguments)
    began = time.monotonic()
    with depth.depths(given.database, given.waiting) as (deep, shallow):
        _tell(f"{given.waiting:,} waiting", began)
        rows = []
        for measure in _measures(deep, shallow, given.rounds, given.lists):
            began = time.monotonic()
            rows += measure()
            _tell(rows[-1].measure, began)
    print(report.for_docs(report.of_rows(rows)))
    return 0


def _measures(
    deep: Depth, shallow: Depth, rounds: int, are_lists_all: bool
) -> Iterator[Callable[[], list[Row]]]:
    yield lambda: [depth.reading(deep, shallow)]
    yield lambda: [lists.measure(deep, shallow)]
    if are_lists_all:
        return
    yield lambda: [depth.dead_upstream(deep)]
    yield lambda: [depth.accepting(deep, shallow, rounds, 3.0)]
    yield lambda: [depth.another_destination(deep, shallow, rounds, "closed")]
    yield lambda: [depth.another_destination(deep, shallow, rounds, "slow")]
    yield lambda: [depth.waiting_callers(deep, 2, 4.0)]
    yield lambda: [depth.one_long_line(deep, deep.waiting // 10, 5.0)]
    if deep.name == "postgresql":
        yield lambda: depth.churn(deep, 150.0, 150.0)
        yield lambda: [depth.reading(deep, shallow, ", after that")]
    yield lambda: depth.memory(deep)


def _tell(what: str, began: float) -> None:
    print(f"{what}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
