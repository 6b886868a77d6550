"""How a repeat is known: by its key, by the bytes of the latest, by the caller's own order."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from factories import NOON, a_message, a_request, a_subject, an_event
from outbox.steps import Outbox

from bridge.message import Rejected, State
from bridge.outbox.enqueue import Request, accepted_content
from bridge.outbox.tables import latest, repeats

HOUR = timedelta(hours=1)
MOMENT = timedelta(seconds=1)


def about(digest: str, name: str = "sale_u-1", **fields: object) -> Request:
    return a_request(subject=a_subject(name, digest=digest, **fields))


class TestByKey:
    def test_a_repeat_answers_the_first_ids_and_stores_nothing(self, outbox: Outbox) -> None:
        two = [a_message(account_code="one"), a_message(account_code="two")]
        [first] = outbox.accept(a_request(*two, repeat_key="k-1"))

        [again] = outbox.accept(a_request(*two, repeat_key="k-1"), now=NOON + HOUR)

        assert again.is_repeat
        assert again.ids == first.ids
        assert len(outbox.states()) == 2

    def test_another_key_is_another_request(self, outbox: Outbox) -> None:
        outbox.accept(a_request(repeat_key="k-1"))

        [other] = outbox.accept(a_request(repeat_key="k-2"))

        assert not other.is_repeat

    def test_a_repeat_is_known_for_seven_days(self, outbox: Outbox) -> None:
        outbox.accept(a_request(repeat_key="k-1"))

        [within] = outbox.accept(a_request(repeat_key="k-1"), now=NOON + timedelta(days=7) - MOMENT)
        [after] = outbox.accept(a_request(repeat_key="k-1"), now=NOON + timedelta(days=7))
        [again] = outbox.accept(a_request(repeat_key="k-1"), now=NOON + timedelta(days=7) + MOMENT)

        assert [within.is_repeat, after.is_repeat, again.is_repeat] == [True, False, True]
        assert again.ids == after.ids

    def test_a_key_decides_whatever_the_bytes_are(self, outbox: Outbox) -> None:
        [first] = outbox.accept(replace(about("A"), repeat_key="k-1"))

        [same_key] = outbox.accept(replace(about("B"), repeat_key="k-1"))
        [same_bytes] = outbox.accept(replace(about("A"), repeat_key="k-2"))

        assert same_key.ids == first.ids
        assert not same_bytes.is_repeat

    def test_what_a_template_refused_is_not_taken_for_a_repeat(self, outbox: Outbox) -> None:
        dead = a_message(state=State.DEAD, reason="unknown template", request={})
        outbox.accept(a_request(dead, repeat_key="k-1"))

        [mended] = outbox.accept(a_request(repeat_key="k-1"))

        assert not mended.is_repeat

    def test_what_was_skipped_is(self, outbox: Outbox) -> None:
        skipped = a_message(state=State.SKIPPED, reason="discount under 5", request={})
        outbox.accept(a_request(skipped, repeat_key="k-1"))

        [again] = outbox.accept(a_request(skipped, repeat_key="k-1"))

        assert again.is_repeat
        assert outbox.states() == [State.SKIPPED]

    def test_an_expired_key_leaves_no_second_row(self, outbox: Outbox) -> None:
        outbox.accept(a_request(repeat_key="k-1"))
        outbox.accept(a_request(repeat_key="k-1"), now=NOON + timedelta(days=8))

        [row] = outbox.rows(sa.select(repeats))
        assert row.expires_at == NOON + timedelta(days=15)


class TestByteForByte:
    def test_the_latest_request_of_an_event_is_known_for_an_hour(self, outbox: Outbox) -> None:
        [first] = outbox.accept(about("A"))

        [within] = outbox.accept(about("A"), now=NOON + HOUR - MOMENT)
        [after] = outbox.accept(about("A"), now=NOON + HOUR)

        assert within.is_repeat
        assert within.ids == first.ids
        assert not after.is_repeat

    def test_a_repeat_does_not_make_the_hour_longer(self, outbox: Outbox) -> None:
        outbox.accept(about("A"))
        outbox.accept(about("A"), now=NOON + HOUR / 2)

        [after] = outbox.accept(about("A"), now=NOON + HOUR)

        assert not after.is_repeat

    def test_there_and_back_again_is_two_changes(self, outbox: Outbox) -> None:
        accepted = [outbox.accept(about(digest))[0] for digest in "ABA"]

        assert [one.is_repeat for one in accepted] == [False, False, False]
        assert outbox.states() == [State.ACCEPTED] * 3

    def test_there_and_back_again_is_two_changes_within_a_group(self, outbox: Outbox) -> None:
        accepted = outbox.accept(*(about(digest) for digest in "AABA"))

        assert [one.is_repeat for one in accepted] == [False, True, False, False]
        assert accepted[1].ids == accepted[0].ids

    def test_the_same_bytes_about_another_event_are_no_repeat(self, outbox: Outbox) -> None:
        outbox.accept(about("A", "sale_u-1"))

        [other] = outbox.accept(about("A", "sale_u-2"))

        assert not other.is_repeat

    def test_a_request_about_no_event_is_never_one(self, outbox: Outbox) -> None:
        request = a_request()

        accepted = outbox.accept(request, request)

        assert [one.is_repeat for one in accepted] == [False, False]

    def test_what_died_may_be_asked_for_again(self, outbox: Outbox) -> None:
        """Else the caller's last word would be answered with 200 and never stand."""
        outbox.accept(about("A"), about("B"))
        outbox.deliver()
        outbox.settle(outbox.claim(), Rejected("answered 400", 400))

        accepted = outbox.accept(*(about(digest) for digest in "BB"))

        assert [one.is_repeat for one in accepted] == [False, True]
        assert outbox.states() == ["delivered", "dead", "accepted"]

    def test_so_may_what_died_in_one_of_its_accounts(self, outbox: Outbox) -> None:
        two = [a_message(account_code="one"), a_message(account_code="two")]
        request = a_request(*two, subject=a_subject(digest="A"))
        outbox.accept(request)
        outbox.deliver()
        outbox.settle(outbox.claim(), Rejected("answered 400", 400))

        [again] = outbox.accept(request)

        assert not again.is_repeat

    def test_what_was_delivered_may_not(self, outbox: Outbox) -> None:
        outbox.accept(about("A"))
        outbox.deliver()

        [again] = outbox.accept(about("A"))

        assert again.is_repeat

    def test_what_was_skipped_is_not_the_latest(self, outbox: Outbox) -> None:
        outbox.accept(about("A"))
        skipped = a_message(state=State.SKIPPED, reason="nobody left")
        outbox.accept(replace(about("B"), messages=(skipped,)))

        [again] = outbox.accept(about("A"))

        assert again.is_repeat


class TestTheCallersOrder:
    def test_an_older_as_of_is_superseded(self, outbox: Outbox) -> None:
        outbox.accept(about("A", as_of=20.0))

        [older] = outbox.accept(about("B", as_of=10.0))

        assert older.state == State.SUPERSEDED
        row = outbox.message(older.ids[0])
        assert (row.state, row.reason) == (
            State.SUPERSEDED,
            "an event with a newer as_of was accepted before",
        )
        assert len(outbox.waiting()) == 1

    def test_an_older_as_of_is_superseded_within_a_group(self, outbox: Outbox) -> None:
        accepted = outbox.accept(*(about(f"{n}", as_of=float(n)) for n in (1, 3, 2, 4)))

        assert [one.state for one in accepted] == ["accepted", "accepted", "superseded", "accepted"]

    @pytest.mark.parametrize("as_of", [20.0, 21.0])
    def test_the_same_or_a_newer_as_of_is_taken(self, outbox: Outbox, as_of: float) -> None:
        outbox.accept(about("A", as_of=20.0))

        [newer] = outbox.accept(about("B", as_of=as_of))

        assert newer.state == State.ACCEPTED

    def test_a_request_without_as_of_is_taken_and_does_not_forget_the_newest(self, outbox: Outbox) -> None:
        outbox.accept(about("A", as_of=20.0))
        [without] = outbox.accept(about("B"))

        [older] = outbox.accept(about("C", as_of=10.0))

        assert (without.state, older.state) == (State.ACCEPTED, State.SUPERSEDED)

    def test_an_older_as_of_of_another_event_is_taken(self, outbox: Outbox) -> None:
        outbox.accept(about("A", "sale_u-1", as_of=20.0))

        [other] = outbox.accept(about("B", "sale_u-2", as_of=10.0))

        assert other.state == State.ACCEPTED

    def test_what_is_superseded_does_not_become_the_latest(self, outbox: Outbox) -> None:
        outbox.accept(about("A", as_of=20.0))
        outbox.accept(about("B", as_of=10.0))

        [again] = outbox.accept(about("A", as_of=20.0))

        assert again.is_repeat

    def test_nearby_times_in_milliseconds_are_told_apart(self, outbox: Outbox) -> None:
        outbox.accept(about("A", as_of=1_793_000_000.002))

        [older] = outbox.accept(about("B", as_of=1_793_000_000.001))

        assert older.state == State.SUPERSEDED


class TestTheLatestContent:
    def test_it_is_the_event_as_it_will_stand(self, outbox: Outbox) -> None:
        subject = a_subject(content={"event": an_event(title="First"), "accounts": ["one"]})
        newer = replace(subject, digest="B", content={"event": an_event(title="Second"), "accounts": ["one"]})
        outbox.accept(a_request(subject=subject))
        outbox.accept(a_request(subject=newer))

        with outbox.database.read() as connection:
            content = accepted_content(connection, subject.key)
            unknown = accepted_content(connection, a_subject("other").key)

        assert content == newer.content
        assert unknown is None

    def test_a_delete_leaves_none(self, outbox: Outbox) -> None:
        outbox.accept(about("A"))
        outbox.accept(about("B", content=None))

        [row] = outbox.rows(sa.select(latest))
        assert row.content is None
