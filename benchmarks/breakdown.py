"""What each part of accepting one webhook costs: the real functions under stopwatches.

A request goes through the WSGI application as gunicorn hands it over, from greenlets. What gunicorn itself costs is
the CPU time of the real web process less what is measured here.
"""

from __future__ import annotations

if __name__ == "__main__":
    from gevent import monkey

    monkey.patch_all()  # as gunicorn.conf.py does

import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gevent.pool import Pool

from benchmarks import bare, databases, processes, stopwatch, webhook
from benchmarks.report import Table
from benchmarks.stopwatch import Stopwatches
from bridge import groups, log
from bridge.app import create_app
from bridge.calendar import templates
from bridge.calendar.engine import Template
from bridge.outbox import enqueue
from bridge.settings import Settings
from bridge.web import answered, guard, hooks, intake

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
    (groups.Groups, "_next", "writer, look-up: wait for a group"),
    (enqueue.Inbox, "_store", "writer: begin, commit, wake"),
    (enqueue, "store", "writer: statements"),
    (intake, "answer", "answer"),
)
LOGGED = "log line"
AT_A_TIME = 64  # connections of the real measure
BARE = "bare"
NOTE = (
    "CPU time of the greenlet at work, and in brackets the time that passed meanwhile: waiting for its turn, for the "
    "commit that a request shares with its group. The first line is the CPU time of the real web process "
    "less the parts, which were measured without gunicorn."
)


def table(names: Sequence[str], requests: int, cpu: Mapping[str, float]) -> Table:
    """What each part of one request costs. `cpu`: of the real web processes, seconds for one request, by name."""
    costs = {}
    with databases.fresh("sqlite") as url:
        costs[BARE] = stopwatch.measured_apart(__name__, [requests, BARE], processes.for_web(url))
    for name in names:
        with databases.fresh(name) as url:
            costs[name] = stopwatch.measured_apart(__name__, [requests], processes.for_web(url))
    head = ("accepting one request: microseconds of CPU (passed)", *costs)
    lines = stopwatch.lines("gunicorn, sockets, turns", costs, cpu)
    return Table("What each part of accepting costs", head, lines, (NOTE,))


def main(requests: int, *, is_bare: bool) -> None:
    watches = Stopwatches(stopwatch.of_greenlets())
    with stopwatch.as_in_production():
        if is_bare:
            _drive(watches.around(FLASK, bare.app.wsgi_app), watches, requests)
        else:
            log.set_up(is_development=False)  # before a logger is taken hold of
            with watches.on([*ACCEPTING, (answered.log, "info", LOGGED)]):
                app = create_app(Settings.from_env(os.environ, is_web=True))
                _drive(watches.around(FLASK, app.wsgi_app), watches, requests)
                parts = app.extensions["bridge"]
                parts.inbox.close()
                parts.addressees.close()
                parts.database.close()
    print(watches.told([FLASK, *dict.fromkeys(part for _, _, part in ACCEPTING), LOGGED], requests))


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

    pool = Pool(AT_A_TIME)
    pool.map(send, range(10**9, 10**9 + requests // 10))
    watches.forget()
    pool.map(send, range(requests))
    if wrong := [status for status in statuses if not status.startswith("202")]:
        raise RuntimeError(f"{len(wrong)} answers were not 202, such as {wrong[0]}")


if __name__ == "__main__":
    main(int(sys.argv[1]), is_bare=BARE in sys.argv[2:])
