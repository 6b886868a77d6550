"""A database at the end of a way that may be blocked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from operation.way import Way, way_to


@pytest.fixture
def way_and_url(postgresql_database_url: str) -> Iterator[tuple[Way, str]]:
    with way_to(postgresql_database_url) as found:
        yield found
