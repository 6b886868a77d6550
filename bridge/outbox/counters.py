"""What workers counted: it rides on their heartbeat rows, and stays as a sum when a worker has gone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.metrics import samples
from bridge.metrics.samples import Samples
from bridge.outbox.tables import worker_totals, workers
from bridge.rows import upsert

_GONE = "gone"
_TOTALS = sa.select(worker_totals.c.counters).where(worker_totals.c.name == _GONE)
# At once: what moves from the one to the other in between would be counted twice.
_ALL = sa.union_all(sa.select(workers.c.counters), sa.select(worker_totals.c.counters))


class Carried:
    """What one worker has to carry on its row: all that it counted, without what went with a row that is gone.

    Others fold a silent worker's row into the totals. If it was only slow it goes on with a new one, from zero.
    """

    def __init__(self, counted: Samples) -> None:
        """`counted`: what this process had counted before; no worker's."""
        self._before = self._written = counted

    def beat(self, connection: Connection, worker_id: str, row: dict[str, Any], counted: Samples) -> Samples:
        """Write the row. Returns what is to be told to `is_written` after the commit."""
        stands = connection.scalar(sa.select(workers.c.id).where(workers.c.id == worker_id)) is not None
        before = self._before if stands else self._written
        upsert(connection, workers, [row | {"counters": samples.to_json(samples.since(counted, before))}])
        return before

    def is_written(self, before: Samples, counted: Samples) -> None:
        self._before, self._written = before, counted

    def leave(self, connection: Connection, worker_id: str, counted: Samples) -> None:
        """Take the row away; what it carried stays, and what came since."""
        gone = connection.execute(sa.delete(workers).where(workers.c.id == worker_id)).rowcount
        fold(connection, [samples.since(counted, self._before if gone else self._written)])


def fold(connection: Connection, counted: Iterable[Samples]) -> None:
    """Add what workers counted whose rows go in this transaction. Last in it: whoever leaves waits for this row."""
    several = [one for one in counted if one]
    if several:
        stands = samples.from_json(connection.scalar(_TOTALS.with_for_update()))
        row = {"name": _GONE, "counters": samples.to_json(samples.added(stands, *several))}
        upsert(connection, worker_totals, [row])


def read(connection: Connection) -> Samples:
    """What all workers ever counted."""
    return samples.added(*(samples.from_json(one) for one in connection.scalars(_ALL)))
