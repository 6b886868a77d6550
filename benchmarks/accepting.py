"""Accepted a second, durable, against a bare Flask view under the same gunicorn; and what a request's parts cost."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from benchmarks import breakdown, databases, processes
from benchmarks.client import Client
from benchmarks.extent import Extent
from benchmarks.processes import Running
from benchmarks.report import Row, Table, compared
from benchmarks.webhook import request

GOAL = 0.5
MEASURE = "accepted, {} connections"


@dataclass
class _Server:
    """`cpu`: seconds of one request, everything in the web process counted."""

    web: Running
    clients: dict[int, Client]
    rates: dict[int, list[float]] = field(default_factory=dict)
    p99: dict[int, list[float]] = field(default_factory=dict)
    cpu: list[float] = field(default_factory=list)

    def measure(self, connections: int, extent: Extent) -> None:
        client, cpu, number = self.clients[connections], self.web.cpu(), self.clients[connections].number
        load = client.as_fast_as_answered(seconds=extent.seconds, warm_up=extent.warm_up)
        self.rates.setdefault(connections, []).append(load.rate)
        self.p99.setdefault(connections, []).append(load.percentile(0.99) * 1000)
        self.cpu.append((self.web.cpu() - cpu) / (client.number - number))


def measure(names: Sequence[str], extent: Extent) -> tuple[list[Row], list[Table]]:
    many = extent.connections
    with ExitStack() as stack:
        servers: dict[str, _Server] = {}
        environ = processes.for_web(stack.enter_context(databases.fresh("sqlite")))
        servers["bare"] = _server(stack.enter_context(processes.bare_web(environ)), many)
        for name in names:
            environ = processes.for_web(stack.enter_context(databases.fresh(name)))
            servers[name] = _server(stack.enter_context(processes.web(environ)), many)
        for connections in many:
            for _ in range(extent.rounds):
                for server in servers.values():
                    server.measure(connections, extent)
    bare = servers["bare"]
    rows = [
        compared(
            MEASURE.format(connections),
            name,
            servers[name].rates[connections],
            bare.rates[connections],
            GOAL,
            f", p99 {statistics.median(servers[name].p99[connections]):.0f} ms",
        )
        for connections in many
        for name in names
    ]
    cpu = {name: statistics.median(server.cpu) for name, server in servers.items()}
    return rows, [breakdown.table(names, extent.in_process, cpu)]


def _server(web: Running, many: Sequence[int]) -> _Server:
    # Numbers of their own for each client: a number that came before is a repeat.
    return _Server(web, {n: Client(web.port, request, connections=n, first=n * 10**9) for n in many})
