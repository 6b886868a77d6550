"""POST /v1/subscribers into changes: what is taken, and what is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.errors import InvalidPayload
from bridge.routes.subscribers import SubscriberCall, read
from bridge.settings import IdentityRule
from bridge.subscribers.change import SubscriberChange

ID = "06423672-b6ba-4536-aa36-f5733866ade2"
RULE = IdentityRule()
FACTS: dict[str, Any] = {
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
    "source": "brazetest.roktcalendarapp.com",
    "subscriber_email": "test@email.com",
    "subscription_id": ID,
    "subscription_method": "WebCal",
    "tags": ["Test Calendar 1/All Teams", "Test Calendar 1/TeamI/"],
}


def body(**changes: Any) -> dict[str, Any]:
    """Fields of the subscription are changed by `s__…`, others by name; ... takes one away."""
    subscription = {"subscription_id": ID} | {k[3:]: v for k, v in changes.items() if k.startswith("s__")}
    whole = {"action": "subscribe", "external_id": "u-1", "subscription": subscription}
    whole |= {k: v for k, v in changes.items() if not k.startswith("s__")}
    return {k: v for k, v in whole.items() if v is not ...}


def call(given: dict[str, Any], rule: IdentityRule = RULE, header_key: str | None = None) -> SubscriberCall:
    return read(given, rule, header_key)


def change(given: dict[str, Any], rule: IdentityRule = RULE) -> SubscriberChange:
    return call(given, rule).change


def wrong(given: dict[str, Any], rule: IdentityRule = RULE) -> dict[str, str]:
    """The fields that are refused, with why."""
    with pytest.raises(InvalidPayload) as refusal:
        call(given, rule)
    return {error.field: error.message for error in refusal.value.errors}


class TestTheFacts:
    def test_all_sixteen_are_taken(self) -> None:
        assert change(body(subscription=FACTS)).facts == FACTS

    def test_they_may_stand_as_braze_holds_them(self) -> None:
        texts = FACTS | {"optIn1": "True", "optIn2": "False"}
        held = {name: f"{value}/f5733866ade2" for name, value in texts.items() if isinstance(value, str)}
        held |= {"subscription_id": ID, "tags": [f"{tag}/F5733866ADE2" for tag in FACTS["tags"]]}

        assert change(body(subscription=held)).facts == FACTS

    def test_only_the_subscriptions_own_suffix_is_cut(self) -> None:
        facts = change(body(s__tags=["A/B", "C/000000000000"], s__source="x/f5733866ade2/y")).facts

        assert facts["tags"] == ["A/B", "C/000000000000"]
        assert facts["source"] == "x/f5733866ade2/y"

    def test_blank_ones_are_left_out(self) -> None:
        given = body(s__calendar_code="", s__tags=[""], s__optIn1=None, s__source="  ")

        assert change(given).facts == {"subscription_id": ID}

    def test_no_tags_are_told(self) -> None:
        assert change(body(s__tags=[])).facts["tags"] == []

    def test_one_tag_may_be_a_text(self) -> None:
        assert change(body(s__tags="All Teams")).facts["tags"] == ["All Teams"]

    def test_nothing_is_left_to_be_asked_of_rokt(self) -> None:
        assert change(body()).left_out == frozenset()

    @pytest.mark.parametrize(
        ("name", "value", "told"),
        [
            ("account_code", ["a"], "holds one value, not a list"),
            ("calendar_title", {"a": 1}, "holds one value, not an object"),
            ("optIn1", "perhaps", "true or false"),
            ("source", "x" * 243, "at most 242"),
            ("source", "a\nb", "cannot be shown"),
            ("tags", ["a", {}], "list of texts"),
            ("tags", ["x" * 243], "at most 242"),
            ("calendar_cod", "x", "did you mean calendar_code"),
            ("opt_in_1", "x", "did you mean"),
            ("rokt:tags", "x", "did you mean"),
            ("subscription_id", [ID], "holds one value, not a list"),
            ("subscription_id", "", "is needed"),
            ("subscription_id", ..., "is needed"),
            ("subscription_id", "a b", "is no subscription id such as"),
            ("subscription_id", "x" * 129, "is no subscription id such as"),
            ("subscription_id", 5, "must be text in quotes, not a number"),
        ],
    )
    def test_what_is_wrong_is_refused_by_name(self, name: str, value: object, told: str) -> None:
        subscription = {k: v for k, v in {"subscription_id": ID, name: value}.items() if v is not ...}

        [(field, message)] = wrong(body(subscription=subscription)).items()

        assert field == f"subscription.{name}"
        assert told in message

    def test_all_that_is_wrong_is_told_together(self) -> None:
        given = body(action="begin", email="x", s__optIn1="x", s__subscription_id="", s__nam=1, sourc=2)

        assert set(wrong(given)) == {
            "action",
            "email",
            "subscription.optIn1",
            "subscription.subscription_id",
            "subscription.nam",
            "sourc",
        }

    @pytest.mark.parametrize("odd", [..., None, "x", [], 5])
    def test_a_subscription_is_needed(self, odd: object) -> None:
        assert list(wrong(body(subscription=odd))) == ["subscription"]


class TestTheAction:
    @pytest.mark.parametrize("action", ["subscribe", "update", "unsubscribe", " Subscribe "])
    def test_there_are_three(self, action: str) -> None:
        assert change(body(action=action)).action == action.strip().lower()

    @pytest.mark.parametrize(
        ("action", "told"),
        [
            (..., "is needed: subscribe, update, unsubscribe"),
            ("", "is needed"),
            ("subscribed", "did you mean subscribe"),
            ("delete", "there are subscribe, update, unsubscribe"),
            (1, "must be text"),
        ],
    )
    def test_it_has_to_be_said(self, action: object, told: str) -> None:
        assert told in wrong(body(action=action))["action"]


class TestWhoItIs:
    def test_an_external_id_is_rokts_subscriber_id_where_that_is_so(self) -> None:
        its = change(body())

        assert (its.subscriber_id, its.identifier) == ("u-1", "external_id:u-1")

    @pytest.mark.parametrize("kind", ["email", "alias"])
    def test_elsewhere_it_names_the_profile_all_the_same(self, kind: str) -> None:
        its = change(body(), IdentityRule(kind))

        assert (its.subscriber_id, its.identifier) == (None, "external_id:u-1")

    def test_a_subscriber_id_is_left_to_the_rule(self) -> None:
        its = change(body(external_id=..., subscriber_id=17))

        assert (its.subscriber_id, its.identifier) == ("17", None)

    def test_an_address_names_the_profile(self) -> None:
        its = change(body(external_id="", email=" Ada@Example.com "))

        assert (its.email, its.identifier) == ("Ada@Example.com", "email:ada@example.com")

    def test_beside_an_external_id_an_address_is_a_fact(self) -> None:
        its = change(body(email="ada@example.com"))

        assert (its.email, its.identifier) == ("ada@example.com", "external_id:u-1")

    def test_nobody_needs_to_be_named(self) -> None:
        its = change(body(external_id=None, s__subscriber_email="ada@example.com"))

        assert (its.subscriber_id, its.identifier, its.email) == (None, None, "ada@example.com")

    @pytest.mark.parametrize(
        ("field", "value", "told"),
        [
            ("external_id", ["u-1"], "must be text"),
            ("external_id", True, "must be text"),
            ("external_id", "x" * 988, "longer than 987 bytes"),
            ("external_id", "a\nb", "control character"),
            ("external_id", "{{${user_id}}}", "Liquid"),
            ("email", "ada", "is no e-mail address"),
            ("email", "{{${email_address}}}", "Liquid"),
            ("subscriber_id", "u-2", "give one of the two"),
        ],
    )
    def test_what_can_be_nobody_is_refused(self, field: str, value: object, told: str) -> None:
        [(name, message)] = wrong(body(**{field: value})).items()

        assert name == field
        assert told in message


class TestTheRest:
    def test_an_idempotency_key_is_a_field_or_a_header(self) -> None:
        assert call(body(idempotency_key="k"), header_key="h").idempotency_key == "k"
        assert call(body(), header_key="h").idempotency_key == "h"
        assert call(body(idempotency_key=" - ")).idempotency_key is None

    @pytest.mark.parametrize("field", ["idempotency_key", "dispatch_id"])
    def test_brazes_test_sends_are_known(self, field: str) -> None:
        assert call(body(**{field: "dispatch_id_for_unsent_campaign-1"})).is_test
        assert not call(body(**{field: "5f0c"})).is_test

    def test_a_field_that_is_not_known_is_refused_with_the_nearest(self) -> None:
        assert "did you mean external_id" in wrong(body(extern_id="u-1"))["extern_id"]
        assert "account_code" in wrong(body(account_code="x"))
