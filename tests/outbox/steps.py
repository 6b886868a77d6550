"""The outbox's own functions as steps of a test, each in a transaction of its own, at a time handed in."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from factories import NOON, accept
from sqlalchemy.engine import Connection

from bridge.database import Database
from bridge.message import Delivered, Message, NewMessage, Outcome, State
from bridge.outbox import claim, replay, settle, upkeep
from bridge.outbox.claim import Call
from bridge.outbox.enqueue import Accepted, Request
from bridge.outbox.settle import Result, Settled
from bridge.outbox.tables import HELD, attempts, calls, messages, waiting, workers
from bridge.rows import upsert

DESTINATION = "rokt_calendar"
DAY = timedelta(days=1)
TAKEN = Delivered(202)


class Outbox:
    def __init__(self, database: Database) -> None:
        self.database = database

    def accept(self, *requests: Request | NewMessage, now: datetime = NOON) -> list[Accepted]:
        return accept(self.database, *requests, now=now)

    def claim(
        self, limit: int = 100, *, worker: str = "w-1", now: datetime = NOON, **options: Any
    ) -> list[Call]:
        with self.database.write() as connection:
            return claim.claim(connection, worker, DESTINATION, limit, now, **options)

    def settle(
        self, done: Call | Sequence[Call], outcome: Outcome = TAKEN, *, now: datetime = NOON
    ) -> Settled:
        its_calls = [done] if isinstance(done, Call) else done
        with self.database.write() as connection:
            return settle.settle(connection, [Result(call, outcome) for call in its_calls], now, DAY)

    def deliver(self, count: int = 1, *, now: datetime = NOON) -> None:
        """Claim and settle what may leave, one message at a time."""
        for _ in range(count):
            [call] = self.claim(1, now=now)
            self.settle(call, now=now)

    def beat(self, worker: str, now: datetime = NOON) -> None:
        with self.database.write() as connection:
            upsert(connection, workers, [{"id": worker, "started_at": now, "heartbeat_at": now}])

    def take_over(self, now: datetime) -> int:
        with self.database.write() as connection:
            return upkeep.take_over(connection, now)

    def expire(self, now: datetime) -> list[Message]:
        with self.database.write() as connection:
            return upkeep.expire(connection, now)

    def replay(self, message_id: str, *, force: bool = False, now: datetime = NOON) -> State:
        with self.database.read() as connection:
            found = replay.settled(connection, message_id)
        assert found is not None
        with self.database.write() as connection:
            return replay.send_again(connection, found[0], now, force=force)

    def message(self, message_id: str) -> Any:
        [row] = self.rows(sa.select(messages).where(messages.c.id == message_id))
        return row

    def states(self) -> list[str]:
        """Of all messages, in the order of acceptance."""
        return [row.state for row in self.rows(sa.select(messages.c.state).order_by(messages.c.seq))]

    def waiting(self) -> list[Any]:
        return self.rows(sa.select(waiting).order_by(waiting.c.seq))

    def calls(self) -> list[Any]:
        return self.rows(sa.select(calls))

    def attempts(self) -> list[Any]:
        return self.rows(sa.select(attempts).order_by(attempts.c.id))

    def rows(self, query: sa.Select[Any]) -> list[Any]:
        with self.database.read() as connection:
            return list(connection.execute(query))

    def faults(self) -> list[str]:
        with self.database.read() as connection:
            return faults(connection)


def faults(connection: Connection) -> list[str]:
    """The rules of lines that the stored rows break; empty when all is well."""
    heads: dict[int, int] = {}
    for row in connection.execute(sa.select(waiting)):
        heads[row.line] = heads.get(row.line, 0) + row.is_head
    found = [f"line {line} has {count} heads" for line, count in heads.items() if count != 1]
    is_in_flight = sa.and_(waiting.c.call_id.is_not(None), waiting.c.call_id != HELD)
    query = sa.select(waiting.c.seq).where(is_in_flight, sa.not_(waiting.c.is_head))
    found += [f"{seq} is in flight behind its head" for seq in connection.scalars(query)]
    held = sa.select(waiting.c.seq).where(waiting.c.call_id == HELD)
    uncertain = sa.select(messages.c.seq).where(messages.c.state == State.UNCERTAIN)
    found += [f"{seq} is held, and not uncertain" for seq in connection.scalars(sa.except_(held, uncertain))]
    found += [f"{seq} is uncertain, and not held" for seq in connection.scalars(sa.except_(uncertain, held))]
    claimed = sa.select(waiting.c.call_id).where(is_in_flight)
    found += [
        f"call {one} is of no row" for one in connection.scalars(sa.except_(claimed, sa.select(calls.c.id)))
    ]
    return found


def ids(accepted: Sequence[Accepted]) -> list[str]:
    return [one for answer in accepted for one in answer.ids]


def eventually(condition: Callable[[], Any], seconds: float = 15.0) -> Any:
    """What `condition` gives, once that is true. For what another thread is about to do."""
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, f"still not so after {seconds} s"
        time.sleep(0.005)
    return found
