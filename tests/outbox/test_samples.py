"""What came, ended and waits is counted once each, by one worker at a time, in pieces."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from factories import NOON, a_message, a_request
from outbox.steps import DAY, DESTINATION, Outbox

from bridge.database import Database
from bridge.message import Delivered, Rejected, Skipped, State
from bridge.outbox import depth, ladder, samples, tally
from bridge.outbox.depth import Depth
from bridge.outbox.sample_tables import counting, depths, template_samples
from bridge.outbox.sample_tables import samples as sample_rows

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
FIRST = samples.minute_of(NOON)


def count(database: Database, now: datetime, holder: str = "w-1") -> int:
    """Count all that is new. Returns in how many pieces; 0: another counts."""
    pieces = 0
    while True:
        with database.write() as connection:
            row = tally.hold(connection, holder, now)
        if row is None:
            return 0
        with database.read() as connection:
            piece = tally.read_piece(connection, row, now)
        with database.write() as connection:
            assert tally.hold(connection, holder, now) is not None
            tally.write_piece(connection, piece)
        pieces += 1
        if piece.is_last:
            return pieces


def measure(database: Database, now: datetime) -> int:
    """Count all that waits. Returns in how many pieces."""
    whole, pieces, is_last = Depth(), 0, False
    while not is_last:
        with database.read() as connection:
            is_last = whole.piece(connection, now)
        pieces += 1
    with database.write() as connection:
        whole.write(connection, now)
    return pieces


def by_minute(database: Database, name: str, destination: str = DESTINATION) -> dict[int, int]:
    """Minutes after noon → how many."""
    with database.read() as connection:
        points = samples.series(connection, FIRST - 60, FIRST + 24 * 60, destination=destination)
    return {point.minute - FIRST: point.counts[name] for point in points if point.counts[name]}


def waits(database: Database, destination: str = DESTINATION) -> samples.Waiting:
    with database.read() as connection:
        return samples.waiting_by_destination(connection)[destination]


class TestWhatCame:
    def test_counts_in_the_minute_in_which_it_was_accepted(self, outbox: Outbox) -> None:
        for minutes in (0, 0, 3):
            outbox.accept(a_message(line=None), now=NOON + minutes * MINUTE)

        count(outbox.database, NOON + 5 * MINUTE)

        assert by_minute(outbox.database, "accepted") == {0: 2, 3: 1}

    def test_counts_once_however_often_it_is_looked_for(self, outbox: Outbox) -> None:
        for minutes in range(4):
            outbox.accept(a_message(line=None), now=NOON + minutes * MINUTE)
            count(outbox.database, NOON + (minutes + 1) * MINUTE)
        count(outbox.database, NOON + 9 * MINUTE)

        assert by_minute(outbox.database, "accepted") == {0: 1, 1: 1, 2: 1, 3: 1}

    def test_is_left_for_the_next_count_while_transactions_of_its_time_may_still_end(
        self, outbox: Outbox
    ) -> None:
        outbox.accept(a_message(), now=NOON)

        count(outbox.database, NOON + 9 * SECOND)
        before = by_minute(outbox.database, "accepted")
        count(outbox.database, NOON + 11 * SECOND)

        assert (before, by_minute(outbox.database, "accepted")) == ({}, {0: 1})

    def test_is_counted_for_each_destination(self, outbox: Outbox) -> None:
        outbox.accept(a_message(), a_message(destination="braze"), a_message(destination="braze", line=None))

        count(outbox.database, NOON + MINUTE)

        assert by_minute(outbox.database, "accepted") == {0: 1}
        assert by_minute(outbox.database, "accepted", "braze") == {0: 2}

    def test_is_counted_in_pieces(self, outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tally, "MOST", 2)
        for seconds in range(5):
            outbox.accept(a_message(line=None), now=NOON + seconds * SECOND)

        assert count(outbox.database, NOON + MINUTE) == 3
        assert by_minute(outbox.database, "accepted") == {0: 5}


class TestWhatEnded:
    def test_counts_in_the_minute_in_which_it_did(self, outbox: Outbox) -> None:
        outbox.accept(*(a_message(line=None) for _ in range(4)))
        first, second, third, fourth = outbox.claim()
        outbox.settle(first, now=NOON + MINUTE)
        outbox.settle(second, Rejected("no", 400), now=NOON + MINUTE)
        outbox.settle(third, Skipped("already so"), now=NOON + 2 * MINUTE)
        outbox.settle(fourth, now=NOON + 2 * MINUTE)

        count(outbox.database, NOON + 3 * MINUTE)

        assert by_minute(outbox.database, "delivered") == {1: 1, 2: 1}
        assert by_minute(outbox.database, "dead") == {1: 1}
        assert by_minute(outbox.database, "skipped") == {2: 1}

    def test_counts_at_once_where_a_template_refused_it(self, outbox: Outbox) -> None:
        outbox.accept(a_message(state=State.DEAD, reason="no start"))

        count(outbox.database, NOON + MINUTE)

        assert by_minute(outbox.database, "accepted") == by_minute(outbox.database, "dead") == {0: 1}

    def test_counts_again_when_it_was_sent_again(self, outbox: Outbox) -> None:
        [accepted] = outbox.accept(a_message())
        outbox.settle(outbox.claim(), Rejected("no", 400), now=NOON + SECOND)
        count(outbox.database, NOON + MINUTE)
        outbox.replay(accepted.ids[0], now=NOON + MINUTE)
        outbox.settle(outbox.claim(now=NOON + MINUTE), now=NOON + MINUTE)

        count(outbox.database, NOON + 2 * MINUTE)

        assert by_minute(outbox.database, "dead") == {0: 1}
        assert by_minute(outbox.database, "delivered") == {1: 1}
        assert by_minute(outbox.database, "accepted") == {0: 1}

    def test_is_counted_in_pieces_that_share_no_time(
        self, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Of those that one transaction settled, a piece takes all or none."""
        monkeypatch.setattr(tally, "MOST", 3)
        outbox.accept(*(a_message(line=None) for _ in range(12)))
        for calls, seconds in zip(
            (outbox.claim(2), outbox.claim(5), outbox.claim(5)), (1, 2, 3), strict=True
        ):
            outbox.settle(calls, now=NOON + seconds * SECOND)

        assert count(outbox.database, NOON + MINUTE) > 1
        assert by_minute(outbox.database, "delivered") == {0: 12}

    def test_tells_how_long_it_took(self, outbox: Outbox) -> None:
        outbox.accept(*(a_message(line=None) for _ in range(20)))
        calls = outbox.claim()
        outbox.settle(calls[:10], now=NOON + timedelta(milliseconds=400))
        outbox.settle(calls[10:19], now=NOON + 8 * SECOND)
        outbox.settle(calls[19:], now=NOON + 50 * SECOND)

        count(outbox.database, NOON + 2 * MINUTE)

        with outbox.database.read() as connection:
            [point] = samples.series(connection, FIRST, FIRST + 1)
        assert point.half_ms is not None
        assert 300 <= point.half_ms <= 500
        assert point.most_ms is not None
        assert 7_500 <= point.most_ms <= 10_000
        assert point.slowest_ms is not None
        assert 45_000 <= point.slowest_ms <= 60_000

    def test_is_summed_for_good(self, outbox: Outbox) -> None:
        for day in range(20):
            outbox.accept(a_message(line=None), now=NOON + day * DAY)
            outbox.deliver(now=NOON + day * DAY)
            count(outbox.database, NOON + day * DAY + MINUTE)
            with outbox.database.write() as connection:
                tally.forget_old(connection, NOON + day * DAY)

        with outbox.database.read() as connection:
            total = samples.totals(connection)[DESTINATION]
            kept = connection.scalar(sa.select(sa.func.count()).select_from(sample_rows))
        assert (total.counts["accepted"], total.counts["delivered"]) == (20, 20)
        assert total.took == {"0": 20}
        assert kept == 9 + 1

    def test_of_the_time_before_anybody_counted_is_counted_as_far_as_it_is_kept(self, outbox: Outbox) -> None:
        for days in (0, 5, 12):
            outbox.accept(a_message(line=None), now=NOON + days * DAY)
            outbox.deliver(now=NOON + days * DAY)

        count(outbox.database, NOON + 12 * DAY + MINUTE)

        with outbox.database.read() as connection:
            points = samples.series(connection, FIRST, FIRST + 20 * 1440, 1440)
            total = samples.totals(connection)[DESTINATION]
        assert [(p.minute - FIRST) // 1440 for p in points] == [5, 12]
        assert total.counts["accepted"] == 3


class TestTemplates:
    def test_are_told_by_what_was_sent_and_what_failed(self, outbox: Outbox) -> None:
        of_sale = {"template": "sale", "line": None}
        outbox.accept(a_message(version=1, **of_sale), a_message(version=2, **of_sale), a_message(line=None))
        outbox.accept(a_message(version=2, state=State.DEAD, **of_sale), a_message(is_test=True, **of_sale))
        outbox.settle(outbox.claim(), now=NOON + SECOND)

        count(outbox.database, NOON + MINUTE)

        with outbox.database.read() as connection:
            assert samples.of_templates(connection, NOON) == {"sale": samples.Counts(2, 1)}

    def test_are_told_from_a_time_on(self, outbox: Outbox) -> None:
        for hours in (0, 30):
            outbox.accept(a_message(line=None, template="sale"), now=NOON + timedelta(hours=hours))
            outbox.deliver(now=NOON + timedelta(hours=hours))
        count(outbox.database, NOON + timedelta(hours=31))

        with outbox.database.read() as connection:
            found = samples.of_templates(connection, NOON + timedelta(hours=7))

        assert found == {"sale": samples.Counts(1, 0)}


class TestWhoCounts:
    def test_is_one_worker(self, database: Database) -> None:
        assert count(database, NOON, "w-1")
        assert not count(database, NOON + 59 * SECOND, "w-2")
        assert count(database, NOON + 59 * SECOND, "w-1")

    def test_is_another_when_that_is_not_heard_of(self, database: Database) -> None:
        count(database, NOON, "w-1")

        assert count(database, NOON + 61 * SECOND, "w-2")
        assert not count(database, NOON + 62 * SECOND, "w-1")

    def test_is_another_at_once_when_that_has_stopped(self, database: Database) -> None:
        count(database, NOON, "w-1")
        with database.write() as connection:
            tally.let_go(connection, "w-2", NOON)
        assert not count(database, NOON + SECOND, "w-2")
        with database.write() as connection:
            tally.let_go(connection, "w-1", NOON)

        assert count(database, NOON + SECOND, "w-2")

    def test_is_nobody_while_another_looks_at_the_row(self, postgresql_database_url: str) -> None:
        """On SQLite one waits for the other."""
        first, second = Database(postgresql_database_url), Database(postgresql_database_url)
        try:
            count(first, NOON, "w-1")
            with first.write() as connection, second.write() as other:
                assert tally.hold(connection, "w-1", NOON + SECOND) is not None
                assert tally.hold(other, "w-2", NOON + DAY) is None
        finally:
            first.close()
            second.close()


class TestWhatWaits:
    def test_is_counted_with_the_age_of_its_oldest(self, outbox: Outbox) -> None:
        outbox.accept(a_message(), now=NOON)
        outbox.accept(a_message(line=None), a_message(destination="braze"), now=NOON + MINUTE)

        measure(outbox.database, NOON + 5 * MINUTE)

        with outbox.database.read() as connection:
            rows = {row.destination: row for row in connection.execute(sa.select(depths))}
            points = samples.series(connection, FIRST, FIRST + 10)
        assert (rows[DESTINATION].waiting, rows[DESTINATION].oldest_at) == (2, NOON)
        assert (rows["braze"].waiting, rows["braze"].oldest_at) == (1, NOON + MINUTE)
        assert [(p.minute - FIRST, p.destination, p.waiting) for p in points] == [
            (5, "braze", 1),
            (5, DESTINATION, 2),
        ]

    def test_counts_among_the_latencies_with_its_age(self, outbox: Outbox) -> None:
        """Nine were delivered at once, and one has waited for five minutes since."""
        outbox.accept(*(a_message(line=None) for _ in range(9)), now=NOON + 5 * MINUTE)
        outbox.settle(outbox.claim(now=NOON + 5 * MINUTE), now=NOON + 5 * MINUTE)
        outbox.accept(a_message(), now=NOON)
        for first, second in ((measure, count), (count, measure)):
            first(outbox.database, NOON + 5 * MINUTE + 30 * SECOND)
            second(outbox.database, NOON + 5 * MINUTE + 30 * SECOND)
            with outbox.database.read() as connection:
                [*_, point] = samples.series(connection, FIRST, FIRST + 10)
            assert point.half_ms is not None
            assert point.half_ms <= 50
            assert point.slowest_ms is not None
            assert 300_000 <= point.slowest_ms <= 450_000
            forget_all(outbox.database)

    def test_is_counted_in_pieces_as_a_whole(self, outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
        for minutes in range(10):
            outbox.accept(
                a_message(line=None), a_message(line=None, destination="braze"), now=NOON + minutes * MINUTE
            )
        whole = of_depths(outbox.database, NOON + 10 * MINUTE)
        monkeypatch.setattr(depth, "MOST", 3)

        assert measure(outbox.database, NOON + 10 * MINUTE) == 7
        assert of_depths(outbox.database, NOON + 10 * MINUTE, again=False) == whole
        assert whole[DESTINATION] == 10

    def test_is_nothing_again_when_all_has_left(self, outbox: Outbox) -> None:
        outbox.accept(a_message())
        measure(outbox.database, NOON)
        outbox.deliver(now=NOON)

        measure(outbox.database, NOON + MINUTE)

        assert of_depths(outbox.database, NOON, again=False) == {DESTINATION: 0}
        assert waits(outbox.database) == samples.Waiting(0, None)

    def test_tells_where_in_line_something_goes_out_of_date(self, outbox: Outbox) -> None:
        early, late = NOON + timedelta(hours=1), NOON + timedelta(hours=2)
        for expires_at in (None, early, early + SECOND, None, late):
            outbox.accept(a_message(line=None, expires_at=expires_at))

        measure(outbox.database, NOON)

        assert waits(outbox.database).expiring == (
            (1, 2, pytest.approx(early.timestamp(), abs=1)),
            (4, 1, late.timestamp()),
        )

    def test_is_counted_anew_where_somebody_looks_while_it_is_little(self, outbox: Outbox) -> None:
        expires_at = NOON + timedelta(hours=1)
        outbox.accept(*(a_message(line=None, expires_at=expires_at) for _ in range(4)))
        measure(outbox.database, NOON)
        outbox.deliver(3)

        found = waits(outbox.database)

        assert (found.messages, found.oldest_at, found.is_cut) == (1, NOON, False)
        assert found.expiring == ((0, 1, expires_at.timestamp()),)

    def test_is_what_was_counted_last_while_it_is_much(
        self, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(samples, "MOST_LIVE", 3)
        outbox.accept(*(a_message(line=None) for _ in range(5)))
        before = waits(outbox.database)
        measure(outbox.database, NOON + MINUTE)

        assert (before.messages, before.is_cut) == (3, True)
        assert waits(outbox.database) == samples.Waiting(5, NOON, counted_at=NOON + MINUTE)


def of_depths(database: Database, now: datetime, *, again: bool = True) -> dict[str, int]:
    if again:
        measure(database, now)
    with database.read() as connection:
        return {row.destination: row.waiting for row in connection.execute(sa.select(depths))}


def forget_all(database: Database) -> None:
    with database.write() as connection:
        for table in (sample_rows, depths, counting, template_samples):
            connection.execute(sa.delete(table))


class TestRuns:
    def test_of_about_the_same_time_are_one(self) -> None:
        runs = [(0, 10, 1000.0), (10, 30, 1040.0), (40, 5, 5000.0)]

        assert depth.merged(runs, 60) == [(0, 40, 1030.0), (40, 5, 5000.0)]

    def test_are_never_too_many(self) -> None:
        runs = [(n, 1, 1000.0 * n) for n in range(10 * depth.MOST_RUNS)]

        found = depth.merged(runs, 60)

        assert len(found) <= depth.MOST_RUNS
        assert sum(count for _, count, _ in found) == len(runs)


class TestTheLadder:
    def test_has_a_share_on_a_part_of_its_step(self) -> None:
        held = {str(ladder.step_of(ms)): 10 for ms in (90, 900, 9_000)}

        assert ladder.within(held, 0.5) == 875
        assert ladder.within(held, 1.0) == 10_000
        assert ladder.within({}, 0.5) is None

    def test_is_the_same_in_sql(self, database: Database) -> None:
        times = [0, 50, 50.1, 999, 1000, 60_000, 60_001, 10**10]
        with database.read() as connection:
            found = [
                connection.scalar(sa.select(ladder.step(sa.literal(float(ms), sa.Float)))) for ms in times
            ]

        assert found == [ladder.step_of(ms) for ms in times]


class TestForgetting:
    def test_takes_what_is_older_than_eight_days(self, outbox: Outbox) -> None:
        for days in (0, 9):
            outbox.accept(a_message(line=None, template="sale"), now=NOON + days * DAY)
            outbox.deliver(now=NOON + days * DAY)
            count(outbox.database, NOON + days * DAY + MINUTE)

        with outbox.database.write() as connection:
            gone = tally.forget_old(connection, NOON + 9 * DAY)
            again = tally.forget_old(connection, NOON + 9 * DAY)

        assert (gone, again) == (2, 0)
        assert Counter(by_minute(outbox.database, "accepted").values()) == Counter()

    def test_goes_piece_by_piece(self, outbox: Outbox) -> None:
        for minutes in range(5):
            outbox.accept(a_message(line=None), now=NOON + minutes * MINUTE)
        count(outbox.database, NOON + 6 * MINUTE)

        def piece() -> int:
            with outbox.database.write() as connection:
                return tally.forget_old(connection, NOON + 20 * DAY, most=2)

        assert [piece() for _ in range(4)] == [2, 2, 1, 0]


def test_a_template_whose_version_is_not_known_is_counted_all_the_same(outbox: Outbox) -> None:
    outbox.accept(a_request(a_message(template="sale", version=None)))
    outbox.settle(outbox.claim(), Delivered(202))

    count(outbox.database, NOON + MINUTE)

    with outbox.database.read() as connection:
        assert samples.of_templates(connection, NOON) == {"sale": samples.Counts(1, 0)}
