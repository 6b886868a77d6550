"""Fills a destination's calls with what is due: full ones go at once, others when they have waited."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.engine import Connection

from bridge.destinations import Destination, Turn
from bridge.destinations.batch import Pack
from bridge.message import Message
from bridge.outbox import claim
from bridge.outbox.claim import Call, Due, Lane
from bridge.outbox.merging import with_their_lines
from bridge.turns import at_once

LOOKS_EVERY = 0.5  # seconds, whether what waits fills a call by now
TOOK = 10.0  # times as long as the last look took: it reads all that waits for a call

_ALWAYS = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Claimed:
    """A call to make in its turn, with its messages. `standings`: what the destination's ledger knew of each when
    it was claimed."""

    destination: Destination
    calls: Sequence[Call]
    standings: Sequence[Any]
    turn: Turn = at_once
    is_probe: bool = False


class Filler:
    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._of_a_call = destination.batch.messages  # so many went into a full one last
        self._newest: int | None = None  # what waited when a call was last filled and was not full
        self._looks_at = float("-inf")

    def may_fill(self, connection: Connection, lanes: Sequence[Lane], now: datetime) -> bool:
        """Whether a call may be full, or has waited long enough."""
        batch = self._destination.batch
        if not batch.age or any(lane.due_at <= now - batch.age or not lane.priority for lane in lanes):
            return True
        half = max(1, batch.messages // 2)  # a message is two objects as a rule
        return claim.is_filled(connection, self._destination.name, lanes, half, now) or (
            # By its bytes, or by lines of many messages: only who fills it can tell.
            time.monotonic() >= self._looks_at and claim.newest(connection) != self._newest
        )

    def fill(
        self,
        connection: Connection,
        worker_id: str,
        most: int,
        now: datetime,
        lanes: Sequence[Lane],
        *,
        is_probe: bool,
    ) -> list[Claimed]:
        """At most so many calls, filled. One that is not full goes once the first in it has waited long enough."""
        destination, began = self._destination, time.monotonic()
        filled = self._filled(connection, most * self._of_a_call, now, lanes, is_probe=is_probe)
        if filled.is_cut and filled.packs and not filled.packs[-1].is_full:
            filled = self._filled(
                connection, most * destination.batch.messages, now, lanes, is_probe=is_probe
            )
        self._of_a_call = max((pack.size for pack in filled.packs if pack.is_full), default=self._of_a_call)
        ripe_since = _ALWAYS if is_probe else now - destination.batch.age
        goes = list(filled.that_go(ripe_since))[:most]
        if destination.batch.age:
            took = time.monotonic() - began
            self._newest = claim.newest(connection)
            self._looks_at = began + max(
                TOOK * took, min(destination.batch.age.total_seconds() / 4, LOOKS_EVERY)
            )
        if goes:
            going, known_of = ([one for part in parts for one in part] for parts in zip(*goes, strict=True))
            destination.intend(connection, going, known_of, now)
        held = claim.hold(connection, worker_id, destination.name, [messages for messages, _ in goes], now)
        return [
            Claimed(destination, calls, known, is_probe=is_probe)
            for calls, (_, known) in zip(held, goes, strict=True)
        ]

    def _filled(
        self, connection: Connection, limit: int, now: datetime, lanes: Sequence[Lane], *, is_probe: bool
    ) -> _Filled:
        destination = self._destination
        found = claim.due(connection, destination.name, limit, now, lanes, is_probe=is_probe)
        is_cut = len(found) == limit
        if destination.batch.merges:
            found = with_their_lines(connection, found, destination.batch.messages)
        if destination.batch.messages > 1:
            found = list(_in_time(found, now))
        messages = [one.message for one in found]
        standings = destination.look_up(connection, messages) if found else []
        packs = destination.pack(messages, standings) if found else []
        return _Filled(found, standings, packs, is_cut=is_cut)


@dataclass(frozen=True)
class _Filled:
    """What is due, as it falls into calls. `is_cut`: more may be due than was read."""

    found: Sequence[Due]
    standings: Sequence[Any]
    packs: Sequence[Pack]
    is_cut: bool

    def that_go(self, ripe_since: datetime) -> Iterator[tuple[list[Message], list[Any]]]:
        """Of each call that is full, or has waited long enough: its messages and their standings."""
        start = 0
        for pack in self.packs:
            end = start + pack.size
            some = self.found[start:end]
            if pack.is_full or any(_is_ripe(one, ripe_since) for one in some):
                yield [one.message for one in some], list(self.standings[start:end])
            start = end + pack.left_out


def _in_time(found: Sequence[Due], now: datetime) -> Iterator[Due]:
    """Without what is too late, which would leave among others, and without what stands behind that in its line."""
    stopped: set[int] = set()
    for one in found:
        message = one.message
        if message.expires_at is not None and message.expires_at <= now:
            stopped.add(message.line)
        if message.line not in stopped:
            yield one


def _is_ripe(one: Due, since: datetime) -> bool:
    """It need not wait for others: somebody waits for it, it went before, or it has waited."""
    message = one.message
    return one.due_at <= since or message.is_test or message.tries > 0 or bool(message.progress)
