"""The facts of a subscription: how they are read, and the values that they become."""

from __future__ import annotations

from typing import Any

import pytest
from factories import SUBSCRIPTION

from bridge.errors import InvalidValue
from bridge.subscribers.facts import (
    FACTS,
    MOST_VALUE,
    Fact,
    key_of_subscription,
    read_fact,
    suffix_of,
    values,
)

SUFFIX = "f5733866ade2"
LONGEST = MOST_VALUE - len(f"/{SUFFIX}")
WHOLE: dict[str, Fact] = {
    "account_code": "brazetest",
    "account_id": "d0ce4299-7d6c-4888-bfd8-c7e867a0fa6c",
    "account_name": "Braze Test",
    "calendar_code": "test-calendar-1",
    "calendar_id": "9a9007c7-f5a4-e811-b13c-06424c4f2724",
    "calendar_title": "Test Calendar 1",
    "country_code": "AU",
    "device_name": "Desktop",
    "geo_country": "Australia",
    "optIn1": True,
    "optIn2": False,
    "source": "brazetest.Rokt Calendarapp.com",
    "subscriber_email": "test@email.com",
    "subscription_id": SUBSCRIPTION,
    "subscription_method": "WebCal",
    "tags": ["Test Calendar 1/All Teams", "Test Calendar 1/TeamI/"],
}


class TestReading:
    @pytest.mark.parametrize("given", [None, "", " \t"], ids=repr)
    def test_a_blank_one_is_none(self, given: Any) -> None:
        assert [read_fact(name, given) for name in FACTS] == [None] * len(FACTS)

    def test_no_tags_are_a_fact(self) -> None:
        assert read_fact("tags", []) == []

    def test_too_many_tags_are_refused(self) -> None:
        tags = [f"tag {number}" for number in range(101)]

        assert read_fact("tags", tags[:100]) == tags[:100]
        with pytest.raises(InvalidValue, match="101 tags; 100 are the most"):
            read_fact("tags", tags)

    @pytest.mark.parametrize("given", [[""], [None, " "]], ids=repr)
    def test_tags_that_are_all_blank_are_none(self, given: Any) -> None:
        assert read_fact("tags", given) is None

    @pytest.mark.parametrize(
        ("given", "opted"),
        [
            *((yes, True) for yes in (True, 1, "1", "true", "True", " YES ")),
            *((no, False) for no in (False, 0, "0", "false", "FALSE", "no")),
        ],
    )
    def test_an_opt_in_is_true_or_false_however_it_is_written(self, given: Any, opted: bool) -> None:
        assert read_fact("optIn1", given) is opted
        assert read_fact("optIn2", given) is opted

    @pytest.mark.parametrize("given", ["maybe", 2, 1.0, ["true"], {}, "on\x00"], ids=repr)
    def test_any_other_opt_in_is_refused(self, given: Any) -> None:
        with pytest.raises(InvalidValue, match="true or false"):
            read_fact("optIn1", given)

    @pytest.mark.parametrize(
        ("given", "method"),
        [
            ("webcal", "WebCal"),
            ("Webcal", "WebCal"),
            ("GOOGLE", "Google"),
            ("microsoft", "Microsoft"),
            ("Outlook", "Outlook"),
        ],
    )
    def test_the_method_is_written_as_rokt_writes_it_in_braze(self, given: str, method: str) -> None:
        assert read_fact("subscription_method", given) == method

    @pytest.mark.parametrize(
        ("given", "tags"),
        [
            ("All Teams", ["All Teams"]),
            (["b", " a ", "", "b"], ["b", "a"]),
            ([7, "x/y/"], ["7", "x/y/"]),
        ],
    )
    def test_tags_are_a_list_without_blanks_and_doubles(self, given: Any, tags: list[str]) -> None:
        assert read_fact("tags", given) == tags

    @pytest.mark.parametrize(("given", "text"), [(" a b ", "a b"), (12, "12"), (1.5, "1.5"), ("ü🙂", "ü🙂")])
    def test_a_text_may_be_a_number(self, given: Any, text: str) -> None:
        assert read_fact("source", given) == text

    @pytest.mark.parametrize("name", ["source", "subscription_id", "tags"])
    @pytest.mark.parametrize("given", [True, {"a": 1}, [[1]]], ids=repr)
    def test_what_is_no_text_is_refused(self, name: str, given: Any) -> None:
        with pytest.raises(InvalidValue, match="a text"):
            read_fact(name, given)

    @pytest.mark.parametrize("given", ["a\x00b", "a\nb", "\x7fx", "a\x85b", "\ud800"], ids=ascii)
    @pytest.mark.parametrize("name", ["source", "subscription_id", "tags"])
    def test_a_character_that_nobody_can_see_is_refused(self, name: str, given: str) -> None:
        with pytest.raises(InvalidValue, match="cannot be shown"):
            read_fact(name, given)

    def test_what_fits_into_braze_with_its_suffix_is_taken(self) -> None:
        assert read_fact("source", "é" * LONGEST) == "é" * LONGEST
        assert read_fact("tags", ["x" * LONGEST]) == ["x" * LONGEST]
        assert read_fact("subscription_id", "x" * MOST_VALUE) == "x" * MOST_VALUE

    @pytest.mark.parametrize(
        ("name", "most"), [("source", LONGEST), ("tags", LONGEST), ("subscription_id", MOST_VALUE)]
    )
    def test_what_does_not_fit_is_refused_with_the_limit(self, name: str, most: int) -> None:
        with pytest.raises(InvalidValue, match=rf"{most + 1} characters.*{most} fit.*255"):
            read_fact(name, "x" * (most + 1))


class TestKeys:
    def test_both_cases_are_one_subscription(self) -> None:
        assert key_of_subscription(f" {SUBSCRIPTION.upper()}\n") == SUBSCRIPTION

    def test_it_can_be_stored_whatever_was_given(self) -> None:
        assert key_of_subscription("A\x00\ud800b") == "a\ufffd\ufffdb"

    @pytest.mark.parametrize(
        ("given", "suffix"),
        [
            (SUBSCRIPTION.upper(), SUFFIX),
            ("12345", "12345"),
            ("ab-", "ab"),
            ("-", "-"),
            ("a-b-", "b"),
        ],
    )
    def test_the_suffix_is_the_last_group(self, given: str, suffix: str) -> None:
        assert suffix_of(given) == suffix


class TestValues:
    def test_they_are_what_rokt_itself_writes(self) -> None:
        """The examples of Braze's page about Rokt Calendar, with the suffix of this subscription."""
        found = values(WHOLE, SUFFIX, FACTS)

        assert found == {
            "rokt:account_code": [f"brazetest/{SUFFIX}"],
            "rokt:account_id": [f"d0ce4299-7d6c-4888-bfd8-c7e867a0fa6c/{SUFFIX}"],
            "rokt:account_name": [f"Braze Test/{SUFFIX}"],
            "rokt:calendar_code": [f"test-calendar-1/{SUFFIX}"],
            "rokt:calendar_id": [f"9a9007c7-f5a4-e811-b13c-06424c4f2724/{SUFFIX}"],
            "rokt:calendar_title": [f"Test Calendar 1/{SUFFIX}"],
            "rokt:country_code": [f"AU/{SUFFIX}"],
            "rokt:device_name": [f"Desktop/{SUFFIX}"],
            "rokt:geo_country": [f"Australia/{SUFFIX}"],
            "rokt:optIn1": [f"True/{SUFFIX}"],
            "rokt:optIn2": [f"False/{SUFFIX}"],
            "rokt:source": [f"brazetest.Rokt Calendarapp.com/{SUFFIX}"],
            "rokt:subscriber_email": [f"test@email.com/{SUFFIX}"],
            "rokt:subscription_id": [SUBSCRIPTION],
            "rokt:subscription_method": [f"WebCal/{SUFFIX}"],
            "rokt:tags": [f"Test Calendar 1/All Teams/{SUFFIX}", f"Test Calendar 1/TeamI//{SUFFIX}"],
        }

    def test_what_is_not_wanted_or_not_known_is_left_out(self) -> None:
        found = values({"source": "x", "tags": ["a"]}, SUFFIX, {"tags", "account_code"})

        assert found == {"rokt:tags": [f"a/{SUFFIX}"]}

    def test_one_that_braze_would_not_take_is_left_out(self) -> None:
        """Else Braze leaves the profile unchanged and says that all is well."""
        found = values({"source": "x" * LONGEST, "tags": ["x" * LONGEST, "b"]}, SUFFIX + "0", FACTS)

        assert found == {"rokt:tags": [f"b/{SUFFIX}0"]}
