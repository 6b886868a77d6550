"""The codes made for Braze: waiting, repeats, refusals that are kept, destinations and databases that are off."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
import sqlalchemy as sa
from servers import SandboxUnderTest
from web.running import (
    ID,
    PLAIN,
    SALE,
    SKIPPED_HOUR,
    TWO_ACCOUNTS,
    Answer,
    Bridge,
    Starter,
    check_problem,
    eastern,
    literal,
    sale,
)

from bridge.database import Database
from bridge.outbox.tables import latest, repeats
from bridge.web.parts import MOST_WAITING


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
        walked.wait_until(lambda: walked.parts.waiters.free == 0)

        next_one = walked.post(literal(user_id="next"), headers={"Prefer": "wait=25"})
        assert all(thread.is_alive() for thread in threads)
        walked.deliver()
        for thread in threads:
            thread.join()

        assert next_one.status == 202
        assert [answer.status for answer in answers] == [200] * MOST_WAITING
        assert walked.parts.waiters.free == MOST_WAITING

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

    @pytest.mark.parametrize("blank", ["-", "--", " - ", "", "_/.", None])
    def test_a_key_of_blanks_joined_together_is_none(self, bridge: Bridge, blank: str | None) -> None:
        bridge.accept(literal(idempotency_key=blank))

        bridge.accept(literal(idempotency_key=blank, event__title="moved"))
        bridge.accept(literal(event__title="and moved again"), headers={"Idempotency-Key": blank or "-"})
        assert bridge.accept(literal(idempotency_key=blank), headers={"Idempotency-Key": blank or "-"})

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


def test_nobody_guesses_what_an_answer_is(bridge: Bridge) -> None:
    for path in ("/v1/messages", "/v1/offers", "/nothing", "/healthz"):
        assert bridge.call("GET", path).headers["X-Content-Type-Options"] == "nosniff"
