"""How messages become calls: one by one, or many to a call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.engine import Connection

from bridge.message import Message, Outcome


@dataclass(frozen=True)
class Batch:
    """`messages`: the most of one call. `age`: how long the first may wait for a call to fill. `merges`: what waits
    in a line goes with its head, in order.
    """

    messages: int = 1
    age: timedelta = timedelta(0)
    merges: bool = False


@dataclass(frozen=True)
class Pack:
    """One call: so many of the messages, which follow each other. `is_full`: no other would fit.

    `left_out`: so many after these do not fit and are of its last line, so they wait for the next call.
    """

    size: int
    is_full: bool = True
    left_out: int = 0


class OneByOne:
    """Of a destination each of whose calls carries one message."""

    batch = Batch()

    def pack(self, messages: Sequence[Message], standings: Sequence[Any]) -> Sequence[Pack]:
        return [Pack(1)] * len(messages)

    def intend(
        self, connection: Connection, messages: Sequence[Message], standings: Sequence[Any], now: datetime
    ) -> None:
        """A message says itself whether an earlier call of it may have worked."""

    def deliver(
        self, messages: Sequence[Message], standings: Sequence[Any], turn: Callable[[], None]
    ) -> list[Outcome]:
        [message], [standing] = messages, standings
        return [self.deliver_one(message, standing, turn)]

    def deliver_one(self, message: Message, standing: Any, turn: Callable[[], None]) -> Outcome:
        raise NotImplementedError
