"""The worker with production's logs that begins to forget at once, and not after a minute."""

from __future__ import annotations

import sys

from benchmarks import production_worker
from bridge import cli, log, worker

if __name__ == "__main__":
    worker.FORGET_EVERY = 0.0
    log.set_up = production_worker.as_in_production
    sys.exit(cli.main(["worker"]))
