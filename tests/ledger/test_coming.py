"""What is coming is counted from what stands in calendars: by day and event, and as it stands now."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import date, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from factories import NOON
from outbox.test_stale_statistics import fetched

from bridge.database import Database
from bridge.ledger import coming
from bridge.ledger.coming import Entry, Look
from bridge.ledger.events import Change, Standing, record
from bridge.ledger.tables import calendar_events
from bridge.outbox.claim import go_by_index

TODAY = NOON.date()
A_YEAR = TODAY + timedelta(days=365)


def an_event(start: datetime = NOON + timedelta(days=3), **fields: Any) -> dict[str, Any]:
    end = start + timedelta(hours=1)
    times = {"start": f"{start:%Y-%m-%dT%H:%M:%SZ}", "end": f"{end:%Y-%m-%dT%H:%M:%SZ}"}
    return {"title": "Flash sale", "timezone": "UTC", **times, **fields}


def stand(
    database: Database,
    user: str | None = "u-1",
    event_id: str = "sale",
    *,
    account: str = "shop",
    template: str | None = "flash_sale",
    version: int | None = 3,
    content: dict[str, Any] | None = None,
    unsent: dict[str, Any] | None = None,
    **fields: Any,
) -> None:
    """Somebody's event as Rokt took it."""
    its_id = f"{event_id}_{user}" if user else event_id
    its_content = None if unsent else content or an_event(**fields)
    standing = Standing(its_content, True, frozenset({"s-1"}), unsent)
    change = Change((account, its_id), standing, user, template, version, NOON)
    with database.write() as connection:
        record(connection, [change], {}, NOON)


def look(database: Database, now: datetime = NOON) -> int:
    """Look through the whole ledger. Returns in how many pieces."""
    whole, pieces, is_last = Look(), 0, False
    while not is_last:
        with database.read() as connection:
            is_last = whole.piece(connection, now)
        pieces += 1
    with database.write() as connection:
        whole.write(connection, now)
    return pieces


def found(database: Database, first: date = TODAY, end: date = A_YEAR) -> list[Entry]:
    with database.read() as connection:
        return coming.between(connection, first, end)


def told(entries: Sequence[Entry]) -> list[tuple[str, str, int]]:
    return [(entry.template, entry.event_id, entry.people) for entry in entries]


def test_an_event_is_one_for_all_who_have_it(database: Database) -> None:
    for user in ("u-1", "u-2", "u_3"):
        stand(database, user)
    stand(database, "u-1", "other", template="birthday")

    look(database)

    assert sorted(told(found(database))) == [("birthday", "other", 1), ("flash_sale", "sale", 3)]
    [entry] = [entry for entry in found(database) if entry.event_id == "sale"]
    assert entry.first_start == entry.last_start == NOON + timedelta(days=3)
    assert (entry.title, entry.least_version, entry.newest_version) == ("Flash sale", 3, 3)


def test_an_event_whose_id_does_not_end_in_its_user_stands_for_itself(database: Database) -> None:
    stand(database, None, "whole_id", template=None, version=None)

    look(database)

    assert told(found(database)) == [("", "whole_id", 1)]


def test_an_event_of_several_days_stands_on_each(database: Database) -> None:
    for user, day in (("u-1", 1), ("u-2", 2)):
        stand(database, user, start=NOON + timedelta(days=day))
    stand(database, "u-3", start=NOON + timedelta(days=1, hours=5), title="Another")

    look(database)

    first, second = found(database)
    assert (first.people, second.people) == (2, 1)
    assert (first.first_start, first.last_start) == (
        NOON + timedelta(days=1),
        NOON + timedelta(days=1, hours=5),
    )
    assert first.title is None


def test_an_event_that_moved_stands_where_it_is_now_alone(database: Database) -> None:
    stand(database, start=NOON + timedelta(days=3))
    look(database)
    stand(database, start=NOON + timedelta(days=40), version=4)

    look(database)

    [entry] = found(database)
    assert entry.first_start == NOON + timedelta(days=40)
    assert entry.newest_version == 4
    assert found(database, end=TODAY + timedelta(days=10)) == []


def test_an_event_that_was_deleted_is_coming_no_more(database: Database) -> None:
    stand(database)
    look(database)
    with database.write() as connection:
        gone = Change(("shop", "sale_u-1"), None, "u-1", None, None, NOON)
        record(connection, [gone], {}, NOON)

    look(database)

    assert found(database) == []


def test_what_is_over_or_never_came_there_is_not_coming(database: Database) -> None:
    stand(database, "u-1", start=NOON - timedelta(hours=2))
    stand(database, "u-2", unsent={"event": an_event(), "subscription_ids": ["s-1"]})
    stand(database, "u-3", start=NOON - timedelta(minutes=30))

    look(database)

    assert told(found(database)) == [("flash_sale", "sale", 1)]


def test_what_is_too_far_away_is_told_as_a_number(database: Database) -> None:
    stand(database, start=NOON + timedelta(days=4000))

    look(database)

    with database.read() as connection:
        counted = coming.counted(connection)
    assert counted is not None
    assert (counted.events, counted.left_out) == (1, 1)
    assert found(database) == []


def test_every_account_is_looked_through_in_pieces(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coming, "MOST", 3)
    for account in ("a", "b", "Ä"):
        for number in range(5):
            stand(database, f"u-{number}", account=account)

    pieces = look(database)

    assert told(found(database)) == [("flash_sale", "sale", 15)]
    assert pieces == 6


def test_a_template_with_an_event_for_each_person_has_one_a_day(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coming, "MOST_OF_TEMPLATE", 3)
    for number in range(10):
        stand(
            database,
            f"u-{number}",
            f"booking-{number}",
            template="booking",
            title=f"Yours, {number}",
            start=NOON + timedelta(days=1 + number % 2),
        )
    stand(database)

    look(database)

    assert told(found(database)) == [("booking", "", 5), ("booking", "", 5), ("flash_sale", "sale", 1)]
    assert {entry.title for entry in found(database) if entry.template == "booking"} == {None}


def test_what_is_kept_is_never_too_much(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coming, "MOST_ROWS", 4)
    for template, count in (("a", 4), ("b", 2)):
        for number in range(count):
            stand(database, f"u-{number}", f"{template}-{number}", template=template)

    look(database)

    assert told(found(database)) == [("a", "", 4), ("b", "b-0", 1), ("b", "b-1", 1)]


def test_the_next_day_that_has_something_is_known(database: Database) -> None:
    stand(database, start=NOON + timedelta(days=70))
    look(database)

    with database.read() as connection:
        assert coming.next_day(connection, TODAY) == TODAY + timedelta(days=70)
        assert coming.next_day(connection, TODAY + timedelta(days=71)) is None


def test_a_piece_reads_no_more_than_it_looks_at_whatever_the_statistics_say(
    postgresql_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are those of an empty ledger."""
    monkeypatch.setattr(coming, "MOST", 32)
    with closing(Database(postgresql_database_url)) as database:
        for is_seen in (False, True):
            with database.write() as connection:
                connection.execute(sa.delete(calendar_events))
                if is_seen:
                    connection.execute(sa.text("ANALYZE"))
                standing = Standing(an_event(), True)
                changes = [
                    Change((f"account-{n % 3}", f"sale_{n}"), standing, str(n), "flash_sale", 3, NOON)
                    for n in range(2_000)
                ]
                record(connection, changes, {}, NOON)

        with database.write() as connection, fetched(connection) as counts:
            go_by_index(connection)
            look = Look()
            for _ in range(3):
                assert not look.piece(connection, NOON)

    assert 3 * 32 <= counts["calendar_events"] <= 3 * 3 * 32


def test_an_empty_ledger_is_looked_through_too(database: Database) -> None:
    assert look(database) == 1
    with database.read() as connection:
        counted = coming.counted(connection)
    assert counted is not None
    assert (counted.events, counted.counted_at) == (0, NOON)
