"""Several web processes of one machine, as gunicorn runs them: each serves what all of them counted."""

from __future__ import annotations

import http.client
import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from processes import KEY, Processes, running_web, wait_for
from web.test_metrics import Page, read

from bridge.metrics.samples import key

PLACES = (Path("/dev/shm"), Path("/tmp"))
ALIVE = key("bridge_http_seconds_count", route="unguarded.healthz", status="2xx")
ASKED = 24  # connections; that all of them go to one of two processes happens once in ten million


@pytest.fixture
def bridge(sqlite_database_url: str) -> Iterator[Processes]:
    with running_web(sqlite_database_url, WEB_CONCURRENCY="2") as bridge:
        yield bridge


def get(bridge: Processes, path: str) -> str:
    with closing(http.client.HTTPConnection("127.0.0.1", bridge.port, timeout=20)) as connection:
        connection.request("GET", path, headers={"Authorization": f"Bearer {KEY}"})
        answer = connection.getresponse()
        assert answer.status == 200
        return answer.read().decode()


def pages(bridge: Processes) -> list[Page]:
    return [read(get(bridge, "/metrics")) for _ in range(6)]


def children(bridge: Processes) -> list[int]:
    assert bridge.web is not None
    path = Path(f"/proc/{bridge.web.pid}/task/{bridge.web.pid}/children")
    return [int(one) for one in path.read_text().split()]


def counters_of(bridge: Processes) -> list[Path]:
    assert bridge.web is not None
    return [found for place in PLACES for found in place.glob(f"bridge-metrics-{bridge.web.pid}-*")]


def test_they_are_counted_together_and_a_kill_takes_nothing_away(bridge: Processes) -> None:
    before = [page[ALIVE] for page in pages(bridge)]
    for _ in range(ASKED):
        get(bridge, "/healthz")
    after = [page[ALIVE] for page in pages(bridge)]
    killed = children(bridge)[0]
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: killed not in children(bridge) and len(children(bridge)) == 2)
    then = [page[ALIVE] for page in pages(bridge)]

    assert len(set(before)) == len(set(after)) == len(set(then)) == 1
    assert after[0] - before[0] == ASKED
    assert then == after


def test_nothing_is_left_when_they_stop(bridge: Processes) -> None:
    assert bridge.web is not None
    [place] = counters_of(bridge)
    assert all(one.stat().st_blocks * 512 >= one.stat().st_size for one in files_of(bridge, place))

    bridge.web.send_signal(signal.SIGTERM)
    bridge.web.wait(30)

    assert counters_of(bridge) == []


def files_of(bridge: Processes, place: Path) -> list[Path]:
    """Of the processes that serve."""
    found = [one for pid in children(bridge) for one in place.glob(f"*_{pid}.db")]
    assert len(found) == 4
    return found


def test_they_go_on_where_somebody_cleans_up_behind_them(bridge: Processes) -> None:
    """A machine may sweep old files away. What was counted goes with them; requests do not."""
    [place] = counters_of(bridge)
    for one in place.iterdir():
        one.unlink()
    place.rmdir()

    for _ in range(4):
        get(bridge, "/healthz")
        get(bridge, "/metrics")
    os.kill(children(bridge)[0], signal.SIGKILL)
    wait_for(lambda: place.exists() and len(children(bridge)) == 2)
    for _ in range(4):
        get(bridge, "/metrics")
