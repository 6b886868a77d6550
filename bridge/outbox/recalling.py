"""What a recall asks of the outbox: the last word on an event, and whether a newer one waits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.message import Message, State
from bridge.outbox.lines import message_of
from bridge.outbox.replay import payload_of
from bridge.outbox.tables import bodies, messages, waiting
from bridge.rows import among


def that_wait(connection: Connection, lines: Iterable[int]) -> set[int]:
    """The lines in which something has still to leave."""
    query = sa.select(waiting.c.line).where(among(waiting.c.line, "lines"), waiting.c.is_head)
    return set(connection.scalars(query, {"lines": list(lines)}))


def last_words(connection: Connection, lines: Iterable[int]) -> Mapping[int, tuple[Message, dict[str, Any]]]:
    """Of each line the last that was delivered, and what its caller sent; nothing where that is forgotten."""
    table = messages.c
    found = {}
    for line in lines:
        row = connection.execute(
            sa.select(messages, bodies.c.request, bodies.c.payload)
            .join(bodies, bodies.c.seq == table.seq)
            # By the line: SQLite would read all that was ever delivered, by the index on states.
            .where(
                table.line == line, sa.func.coalesce(table.state, "").in_((State.DELIVERED, State.SKIPPED))
            )
            .order_by(table.seq.desc())
            .limit(1)
        ).first()
        if row is not None:
            found[line] = message_of(row, row.request), payload_of(row)
    return found
