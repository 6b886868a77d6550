"""What workers count, and why messages died, for GET /metrics."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("workers", sa.Column("counters", sa.Text(), nullable=True))
    op.create_table(
        "worker_totals",
        sa.Column("name", sa.String(length=16), nullable=False),
        sa.Column("counters", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.add_column("samples", sa.Column("causes", sa.Text(), nullable=True))
