"""Where a destination merges, what waits behind a head leaves with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.message import Message
from bridge.outbox.claim import Due
from bridge.outbox.lines import read
from bridge.outbox.tables import waiting
from bridge.rows import each


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
    for message in read(connection, _rest(connection, longer, most)):
        behind[message.line].append(message)
    return behind


def _rest(connection: Connection, lines: Sequence[int], most: int) -> list[int]:
    if connection.dialect.name == "postgresql":
        rows = connection.execute(_REST_OF_EACH, {"lines": lines, "most": most}).all() if lines else []
    else:
        rows = [row for line in lines for row in connection.execute(_REST, {"line": line, "most": most})]
    # Of a line whose head is free nothing is in flight: what has a call's id is held, and with it what is behind.
    held: dict[int, int] = {}
    for row in rows:
        if row.call_id is not None:
            held.setdefault(row.line, row.seq)
    return [row.seq for row in rows if row.seq < held.get(row.line, row.seq + 1)]


def _rest_of(line: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """By the index on lines, in its order: while statistics say that nothing waits, to read all seems as good."""
    return (
        sa.select(waiting.c.seq, waiting.c.line, waiting.c.call_id)
        .where(waiting.c.line == line, sa.not_(waiting.c.is_head))
        .order_by(waiting.c.line, waiting.c.seq)
    )


def _longer_lines() -> sa.Select[Any]:
    line = each("lines")
    rest = _rest_of(line).with_only_columns(waiting.c.seq)
    first = rest.limit(1).correlate(line.table).scalar_subquery()
    return sa.select(line).where(first.is_not(None))


def _rest_of_each_line() -> sa.Select[Any]:
    line = each("lines")
    rest = _rest_of(line).limit(sa.bindparam("most")).correlate(line.table).lateral("rest")
    return sa.select(rest.c.seq, rest.c.line, rest.c.call_id).select_from(line.table.join(rest, sa.true()))


_LONGER = _longer_lines()
_REST = _rest_of(sa.bindparam("line", type_=sa.BigInteger)).limit(sa.bindparam("most"))
_REST_OF_EACH = _rest_of_each_line()
_TRY_LOCK = sa.text(
    "SELECT key FROM unnest(CAST(:keys AS bigint[])) AS key WHERE pg_try_advisory_xact_lock(key)"
)
