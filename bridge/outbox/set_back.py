"""The database's clock was set back: what waits for a moment that it had reached once need not wait for it again.

Every worker writes what the clock says into its own row, so a row from the future tells of it. What was to happen
after that moment, such as the next try of a message, happens at once.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.database import Database, clock
from bridge.message import SETTLED
from bridge.outbox import tally
from bridge.outbox.sample_tables import counting
from bridge.outbox.tables import destination_states, jobs, messages, waiting, workers

MOST_ROWS = 500  # of one piece: tens of milliseconds
LEAST = timedelta(seconds=30)  # what is less is waited for; a standby that takes over may be seconds behind


def is_so(connection: Connection, now: datetime) -> bool:
    """By the row of a worker, or that of whoever counts, which stays when no worker runs."""
    ahead = sa.select(workers.c.id).where(workers.c.heartbeat_at > now + LEAST).limit(1)
    of_counting = sa.select(counting.c.name).where(counting.c.held_until > now + tally.LASTS + LEAST).limit(1)
    return connection.scalar(ahead) is not None or connection.scalar(of_counting) is not None


def mend(database: Database, now: Callable[[Connection], datetime] = clock) -> None:
    """All of it, in pieces; the rows that tell of it come last, so that who dies here leaves it to others."""
    after: int | None = 0
    while after is not None:
        with database.write() as connection:
            after = mend_waiting(connection, now(connection), after)
    is_more = True
    while is_more:
        with database.write() as connection:
            is_more = mend_settled(connection, now(connection))
    with database.write() as connection:
        mend_rest(connection, now(connection))


def mend_settled(connection: Connection, now: datetime) -> bool:
    """What ended later than now ended now, or it would be taken for newer than what ends next. A piece of it.

    Returns whether there may be more.
    """
    found: list[int] = []
    for state in SETTLED:
        its = sa.select(messages.c.seq).where(messages.c.state == state, messages.c.settled_at > now)
        in_order = its.order_by(messages.c.settled_at).limit(MOST_ROWS).with_for_update(skip_locked=True)
        found += connection.scalars(in_order)
    connection.execute(sa.update(messages).where(messages.c.seq.in_(found)).values(settled_at=now))
    return bool(found)


def mend_waiting(connection: Connection, now: datetime, after: int) -> int | None:
    """Let what waits behind `after`, a `seq`, be due at once. Returns where the next piece begins; None: nowhere."""
    late = sa.select(waiting.c.seq).where(waiting.c.seq > after, waiting.c.due_at > now)
    found = list(connection.scalars(late.order_by(waiting.c.seq).limit(MOST_ROWS)))
    # Who has locked one claims it, and so it is due.
    free = sa.select(waiting.c.seq).where(waiting.c.seq.in_(found)).with_for_update(skip_locked=True)
    connection.execute(sa.update(waiting).where(waiting.c.seq.in_(free)).values(due_at=now))
    return found[-1] if len(found) == MOST_ROWS else None


def mend_rest(connection: Connection, now: datetime) -> None:
    """The last of it: afterwards `is_so` is false. Whoever lives writes a row of its own soon enough."""
    for column in (
        workers.c.heartbeat_at,
        jobs.c.worked_at,
        destination_states.c.since,
        destination_states.c.probe_at,
        destination_states.c.hold_until,
        destination_states.c.halved_until,
        counting.c.held_until,
    ):
        connection.execute(sa.update(column.table).where(column > now).values({column.name: now}))
