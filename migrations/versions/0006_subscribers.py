"""The ledger of subscribers."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "subscriptions",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("given_id", sa.Text(), nullable=False),
        sa.Column("account_code", sa.Text(), nullable=True),
        sa.Column("calendar_code", sa.Text(), nullable=True),
        sa.Column("subscriber_id", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("identifier", sa.Text(), nullable=True),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("suffix", sa.Text(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("is_assumed", sa.Boolean(), nullable=False),
        sa.Column("is_looked_up", sa.Boolean(), nullable=False),
        sa.Column("lookups", sa.Integer(), nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("subscriptions_by_subscriber", "subscriptions", ["subscriber_id", "key"])
    op.create_index("subscriptions_by_identifier", "subscriptions", ["identifier", "key"])
    op.create_index("subscriptions_by_activity", "subscriptions", ["is_active", "key"])
    unidentified = sa.text("identifier IS NULL")
    op.create_index(
        "subscriptions_unidentified",
        "subscriptions",
        ["key"],
        postgresql_where=unidentified,
        sqlite_where=unidentified,
    )
    op.create_index(
        "subscriptions_ended",
        "subscriptions",
        ["updated_at"],
        postgresql_where=sa.text("NOT is_active"),
        sqlite_where=sa.text("is_active = 0"),
    )
    op.create_table(
        "braze_held",
        sa.Column("identifier", sa.Text(), nullable=False),
        sa.Column("subscription_key", sa.Text(), nullable=False),
        sa.Column("certain", sa.Text(), nullable=False),
        sa.Column("unsure", sa.Text(), nullable=False),
        sa.Column("sent", sa.BigInteger(), nullable=False),
        sa.Column("saved", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("identifier", "subscription_key"),
    )
    op.create_index("braze_held_by_subscription", "braze_held", ["subscription_key"])
    if op.get_context().dialect.name == "postgresql":
        # Each delivery writes its row twice: room for that in place.
        op.execute(
            "ALTER TABLE braze_held SET (fillfactor = 70, "
            "autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 20000)"
        )
