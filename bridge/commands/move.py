"""`move`: from a SQLite file to PostgreSQL, with everything that stands in it."""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import Any

from bridge.errors import InvalidValue, SettingsInvalid

TOLD_EVERY = 5.0  # seconds
WORDS = (
    "move everything from a SQLite file to an empty PostgreSQL database; web and workers have to be stopped"
)


def mount(commands: Any) -> None:
    its = commands.add_parser(
        "move", help=WORDS, description=f"{WORDS}. Whichever of the two is left out is DATABASE_URL."
    )
    its.add_argument("--from", dest="source", metavar="URL", help="sqlite:///var/bridge.db")
    its.add_argument("--to", dest="target", metavar="URL", help="postgresql://user@host/database")
    its.set_defaults(command=_move)


def _move(given: argparse.Namespace) -> int:
    from bridge.moving import move

    if not given.source and not given.target:
        raise InvalidValue("Say where to, with --to; or with --from, if DATABASE_URL names the new database.")
    source, target = _address("--from", given.source), _address("--to", given.target)
    if not source.startswith("sqlite:"):
        raise InvalidValue(f"{_name('--from', given.source)} is PostgreSQL: a move begins at a SQLite file.")
    if target.startswith("sqlite:"):
        raise InvalidValue(f"{_name('--to', given.target)} is SQLite: a move ends in PostgreSQL.")
    began = time.monotonic()
    try:
        moved = move(source, target, _Progress().tell)
    except KeyboardInterrupt:
        print("\nBroken off. Run the same command again: it begins anew.", file=sys.stderr)
        return 1
    if moved.before:
        print(f"This file was moved there already, at {moved.before:%Y-%m-%d %H:%M:%S} UTC.")
        return 0
    for name, count in moved.rows.items():
        if count:
            print(f"{name:<22}{count:>13,}")
    for place, times in moved.nuls.items():
        print(
            f"{place}: {times:,} values held a NUL, which PostgreSQL cannot; it is \N{REPLACEMENT CHARACTER} there."
        )
    print(
        f"{sum(moved.rows.values()):,} rows moved and compared in {time.monotonic() - began:,.0f} s. "
        "The file is closed: no web and no worker takes it any more.\n"
        "Now set DATABASE_URL to the new database, and start worker and web."
    )
    return 0


def _name(option: str, given: str | None) -> str:
    return option if given else "DATABASE_URL"


def _address(option: str, given: str | None) -> str:
    """As the settings read one."""
    from bridge.settings import Settings

    environ = {name: os.environ[name] for name in ("DATABASE_URL", "DYNO") if name in os.environ}
    try:
        url: str = Settings.from_env(environ | ({"DATABASE_URL": given} if given else {})).database_url
    except SettingsInvalid as wrong:
        raise InvalidValue("\n".join(wrong.faults).replace("DATABASE_URL", _name(option, given), 1)) from None
    return url


class _Progress:
    """A line on standard error every few seconds."""

    def __init__(self) -> None:
        self._told_at = time.monotonic()

    def tell(self, table: str, done: int, total: int) -> None:
        if time.monotonic() - self._told_at >= TOLD_EVERY:
            self._told_at = time.monotonic()
            print(f"{table}: {done:,} of {total:,}", file=sys.stderr)
