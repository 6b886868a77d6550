"""Rokt's webhook into changes: the samples of its own pages, and the slips in them."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.message import State
from bridge.routes.rokt_webhooks import NO_CHANGE, Webhook, read

ID = "0f1d5918-052d-4915-89a7-8cc9c4d33492"
EVENT_ID = "b7c1a8de-052d-4915-89a7-000000000001"
ACCOUNT = {"accountId": "0b98ef2c", "accountName": "Your Account", "accountCode": "your-account"}
SUBSCRIPTION: dict[str, Any] = {
    "calendarSubscriptionId": ID,
    "calendarId": "4a2d4acb-bd05-e511-af43-067f1c947754",
    "calendarTitle": "My Sports Calendar",
    "calendarCode": "my-sports-calendar",
    "subscriptionMethod": "Google",
    "calendarTags": [{"tagId": "6513319e", "tagName": "Hawks"}],
    "subscriberId": "u-1",
    "emailAddress": "ada@example.com",
}
REMOVED: dict[str, Any] = {
    "removedDateTimeUtc": "2020-05-06 01:18:49.755190",
    "unsubscribeReasonText": "The event has come to an end",
    "remoteIpAddress": "54.241.167.141",
    "countryCode": "US",
    "geoCountry": "United States",
    "userAgent": "Mozilla/5.0",
}


def webhook(event_type: str | None, subscription: Any = SUBSCRIPTION, **more: Any) -> dict[str, Any]:
    details = {"actionType": "SubscriptionViaCalendarPage", **ACCOUNT, "subscription": subscription, **more}
    whole = {"eventId": EVENT_ID, "eventType": event_type, "eventDetails": details}
    return {name: value for name, value in whole.items() if value is not None}


def kept(body: dict[str, Any]) -> tuple[str, State, str | None, bool]:
    """Of a webhook that changes no subscriber."""
    found = read(body)
    assert found.change is None
    assert found.message is not None
    assert (found.message.destination, found.message.line) == ("braze", None)
    return found.message.action, found.message.state, found.message.reason, found.message.is_test


class TestChanges:
    @pytest.mark.parametrize(
        ("event_type", "action"),
        [
            ("Subscribe", "subscribe"),
            ("Unsubscribe", "unsubscribe"),
            ("SubscriptionDetailsUpdated", "update"),
            ("SubscriptionDetailsUpdate", "update"),
            (" subscribe ", "subscribe"),
        ],
    )
    def test_each_type_is_its_action(self, event_type: str, action: str) -> None:
        found = read(webhook(event_type))

        assert found.message is None
        assert found.change is not None
        assert (found.change.action, found.change.subscription_id) == (action, ID)
        assert (found.change.subscriber_id, found.change.email) == ("u-1", "ada@example.com")
        assert found.event_id == EVENT_ID

    def test_the_facts_are_those_of_the_account_and_of_the_subscription(self) -> None:
        found = read(webhook("Subscribe"))

        assert found.change is not None
        assert found.change.facts == {
            "account_code": "your-account",
            "account_id": "0b98ef2c",
            "account_name": "Your Account",
            "calendar_code": "my-sports-calendar",
            "calendar_id": "4a2d4acb-bd05-e511-af43-067f1c947754",
            "calendar_title": "My Sports Calendar",
            "subscriber_email": "ada@example.com",
            "subscription_id": ID,
            "subscription_method": "Google",
            "tags": ["Hawks"],
        }
        assert found.change.left_out == frozenset()

    def test_an_end_names_its_subscription_beside_the_object(self) -> None:
        found = read(webhook("Unsubscribe", REMOVED, calendarSubscriptionId=ID))

        assert found.change is not None
        assert (found.change.action, found.change.subscription_id) == ("unsubscribe", ID)
        assert found.change.facts["country_code"] == "US"
        assert found.change.left_out == {"subscriber_id", "subscriber_email"}

    def test_what_a_beginning_leaves_out_can_be_asked_for(self) -> None:
        found = read(webhook("Subscribe", {"calendarSubscriptionId": ID, "calendarTags": []}))

        assert found.change is not None
        assert found.change.left_out == {
            "subscriber_id",
            "subscriber_email",
            "calendar_code",
            "calendar_title",
            "subscription_method",
        }

    def test_a_fact_that_cannot_be_right_is_left_out_and_named(self) -> None:
        found = read(webhook("Subscribe", SUBSCRIPTION | {"calendarTitle": "x" * 300, "optIn": "perhaps"}))

        assert found.change is not None
        assert "calendar_title" not in found.change.facts
        assert set(found.faults) == {"calendar_title", "optIn1"}

    def test_the_envelope_is_read_in_any_case_of_letters(self) -> None:
        body = webhook("Subscribe")
        shouted = {name.upper(): value for name, value in body.items()}

        assert read(shouted) == read(body)


class TestWhatIsKept:
    def test_a_test_of_the_dashboard(self) -> None:
        assert kept(webhook("Test")) == ("test", State.SKIPPED, "a test of Rokt's dashboard", True)
        assert kept({"eventType": "test"})[0] == "test"

    @pytest.mark.parametrize(
        ("event_type", "action"),
        [
            ("SubscriptionEventAdded", "event_added"),
            ("SubscriptionEventUpdated", "event_updated"),
            ("SubscriptionEventRemoved", "event_removed"),
            ("SubscriptionEventDeleted", "event_deleted"),
            ("SomethingNew", "other"),
        ],
    )
    def test_facts_of_events_and_unknown_types(self, event_type: str, action: str) -> None:
        body = webhook(event_type, subscriptionEvent={"eventId": "391756", "title": "T"})

        assert kept(body) == (action, State.SKIPPED, NO_CHANGE, False)
        message = read(body).message
        assert message is not None
        assert (message.event_id, message.user_id) == ("391756", "u-1")

    def test_rokts_sample_of_a_deleted_event_says_that_it_was_removed(self) -> None:
        sample = webhook("SubscriptionEventRemoved", None, subscriptionEvent={"eventId": "391756"})

        assert kept(sample)[0] == "event_deleted"
        del sample["eventDetails"]["subscription"]
        assert kept(sample)[0] == "event_deleted"

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"eventType": "Subscribe"},
            {"eventType": "Unsubscribe", "eventDetails": "x"},
            webhook("Subscribe", None),
            webhook("Subscribe", {"calendarSubscriptionId": ""}),
            webhook(None, {}),
            webhook("", {}),
        ],
    )
    def test_what_names_no_subscription_is_dead(self, body: dict[str, Any]) -> None:
        _, state, reason, _ = kept(body)

        assert (state, reason) == (
            State.DEAD,
            "no subscription id: eventDetails has no calendarSubscriptionId",
        )

    @pytest.mark.parametrize("odd", ["a b", "-x", "x" * 129, "<script>", "ä"])
    def test_what_is_no_subscription_id_is_dead_and_not_shown(self, odd: str) -> None:
        _, state, reason, _ = kept(webhook("Subscribe", {"calendarSubscriptionId": odd}))

        assert state == State.DEAD
        assert reason is not None
        assert reason.startswith("no subscription id: ")
        assert odd not in reason

    def test_a_subscription_without_a_type_changes_nothing(self) -> None:
        assert kept(webhook(None)) == ("other", State.SKIPPED, NO_CHANGE, False)


@pytest.mark.parametrize(
    "body",
    [
        {"eventType": ["Subscribe"], "eventId": {}, "eventDetails": []},
        {"eventType": None, "eventDetails": {"subscription": [], "subscriptionEvent": 7}},
        webhook("Subscribe", {"calendarSubscriptionId": ID, "subscriberId": "\ud800", "calendarTags": 7}),
        webhook("\x00", {"calendarTags": [[[]]]}, subscriptionEvent={"eventId": "a\x00\ud800b"}),
        {"eventType": "Test", "eventId": "x" * 10_000},
    ],
)
def test_nothing_is_raised_and_nothing_comes_out_that_a_database_cannot_hold(body: dict[str, Any]) -> None:
    found: Webhook = read(body)

    texts = [found.event_id, found.event_type]
    if found.message is not None:
        texts += [found.message.user_id or "", found.message.event_id or "", found.message.reason or ""]
    for text in texts:
        assert "\x00" not in text
        assert len(text.encode()) <= 1_020
