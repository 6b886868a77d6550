"""What each part of accepting one webhook costs: the real functions under stopwatches, in this process.

A request goes through the WSGI application as gunicorn hands it over, from as many threads. Each part's time is its
own, without what it calls: CPU time of the thread that ran it, and time that passed. What gunicorn itself costs is
the CPU of the real web process less what is measured here.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks import bare, databases, processes, webhook
from benchmarks.report import Table
from bridge.app import create_app
from bridge.calendar import templates
from bridge.calendar.engine import Template
from bridge.outbox import enqueue
from bridge.settings import Settings
from bridge.web import guard, hooks, intake
from bridge.web.parts import THREADS

FLASK = "Flask, routing, request id"
ACCEPTING = (
    (guard.Guard, "_key_of", "guard"),
    (hooks, "read_object", "JSON"),
    (hooks, "reparse", "parse and validate"),
    (templates.Templates, "published", "parse and validate"),
    (Template, "render", "render"),
    (intake, "ask", "ledger look-up"),
    (intake, "plan", "plan: accounts, event, expiry"),
    (intake, "_request", "repeat key, digest"),
    (enqueue.Inbox, "accept", "hand over to the writer, wait"),
    (enqueue.Inbox, "_next_group", "writer: wait for a group"),
    (enqueue.Inbox, "_store", "writer: begin, commit, wake"),
    (enqueue, "store", "writer: statements"),
    (intake, "_answer", "answer"),
)
LOGGED = "log line"
BARE = "bare"


@dataclass
class Spent:
    cpu: float = 0.0
    wall: float = 0.0


class Stopwatches:
    """Time by part, each part's own. Threads count for themselves and are added up at the end."""

    def __init__(self) -> None:
        self._all: list[dict[str, Spent]] = []
        self._here = threading.local()

    def around(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            spent, running = self._of_thread()
            running.append([0.0, 0.0])
            wall, cpu = time.perf_counter(), time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                cpu, wall = time.thread_time() - cpu, time.perf_counter() - wall
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

    def forget(self) -> None:
        for spent in self._all:
            spent.clear()

    def _of_thread(self) -> tuple[dict[str, Spent], list[list[float]]]:
        if not hasattr(self._here, "spent"):
            self._here.spent, self._here.running = defaultdict(Spent), []
            self._all.append(self._here.spent)
        return self._here.spent, self._here.running


def table(names: Sequence[str], requests: int, cpu: Mapping[str, float]) -> Table:
    """What each part of one request costs. `cpu`: of the real web processes, seconds for one request, by name."""
    costs: dict[str, dict[str, Spent]] = {}
    with databases.fresh("sqlite") as url:
        costs[BARE] = _measured_apart(url, requests, is_bare=True)
    for name in names:
        with databases.fresh(name) as url:
            costs[name] = _measured_apart(url, requests)
    parts = list(dict.fromkeys(part for spent in costs.values() for part in spent))
    lines = [["gunicorn, sockets, turns", *(_rest(cpu[name], spent) for name, spent in costs.items())]]
    lines += [[part, *(_shown(spent.get(part)) for spent in costs.values())] for part in parts]
    lines += [["all of the web process", *(f"{cpu[name] * 1e6:.0f}" for name in costs)]]
    head = ("microseconds of CPU for one request (passed)", *costs)
    return Table("What each part of accepting costs", head, lines, (NOTE,))


NOTE = (
    "CPU time of the thread at work, and in brackets the time that passed meanwhile: waiting for a turn, for a lock, "
    "for the commit that a request shares with those of its group. The first line is the CPU time of the real web "
    "process less the parts, which were measured without gunicorn."
)


def _rest(cpu: float, spent: Mapping[str, Spent]) -> str:
    return f"{(cpu - sum(one.cpu for one in spent.values())) * 1e6:.0f}"


def _shown(spent: Spent | None) -> str:
    return "" if spent is None else f"{spent.cpu * 1e6:.0f} ({spent.wall * 1e6:.0f})"


def _measured_apart(url: str, requests: int, *, is_bare: bool = False) -> dict[str, Spent]:
    """In a process of its own: only there is the interpreter set up as in the web process."""
    command = [sys.executable, "-m", "benchmarks.breakdown", str(requests), *([BARE] if is_bare else [])]
    done = subprocess.run(
        command, cwd=processes.ROOT, env=os.environ | processes.for_web(url), capture_output=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{command} failed: {done.stderr.decode()[-2000:]}")
    told: dict[str, list[float]] = json.loads(done.stdout)
    return {part: Spent(cpu, wall) for part, (cpu, wall) in told.items()}


def main(requests: int, *, is_bare: bool) -> None:
    """Prints each part's CPU and wall time for one request as JSON."""
    sys.setswitchinterval(0.0005)  # as gunicorn.conf.py has it
    watches = Stopwatches()
    if is_bare:
        _drive(watches.around(FLASK, bare.app.wsgi_app), watches, requests)
    else:
        app = create_app(Settings.from_env(os.environ, is_web=True))
        with _watched(watches):
            _drive(watches.around(FLASK, app.wsgi_app), watches, requests)
            parts = app.extensions["bridge"]
            parts.inbox.close()
            parts.database.close()
    spent = watches.total()
    order = [FLASK, *dict.fromkeys(part for _, _, part in ACCEPTING), LOGGED]
    print(json.dumps({p: [spent[p].cpu / requests, spent[p].wall / requests] for p in order if p in spent}))


@contextmanager
def _watched(watches: Stopwatches) -> Iterator[None]:
    watched = [*ACCEPTING, (intake.log, "info", LOGGED)]
    before = [getattr(owner, name) for owner, name, _ in watched]
    for (owner, name, part), function in zip(watched, before, strict=True):
        setattr(owner, name, watches.around(part, function))
    try:
        yield
    finally:
        for (owner, name, _), function in zip(watched, before, strict=True):
            setattr(owner, name, function)


def _drive(application: Callable[..., Any], watches: Stopwatches, requests: int) -> None:
    statuses: list[str] = []

    def send(number: int) -> None:
        raw = webhook.body(number)
        environ = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": webhook.PATH,
            "RAW_URI": webhook.PATH,
            "SCRIPT_NAME": "",
            "QUERY_STRING": "",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "127.0.0.1",
            "HTTP_AUTHORIZATION": f"Bearer {webhook.KEY}",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(raw)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(raw),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        answer = application(environ, lambda status, _headers, _exc=None: statuses.append(status))
        for _ in answer:
            pass
        answer.close()

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(send, range(10**9, 10**9 + requests // 10)))
        watches.forget()
        list(pool.map(send, range(requests)))
    if wrong := [status for status in statuses if not status.startswith("202")]:
        raise RuntimeError(f"{len(wrong)} answers were not 202, such as {wrong[0]}")


if __name__ == "__main__":
    main(int(sys.argv[1]), is_bare=BARE in sys.argv[2:])
