"""How often somebody tried to sign in to the console within a minute, counted for all web processes together."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import Column, Integer, String, Table
from sqlalchemy.engine import Connection

from bridge.database import UtcDateTime, metadata

WINDOW = timedelta(minutes=1)
MOST_TRIES = 10  # of one account or one address in that time
FORGOTTEN_AT_ONCE = 100

# `subject`: a keyed digest of an account's name or of an address.
sign_in_tries = Table(
    "sign_in_tries",
    metadata,
    Column("subject", String(64), primary_key=True),
    Column("since", UtcDateTime, nullable=False, index=True),  # its first try of this minute
    Column("tries", Integer, nullable=False),
)

_COUNT = (
    sa.text(
        "INSERT INTO sign_in_tries (subject, since, tries) VALUES (:subject, :now, 1) "
        "ON CONFLICT (subject) DO UPDATE SET "
        "tries = CASE WHEN sign_in_tries.since <= :begin THEN 1 ELSE sign_in_tries.tries + 1 END, "
        "since = CASE WHEN sign_in_tries.since <= :begin THEN excluded.since ELSE sign_in_tries.since END "
        "RETURNING since, tries"
    )
    .bindparams(sa.bindparam("now", type_=UtcDateTime), sa.bindparam("begin", type_=UtcDateTime))
    .columns(since=UtcDateTime, tries=Integer)
)


def count_try(connection: Connection, subjects: Iterable[str], now: datetime) -> int:
    """Count a try before it is looked at, so that many at once are not all the first. Returns the seconds to wait,
    0 for none.
    """
    wait = 0.0
    for subject in sorted(subjects):  # in one order, so that no two deadlock
        given = {"subject": subject, "now": now, "begin": now - WINDOW}
        row = connection.execute(_COUNT, given).one()
        if row.tries > MOST_TRIES:
            wait = max(wait, (row.since + WINDOW - now).total_seconds(), 1.0)
    _forget(connection, now - WINDOW)
    return math.ceil(wait)


def forgive(connection: Connection, subjects: Iterable[str]) -> None:
    """The last try was right, and is not counted."""
    for subject in sorted(subjects):
        connection.execute(
            sa.update(sign_in_tries)
            .where(sign_in_tries.c.subject == subject, sign_in_tries.c.tries > 0)
            .values(tries=sign_in_tries.c.tries - 1)
        )


def _forget(connection: Connection, before: datetime) -> None:
    """Last, and without waiting for rows that others count in."""
    old = (
        sa.select(sign_in_tries.c.subject)
        .where(sign_in_tries.c.since <= before)
        .order_by(sign_in_tries.c.since)
        .limit(FORGOTTEN_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    gone = list(connection.scalars(old))
    if gone:
        connection.execute(sa.delete(sign_in_tries).where(sign_in_tries.c.subject.in_(gone)))
