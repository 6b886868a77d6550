"""`make bench`: one table of figures, each held against something measured beside it; kept in docs/benchmarks.md."""

from __future__ import annotations

import argparse
import signal
import sys
import time

from benchmarks import (
    accepting,
    audiences,
    both,
    conversions,
    databases,
    delivering,
    latency,
    machine,
    offers,
    report,
    retention,
    subscribers,
    tokens,
)
from benchmarks.extent import FULL, QUICK, USUAL, Extent
from benchmarks.report import Row, Table

MEASURES = {
    "accepting": accepting.measure,
    "delivering": delivering.measure,
    "both": both.measure,
    "latency": latency.measure,
    "tokens": tokens.measure,
    "subscribers": subscribers.measure,
    "conversions": conversions.measure,
    "audiences": audiences.measure,
    "offers": offers.measure,
    "retention": retention.measure,
}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute or two; not written to the docs")
    parser.add_argument("--full", action="store_true", help="100,000 deliveries with tokens of five minutes")
    parser.add_argument("--databases", default=",".join(databases.NAMES), help="of sqlite, postgresql")
    parser.add_argument("--only", metavar="PART", help=f"of {', '.join(MEASURES)}; not written to the docs")
    given = parser.parse_args(arguments)
    names = tuple(given.databases.split(","))
    parts = tuple(given.only.split(",")) if given.only else tuple(MEASURES)
    if wrong := [*set(names) - set(databases.NAMES), *set(parts) - set(MEASURES)]:
        parser.error(f"there is no {', '.join(wrong)}")
    # So that what was started is ended too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    extent = QUICK if given.quick else FULL if given.full else USUAL
    is_whole = parts == tuple(MEASURES) and names == databases.NAMES and not given.quick
    postgresql = databases.postgresql_version() if "postgresql" in names else "not used"
    tables = [machine.described(postgresql, extent)]
    tables[1:] = measured(parts, names, extent)
    print("\n" + "\n".join(report.for_terminal(table) for table in tables))
    if is_whole:
        report.write("\n".join(report.for_docs(table) for table in (*tables[1:], tables[0])))
    return 0


def measured(parts: tuple[str, ...], names: tuple[str, ...], extent: Extent) -> list[Table]:
    """The table of all rows first, then what explains them."""
    rows: list[Row] = []
    more: list[Table] = []
    for part in parts:
        began = time.monotonic()
        print(f"{part} ...", end=" ", file=sys.stderr, flush=True)
        found, explained = MEASURES[part](names, extent)
        rows += found
        more += explained
        print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    return [report.of_rows(rows), *more]


if __name__ == "__main__":
    sys.exit(main())
