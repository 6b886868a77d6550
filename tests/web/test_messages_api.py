"""The messages as the API shows them: filters, pages, attempts, what waits for what, and replays."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from servers import SandboxUnderTest
from web.running import ID, SALE, Answer, Bridge, Starter, check_problem, literal, sale

from bridge.outbox.replay import refuse_again, settled
from bridge.outbox.tables import messages

OTHER_ID = "9a9007c7-f5a4-4811-b13c-ff10919f1078"
TWO_ACCOUNTS = {
    "account_code": ["brazetest/f5733866ade2", "shop/ff10919f1078"],
    "subscription_ids": [ID, OTHER_ID],
}
SHOWN = {
    "id",
    "state",
    "destination",
    "action",
    "user_id",
    "event_id",
    "account_code",
    "template",
    "version",
    "received_at",
    "due_at",
    "reason",
    "waits_for",
    "was_uncertain",
    "request",
    "attempts",
}
PLAIN = """\
{% block event_id %}plain{% endblock %}
{% block title %}{{ title }}{% endblock %}
{% block start %}2090-12-01T09:00{% endblock %}
{% block timezone %}UTC{% endblock %}
"""


def listed(bridge: Bridge, **query: Any) -> list[str]:
    answer = bridge.call("GET", "/v1/messages", **query)
    assert answer.status == 200, answer.body
    return [message["id"] for message in answer.body["messages"]]


def replay(bridge: Bridge, message_id: str, **query: Any) -> Answer:
    return bridge.call("POST", f"/v1/messages/{message_id}/replay", **query)


def refuse_once(rokt: SandboxUnderTest) -> None:
    rokt.fault(path="/v1", times=1, status=400, body={"Code": "BadRequest", "Reason": "not today"})


class TestLists:
    def test_the_newest_come_first_with_all_that_is_known(self, start_on_both: Starter) -> None:
        bridge = start_on_both()
        ids = [bridge.accept(literal(user_id=f"u{n}")).id for n in range(3)]

        answer = bridge.call("GET", "/v1/messages")

        assert [message["id"] for message in answer.body["messages"]] == ids[::-1]
        assert answer.body["next"] is None
        for message in answer.body["messages"]:
            assert set(message) >= SHOWN
            assert message["attempts"] == []
            assert message["due_at"].endswith("Z")
            assert message["received_at"].endswith("Z")

    def test_each_filter_finds_its_own(self, start_on_both: Starter, rokt: SandboxUnderTest) -> None:
        bridge = start_on_both(sandbox=rokt)
        delivered = bridge.accept(literal()).id
        bridge.deliver()
        waiting = bridge.accept(literal(user_id="u_2", event__event_id="Event_0001")).id
        dead = bridge.refuse(sale(template="nothing", user_id="u3")).id
        skipped = bridge.post(sale(variables=SALE | {"discount": "1"}, user_id="u4")).id

        assert listed(bridge, state="delivered") == [delivered]
        assert listed(bridge, state="accepted") == [waiting]
        assert listed(bridge, state="dead") == [dead]
        assert listed(bridge, state="skipped") == [skipped]
        assert listed(bridge, state="retrying") == []
        assert listed(bridge, user_id="u3") == [dead]
        assert listed(bridge, event_id="Event_0001") == [waiting]
        assert listed(bridge, event_id="Event_0001_u_2") == [waiting]
        assert listed(bridge, event_id="e1_u1") == [delivered]
        assert listed(bridge, event_id="sale_w26_u4") == [skipped]
        assert listed(bridge, event_id="u1") == listed(bridge, event_id="e1_") == []
        assert listed(bridge, destination="rokt_calendar") == [skipped, dead, waiting, delivered]
        assert listed(bridge, destination="braze") == []
        assert listed(bridge, was_uncertain="false") == [skipped, dead, waiting, delivered]
        assert listed(bridge, was_uncertain="true") == []
        assert listed(bridge, state="delivered", user_id="u3") == []
        assert listed(bridge, state="", user_id="") == [skipped, dead, waiting, delivered]

    def test_what_ever_was_uncertain_is_found(self, start: Starter, rokt: SandboxUnderTest) -> None:
        bridge = start(sandbox=rokt)
        rokt.fault(path="/v1", times=1, drop="after")
        one = bridge.accept(literal()).id
        bridge.deliver()

        shown = bridge.message(one)

        assert shown["was_uncertain"] is True
        assert listed(bridge, was_uncertain="1") == [one]

    def test_since_takes_its_moment_in_and_until_leaves_it_out(self, start_on_both: Starter) -> None:
        bridge = start_on_both()
        ids = [bridge.accept(literal(user_id=f"u{n}")).id for n in range(3)]
        first = datetime(2026, 11, 20, 10, tzinfo=UTC)
        with bridge.database.write() as connection:
            for number, one in enumerate(ids):
                at = first + timedelta(hours=number)
                connection.execute(sa.update(messages).where(messages.c.id == one).values(received_at=at))

        assert listed(bridge, since="2026-11-20T11:00:00Z") == [ids[2], ids[1]]
        assert listed(bridge, until="2026-11-20T11:00:00Z") == [ids[0]]
        assert listed(bridge, since="2026-11-20T11:00:00Z", until="2026-11-20T12:00:00Z") == [ids[1]]
        assert listed(bridge, since="2026-11-20 11:00") == [ids[2], ids[1]]
        assert listed(bridge, since="2026-11-20T12:00:00+01:00") == [ids[2], ids[1]]
        for unencoded in (
            "2026-11-20T12:00:00+01:00",
            "2026-11-20T21:00+10:00",
            "2026-11-20%2012:00:00.0+01:00",
        ):
            answer = bridge.call("GET", f"/v1/messages?since={unencoded}")
            assert [message["id"] for message in answer.body["messages"]] == [ids[2], ids[1]], unencoded
        assert listed(bridge, since="2026-11-21") == []

    def test_pages_follow_each_other_whatever_arrives_between(self, start_on_both: Starter) -> None:
        bridge = start_on_both()
        ids = [bridge.accept(literal(user_id=f"u{n}")).id for n in range(5)][::-1]

        first = bridge.call("GET", "/v1/messages", limit=2).body
        bridge.accept(literal(user_id="late"))
        second = bridge.call("GET", "/v1/messages", limit=2, cursor=first["next"]).body
        last = bridge.call("GET", "/v1/messages", limit=2, cursor=second["next"]).body

        pages = [[message["id"] for message in page["messages"]] for page in (first, second, last)]
        assert pages == [ids[:2], ids[2:4], ids[4:]]
        assert last["next"] is None

    def test_a_page_that_is_just_full_is_the_last(self, bridge: Bridge) -> None:
        for number in range(2):
            bridge.accept(literal(user_id=f"u{number}"))

        assert bridge.call("GET", "/v1/messages", limit=2).body["next"] is None

    def test_a_list_is_of_fifty_and_at_most_of_two_hundred(self, bridge: Bridge) -> None:
        for number in range(202):
            bridge.post(sale(variables=SALE | {"discount": "1"}, user_id=f"u{number}"))

        assert len(listed(bridge)) == len(listed(bridge, limit="")) == len(listed(bridge, limit=0)) == 50
        assert len(listed(bridge, limit=1000)) == 200

    @pytest.mark.parametrize(
        ("name", "value", "words"),
        [
            ("state", "delivred", "did you mean delivered"),
            ("since", "yesterday", "2026-12-01T09:00"),
            ("until", "2026-02-30", "2026-02-30"),
            ("limit", "many", "whole number"),
            ("limit", "-1", "whole number"),
            ("limit", "²", "whole number"),
            ("limit", "9" * 30, "whole number"),
            ("cursor", "x", "whole number"),
            ("was_uncertain", "perhaps", "yes or no"),
            ("stat", "dead", "did you mean state"),
            ("user", "u1", "user_id"),
        ],
    )
    def test_a_wrong_filter_is_named_with_what_would_be_right(
        self, bridge: Bridge, name: str, value: str, words: str
    ) -> None:
        answer = bridge.call("GET", "/v1/messages", **{name: value})

        assert answer.status == 422
        check_problem(answer)
        assert answer.fields == [name]
        assert answer.says(words)


class TestOne:
    def test_it_is_shown_with_its_attempts_and_what_was_sent(self, walked: Bridge) -> None:
        one = walked.accept(literal()).id
        walked.deliver()

        shown = walked.message(one)

        assert set(shown) >= SHOWN
        [attempt] = shown["attempts"]
        assert set(attempt) == {"at", "status", "ms", "answer", "request_id"}
        assert attempt["request_id"] == shown["request_id"] == walked.sent()[0]["headers"]["x-request-id"]
        assert (attempt["status"], shown["state"], shown["due_at"]) == (202, "delivered", None)
        assert shown["request"]["rokt_event_id"] == "e1_u1"
        assert shown["payload"] == literal()

    def test_every_attempt_is_shown_in_order(self, walked: Bridge, rokt: SandboxUnderTest) -> None:
        rokt.fault(path="/v1", times=1, status=503, body={"Reason": "later, ada@example.com"})
        one = walked.accept(literal()).id
        walked.deliver()

        shown = walked.message(one)

        assert [attempt["status"] for attempt in shown["attempts"]] == [503, 202]
        assert shown["state"] == "delivered"
        assert "ada@example.com" not in str(shown["attempts"])
        assert "later" in shown["attempts"][0]["answer"]

    def test_what_stands_behind_another_says_for_which_it_waits(self, bridge: Bridge) -> None:
        first = bridge.accept(literal()).id
        second = bridge.accept(literal(event__title="New")).id
        third = bridge.accept(literal(event__title="Newer")).id
        other = bridge.accept(literal(user_id="u2")).id

        assert bridge.message(first)["waits_for"] is None
        assert bridge.message(second)["waits_for"] == first
        assert bridge.message(third)["waits_for"] == first
        assert bridge.message(other)["waits_for"] is None

    def test_while_the_first_is_retried_the_rest_stay_accepted(
        self, walked: Bridge, rokt: SandboxUnderTest
    ) -> None:
        rokt.fault(path="/v1", status=429, retry_after=600)
        first = walked.accept(literal()).id
        second = walked.accept(literal(event__title="New")).id

        with walked.working():
            walked.wait_until(lambda: walked.message(first)["state"] == "retrying")

        shown = walked.message(second)
        assert (shown["state"], shown["waits_for"]) == ("accepted", first)
        assert "429" in walked.message(first)["reason"]

    def test_a_dead_one_lets_the_next_go(self, walked: Bridge, rokt: SandboxUnderTest) -> None:
        refuse_once(rokt)
        first = walked.accept(literal()).id
        second = walked.accept(literal(event__title="New")).id
        walked.deliver()

        assert (walked.message(first)["state"], walked.message(second)["state"]) == ("dead", "delivered")
        assert "not today" in walked.message(first)["reason"]

    @pytest.mark.parametrize("unknown", ["x", "0", "00000000-0000-0000-0000-000000000000", "%2e%2e", "é"])
    def test_an_unknown_id_is_404(self, bridge: Bridge, unknown: str) -> None:
        for answer in (bridge.call("GET", f"/v1/messages/{unknown}"), replay(bridge, unknown)):
            assert answer.status == 404
            check_problem(answer)


class TestReplay:
    def test_a_dead_message_is_sent_again_as_it_was(
        self, start_on_both: Starter, rokt: SandboxUnderTest
    ) -> None:
        bridge = start_on_both(sandbox=rokt)
        refuse_once(rokt)
        one = bridge.accept(literal()).id
        bridge.deliver()

        answer = replay(bridge, one)
        bridge.deliver()

        assert (answer.status, answer.id, answer.body["state"]) == (202, one, "accepted")
        shown = bridge.message(one)
        assert (shown["state"], shown["reason"]) == ("delivered", None)
        assert [attempt["status"] for attempt in shown["attempts"]] == [400, 202]
        assert [call["body"] for call in bridge.sent()] == [bridge.sent()[0]["body"]] * 2

    def test_a_delivered_message_is_sent_again_though_rokt_holds_it(self, walked: Bridge) -> None:
        one = walked.accept(literal()).id
        walked.deliver()

        assert replay(walked, one).status == 202
        walked.deliver()

        assert len(walked.sent()) == 2
        assert walked.message(one)["state"] == "delivered"

    def test_what_was_too_late_is_sent_all_the_same(self, walked: Bridge) -> None:
        one = walked.accept(literal(expires="2026-01-01T00:00:00Z")).id
        walked.deliver()
        assert walked.message(one)["state"] == "dead"

        replay(walked, one)
        walked.deliver()

        assert walked.message(one)["state"] == "delivered"

    def test_what_still_waits_cannot_be_replayed(self, bridge: Bridge) -> None:
        one = bridge.accept(literal()).id

        answer = replay(bridge, one)

        assert answer.status == 422
        check_problem(answer)
        assert answer.says("on its way already")

    def test_it_is_superseded_where_a_later_one_was_delivered_unless_forced(
        self, start_on_both: Starter, rokt: SandboxUnderTest
    ) -> None:
        bridge = start_on_both(sandbox=rokt)
        refuse_once(rokt)
        old = bridge.accept(literal()).id
        bridge.accept(literal(event__title="New"))
        bridge.deliver()

        answer = replay(bridge, old)
        assert (answer.status, answer.body["state"]) == (200, "superseded")
        assert "force" in answer.body["reason"]
        assert bridge.message(old)["state"] == "superseded"
        assert len(bridge.sent()) == 2

        forced = replay(bridge, old, force=1)
        bridge.deliver()
        assert (forced.status, forced.body["state"]) == (202, "accepted")
        assert bridge.message(old)["state"] == "delivered"
        assert bridge.sent()[-1]["body"]["event"]["title"] == "T"

    def test_it_keeps_its_place_before_what_came_later(self, walked: Bridge, rokt: SandboxUnderTest) -> None:
        refuse_once(rokt)
        old = walked.accept(literal()).id
        walked.deliver()
        new = walked.accept(literal(event__title="New")).id

        replay(walked, old)

        assert walked.message(new)["waits_for"] == old
        walked.deliver()
        assert [call["body"]["event"]["title"] for call in walked.sent()[1:]] == ["T", "New"]

    def test_the_version_published_now_renders_it_when_asked_to(self, walked: Bridge) -> None:
        walked.publish(plain=PLAIN)
        one = walked.accept(sale(template="plain", variables={"title": "T"})).id
        walked.deliver()
        walked.publish(plain=PLAIN.replace("{{ title }}", "{{ title }} 2"))

        as_it_was = replay(walked, one)
        walked.deliver()
        anew = replay(walked, one, render="current")
        walked.deliver()

        assert (as_it_was.status, anew.status) == (202, 202)
        assert [call["body"]["event"]["title"] for call in walked.sent()] == ["T", "T", "T 2"]
        assert walked.message(one)["version"] == 2

    def test_rendering_one_of_two_accounts_anew_leaves_the_other_alone(self, walked: Bridge) -> None:
        walked.publish(plain=PLAIN)
        ids = walked.accept(sale(template="plain", variables={"title": "T"}, **TWO_ACCOUNTS)).body["ids"]
        walked.deliver()
        before = len(walked.sent())
        walked.publish(plain=PLAIN.replace("{{ title }}", "{{ title }} 2"))

        answer = replay(walked, ids[1], render="current")
        walked.deliver()

        assert "ids" not in answer.body
        assert [call["path"] for call in walked.sent()[before:]] == ["/v1/subscriptionevent/shop/update"]
        assert walked.message(ids[1])["account_code"] == "shop"
        assert walked.count() == 2

    def test_a_template_that_refuses_a_delivered_one_now_leaves_it_as_it_is(self, walked: Bridge) -> None:
        walked.publish(plain=PLAIN)
        one = walked.accept(sale(template="plain", variables={"title": "T"})).id
        walked.deliver()
        walked.publish(plain=PLAIN.replace("{{ title }}", "{{ titel }}"))

        answer = replay(walked, one, render="current")

        assert answer.status == 422
        check_problem(answer)
        assert answer.says("titel")
        shown = walked.message(one)
        assert (shown["state"], shown["reason"]) == ("delivered", None)

    def test_a_template_that_still_refuses_says_why_now(self, walked: Bridge) -> None:
        one = walked.refuse(sale(template="plain", variables={"title": ""})).id
        walked.publish(plain=PLAIN)

        answer = replay(walked, one)

        assert (answer.status, answer.id) == (422, one)
        shown = walked.message(one)
        assert shown["state"] == "dead"
        assert shown["reason"].startswith("missing variable")

    def test_a_refusal_that_comes_after_somebody_elses_replay_changes_nothing(self, walked: Bridge) -> None:
        one = walked.refuse(sale(template="plain", variables={"title": "T"})).id
        with walked.database.read() as connection:
            found = settled(connection, one)
        walked.publish(plain=PLAIN)
        assert replay(walked, one).status == 202

        with walked.database.write() as connection:
            assert found is not None
            refuse_again(connection, found[0], "unknown template")

        assert walked.message(one)["reason"] is None

    def test_a_skipped_one_is_rendered_again(self, walked: Bridge) -> None:
        walked.publish(plain=PLAIN + "{% block skip %}not yet{% endblock %}")
        one = walked.post(sale(template="plain", variables={"title": "T"})).id
        assert replay(walked, one).body["state"] == "skipped"
        walked.publish(plain=PLAIN)

        assert replay(walked, one).body["state"] == "accepted"
        walked.deliver()

        assert walked.message(one)["state"] == "delivered"

    def test_a_test_whose_team_has_changed_is_told_so(self, start: Starter, rokt: SandboxUnderTest) -> None:
        mark = "dispatch_id_for_unsent_campaign"
        bridge = start(sandbox=rokt, TEST_SUBSCRIPTIONS=ID)
        with bridge.working():
            one = bridge.post(literal(dispatch_id=mark)).id

        answer = replay(start(sandbox=rokt), one, render="current")

        assert answer.status == 422
        check_problem(answer)

    def test_of_many_replays_at_once_one_is_sent(
        self, start_on_both: Starter, rokt: SandboxUnderTest
    ) -> None:
        bridge = start_on_both(sandbox=rokt)
        one = bridge.refuse(sale(template="plain", variables={"title": "T"}, **TWO_ACCOUNTS)).id
        bridge.publish(plain=PLAIN)
        answers: list[Answer] = []
        threads = [threading.Thread(target=lambda: answers.append(replay(bridge, one))) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        bridge.deliver()

        assert sorted(answer.status for answer in answers) == [202] + [422] * 5, [a.body for a in answers]
        assert bridge.count() == 2
        assert len(bridge.sent()) == 2

    @pytest.mark.parametrize(("name", "value"), [("render", "old"), ("force", "maybe"), ("force", "")])
    def test_a_wrong_wish_is_named(self, walked: Bridge, name: str, value: str) -> None:
        one = walked.accept(literal()).id
        walked.deliver()

        answer = replay(walked, one, **{name: value})

        assert answer.status == 422
        assert answer.fields == [name]
        assert walked.message(one)["state"] == "delivered"
