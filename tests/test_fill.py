"""The benchmark's backlog is one that the outbox could have made."""

from __future__ import annotations

import sqlalchemy as sa
from factories import NOON, SUBSCRIPTION, a_message, a_request, a_subject, accept, title_of
from outbox.steps import Outbox

from benchmarks.fill import ZERO, fill
from bridge.database import Database
from bridge.outbox.tables import bodies, latest, messages, repeats


def stored(database: Database) -> Outbox:
    message = a_message(user_id=f"u-{ZERO}", subscription_ids=[SUBSCRIPTION])
    accept(database, a_request(message, repeat_key="k", subject=a_subject(f"sale_u-{ZERO}")))
    return Outbox(database)


def test_every_copy_has_all_its_rows_and_a_user_and_a_line_of_its_own(database: Database) -> None:
    outbox = stored(database)

    fill(database, 20)

    assert outbox.faults() == []
    for table in (messages, bodies, repeats, latest):
        assert len(outbox.rows(sa.select(table))) == 21
    assert len({row.line for row in outbox.waiting()}) == 21
    assert len({row.user_id for row in outbox.rows(sa.select(messages.c.user_id))}) == 21


def test_a_copy_is_claimed_and_is_about_its_own_user(database: Database) -> None:
    outbox = stored(database)
    fill(database, 5)

    claimed = outbox.claim(now=NOON.replace(year=2100))

    told = {call.message.request["rokt_event_id"] for call in claimed}
    assert told == {f"sale_{call.message.user_id}" for call in claimed}
    assert len(told) == 6
    assert {title_of(call.message.request) for call in claimed} == {"Flash sale"}


def test_one_line_takes_all_of_them_behind_one_head(database: Database) -> None:
    outbox = stored(database)

    fill(database, 5, line="7")

    assert outbox.faults() == []
    assert [row.is_head for row in outbox.waiting() if row.line == 7] == [True, False, False, False, False]


def test_what_is_settled_does_not_wait(database: Database) -> None:
    outbox = stored(database)

    fill(database, 5, state="'delivered'", settled_at="t.received_at")

    assert len(outbox.waiting()) == 1


def test_what_comes_after_stands_behind_it(database: Database) -> None:
    outbox = stored(database)
    fill(database, 5)

    outbox.accept(a_message(user_id="somebody else"))

    newest = outbox.rows(sa.select(messages).order_by(messages.c.seq.desc()))[0]
    assert newest.user_id == "somebody else"
