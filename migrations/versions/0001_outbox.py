"""The outbox, the event ledger, the templates."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

ORDER = sa.BigInteger().with_variant(
    sa.Integer(), "sqlite"
)  # SQLite counts only INTEGER PRIMARY KEY by itself
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "calendar_events",
        sa.Column("account_code", sa.String(length=64), nullable=False),
        sa.Column("rokt_event_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("content", sa.Text(), nullable=True),
        sa.Column("is_certain", sa.Boolean(), nullable=False),
        sa.Column("unsent", sa.Text(), nullable=True),
        sa.Column("template", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("keep_until", TIME, nullable=False),
        sa.PrimaryKeyConstraint("account_code", "rokt_event_id"),
    )
    op.create_index("ix_calendar_events_keep_until", "calendar_events", ["keep_until"], unique=False)
    op.create_index("ix_calendar_events_user_id", "calendar_events", ["user_id"], unique=False)
    op.create_table(
        "calendar_holders",
        sa.Column("account_code", sa.String(length=64), nullable=False),
        sa.Column("rokt_event_id", sa.Text(), nullable=False),
        sa.Column("subscription_id", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("account_code", "rokt_event_id", "subscription_id"),
    )
    op.create_index("calendar_holders_by_subscription", "calendar_holders", ["subscription_id"], unique=False)
    op.create_table(
        "calls",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("worker_id", sa.String(length=36), nullable=False),
        sa.Column("destination", sa.String(length=32), nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_calls_worker_id", "calls", ["worker_id"], unique=False)
    op.create_table(
        "destination_states",
        sa.Column("destination", sa.String(length=32), nullable=False),
        sa.Column("account_code", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("since", TIME, nullable=False),
        sa.Column("troubled_lines", sa.Text(), nullable=False),
        sa.Column("probe_at", TIME, nullable=True),
        sa.Column("hold_until", TIME, nullable=True),
        sa.PrimaryKeyConstraint("destination", "account_code"),
    )
    op.create_table(
        "latest",
        sa.Column("subject", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.String(length=32), nullable=False),
        sa.Column("ids", sa.Text(), nullable=False),
        sa.Column("accepted_at", TIME, nullable=False),
        sa.Column("as_of", sa.Float(precision=53), nullable=True),
        sa.Column("content", sa.Text(), nullable=True),
        sa.Column("keep_until", TIME, nullable=False),
        sa.PrimaryKeyConstraint("subject"),
    )
    op.create_index("ix_latest_keep_until", "latest", ["keep_until"], unique=False)
    op.create_table(
        "messages",
        sa.Column("seq", ORDER, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("destination", sa.String(length=32), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("event_id", sa.Text(), nullable=True),
        sa.Column("account_code", sa.String(length=64), nullable=False),
        sa.Column("template", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("inbound_key", sa.Text(), nullable=False),
        sa.Column("route", sa.String(length=40), nullable=False),
        sa.Column("is_test", sa.Boolean(), nullable=False),
        sa.Column("received_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=True),
        sa.Column("settled_at", TIME, nullable=True),
        sa.Column("first_failed_at", TIME, nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("was_uncertain", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("progress", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("messages_by_event", "messages", ["event_id", "seq"], unique=False)
    op.create_index("messages_by_line", "messages", ["line", "seq"], unique=False)
    op.create_index("messages_by_state", "messages", ["state", "seq"], unique=False)
    op.create_index("messages_by_user", "messages", ["user_id", "seq"], unique=False)
    op.create_table(
        "repeats",
        sa.Column("key", sa.String(length=32), nullable=False),
        sa.Column("ids", sa.Text(), nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("ix_repeats_expires_at", "repeats", ["expires_at"], unique=False)
    op.create_table(
        "template_publications",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("published_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "template_versions",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("origin", sa.String(length=8), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("made_at", TIME, nullable=False),
        sa.Column("suspended_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("name", "version"),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("heartbeat_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "attempts",
        sa.Column("id", ORDER, autoincrement=True, nullable=False),
        sa.Column("seq", ORDER, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("ms", sa.Integer(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["seq"], ["messages.seq"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_attempts_seq", "attempts", ["seq"], unique=False)
    op.create_table(
        "bodies",
        sa.Column("seq", ORDER, autoincrement=False, nullable=False),
        sa.Column("request", sa.Text(), nullable=True),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["seq"], ["messages.seq"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_table(
        "waiting",
        sa.Column("seq", ORDER, autoincrement=False, nullable=False),
        sa.Column("destination", sa.String(length=32), nullable=False),
        sa.Column("account_code", sa.String(length=64), nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=False),
        sa.Column("is_head", sa.Boolean(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=True),
        sa.Column("call_id", sa.String(length=36), nullable=True),
        sa.ForeignKeyConstraint(["seq"], ["messages.seq"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index("waiting_by_line", "waiting", ["line", "seq"], unique=False)
    op.create_index(
        "waiting_claimed",
        "waiting",
        ["call_id"],
        unique=False,
        postgresql_where=sa.text("call_id IS NOT NULL"),
        sqlite_where=sa.text("call_id IS NOT NULL"),
    )
    op.create_index(
        "waiting_due",
        "waiting",
        ["destination", "priority", "due_at", "seq"],
        unique=False,
        postgresql_where=sa.text("is_head AND call_id IS NULL"),
        sqlite_where=sa.text("is_head = 1 AND call_id IS NULL"),
    )
    op.create_index(
        "waiting_expiring",
        "waiting",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("expires_at IS NOT NULL"),
        sqlite_where=sa.text("expires_at IS NOT NULL"),
    )
    op.create_index(
        "waiting_heads",
        "waiting",
        ["line"],
        unique=True,
        postgresql_where=sa.text("is_head"),
        sqlite_where=sa.text("is_head = 1"),
    )
    if op.get_context().dialect.name == "postgresql":
        # Rows of `waiting` live for milliseconds: room for updates in place, and vacuum long before the default.
        op.execute(
            "ALTER TABLE waiting SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, "
            "autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0)"
        )
