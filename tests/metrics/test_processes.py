"""Several web processes of one machine, as gunicorn runs them: each serves what all of them counted."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from processes import KEY, Processes, running_web, wait_for
from web.test_metrics import Page, read

from bridge.metrics import place
from bridge.metrics.samples import key

PLACES = (Path("/dev/shm"), Path("/tmp"))
ALIVE = key("bridge_http_seconds_count", route="unguarded.healthz", status="2xx")
ASKED = 24  # connections; that all of them go to one of two processes happens once in ten million


@pytest.fixture
def bridge(sqlite_database_url: str) -> Iterator[Processes]:
    with running_web(sqlite_database_url, WEB_CONCURRENCY="2") as bridge:
        wait_for(lambda: are_ready(bridge))
        yield bridge


def get(bridge: Processes, path: str) -> str:
    """Asked again where the connection was still given to a process that has gone."""
    while True:
        with closing(http.client.HTTPConnection("127.0.0.1", bridge.port, timeout=20)) as connection:
            try:
                connection.request("GET", path, headers={"Authorization": f"Bearer {KEY}"})
                answer = connection.getresponse()
            except (ConnectionError, http.client.RemoteDisconnected):
                continue
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


def are_ready(bridge: Processes) -> bool:
    """Each process has files of its own, with all of their room."""
    files = [
        one
        for place in counters_of(bridge)
        for pid in children(bridge)
        for one in place.glob(f"*_{pid}.db")
        if one.stat().st_blocks * 512 >= one.stat().st_size > 0
    ]
    return len(files) == 4


def test_they_are_counted_together_and_a_kill_takes_nothing_away(bridge: Processes) -> None:
    before = [page[ALIVE] for page in pages(bridge)]
    for _ in range(ASKED):
        get(bridge, "/healthz")
    after = [page[ALIVE] for page in pages(bridge)]
    killed = children(bridge)[0]
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: killed not in children(bridge) and are_ready(bridge))
    then = [page[ALIVE] for page in pages(bridge)]

    assert len(set(before)) == len(set(after)) == len(set(then)) == 1
    assert after[0] - before[0] == ASKED
    assert then == after


def test_nothing_is_left_when_they_stop(bridge: Processes) -> None:
    assert bridge.web is not None
    bridge.web.send_signal(signal.SIGTERM)
    bridge.web.wait(30)

    assert counters_of(bridge) == []


def test_what_a_killed_one_left_is_swept_away_at_the_next_start(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    for pid in (gone.pid, os.getpid()):
        (tmp_path / f"bridge-metrics-{pid}-x").mkdir()
        (tmp_path / f"bridge-metrics-{pid}-x" / "counter_1.db").touch()
    (tmp_path / "bridge-metrics-of-somebody").mkdir()

    place.sweep(tmp_path)

    left = {one.name for one in tmp_path.iterdir()}
    assert left == {f"bridge-metrics-{os.getpid()}-x", "bridge-metrics-of-somebody"}


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
    wait_for(lambda: len(list(place.glob("*.db"))) == 2)
    for _ in range(4):
        get(bridge, "/metrics")
