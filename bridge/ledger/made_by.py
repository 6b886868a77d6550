"""What one version of a template has put into calendars, read in pieces whose cost is bounded, whatever is stored."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.ledger.events import Place
from bridge.ledger.tables import calendar_events
from bridge.message import Json

EXAMINED = 4_096  # rows of one look

_table = calendar_events.c


@dataclass(frozen=True)
class Made:
    """One event as it stands in one account's calendars."""

    place: Place
    user_id: str | None
    content: Json


@dataclass(frozen=True)
class Look:
    """`after`: where the next one begins; None: there is no more."""

    found: tuple[Made, ...]
    after: Place | None


def look(connection: Connection, template: str, version: int, after: Place | None, most: int) -> Look:
    """At most so many behind a place, among the next rows in the order of places."""
    account_code, event_id = after or (_next_account(connection, ""), "")
    if account_code is None:
        return Look((), None)
    # Without what a create that died here wanted, which stands nowhere.
    is_its = sa.and_(_table.template == template, _table.version == version, _table.content.is_not(None))
    rows = connection.execute(
        sa.select(_table.rokt_event_id, is_its.label("is_its"))
        .where(_table.account_code == account_code, _table.rokt_event_id > event_id)
        .order_by(_table.rokt_event_id)
        .limit(EXAMINED)
    ).all()
    its = [row.rokt_event_id for row in rows if row.is_its][: most + 1]
    found = made(connection, [(account_code, one) for one in its[:most]], template, version)
    if len(its) > most:
        return Look(found, (account_code, its[most - 1]))
    if len(rows) == EXAMINED:
        return Look(found, (account_code, rows[-1].rokt_event_id))
    following = _next_account(connection, account_code)
    return Look(found, None if following is None else (following, ""))


def made(connection: Connection, places: Sequence[Place], template: str, version: int) -> tuple[Made, ...]:
    """Those of these places that this version made, as they stand now."""
    if not places:
        return ()
    query = sa.select(_table.account_code, _table.rokt_event_id, _table.user_id, _table.content).where(
        sa.tuple_(_table.account_code, _table.rokt_event_id).in_(places),
        _table.template == template,
        _table.version == version,
    )
    rows = connection.execute(query.order_by(_table.account_code, _table.rokt_event_id))
    return tuple(
        Made((row.account_code, row.rokt_event_id), row.user_id, row.content) for row in rows if row.content
    )


def count(
    connection: Connection, template: str, version: int, kept_beyond: datetime, seconds: float
) -> tuple[int, bool]:
    """How many of them are kept beyond a time, and whether that is all: counting ends when its time is up."""
    until = time.monotonic() + seconds
    total = 0
    account_code, event_id = _next_account(connection, ""), ""
    while account_code is not None:
        rows = (
            sa.select(
                _table.rokt_event_id,
                _table.template,
                _table.version,
                _table.keep_until,
                _table.content.is_not(None).label("stands"),
            )
            .where(_table.account_code == account_code, _table.rokt_event_id > event_id)
            .order_by(_table.rokt_event_id)
            .limit(EXAMINED)
            .subquery()
        )
        its = (
            rows.c.template == template,
            rows.c.version == version,
            rows.c.keep_until > kept_beyond,
            rows.c.stands,
        )
        last, size = sa.func.max(rows.c.rokt_event_id), sa.func.count()
        told = connection.execute(
            sa.select(last.label("last"), size.label("size"), size.filter(*its).label("its"))
        ).one()
        total += told.its
        if told.size < EXAMINED:
            account_code, event_id = _next_account(connection, account_code), ""
        elif time.monotonic() >= until:
            return total, False
        else:
            event_id = told.last
    return total, True


def _next_account(connection: Connection, account_code: str) -> str | None:
    found: str | None = connection.scalar(
        sa.select(sa.func.min(_table.account_code)).where(_table.account_code > account_code)
    )
    return found
