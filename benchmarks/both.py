"""Accepted and delivered at once, web and worker on this machine, against Node-RED with nothing durable."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import databases, processes
from benchmarks.client import Client
from benchmarks.extent import Extent
from benchmarks.processes import Running, seen
from benchmarks.report import Row, Table, compared
from benchmarks.webhook import KEY, request
from bridge.local import free_port

GOAL = 0.8
MEASURE = "accepted and delivered at once"
FLOW = Path(__file__).resolve().parent / "node_red"
INSTALLED = processes.ROOT / "var" / "node-red"
RED = INSTALLED / "node_modules" / "node-red" / "red.js"
INSTALLS_WITHIN = 300.0  # seconds
ARRIVES_WITHIN = 60.0  # seconds
RED_NAME = "node-red"
WARM_UP = 3000  # messages until Node's compiler has done its work


@dataclass
class Contender:
    client: Client
    rokt: Running
    rates: list[float]

    def measure(self, count: int) -> None:
        """From the first request to the last arrival at the upstream."""
        before = seen(self.rokt).count
        began = time.monotonic()
        self.client.as_fast_as_answered(count=count)
        arrived: list[float] = []

        def all_came() -> bool:
            came = seen(self.rokt)
            arrived.extend(at for _, at in came.arrivals)
            return came.count - before >= count

        databases.until(all_came, ARRIVES_WITHIN, "not everything arrived")
        self.rates.append(count / (max(arrived) - began))


def measure(names: Sequence[str], extent: Extent) -> tuple[list[Row], list[Table]]:
    missing = _install()
    with ExitStack() as stack:
        contenders: dict[str, Contender] = {}
        for name in names:
            url = stack.enter_context(databases.fresh(name))
            rokt = stack.enter_context(processes.stand_in())
            web = stack.enter_context(processes.web(processes.for_web(url)))
            stack.enter_context(processes.worker(processes.for_worker(url, rokt.url)))
            contenders[name] = Contender(Client(web.port, request), rokt, [])
        if not missing:
            rokt = stack.enter_context(processes.stand_in())
            red = stack.enter_context(_node_red(rokt))
            contenders[RED_NAME] = Contender(Client(red.port, request), rokt, [])
        for name, contender in contenders.items():
            contender.measure(WARM_UP if name == RED_NAME else extent.both // 10)
            contender.rates.clear()
        for _ in range(extent.rounds):
            for contender in contenders.values():
                contender.measure(extent.both)
    if missing:
        told = f"not measured: {missing}"
        return [Row(MEASURE, name, f"{_middle(contenders[name]):.0f}/s", told) for name in names], []
    theirs = contenders[RED_NAME].rates
    return [compared(MEASURE, name, contenders[name].rates, theirs, GOAL) for name in names], []


def _middle(contender: Contender) -> float:
    return sorted(contender.rates)[len(contender.rates) // 2]


def _install() -> str:
    """Why there is no Node-RED, "" if there is one; it stays in var/ for the next time."""
    if not shutil.which("node") or not shutil.which("npm"):
        return "there is no node and npm"
    if not RED.exists():
        INSTALLED.mkdir(parents=True, exist_ok=True)
        shutil.copy(FLOW / "package.json", INSTALLED)
        command = ["npm", "install", "--no-audit", "--no-fund", "--silent", "--prefix", str(INSTALLED)]
        print(f"installing Node-RED into {INSTALLED} ...", file=sys.stderr)
        try:
            subprocess.run(command, cwd=INSTALLED, check=False, capture_output=True, timeout=INSTALLS_WITHIN)
        except subprocess.TimeoutExpired:
            return f"`{' '.join(command)}` took too long"
    return "" if RED.exists() else f"node-red is not installed; `{' '.join(command)}` failed"


@contextmanager
def _node_red(rokt: Running) -> Iterator[Running]:
    port = free_port()
    with tempfile.TemporaryDirectory() as home:
        flow = shutil.copy(FLOW / "flow.json", home)
        command = ["node", str(RED), "--userDir", home, "--settings", str(FLOW / "settings.js")]
        environ = {"PORT": str(port), "FLOW_FILE": str(flow), "ROKT_URL": rokt.url, "BENCH_KEY": KEY}
        with processes.started(command, environ, port=port) as running:
            processes.await_answer(f"{running.url}/healthz")
            yield running
