"""A template's latest messages: looked for among the newest alone, as no index goes by template."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.outbox.reading import Filter
from bridge.outbox.search import newest
from bridge.outbox.tables import messages

MOST_LOOKED_AT = 2_000

_table = messages.c


@dataclass(frozen=True)
class Seen:
    """One message of a template."""

    id: str
    user_id: str
    state: str
    received_at: datetime


def newest_of(
    connection: Connection, destination: str, template: str, limit: int, most: int = MOST_LOOKED_AT
) -> list[Seen]:
    """The newest first, of those among the newest `most` of the destination."""
    seqs = newest(connection, Filter(destination=destination, limit=most))[:most]
    query = sa.select(*_COLUMNS).where(_table.seq.in_(seqs), _table.template == template)
    rows = connection.execute(query.order_by(_table.seq.desc()).limit(limit)) if seqs else ()
    return [_seen(row) for row in rows]


def newest_of_user(connection: Connection, user_id: str, template: str | None) -> Seen | None:
    """`template` None: whichever template made it."""
    seqs = newest(connection, Filter(user_id=user_id, template=template, limit=MOST_LOOKED_AT))
    query = sa.select(*_COLUMNS).where(_table.seq.in_(seqs), _table.template.is_not(None))
    row = connection.execute(query.order_by(_table.seq.desc()).limit(1)).first() if seqs else None
    return _seen(row) if row is not None else None


_COLUMNS = (_table.id, _table.user_id, _table.state, _table.received_at)


def _seen(row: sa.Row[*tuple[object, ...]]) -> Seen:
    its_id, user_id, state, received_at = row
    assert isinstance(received_at, datetime)
    return Seen(str(its_id), str(user_id or ""), str(state), received_at)
