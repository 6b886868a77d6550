"""How messages become calls: one by one, or many to a call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.engine import Connection

from bridge.message import Message, Outcome, State


@dataclass(frozen=True)
class Batch:
    """`messages`: the most of one call. `age`: how long the first may wait for a call to fill. `merges`: what waits
    in a line goes with its head, in order. `undoes`: an older message that arrives late undoes a newer one of its
    line, which then goes once more.
    """

    messages: int = 1
    age: timedelta = timedelta(0)
    merges: bool = False
    undoes: bool = True


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


class WithoutLedger:
    """Of a destination with one credential that remembers nothing of what it did: messages say all themselves."""

    def credential_of(self, account_code: str) -> str:
        return ""

    def look_up(self, connection: Connection, messages: Sequence[Message]) -> Sequence[Any]:
        return [None] * len(messages)

    def intend(
        self, connection: Connection, messages: Sequence[Message], standings: Sequence[Any], now: datetime
    ) -> None: ...

    def record(
        self,
        connection: Connection,
        done: Sequence[tuple[Message, Any, Outcome, State | None]],
        now: datetime,
    ) -> None: ...

    def doubt(self, connection: Connection, doubted: Sequence[tuple[Message, Any]]) -> None: ...

    def forget_old(self, connection: Connection, now: datetime) -> int:
        return 0
