"""When this process's calls may leave: each in its turn, made of the slots that are leased for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy.engine import Connection

from bridge.database import UNAVAILABLE, Database
from bridge.errors import SlotMissed
from bridge.metrics import counted
from bridge.outbox.budget import SET_BACK, Lease, Slot
from bridge.rate import Rate

EARLY_LEAST, EARLY_MOST = 0.015, 0.15  # seconds before the last leased slot that the next are leased
LEASED_AT_ONCE = 0.035  # seconds, further than that
LEAD_FIRST, LEAD_LEAST, LEAD_MOST = 0.02, 0.003, 2.0  # seconds from a lease until its call stands ready
SLOTS_OF_A_CALL = 3  # that it may miss; then it makes room for others


def at_once() -> None:
    """The turn of a call to a destination without a rate."""


class Turn:
    """Returns when the call may leave. The first slot came with its claim; another is leased where that is missed,
    as a new token or a new connection took long, and for a call that has to be made twice.

    Errors: SlotMissed.
    """

    def __init__(self, slot: Slot, is_ready: Callable[[], None], lease: Callable[[], Slot]) -> None:
        self._slot: Slot | None = slot
        self._is_ready = is_ready
        self._lease = lease

    def __call__(self) -> None:
        if self._slot is not None:
            self._is_ready()
        slot, self._slot = self._slot or self._lease(), None
        for further in reversed(range(SLOTS_OF_A_CALL)):
            if (early := slot.opens_at - time.monotonic()) > 0:
                time.sleep(early)
            if time.monotonic() <= slot.closes_at:
                return
            if further:
                slot = self._lease()
        raise SlotMissed(f"missed {SLOTS_OF_A_CALL} slots")


class Pace:
    """What one process knows of a destination's budgets. Its threads share it.

    The lead is learned: how long it takes from the lease of a slot until its call stands ready to leave, by the
    database's pace and this machine's. Slots sooner than that would be missed, later ones would keep a thread. So
    is how early the next are leased: where slots pass that nobody leased in time, the next look comes sooner.
    """

    def __init__(self, database: Database, destination: str, rate: Rate) -> None:
        self._database = database
        self._destination = destination
        self._rate = rate
        self._lead = LEAD_FIRST
        self._early = EARLY_LEAST
        self._short: set[str] = set()  # the credentials whose last lease took all that there was
        self._worth_at: dict[str, float] = {}

    def worth_at(self, credential: str) -> float:
        """When there are slots to lease with this credential again, by the monotonic clock; 0: perhaps now."""
        return self._worth_at.get(credential, 0.0)

    def look(self, credential: str, next_at: datetime | None, now: datetime) -> None:
        """Learn what others leased meanwhile."""
        wait = (next_at - now).total_seconds() if next_at else 0.0
        if wait > SET_BACK.total_seconds():
            wait = 0.0  # the next lease sets it right
        self._worth_at[credential] = time.monotonic() + wait - self._lead - self._early

    def lease(self, connection: Connection, credential: str, *, is_halved: bool) -> Lease:
        lead = timedelta(seconds=self._lead)
        spacing = self._rate.spacing * (2 if is_halved else 1)
        ahead = timedelta(seconds=self._early + LEASED_AT_ONCE)
        lease = Lease(connection, self._destination, credential, spacing, lead, ahead)
        if credential in self._short:
            early = self._early + lease.lost if lease.lost else self._early * 0.97
            self._early = min(max(early, EARLY_LEAST), EARLY_MOST)
        return lease

    def turns(self, lease: Lease, credential: str, count: int, *, is_halved: bool) -> list[Turn]:
        """Take slots for so many calls, which are made in this order."""
        slots = lease.take(count)
        counted.slots_taken(self._destination, count)
        self._worth_at[credential] = lease.opens_at - self._lead - self._early
        if count and not lease.room:
            self._short.add(credential)
        else:
            self._short.discard(credential)

        def another() -> Slot:
            try:
                with self._database.write() as connection:
                    [slot] = self.lease(connection, credential, is_halved=is_halved).take(1)
                counted.slots_taken(self._destination, 1)
            except UNAVAILABLE as down:
                raise SlotMissed("the database is not reachable") from down
            return slot

        return [Turn(slot, lambda: self._learn(lease.began_at), another) for slot in slots]

    def _learn(self, leased_at: float) -> None:
        """A call of a lease stands ready now."""
        needed = 1.5 * (time.monotonic() - leased_at) + 0.002
        # Quick to grow: a slot that is missed is lost, one that comes a little late only keeps a thread.
        lead = self._lead + (needed - self._lead) / (3 if needed > self._lead else 12)
        self._lead = min(max(lead, LEAD_LEAST), LEAD_MOST)
