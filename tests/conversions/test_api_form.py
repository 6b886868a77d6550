"""Events of Rokt's older API: their form, their limits, and how they share calls."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from bridge.conversions.api_calls import Limits, calls_of
from bridge.conversions.api_form import (
    ApiEvent,
    call_body,
    checked_name,
    checked_time,
    checked_value,
    to_event,
)
from bridge.conversions.batches import size_of
from bridge.conversions.conversion import Conversion
from bridge.errors import InvalidValue

NOW = datetime(2027, 8, 31, 12, tzinfo=UTC)


def pairs(**named: str) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in named.items()]


class TestAConversion:
    def test_it_is_told_in_rokts_lower_case_names_and_in_texts(self) -> None:
        conversion = Conversion(
            email="ada@example.com",
            user_id="u-1",
            click_id="click-1",
            user_attributes={"firstname": "Ada", "vip": True},
            attributes={"amount": 129.95, "quantity": 2, "transactionid": "T-1"},
            occurred_at=datetime(2027, 8, 1, 9, 30, 15, 123456, tzinfo=timezone(timedelta(hours=2))),
        )

        assert to_event(conversion, "e-1", NOW).body() == {
            "clientEventId": "e-1",
            "eventType": "conversion",
            "eventTime": "2027-08-01T07:30:15.123Z",
            "objectData": pairs(
                email="ada@example.com",
                passbackconversiontrackingid="click-1",
                customerid="u-1",
                firstname="Ada",
                vip="true",
                amount="129.95",
                quantity="2",
                transactionid="T-1",
            ),
        }

    def test_without_a_time_it_happens_now(self) -> None:
        assert to_event(Conversion(email_sha256="a" * 64), "e-1", NOW).event_time == NOW

    def test_a_hash_stands_in_the_hashs_field_alone(self) -> None:
        body = to_event(Conversion(email_sha256="a" * 64), "e-1", NOW).body()

        assert body["objectData"] == pairs(emailsha256="a" * 64)

    @pytest.mark.parametrize("name", ["email", "EmailSHA256", "customerid", "PassbackConversionTrackingId"])
    def test_who_it_was_stands_in_no_further_attribute(self, name: str) -> None:
        with pytest.raises(InvalidValue, match=f"{name}: it has a field of its own"):
            to_event(Conversion(email="ada@example.com", attributes={name: "x"}), "e-1", NOW)

    def test_a_reserved_name_is_refused_by_name(self) -> None:
        with pytest.raises(InvalidValue, match=r"^Rokt\.secret: begins with"):
            to_event(Conversion(email="ada@example.com", attributes={"Rokt.secret": 1}), "e-1", NOW)

    @pytest.mark.parametrize(
        ("conversion", "names"),
        [
            (Conversion(email="ada@example.com"), True),
            (Conversion(email_sha256="a" * 64), True),
            (Conversion(click_id="c"), True),
            (Conversion(user_id="u-1", attributes={"amount": 1}), False),
        ],
    )
    def test_an_address_its_hash_or_a_click_names_somebody(self, conversion: Conversion, names: bool) -> None:
        assert to_event(conversion, "e-1", NOW).names_somebody is names


class TestLimits:
    @pytest.mark.parametrize(
        "at",
        [NOW, NOW + timedelta(minutes=5), datetime(2026, 2, 28, 12, tzinfo=UTC)],
        ids=["now", "five minutes ahead", "18 months ago, where February ends"],
    )
    def test_a_time_up_to_its_bounds_is_taken(self, at: datetime) -> None:
        assert checked_time(at, NOW) == at

    @pytest.mark.parametrize(
        ("at", "words"),
        [
            (NOW + timedelta(minutes=5, milliseconds=1), "5 minutes ahead"),
            (datetime(2026, 2, 28, 11, 59, 59, tzinfo=UTC), "18 months ago"),
        ],
    )
    def test_a_time_beyond_them_is_refused(self, at: datetime, words: str) -> None:
        with pytest.raises(InvalidValue, match=words):
            checked_time(at, NOW)

    @pytest.mark.parametrize(
        ("at", "until"),
        [
            (datetime(2027, 1, 15, tzinfo=UTC), datetime(2028, 7, 15, tzinfo=UTC)),
            (datetime(2027, 8, 31, tzinfo=UTC), datetime(2029, 2, 28, tzinfo=UTC)),
            (datetime(2026, 6, 30, tzinfo=UTC), datetime(2027, 12, 30, tzinfo=UTC)),
        ],
    )
    def test_it_may_leave_until_it_is_18_months_old(self, at: datetime, until: datetime) -> None:
        assert ApiEvent("e", "conversion", at).keep_until == until

    @pytest.mark.parametrize("name", ["rokt.x", "ROKT.", "rOkT.id"])
    def test_a_name_of_rokts_own_is_refused_in_any_case(self, name: str) -> None:
        with pytest.raises(InvalidValue, match="Rokt's own"):
            checked_name(name)

    def test_names_and_values_have_lengths(self) -> None:
        assert checked_name("n" * 256) == "n" * 256
        assert checked_value("v" * 65_536) == "v" * 65_536
        for wrong in (lambda: checked_name("n" * 257), lambda: checked_value("v" * 65_537)):
            with pytest.raises(InvalidValue):
                wrong()
        with pytest.raises(InvalidValue, match="no name"):
            checked_name(" ")

    @pytest.mark.parametrize(("given", "name"), [("TransactionId", "transactionid"), ("myName", "myName")])
    def test_only_names_that_rokt_knows_lose_their_capitals(self, given: str, name: str) -> None:
        assert checked_name(given) == name


def events(*ids: str, filler: str = "") -> list[tuple[dict[str, Any], int | None]]:
    return [({"clientEventId": its_id, "filler": filler}, None) for its_id in ids]


class TestCalls:
    def test_a_call_has_as_many_as_the_flush_rule_says_and_never_more_than_100(self) -> None:
        many = events(*map(str, range(250)))

        assert calls_of(many, Limits.of("a", 1000, 10**6)) == [(100, True), (100, True), (50, False)]
        assert calls_of(many[:5], Limits.of("a", 2, 10**6)) == [(2, True), (2, True), (1, False)]

    def test_a_call_is_no_larger_than_the_flush_rule_says(self) -> None:
        some = events("a", "b", "c", "d", filler="é" * 50)
        limit = size_of(call_body("account", [event for event, _ in some[:3]]))

        assert calls_of(some, Limits.of("account", 100, limit + 1)) == [(3, True), (1, False)]
        assert calls_of(some, Limits.of("account", 100, limit - 1)) == [(2, True), (2, True)]

    def test_an_event_larger_than_that_goes_alone(self) -> None:
        assert calls_of(events("a", "b", filler="x" * 500), Limits.of("account", 100, 100)) == [
            (1, True),
            (1, True),
        ]

    def test_an_id_is_never_twice_in_a_call(self) -> None:
        assert calls_of(events("a", "b", "a", "b"), Limits.of("account", 100, 10**6)) == [
            (2, True),
            (2, False),
        ]

    def test_one_that_was_refused_in_a_crowd_goes_in_a_smaller_one(self) -> None:
        some = [(event, 2 if n >= 1 else None) for n, (event, _) in enumerate(events("a", "b", "c", "d"))]

        assert calls_of(some, Limits.of("account", 100, 10**6)) == [(2, True), (2, True)]
        assert calls_of([(some[0][0], 1), some[1]], Limits.of("account", 100, 10**6)) == [
            (1, True),
            (1, False),
        ]

    def test_nothing_makes_no_call(self) -> None:
        assert calls_of([], Limits.of("account", 100, 10**6)) == []
