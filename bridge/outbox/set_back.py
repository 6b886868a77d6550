"""The database's clock was set back: what waits for a moment that it had reached once need not wait for it again.

Every worker writes what the clock says into its own row, so a row from the future tells of it. What was to happen
after that moment, such as the next try of a message, happens at once; order and lines do not go by the clock.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.outbox.sample_tables import counting
from bridge.outbox.tables import destination_states, jobs, waiting, workers

MOST_ROWS = 500  # of one piece: tens of milliseconds
NEVER_AHEAD = timedelta(seconds=2)  # of the clock is a worker's row, unless that was set back


def is_so(connection: Connection, now: datetime) -> bool:
    ahead = sa.select(workers.c.id).where(workers.c.heartbeat_at > now + NEVER_AHEAD).limit(1)
    return connection.scalar(ahead) is not None


def mend_piece(connection: Connection, now: datetime, after: int) -> int | None:
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
