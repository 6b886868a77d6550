"""One destination's calls in this process: what may leave now, and the threads that make them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Connection

from bridge.database import clock
from bridge.destinations import Destination
from bridge.outbox import claim, states
from bridge.outbox.claim import Call, Lane
from bridge.outbox.states import COMMON, WHOLE, Gate


@dataclass(frozen=True)
class Claimed:
    """A call to make. `standing`: what the destination's ledger knew when it was claimed."""

    destination: Destination
    call: Call
    standing: Any
    is_probe: bool = False


@dataclass(frozen=True)
class _Opening:
    """Lanes that may be claimed from; `probe`: only one call, to see whether this answers again."""

    lanes: Sequence[Lane]
    probe: str | None = None


class Sender:
    """`in_flight`: calls that were claimed and have not come back."""

    def __init__(self, destination: Destination) -> None:
        self.destination = destination
        self.in_flight = 0
        self._threads = ThreadPoolExecutor(destination.in_flight, f"call-{destination.name}")

    def may_claim(self, connection: Connection) -> bool:
        """Whether there is something that may leave. Only reads, and next to nothing while nothing waits."""
        if self.in_flight >= self.destination.in_flight:
            return False
        lanes = claim.lanes(connection, self.destination.name)
        if not lanes:
            return False
        now = clock(connection)
        gate = states.gate(states.read_states(connection, self.destination.name), now)
        return self._free(gate) > 0 and bool(self._openings(gate, lanes, now))

    def claim(self, connection: Connection, worker_id: str, now: datetime) -> list[Claimed]:
        """Claim what the gate lets through, as much as may be sent now."""
        name = self.destination.name
        gate = states.gate(states.read_states(connection, name), now)
        free = self._free(gate)
        if free <= 0 or not (gate.is_open or gate.probes_due):
            return []
        calls: list[Call] = []
        probes: list[Call] = []
        for opening in self._openings(gate, claim.lanes(connection, name), now):
            left = free - len(calls) - len(probes)
            if opening.probe is None:
                calls += claim.claim(connection, worker_id, name, left, now, opening.lanes)
            elif left > 0 and states.take_probe(connection, name, opening.probe, now):
                probes += claim.claim(connection, worker_id, name, 1, now, opening.lanes, is_probe=True)
        claimed = probes + calls
        if not claimed:
            return []
        standings = self.destination.look_up(connection, [call.message for call in claimed])
        return [
            Claimed(self.destination, call, standing, number < len(probes))
            for number, (call, standing) in enumerate(zip(claimed, standings, strict=True))
        ]

    def submit(self, deliver: Callable[[Claimed], None], claimed: Claimed) -> None:
        """Errors: RuntimeError when no thread could be started."""
        self._threads.submit(deliver, claimed)

    def close(self) -> None:
        self._threads.shutdown()

    def _free(self, gate: Gate) -> int:
        most = self.destination.in_flight
        return (max(1, most // 2) if gate.is_halved else most) - self.in_flight

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

    def _lets(self, gate: Gate, lane: Lane) -> bool:
        return gate.lets(lane.account_code, self._credential(lane))

    def _credential(self, lane: Lane) -> str:
        return self.destination.credential_of(lane.account_code)
