"""Drafts of templates, what is known of the files, and who published a version, when and why."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "template_drafts",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("based_on", sa.Integer(), nullable=True),
        sa.Column("edited_by", sa.Text(), nullable=False),
        sa.Column("edited_at", TIME, nullable=False),
        sa.Column("origin", sa.String(length=8), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "template_files",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("seen_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    # All may be missing: the release before makes versions without them.
    op.add_column("template_versions", sa.Column("note", sa.Text(), nullable=True))
    op.add_column("template_versions", sa.Column("published_by", sa.Text(), nullable=True))
    op.add_column("template_versions", sa.Column("published_at", TIME, nullable=True))
    # Until now every file was published as it came, unless somebody had published by another way.
    op.execute("UPDATE template_versions SET published_at = made_at WHERE origin = 'file'")
