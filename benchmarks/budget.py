"""How much of a shared rate is used under backlog, and the most calls that any one second held.

Run as `python -m benchmarks.budget`. The upstream stamps arrivals by the kernel's clock, in a process of its own.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from benchmarks import processes
from benchmarks.databases import NAMES, fresh
from bridge.database import Database, clock

sys.path.append(str(processes.ROOT / "tests"))

from factories import a_message, accept
from processes import Processes
from recorder import most_in_a_second, recording

WARM_UP = 2.0  # seconds from the first call on that are left out: connections, tokens, the first leads


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.budget", description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--databases", default=",".join(NAMES))
    parser.add_argument("--rates", default="50,200")
    parser.add_argument("--workers", default="1,3")
    parser.add_argument("--delay", type=float, default=0.1, help="seconds until the upstream answers")
    given = parser.parse_args(arguments)
    print(f"{'':28} {'per s':>8} {'used':>8} {'most in a second':>18}")
    for name in given.databases.split(","):
        for rate in map(int, given.rates.split(",")):
            for workers in map(int, given.workers.split(",")):
                arrivals = _measure(name, rate, workers, given.seconds, given.delay)
                steady = [at for at in arrivals if at - arrivals[0] >= WARM_UP]
                per_second = (len(steady) - 1) / (steady[-1] - steady[0])
                told = f"{name}, {rate} a second, {workers} worker{'s' if workers > 1 else ''}"
                most = most_in_a_second(arrivals)
                print(f"{told:34} {per_second:8.1f} {per_second / rate:8.1%} {most:10}", flush=True)


def _measure(name: str, rate: int, workers: int, seconds: float, delay: float) -> list[float]:
    with fresh(name) as url, recording(delay) as upstream:
        database = Database(url, readers=1)
        with database.read() as connection:
            now = clock(connection)
        for first in range(0, round(rate * (seconds + 2)), 50):
            accept(database, *(a_message(user_id=f"u-{first + n}") for n in range(50)), now=now)
        database.close()
        running = Processes(url, upstream.url, 0, {"ROKT_CALENDAR_RATE": str(rate)})
        try:
            for _ in range(workers):
                running.start_worker()
            time.sleep(seconds + 1.0)
        finally:
            running.stop()
    return upstream.arrivals


if __name__ == "__main__":
    main()
