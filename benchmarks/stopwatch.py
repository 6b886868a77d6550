"""Stopwatches around real functions: what each part of a process costs, by CPU time and by time that passes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from typing import Any

from greenlet import getcurrent, greenlet, settrace

from benchmarks import processes

# An object, the name of its function, the part that this function is counted for.
Watched = tuple[object, str, str]


@dataclass
class Spent:
    cpu: float = 0.0
    wall: float = 0.0


class Stopwatches:
    """Time by part, each part's own. Threads count for themselves and are added up at the end.

    `cpu`: the CPU time of whoever runs, in seconds.
    """

    def __init__(self, cpu: Callable[[], float] = time.thread_time) -> None:
        self._cpu = cpu
        self._all: list[dict[str, Spent]] = []
        self._here = threading.local()

    def around(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            spent, running = self._of_thread()
            running.append([0.0, 0.0])
            wall, cpu = time.perf_counter(), self._cpu()
            try:
                return function(*args, **kwargs)
            finally:
                cpu, wall = self._cpu() - cpu, time.perf_counter() - wall
                inner_cpu, inner_wall = running.pop()
                spent[part].cpu += cpu - inner_cpu
                spent[part].wall += wall - inner_wall
                if running:
                    running[-1][0] += cpu
                    running[-1][1] += wall

        return timed

    def total(self) -> dict[str, Spent]:
        added: dict[str, Spent] = defaultdict(Spent)
        for spent in self._all:
            for part, one in spent.items():
                added[part].cpu += one.cpu
                added[part].wall += one.wall
        return added

    @contextmanager
    def on(self, watched: Sequence[Watched]) -> Iterator[None]:
        """Put stopwatches around functions, and take them off again."""
        before = [getattr(owner, name) for owner, name, _ in watched]
        for (owner, name, part), function in zip(watched, before, strict=True):
            setattr(owner, name, self.around(part, function))
        try:
            yield
        finally:
            for (owner, name, _), function in zip(watched, before, strict=True):
                setattr(owner, name, function)

    def told(self, parts: Sequence[str], count: int) -> str:
        """As JSON, for one of `count`, the parts in this order."""
        spent = self.total()
        one = {part: (spent[part].cpu / count, spent[part].wall / count) for part in parts if part in spent}
        return json.dumps(one)

    def forget(self) -> None:
        for spent in self._all:
            spent.clear()

    def _of_thread(self) -> tuple[dict[str, Spent], list[list[float]]]:
        if not hasattr(self._here, "spent"):
            self._here.spent, self._here.running = defaultdict(Spent), []
            self._all.append(self._here.spent)
        return self._here.spent, self._here.running


def of_greenlets() -> Callable[[], float]:
    """The CPU time of the greenlet that runs: that of its thread without what others had of it."""
    spent: dict[int, float] = defaultdict(float)
    last = time.thread_time()

    def switched(_event: str, pair: tuple[greenlet, greenlet]) -> None:
        nonlocal last
        now = time.thread_time()
        spent[id(pair[0])] += now - last
        last = now

    def cpu() -> float:
        return spent[id(getcurrent())] + time.thread_time() - last

    settrace(switched)
    return cpu


@contextmanager
def as_in_production() -> Iterator[None]:
    """The interpreter as the worker sets it up; logs are made and thrown away."""
    sys.setswitchinterval(0.0005)
    with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):
        yield


def measured_apart(module: str, arguments: Sequence[object], environ: Mapping[str, str]) -> dict[str, Spent]:
    """Run `python -m module`, which tells its parts, as nothing else may run in its process."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(
        command, cwd=processes.ROOT, env=os.environ | environ, capture_output=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{command} failed: {done.stderr.decode()[-2000:]}")
    told: dict[str, list[float]] = json.loads(done.stdout)
    return {part: Spent(cpu, wall) for part, (cpu, wall) in told.items()}


def lines(rest: str, costs: Mapping[str, Mapping[str, Spent]], cpu: Mapping[str, float]) -> list[list[str]]:
    """A line for each part, in microseconds. `rest`: what is left of the real process's `cpu`."""
    parts = list(dict.fromkeys(part for spent in costs.values() for part in spent))
    left = {name: cpu[name] - sum(one.cpu for one in spent.values()) for name, spent in costs.items()}
    return [
        [rest, *(f"{left[name] * 1e6:.0f}" for name in costs)],
        *([part, *(_shown(spent.get(part)) for spent in costs.values())] for part in parts),
        ["the whole process", *(f"{cpu[name] * 1e6:.0f}" for name in costs)],
    ]


def _shown(spent: Spent | None) -> str:
    return "" if spent is None else f"{spent.cpu * 1e6:.0f} ({spent.wall * 1e6:.0f})"
