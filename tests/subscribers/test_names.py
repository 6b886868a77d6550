"""How Rokt's names of facts are read: from the webhook's samples, and from the API's answers."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.settings import ATTRIBUTES
from bridge.subscribers.facts import FACTS
from bridge.subscribers.names import IS_ACTIVE, NAMES, SUBSCRIBER_ID, facts_of, plain_name

ID = "0f1d5918-052d-4915-89a7-8cc9c4d33492"
DETAILS: dict[str, Any] = {
    "actionType": "SubscriptionViaCalendarPage",
    "accountId": "0b98ef2c-f739-45f1-81e3-b2def2bb868f",
    "accountName": "Your Account",
    "accountCode": "your-account",
    "subscription": {
        "calendarSubscriptionId": ID,
        "calendarId": "4a2d4acb-bd05-e511-af43-067f1c947754",
        "calendarTitle": "My Sports Calendar",
        "calendarCode": "my-sports-calendar",
        "subscriptionMethod": "Webcal",
        "calendarTags": [{"tagId": "6513319e-d3e1-4497-89ee-b5dcee9a58bc", "tagName": "Hawks/Home"}],
    },
}
OF_THE_API: dict[str, Any] = {
    "subscriptionId": ID,
    "calendar": {"code": "my-sports-calendar", "name": "My Sports Calendar", "image": "https://x/y.png"},
    "tags": ["Hawks/Home"],
    "timezoneId": "Eastern Standard Time",
    "subscriptionType": "Google",
    "subscriberId": "u-1",
    "emailAddress": "ada@example.com",
    "createdAt": "2020-05-06T01:18:49Z",
    "isActive": False,
    "events": [],
}


class TestTheNames:
    def test_there_is_one_for_each_fact_that_braze_can_be_told(self) -> None:
        assert tuple(NAMES) == FACTS == ATTRIBUTES

    def test_all_are_plain_and_none_means_two_facts(self) -> None:
        names = [name for every in (*NAMES.values(), SUBSCRIBER_ID, IS_ACTIVE) for name in every]

        assert names == [plain_name(name) for name in names]
        assert len(names) == len(set(names))

    @pytest.mark.parametrize("name", ["calendarTitle", "CalendarTitle", "calendar_title", "CALENDAR-TITLE"])
    def test_case_and_what_stands_between_words_do_not_matter(self, name: str) -> None:
        assert facts_of({name: "T"}).facts == {"calendar_title": "T"}


class TestAWebhook:
    def test_every_fact_of_the_sample_is_found(self) -> None:
        told = facts_of(DETAILS)

        assert told.facts == {
            "account_code": "your-account",
            "account_id": "0b98ef2c-f739-45f1-81e3-b2def2bb868f",
            "account_name": "Your Account",
            "calendar_code": "my-sports-calendar",
            "calendar_id": "4a2d4acb-bd05-e511-af43-067f1c947754",
            "calendar_title": "My Sports Calendar",
            "subscription_id": ID,
            "subscription_method": "WebCal",
            "tags": ["Hawks/Home"],
        }
        assert told.subscription_id == ID
        assert told.said == set(told.facts)
        assert (told.subscriber_id, told.email, told.is_active, told.faults) == (None, None, None, ())

    def test_the_id_stands_beside_the_subscription_or_in_it(self) -> None:
        beside = {"calendarSubscriptionId": ID, "subscription": {"countryCode": "US", "userAgent": "Mozilla"}}

        told = facts_of(beside)

        assert told.subscription_id == ID
        assert told.facts == {"subscription_id": ID, "country_code": "US"}

    def test_a_blank_in_the_subscription_gives_way_to_what_stands_beside_it(self) -> None:
        told = facts_of({"accountCode": "shop", "subscription": {"accountCode": " "}})

        assert told.facts == {"account_code": "shop"}

    def test_what_is_only_blank_was_said_all_the_same(self) -> None:
        told = facts_of({"subscription": {"calendarTags": [None], "emailAddress": None, "countryCode": ""}})

        assert told.facts == {}
        assert told.said == {"tags", "subscriber_email", "country_code"}

    def test_that_there_are_no_tags_is_said(self) -> None:
        assert facts_of({"subscription": {"calendarTags": []}}).facts == {"tags": []}

    def test_too_many_tags_are_left_out_and_named(self) -> None:
        told = facts_of({"subscription": {"calendarTags": [f"tag {number}" for number in range(101)]}})

        assert (told.facts, told.faults) == ({}, ("tags",))

    @pytest.mark.parametrize("blank", [None, "", " "])
    def test_a_blank_id_of_the_subscriber_tells_nobody(self, blank: str | None) -> None:
        assert "subscriber_id" not in facts_of({"subscription": {"subscriberId": blank}}).said

    def test_the_name_of_a_feed_is_nobodys(self) -> None:
        """Rokt's API tells it with a password: the calendar logs in by it."""
        assert facts_of({"subscription": {"userName": "calreply_8371"}}).subscriber_id is None

    @pytest.mark.parametrize(
        "tags",
        [
            ["A/B", "C"],
            [{"tagId": "1", "tagName": "A/B"}, {"tagId": "2", "name": "C"}],
            [{"title": "A/B"}, " C ", None, "", {}, {"tagName": ""}, "A/B"],
            [{"tagId": "A/B"}, {"tagId": "C", "tagName": None}],
        ],
    )
    def test_tags_are_texts_or_objects_with_a_name_or_an_id(self, tags: list[Any]) -> None:
        assert facts_of({"subscription": {"calendarTags": tags}}).facts == {"tags": ["A/B", "C"]}

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ({"subscriberId": "u-1"}, "u-1"),
            ({"externalSubscriberId": "u-1", "subscriberId": "of Rokt"}, "u-1"),
            ({"userName": "of the feed", "subscriberId": " u-1 "}, "u-1"),
            ({"subscriber": {"id": "u-1"}}, "u-1"),
            ({"subscriberId": 17}, "17"),
            ({"subscriberId": "x" * 900}, "x" * 900),
        ],
    )
    def test_the_subscribers_id_has_several_names(self, given: dict[str, Any], expected: str) -> None:
        told = facts_of({"subscription": given})

        assert told.subscriber_id == expected
        assert "subscriber_id" in told.said

    @pytest.mark.parametrize("name", ["emailAddress", "subscriberEmail", "email"])
    def test_the_address_is_a_fact_and_who_the_subscriber_is(self, name: str) -> None:
        told = facts_of({"subscription": {name: "Ada@example.com"}})

        assert told.email == told.facts["subscriber_email"] == "Ada@example.com"


class TestTheApi:
    def test_its_answer_is_read_by_the_same_names(self) -> None:
        told = facts_of(OF_THE_API)

        assert told.facts == {
            "calendar_code": "my-sports-calendar",
            "calendar_title": "My Sports Calendar",
            "subscriber_email": "ada@example.com",
            "subscription_id": ID,
            "subscription_method": "Google",
            "tags": ["Hawks/Home"],
        }
        assert (told.subscriber_id, told.email, told.is_active) == ("u-1", "ada@example.com", False)

    def test_opt_ins_are_numbered_or_additional(self) -> None:
        assert facts_of({"additionalOptIn": True, "additionalOptIn2": "no"}).facts == {
            "optIn1": True,
            "optIn2": False,
        }


class TestWhatIsNotRight:
    def test_it_is_left_out_and_named_and_the_rest_is_taken(self) -> None:
        told = facts_of(
            {
                "accountCode": ["a", "b"],
                "accountName": "x" * 300,
                "calendarCode": "good",
                "optIn": "perhaps",
                "subscriberId": {"id": 1},
                "calendarTags": ["good", "x" * 300, {"tagName": 7}, {"tagName": {"a": 1}}],
                "isActive": "perhaps",
                "geoCountry": "a\x00b",
            }
        )

        assert told.facts == {"calendar_code": "good", "tags": ["good", "7"]}
        assert set(told.faults) == {
            "account_code",
            "account_name",
            "optIn1",
            "subscriber_id",
            "tags",
            "is_active",
            "geo_country",
        }
        assert "subscriber_id" not in told.said

    @pytest.mark.parametrize("odd", ["a\ud800b", "a\nb", "x" * 1_000, True, 1.5, []])
    def test_what_can_name_no_profile_is_no_subscribers_id(self, odd: object) -> None:
        told = facts_of({"subscriberId": odd})

        assert (told.subscriber_id, told.faults) == (None, ("subscriber_id",))

    @pytest.mark.parametrize(
        "odd",
        [
            {},
            {"subscription": None},
            {"subscription": []},
            {"subscription": "x", "calendar": "y", "subscriber": 5},
            {"subscription": {"subscription": {"calendarCode": "too deep"}}},
            {"": 1, "-": 2, "ä": 3},
            {"calendar": {"code": {"code": {}}}},
            {"tags": {"tagName": {"a": 1}}},
        ],
    )
    def test_nothing_is_ever_raised(self, odd: dict[str, Any]) -> None:
        assert facts_of(odd).facts == {}

    def test_a_fault_shows_nothing_of_the_value(self) -> None:
        assert "private" not in str(facts_of({"emailAddress": "private\n@example.com"}).faults)
