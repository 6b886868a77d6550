"""What is due is read lane by lane alone: an index on all lanes cost each message and misled the planner."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        with op.get_context().autocommit_block():
            op.execute("DROP INDEX CONCURRENTLY IF EXISTS waiting_due")
    else:
        op.drop_index("waiting_due", "waiting")
        # SQLite takes a partial index only for a condition in its very words.
        op.drop_index("waiting_behind", "waiting")
        behind = sa.text("priority > 1 AND is_head = 1 AND call_id IS NULL")
        op.create_index("waiting_behind", "waiting", ["destination", "due_at"], sqlite_where=behind)
