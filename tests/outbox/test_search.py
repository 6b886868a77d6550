"""Lists of messages: every filter, alone and with others, finds what it says, the newest first, page by page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from factories import NOON, a_message
from outbox.steps import Outbox

from bridge.message import State
from bridge.outbox import search
from bridge.outbox.reading import Filter
from bridge.outbox.tables import messages

HOUR = timedelta(hours=1)
USERS = ("u-1", "u_2", "a_u_2")
EVENTS = ("sale", "sale_a", "other")
STATES = (State.ACCEPTED, State.DELIVERED, State.DEAD)
DESTINATIONS = ("rokt_calendar", "braze")

Claim = Callable[[Any], bool]
FILTERS: dict[str, tuple[Filter, Claim]] = {
    "all": (Filter(), lambda m: True),
    "state": (Filter(state=State.DEAD), lambda m: m.state == "dead"),
    "destination": (Filter(destination="braze"), lambda m: m.destination == "braze"),
    "user": (Filter(user_id="u_2"), lambda m: m.user_id == "u_2"),
    "event": (Filter(event_id="sale"), lambda m: m.event_id == "sale"),
    "Rokt's event": (
        Filter(event_id="sale_a_u_2"),
        lambda m: f"{m.event_id}_{m.user_id}" == "sale_a_u_2",
    ),
    "uncertain": (Filter(was_uncertain=True), lambda m: m.was_uncertain),
    "certain": (Filter(was_uncertain=False), lambda m: not m.was_uncertain),
    "since": (Filter(since=NOON + 9 * HOUR), lambda m: m.received_at >= NOON + 9 * HOUR),
    "until": (Filter(until=NOON + 21 * HOUR), lambda m: m.received_at < NOON + 21 * HOUR),
    "before everything": (Filter(until=NOON), lambda m: False),
    "after everything": (Filter(since=NOON + 99 * HOUR), lambda m: False),
}


@pytest.fixture
def stored(outbox: Outbox) -> Outbox:
    """One of each kind, an hour apart; every fifth was uncertain."""
    hour = 0
    for user in USERS:
        for event in EVENTS:
            for state in STATES:
                for destination in DESTINATIONS:
                    one = a_message(user_id=user, event_id=event, state=state, destination=destination)
                    outbox.accept(one, now=NOON + hour * HOUR)
                    hour += 1
    with outbox.database.write() as connection:
        every_fifth = sa.update(messages).where(messages.c.seq % 5 == 0)
        connection.execute(every_fifth.values(was_uncertain=True))
    return outbox


def found(outbox: Outbox, wanted: Filter) -> tuple[list[str], int | None]:
    with outbox.database.read() as connection:
        page, following = search.listed(connection, wanted)
    return [message["id"] for message in page], following


def expected(outbox: Outbox, *claims: Claim) -> list[str]:
    rows = outbox.rows(sa.select(messages).order_by(messages.c.seq.desc()))
    return [row.id for row in rows if all(claim(row) for claim in claims)]


def test_filters_find_what_they_say_in_any_pair(stored: Outbox) -> None:
    for name, (first, is_first) in FILTERS.items():
        for other, (second, is_second) in FILTERS.items():
            both = replace(first, limit=200, **{k: v for k, v in vars(second).items() if v != _EMPTY[k]})
            if any(vars(first)[k] not in (_EMPTY[k], v) for k, v in vars(both).items() if k != "limit"):
                continue  # the same field twice: the second counts

            ids, following = found(stored, both)

            assert (ids, following) == (expected(stored, is_first, is_second), None), (name, other)


_EMPTY = vars(Filter())


@pytest.mark.parametrize(("wanted", "claim"), FILTERS.values(), ids=FILTERS)
def test_pages_join_without_a_gap(stored: Outbox, wanted: Filter, claim: Claim) -> None:
    pages: list[str] = []
    following: int | None = None
    while True:
        ids, following = found(stored, replace(wanted, limit=7, before=following))
        pages += ids
        if following is None:
            break

    assert pages == expected(stored, claim)


def test_a_list_takes_what_a_slower_transaction_stored_later(outbox: Outbox) -> None:
    """Its order is drawn at its end, its time at its beginning."""
    outbox.accept(a_message(user_id="u-1"), now=NOON + timedelta(seconds=5))
    outbox.accept(a_message(user_id="u-2"), now=NOON)

    until, _ = found(outbox, Filter(until=NOON + timedelta(seconds=1)))
    since, _ = found(outbox, Filter(since=NOON + timedelta(seconds=1)))

    assert until == expected(outbox, lambda m: m.user_id == "u-2")
    assert since == expected(outbox, lambda m: m.user_id == "u-1")


def test_an_event_id_of_nothing_but_underscores_is_no_trouble(stored: Outbox) -> None:
    assert found(stored, Filter(event_id="_" * 700)) == ([], None)


@pytest.mark.parametrize("name", FILTERS)
def test_nothing_is_found_where_nothing_was_ever_accepted(outbox: Outbox, name: str) -> None:
    wanted, _ = FILTERS[name]

    assert found(outbox, wanted)[0] == []
