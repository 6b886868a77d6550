"""What was really sent to a template: the newest payloads, without tests, so that a draft is tried with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.outbox.reading import Filter
from bridge.outbox.search import lowest_looked_at, newest
from bridge.outbox.tables import bodies, messages

MOST_BYTES = 4_000_000  # of all payloads of one look
LOOKS = 25  # each at 20,000 messages: a template that is seldom sent stands far behind a busy one
SPARE = 4  # messages looked at for each payload wanted: a request may be several, and some are tests

_table = messages.c


@dataclass(frozen=True)
class Payload:
    """What a caller sent, and the (first) message that came of it. `version`: None if the template refused it."""

    message_id: str
    user_id: str
    version: int | None
    received_at: datetime
    body: Mapping[str, Any]


def newest_payloads(connection: Connection, destination: str, template: str, most: int) -> list[Payload]:
    """Each request once, the newest first, of those that are not too far back. None is a test or a delete."""
    seqs = _seqs(connection, Filter(destination=destination, template=template, limit=most * SPARE))
    if not seqs:
        return []
    columns = (*_table["seq", "id", "user_id", "event_id", "version", "request_id", "received_at"],)
    query = (
        sa.select(*columns, sa.func.length(bodies.c.payload, type_=sa.Integer).label("size"))
        .join(bodies, bodies.c.seq == _table.seq)
        .where(_table.seq.in_(seqs), sa.not_(_table.is_test), _table.action != "delete")
        .order_by(_table.seq.desc())
    )
    chosen: dict[tuple[str, str, str], Any] = {}
    size = 0
    for row in connection.execute(query):
        size += row.size
        if len(chosen) == most or size > MOST_BYTES:
            break
        chosen[row.request_id, row.user_id or "", row.event_id or ""] = row
    its_bodies = sa.select(bodies.c.seq, bodies.c.payload).where(
        bodies.c.seq.in_([row.seq for row in chosen.values()])
    )
    payloads = {row.seq: row.payload for row in connection.execute(its_bodies)}
    return [
        Payload(row.id, row.user_id or "", row.version, row.received_at, body)
        for row in chosen.values()
        if isinstance(body := payloads.get(row.seq, {}).get("body"), Mapping)
    ]


def _seqs(connection: Connection, wanted: Filter) -> list[int]:
    found: list[int] = []
    for _ in range(LOOKS):
        low = lowest_looked_at(connection, wanted)
        found += newest(connection, replace(wanted, after=low))
        if not low or len(found) >= wanted.limit:
            break
        wanted = replace(wanted, before=low)
    return found
