"""Calls beside the greenlets of the web process: what waits does so side by side, what computes in turn."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
WITHIN = 60  # seconds; whoever waits for a lock that nobody gives back does so for ever

AT_ONCE = """
    from gevent import monkey
    monkey.patch_all()
    import importlib, json, sys
    import gevent
    from bridge.web.server import InTurn, aside
    in_turn = InTurn()

    sleep = monkey.get_original("time", "sleep")
    running, most = set(), {}

    def stay(way, number):
        running.add(number)
        most[way] = max(most.get(way, 0), len(running))
        sleep(0.02)
        running.discard(number)

    def all_at_once(*calls):
        gevent.joinall([gevent.spawn(*call) for call in calls], raise_error=True)

    for name, way in {"aside": aside, "in_turn": in_turn}.items():
        all_at_once(*((way, stay, name, number) for number in range(10)))
    sys.path.insert(0, sys.argv[1])
    for number in range(40):
        all_at_once(*[(in_turn, importlib.import_module, f"slow_{number}")] * 10)
    print(json.dumps(most))
"""


def test_threads_that_import_the_same_are_none_that_wait_for_each_other(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"slow_{number}.py").write_text("TOTAL = sum(i * i for i in range(60_000))\n")

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(AT_ONCE), str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    most = json.loads(done.stdout)
    assert most["in_turn"] == 1
    assert most["aside"] > 1
