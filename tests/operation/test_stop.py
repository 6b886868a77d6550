"""A deploy stops what runs: with everything under way that may last, it ends in time, and nothing is left behind."""

from __future__ import annotations

import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa
from outbox.steps import eventually
from processes import Processes, count, rows, running_bridge
from servers import Line, http, scripted_server
from web.test_server import post

from bridge.outbox.tables import calls, messages, waiting

IN_TIME = 25  # seconds; Heroku kills five later


def drips(line: Line) -> None:
    """A token at once; an answer to an event that would take an hour."""
    while (request := line.request()) is not None:
        if request.target == "/oauth2/token":
            line.send(http(200, b'{"access_token": "t", "token_type": "Bearer", "expires_in": 300}'))
        else:
            line.drip(http(202), 100.0)


def test_web_and_worker_stop_in_time_with_calls_under_way_that_do_not_end(database_url: str) -> None:
    with (
        scripted_server(drips) as rokt,
        running_bridge(database_url, rokt.url) as bridge,
        ThreadPoolExecutor(4) as pool,
    ):
        waits = pool.submit(post, bridge, "u-1", Prefer="wait=25")
        sent = [post(bridge, f"u-{number}") for number in range(2, 5)]
        eventually(lambda: len([one for one in rokt.received if one.target != "/oauth2/token"]) == 4)
        stop_all(bridge)

        assert sent == [202] * 3
        assert waits.result(IN_TIME) == 202  # it is kept; what becomes of it is not waited for any more
        assert bridge.workers[0].poll() is None  # whose calls last ten seconds
        assert [ended(one) for one in (bridge.web, *bridge.workers)] == [0, 0]
        assert count(database_url, calls) == 0
        states = dict(
            rows(database_url, sa.select(messages.c.state, sa.func.count()).group_by("state")).copy()
        )
        assert states == {"retrying": 4}
        assert count(database_url, waiting) == 4


def stop_all(bridge: Processes) -> None:
    for process in (bridge.web, *bridge.workers):
        assert process is not None
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)  # whoever stops it may be impatient


def ended(process: subprocess.Popen[bytes] | None) -> int:
    assert process is not None
    return process.wait(IN_TIME)
