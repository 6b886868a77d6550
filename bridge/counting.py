"""One worker at a time counts: what came and ended, what waits, and what the calendars hold of the days to come.

Each is read in pieces of some milliseconds, between which the worker does its own work. Whoever counts says so in a
row of its own; when nothing is heard of it for a minute another counts, and begins anew what was under way.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from bridge.database import Database, clock
from bridge.ledger.coming import Look
from bridge.outbox import forgetting, tally
from bridge.outbox.depth import Depth

EVERY = 20.0  # seconds from one whole count to the next, at least
NEXT_PIECE = 0.25  # seconds; the worker's own work goes on meanwhile
RESTS = 1  # times as long as a whole count took


@dataclass
class _Task:
    """`piece` does a little, and says whether that was the last."""

    piece: Callable[[Database], bool]
    due_at: float = float("-inf")
    began_at: float | None = None

    def do(self, database: Database) -> None:
        began = self.began_at = time.monotonic() if self.began_at is None else self.began_at
        is_done = self.piece(database)
        now = time.monotonic()
        if is_done:
            self.began_at = None
            self.due_at = max(began + EVERY, now + RESTS * (now - began))
        else:
            self.due_at = now + NEXT_PIECE


class Counting:
    """A worker's part in it. `step` is called when it said, from the worker's thread."""

    def __init__(self, holder_id: str) -> None:
        self._id = holder_id
        self._depth = Depth()
        self._look = Look()
        self._is_ours = False
        self._tally = _Task(self._count)
        self._tasks = (self._tally, _Task(self._measure), _Task(self._look_ahead))

    def step(self, database: Database) -> float:
        """A piece of what is due. Returns in how many seconds the next is."""
        task = self._tally if not self._is_ours else min(self._tasks, key=lambda one: one.due_at)
        if task.due_at <= time.monotonic():
            task.do(database)
        tasks = self._tasks if self._is_ours else (self._tally,)
        return max(0.0, min(one.due_at for one in tasks) - time.monotonic())

    def stop(self, database: Database) -> None:
        """Another may go on at once."""
        if self._is_ours:
            with database.write() as connection:
                tally.let_go(connection, self._id, clock(connection))

    def _count(self, database: Database) -> bool:
        """Read before anything is locked: whoever writes to SQLite would wait for it."""
        with database.write() as connection:
            row = tally.hold(connection, self._id, clock(connection))
        is_new, self._is_ours = not self._is_ours, row is not None
        if is_new:
            self._depth, self._look = Depth(), Look()
        if row is None:
            return True
        with database.read() as connection:
            piece = tally.read_piece(connection, row, clock(connection))
        with database.write() as connection:
            stands = tally.hold(connection, self._id, clock(connection))
            if stands is not None and stands.accepted_upto == row.accepted_upto:
                tally.write_piece(connection, piece)
        return piece.is_last

    def _measure(self, database: Database) -> bool:
        if is_whole := self._read(database, self._depth):
            counted, self._depth = self._depth, Depth()
            self._keep(database, counted)
        return is_whole

    def _look_ahead(self, database: Database) -> bool:
        if is_whole := self._read(database, self._look):
            looked, self._look = self._look, Look()
            self._keep(database, looked, looked.began_at)
        return is_whole

    @staticmethod
    def _read(database: Database, count: Depth | Look) -> bool:
        with database.read() as connection:
            return count.piece(connection, clock(connection))

    def _keep(self, database: Database, count: Depth | Look, began_at: datetime | None = None) -> None:
        """Unless another has taken over meanwhile, or somebody was forgotten who may be named in it."""
        with database.write() as connection:
            now = clock(connection)
            self._is_ours = tally.hold(connection, self._id, now) is not None
            is_old = began_at is not None and forgetting.has_ended_since(connection, began_at)
            if self._is_ours and not is_old:
                count.write(connection, now)
