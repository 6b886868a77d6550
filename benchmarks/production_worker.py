"""The worker with production's logs: the stand-in's plain HTTP needs development, whose logs for people cost more."""

from __future__ import annotations

import sys

from bridge import cli, log

_set_up = log.set_up


def as_in_production(*, is_development: bool) -> None:
    _set_up(is_development=False)


if __name__ == "__main__":
    log.set_up = as_in_production
    sys.exit(cli.main(["worker"]))
