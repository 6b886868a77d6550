"""What is due is read lane by lane alone: an index on all lanes cost each message and misled the planner."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        with op.get_context().autocommit_block():
            op.execute("DROP INDEX CONCURRENTLY IF EXISTS waiting_due")
    else:
        op.drop_index("waiting_due", "waiting")
