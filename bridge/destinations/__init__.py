"""Where messages go. A new destination is one file and one line in DESTINATIONS."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache
from importlib import import_module
from typing import Any, Protocol

from sqlalchemy.engine import Connection

from bridge.destinations.batch import Batch, Pack
from bridge.destinations.rokt_lookup import Accept, nowhere
from bridge.errors import UpstreamTrouble
from bridge.message import Message, Outcome, State
from bridge.rate import Rate
from bridge.settings import Settings
from bridge.settings.declared import Declared

Turn = Callable[[], None]


class Destination(Protocol):
    """What the worker asks of a destination. A standing is what its ledger knows, whatever that is."""

    name: str
    in_flight: int  # calls of one worker at once
    rate: Rate  # with each credential, all workers together
    batch: Batch

    def credential_of(self, account_code: str) -> str:
        """The name of the account's own credential, "" when it goes by the common one."""

    def look_up(self, connection: Connection, messages: Sequence[Message]) -> Sequence[Any]:
        """What the ledger knows of each message, read when it is claimed."""

    def pack(self, messages: Sequence[Message], standings: Sequence[Any]) -> Sequence[Pack]:
        """How these messages fall into calls. Where lines merge, those of a line follow each other."""

    def intend(
        self, connection: Connection, messages: Sequence[Message], standings: Sequence[Any], now: datetime
    ) -> None:
        """Write down what the call of these is about to do, in the transaction that claims them."""

    def deliver(self, messages: Sequence[Message], standings: Sequence[Any], turn: Turn) -> Sequence[Outcome]:
        """Make one call, whose first byte leaves when `turn` has returned. An outcome for each message.

        Never raises for what an upstream does; SlotMissed, which `turn` raises, goes through.
        """

    def record(
        self,
        connection: Connection,
        done: Sequence[tuple[Message, Any, Outcome, State | None]],
        now: datetime,
    ) -> None:
        """Write the ledger in the settle's transaction. The state is None while the message goes on."""

    def doubt(self, connection: Connection, doubted: Sequence[tuple[Message, Any]]) -> None:
        """What the upstream holds for these is not certain any more. With each the standing that a late call of it
        went by, or None."""

    def forget_old(self, connection: Connection, now: datetime) -> int:
        """Forget a piece of what the ledger need not know any more. Returns how many rows."""

    def check(self) -> dict[str, str | UpstreamTrouble]:
        """One authenticated call for each credential, by account: its answer in words, or its trouble."""

    def close(self) -> None: ...


DESTINATIONS = (  # each in a file of its name, with its DECLARED
    "rokt_calendar",
    "braze",
    "rokt_events",
    "rokt_api_v2",
    "rokt_api_v1",
    "rokt_audiences",
)


@cache
def declared() -> Mapping[str, Declared[Any]]:
    return {name: import_module(f"{__name__}.{name}").DECLARED for name in DESTINATIONS}


def configured(settings: Settings, accept: Accept = nowhere) -> list[Destination]:
    """The destinations whose variables are set. `accept`: takes in what the call of a message found out."""
    setups = settings.destinations
    return [
        one.make(setups[name].settings, settings, accept)
        for name, one in declared().items()
        if name in setups
    ]
