"""What waits, and what was ever delivered, is not read again and again: a step reads as much at any depth."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
import sqlalchemy as sa
from conftest import DATABASES
from factories import NOON, a_message, a_request, a_subject
from outbox.steps import DAY, DESTINATION
from sqlalchemy.engine import Connection

from bridge.database import Database
from bridge.message import Delivered, Retry, State
from bridge.outbox import (
    causes,
    claim,
    enqueue,
    jobs,
    leases,
    pieces,
    reading,
    retention,
    samples,
    search,
    selection,
    settle,
    tally,
    upkeep,
)
from bridge.outbox import depth as depth_module
from bridge.outbox.claim import Due
from bridge.outbox.depth import Depth
from bridge.outbox.jobs import Kind
from bridge.outbox.merging import with_their_lines
from bridge.outbox.reading import Filter
from bridge.outbox.settle import Result

SHALLOW, DEEP = 70, 1400
MONTH = timedelta(days=30)
RETRY = Retry("503", 503)

Step = Callable[[Connection], Any]


def accept(database: Database, count: int, **fields: Any) -> None:
    """Messages of different users, a second apart."""
    for begin in range(0, count, 64):
        users = [f"u-{n}" for n in range(begin, min(begin + 64, count))]
        requests = [
            a_request(
                a_message(user_id=user, **fields), repeat_key=f"{len(fields)}{user}", subject=a_subject(user)
            )
            for user in users
        ]
        accepted_at = NOON + timedelta(seconds=begin // 64)
        with database.write() as connection:
            enqueue.store(connection, requests, accepted_at)


def read_by(database: Database, step: Step) -> int:
    """How much a step reads: rows and index entries of PostgreSQL, tens of instructions of SQLite."""
    with database.write() as connection:
        if database.is_sqlite:
            read = _instructions(connection, step)
        else:
            before = connection.scalar(_RETURNED) or 0
            step(connection)
            read = int((connection.scalar(_RETURNED) or 0) - before)
        connection.rollback()
    return read


_RETURNED = sa.text(
    "SELECT sum(pg_stat_get_xact_tuples_returned(oid)) FROM pg_class "
    "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i')"
)


def _instructions(connection: Connection, step: Step) -> int:
    counted = 0

    def count() -> int:
        nonlocal counted
        counted += 1
        return 0

    driver: Any = connection.connection.driver_connection
    driver.set_progress_handler(count, 10)
    step(connection)
    driver.set_progress_handler(None, 0)
    return counted


def claimed(connection: Connection) -> Any:
    return claim.claim(connection, "w-1", DESTINATION, 8, NOON + DAY)


def due(connection: Connection) -> list[Due]:
    found = claim.due(connection, DESTINATION, 30, NOON + DAY, claim.lanes(connection, DESTINATION))
    assert len(found) == 30
    return found


def settled_with(outcome: Any) -> Step:
    def step(connection: Connection) -> None:
        results = [Result(call, outcome) for call in claimed(connection)]
        settle.settle(connection, results, NOON + DAY, DAY)

    return step


def accepted(connection: Connection) -> None:
    requests = [a_request(a_message(user_id=f"new-{n}"), subject=a_subject(f"new-{n}")) for n in range(8)]
    enqueue.store(connection, requests, NOON + DAY)


def expired(connection: Connection) -> None:
    upkeep.expire(connection, NOON + DAY)


def forgotten(connection: Connection) -> None:
    retention.forget_old(connection, NOON + timedelta(days=6), MONTH)


def forgotten_some(connection: Connection) -> None:
    with patch.object(retention, "MOST_ROWS", 5):
        retention.forget_old(connection, NOON + 100 * DAY, MONTH)


def lists(**filters: Any) -> Step:
    return lambda connection: search.listed(connection, Filter(limit=5, **filters))


def piece(kind: Kind, **wanted: Any) -> Step:
    """Eight messages of a job."""

    def step(connection: Connection) -> None:
        of = jobs.selection(kind, Filter(**wanted), jobs.newest(connection), NOON + DAY)
        jobs.create(connection, kind, of, (1, True), NOON + DAY, by="ops", request_id="r-1")
        [job] = leases.free(connection, "w-1", NOON + DAY)
        leased = leases.lease(connection, job, "w-1", NOON + DAY)
        assert leased is not None
        with patch.object(pieces, "MOST", 8), patch.object(selection, "FIRST_EXAMINED", 16):
            found = pieces.next_piece(connection, leased)
        worked = pieces.work(connection, leased, found, {}, NOON + DAY)
        assert worked is not None
        assert worked[0].done == len(worked[1]) > 0

    return step


def counted(*, after: int = 0, since: timedelta = timedelta(0)) -> Step:
    """Some of what came and ended since then."""

    def step(connection: Connection) -> None:
        row = SimpleNamespace(accepted_upto=after, settled_upto=NOON - DAY + since)
        with patch.object(tally, "MOST", 5):
            piece = tally.read_piece(connection, row, NOON + DAY)
        assert bool(piece.minutes) == (not since)

    return step


def measured(connection: Connection) -> None:
    with patch.object(depth_module, "MOST", 8):
        assert not Depth().piece(connection, NOON + DAY)


def waiting_now(connection: Connection) -> None:
    with patch.object(samples, "MOST_LIVE", 8):
        assert samples.waiting_by_destination(connection)[DESTINATION].is_cut


def looked_for(**filters: Any) -> Step:
    """Something that no index leads to, among thirty at a time."""

    def step(connection: Connection) -> None:
        with patch.object(search, "MOST_LOOKED_AT", 30):
            search.looked_for(connection, Filter(limit=5, **filters))

    return step


def grouped(connection: Connection) -> None:
    with patch.object(causes, "MOST_LOOKED_AT", 30):
        assert causes.newest(connection, State.DELIVERED)[1] is False


STEPS: dict[str, Step] = {
    "accepting": accepted,
    "claiming": claimed,
    "claiming for another": lambda c: claim.claim(c, "w-1", "another", 8, NOON + DAY),
    "claiming with what waits behind": lambda c: with_their_lines(c, due(c), 75),
    "whether a call would be full": lambda c: claim.is_filled(
        c, DESTINATION, claim.lanes(c, DESTINATION), 37, NOON + DAY
    ),
    "what came last": claim.newest,
    "settling": settled_with(Delivered(202)),
    "putting off": settled_with(RETRY),
    "taking over": lambda c: (claimed(c), upkeep.take_over(c, NOON + DAY)),
    "opening again": lambda c: claim.bring_forward(c, DESTINATION, NOON + DAY),
    "expiring nothing": expired,
    "forgetting nothing": forgotten,
    "forgetting some": forgotten_some,
    "the age of the oldest": reading.waiting_since,
    "a late answer": lambda c: upkeep.send_last_again(c, [1, 2, 3], NOON),
    "one message": lambda c: reading.one(c, c.scalar(sa.text("SELECT max(id) FROM messages"))),
    "a piece of a replay": piece(Kind.REPLAY, state=State.DELIVERED),
    "a piece of a replay of an event": piece(Kind.REPLAY, state=State.DELIVERED, event_id="other"),
    "a piece of a replay of a user": piece(Kind.REPLAY, state=State.DELIVERED, user_id="u-7"),
    "a piece of a cancel": piece(Kind.CANCEL, destination=DESTINATION),
    "whether jobs have sent enough": lambda c: pieces.is_full(c, DESTINATION, NOON + DAY),
    "whether live ones are late": lambda c: pieces.is_live_late(c, DESTINATION, NOON + DAY),
    "all": lists(),
    "a page": lists(before=30),
    "a state": lists(state=State.DELIVERED),
    "a state that none has": lists(state=State.DEAD),
    "a destination": lists(destination=DESTINATION),
    "a destination with nothing": lists(destination="another"),
    "a state of a destination": lists(destination="another", state=State.ACCEPTED),
    "a user": lists(user_id="u-7"),
    "a state of a user": lists(user_id="u-7", state=State.DEAD),
    "an event": lists(event_id="sale"),
    "an event by Rokt's id": lists(event_id="sale_u-7"),
    "a state of an event": lists(event_id="sale", state=State.DEAD),
    "counting what came and ended": counted(),
    "counting where nothing came or ended": counted(after=10**9, since=2 * DAY),
    "counting what waits": measured,
    "what waits, for a page": waiting_now,
    "what was uncertain": lists(was_uncertain=True),
    "a state of what was uncertain": lists(was_uncertain=True, state=State.DELIVERED),
    "what was not": lists(was_uncertain=False),
    "since tomorrow": lists(since=NOON + DAY),
    "until yesterday": lists(until=NOON - DAY),
    "a day long ago": lists(since=NOON - 2 * DAY, until=NOON - DAY),
    "a state since tomorrow": lists(since=NOON + DAY, state=State.DELIVERED),
    "a template among many": looked_for(template="none such"),
    "a reason among many": looked_for(reason="none such", state=State.DELIVERED),
    "a cause among many": looked_for(cause="none such …", destination=DESTINATION),
    "a template of an event": looked_for(template="none such", event_id="other"),
    "why messages failed": grouped,
    "an event until yesterday": lists(until=NOON - DAY, event_id="sale"),
}


@pytest.fixture(scope="module", params=DATABASES)
def depths(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Database, Database]]:
    """A database with little in it, and one with twenty times as much. What a step does is undone."""
    with ExitStack() as opened:
        shallow, deep = (
            opened.enter_context(closing(Database(_copied(request, f"depth_{count}", tmp_path_factory))))
            for count in (SHALLOW, DEEP)
        )
        for database, count in ((shallow, SHALLOW), (deep, DEEP)):
            accept(database, count)
            accept(database, count, line="one", event_id="one", action="create")
            accept(database, count, state=State.DELIVERED, event_id="other")
        yield shallow, deep


def _copied(request: pytest.FixtureRequest, name: str, folders: pytest.TempPathFactory) -> str:
    if request.param == "sqlite":
        path = folders.mktemp("depth") / f"{name}.db"
        shutil.copy(request.getfixturevalue("ready_sqlite"), path)
        return f"sqlite:///{path}"
    url: str = request.getfixturevalue("postgres_url")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name} TEMPLATE ready"))
    return sa.make_url(url).set(database=name).render_as_string(hide_password=False)


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_a_step_reads_as_much_at_any_depth(depths: tuple[Database, Database], step: Step) -> None:
    shallow, deep = (read_by(database, step) for database in depths)

    assert deep < 1.5 * shallow + 100
