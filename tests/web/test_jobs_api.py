"""Jobs as the API makes and shows them: replay and cancel by a filter, how far they are, and their end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from outbox.steps import Outbox
from servers import SandboxUnderTest
from web.running import SALE, TWO_ACCOUNTS, Answer, Bridge, Starter, check_problem, literal, sale

from bridge import job_runner
from bridge.database import clock
from bridge.destinations import configured
from bridge.job_runner import JobRunner
from bridge.message import Uncertain
from bridge.outbox import selection
from bridge.rendering import Renderer
from bridge.web import job_making

PLAIN = """\
{% block event_id %}plain{% endblock %}
{% block title %}{{ title }}{% endblock %}
{% block start %}2090-12-01T09:00{% endblock %}
{% block timezone %}UTC{% endblock %}
"""
SHOWN = {
    "id",
    "kind",
    "state",
    "filter",
    "count",
    "is_count_whole",
    "done",
    "skipped",
    "failed",
    "reasons",
    "reason",
    "by",
    "request_id",
    "created_at",
    "started_at",
    "finished_at",
}


def ask(bridge: Bridge, body: Any, kind: str = "replay", **more: Any) -> Answer:
    return bridge.call("POST", f"/v1/messages/{kind}", body, **more)


def create(bridge: Bridge, body: Any, kind: str = "replay", **more: Any) -> str:
    answer = ask(bridge, body, kind, **more)
    assert answer.status == 202, answer.body
    job: str = answer.body["job"]
    assert answer.headers["Location"] == f"/v1/jobs/{job}"
    return job


def show(bridge: Bridge, job: str) -> dict[str, Any]:
    answer = bridge.call("GET", f"/v1/jobs/{job}", key="read")
    assert answer.status == 200, answer.body
    assert set(answer.body) >= SHOWN
    found: dict[str, Any] = answer.body
    return found


def work(bridge: Bridge) -> None:
    """Do all jobs."""
    destinations = configured(bridge.settings)
    render = Renderer(bridge.database, bridge.parts.templates, bridge.settings.test_subscriptions).for_job
    runner = JobRunner(bridge.database, destinations, render)
    while runner.step() != job_runner.LOOK_EVERY:
        pass
    for destination in destinations:
        destination.close()


def refuse(bridge: Bridge, count: int) -> list[str]:
    """So many that a template refuses."""
    body = sale(template="plain", variables={"title": "T"})
    return [bridge.refuse(body | {"user_id": f"u{n}"}).id for n in range(count)]


class TestReplay:
    def test_mended_and_published_all_that_the_template_refused_is_sent(
        self, start_on_both: Starter, rokt: SandboxUnderTest
    ) -> None:
        bridge = start_on_both(sandbox=rokt)
        refuse(bridge, 3)
        bridge.publish(plain=PLAIN)

        job = create(bridge, {"state": "dead", "template": "plain", "reason": "unknown template"})
        assert show(bridge, job)["state"] == "waiting"
        work(bridge)
        bridge.deliver()

        shown = show(bridge, job)
        assert (shown["kind"], shown["state"], shown["by"]) == ("replay", "done", "all")
        assert (shown["count"], shown["done"], shown["skipped"], shown["failed"]) == (3, 3, 0, 0)
        assert shown["filter"] == {"state": "dead", "template": "plain", "reason": "unknown template"}
        assert shown["created_at"] <= shown["started_at"] <= shown["finished_at"]
        assert sorted(call["body"]["event"]["eventId"] for call in bridge.sent()) == [
            "plain_u0",
            "plain_u1",
            "plain_u2",
        ]

    def test_what_is_still_refused_is_counted_with_its_cause(self, bridge: Bridge) -> None:
        [one] = refuse(bridge, 1)
        bridge.publish(plain=PLAIN.replace("{{ title }}", "{{ titel }}"))
        job = create(bridge, {"state": "dead"})

        work(bridge)

        shown = show(bridge, job)
        assert (shown["done"], shown["failed"]) == (0, 1)
        assert shown["reasons"] == {"unknown variable": 1}
        assert "titel" in bridge.message(one)["reason"]

    def test_two_accounts_of_one_that_had_none_are_both_reached(self, walked: Bridge) -> None:
        body = sale(template="plain", variables={"title": "T"}, **TWO_ACCOUNTS)
        walked.refuse(body)
        walked.publish(plain=PLAIN)
        create(walked, {"state": "dead"})

        work(walked)
        walked.deliver()

        assert sorted(call["path"] for call in walked.sent()) == [
            "/v1/subscriptionevent/brazetest",
            "/v1/subscriptionevent/shop",
        ]

    def test_what_was_delivered_is_sent_though_rokt_holds_it_and_rendered_anew_if_asked(
        self, walked: Bridge
    ) -> None:
        walked.publish(plain=PLAIN)
        walked.accept(sale(template="plain", variables={"title": "T"}))
        walked.deliver()
        walked.publish(plain=PLAIN.replace("{{ title }}", "{{ title }} 2"))

        create(walked, {"state": "delivered"})
        work(walked)
        walked.deliver()
        create(walked, {"state": "delivered", "render": "current"})
        work(walked)
        walked.deliver()

        assert [call["body"]["event"]["title"] for call in walked.sent()] == ["T", "T", "T 2"]

    def test_force_sends_what_was_overtaken(self, walked: Bridge, rokt: SandboxUnderTest) -> None:
        rokt.fault(path="/v1", times=1, status=400)
        walked.accept(literal())
        walked.accept(literal(event__title="New"))
        walked.deliver()

        plain = create(walked, {"state": "dead"})
        work(walked)
        forced = create(walked, {"state": "superseded", "force": True})
        work(walked)
        walked.deliver()

        assert show(walked, plain)["skipped"] == 1
        assert (show(walked, forced)["force"], show(walked, forced)["done"]) == (True, 1)
        assert walked.sent()[-1]["body"]["event"]["title"] == "T"

    @pytest.mark.parametrize("query", [{}, {"dry_run": 1}])
    def test_a_dry_run_counts_and_changes_nothing(self, bridge: Bridge, query: dict[str, Any]) -> None:
        refuse(bridge, 2)
        body = {"state": "dead"} if query else {"state": "dead", "dry_run": True}

        answer = ask(bridge, body, **query)

        assert answer.status == 200
        assert answer.body == {"dry_run": True, "count": 2, "request_id": answer.body["request_id"]}
        assert bridge.call("GET", "/v1/jobs").body == {"jobs": []}

    def test_a_count_that_was_cut_short_says_so(
        self, bridge: Bridge, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        refuse(bridge, 3)
        monkeypatch.setattr(selection, "EXAMINED", 2)
        monkeypatch.setattr(job_making, "COUNT_WITHIN", 0.0)

        answer = ask(bridge, {"state": "dead"})

        assert (answer.body["count"], answer.body["is_count_whole"]) == (2, False)
        assert show(bridge, answer.body["job"])["is_count_whole"] is False
        work(bridge)
        assert show(bridge, answer.body["job"])["failed"] == 3


class TestCancel:
    def test_what_waits_is_dead_and_says_by_whom(self, start_on_both: Starter) -> None:
        bridge = start_on_both()
        one = bridge.accept(literal()).id
        other = bridge.accept(literal(user_id="u2")).id

        job = create(bridge, {"user_id": "u1"}, "cancel", key="operate")
        work(bridge)

        shown = show(bridge, job)
        assert (shown["kind"], shown["count"], shown["done"]) == ("cancel", 1, 1)
        assert "force" not in shown
        cancelled = bridge.message(one)
        assert (cancelled["state"], cancelled["reason"]) == ("dead", "cancelled by operate")
        assert bridge.message(other)["state"] == "accepted"

    def test_what_waits_for_a_person_is_cancelled_only_if_asked_for_and_lets_the_next_go(
        self, start_on_both: Starter
    ) -> None:
        bridge = start_on_both()
        first = bridge.accept(literal()).id
        outbox = Outbox(bridge.database)
        with bridge.database.read() as connection:
            now = clock(connection)
        outbox.settle(outbox.claim(now=now), Uncertain("no whole answer in time", is_final=True), now=now)
        second = bridge.accept(literal(event__title="New")).id
        assert (bridge.message(second)["state"], bridge.message(second)["waits_for"]) == ("accepted", first)

        create(bridge, {"state": "uncertain"}, "cancel", key="operate")
        work(bridge)

        shown = bridge.message(first)
        assert (shown["state"], shown["reason"], shown["was_uncertain"]) == (
            "dead",
            "cancelled by operate",
            True,
        )
        assert (bridge.message(second)["state"], bridge.message(second)["waits_for"]) == ("accepted", None)
        assert len(outbox.claim(now=now + timedelta(minutes=1))) == 1

    def test_an_update_of_a_create_that_was_cancelled_is_the_create(self, walked: Bridge) -> None:
        walked.accept(literal())
        create(walked, {"state": "accepted"}, "cancel")
        work(walked)

        walked.accept(literal(action="update", event__title="New"))
        walked.deliver()

        [call] = walked.sent()
        assert call["path"] == "/v1/subscriptionevent/brazetest"
        assert call["body"]["event"]["title"] == "New"


class TestWrongWishes:
    @pytest.mark.parametrize("kind", ["replay", "cancel"])
    def test_no_filter_is_not_every_message(self, bridge: Bridge, kind: str) -> None:
        refuse(bridge, 1)
        bridge.accept(literal())

        for body in ({}, {"dry_run": True}):
            answer = ask(bridge, body, kind)

            assert answer.status == 422
            check_problem(answer)
            assert answer.fields == ["state"]
            assert answer.says("at least one filter is needed")
        assert bridge.call("GET", "/v1/jobs").body == {"jobs": []}

    @pytest.mark.parametrize(
        ("kind", "body", "field", "words"),
        [
            ("replay", {"stat": "dead"}, "stat", "did you mean state"),
            ("replay", {"state": "dead", "templat": "x"}, "templat", "did you mean template"),
            ("replay", {"state": "dead", "dryrun": True}, "dryrun", "did you mean dry_run"),
            ("replay", {"state": "dead", "limit": 5}, "limit", "no filter"),
            ("replay", {"state": "ded"}, "state", "did you mean dead"),
            ("replay", {"state": ["dead"]}, "state", "must be text"),
            ("replay", {"state": "accepted"}, "state", "is none of this"),
            ("replay", {"state": "dead", "user_id": ""}, "user_id", "is blank"),
            ("replay", {"state": "dead", "user_id": None}, "user_id", "is blank"),
            ("replay", {"state": "dead", "user_id": ["u"]}, "user_id", "must be text"),
            ("replay", {"state": "dead", "since": "yesterday"}, "since", "2026-12-01T09:00"),
            ("replay", {"state": "dead", "since": 5}, "since", "must be a time"),
            ("replay", {"was_uncertain": "perhaps"}, "was_uncertain", "yes or no"),
            ("replay", {"state": "dead", "render": "old"}, "render", "current"),
            ("replay", {"state": "dead", "force": "perhaps"}, "force", "yes or no"),
            ("replay", {"state": "dead", "dry_run": "perhaps"}, "dry_run", "yes or no"),
            ("cancel", {"state": "dead"}, "state", "there are accepted, retrying, uncertain"),
            ("cancel", {"user_id": "u", "force": True}, "force", "no option of this"),
        ],
    )
    def test_a_wrong_one_is_named_with_what_would_be_right(
        self, bridge: Bridge, kind: str, body: dict[str, Any], field: str, words: str
    ) -> None:
        answer = ask(bridge, body, kind)

        assert answer.status == 422
        check_problem(answer)
        assert answer.fields == [field]
        assert answer.says(words)

    def test_an_option_of_the_query_that_nobody_reads_sends_nothing(self, bridge: Bridge) -> None:
        answer = ask(bridge, {"state": "dead"}, dryrun=1)

        assert answer.status == 422
        assert answer.fields == ["dryrun"]
        assert answer.says("dry_run")

    @pytest.mark.parametrize("option", ["dry_run", "force"])
    def test_a_wrong_option_of_the_body_is_named_beside_a_right_one_of_the_query(
        self, bridge: Bridge, option: str
    ) -> None:
        answer = ask(bridge, {"state": "dead", option: {}}, **{option: 1})

        assert answer.status == 422
        assert answer.fields == [option]

    def test_a_number_is_taken_for_an_id_as_elsewhere(self, bridge: Bridge) -> None:
        bridge.accept(literal(user_id=42))

        assert ask(bridge, {"user_id": 42, "dry_run": True}, "cancel").body["count"] == 1

    def test_a_body_that_is_no_object_is_refused(self, bridge: Bridge) -> None:
        assert [ask(bridge, body).status for body in (b"", b"[]", b"{")] == [400, 422, 400]


class TestJobs:
    def test_the_newest_comes_first(self, bridge: Bridge) -> None:
        made = [create(bridge, {"state": "dead"}) for _ in range(3)]

        listed = bridge.call("GET", "/v1/jobs", key="read")

        assert [job["id"] for job in listed.body["jobs"]] == made[::-1]

    def test_stopped_it_stays_where_it_is_and_says_what_it_did(self, bridge: Bridge) -> None:
        refuse(bridge, 1)
        job = create(bridge, {"state": "dead"})

        answer = bridge.call("DELETE", f"/v1/jobs/{job}", key="operate")
        work(bridge)

        assert (answer.status, answer.body["state"], answer.body["done"]) == (200, "cancelled", 0)
        assert answer.body == show(bridge, job)

    def test_to_stop_one_that_is_done_changes_nothing(self, bridge: Bridge) -> None:
        job = create(bridge, {"state": "dead"})
        work(bridge)
        done = show(bridge, job)

        answer = bridge.call("DELETE", f"/v1/jobs/{job}")

        assert (answer.status, answer.body) == (200, done)
        assert done["state"] == "done"

    @pytest.mark.parametrize("method", ["GET", "DELETE"])
    @pytest.mark.parametrize("unknown", ["x", "%2e%2e", "é"])
    def test_an_unknown_one_is_404(self, bridge: Bridge, method: str, unknown: str) -> None:
        answer = bridge.call(method, f"/v1/jobs/{unknown}")

        assert answer.status == 404
        check_problem(answer)

    @pytest.mark.parametrize(
        ("method", "path", "scope"),
        [
            ("POST", "/v1/messages/replay", "operate"),
            ("POST", "/v1/messages/cancel", "operate"),
            ("DELETE", "/v1/jobs/x", "operate"),
            ("GET", "/v1/jobs/x", "read"),
            ("GET", "/v1/jobs", "read"),
        ],
    )
    def test_each_call_has_its_scope(self, bridge: Bridge, method: str, path: str, scope: str) -> None:
        body = {"state": "accepted"} if method == "POST" else None
        statuses = {
            key: bridge.call(method, path, body, key=key).status for key in ("send", "read", "operate")
        }

        assert {key for key, status in statuses.items() if status != 403} == {scope}
        assert bridge.call(method, path, body, key=None).status == 401


def test_lists_are_filtered_by_template_and_by_reason_too(bridge: Bridge) -> None:
    refuse(bridge, 1)
    skipped = bridge.post(sale(variables=SALE | {"discount": "1"})).id

    by_template = bridge.call("GET", "/v1/messages", template="flash_sale").body["messages"]
    by_reason = bridge.call("GET", "/v1/messages", reason="unknown template").body["messages"]

    assert [message["id"] for message in by_template] == [skipped]
    assert [message["state"] for message in by_reason] == ["dead"]
