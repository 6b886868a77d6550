"""The shared budget over real processes, as the upstream sees it."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from factories import a_message, accept
from outbox.steps import Outbox, eventually
from processes import Processes
from recorder import most_in_a_second, recording

from bridge.database import Database, clock
from bridge.outbox.tables import messages

RATE = 50
CALLS = 4 * RATE


@pytest.mark.parametrize("processes", [1, 3])
def test_no_second_holds_more_calls_than_the_rate(
    database_url: str, database: Database, processes: int
) -> None:
    with database.read() as connection:
        now = clock(connection)
    accept(database, *(a_message(user_id=f"u-{n}") for n in range(CALLS)), now=now)

    with recording(delay=0.02) as upstream:
        workers = Processes(database_url, upstream.url, 0, {"ROKT_CALENDAR_RATE": str(RATE)})
        try:
            for _ in range(processes):
                workers.start_worker()
            eventually(lambda: not Outbox(database).waiting(), 60)
        finally:
            workers.stop()

    assert len(upstream.arrivals) == CALLS
    assert most_in_a_second(upstream.arrivals) <= RATE
    assert {row.tries for row in Outbox(database).rows(sa.select(messages.c.tries))} == {0}
