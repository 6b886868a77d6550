"""How the outbox went, by the minute and the hour, and what waited when that was last counted."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text

from bridge.database import JsonText, UtcDateTime, metadata

# One row for each destination and minute in which something came, ended or waited. `minute`: since 1970; in minute 0
# stand the sums of all time. What ended counts in the minute in which it did.
samples = Table(
    "samples",
    metadata,
    Column("minute", Integer, primary_key=True),
    Column("destination", String(32), primary_key=True),
    Column("accepted", BigInteger, nullable=False),
    Column("delivered", BigInteger, nullable=False),
    Column("dead", BigInteger, nullable=False),
    Column("uncertain", BigInteger, nullable=False),
    Column("skipped", BigInteger, nullable=False),
    Column("superseded", BigInteger, nullable=False),
    Column("took", JsonText, nullable=False),  # of what was delivered: step of the ladder → how many
    Column("causes", JsonText),  # of the dead: cause of metrics/causes.py → how many
    Column("waiting", BigInteger),  # None: it was not counted in this minute
    Column("oldest_at", UtcDateTime),  # when the oldest of that was accepted
    # From acceptance to delivery, what waited included with its age. None: neither.
    Column("half_ms", BigInteger),
    Column("most_ms", BigInteger),  # all but the slowest twentieth
    Column("slowest_ms", BigInteger),
    Index("samples_by_destination", "destination", "minute"),
)

# The same of templates, by the hour.
template_samples = Table(
    "template_samples",
    metadata,
    Column("hour", Integer, primary_key=True),  # since 1970
    Column("template", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("sent", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("skipped", BigInteger, nullable=False),
)

# What waited for each destination when that was last counted. `expiring`: runs of the line, in its order, whose
# messages go out of date: [how many stand before it, how many it has, their mean `expires_at` since 1970].
depths = Table(
    "depths",
    metadata,
    Column("destination", String(32), primary_key=True),
    Column("waiting", BigInteger, nullable=False),
    Column("oldest_at", UtcDateTime),
    Column("ages", JsonText, nullable=False),  # step of the ladder → how many
    Column("expiring", JsonText, nullable=False),
    Column("counted_at", UtcDateTime, nullable=False),
)

# Who counts, for some seconds after `held_until` was set, and how far it has come.
counting = Table(
    "counting",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("holder_id", String(36), nullable=False),
    Column("held_until", UtcDateTime, nullable=False),
    Column("accepted_upto", BigInteger, nullable=False),  # the last `seq` that is counted
    Column("settled_upto", UtcDateTime, nullable=False),
)
