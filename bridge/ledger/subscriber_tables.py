"""The subscribers' tables: what is known of each subscription, and what Braze's arrays hold of it."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text

from bridge.database import JsonText, UtcDateTime, Words, metadata

# Each subscription, as all that was accepted says it. Written by the transaction that accepts.
subscriptions = Table(
    "subscriptions",
    metadata,
    Column("key", Text, primary_key=True),  # its id in lower case
    Column("given_id", Words, nullable=False),  # as it was first given, which is what Braze holds
    Column("account_code", Words),
    Column("calendar_code", Words),
    Column("subscriber_id", Words),
    Column("email", Words),
    Column("identifier", Words),  # the Braze profile, as `external_id:u-1`
    Column("facts", JsonText, nullable=False),
    Column("suffix", Words, nullable=False),
    Column("is_active", Boolean, nullable=False),
    Column("is_assumed", Boolean, nullable=False),  # active by an update: no subscribe was seen
    Column("is_looked_up", Boolean, nullable=False),
    Column("lookups", Integer, nullable=False),  # messages that wait in its line of look-ups
    Column("updated_at", UtcDateTime, nullable=False),
    Index("subscriptions_by_subscriber", "subscriber_id", "key"),
    Index("subscriptions_by_identifier", "identifier", "key"),
    Index("subscriptions_by_activity", "is_active", "key"),
)
_is_unidentified = subscriptions.c.identifier.is_(None)
Index(
    "subscriptions_unidentified",
    subscriptions.c.key,
    postgresql_where=_is_unidentified,
    sqlite_where=_is_unidentified,
)
# What may be forgotten one day.
Index(
    "subscriptions_ended",
    subscriptions.c.updated_at,
    postgresql_where=sa.text("NOT is_active"),
    sqlite_where=sa.text("is_active = 0"),
)

# What the arrays of a profile hold of a subscription: for certain, and maybe. Written by the worker. `sent`,
# `saved`: data points that its changes cost, and that whole arrays would have cost more.
braze_held = Table(
    "braze_held",
    metadata,
    Column("identifier", Text, primary_key=True),
    Column("subscription_key", Text, primary_key=True),
    Column("certain", JsonText, nullable=False),
    Column("unsure", JsonText, nullable=False),
    Column("sent", BigInteger, nullable=False),
    Column("saved", BigInteger, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index("braze_held_by_subscription", "subscription_key"),
)
