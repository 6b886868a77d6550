"""Where messages go. A new destination is one file and one line in DESTINATIONS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy.engine import Connection

from bridge.destinations import braze, rokt_api, rokt_audiences, rokt_calendar, rokt_events
from bridge.destinations.batch import Batch, Pack
from bridge.destinations.rokt_lookup import Accept, nowhere
from bridge.errors import UpstreamTrouble
from bridge.message import Message, Outcome, State
from bridge.rate import Rate
from bridge.settings import Settings

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


def _calendar(settings: Settings, accept: Accept) -> Destination | None:
    if settings.calendar is None:
        return None
    retention = timedelta(days=settings.retention_days)
    allow_http = settings.is_development
    return rokt_calendar.RoktCalendar(settings.calendar, retention, allow_http=allow_http, accept=accept)


def _braze(settings: Settings, _accept: Accept) -> Destination | None:
    if settings.braze is None:
        return None
    retention = timedelta(days=settings.retention_days)
    return braze.Braze(settings.braze, settings.batch, retention, allow_http=settings.is_development)


def _rokt_api(version: str) -> Callable[[Settings, Accept], Destination | None]:
    def make(settings: Settings, _accept: Accept) -> Destination | None:
        api = settings.rokt_api
        credential = None if api is None else api.key if version == "V2" else api.app
        if api is None or credential is None:
            return None
        allow_http = settings.is_development
        return rokt_api.RoktApi(api, version, credential, settings.batch, allow_http=allow_http)

    return make


def _rokt_events(settings: Settings, _accept: Accept) -> Destination | None:
    if settings.rokt_events is None:
        return None
    return rokt_events.RoktEvents(settings.rokt_events, settings.batch, allow_http=settings.is_development)


def _rokt_audiences(settings: Settings, _accept: Accept) -> Destination | None:
    api = settings.rokt_api
    if api is None or api.key is None:
        return None
    return rokt_audiences.RoktAudiences(api, api.key, settings.batch, allow_http=settings.is_development)


DESTINATIONS: dict[str, Callable[[Settings, Accept], Destination | None]] = {
    rokt_calendar.NAME: _calendar,
    braze.NAME: _braze,
    rokt_events.NAME: _rokt_events,
    rokt_api.V2: _rokt_api("V2"),
    rokt_api.V1: _rokt_api("V1"),
    rokt_audiences.NAME: _rokt_audiences,
}


def configured(settings: Settings, accept: Accept = nowhere) -> list[Destination]:
    """The destinations whose variables are set. `accept`: takes in what the call of a message found out."""
    return [made for make in DESTINATIONS.values() if (made := make(settings, accept)) is not None]
