"""Shared budgets, the time for which a destination was shut, and heads by account."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    heads = {
        "postgresql_where": sa.text("is_head AND call_id IS NULL"),
        "sqlite_where": sa.text("is_head = 1 AND call_id IS NULL"),
    }
    columns = ["destination", "account_code", "priority", "due_at", "seq"]
    if op.get_context().dialect.name == "postgresql":
        with op.get_context().autocommit_block():
            # One that was broken off leaves an index that is not valid, and its name.
            op.execute("DROP INDEX CONCURRENTLY IF EXISTS waiting_lanes")
            op.create_index("waiting_lanes", "waiting", columns, postgresql_concurrently=True, **heads)
    else:
        op.create_index("waiting_lanes", "waiting", columns, **heads)
    op.create_table(
        "budgets",
        sa.Column("destination", sa.String(length=32), nullable=False),
        sa.Column("credential", sa.String(length=64), nullable=False),
        sa.Column("next_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("destination", "credential"),
    )
    op.add_column("destination_states", sa.Column("halved_until", TIME, nullable=True))
    op.add_column("destination_states", sa.Column("shut_for", sa.Float(precision=53), nullable=True))
    op.add_column("messages", sa.Column("shut_before", sa.Float(precision=53), nullable=True))
