"""Bridges that are broken on purpose: what chaos must catch, or its word is worth nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import sqlalchemy as sa
from bridge.database import Database
from bridge.outbox import enqueue, upkeep
from bridge.outbox.tables import messages
from bridge.worker import Worker


def answer_before_commit() -> None:
    """202 before the commit: a kill between the two loses what was promised."""

    def answers_first(self: enqueue.Inbox, group: Sequence[enqueue.Request]) -> list[enqueue.Accepted]:
        transaction = self._database.write()
        connection = transaction.__enter__()
        answers = enqueue.store(connection, group)
        threading.Thread(target=commit_late, args=[transaction]).start()
        return answers

    def commit_late(transaction: AbstractContextManager[Any]) -> None:
        time.sleep(0.01)
        transaction.__exit__(None, None, None)

    enqueue.Inbox._store = answers_first  # type: ignore[method-assign]


def no_mark() -> None:
    """What a lost worker may have sent goes again as if nobody had ever sent it."""
    take_over = upkeep.take_over

    def forgets(connection: Any, now: Any) -> int:
        lost = take_over(connection, now)
        connection.execute(sa.update(messages).values(was_uncertain=False))
        return lost

    upkeep.take_over = forgets


def no_claim() -> None:
    """A claim that is not committed before its call: a killed worker's calls are made again at once, unmarked."""
    write = Database.write
    cycle = Worker._cycle

    def rolls_back(self: Worker, done: Any) -> None:
        cycle(self, done)
        if not done:
            with write(self._database) as connection:
                for table in ("UPDATE waiting SET call_id = NULL", "DELETE FROM calls"):
                    connection.execute(sa.text(table))

    Worker._cycle = rolls_back  # type: ignore[method-assign]


def no_order() -> None:
    """Every message is the head of a line of its own."""

    def own(message: Any) -> int:
        return enqueue.key_of(message.destination, str(id(message)), str(message.user_id))

    enqueue.line_of = own


SABOTAGES: dict[str, Callable[[], None]] = {
    "answer-before-commit": answer_before_commit,
    "no-mark": no_mark,
    "no-claim": no_claim,
    "no-order": no_order,
}
