"""The outbox on both databases."""

from __future__ import annotations

import pytest
from outbox.shared import postgresql_database_url, shared_postgresql  # noqa: F401  fixtures
from outbox.steps import Outbox

from bridge.database import Database


@pytest.fixture
def outbox(database: Database) -> Outbox:
    return Outbox(database)
