"""What the web's tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from servers import SandboxUnderTest, running_sandbox
from web.running import Bridge, Starter, start, start_on_both, stocked_sqlite

__all__ = ["bridge", "rokt", "start", "start_on_both", "stocked_sqlite", "walked"]


@pytest.fixture
def bridge(start: Starter) -> Bridge:
    """A web process on SQLite; nothing listens where Rokt should be."""
    return start()


@pytest.fixture
def rokt() -> Iterator[SandboxUnderTest]:
    with running_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def walked(start: Starter, rokt: SandboxUnderTest) -> Bridge:
    """A web process on SQLite in front of the sandbox; `deliver` walks what was accepted all the way."""
    return start(sandbox=rokt)
