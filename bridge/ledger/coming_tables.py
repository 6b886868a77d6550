"""What the ledger's calendar events come to, by day: for people who want to know what is coming."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, Table, Text

from bridge.database import UtcDateTime, Words, metadata

# The events of one day that are one to those who made them: they share the caller's event id. Where a template has
# too many of these they are one for each day, with a blank id. Written anew whenever the ledger was counted.
coming = Table(
    "coming",
    metadata,
    Column("day", Integer, primary_key=True),  # of the start in UTC, since 1970
    Column("template", Text, primary_key=True),  # blank: a literal event
    Column("event_id", Text, primary_key=True),
    Column("first_start", UtcDateTime, nullable=False),
    Column("last_start", UtcDateTime, nullable=False),
    Column("last_end", UtcDateTime, nullable=False),
    Column("title", Words),  # None: not all have the same
    Column("least_version", Integer),
    Column("newest_version", Integer),
    Column("people", BigInteger, nullable=False),  # in how many calendars it stands
)

# When that was, in one row.
coming_counts = Table(
    "coming_counts",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("began_at", UtcDateTime, nullable=False),
    Column("counted_at", UtcDateTime, nullable=False),
    Column("events", BigInteger, nullable=False),  # that were looked at
    Column("left_out", BigInteger, nullable=False),  # further away than a calendar shows
)
