"""An attempt that was made for several messages says under which id the upstream knows it."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("attempts", sa.Column("call_id", sa.String(length=36), nullable=True))
