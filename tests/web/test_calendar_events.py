"""POST /v1/calendar/events: what is taken, what it becomes, and what leaves for it."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from web.running import (
    ACCOUNT,
    DOUBLED,
    EVENT,
    ID,
    OTHER_ACCOUNT,
    OTHER_ID,
    PLAIN,
    SALE,
    SKIPPED_HOUR,
    THIRD_ID,
    TWO_ACCOUNTS,
    Bridge,
    eastern,
    literal,
    paths_and_ids,
    sale,
)


class TestTheForms:
    def test_an_accepted_request_is_answered_with_its_id_and_where_to_find_it(self, bridge: Bridge) -> None:
        answer = bridge.accept(literal(), headers={"X-Request-Id": "of-the-caller"})

        assert answer.body == {"id": answer.id, "state": "accepted", "request_id": "of-the-caller"}
        assert answer.headers["Location"] == f"/v1/messages/{answer.id}"
        assert answer.headers["X-Request-Id"] == "of-the-caller"
        assert bridge.message(answer.id)["state"] == "accepted"

    def test_a_literal_event_leaves_in_rokts_shape_with_the_defaults(self, walked: Bridge) -> None:
        call = walked.sends(literal())

        assert (call["method"], call["path"]) == ("POST", "/v1/subscriptionevent/brazetest")
        assert call["body"] == {"event": eastern(), "subscriptionIds": [ID]}
        assert call["status"] == 202

    def test_every_field_of_an_event_leaves(self, walked: Bridge) -> None:
        whole = literal(
            event__description="D\r\nE",
            event__location="L",
            event__end="2090-12-01T09:30:00-05:00",
            event__notify_before="none",
            event__all_day="no",
            event__visible_from="2090-11-24T09:00",
        )

        event = walked.sends(whole)["body"]["event"]

        assert event == {
            "eventId": "e1_u1",
            "title": "T",
            "description": "D\nE",
            "location": "L",
            "start": "2090-12-01T09:00:00",
            "end": "2090-12-01T09:30:00",
            "timezone": "Eastern Standard Time",
            "allDayEvent": False,
            "visibleFromDateTimeUtc": "2090-11-24T14:00:00Z",
        }

    def test_a_template_is_rendered_with_text_as_braze_sends_it(self, walked: Bridge) -> None:
        call = walked.sends(sale(variables=SALE | {"first_name": 'Ada "A"', "vip": "", "discount": "25"}))

        assert call["body"]["event"]["title"] == '⚡ Ada "A", 25% off starts now'
        assert call["body"]["event"]["eventId"] == "sale_w26_u1"
        assert call["body"]["event"]["start"] == "2090-12-04T09:00:00"
        assert call["body"]["event"]["notifyBefore"] == 60

    def test_a_message_of_a_template_says_which_version_made_it(self, bridge: Bridge) -> None:
        shown = bridge.message(bridge.accept(sale()).id)

        assert (shown["template"], shown["version"]) == ("flash_sale", 1)

    def test_a_flat_body_of_texts_is_a_literal_event(self, walked: Bridge) -> None:
        flat = {
            "user_id": "u1",
            "account_code": ACCOUNT,
            "subscription_ids": ID,
            "event_id": "e1",
            "title": "T",
            "start": "2090-12-01T09:00",
            "timezone": "eastern standard time",
            "notify_before": "30",
            "all_day": "false",
            "description": "",
            "end": "",
            "action": "",
            "expires": "",
            "as_of": "",
            "idempotency_key": "",
        }

        call = walked.sends(flat)

        assert call["body"]["event"] == eastern(notifyBefore=30, allDayEvent=False)

    def test_a_flat_body_of_texts_gives_a_template_its_variables(self, walked: Bridge) -> None:
        flat = sale(
            variables=..., **SALE, first_name="", vip="yes", account_code=ACCOUNT, subscription_ids=ID
        )

        event = walked.sends(flat)["body"]["event"]

        assert event["start"] == "2090-12-04T07:00:00"

    def test_variables_may_stand_beside_each_other_in_both_places(self, walked: Bridge) -> None:
        mixed = sale(variables={"sale_id": "w26", "starts": "2090-12-04T09:00"}, discount="50")

        assert walked.sends(mixed)["body"]["event"]["eventId"] == "sale_w26_u1"

    @pytest.mark.parametrize(
        ("slip", "field", "meant"),
        [
            ({"discont": "50"}, "variables.discont", ('"discount"',)),
            ({"user_ids": "u1"}, "variables.user_ids", ('"user_id"',)),
            ({"subscription_id": ID}, "variables.subscription_id", ('"subscription_ids"',)),
        ],
    )
    def test_an_unknown_key_beside_a_template_is_refused_with_the_nearest_of_both(
        self, bridge: Bridge, slip: dict[str, str], field: str, meant: tuple[str, ...]
    ) -> None:
        answer = bridge.refuse(sale(**slip))

        assert answer.fields == [field]
        assert answer.says(*meant)

    @pytest.mark.parametrize(
        ("slip", "meant"),
        [
            ({"titel": "T"}, "title"),
            ({"acount_code": "x"}, "account_code"),
            ({"calender_code": "x"}, "calendar_code"),
        ],
    )
    def test_an_unknown_key_of_a_literal_event_is_refused_with_the_nearest(
        self, bridge: Bridge, slip: dict[str, str], meant: str
    ) -> None:
        answer = bridge.refuse(literal(**slip))

        assert answer.fields == list(slip)
        assert f"did you mean {meant}?" in answer.body["errors"][0]["message"]

    def test_an_unknown_field_inside_of_the_event_is_named_with_its_place(self, bridge: Bridge) -> None:
        answer = bridge.refuse(literal(event__titel="x"))

        assert answer.fields == ["event.titel"]
        assert answer.says("did you mean title?")

    def test_what_is_given_twice_is_refused(self, bridge: Bridge) -> None:
        assert bridge.refuse(literal(title="x")).fields == ["title"]
        assert bridge.refuse(sale(discount="50")).fields == ["discount"]

    def test_a_template_and_an_event_are_one_too_many(self, bridge: Bridge) -> None:
        assert bridge.refuse(sale(event=EVENT)).fields == ["event"]

    def test_variables_without_a_template_are_refused(self, bridge: Bridge) -> None:
        assert "template" in bridge.refuse(literal(variables={"a": "b"})).fields

    def test_all_that_is_wrong_is_told_at_once(self, bridge: Bridge) -> None:
        answer = bridge.refuse(literal(user_id="", action="creat", account_code="a b", as_of="soon"))

        assert set(answer.fields) == {"user_id", "action", "account_code", "as_of"}
        assert answer.says("did you mean create")

    def test_the_content_type_does_not_matter(self, bridge: Bridge) -> None:
        for content_type in ("text/plain", "", "application/xml; charset=latin-1"):
            bridge.accept(literal(user_id=f"u-{content_type}"), headers={"Content-Type": content_type})

    def test_text_in_any_script_arrives_as_it_was(self, walked: Bridge) -> None:
        title = "Grüße 🎉 日本 ‏مرحبا \\ / <b> & ' \""

        assert walked.sends(literal(event__title=title))["body"]["event"]["title"] == title


class TestTheActions:
    def test_an_update_of_an_event_that_was_never_seen_leaves_as_it_is(self, walked: Bridge) -> None:
        call = walked.sends(literal(action="update", subscription_ids=...))

        assert call["path"] == "/v1/subscriptionevent/brazetest/update"
        assert call["body"] == {"event": eastern()}

    def test_an_update_goes_once_to_each_account(self, walked: Bridge) -> None:
        codes = [ACCOUNT, "brazetest/ff10919f1078", OTHER_ACCOUNT]

        walked.accept(literal(action="update", account_code=codes, subscription_ids=...))
        walked.deliver()

        paths = sorted(call["path"] for call in walked.sent())
        assert paths == ["/v1/subscriptionevent/brazetest/update", "/v1/subscriptionevent/shop/update"]

    def test_an_upsert_is_a_create_first_and_an_update_then(self, walked: Bridge) -> None:
        first = walked.sends(literal(action="upsert"))
        second = walked.sends(literal(action="upsert", event__title="New"))

        assert first["body"] == {"event": eastern(), "subscriptionIds": [ID]}
        assert second["path"] == "/v1/subscriptionevent/brazetest/update"
        assert second["body"] == {"event": eastern(title="New")}

    def test_an_upsert_to_one_more_subscription_creates_it_there_and_updates_the_rest(
        self, walked: Bridge
    ) -> None:
        walked.sends(literal(action="upsert"))
        walked.accept(literal(action="upsert", subscription_ids=[ID, THIRD_ID], event__title="New"))
        walked.deliver()

        _, create, update = walked.sent()
        assert create["body"] == {"event": eastern(title="New"), "subscriptionIds": [THIRD_ID]}
        assert update["body"] == {"event": eastern(title="New")}
        assert walked.sandbox is not None
        assert set(walked.sandbox.calendar()[0]["holders"]) == {ID, THIRD_ID}

    def test_an_upsert_of_what_stands_there_already_sends_nothing(self, walked: Bridge) -> None:
        walked.sends(literal(action="upsert"))
        again = walked.accept(literal(action="upsert", event__description=""))
        walked.deliver()

        assert walked.message(again.id)["state"] == "skipped"
        assert walked.message(again.id)["reason"] == "Rokt already holds exactly this"
        assert len(walked.sent()) == 1

    def test_a_delete_takes_the_event_from_the_account(self, walked: Bridge) -> None:
        walked.sends(literal())
        call = walked.sends({"action": "delete", "user_id": "u1", "event_id": "e1"})

        assert (call["method"], call["path"]) == ("DELETE", "/v1/subscriptionevent/brazetest/e1_u1")
        assert call["body"] in ("", None)
        assert walked.sandbox is not None
        assert walked.sandbox.calendar() == []

    def test_a_delete_with_ids_takes_it_from_these_subscriptions(self, walked: Bridge) -> None:
        walked.sends(literal(subscription_ids=[ID, THIRD_ID, "s-3"]))
        walked.accept(literal(action="delete", subscription_ids=[ID, "s-3"], event={"event_id": "e1"}))
        walked.deliver()

        assert [(call["method"], call["path"]) for call in walked.sent()[1:]] == [
            ("DELETE", f"/v2/subscription/brazetest/{ID}/subscriptionevent/e1_u1"),
            ("DELETE", "/v2/subscription/brazetest/s-3/subscriptionevent/e1_u1"),
        ]
        assert walked.sandbox is not None
        assert set(walked.sandbox.calendar()[0]["holders"]) == {THIRD_ID}

    def test_a_delete_by_a_template_needs_only_what_its_event_id_needs(self, walked: Bridge) -> None:
        walked.sends(sale())
        call = walked.sends(sale(action="delete", variables={"sale_id": "w26"}, subscription_ids=...))

        assert (call["method"], call["path"]) == ("DELETE", "/v1/subscriptionevent/brazetest/sale_w26_u1")

    def test_a_skip_of_a_template_is_answered_with_its_reason_and_sends_nothing(self, walked: Bridge) -> None:
        answer = walked.post(sale(variables=SALE | {"discount": "2"}))
        walked.deliver()

        assert (answer.status, answer.body["state"]) == (200, "skipped")
        assert answer.body["reason"] == "discount under 5 %"
        assert walked.message(answer.id)["state"] == "skipped"
        assert walked.sent() == []

    @pytest.mark.parametrize("action", ["CREATE", " create ", "", None])
    def test_a_blank_action_is_a_create_and_its_case_does_not_matter(
        self, bridge: Bridge, action: str | None
    ) -> None:
        assert bridge.message(bridge.accept(literal(action=action)).id)["action"] == "create"

    def test_a_number_is_a_good_id_of_a_user_and_of_an_event(self, walked: Bridge) -> None:
        call = walked.sends(literal(user_id=4711, event__event_id=26))

        assert call["body"]["event"]["eventId"] == "26_4711"


class TestAccountsAndIds:
    @pytest.mark.parametrize(
        "held",
        [
            [ID, OTHER_ID],
            [ID, "", None, " ", OTHER_ID, ID],
            [f" {ID} ", f"{OTHER_ID}\n"],
            f"{ID},{OTHER_ID}",
            f'{ID}","{OTHER_ID}',
            f'"{ID}","{OTHER_ID}"',
            f'["{ID}", "{OTHER_ID}"]',
            f" {ID} , ,{OTHER_ID}, {ID}",
            f"{ID}{OTHER_ID}",
            [f"{ID}{OTHER_ID}"],
            [f"{ID},{OTHER_ID}"],
            [f'{ID}","{OTHER_ID}'],
            [f"{ID}/f5733866ade2", f"{OTHER_ID}/ff10919f1078"],
            [ID, OTHER_ID.upper(), OTHER_ID],
        ],
        ids=range(14),
    )
    def test_ids_are_taken_in_every_form_in_which_braze_holds_them(
        self, bridge: Bridge, held: object
    ) -> None:
        answer = bridge.post(literal(subscription_ids=held), dry_run="1")

        assert answer.status == 200, answer.body
        [request] = answer.body["requests"]
        assert [one.lower() for one in request["body"]["subscriptionIds"]] == [ID, OTHER_ID]

    @pytest.mark.parametrize(
        "held",
        [
            ["brazetest/f5733866ade2"],
            ["", "brazetest/f5733866ade2", None],
            ["brazetest/f5733866ade2", "brazetest/ff10919f1078", "brazetest"],
            "brazetest",
            "brazetest/f5733866ade2",
            "brazetest/f5733866ade2,brazetest/ff10919f1078",
            'brazetest/f5733866ade2","brazetest/ff10919f1078',
            ' "brazetest" ',
            '["brazetest/f5733866ade2"]',
        ],
    )
    def test_accounts_are_taken_in_every_form_in_which_braze_holds_them(
        self, bridge: Bridge, held: object
    ) -> None:
        answer = bridge.post(literal(account_code=held), dry_run="1")

        assert answer.status == 200, answer.body
        [request] = answer.body["requests"]
        assert request["url"].endswith("/v1/subscriptionevent/brazetest")

    def test_ids_of_two_accounts_become_two_messages(self, walked: Bridge) -> None:
        answer = walked.accept(literal(**TWO_ACCOUNTS))
        walked.deliver()

        assert len(set(answer.body["ids"])) == 2
        assert answer.body["ids"][0] == answer.id
        shown = [walked.message(one) for one in answer.body["ids"]]
        assert [(m["account_code"], m["request"]["subscription_ids"]) for m in shown] == [
            ("brazetest", [ID]),
            ("shop", [OTHER_ID]),
        ]
        sent = {call["path"]: call["body"]["subscriptionIds"] for call in walked.sent()}
        assert sent == {"/v1/subscriptionevent/brazetest": [ID], "/v1/subscriptionevent/shop": [OTHER_ID]}

    def test_ids_are_paired_by_suffix_whatever_their_order(self, bridge: Bridge) -> None:
        crossed = literal(account_code=[OTHER_ACCOUNT, ACCOUNT], subscription_ids=[ID, OTHER_ID.upper()])

        answer = bridge.post(crossed, dry_run="1")

        assert paths_and_ids(answer) == {"brazetest": [ID], "shop": [OTHER_ID.upper()]}

    def test_the_ledger_knows_better_than_a_suffix(self, walked: Bridge) -> None:
        walked.sends(literal(account_code="shop", subscription_ids=[ID]))

        answer = walked.post(literal(**TWO_ACCOUNTS, event__event_id="e2"), dry_run="1")

        assert paths_and_ids(answer) == {"shop": [ID, OTHER_ID]}

    def test_the_ledger_knows_the_account_where_braze_sends_none(self, walked: Bridge) -> None:
        walked.sends(literal(account_code="shop"))

        call = walked.sends(literal(account_code="", event__event_id="e2"))

        assert call["path"] == "/v1/subscriptionevent/shop"

    def test_the_only_account_takes_ids_of_any_suffix(self, bridge: Bridge) -> None:
        answer = bridge.post(literal(subscription_ids=[THIRD_ID, "s-2"]), dry_run="1")

        assert paths_and_ids(answer) == {"brazetest": [THIRD_ID, "s-2"]}

    def test_ids_without_a_suffix_are_paired_by_position(self, bridge: Bridge) -> None:
        answer = bridge.post(literal(account_code="one,two", subscription_ids="s-1,s-2"), dry_run="1")

        assert paths_and_ids(answer) == {"one": ["s-1"], "two": ["s-2"]}

    def test_what_stands_twice_keeps_its_position(self, bridge: Bridge) -> None:
        body = literal(account_code="one,two,one", subscription_ids="s-1,s-2,s-3")

        assert paths_and_ids(bridge.post(body, dry_run="1")) == {"one": ["s-1", "s-3"], "two": ["s-2"]}
        assert bridge.refuse(literal(account_code="one,one,two", subscription_ids="s-1,s-2")).fields == [
            "subscription_ids"
        ]

    def test_ids_that_fit_no_account_are_refused_by_name(self, bridge: Bridge) -> None:
        answer = bridge.refuse(literal(account_code="one,two", subscription_ids=["s-1", "s-2", THIRD_ID]))

        assert answer.fields == ["subscription_ids"]
        assert answer.says("s-1", "s-2", THIRD_ID, "rokt:account_code")

    @pytest.mark.parametrize("blank", [..., None, "", " ", [], [""], [None, " "], ",", '","'])
    def test_a_user_without_an_account_is_refused_by_name(self, bridge: Bridge, blank: object) -> None:
        answer = bridge.refuse(literal(account_code=blank))

        assert answer.fields == ["account_code"]
        assert answer.says("this user has no rokt:account_code")

    @pytest.mark.parametrize("action", ["create", "upsert"])
    @pytest.mark.parametrize("blank", [..., None, "", [], [""], '","'])
    def test_a_user_without_subscriptions_is_refused_by_name(
        self, bridge: Bridge, blank: object, action: str
    ) -> None:
        assert bridge.refuse(literal(subscription_ids=blank, action=action)).fields == ["subscription_ids"]

    @pytest.mark.parametrize("blank", [..., None, "", "  ", "\n"])
    @pytest.mark.parametrize("action", ["create", "update", "upsert", "delete"])
    def test_a_user_without_an_id_is_refused_by_name(
        self, bridge: Bridge, blank: object, action: str
    ) -> None:
        answer = bridge.refuse(literal(user_id=blank, action=action))

        assert answer.fields == ["user_id"]
        assert answer.says("${user_id}")

    def test_an_update_without_an_account_goes_where_the_event_stands(self, walked: Bridge) -> None:
        walked.accept(literal(**TWO_ACCOUNTS))
        walked.deliver()
        walked.accept({"action": "update", "user_id": "u1", "event": {"event_id": "e1", "title": "New"}})
        walked.deliver()

        paths = sorted(call["path"] for call in walked.sent()[2:])
        assert paths == ["/v1/subscriptionevent/brazetest/update", "/v1/subscriptionevent/shop/update"]

    def test_an_update_without_an_account_of_an_event_that_still_waits_goes_after_it(
        self, walked: Bridge
    ) -> None:
        walked.accept(literal())
        walked.accept({"action": "update", "user_id": "u1", "event": {"event_id": "e1", "title": "New"}})
        walked.deliver()

        assert [call["body"]["event"]["title"] for call in walked.sent()] == ["T", "New"]

    def test_an_update_without_an_account_of_an_unknown_event_is_refused(self, bridge: Bridge) -> None:
        answer = bridge.refuse(literal(action="update", account_code="", subscription_ids=""))

        assert answer.fields == ["account_code"]


class TestCalendarCode:
    BOTH: ClassVar = {
        "account_code": "brazetest",
        "subscription_ids": [ID, OTHER_ID],
        "calendar_code": ["home-games/f5733866ade2", "away-games/ff10919f1078"],
    }

    def test_all_calendars_of_a_user_choose_all_subscriptions(self, bridge: Bridge) -> None:
        assert paths_and_ids(bridge.post(literal(**self.BOTH), dry_run="1")) == {"brazetest": [ID, OTHER_ID]}

    @pytest.mark.parametrize(
        "codes", ["home-games/f5733866ade2", ["HOME-GAMES/F5733866ADE2"], ["home-games/f5733866ade2", ""]]
    )
    def test_one_calendar_chooses_its_subscriptions(self, bridge: Bridge, codes: object) -> None:
        body = literal(**self.BOTH | {"calendar_code": codes})

        assert paths_and_ids(bridge.post(body, dry_run="1")) == {"brazetest": [ID]}

    def test_calendars_without_a_suffix_are_paired_by_position(self, bridge: Bridge) -> None:
        bridge.publish(plain=PLAIN + "{% block calendar %}Away{% endblock %}")
        body = sale(
            template="plain",
            account_code="brazetest",
            subscription_ids="s-1,s-2",
            calendar_code="home,away",
            variables={"title": "T", "starts": "2090-12-01T09:00"},
        )

        assert paths_and_ids(bridge.post(body, dry_run="1")) == {"brazetest": ["s-2"]}

    def test_accounts_keep_their_position_when_a_calendar_chooses(self, bridge: Bridge) -> None:
        bridge.publish(plain=PLAIN + "{% block calendar %}away{% endblock %}")
        body = sale(
            template="plain",
            account_code="one,two",
            subscription_ids="s-1,s-2",
            calendar_code="home,away",
            variables={"title": "T", "starts": "2090-12-01T09:00"},
        )

        assert paths_and_ids(bridge.post(body, dry_run="1")) == {"two": ["s-2"]}
        three = body | {"subscription_ids": "s-1,s-2,s-3", "calendar_code": "home,away,away"}
        assert bridge.refuse(three).fields == ["subscription_ids"]

    def test_a_user_without_the_calendar_of_a_template_is_skipped(self, bridge: Bridge) -> None:
        bridge.publish(plain=PLAIN + "{% block calendar %}cup{% endblock %}")
        body = sale(template="plain", variables={"title": "T", "starts": "2090-12-01T09:00"}, **self.BOTH)

        answer = bridge.post(body)

        assert (answer.status, answer.body["state"]) == (200, "skipped")
        assert "cup" in answer.body["reason"]

    def test_calendars_that_fit_no_subscription_are_refused_by_name(self, bridge: Bridge) -> None:
        answer = bridge.refuse(literal(**self.BOTH | {"calendar_code": "home"}))

        assert answer.fields == ["calendar_code"]
        assert answer.says("rokt:calendar_code")


class TestAsOf:
    @pytest.mark.parametrize(
        ("newer", "older"),
        [
            (10, 9),
            ("10", "9.5"),
            (1.5, 0),
            (0, -1),
            ("2026-11-20T10:00:01Z", "2026-11-20T10:00:00Z"),
            ("2026-11-20T10:00:00Z", "2026-11-20T10:30:00+01:00"),
            ("2026-11-20 10:00:00.500", "2026-11-20 10:00:00.499"),
            (1763632800001, "1763632800000"),
        ],
    )
    def test_what_is_older_than_the_newest_accepted_is_superseded(
        self, walked: Bridge, newer: object, older: object
    ) -> None:
        walked.accept(literal(as_of=newer))
        late = walked.post(literal(as_of=older, event__title="Old"))
        walked.deliver()

        assert (late.status, late.body["state"]) == (200, "superseded")
        assert late.body["reason"]
        assert walked.message(late.id)["state"] == "superseded"
        assert [call["body"]["event"]["title"] for call in walked.sent()] == ["T"]

    def test_what_is_as_old_or_newer_or_of_no_age_is_taken(self, bridge: Bridge) -> None:
        for number, as_of in enumerate((10, 10, "", None, ..., 11)):
            bridge.accept(literal(as_of=as_of, event__title=f"T{number}"))

        assert bridge.post(literal(as_of=10.5)).body["state"] == "superseded"

    def test_a_request_without_as_of_does_not_forget_the_newest(self, bridge: Bridge) -> None:
        bridge.accept(literal(as_of=10))
        bridge.accept(literal(event__title="between"))

        assert bridge.post(literal(as_of=9)).body["state"] == "superseded"

    def test_an_older_delete_is_superseded_too(self, bridge: Bridge) -> None:
        bridge.accept(literal(as_of=10))

        answer = bridge.post(literal(action="delete", as_of=9, subscription_ids=...))

        assert answer.body["state"] == "superseded"

    def test_other_users_and_other_events_have_an_order_of_their_own(self, bridge: Bridge) -> None:
        bridge.accept(literal(as_of=10))

        bridge.accept(literal(as_of=9, user_id="u2"))
        bridge.accept(literal(as_of=9, event__event_id="e2"))

    def test_what_was_refused_or_skipped_does_not_count(self, bridge: Bridge) -> None:
        bridge.refuse(sale(as_of=10, variables=SALE | {"discount": "much"}))
        assert bridge.post(sale(as_of=10, variables=SALE | {"discount": "1"})).body["state"] == "skipped"

        bridge.accept(sale(as_of=9))

    def test_a_superseded_request_of_two_accounts_is_two_superseded_messages(self, bridge: Bridge) -> None:
        bridge.accept(literal(as_of=2, **TWO_ACCOUNTS))

        answer = bridge.post(literal(as_of=1, **TWO_ACCOUNTS))

        assert [bridge.message(one)["state"] for one in answer.body["ids"]] == ["superseded"] * 2


class TestExpires:
    def expires_at(self, bridge: Bridge, body: dict[str, Any]) -> str | None:
        found: str | None = bridge.message(bridge.accept(body).id)["expires_at"]
        return found

    def test_a_create_expires_with_its_event(self, bridge: Bridge) -> None:
        assert self.expires_at(bridge, literal()) == "2090-12-01T15:00:00.000Z"
        assert self.expires_at(bridge, literal(action="upsert", user_id="u2")) == "2090-12-01T15:00:00.000Z"

    def test_updates_and_deletes_expire_only_when_they_are_told_to(self, bridge: Bridge) -> None:
        bridge.accept(literal())

        assert self.expires_at(bridge, literal(action="update")) is None
        assert self.expires_at(bridge, literal(action="upsert", event__title="x")) is None
        assert self.expires_at(bridge, literal(action="delete")) is None
        later = literal(action="delete", expires="2090-01-01T00:00:00Z")
        assert self.expires_at(bridge, later) == "2090-01-01T00:00:00.000Z"

    def test_a_delete_by_a_template_expires_when_it_is_told_to(self, bridge: Bridge) -> None:
        body = sale(action="delete", variables={"sale_id": "w26"}, expires="2090-01-01T00:00:00Z")

        assert self.expires_at(bridge, body) == "2090-01-01T00:00:00.000Z"

    def test_a_time_without_a_zone_is_in_the_events_own(self, bridge: Bridge) -> None:
        assert self.expires_at(bridge, literal(expires="2090-12-01T08:00")) == "2090-12-01T13:00:00.000Z"

    def test_a_partial_update_expires_in_the_zone_of_the_event_as_it_stands(self, bridge: Bridge) -> None:
        bridge.accept(literal())
        partial = literal(action="update", event={"event_id": "e1", "title": "x"}, expires="2090-12-01T08:00")

        assert self.expires_at(bridge, partial) == "2090-12-01T13:00:00.000Z"

    def test_a_delete_expires_in_the_zone_that_it_names_or_in_the_events(self, bridge: Bridge) -> None:
        bridge.accept(literal())
        delete = literal(action="delete", event={}, event_id="e1", expires="2090-12-01T08:00")

        assert self.expires_at(bridge, delete | {"timezone": "UTC"}) == "2090-12-01T08:00:00.000Z"
        bridge.accept(literal(event__title="again"))
        assert self.expires_at(bridge, delete) == "2090-12-01T13:00:00.000Z"
        assert bridge.refuse(delete | {"timezone": "Mars"}).fields == ["expires"]
        assert self.expires_at(bridge, delete | {"timezone": 5}) == "2090-12-01T08:00:00.000Z"

    def test_a_template_may_say_when_it_expires(self, bridge: Bridge) -> None:
        bridge.publish(plain=PLAIN + "{% block expires %}{{ starts }}{% endblock %}")
        body = sale(template="plain", variables={"title": "T", "starts": "2090-12-01T09:00"})

        assert self.expires_at(bridge, body) == "2090-12-01T09:00:00.000Z"
        told = body | {"user_id": "u2", "expires": "2090-12-01T07:00"}
        assert self.expires_at(bridge, told) == "2090-12-01T07:00:00.000Z"

    def test_what_has_not_left_in_time_is_dead_and_never_sent(self, walked: Bridge) -> None:
        answer = walked.accept(literal(expires="2026-01-01T00:00:00Z"))
        walked.deliver()

        shown = walked.message(answer.id)
        assert (shown["state"], shown["reason"]) == ("dead", "too late")
        assert walked.sent() == []

    def test_an_event_of_the_past_has_no_expiry_is_sent_and_warned_about(self, walked: Bridge) -> None:
        answer = walked.accept(literal(event__start="2020-01-01T09:00"))
        walked.deliver()

        [warning] = answer.body["warnings"]
        assert "end: is past" in warning
        assert walked.message(answer.id)["expires_at"] is None
        assert len(walked.sent()) == 1

    def test_an_expiry_that_is_no_time_is_refused_by_name(self, bridge: Bridge) -> None:
        assert bridge.refuse(literal(expires="soon")).fields == ["expires"]


class TestMerges:
    def test_a_partial_update_takes_the_rest_from_the_last_state_sent(self, walked: Bridge) -> None:
        walked.sends(literal(event__description="D", event__location="L", event__notify_before=30))

        moved = {"event_id": "e1", "start": "2090-12-01T08:00", "description": ""}
        call = walked.sends(literal(action="update", event=moved))

        expected = eastern(location="L", start="2090-12-01T08:00:00", notifyBefore=30)
        assert call["body"] == {"event": expected}

    def test_a_partial_upsert_takes_the_rest_too(self, walked: Bridge) -> None:
        walked.sends(literal(event__location="L"))

        call = walked.sends(literal(action="upsert", event={"event_id": "e1", "title": "New"}))

        assert call["body"] == {"event": eastern(title="New", location="L")}

    def test_partial_updates_add_up_while_none_of_them_has_left(self, walked: Bridge) -> None:
        walked.accept(literal())
        walked.accept(literal(action="update", event={"event_id": "e1", "title": "New"}))
        walked.accept(literal(action="update", event={"event_id": "e1", "location": "L"}))
        walked.deliver()

        assert walked.sent()[-1]["body"] == {"event": eastern(title="New", location="L")}

    def test_a_time_of_a_partial_update_is_in_the_zone_that_stands(self, walked: Bridge) -> None:
        walked.sends(literal(event__timezone="Europe/Berlin"))

        moved = {"event_id": "e1", "start": "2090-12-01T08:00", "end": "2090-12-01T08:30"}
        call = walked.sends(literal(action="update", event=moved))

        assert call["body"]["event"]["timezone"] == "W. Europe Standard Time"
        assert call["body"]["event"]["start"] == "2090-12-01T08:00:00"

    @pytest.mark.parametrize("action", ["update", "upsert"])
    def test_a_partial_one_of_an_unknown_event_is_asked_for_what_is_needed_by_name(
        self, bridge: Bridge, action: str
    ) -> None:
        answer = bridge.refuse(literal(action=action, event={"event_id": "e9", "location": "L"}))

        assert answer.fields == ["event.title", "event.start", "event.timezone"]
        assert answer.says("no earlier state of this event is known")

    def test_a_start_moved_behind_the_end_that_stands_asks_for_the_end(self, walked: Bridge) -> None:
        walked.sends(literal())

        late = {"event_id": "e1", "start": "2090-12-01T18:00"}
        answer = walked.refuse(literal(action="update", event=late))

        assert answer.fields == ["event.end"]
        assert answer.says("give end too")

    def test_a_template_is_whole_and_what_it_leaves_out_is_blank(self, walked: Bridge) -> None:
        walked.publish(plain=PLAIN)
        body = sale(template="plain", variables={"title": "T", "starts": "2090-12-01T09:00"})
        walked.sends(literal(event__event_id="plain", event__location="L"))

        call = walked.sends(body | {"action": "update"})

        assert call["body"]["event"]["location"] == ""

    def test_an_update_of_an_event_whose_create_died_leaves_as_that_create(self, walked: Bridge) -> None:
        assert walked.sandbox is not None
        walked.sandbox.fault(path="/v1", times=1, status=400, body={"Code": "BadRequest", "Reason": "no"})
        walked.accept(literal(subscription_ids=[ID, THIRD_ID]))
        walked.deliver()
        before = len(walked.sent())

        walked.accept(
            literal(action="update", subscription_ids=..., event={"event_id": "e1", "title": "New"})
        )
        walked.deliver()

        [call] = walked.sent()[before:]
        assert call["path"] == "/v1/subscriptionevent/brazetest"
        assert call["body"] == {"event": eastern(title="New"), "subscriptionIds": [ID, THIRD_ID]}

    def test_after_a_delete_that_still_waits_nothing_is_known_either(self, walked: Bridge) -> None:
        walked.accept(literal(**TWO_ACCOUNTS))
        walked.deliver()
        walked.accept(literal(action="delete", account_code="brazetest", subscription_ids=...))
        walked.accept(literal(action="delete", account_code="shop", subscription_ids=...))

        answer = walked.refuse(literal(action="update", event={"event_id": "e1", "title": "New"}))
        assert answer.fields == ["event.start", "event.timezone"]
        assert walked.refuse({"action": "delete", "user_id": "u1", "event_id": "e1"}).fields == [
            "account_code"
        ]

    def test_a_delete_for_one_subscription_leaves_the_event_known(self, walked: Bridge) -> None:
        walked.sends(literal(subscription_ids=[ID, THIRD_ID]))
        walked.accept(literal(action="delete"))

        walked.accept(literal(action="update", event={"event_id": "e1", "title": "New"}))
        walked.deliver()

        assert walked.sent()[-1]["body"] == {"event": eastern(title="New")}

    def test_after_a_delete_nothing_is_known_of_the_event(self, walked: Bridge) -> None:
        walked.sends(literal())
        walked.sends(literal(action="delete", subscription_ids=...))

        answer = walked.refuse(literal(action="update", event={"event_id": "e1", "title": "New"}))

        assert answer.fields == ["event.start", "event.timezone"]


class TestTimes:
    def test_a_time_that_exists_twice_is_sent_with_a_warning(self, walked: Bridge) -> None:
        answer = walked.accept(literal(event__start=DOUBLED, event__end="2090-11-05T03:00"))
        walked.deliver()

        [warning] = answer.body["warnings"]
        assert warning.startswith("start: 2090-11-05T01:30:00 exists twice in Eastern Standard Time")
        assert walked.sent()[0]["body"]["event"]["start"] == "2090-11-05T01:30:00"

    def test_a_time_that_the_clocks_skip_is_refused_by_name(self, bridge: Bridge) -> None:
        answer = bridge.refuse(literal(event__start=SKIPPED_HOUR))

        assert answer.fields == ["event.start"]
        assert answer.says("2090-03-12T02:30 does not exist in Eastern Standard Time")

    def test_a_time_with_an_offset_leaves_on_the_clock_of_the_zone(self, walked: Bridge) -> None:
        event = walked.sends(literal(event__start="2090-12-01T09:00:00Z"))["body"]["event"]

        assert (event["start"], event["end"]) == ("2090-12-01T04:00:00", "2090-12-01T05:00:00")

    def test_the_same_instant_leaves_where_windows_has_another_clock(self, walked: Bridge) -> None:
        event = walked.sends(literal(event__timezone="america/vancouver", event__start="2027-01-15T12:00"))

        assert event["body"]["event"]["start"] == "2027-01-15T11:00:00"
        assert event["body"]["event"]["timezone"] == "Pacific Standard Time"

    def test_an_end_at_its_start_is_kept(self, walked: Bridge) -> None:
        event = walked.sends(literal(event__end="2090-12-01T09:00"))["body"]["event"]

        assert event["start"] == event["end"]
