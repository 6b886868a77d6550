"""The ledger's tables: what Rokt is known to hold."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, String, Table, Text

from bridge.database import JsonText, UtcDateTime, metadata

# One event in one account's calendars, as Rokt last took it.
calendar_events = Table(
    "calendar_events",
    metadata,
    Column("account_code", String(64), primary_key=True),
    Column("rokt_event_id", Text, primary_key=True),
    Column("user_id", Text, index=True),
    Column("content", JsonText),  # the last state sent
    Column("is_certain", Boolean, nullable=False),  # Rokt said it took that
    Column("unsent", JsonText),  # what a create that died here wanted: {"event": …, "subscription_ids": […]}
    Column("template", Text),
    Column("version", Integer),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("keep_until", UtcDateTime, nullable=False, index=True),
)

# The subscriptions whose calendars hold it.
calendar_holders = Table(
    "calendar_holders",
    metadata,
    Column("account_code", String(64), primary_key=True),
    Column("rokt_event_id", Text, primary_key=True),
    Column("subscription_id", String(128), primary_key=True),
    Index("calendar_holders_by_subscription", "subscription_id"),
)
