"""Jobs: replay and cancel of many messages."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

ORDER = sa.BigInteger().with_variant(
    sa.Integer(), "sqlite"
)  # SQLite counts only INTEGER PRIMARY KEY by itself
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("seq", ORDER, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("wanted", sa.Text(), nullable=False),
        sa.Column("options", sa.Text(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("is_count_whole", sa.Boolean(), nullable=False),
        sa.Column("cursor", sa.BigInteger(), nullable=False),
        sa.Column("upto", sa.BigInteger(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("skipped", sa.Text(), nullable=False),
        sa.Column("failed", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("started_at", TIME, nullable=True),
        sa.Column("finished_at", TIME, nullable=True),
        sa.Column("runner_id", sa.String(length=36), nullable=True),
        sa.Column("worked_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("jobs_finished", "jobs", ["finished_at"], unique=False)
    behind = sa.text("priority > 1 AND is_head AND call_id IS NULL")
    where = {"postgresql_where": behind, "sqlite_where": behind}
    if op.get_context().dialect.name == "postgresql":
        with op.get_context().autocommit_block():
            # One that was broken off leaves an index that is not valid, and its name.
            op.execute("DROP INDEX CONCURRENTLY IF EXISTS waiting_behind")
            op.create_index(
                "waiting_behind", "waiting", ["destination", "due_at"], postgresql_concurrently=True, **where
            )
    else:
        op.create_index("waiting_behind", "waiting", ["destination", "due_at"], **where)
