"""What a claim takes of many accounts, and that its cost does not grow with what waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from factories import NOON, a_message
from outbox.steps import DESTINATION, Outbox
from sqlalchemy.engine import Connection

from bridge.database import Database
from bridge.outbox import claim
from bridge.outbox.claim import Call, Lane
from bridge.outbox.tables import waiting

SECOND = timedelta(seconds=1)


def waits(outbox: Outbox, *accounts: str, at: float = 0, **fields: Any) -> None:
    """A message for each account, each a second after the one before, in lines of their own."""
    for number, account in enumerate(accounts):
        message = a_message(account_code=account, line=None, **fields)
        outbox.accept(message, now=NOON + (at + number) * SECOND)


def lanes(outbox: Outbox) -> list[Lane]:
    with outbox.database.read() as connection:
        return claim.lanes(connection, DESTINATION)


def accounts(calls: Sequence[Call]) -> list[str]:
    return [call.message.account_code for call in calls]


class TestLanes:
    def test_there_is_none_where_nothing_waits(self, outbox: Outbox) -> None:
        assert lanes(outbox) == []

    def test_there_is_one_for_each_account_and_priority_with_its_first(self, outbox: Outbox) -> None:
        waits(outbox, "b", "a", "b", "a")
        waits(outbox, "b", is_test=True, at=9)

        found = sorted(lanes(outbox), key=lambda lane: (lane.account_code, lane.priority))

        assert found == [
            Lane("a", 1, NOON + SECOND),
            Lane("b", 0, NOON + 9 * SECOND),
            Lane("b", 1, NOON),
        ]

    def test_those_of_another_destination_are_not_among_them(self, outbox: Outbox) -> None:
        waits(outbox, "a", destination="braze")
        waits(outbox, "b", at=1)

        assert lanes(outbox) == [Lane("b", 1, NOON + SECOND)]

    def test_what_is_in_flight_is_in_none(self, outbox: Outbox) -> None:
        waits(outbox, "a", "b")
        outbox.claim(now=NOON + 9 * SECOND)

        assert lanes(outbox) == []

    @pytest.mark.parametrize("count", [1, 2, 150])
    def test_any_number_of_them_is_found(self, outbox: Outbox, count: int) -> None:
        names = [f"account-{number:03}" for number in range(count)]
        outbox.accept(*(a_message(account_code=name, line=None) for name in names))

        assert sorted(lane.account_code for lane in lanes(outbox)) == names


class TestClaimsOfManyAccounts:
    def test_what_was_due_first_goes_first_whosever_it_is(self, outbox: Outbox) -> None:
        waits(outbox, "b", "a", "a", "c", "b", "b")

        taken = [accounts(outbox.claim(2, now=NOON + 99 * SECOND)) for _ in range(3)]

        assert taken == [["b", "a"], ["a", "c"], ["b", "b"]]

    def test_a_test_goes_before_all_of_them(self, outbox: Outbox) -> None:
        waits(outbox, "a", "b", "a")
        waits(outbox, "c", is_test=True, at=9)

        first, second = (outbox.claim(1, now=NOON + 99 * SECOND) for _ in range(2))

        assert (accounts(first), accounts(second)) == (["c"], ["a"])

    def test_a_lane_in_back_off_does_not_hide_the_next_priority(self, outbox: Outbox) -> None:
        waits(outbox, *"ab", is_test=True, at=99)
        waits(outbox, "a", "b")

        assert accounts(outbox.claim(now=NOON + 9 * SECOND)) == ["a", "b"]

    def test_more_lanes_than_one_read_takes(self, outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(claim, "MOST_MERGED", 3)
        names = [f"account-{number:02}" for number in range(10)]
        waits(outbox, *names)

        taken = [accounts(outbox.claim(now=NOON + 99 * SECOND)) for _ in range(4)]

        assert taken == [names[:3], names[3:6], names[6:9], names[9:]]

    def test_two_workers_at_once_take_different_ones_of_the_same_lanes(
        self, postgresql_database_url: str
    ) -> None:
        """On SQLite the second would wait."""
        first, second = Database(postgresql_database_url), Database(postgresql_database_url)
        waits(Outbox(first), *("ab" * 4))
        late = NOON + 99 * SECOND

        with first.write() as one, second.write() as other:
            taken = [
                claim.claim(connection, worker, DESTINATION, 4, late)
                for connection, worker in ((one, "w-1"), (other, "w-2"))
            ]
        first.close()
        second.close()

        assert [Counter(accounts(calls)) for calls in taken] == [{"a": 2, "b": 2}] * 2
        assert len({call.message.seq for calls in taken for call in calls}) == 8


class TestItsCost:
    """By the plan, not by the clock: each statement goes by an index and sorts no more than it takes."""

    def test_no_read_passes_over_what_stays(self, outbox: Outbox) -> None:
        messages = [
            a_message(account_code=f"account-{number % 3}", line=None, is_test=number % 2 == 0)
            for number in range(600)
        ]
        outbox.accept(*messages)

        with outbox.database.write() as connection, told(connection) as statements:
            claim.go_by_index(connection)
            claimed = claim.claim(connection, "w-1", DESTINATION, 32, NOON)
            plans = [plan_of(connection, *statement) for statement in statements]

        assert len(claimed) == 32
        assert len(plans) >= 4  # the lanes, what stands first in them, and one for each that has a share
        for plan in plans:
            assert "waiting_lanes" in plan
            assert "Seq Scan" not in plan
            assert "SCAN waiting" not in plan
        assert not any("Sort" in plan or "TEMP B-TREE" in plan for plan in [plans[0], *plans[2:]])


@contextmanager
def told(connection: Connection) -> Iterator[list[tuple[str, Any]]]:
    """The reads of `waiting` that are made."""
    reads: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, text: str, parameters: Any, *_: Any) -> None:
        if (
            waiting.name in text
            and text.startswith(("SELECT", "WITH"))
            and "INSERT" not in text
            and "messages" not in text
        ):
            reads.append((text, parameters))

    sa.event.listen(connection, "before_cursor_execute", note)
    yield reads
    sa.event.remove(connection, "before_cursor_execute", note)


def plan_of(connection: Connection, text: str, parameters: Any) -> str:
    explain = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
    rows = connection.exec_driver_sql(f"{explain} {text}", parameters)
    return "\n".join(str(row) for row in rows)
