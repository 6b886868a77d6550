"""Counts of how the outbox went, what waited, and what the calendars hold of the days to come."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

TIME = sa.DateTime(timezone=True)
COUNT = sa.BigInteger


def upgrade() -> None:
    op.create_table(
        "samples",
        sa.Column("minute", sa.Integer(), nullable=False),
        sa.Column("destination", sa.String(length=32), nullable=False),
        sa.Column("accepted", COUNT(), nullable=False),
        sa.Column("delivered", COUNT(), nullable=False),
        sa.Column("dead", COUNT(), nullable=False),
        sa.Column("uncertain", COUNT(), nullable=False),
        sa.Column("skipped", COUNT(), nullable=False),
        sa.Column("superseded", COUNT(), nullable=False),
        sa.Column("took", sa.Text(), nullable=False),
        sa.Column("waiting", COUNT(), nullable=True),
        sa.Column("oldest_at", TIME, nullable=True),
        sa.Column("half_ms", COUNT(), nullable=True),
        sa.Column("most_ms", COUNT(), nullable=True),
        sa.Column("slowest_ms", COUNT(), nullable=True),
        sa.PrimaryKeyConstraint("minute", "destination"),
    )
    op.create_index("samples_by_destination", "samples", ["destination", "minute"])
    op.create_table(
        "template_samples",
        sa.Column("hour", sa.Integer(), nullable=False),
        sa.Column("template", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("sent", COUNT(), nullable=False),
        sa.Column("failed", COUNT(), nullable=False),
        sa.Column("skipped", COUNT(), nullable=False),
        sa.PrimaryKeyConstraint("hour", "template", "version"),
    )
    op.create_table(
        "depths",
        sa.Column("destination", sa.String(length=32), nullable=False),
        sa.Column("waiting", COUNT(), nullable=False),
        sa.Column("oldest_at", TIME, nullable=True),
        sa.Column("ages", sa.Text(), nullable=False),
        sa.Column("expiring", sa.Text(), nullable=False),
        sa.Column("counted_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("destination"),
    )
    op.create_table(
        "counting",
        sa.Column("name", sa.String(length=16), nullable=False),
        sa.Column("holder_id", sa.String(length=36), nullable=False),
        sa.Column("held_until", TIME, nullable=False),
        sa.Column("accepted_upto", COUNT(), nullable=False),
        sa.Column("settled_upto", TIME, nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "coming",
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("template", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("first_start", TIME, nullable=False),
        sa.Column("last_start", TIME, nullable=False),
        sa.Column("last_end", TIME, nullable=False),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("least_version", sa.Integer(), nullable=True),
        sa.Column("newest_version", sa.Integer(), nullable=True),
        sa.Column("people", COUNT(), nullable=False),
        sa.PrimaryKeyConstraint("day", "template", "event_id"),
    )
    op.create_table(
        "coming_counts",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("began_at", TIME, nullable=False),
        sa.Column("counted_at", TIME, nullable=False),
        sa.Column("events", COUNT(), nullable=False),
        sa.Column("left_out", COUNT(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
