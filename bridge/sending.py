"""One destination's calls in this process: what may leave now, and the threads that make them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.engine import Connection

from bridge.database import Database, clock
from bridge.destinations import Destination
from bridge.filling import Claimed, Filler
from bridge.outbox import budget, claim, states
from bridge.outbox.budget import Lease
from bridge.outbox.claim import Lane
from bridge.outbox.states import COMMON, WHOLE, Gate
from bridge.turns import Pace

AHEAD = 8  # of so many calls one more is claimed, so that a thread that comes back need not wait for a cycle


@dataclass(frozen=True)
class _Opening:
    """Lanes that may be claimed from; `probe`: only one call, to see whether this answers again."""

    lanes: Sequence[Lane]
    probe: str | None = None


class Sender:
    """`in_flight`: calls that were claimed and have not come back. `wakes_at`: when the next slots are worth a
    look, by the monotonic clock; None while nothing waits for one.
    """

    def __init__(self, destination: Destination, database: Database) -> None:
        self.destination = destination
        self.in_flight = 0
        self.wakes_at: float | None = None
        self._filler = Filler(destination)
        # A call that has a slot needs a thread when the slot comes.
        further = 0 if destination.rate.is_limited else destination.in_flight // AHEAD
        self._most = destination.in_flight + further
        self._pace = Pace(database, destination.name, destination.rate)
        self._threads = ThreadPoolExecutor(destination.in_flight, f"call-{destination.name}")

    def may_claim(self, connection: Connection) -> bool:
        """Whether there is something that may leave. Only reads, and next to nothing while nothing waits."""
        self.wakes_at = None
        name = self.destination.name
        if self.in_flight >= self._most or not (lanes := claim.lanes(connection, name)):
            return False
        now = clock(connection)
        gate = states.gate(states.read_states(connection, name), now)
        openings = self._openings(gate, lanes, now)
        if self._free(gate) <= 0 or not any(self._is_worth_it(connection, one, now) for one in openings):
            return False
        if not self.destination.rate.is_limited:
            return True
        next_at = budget.next_at(connection, name)
        credentials = {self._credential(lane) for opening in openings for lane in opening.lanes}
        for credential in credentials:
            self._pace.look(credential, next_at.get(credential), now)
        self.wakes_at = min(self._pace.worth_at(credential) for credential in credentials)
        return self.wakes_at <= time.monotonic()

    def claim(self, connection: Connection, worker_id: str, now: datetime) -> list[Claimed]:
        """Claim what the gate lets through, as much as may be sent now."""
        if self.wakes_at is not None and self.wakes_at > time.monotonic():
            return []
        self.wakes_at = None
        name = self.destination.name
        gate = states.gate(states.read_states(connection, name), now)
        free = self._free(gate)
        if free <= 0 or not (gate.is_open or gate.probes_due):
            return []
        claim.go_by_index(connection)
        taken: list[Claimed] = []
        for opening in self._openings(gate, claim.lanes(connection, name), now):
            for credential, lanes in self._by_credential(opening.lanes):
                left = _Opening(lanes, opening.probe), free - len(taken)
                its_calls = self._take(connection, worker_id, credential, *left, now, gate)
                taken += its_calls
                if its_calls and opening.probe is not None:
                    break
        return taken

    def submit(self, deliver: Callable[[Claimed], None], claimed: Claimed) -> None:
        """Errors: RuntimeError when no thread could be started."""
        self._threads.submit(deliver, claimed)

    def close(self) -> None:
        self._threads.shutdown()

    def _take(
        self,
        connection: Connection,
        worker_id: str,
        credential: str,
        opening: _Opening,
        most: int,
        now: datetime,
        gate: Gate,
    ) -> list[Claimed]:
        """Calls with one credential, each with its turn."""
        name, is_probe = self.destination.name, opening.probe is not None
        lease: Lease | None = None
        if self.destination.rate.is_limited:
            lease = self._pace.lease(connection, credential, is_halved=gate.is_halved)
            most = min(most, lease.room)
        if is_probe:
            most = min(most, 1)
        taken: list[Claimed] = []
        if most > 0 and (opening.probe is None or states.take_probe(connection, name, opening.probe, now)):
            taken = self._filler.fill(connection, worker_id, most, now, opening.lanes, is_probe=is_probe)
        if lease is not None:
            turns = self._pace.turns(lease, credential, len(taken), is_halved=gate.is_halved)
            taken = [replace(one, turn=turn) for one, turn in zip(taken, turns, strict=True)]
            worth_at = self._pace.worth_at(credential)
            self.wakes_at = worth_at if self.wakes_at is None else min(self.wakes_at, worth_at)
        return taken

    def _is_worth_it(self, connection: Connection, opening: _Opening, now: datetime) -> bool:
        return opening.probe is not None or self._filler.may_fill(connection, opening.lanes, now)

    def _free(self, gate: Gate) -> int:
        """Calls that may still be made at once. A rate is halved by its slots instead."""
        is_halved = gate.is_halved and not self.destination.rate.is_limited
        most = max(1, self.destination.in_flight // 2) if is_halved else self._most
        return most - self.in_flight

    def _openings(self, gate: Gate, lanes: Sequence[Lane], now: datetime) -> list[_Opening]:
        let_through = [lane for lane in lanes if self._lets(gate, lane)]
        found = []
        for place in gate.probes_due:
            if place == WHOLE:
                its_lanes = let_through
            elif place == COMMON:
                its_lanes = [lane for lane in lanes if not self._credential(lane)]
            else:
                its_lanes = [lane for lane in lanes if lane.account_code == place]
            if its_lanes:
                found.append(_Opening(its_lanes, place))
        if gate.is_open and (due := [lane for lane in let_through if lane.due_at <= now]):
            found.append(_Opening(due))
        return found

    def _by_credential(self, lanes: Sequence[Lane]) -> list[tuple[str, list[Lane]]]:
        """Each credential has a budget of its own; without a rate there is nothing to keep apart."""
        if not self.destination.rate.is_limited:
            return [("", list(lanes))]
        found: dict[str, list[Lane]] = {}
        for lane in sorted(lanes, key=lambda lane: (lane.priority, lane.due_at)):
            found.setdefault(self._credential(lane), []).append(lane)
        return list(found.items())

    def _lets(self, gate: Gate, lane: Lane) -> bool:
        return gate.lets(lane.account_code, self._credential(lane))

    def _credential(self, lane: Lane) -> str:
        return self.destination.credential_of(lane.account_code)
