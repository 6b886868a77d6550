"""Which of Braze's profiles a subscription belongs to."""

from __future__ import annotations

from typing import Any

import pytest
from factories import SUBSCRIPTION

from bridge.settings import IdentityRule
from bridge.subscribers.identity import MOST_BYTES, chosen, identifier_of, to_braze

USER, ADDRESS = "u-1", "Ada@Example.com"
BY_ID = IdentityRule()
OR_EMAIL = IdentityRule(fallback="email")
OR_ALIAS = IdentityRule(fallback="alias")
BY_EMAIL = IdentityRule(subscriber_id="email", fallback="alias")
BY_ALIAS = IdentityRule(subscriber_id="alias")

UNUSABLE = [None, "", "  ", "x" * (MOST_BYTES + 1), "ü" * (MOST_BYTES // 2 + 1), "a\x00b", "\ud800"]


class TestIdentifiers:
    @pytest.mark.parametrize(
        ("rule", "subscriber_id", "email", "identifier"),
        [
            (BY_ID, USER, ADDRESS, "external_id:u-1"),
            (BY_ID, " U-1 ", None, "external_id:U-1"),
            (BY_ID, None, ADDRESS, None),
            (OR_EMAIL, USER, ADDRESS, "external_id:u-1"),
            (OR_EMAIL, None, f" {ADDRESS} ", "email:ada@example.com"),
            (OR_EMAIL, None, None, None),
            (OR_EMAIL, None, "no address", None),
            (OR_ALIAS, None, ADDRESS, f"alias:{SUBSCRIPTION}"),
            (BY_EMAIL, ADDRESS, None, "email:ada@example.com"),
            (BY_EMAIL, USER, None, f"alias:{SUBSCRIPTION}"),
            (BY_ALIAS, USER, None, "alias:u-1"),
            (BY_ALIAS, None, ADDRESS, None),
        ],
    )
    def test_the_subscriber_id_comes_first_and_the_second_choice_only_without_it(
        self, rule: IdentityRule, subscriber_id: str | None, email: str | None, identifier: str | None
    ) -> None:
        assert identifier_of(rule, subscriber_id, email, SUBSCRIPTION.upper()) == identifier

    @pytest.mark.parametrize("given", UNUSABLE, ids=ascii)
    @pytest.mark.parametrize("rule", [BY_ID, BY_EMAIL, BY_ALIAS], ids=lambda rule: rule.subscriber_id)
    def test_what_braze_could_not_take_names_nobody(self, rule: IdentityRule, given: str | None) -> None:
        rule = IdentityRule(subscriber_id=rule.subscriber_id)

        assert identifier_of(rule, given, given, SUBSCRIPTION) is None

    def test_the_longest_that_braze_takes_is_taken(self) -> None:
        assert identifier_of(BY_ID, "x" * MOST_BYTES, None, SUBSCRIPTION) == "external_id:" + "x" * MOST_BYTES


class TestChoosing:
    def test_the_second_choice_gives_way_to_the_first(self) -> None:
        before = identifier_of(OR_EMAIL, None, ADDRESS, SUBSCRIPTION)

        assert chosen(OR_EMAIL, before, USER, ADDRESS, SUBSCRIPTION) == "external_id:u-1"

    def test_another_address_changes_no_choice(self) -> None:
        before = identifier_of(OR_EMAIL, None, ADDRESS, SUBSCRIPTION)

        assert chosen(OR_EMAIL, before, None, "other@example.com", SUBSCRIPTION) == before

    def test_another_subscriber_id_does(self) -> None:
        assert chosen(BY_ID, "external_id:u-1", "u-2", None, SUBSCRIPTION) == "external_id:u-2"

    def test_the_second_choice_can_wait(self) -> None:
        assert chosen(OR_ALIAS, None, None, None, SUBSCRIPTION, may_fall_back=False) is None
        assert chosen(OR_ALIAS, None, USER, None, SUBSCRIPTION, may_fall_back=False) == "external_id:u-1"


class TestInBraze:
    @pytest.mark.parametrize(
        ("identifier", "fields"),
        [
            ("external_id:u:1", {"external_id": "u:1"}),
            ("email:a@b.c", {"email": "a@b.c"}),
        ],
    )
    def test_a_profile_is_made_unless_only_those_that_exist_are_meant(
        self, identifier: str, fields: dict[str, Any]
    ) -> None:
        assert to_braze(identifier, merges=True) == fields
        assert to_braze(identifier, merges=False) == {**fields, "_update_existing_only": True}

    @pytest.mark.parametrize("merges", [True, False])
    def test_an_alias_says_which_because_its_default_is_the_other(self, merges: bool) -> None:
        assert to_braze("alias:a-1", merges) == {
            "user_alias": {"alias_name": "a-1", "alias_label": "rokt_calendar"},
            "_update_existing_only": not merges,
        }
