"""Lists, retention and vacuum for millions of messages."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

INDEXES = {
    "messages_by_event_state": (["event_id", "state", "seq"], None),
    "messages_by_destination": (["destination", "state", "seq"], None),
    "messages_uncertain": (["seq"], ("was_uncertain", "was_uncertain = 1")),
    "messages_settled": (["state", "settled_at"], ("settled_at IS NOT NULL", "settled_at IS NOT NULL")),
}
# A fifth of a table that a backlog has made large is too much to lie about dead.
VACUUM = "autovacuum_vacuum_scale_factor = {}, autovacuum_vacuum_threshold = {}"
CHURNED = {
    "calls": VACUUM.format(0, 2_000) + ", autovacuum_vacuum_cost_delay = 0",
    "messages": VACUUM.format(0.01, 20_000),
    "repeats": VACUUM.format(0.01, 20_000),
    "latest": VACUUM.format(0.01, 20_000),
}


def upgrade() -> None:
    is_postgresql = op.get_context().dialect.name == "postgresql"
    if is_postgresql:
        for table, settings in CHURNED.items():
            op.execute(f"ALTER TABLE {table} SET ({settings})")
        with op.get_context().autocommit_block():
            for name in INDEXES:
                # One that was broken off leaves an index that is not valid, and its name.
                op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
                _create(name, postgresql_concurrently=True)
            op.execute("DROP INDEX CONCURRENTLY IF EXISTS messages_by_event")
    else:
        for name in INDEXES:
            _create(name)
        op.drop_index("messages_by_event", "messages")


def _create(name: str, **options: object) -> None:
    columns, where = INDEXES[name]
    if where:
        options |= {"postgresql_where": sa.text(where[0]), "sqlite_where": sa.text(where[1])}
    op.create_index(name, "messages", columns, **options)
