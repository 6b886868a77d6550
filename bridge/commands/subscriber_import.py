"""`subscribers import`: what Braze holds already, from an export of its users."""

from __future__ import annotations

import argparse
import io
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from bridge.commands.asking import read_settings
from bridge.errors import InvalidValue

IMPORTED_AT_ONCE = 500  # subscriptions of one transaction
FAULTS_SHOWN = 20
FATES_TOLD = {  # of a subscription that is imported: what a person has to look at
    "of_another_user": "a subscription of this user is another user's here; what Braze holds of it is noted",
    "of_a_second_choice": (
        "a subscription of this user belongs here to the profile of an e-mail address or of an alias; "
        "it is left as it is"
    ),
}


def import_subscribers(given: argparse.Namespace) -> int:
    from bridge import schema
    from bridge.database import UNAVAILABLE, Database

    settings = read_settings()
    if settings.subscribers.rule.subscriber_id != "external_id":
        raise InvalidValue("ROKT_SUBSCRIBER_ID is not external_id, by which an export names its users")
    database = Database(settings.database_url)
    try:
        with database.read() as connection:
            if not schema.is_current(connection):
                raise InvalidValue(schema.OLDER)
        if given.file == "-":
            stdin = io.TextIOWrapper(sys.stdin.buffer, "utf-8", errors="surrogateescape", newline="")
            return _import(database, stdin)
        with Path(given.file).open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            return _import(database, file)
    except OSError as wrong:
        raise InvalidValue(f"{given.file} cannot be read: {wrong.strerror}") from wrong
    except UNAVAILABLE as down:
        reason = type(down.__cause__ or down).__name__
        raise InvalidValue(
            f"The database is not reachable ({reason}). Once it is, import the same again: "
            "what was taken in before is left as it is."
        ) from down
    finally:
        database.close()


def _import(database: Any, file: TextIO) -> int:
    """Piece by piece, each in a transaction of its own: whoever waits for one waits for milliseconds."""
    from bridge.ledger.subscriber_import import import_known
    from bridge.outbox.tables import key_of, lock_keys
    from bridge.subscribers.facts import key_of_subscription

    tally: Counter[str] = Counter()
    for piece in _exported(file, tally):
        with database.write() as connection:
            keys = {key_of_subscription(one.given_id) for _, one in piece}
            now = lock_keys(connection, [key_of("subscription", key) for key in keys])
            fates = import_known(connection, [one for _, one in piece], now)
        tally.update(fates)
        told = {(line, fate) for (line, _), fate in zip(piece, fates, strict=True) if fate in FATES_TOLD}
        for line, fate in sorted(told):
            _tell(tally, line, FATES_TOLD[fate])
    if (untold := tally["wrong"] - FAULTS_SHOWN) > 0:
        print(f"… and {untold:,} more.", file=sys.stderr)
    known = tally["found"] - tally["imported"]
    print(
        f"{tally['users']:,} users read: {tally['subscribed']:,} with subscriptions, {tally['wrong']:,} wrong.\n"
        f"{tally['found']:,} subscriptions found: {tally['imported']:,} imported, {known:,} known before, "
        f"{tally['filled']:,} of them with what Braze holds of them."
    )
    return 1 if tally["wrong"] else 0


def _exported(file: TextIO, tally: Counter[str]) -> Iterator[list[tuple[int, Any]]]:
    """The subscriptions of an export with their lines, in pieces; what is wrong is told and counted."""
    from bridge.subscribers.export import pair, read_user
    from bridge.subscribers.export_file import records

    piece: list[tuple[int, Any]] = []
    for line, record in records(file):
        tally["users"] += 1
        try:
            user = read_user(record)
            found = pair(user) if user else []
        except InvalidValue as wrong:
            _tell(tally, line, str(wrong))
            continue
        tally["subscribed"] += bool(found)
        tally["found"] += len(found)
        piece += [(line, one) for one in found]
        if len(piece) >= IMPORTED_AT_ONCE:
            yield piece
            piece = []
    if piece:
        yield piece


def _tell(tally: Counter[str], line: int, wrong: str) -> None:
    tally["wrong"] += 1
    if tally["wrong"] <= FAULTS_SHOWN:
        print(f"Line {line}: {wrong}", file=sys.stderr)
