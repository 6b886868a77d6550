"""The ledger on both databases."""

from __future__ import annotations

from outbox.shared import postgresql_database_url, shared_postgresql  # noqa: F401  fixtures
