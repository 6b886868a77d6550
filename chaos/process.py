"""python -m chaos.process web ARGUMENTS… | forks: the bridge's own processes, as chaos starts them.

`web` is gunicorn with these arguments; `forks` forks a worker for each line that it reads.
"""

from __future__ import annotations

import sys

if sys.argv[1:2] == ["web"]:
    from gevent import monkey

    monkey.patch_all()  # as gunicorn.conf.py does, which comes too late for what is held on to here

import os
import select
import signal
from collections.abc import Sequence
from pathlib import Path

from chaos.points import OF_WEB, OF_WORKER, Fuse
from chaos.sabotage import SABOTAGES
from chaos.seams import install

LOOKS_EVERY = 0.05  # seconds, for workers that ended


def main(arguments: Sequence[str]) -> None:
    kind, *rest = arguments
    environ = os.environ
    points = OF_WEB if kind == "web" else OF_WORKER
    seed = f"{kind}-{environ['CHAOS_SEED']}"
    journal, armed = int(environ["CHAOS_JOURNAL"]), Path(environ["CHAOS_ARMED"])
    fuse = Fuse(points, seed, journal, armed)
    if broken := environ.get("CHAOS_BREAK"):
        SABOTAGES[broken]()
    install(fuse, float(environ["CHAOS_COMMIT_MS"]) / 1000)
    if kind == "web":
        _web(rest)
    else:
        _forks(fuse)


def _web(arguments: Sequence[str]) -> None:
    from gunicorn.app.wsgiapp import run

    sys.argv = ["gunicorn", *arguments]
    run()


def _forks(fuse: Fuse) -> None:
    """Starting Python and importing the bridge takes a second; a fork of it takes none."""
    import bridge.destinations
    import bridge.log
    import bridge.schema
    import bridge.worker  # noqa: F401  as the command `worker` does
    from bridge.cli import main as command

    running: set[int] = set()
    fuse.tell("ready")
    while True:
        ready, _, _ = select.select([0], [], [], LOOKS_EVERY)
        if ready:
            if not os.read(0, 1):
                break
            if not (pid := os.fork()):
                os.setsid()
                os._exit(command(["worker"]))
            running.add(pid)
            fuse.tell("forked", child=pid)
        for pid in tuple(running):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                running.discard(pid)
                fuse.tell("ended", child=pid, code=os.waitstatus_to_exitcode(status))
    for pid in running:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1:])
