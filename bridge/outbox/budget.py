"""The shared budget: when the calls of a destination with a credential may leave, whoever makes them.

Its row says when the next call may leave, by the database's clock. A claim locks the row, takes the next moments
for the calls that it makes, and moves it on. What that comes to is decided by the spacing alone, so processes need
not know of each other.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.database import clock
from bridge.outbox.tables import budgets
from bridge.rows import upsert

FORFEITED_AFTER = 0.020  # seconds; what rate.py reckons with
ON_THE_WAY = 0.010  # of these, from the last look at the clock until the upstream has the call
SET_BACK = timedelta(seconds=5)  # nobody leases so far ahead: the database's clock was set back


@dataclass(frozen=True)
class Slot:
    """When a call may leave, on this process's monotonic clock: not before, and not after."""

    opens_at: float
    closes_at: float


class Lease:
    """The locked row of one destination and credential, until the transaction ends.

    `lead`: how long it takes until a call that is claimed now can leave. `ahead`: of so much time after that slots
    may be taken. Until its slot comes a call keeps one of those that may be under way.
    """

    def __init__(
        self,
        connection: Connection,
        destination: str,
        credential: str,
        spacing: timedelta,
        lead: timedelta,
        ahead: timedelta,
    ) -> None:
        self._connection = connection
        self._spacing = spacing
        self._its_row = sa.and_(budgets.c.destination == destination, budgets.c.credential == credential)
        next_at = self._lock(destination, credential)
        # Read after the lock, which may have been waited for. The reading is of some moment between these two: a
        # slot opens as if it were of the last and closes as if it were of the first.
        self._before = time.monotonic()
        self._now = clock(connection)
        self._after = self.began_at = time.monotonic()
        if next_at is not None and next_at > self._now + SET_BACK:
            next_at = self._now + timedelta(seconds=1)  # whatever was leased before has left by then
            self._write(next_at)  # or the next lease would begin that second anew
        self._next_at = max(next_at or self._now, self._now + lead)
        self._until = self._now + lead + ahead
        self.lost = (self._next_at - next_at).total_seconds() if next_at else 0.0

    @property
    def room(self) -> int:
        """How many slots may be taken now."""
        return max(0, (self._until - self._next_at) // self._spacing + 1)

    @property
    def opens_at(self) -> float:
        """When the next slot that nobody has taken opens, on the monotonic clock."""
        return self._after + (self._next_at - self._now).total_seconds()

    def take(self, count: int) -> list[Slot]:
        taken = [self._next_at + number * self._spacing for number in range(count)]
        self._next_at += count * self._spacing
        if taken:
            self._write(self._next_at)
        return [self._slot((at - self._now).total_seconds()) for at in taken]

    def _write(self, next_at: datetime) -> None:
        self._connection.execute(sa.update(budgets).where(self._its_row).values(next_at=next_at))

    def _slot(self, wait: float) -> Slot:
        return Slot(self._after + wait, self._before + wait + FORFEITED_AFTER - ON_THE_WAY)

    def _lock(self, destination: str, credential: str) -> datetime | None:
        query = sa.select(budgets.c.next_at).where(self._its_row).with_for_update()
        row = self._connection.execute(query).first()
        if row is None:
            upsert(self._connection, budgets, [{"destination": destination, "credential": credential}])
            row = self._connection.execute(query).one()
        its_next_at: datetime | None = row.next_at
        return its_next_at


def next_at(connection: Connection, destination: str) -> dict[str, datetime]:
    """By credential, when its next call may leave. Of one that never made any nothing is known."""
    known = (budgets.c.destination == destination, budgets.c.next_at.is_not(None))
    rows = connection.execute(sa.select(budgets.c.credential, budgets.c.next_at).where(*known))
    return {row.credential: row.next_at for row in rows}
