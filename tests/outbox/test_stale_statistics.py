"""A rush that comes while PostgreSQL's statistics still say that nothing waits: no statement reads all that does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from unittest.mock import patch

import pytest
import sqlalchemy as sa
from factories import NOON, a_message
from outbox.steps import DAY, DESTINATION, Outbox
from sqlalchemy.engine import Connection

from bridge.database import Database
from bridge.message import Delivered
from bridge.outbox import claim, settle, tally
from bridge.outbox import depth as depth_module
from bridge.outbox.depth import Depth
from bridge.outbox.merging import with_their_lines
from bridge.outbox.settle import Result
from bridge.outbox.tables import messages, waiting

WAITING = 2_000
TAKEN = 32
MOST = 6 * TAKEN  # rows that may be looked at for it, of any table


@pytest.fixture(params=[0, 2])
def outbox(postgresql_database_url: str, request: pytest.FixtureRequest) -> Iterator[Outbox]:
    """2,000 wait in pages that were full, and all but empty when the statistics were made."""
    database = Database(postgresql_database_url)
    outbox = Outbox(database)
    fill(outbox)
    with database.write() as connection:
        left = sa.select(waiting.c.seq).order_by(waiting.c.seq.desc()).limit(request.param)
        connection.execute(sa.delete(waiting).where(waiting.c.seq.not_in(left)))
        connection.execute(sa.text("ANALYZE"))
    fill(outbox)
    yield outbox
    database.close()


def fill(outbox: Outbox) -> None:
    outbox.accept(*(a_message(account_code=f"account-{number % 7}", line=None) for number in range(WAITING)))


@contextmanager
def fetched(connection: Connection) -> Iterator[Counter[str]]:
    """How many rows of each table are looked at meanwhile, by whatever way."""
    counts: Counter[str] = Counter()
    counts.subtract(_looked_at(connection))
    yield counts
    counts.update(_looked_at(connection))


def _looked_at(connection: Connection) -> dict[str, int]:
    seen = "coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) AS seen"
    query = f"SELECT relname, {seen} FROM pg_stat_xact_user_tables"
    return {row.relname: row.seen for row in connection.execute(sa.text(query))}


def test_a_claim_reads_no_more_than_it_takes(outbox: Outbox) -> None:
    with outbox.database.write() as connection, fetched(connection) as counts:
        claim.go_by_index(connection)
        calls = claim.claim(connection, "w-1", DESTINATION, TAKEN, NOON)

    assert len(calls) == TAKEN
    assert counts["waiting"] >= TAKEN
    assert max(counts.values()) <= MOST, counts


def test_what_waits_behind_a_claim_is_read_and_nothing_else(outbox: Outbox) -> None:
    outbox.accept(*(a_message(line=f"u-{user}") for user in range(TAKEN) for _ in range(2)), now=NOON - DAY)
    with outbox.database.write() as connection, fetched(connection) as counts:
        claim.go_by_index(connection)
        due = claim.due(connection, DESTINATION, TAKEN, NOON, claim.lanes(connection, DESTINATION))
        found = with_their_lines(connection, due, 75)

    assert len(found) == 2 * TAKEN
    assert counts["waiting"] >= 2 * TAKEN
    assert max(counts.values()) <= 2 * MOST, counts


def test_a_settle_reads_no_more_than_it_settles(outbox: Outbox) -> None:
    with outbox.database.write() as connection:
        calls = claim.claim(connection, "w-1", DESTINATION, TAKEN, NOON)
    with outbox.database.write() as connection, fetched(connection) as counts:
        settled = settle.settle(connection, [Result(call, Delivered(202)) for call in calls], NOON, DAY)

    assert len(settled.final) == TAKEN
    assert counts["waiting"] >= TAKEN
    assert max(counts.values()) <= MOST, counts


def test_a_count_reads_no_more_than_came_and_ended(outbox: Outbox) -> None:
    with outbox.database.write() as connection:
        last = connection.scalar(sa.select(sa.func.max(messages.c.seq))) - TAKEN
        calls = claim.claim(connection, "w-1", DESTINATION, TAKEN, NOON)
        settle.settle(connection, [Result(call, Delivered(202)) for call in calls], NOON + DAY, DAY)
    with outbox.database.write() as connection, fetched(connection) as counts:
        claim.go_by_index(connection)  # as where people's reads are made
        row = SimpleNamespace(accepted_upto=last, settled_upto=NOON + DAY / 2)
        piece = tally.read_piece(connection, row, NOON + 2 * DAY)

    assert sum(its["accepted"] for its in piece.minutes.values()) == 2 * TAKEN  # of the minute, and in all
    assert sum(its["delivered"] for its in piece.minutes.values()) == 2 * TAKEN
    assert max(counts.values()) <= MOST, counts


def test_a_piece_of_what_waits_reads_no_more_than_it_counts(outbox: Outbox) -> None:
    with outbox.database.write() as connection, fetched(connection) as counts:
        claim.go_by_index(connection)
        with patch.object(depth_module, "MOST", TAKEN):
            assert not Depth().piece(connection, NOON)

    assert counts["waiting"] >= TAKEN
    assert max(counts.values()) <= MOST, counts
