"""All that the verdict is made from: what the callers were told, what the upstream saw, what the database lists."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from bridge.database import Database, clock
from bridge.outbox.tables import attempts, calls, messages, waiting

from chaos.driver import Driver, Sent
from chaos.faults import Faults
from chaos.journal import Death, Journal
from chaos.upstream import Sight, Upstream

LISTED = ("dead", "superseded", "skipped")


@dataclass(frozen=True)
class Evidence:
    """Rows are as the tables have them, messages by `seq`; other times are on the monotonic clock.

    `listed`: what the API lists of those that were not delivered, with the reason. `epoch`: when that clock
    began. `stopped`: workers that slept, from when to when. `outages`: when nobody could write. `may_die`:
    messages may run out of time.
    """

    sent: Sequence[Sent]
    sights: Sequence[Sight]
    calendar: Mapping[str, Mapping[str | None, str | None]]
    messages: Sequence[Any]
    now: datetime
    listed: Mapping[str, str | None]
    waiting: Sequence[Any] = ()
    calls: Sequence[Any] = ()
    attempts: Mapping[int, Sequence[Any]] = field(default_factory=dict)
    replayed: frozenset[str] = frozenset()
    deaths: Sequence[Death] = ()
    claims: Mapping[int, Sequence[tuple[float, int]]] = field(default_factory=dict)
    stopped: Sequence[tuple[int, float, float]] = ()
    outages: Sequence[tuple[float, float]] = ()
    epoch: float = 0.0
    may_die: bool = False


def gather(
    driver: Driver, upstream: Upstream, database: Database, faults: Faults, journal: Journal, *, may_die: bool
) -> Evidence:
    """Once all is quiet."""
    told: dict[int, list[Any]] = defaultdict(list)
    listed = {name: reason for state in LISTED for name, reason in driver.listed(state).items()}
    with database.read() as connection:
        rows = connection.execute(sa.select(messages).order_by(messages.c.seq)).all()
        left, open_calls = (connection.execute(sa.select(table)).all() for table in (waiting, calls))
        for row in connection.execute(sa.select(attempts).order_by(attempts.c.id)):
            told[row.seq].append(row)
        now = clock(connection)
    with upstream.lock:
        return Evidence(
            sent=tuple(driver.sent),
            sights=tuple(upstream.sights),
            calendar=upstream.calendar,
            messages=rows,
            now=now,
            listed=listed,
            waiting=left,
            calls=open_calls,
            attempts=told,
            replayed=frozenset(driver.replayed),
            deaths=tuple(journal.deaths),
            claims=journal.claims,
            stopped=tuple(faults.stopped),
            outages=tuple(faults.outages),
            epoch=time.time() - time.monotonic(),
            may_die=may_die,
        )
