"""Alembic's environment: `python -m bridge migrate` hands it the connection that holds the migration lock."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"], transactional_ddl=True, transaction_per_migration=True
)
with context.begin_transaction():
    context.run_migrations()
