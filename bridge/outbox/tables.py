"""The outbox's tables. What each column means; the rules that use them stand in enqueue.py and lines.py."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    String,
    Table,
    Text,
)
from sqlalchemy.engine import Connection

from bridge.database import JsonText, UtcDateTime, Words, clock, metadata

Order = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts only INTEGER PRIMARY KEY by itself

# Every message, from its acceptance until retention takes it. `seq` is the order of acceptance.
messages = Table(
    "messages",
    metadata,
    Column("seq", Order, primary_key=True, autoincrement=True),
    Column("id", String(36), nullable=False, unique=True),
    Column("state", String(12), nullable=False),
    Column("destination", String(32), nullable=False),
    Column("action", String(16), nullable=False),
    Column("line", BigInteger, nullable=False),
    Column("user_id", Text),
    Column("event_id", Text),  # the caller's, without the user
    Column("account_code", String(64), nullable=False, default=""),
    Column("template", Text),
    Column("version", Integer),
    Column("request_id", Text, nullable=False),
    Column("inbound_key", Text, nullable=False, default=""),
    Column("route", String(40), nullable=False),
    Column("is_test", Boolean, nullable=False, default=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("settled_at", UtcDateTime),
    Column("first_failed_at", UtcDateTime),
    Column("shut_before", Float(53)),  # seconds that its destination had ever been shut by then
    Column("tries", Integer, nullable=False, default=0),
    Column("was_uncertain", Boolean, nullable=False, default=False),
    Column("reason", Words),
    Column("progress", JsonText),
    Index("messages_by_line", "line", "seq"),
    Index("messages_by_state", "state", "seq"),
    Index("messages_by_user", "user_id", "seq"),
    Index("messages_by_event_state", "event_id", "state", "seq"),
    Index("messages_by_destination", "destination", "state", "seq"),
    sqlite_autoincrement=True,
)
Index(
    "messages_uncertain",
    messages.c.seq,
    postgresql_where=messages.c.was_uncertain,
    sqlite_where=sa.text("was_uncertain = 1"),
)
_is_settled = messages.c.settled_at.is_not(None)
Index(
    "messages_settled",
    messages.c.state,
    messages.c.settled_at,
    postgresql_where=_is_settled,
    sqlite_where=_is_settled,
)

# What is large and personal stands apart: settling rewrites a narrow row, erasure has one place to look.
bodies = Table(
    "bodies",
    metadata,
    Column(
        "seq", Order, ForeignKey("messages.seq", ondelete="CASCADE"), primary_key=True, autoincrement=False
    ),
    Column("request", JsonText),  # what the destination needs to send it; None when a template refused it
    Column("payload", JsonText, nullable=False),  # what the caller sent, to be parsed and rendered again
)

# In the place of a call's id, of what ended so that a person must decide: it keeps its place, and its line waits.
HELD = "held"
# One narrow row for each message that is not settled, or held. At most one of a line is its head.
waiting = Table(
    "waiting",
    metadata,
    Column(
        "seq", Order, ForeignKey("messages.seq", ondelete="CASCADE"), primary_key=True, autoincrement=False
    ),
    Column("destination", String(32), nullable=False),
    Column("account_code", String(64), nullable=False),
    Column("line", BigInteger, nullable=False),
    Column("is_head", Boolean, nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("call_id", String(36)),
)
Index(
    "waiting_heads",
    waiting.c.line,
    unique=True,
    postgresql_where=sa.text("is_head"),
    sqlite_where=sa.text("is_head = 1"),
)
LEAVES = sa.func.coalesce(waiting.c.call_id, "") != HELD  # by itself, sooner or later: for no person's word
# A lane: what waits of one account with one priority, in the order in which it is due.
Index(
    "waiting_lanes",
    waiting.c.destination,
    waiting.c.account_code,
    waiting.c.priority,
    waiting.c.due_at,
    waiting.c.seq,
    postgresql_where=sa.text("is_head AND call_id IS NULL"),
    sqlite_where=sa.text("is_head = 1 AND call_id IS NULL"),
)
Index("waiting_by_line", waiting.c.line, waiting.c.seq)
# What jobs have sent and did not leave yet.
Index(
    "waiting_behind",
    waiting.c.destination,
    waiting.c.due_at,
    postgresql_where=sa.text("priority > 1 AND is_head AND call_id IS NULL"),
    sqlite_where=sa.text("priority > 1 AND is_head = 1 AND call_id IS NULL"),
)
_is_claimed = waiting.c.call_id.is_not(None)
Index("waiting_claimed", waiting.c.call_id, postgresql_where=_is_claimed, sqlite_where=_is_claimed)
_expires = waiting.c.expires_at.is_not(None)
Index("waiting_expiring", waiting.c.expires_at, postgresql_where=_expires, sqlite_where=_expires)

# One row for each upstream call from before it is sent until it is settled.
calls = Table(
    "calls",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("worker_id", String(36), nullable=False, index=True),
    Column("destination", String(32), nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", Order, primary_key=True, autoincrement=True),
    Column("seq", Order, ForeignKey("messages.seq", ondelete="CASCADE"), nullable=False, index=True),
    Column("at", UtcDateTime, nullable=False),
    Column("status", Integer),
    Column("ms", Integer, nullable=False),
    Column("answer", Words, nullable=False),
    Column("call_id", String(36)),  # where it was made for others too, and had no request's id
    sqlite_autoincrement=True,
)

workers = Table(
    "workers",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("started_at", UtcDateTime, nullable=False),
    Column("heartbeat_at", UtcDateTime, nullable=False),
    Column("counters", JsonText),  # what it counted for GET /metrics, since its row was written first
)

# The same of all workers that have gone, added up.
worker_totals = Table(
    "worker_totals",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("counters", JsonText, nullable=False),
)

# An upstream in trouble is a state of the destination (account ""), or of one account of it. In an account's place
# stands too what states.py names in parentheses.
destination_states = Table(
    "destination_states",
    metadata,
    Column("destination", String(32), primary_key=True),
    Column("account_code", String(64), primary_key=True),
    Column("state", String(8), nullable=False),  # open, closed
    Column("reason", Words),
    Column("since", UtcDateTime, nullable=False),
    Column("troubled_lines", JsonText, nullable=False),  # different keys whose calls failed in a row
    Column("probe_at", UtcDateTime),
    Column("hold_until", UtcDateTime),  # what the upstream's Retry-After asked of all workers
    Column("halved_until", UtcDateTime),  # it answered 429 without one
    Column("shut_for", Float(53)),  # seconds for which it had ever been closed when it opened last
)

# When the next call with a credential of a destination may leave, for all workers together.
budgets = Table(
    "budgets",
    metadata,
    Column("destination", String(32), primary_key=True),
    Column("credential", String(64), primary_key=True),
    Column("next_at", UtcDateTime),
)

# A request that was seen before, by its key; for seven days.
repeats = Table(
    "repeats",
    metadata,
    Column("key", String(32), primary_key=True),
    Column("ids", JsonText, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
)

# The newest accepted request of each event: what "byte for byte the latest" and `as_of` are held against, and
# what a partial update is checked with before it leaves.
latest = Table(
    "latest",
    metadata,
    Column("subject", BigInteger, primary_key=True, autoincrement=False),
    Column("digest", String(32), nullable=False),
    Column("ids", JsonText, nullable=False),
    Column("accepted_at", UtcDateTime, nullable=False),
    Column("as_of", Float(53)),
    Column("content", JsonText),
    Column("keep_until", UtcDateTime, nullable=False, index=True),
)


# Work over many messages, done piece by piece by whichever worker is free. `cursor`: how far it has gone, by
# `seq`; `upto`: the last `seq` when it was made, as what comes later is not touched.
jobs = Table(
    "jobs",
    metadata,
    Column("seq", Order, primary_key=True, autoincrement=True),
    Column("id", String(36), nullable=False, unique=True),
    Column("kind", String(8), nullable=False),
    Column("state", String(12), nullable=False),
    Column("wanted", JsonText, nullable=False),  # the filter
    Column("options", JsonText, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("count", Integer, nullable=False),  # what matched when it was made
    Column("is_count_whole", Boolean, nullable=False),  # False: the count was cut short, there are more
    Column("cursor", BigInteger, nullable=False),
    Column("upto", BigInteger, nullable=False),
    Column("done", Integer, nullable=False, default=0),
    Column("skipped", JsonText, nullable=False),  # reason: how many
    Column("failed", JsonText, nullable=False),
    Column("reason", Words),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("runner_id", String(36)),  # who works on it, for some seconds after `worked_at`
    Column("worked_at", UtcDateTime),
    Index("jobs_finished", "finished_at"),
    sqlite_autoincrement=True,
)


def key_of(*parts: str) -> int:
    """A 64-bit key. Two keys that fall together share a line, which costs speed and nothing else."""
    text = "\x1f".join(parts).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), signed=True)


# unnest keeps the array's order, and the functions are called row by row in it.
_LOCK = sa.text(
    "SELECT pg_advisory_xact_lock(key), clock_timestamp() AS now FROM unnest(CAST(:keys AS bigint[])) AS key"
).columns(now=UtcDateTime)


def lock_keys(connection: Connection, keys: Iterable[int]) -> datetime:
    """Hold these keys until the transaction ends, sorted so that no two transactions wait for each other.

    Returns the database's time. SQLite has one writer at a time and needs no locks.
    """
    wanted = sorted(set(keys))
    if not wanted or connection.dialect.name != "postgresql":
        return clock(connection)
    now: datetime = connection.execute(_LOCK, {"keys": wanted}).all()[-1].now
    return now
