"""POST /v1/calendar/events and Rokt's own paths: what is taken, what it becomes, and what leaves for it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import unquote_to_bytes

import pytest
import sqlalchemy as sa
from servers import SandboxUnderTest
from web.running import (
    ACCOUNT,
    EVENT,
    ID,
    SALE,
    Answer,
    Bridge,
    Starter,
    check_problem,
    literal,
    sale,
    secret,
)

from bridge.database import Database
from bridge.outbox.tables import latest, repeats, waiting
from bridge.web.parts import MOST_WAITING

OTHER_ACCOUNT = "shop/ff10919f1078"
OTHER_ID = "9a9007c7-f5a4-4811-b13c-ff10919f1078"
THIRD_ID = "d0ce4299-7d6c-4888-bfd8-c7e867a0fa6c"
TWO_ACCOUNTS = {"account_code": [ACCOUNT, OTHER_ACCOUNT], "subscription_ids": [ID, OTHER_ID]}
UNSENT = "dispatch_id_for_unsent_campaign"
DOUBLED = "2090-11-05T01:30"  # in Eastern Standard Time the clocks go back over it
SKIPPED_HOUR = "2090-03-12T02:30"  # and forward over this one

PLAIN = """\
{% block event_id %}plain{% endblock %}
{% block title %}{{ title }}{% endblock %}
{% block start %}{{ starts }}{% endblock %}
{% block timezone %}UTC{% endblock %}
"""


def eastern(**changes: Any) -> dict[str, Any]:
    """What leaves for the literal event."""
    return {
        "eventId": "e1_u1",
        "title": "T",
        "description": "",
        "location": "",
        "start": "2090-12-01T09:00:00",
        "end": "2090-12-01T10:00:00",
        "timezone": "Eastern Standard Time",
        "notifyBefore": 15,
    } | changes


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


def paths_and_ids(dry_run: Answer) -> dict[str, list[str]]:
    assert dry_run.status == 200, dry_run.body
    return {r["url"].rpartition("/")[2]: r["body"]["subscriptionIds"] for r in dry_run.body["requests"]}


class TestThePaths:
    @pytest.fixture
    def line(self, bridge: Bridge) -> Callable[..., Answer]:
        """A request as gunicorn hands it over: the path as it came over the line, and decoded."""

        def ask(method: str, target: str, body: object = None) -> Answer:
            path, _, query = target.partition("?")
            environ = {
                "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
                "QUERY_STRING": query,
                "RAW_URI": target,
                "REQUEST_URI": target,
            }
            answer = bridge.app.test_client().open(
                method=method,
                json=body,
                headers={"Authorization": f"Bearer {secret('all')}"},
                environ_overrides=environ,
            )
            return Answer(answer.status_code, answer.get_json(), dict(answer.headers))

        return ask

    @pytest.mark.parametrize(
        "path",
        [
            "/v1/calendar/events",
            "/v1/calendar/events/",
            "/v1/calendar/events//",
            "//v1/calendar/events",
            "///v1/calendar/events/",
            "/v1/calendar/events?a=/b",
        ],
    )
    def test_an_event_is_taken_with_and_without_slashes_around_its_path(
        self, line: Callable[..., Answer], path: str
    ) -> None:
        assert line("POST", path, literal()).status == 202

    @pytest.mark.parametrize(
        "path",
        [
            "/v1/subscriptionevent/brazetest",
            "/v1/subscriptionevent/brazetest/",
            "/v1/subscriptionevent//brazetest",
            "/v1/subscriptionevent///brazetest//",
            "//v1/subscriptionevent/brazetest",
            "/v1/subscriptionevent/brazetest%2Ff5733866ade2",
            "/v1/subscriptionevent/brazetest%2ff5733866ade2/",
            "/v1/subscriptionevent/brazetest/f5733866ade2",
            "/v1/subscriptionevent/%62razetest",
            "/v1/subscriptionevent/brazetest?x=1",
        ],
    )
    def test_a_drop_in_create_finds_its_account_in_the_path(
        self, bridge: Bridge, line: Callable[..., Answer], path: str
    ) -> None:
        answer = line("POST", path, {"event": eastern(), "subscriptionIds": [ID]})

        assert answer.status == 202, answer.body
        shown = bridge.message(answer.id)
        assert (shown["action"], shown["account_code"]) == ("create", "brazetest")

    @pytest.mark.parametrize(
        "path",
        [
            "/v1/subscriptionevent/brazetest/update",
            "/v1/subscriptionevent/brazetest/update/",
            "/v1/subscriptionevent/brazetest//update",
            "//v1/subscriptionevent//brazetest//update//",
            "/v1/subscriptionevent/brazetest%2Ff5733866ade2/update",
        ],
    )
    def test_a_drop_in_update_finds_its_account_in_the_path(
        self, bridge: Bridge, line: Callable[..., Answer], path: str
    ) -> None:
        answer = line("POST", path, {"event": eastern()})

        assert answer.status == 202, answer.body
        shown = bridge.message(answer.id)
        assert (shown["action"], shown["account_code"]) == ("update", "brazetest")

    @pytest.mark.parametrize(
        "path",
        [
            "/v1/subscriptionevent",
            "/v1/subscriptionevent/",
            "/v1/subscriptionevent//",
            "/v1/subscriptionevent//update",
            "/v1/subscriptionevent/update",
            "/v1/subscriptionevent/update/",
            "/v1/subscriptionevent/%20",
            "/v1/subscriptionevent/%20/update",
            "/v1/subscriptionevent/%2Ff5733866ade2/update",
            "//v1/subscriptionevent//update",
        ],
    )
    def test_a_blank_account_in_the_path_is_refused_by_name_and_never_redirected(
        self, line: Callable[..., Answer], path: str
    ) -> None:
        answer = line("POST", path, {"event": eastern(), "subscriptionIds": [ID]})

        assert answer.status == 422
        assert answer.fields == ["accountCode"]
        assert answer.says("this user has no rokt:account_code")

    @pytest.mark.parametrize(
        ("path", "account", "event_id"),
        [
            ("/v1/subscriptionevent/brazetest/e1_u1", "brazetest", "e1_u1"),
            ("/v1/subscriptionevent/brazetest/e1_u1/", "brazetest", "e1_u1"),
            ("/v1/subscriptionevent/brazetest//e1_u1", "brazetest", "e1_u1"),
            ("//v1/subscriptionevent/brazetest/e1_u1", "brazetest", "e1_u1"),
            ("/v1/subscriptionevent/brazetest%2Ff5733866ade2/e1_u1", "brazetest", "e1_u1"),
            ("/v1/subscriptionevent/brazetest/a%2Fb%20c_u%3F1", "brazetest", "a/b c_u?1"),
            ("/v1/subscriptionevent/brazetest/a%252Fb_%C3%A9", "brazetest", "a%2Fb_é"),
            ("/v1/subscriptionevent/brazetest/a/b_u1", "brazetest", "a/b_u1"),
            ("/v1/subscriptionevent/brazetest/..%2F.._u1", "brazetest", "../.._u1"),
        ],
    )
    def test_a_drop_in_delete_finds_its_event_in_the_path(
        self, bridge: Bridge, line: Callable[..., Answer], path: str, account: str, event_id: str
    ) -> None:
        answer = line("DELETE", path)

        assert answer.status == 202, answer.body
        shown = bridge.message(answer.id)
        assert (shown["action"], shown["account_code"]) == ("delete", account)
        assert shown["request"]["rokt_event_id"] == event_id

    @pytest.mark.parametrize(
        ("path", "field"),
        [
            ("/v1/subscriptionevent/brazetest", "eventId"),
            ("/v1/subscriptionevent/brazetest/", "eventId"),
            ("/v1/subscriptionevent/brazetest/e1_", "eventId"),
            ("/v1/subscriptionevent/brazetest/%20", "eventId"),
            ("/v1/subscriptionevent/brazetest/e1_%00", "eventId"),
            ("/v1/subscriptionevent//e1_u1", "accountCode"),
            ("/v1/subscriptionevent/update/e1_u1", "accountCode"),
            ("/v1/subscriptionevent/a%20b/e1_u1", "accountCode"),
        ],
    )
    def test_a_drop_in_delete_without_account_or_event_is_refused_by_name(
        self, line: Callable[..., Answer], path: str, field: str
    ) -> None:
        answer = line("DELETE", path)

        assert answer.status == 422
        assert answer.fields == [field]

    @pytest.mark.parametrize(
        "path",
        [
            "/v1/calendar/eventsx",
            "/v1/calendar/events/x",
            "/v1/subscriptioneventx/brazetest",
            "/v1//calendar/events",
            "/v1/calendar",
            "/",
            "//",
            "//evil.example.com/v1",
        ],
    )
    def test_what_is_nothing_is_404_and_never_redirected(
        self, line: Callable[..., Answer], path: str
    ) -> None:
        answer = line("POST", path, literal())

        assert answer.status == 404
        check_problem(answer)

    @pytest.mark.parametrize(
        "path", ["/v1/messages/", "//v1/messages", "/healthz/", "//readyz", "/v1/timezones/"]
    )
    def test_other_paths_are_not_redirected_either(self, line: Callable[..., Answer], path: str) -> None:
        assert line("GET", path).status == 200

    def test_ids_leave_percent_encoded(self, walked: Bridge) -> None:
        call = walked.sends(
            {"action": "delete", "user_id": "ü/1", "event_id": "a b?#", "account_code": ACCOUNT}
        )

        assert call["path"] == "/v1/subscriptionevent/brazetest/a%20b%3F%23_%C3%BC%2F1"

    def test_an_event_id_of_a_drop_in_that_ends_in_an_underscore_has_no_user(self, bridge: Bridge) -> None:
        path = "/v1/subscriptionevent/brazetest"

        answer = bridge.refuse({"event": eastern(eventId="Event_0001_"), "subscriptionIds": [ID]}, path)

        assert answer.fields == ["event.eventId"]
        assert answer.says("this user has no {{${user_id}}}")

    def test_utc_of_a_drop_in_is_utc_though_it_does_not_say_so(self, walked: Bridge) -> None:
        event = eastern(visibleFromDateTimeUtc="2090-11-24T14:00:00")

        call = walked.sends({"event": event, "subscriptionIds": [ID]}, "/v1/subscriptionevent/brazetest")

        assert call["body"]["event"]["visibleFromDateTimeUtc"] == "2090-11-24T14:00:00Z"

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"notifyBefore": "soon"}, "notifyBefore"),
            ({"start": "soon"}, "start"),
            ({"title": ""}, "title"),
            ({"end": "2090-11-01T09:00:00"}, "end"),
            ({"timezone": "Eastern"}, "timezone"),
            ({"allDayEvent": "maybe"}, "allDayEvent"),
            ({"visibleFromDateTimeUtc": "soon"}, "visibleFromDateTimeUtc"),
            ({"eventId": 5}, "eventId"),
        ],
    )
    def test_a_drop_in_is_refused_in_rokts_own_names(
        self, bridge: Bridge, change: dict[str, Any], field: str
    ) -> None:
        event = eastern(**change)

        wrapped = bridge.refuse({"event": event, "subscriptionIds": [ID]}, "/v1/subscriptionevent/brazetest")
        flat = bridge.refuse(event, "/v1/subscriptionevent/brazetest/update")

        assert wrapped.fields == [f"event.{field}"]
        assert flat.fields == [field]


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


class TestDryRuns:
    CREATED = (literal(), literal(user_id="u2", **TWO_ACCOUNTS))

    @pytest.mark.parametrize("update_body", ["wrapped", "flat"])
    @pytest.mark.parametrize(
        "body",
        [
            literal(event__event_id="new"),
            literal(event__event_id="new", **TWO_ACCOUNTS),
            sale(),
            literal(),
            literal(event__title="changed"),
            literal(subscription_ids=[ID, THIRD_ID]),
            literal(action="upsert", subscription_ids=[ID, THIRD_ID], event__title="changed"),
            literal(action="update", event={"event_id": "e1", "location": "there"}, account_code=...),
            literal(action="update", event={"event_id": "e1", "location": "there"}, user_id="u2"),
            literal(action="upsert", event={"event_id": "e1", "end": "2090-12-01T11:00"}),
            literal(action="delete", event={"event_id": "e1"}),
            {"action": "delete", "event_id": "e1", "user_id": "u2"},
            literal(event__timezone="America/Vancouver", event__start="2027-01-15T12:00"),
        ],
        ids=range(13),
    )
    def test_a_dry_run_shows_exactly_what_the_worker_then_sends(
        self, start: Starter, rokt: SandboxUnderTest, body: dict[str, Any], update_body: str
    ) -> None:
        bridge = start(sandbox=rokt, ROKT_CALENDAR_UPDATE_BODY=update_body)
        for one in self.CREATED:
            bridge.accept(one)
        bridge.deliver()
        before = len(bridge.sent())

        dry = bridge.post(body, dry_run="1", headers={"X-Request-Id": "r-1"})
        real = bridge.post(body, headers={"X-Request-Id": "r-1"})
        bridge.deliver()

        assert (dry.status, dry.body["dry_run"]) == (200, True)
        sent = sorted(map(self.as_dry_run, bridge.sent()[before:]), key=json.dumps)
        if real.body.get("is_repeat"):  # the very request that made the event: nothing is sent for it again
            sent = dry.body["requests"]
        assert sorted(dry.body["requests"], key=json.dumps) == sent
        assert bridge.sandbox is not None
        assert all(call["status"] == 202 for call in bridge.sent())

    @staticmethod
    def as_dry_run(call: dict[str, Any]) -> dict[str, Any]:
        """A call of the sandbox's record, without what HTTP itself adds."""
        names = {
            "accept": "Accept",
            "content-type": "Content-Type",
            "user-agent": "User-Agent",
            "x-request-id": "X-Request-Id",
        }
        known = {"host", "accept-encoding", "content-length", "authorization", "connection", *names}
        assert call["headers"].keys() <= known
        host = call["headers"]["host"]
        return {
            "method": call["method"],
            "url": f"http://{host}{call['path']}",
            "headers": {names[name]: text for name, text in call["headers"].items() if name in names},
            "body": call["body"] or None,
        }

    def test_a_dry_run_keeps_and_sends_nothing(self, walked: Bridge) -> None:
        for flag in ("1", "true", "TRUE", "yes"):
            assert walked.post(literal(), dry_run=flag).body["dry_run"] is True
        walked.deliver()

        assert walked.count() == 0
        assert walked.sandbox is not None
        assert walked.sandbox.calls() == []

    @pytest.mark.parametrize("flag", ["maybe", "on!", "2"])
    def test_a_dry_run_that_is_neither_yes_nor_no_sends_nothing(self, bridge: Bridge, flag: str) -> None:
        assert bridge.refuse(literal(), path=f"/v1/calendar/events?dry_run={flag}").fields == ["dry_run"]
        assert bridge.count() == 0

    def test_no_dry_run_is_no_dry_run(self, bridge: Bridge) -> None:
        for number, flag in enumerate(("0", "false", "no")):
            assert bridge.post(literal(user_id=f"u{number}"), dry_run=flag).status == 202

    def test_a_dry_run_of_a_partial_update_counts_with_what_still_waits(self, walked: Bridge) -> None:
        walked.accept(literal(event__location="here"))
        partial = {"action": "update", "user_id": "u1", "event": {"event_id": "e1", "title": "New"}}

        dry = walked.post(partial, dry_run="1")
        walked.accept(partial)
        walked.deliver()

        assert dry.status == 200, dry.body
        assert [request["body"] for request in dry.body["requests"]] == [walked.sent()[-1]["body"]]

    def test_a_dry_run_says_why_nothing_would_leave(self, bridge: Bridge) -> None:
        answer = bridge.post(sale(variables=SALE | {"discount": "1"}), dry_run="1")

        assert answer.body["requests"] == []
        assert answer.body["reason"] == "discount under 5 %"

    def test_a_dry_run_of_what_stands_there_already_says_so(self, walked: Bridge) -> None:
        walked.accept(literal())
        waiting = walked.post(literal(), dry_run="1")
        walked.deliver()
        standing = walked.post(literal(action="upsert"), dry_run="1")

        for answer in (waiting, standing):
            assert answer.body["requests"] == []
            assert "exactly so already" in answer.body["reason"]

    def test_a_dry_run_tells_the_warnings(self, bridge: Bridge) -> None:
        answer = bridge.post(literal(event__start=DOUBLED), dry_run="1")

        assert any("exists twice" in warning for warning in answer.body["warnings"])

    def test_what_a_template_refuses_in_a_dry_run_is_not_kept(self, bridge: Bridge) -> None:
        answer = bridge.refuse(sale(template="nothing"), path="/v1/calendar/events?dry_run=1")

        assert "id" not in answer.body
        assert bridge.count() == 0

    def test_a_drop_in_has_dry_runs_too(self, bridge: Bridge) -> None:
        body = {"event": eastern(notifyBefore="15"), "subscriptionIds": [ID]}

        answer = bridge.post(body, "/v1/subscriptionevent/brazetest", dry_run="1")

        assert answer.body["requests"][0]["body"] == {"event": eastern(), "subscriptionIds": [ID]}


class TestTestSends:
    MARKED: tuple[tuple[dict[str, str], dict[str, str]], ...] = (
        ({"dispatch_id": UNSENT}, {}),
        ({"idempotency_key": f"m-1-{UNSENT}"}, {}),
        ({}, {"Idempotency-Key": f"m-1-{UNSENT}"}),
        ({"idempotency_key": "m-1"}, {"Idempotency-Key": f"m-1-{UNSENT}"}),
    )

    @pytest.mark.parametrize(("fields", "headers"), MARKED)
    def test_a_test_reaches_the_teams_own_subscriptions_and_says_the_outcome(
        self, start: Starter, rokt: SandboxUnderTest, fields: dict[str, str], headers: dict[str, str]
    ) -> None:
        bridge = start(sandbox=rokt, TEST_SUBSCRIPTIONS=f"{ID.upper()}, s-9")

        with bridge.working():
            answer = bridge.post(literal(subscription_ids=[ID, THIRD_ID], **fields), headers=headers)

        assert (answer.status, answer.body["state"]) == (200, "delivered"), answer.body
        assert answer.body["attempts"][0]["status"] == 202
        [call] = bridge.sent()
        assert call["body"] == {"event": eastern(title="[TEST] T"), "subscriptionIds": [ID]}

    @pytest.mark.parametrize("team", ["", "s-9"])
    @pytest.mark.parametrize("body", [literal(), sale(), literal(action="update"), literal(action="upsert")])
    def test_a_test_of_anybody_else_is_a_dry_run_that_says_so(
        self, start: Starter, rokt: SandboxUnderTest, body: dict[str, Any], team: str
    ) -> None:
        bridge = start(sandbox=rokt, TEST_SUBSCRIPTIONS=team)

        answer = bridge.post(body | {"dispatch_id": UNSENT})
        bridge.deliver()

        assert (answer.status, answer.body["dry_run"]) == (200, True)
        assert "TEST_SUBSCRIPTIONS" in answer.body["reason"]
        real = bridge.post(body, dry_run="1")
        assert [r["body"] for r in answer.body["requests"]] == [r["body"] for r in real.body["requests"]]
        assert len(answer.body["requests"]) == 1
        assert bridge.count() == 0
        assert rokt.calls() == []

    def test_a_test_of_a_partial_update_is_whole_though_nothing_has_left_yet(
        self, start: Starter, rokt: SandboxUnderTest
    ) -> None:
        bridge = start(sandbox=rokt, TEST_SUBSCRIPTIONS=ID)
        bridge.accept(literal())
        with bridge.database.write() as connection:
            connection.execute(sa.update(waiting).values(due_at=datetime.now(UTC) + timedelta(days=1)))

        with bridge.working():
            partial = literal(action="update", event={"event_id": "e1", "title": "New"}, dispatch_id=UNSENT)
            answer = bridge.post(partial)

        assert answer.body["state"] == "delivered"
        assert bridge.sent()[-1]["body"] == {"event": eastern(title="[TEST] New"), "subscriptionIds": [ID]}

    def test_a_test_of_a_drop_in_is_known_by_its_header(self, start: Starter, rokt: SandboxUnderTest) -> None:
        bridge = start(sandbox=rokt, TEST_SUBSCRIPTIONS=ID)
        body = {"event": eastern(), "subscriptionIds": [ID]}

        with bridge.working():
            answer = bridge.post(body, "/v1/subscriptionevent/brazetest", headers={"Idempotency-Key": UNSENT})

        assert answer.body["state"] == "delivered"
        assert bridge.sent()[0]["body"]["event"]["title"] == "[TEST] T"

    def test_a_test_is_never_taken_for_the_events_state(self, start: Starter, rokt: SandboxUnderTest) -> None:
        bridge = start(sandbox=rokt, TEST_SUBSCRIPTIONS=ID)
        with bridge.working():
            bridge.post(literal(dispatch_id=UNSENT, as_of=10))
        before = len(bridge.sent())

        bridge.accept(literal(action="upsert", as_of=9))
        bridge.deliver()

        [call] = bridge.sent()[before:]
        assert call["body"] == {"event": eastern(), "subscriptionIds": [ID]}

    def test_a_test_is_never_taken_for_a_repeat(self, start: Starter, rokt: SandboxUnderTest) -> None:
        bridge = start(sandbox=rokt, TEST_SUBSCRIPTIONS=ID)

        with bridge.working():
            first = bridge.post(literal(idempotency_key=UNSENT))
            second = bridge.post(literal(idempotency_key=UNSENT))

        assert first.id != second.id
        assert len(bridge.sent()) == 2

    def test_a_test_that_a_template_refuses_is_told_and_not_kept(self, bridge: Bridge) -> None:
        for wrong in (sale(template="nothing"), sale(variables={}), sale(variables=SALE | {"vip": "maybe"})):
            for fields, headers in self.MARKED:
                assert "id" not in bridge.refuse(wrong | fields, headers=headers).body

        assert bridge.count() == 0

    def test_a_test_tells_the_warnings(self, start: Starter, rokt: SandboxUnderTest) -> None:
        bridge = start(sandbox=rokt, TEST_SUBSCRIPTIONS=ID)

        with bridge.working():
            answer = bridge.post(literal(dispatch_id=UNSENT, event__start=DOUBLED))

        assert any("exists twice" in warning for warning in answer.body["warnings"])

    def test_a_test_that_is_skipped_says_why(self, bridge: Bridge) -> None:
        answer = bridge.post(sale(variables=SALE | {"discount": "1"}, dispatch_id=UNSENT))

        assert answer.status == 200
        assert answer.body["reason"] == "discount under 5 %"

    def test_a_test_of_a_delete_reaches_nobody_but_the_team(
        self, start: Starter, rokt: SandboxUnderTest
    ) -> None:
        bridge = start(sandbox=rokt, TEST_SUBSCRIPTIONS=ID)
        bridge.sends(literal(subscription_ids=[ID, THIRD_ID]))

        for_all = bridge.post({"action": "delete", "user_id": "u1", "event_id": "e1", "dispatch_id": UNSENT})
        assert for_all.body["dry_run"] is True
        with bridge.working():
            bridge.post(literal(action="delete", subscription_ids=[ID, THIRD_ID], dispatch_id=UNSENT))

        assert [call["path"] for call in bridge.sent()[1:]] == [
            f"/v2/subscription/brazetest/{ID}/subscriptionevent/e1_u1"
        ]

    def test_a_real_dispatch_is_no_test(self, bridge: Bridge) -> None:
        assert bridge.post(literal(dispatch_id="5f1c", idempotency_key="m-1-5f1c")).status == 202


class TestPreferWait:
    def test_the_message_is_shown_once_it_is_settled(self, walked: Bridge) -> None:
        with walked.working():
            answer = walked.post(literal(), headers={"Prefer": "respond-async, wait=20"})

        assert (answer.status, answer.body["state"]) == (200, "delivered")
        assert answer.body["attempts"][0]["status"] == 202
        assert answer.body["request_id"]

    def test_a_death_is_shown_as_well(self, walked: Bridge) -> None:
        assert walked.sandbox is not None
        walked.sandbox.fault(path="/v1", status=400, body={"Code": "BadRequest", "Reason": "no such account"})

        with walked.working():
            answer = walked.post(literal(), headers={"Prefer": "wait=20"})

        assert (answer.status, answer.body["state"]) == (200, "dead")
        assert "no such account" in answer.body["reason"]

    def test_both_messages_of_two_accounts_are_shown(self, walked: Bridge) -> None:
        with walked.working():
            answer = walked.post(literal(**TWO_ACCOUNTS), headers={"Prefer": "wait=20"})

        assert (answer.status, answer.body["state"]) == (200, "delivered")
        assert [m["id"] for m in answer.body["messages"]] == answer.body["ids"]
        assert {m["state"] for m in answer.body["messages"]} == {"delivered"}

    def test_202_is_the_answer_when_time_is_up(self, bridge: Bridge) -> None:
        answer = bridge.accept(literal(), headers={"Prefer": "wait=1"})

        assert answer.body["state"] == "accepted"
        assert answer.headers["Location"] == f"/v1/messages/{answer.id}"

    def test_a_quarter_of_the_threads_may_wait_and_the_next_is_answered_at_once(self, walked: Bridge) -> None:
        answers: list[Answer] = []
        threads = [
            threading.Thread(
                target=lambda n=number: answers.append(
                    walked.post(literal(user_id=f"w{n}"), headers={"Prefer": "wait=25"})
                )
            )
            for number in range(MOST_WAITING)
        ]
        for thread in threads:
            thread.start()
        walked.wait_until(lambda: walked.parts.waiters._value == 0)

        next_one = walked.post(literal(user_id="next"), headers={"Prefer": "wait=25"})
        assert all(thread.is_alive() for thread in threads)
        walked.deliver()
        for thread in threads:
            thread.join()

        assert next_one.status == 202
        assert [answer.status for answer in answers] == [200] * MOST_WAITING
        assert walked.parts.waiters._value == MOST_WAITING

    @pytest.mark.parametrize("prefer", ["wait=0", "wait=-1", "wait=soon", "wait", "wait=", "return=minimal"])
    def test_what_is_no_time_to_wait_is_not_waited_for(self, bridge: Bridge, prefer: str) -> None:
        assert bridge.post(literal(), headers={"Prefer": prefer}).status == 202

    def test_a_database_that_goes_after_the_commit_does_not_ask_for_a_repeat(
        self, bridge: Bridge, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def gone(*_: object) -> None:
            raise sa.exc.OperationalError("SELECT", {}, Exception("gone"))

        monkeypatch.setattr("bridge.outbox.reading.states", gone)

        bridge.accept(literal(), headers={"Prefer": "wait=20"})
        assert bridge.post(literal()).body["is_repeat"] is True


class TestRepeats:
    @pytest.mark.parametrize("place", ["header", "field"])
    def test_a_repeat_by_its_key_is_answered_with_the_first_id(
        self, start_on_both: Starter, place: str
    ) -> None:
        bridge = start_on_both()

        def send(**changes: Any) -> Answer:
            if place == "field":
                return bridge.post(literal(idempotency_key="k-1", **changes))
            return bridge.post(literal(**changes), headers={"Idempotency-Key": "k-1"})

        first = send()
        again = send()
        changed = send(event__title="changed on the way")

        assert first.status == 202
        for repeat in (again, changed):
            assert (repeat.status, repeat.id) == (200, first.id)
            assert repeat.body["is_repeat"] is True
        assert bridge.count() == 1

    def test_a_key_counts_for_each_user_event_action_route_and_inbound_key(self, bridge: Bridge) -> None:
        key = {"Idempotency-Key": "k-1"}
        bridge.accept(literal(), headers=key)

        bridge.accept(literal(user_id="u2"), headers=key)
        bridge.accept(literal(event__event_id="e2"), headers=key)
        bridge.accept(literal(action="update"), headers=key)
        bridge.accept(literal(), headers=key, key="send")
        drop_in = {"event": eastern(), "subscriptionIds": [ID]}
        bridge.accept(drop_in, "/v1/subscriptionevent/brazetest", headers=key)

        assert bridge.count() == 6

    def test_a_repeat_of_two_accounts_is_answered_with_both_ids(self, bridge: Bridge) -> None:
        first = bridge.accept(literal(**TWO_ACCOUNTS, idempotency_key=1))
        again = bridge.post(literal(**TWO_ACCOUNTS, idempotency_key="1"))

        assert again.body["ids"] == first.body["ids"]

    def test_a_repeat_tells_the_state_of_now(self, walked: Bridge) -> None:
        walked.accept(literal(idempotency_key="k-1"))
        walked.deliver()

        assert walked.post(literal(idempotency_key="k-1")).body["state"] == "delivered"

    def test_a_key_is_known_for_seven_days(self, bridge: Bridge) -> None:
        bridge.accept(literal(idempotency_key="k-1"))
        with bridge.database.read() as connection:
            [expires_at] = connection.scalars(sa.select(repeats.c.expires_at))
        assert abs(expires_at - datetime.now(UTC) - timedelta(days=7)) < timedelta(minutes=1)
        with bridge.database.write() as connection:
            connection.execute(sa.update(repeats).values(expires_at=datetime.now(UTC) - timedelta(seconds=1)))

        assert bridge.post(literal(idempotency_key="k-1")).status == 202

    def test_repeats_that_arrive_together_are_one_message(self, start_on_both: Starter) -> None:
        bridge = start_on_both()
        answers: list[Answer] = []
        threads = [
            threading.Thread(target=lambda: answers.append(bridge.post(literal(idempotency_key="k-1"))))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sorted(answer.status for answer in answers) == [200] * 7 + [202]
        assert len({answer.id for answer in answers}) == 1
        assert bridge.count() == 1

    def test_without_a_key_the_latest_request_byte_for_byte_is_a_repeat(self, start_on_both: Starter) -> None:
        bridge = start_on_both()

        first = bridge.accept(literal())
        again = bridge.post(literal())

        assert (again.status, again.id, again.body["is_repeat"]) == (200, first.id, True)
        assert bridge.count() == 1

    def test_an_event_moved_there_and_back_is_two_changes(self, walked: Bridge) -> None:
        for title in ("A", "B", "A"):
            walked.accept(literal(action="upsert", event__title=title))
        walked.deliver()

        assert [call["body"]["event"]["title"] for call in walked.sent()] == ["A", "B", "A"]

    def test_the_same_bytes_are_a_change_again_after_an_hour(self, bridge: Bridge) -> None:
        bridge.accept(literal())
        with bridge.database.write() as connection:
            hour_ago = datetime.now(UTC) - timedelta(minutes=61)
            connection.execute(sa.update(latest).values(accepted_at=hour_ago))

        assert bridge.post(literal()).status == 202

    def test_one_byte_more_is_no_repeat(self, bridge: Bridge) -> None:
        raw = json.dumps(literal()).encode()

        assert bridge.post(raw).status == 202
        assert bridge.post(raw + b" ").status == 202

    def test_the_same_bytes_under_another_key_of_ours_or_of_theirs_are_no_repeat(
        self, bridge: Bridge
    ) -> None:
        bridge.accept(literal(), key="all")

        bridge.accept(literal(), key="send")
        bridge.accept(literal(), key="send", headers={"Idempotency-Key": "k-1"})
        bridge.accept(literal(), key="send", headers={"Idempotency-Key": "k-2"})

    def test_the_same_bytes_on_another_account_of_a_drop_in_are_no_repeat(self, bridge: Bridge) -> None:
        body = {"event": eastern(), "subscriptionIds": [ID]}

        bridge.accept(body, "/v1/subscriptionevent/one")
        bridge.accept(body, "/v1/subscriptionevent/two")
        bridge.accept({"event": eastern()}, "/v1/subscriptionevent/one/update")

    def test_what_a_template_refused_is_no_repeat_once_it_is_mended(self, bridge: Bridge) -> None:
        body = sale(idempotency_key="k-1")
        bridge.refuse(body | {"template": "flash_sal"})

        assert bridge.post(body).status == 202


class TestWhatATemplateRefuses:
    WRONG: tuple[tuple[dict[str, Any], str, str, str], ...] = (
        (sale(template="flash_sal"), "template", "unknown template", 'did you mean "flash_sale"'),
        (sale(template="_brand"), "template", "unknown template", "flash_sale"),
        (sale(variables={}), "variables.sale_id", "missing variable", "was not sent"),
        (sale(variables=SALE | {"starts": ""}), "variables.starts", "missing variable", "is blank"),
        (sale(variables=SALE | {"discount": "half"}), "variables.discount", "wrong value", "not a number"),
        (sale(variables=SALE | {"vip": "maybe"}), "variables.vip", "wrong value", "neither yes nor no"),
        (sale(variables=SALE | {"price": "1"}), "variables.price", "unknown variable", "neither declared"),
        (sale(variables=SALE | {"time_zone": "EST"}), "timezone", "wrong value", "Eastern Standard Time"),
        (
            sale(variables=SALE | {"starts": SKIPPED_HOUR}),
            "variables.starts",
            "wrong value",
            "does not exist",
        ),
        (
            sale(variables=SALE | {"starts": "2090-02-30T09:00"}),
            "variables.starts",
            "wrong value",
            "2090-02-30",
        ),
    )

    @pytest.mark.parametrize(("body", "field", "cause", "words"), WRONG, ids=[w[2] for w in WRONG])
    def test_it_is_answered_422_and_kept_as_dead_with_its_cause_and_payload(
        self, bridge: Bridge, body: dict[str, Any], field: str, cause: str, words: str
    ) -> None:
        answer = bridge.refuse(body)

        assert answer.fields == [field]
        assert answer.says(words)
        shown = bridge.message(answer.id)
        assert shown["state"] == "dead"
        assert shown["reason"].startswith(f"{cause}: ")
        assert shown["payload"] == body
        assert (shown["template"], shown["user_id"]) == (body["template"], "u1")

    @pytest.mark.parametrize(
        ("source", "field"),
        [
            (PLAIN.replace("{{ title }}", "{{ title[9:] }}"), "title"),
            (PLAIN.replace("plain{%", "{{ title[9:] }}{%"), "event_id"),
            (PLAIN + "{% block end %}2000-01-01{% endblock %}", "end"),
            (PLAIN + "{% block notify_before %}99999{% endblock %}", "notify_before"),
            (PLAIN + "{% block all_day %}perhaps{% endblock %}", "all_day"),
            (PLAIN + "{% block expires %}soon{% endblock %}", "expires"),
        ],
    )
    def test_an_event_that_came_out_wrong_is_kept_too(self, bridge: Bridge, source: str, field: str) -> None:
        bridge.publish(plain=source)

        answer = bridge.refuse(sale(template="plain", variables={"title": "T", "starts": "2090-12-01T09:00"}))

        assert answer.fields == [field]
        assert answer.says("plain.jinja")
        assert bridge.message(answer.id)["state"] == "dead"

    def test_once_the_template_is_mended_a_replay_delivers_it(
        self, start_on_both: Starter, rokt: SandboxUnderTest
    ) -> None:
        bridge = start_on_both(sandbox=rokt)
        body = sale(template="cup", variables={"title": "Final", "starts": "2090-12-01T09:00"})
        refused = bridge.refuse(body)
        still = bridge.call("POST", f"/v1/messages/{refused.id}/replay")
        assert (still.status, still.id) == (422, refused.id)

        bridge.publish(cup=PLAIN.replace("plain{%", "cup{%"))
        replayed = bridge.call("POST", f"/v1/messages/{refused.id}/replay")
        bridge.deliver()

        assert (replayed.status, replayed.body["state"]) == (202, "accepted")
        shown = bridge.message(refused.id)
        assert (shown["state"], shown["version"], shown["event_id"]) == ("delivered", 1, "cup")
        [call] = bridge.sent()
        assert call["body"]["event"]["title"] == "Final"
        assert call["body"]["subscriptionIds"] == [ID]

    def test_a_refused_request_of_two_accounts_becomes_two_messages_at_its_replay(
        self, walked: Bridge
    ) -> None:
        variables = {"title": "Final", "starts": "2090-12-01T09:00"}
        refused = walked.refuse(sale(template="cup", variables=variables, **TWO_ACCOUNTS))

        walked.publish(cup=PLAIN)
        replayed = walked.call("POST", f"/v1/messages/{refused.id}/replay")
        walked.deliver()

        assert len(replayed.body["ids"]) == 2
        assert sorted(call["path"] for call in walked.sent()) == [
            "/v1/subscriptionevent/brazetest",
            "/v1/subscriptionevent/shop",
        ]

    def test_what_the_caller_built_wrongly_beside_a_template_is_not_kept(self, bridge: Bridge) -> None:
        for wrong in (
            sale(user_id=""),
            sale(account_code="a b"),
            sale(subscription_ids=[]),
            sale(action="x"),
            sale(as_of="soon"),
        ):
            assert "id" not in bridge.refuse(wrong).body

        assert bridge.count() == 0

    def test_the_words_name_the_templates_file_and_line(self, bridge: Bridge) -> None:
        answer = bridge.refuse(sale(variables=SALE | {"discount": "half"}))

        assert "flash_sale.jinja, line 6" in answer.body["errors"][0]["message"]


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


class TestDestinationsThatAreOff:
    OFF: ClassVar = {"ROKT_CALENDAR_CLIENT_ID": "", "ROKT_CALENDAR_CLIENT_SECRET": ""}

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("POST", "/v1/calendar/events", literal()),
            ("POST", "/v1/subscriptionevent/brazetest", {"event": eastern(), "subscriptionIds": [ID]}),
            ("POST", "/v1/subscriptionevent/brazetest/update", {"event": eastern()}),
            ("DELETE", "/v1/subscriptionevent/brazetest/e1_u1", None),
        ],
    )
    def test_501_names_the_variables(self, start: Starter, method: str, path: str, body: object) -> None:
        answer = start(**self.OFF).call(method, path, body)

        assert answer.status == 501
        check_problem(answer)
        assert answer.says("ROKT_CALENDAR_CLIENT_ID", "ROKT_CALENDAR_CLIENT_SECRET")

    def test_everything_else_works(self, start: Starter) -> None:
        bridge = start(**self.OFF)

        for path in ("/v1/messages", "/healthz", "/readyz", "/v1/timezones"):
            assert bridge.call("GET", path).status == 200

    def test_an_account_without_a_credential_is_off_by_itself(
        self, start: Starter, rokt: SandboxUnderTest
    ) -> None:
        own = {"ROKT_CALENDAR_CLIENT_ID__MY_SHOP": "x", "ROKT_CALENDAR_CLIENT_SECRET__MY_SHOP": "y"}
        bridge = start(sandbox=rokt, **self.OFF, **own)

        answer = bridge.refuse(literal(), status=501)
        assert answer.says("ROKT_CALENDAR_CLIENT_ID__BRAZETEST", "ROKT_CALENDAR_CLIENT_SECRET__BRAZETEST")
        assert bridge.refuse(literal(), path="/v1/calendar/events?dry_run=1", status=501)
        assert bridge.sends(literal(account_code="my-shop"))["path"] == "/v1/subscriptionevent/my-shop"
        assert bridge.count() == 1


class TestADatabaseThatIsGone:
    @pytest.fixture
    def gone(self, start: Starter) -> Bridge:
        return start(DATABASE_URL="postgresql://nobody@127.0.0.1:9/nothing")

    @pytest.mark.parametrize("body", [literal(), literal(action="upsert"), sale()])
    def test_503_asks_braze_for_a_repeat(self, gone: Bridge, body: dict[str, Any]) -> None:
        answer = gone.refuse(body, status=503)

        assert int(answer.headers["Retry-After"]) > 0
        assert not answer.says("nobody")

    def test_a_commit_that_fails_is_503_and_the_repeat_is_taken(
        self, bridge: Bridge, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def gone(self: Database) -> None:
            raise sa.exc.OperationalError("COMMIT", {}, Exception("gone"))

        with monkeypatch.context() as patch:
            patch.setattr(Database, "write", gone)
            answer = bridge.refuse(literal(), status=503)
            refused = bridge.refuse(sale(template="nothing"), status=503)

        assert answer.headers["Retry-After"] == refused.headers["Retry-After"] == "5"
        assert bridge.post(literal()).status == 202

    def test_a_wrong_request_is_still_told_to_its_caller(self, gone: Bridge) -> None:
        assert gone.refuse(literal(user_id="")).fields == ["user_id"]
