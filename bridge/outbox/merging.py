"""Where a destination merges, what waits behind a head leaves with it."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.message import Message
from bridge.outbox.claim import Due
from bridge.outbox.lines import read
from bridge.outbox.tables import waiting
from bridge.rows import each

_END = 2**62  # behind the last `seq` there will ever be


def with_their_lines(connection: Connection, heads: Sequence[Due], most: int) -> list[Due]:
    """Each head with what waits behind it, in order: at most `most` of a line.

    A line that others are just changing gives its head alone.
    """
    behind = _behind(connection, [head.message.line for head in heads], most - 1)
    return [
        one for head in heads for one in (head, *(Due(m, head.due_at) for m in behind[head.message.line]))
    ]


def _behind(connection: Connection, lines: Sequence[int], most: int) -> dict[int, list[Message]]:
    """What waits behind the heads of these lines, which are locked: at most `most` of each."""
    behind: dict[int, list[Message]] = {line: [] for line in lines}
    longer: list[int] = []
    if most > 0:
        longer += connection.scalars(_LONGER, {"lines": lines})
    # Whoever ends or moves what is behind a head holds the line's key.
    if longer and connection.dialect.name == "postgresql":
        longer = [row.key for row in connection.execute(_TRY_LOCK, {"keys": longer})]
    if longer:
        seqs = [row.seq for row in connection.execute(_REST, {"lines": longer, "most": most})]
        for message in read(connection, seqs):
            behind[message.line].append(message)
    return behind


def _longer_lines() -> sa.Select[tuple[int]]:
    line = each("lines")
    others = sa.select(waiting.c.seq).where(waiting.c.line == line, sa.not_(waiting.c.is_head))
    return sa.select(line).where(others.exists())


def _rest_of_lines() -> sa.Select[tuple[int]]:
    """By the index on lines, up to the last that is wanted of each, however many wait in it."""
    line, last = each("lines"), waiting.alias("last").c
    offset = sa.bindparam("most", type_=sa.Integer)
    until = sa.select(last.seq).where(last.line == line).order_by(last.seq).offset(offset).limit(1)
    wanted = waiting.c.seq <= sa.func.coalesce(until.correlate(line.table).scalar_subquery(), _END)
    free = (sa.not_(waiting.c.is_head), waiting.c.call_id.is_(None))
    return (
        sa.select(waiting.c.seq)
        .select_from(line.table.join(waiting, sa.and_(waiting.c.line == line, wanted)))
        .where(*free)
    )


_LONGER = _longer_lines()
_REST = _rest_of_lines()
_TRY_LOCK = sa.text(
    "SELECT key FROM unnest(CAST(:keys AS bigint[])) AS key WHERE pg_try_advisory_xact_lock(key)"
)
