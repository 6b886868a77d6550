"""What each part of delivering one message costs: a real worker under stopwatches, with a backlog and a stand-in."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping, Sequence
from datetime import timedelta

from benchmarks import databases, processes, stopwatch
from benchmarks.databases import Backlog
from benchmarks.processes import Running, seen
from benchmarks.report import Table
from benchmarks.stopwatch import Stopwatches
from bridge import log, upstream, worker
from bridge.calendar.zones import use_pinned_tzdata
from bridge.database import Database
from bridge.destinations import configured, rokt_calendar
from bridge.destinations.rokt_calendar import RoktCalendar
from bridge.outbox import claim, settle
from bridge.settings import Settings
from bridge.upstream import OAuth2ClientCredentials, Upstream
from bridge.worker import Worker

DELIVERING = (
    (Worker, "_collect", "wait for what comes back"),
    (Worker, "_cycle", "begin, commit, states"),
    (claim, "claim", "claim"),
    (RoktCalendar, "look_up", "ledger: look up"),
    (Worker, "_send", "hand over to threads"),
    (RoktCalendar, "deliver", "outcome"),
    (rokt_calendar, "next_step", "next step"),
    (Upstream, "send", "serialise, headers"),
    (OAuth2ClientCredentials, "authorization", "token"),
    (upstream, "exchange", "the HTTP call"),
    (settle, "settle", "settle"),
    (RoktCalendar, "record", "ledger: record"),
    (worker, "_tell", "log line"),
)
DELIVERED_WITHIN = 300.0  # seconds
NOTE = (
    "The upstream answers at once. The first line is the CPU time of the real worker less the parts. The bare loop "
    "has no parts."
)


def table(names: Sequence[str], messages: int, cpu: Mapping[str, float]) -> Table:
    """What each part of one delivery costs. `cpu`: of the real workers and the bare loop, seconds for one."""
    costs = {}
    for name in names:
        with databases.fresh(name) as url, processes.stand_in() as rokt:
            Backlog(url).grow(messages - 1)
            environ = processes.for_worker(url, rokt.url)
            costs[name] = stopwatch.measured_apart(__name__, [messages, rokt.port], environ)
    lines = stopwatch.lines("threads, queues", costs, cpu)
    lines[-1].append(f"{cpu['bare'] * 1e6:.0f}")
    head = ("delivering one message: microseconds of CPU (passed)", *costs, "bare")
    shown = [[*line, ""] if len(line) < len(head) else line for line in lines]
    return Table("What each part of delivering costs", head, shown, (NOTE,))


def main(messages: int, rokt: Running) -> None:
    watches = Stopwatches()
    with stopwatch.as_in_production():
        settings = Settings.from_env(os.environ)
        use_pinned_tzdata()
        log.set_up(is_development=False)
        database = Database(settings.database_url, readers=1)
        with watches.on(DELIVERING):
            ours = Worker(database, configured(settings), settings.retry_for, timedelta(days=30))
            threading.Thread(target=_stop_after, args=(ours, rokt, messages), daemon=True).start()
            ours.run()
    print(watches.told([part for _, _, part in DELIVERING], messages))


def _stop_after(ours: Worker, rokt: Running, messages: int) -> None:
    try:
        databases.until(lambda: seen(rokt).count >= messages, DELIVERED_WITHIN, "not everything arrived")
    finally:
        ours.stop()


if __name__ == "__main__":
    main(int(sys.argv[1]), Running(int(sys.argv[2]), pid=0))
