"""A worker with a second destination beside Rokt Calendar, which takes everything in five milliseconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Connection

from benchmarks import production_worker
from bridge import cli, destinations, log
from bridge.destinations import Turn
from bridge.destinations.batch import OneByOne
from bridge.message import Delivered, Message, Outcome
from bridge.rate import Rate
from bridge.settings.declared import Declared, Setup, Words

NAME = "second"


class Second(OneByOne):
    name = NAME
    in_flight = 8
    rate = Rate()

    def credential_of(self, account_code: str) -> str:
        return ""

    def look_up(self, connection: Connection, messages: Sequence[Message]) -> Sequence[Any]:
        return [None] * len(messages)

    def deliver(self, messages: Sequence[Message], standings: Sequence[Any], turn: Turn) -> list[Outcome]:
        turn()
        time.sleep(0.005)
        return [Delivered(202, "", 5)]

    def record(self, connection: Connection, done: Any, now: datetime) -> None:
        pass

    def doubt(self, connection: Connection, doubted: Any) -> None:
        pass

    def forget_old(self, connection: Connection, now: datetime) -> int:
        return 0

    def check(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        pass


if __name__ == "__main__":
    its = Words("Second", "nobody", "nothing")
    second = Declared(its, lambda _variables: Setup(None), lambda *_: Second())
    every = {**destinations.declared(), NAME: second}
    destinations.declared = lambda: every
    log.set_up = production_worker.as_in_production
    sys.exit(cli.main(["worker"]))
