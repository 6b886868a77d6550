"""Recall: what one version of a template has put into calendars is deleted there, or made as it is made now."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from servers import SandboxUnderTest
from web.running import TWO_ACCOUNTS, Bridge, Starter, literal, sale

from bridge import job_runner, recall
from bridge.database import clock
from bridge.destinations import configured
from bridge.job_runner import JobRunner
from bridge.ledger import made_by
from bridge.ledger.tables import calendar_events
from bridge.outbox import leases
from bridge.outbox.tables import jobs
from bridge.recall import FORGOTTEN, PAST, WAITS, Recall
from bridge.rendering import Renderer

PLAIN = """\
{% block event_id %}e{{ number }}{% endblock %}
{% block title %}{{ title }}{% endblock %}
{% block start %}{{ starts }}{% endblock %}
{% block timezone %}UTC{% endblock %}
"""
SHOUTED = PLAIN.replace("{{ title }}", "{{ title }}!")
VARIABLES = {"title": "T", "starts": "2090-12-01T09:00", "number": "1"}


def told(user: str, **variables: str) -> dict[str, Any]:
    return sale(template="plain", user_id=user, variables=VARIABLES | variables)


def work(bridge: Bridge) -> None:
    """Do all jobs."""
    destinations = configured(bridge.settings)
    render = Renderer(bridge.database, bridge.parts.templates, bridge.settings.test_subscriptions).for_job
    runner = JobRunner(bridge.database, destinations, render, Recall(bridge.database, timedelta(days=30)))
    while runner.step() != job_runner.LOOK_EVERY:
        pass
    for destination in destinations:
        destination.close()


def ask(bridge: Bridge, action: str = "delete", version: int = 1, status: int = 202, **more: Any) -> Any:
    answer = bridge.post({"version": version, "action": action}, "/v1/templates/plain/recall", **more)
    assert answer.status == status, answer.body
    return answer


def recalled(bridge: Bridge, action: str = "delete", version: int = 1) -> dict[str, Any]:
    """The job, done, and what it sent delivered."""
    job = ask(bridge, action, version).body["job"]
    work(bridge)
    bridge.deliver()
    found: dict[str, Any] = bridge.call("GET", f"/v1/jobs/{job}").body
    assert found["state"] == "done"
    return found


def outcome(job: dict[str, Any]) -> tuple[int, int, int]:
    return job["done"], job["skipped"], job["failed"]


def standing(bridge: Bridge) -> dict[str, str]:
    """The titles of what stands in calendars at Rokt, by event."""
    assert bridge.sandbox is not None
    return {
        one["event_id"]: event["title"]
        for one in bridge.sandbox.calendar()
        for event in one["holders"].values()
    }


@pytest.fixture
def walked(start_on_both: Starter, rokt: SandboxUnderTest) -> Bridge:
    bridge = start_on_both(sandbox=rokt)
    bridge.publish(plain=PLAIN)
    return bridge


class TestDelete:
    def test_what_the_version_made_goes_and_nothing_else(self, walked: Bridge) -> None:
        for user in ("a", "b"):
            walked.accept(told(user))
        walked.accept(literal(user_id="c"))
        walked.accept(sale(user_id="d"))
        walked.deliver()
        walked.publish(plain=SHOUTED)
        walked.accept(told("e"))
        walked.deliver()

        job = recalled(walked)

        assert outcome(job) == (2, 0, 0)
        assert (job["count"], job["kind"], job["action"]) == (2, "recall", "delete")
        assert job["filter"] == {"template": "plain", "version": 1}
        assert standing(walked).keys() == {"e1_c", "e1_e", "sale_w26_d"}
        deletes = [call["path"] for call in walked.sent() if call["method"] == "DELETE"]
        assert sorted(deletes) == [f"/v1/subscriptionevent/brazetest/e1_{user}" for user in ("a", "b")]

    def test_what_never_came_into_a_calendar_is_none_of_it(
        self, walked: Bridge, rokt: SandboxUnderTest
    ) -> None:
        rokt.fault(path="/v1/subscriptionevent", status=400, times=1)
        walked.accept(told("died"))
        walked.deliver()
        walked.accept(told("a"))
        walked.deliver()

        job = recalled(walked)

        assert (job["count"], *outcome(job)) == (1, 1, 0, 0)

    def test_it_goes_from_each_account(self, walked: Bridge) -> None:
        walked.accept(told("a") | TWO_ACCOUNTS)
        walked.deliver()

        assert outcome(recalled(walked)) == (2, 0, 0)
        assert standing(walked) == {}

    def test_what_is_over_stays(self, walked: Bridge) -> None:
        walked.accept(told("a", starts="2020-12-01T09:00"))
        walked.deliver()
        _keep_longer(walked)

        job = recalled(walked)

        assert outcome(job) == (0, 1, 0)
        assert job["reasons"] == {PAST: 1}
        assert standing(walked).keys() == {"e1_a"}

    def test_what_has_something_newer_on_its_way_stays(self, walked: Bridge) -> None:
        walked.accept(told("a"))
        walked.deliver()
        walked.accept(told("a", title="newer") | {"action": "update"})

        job = recalled(walked)

        assert job["reasons"] == {WAITS: 1}
        assert standing(walked) == {"e1_a": "newer"}

    def test_an_update_of_what_was_recalled_has_nothing_to_stand_on(self, walked: Bridge) -> None:
        walked.accept(told("a"))
        walked.deliver()
        recalled(walked)

        answer = walked.refuse(
            {"action": "update", "user_id": "a", "event": {"event_id": "e1", "title": "x"}, **_TO}
        )

        assert "event.start" in answer.fields

    def test_many_go_piece_by_piece(self, walked: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(made_by, "EXAMINED", 3)
        monkeypatch.setitem(recall.MOST, "delete", 2)
        for number in range(5):
            walked.accept(told("a", number=str(number)) | TWO_ACCOUNTS)
            walked.accept(literal(user_id=f"other-{number}") | TWO_ACCOUNTS)
        walked.deliver()

        job = recalled(walked)

        assert (job["count"], *outcome(job)) == (10, 10, 0, 0)
        assert {one.partition("_")[2] for one in standing(walked)} == {f"other-{n}" for n in range(5)}

    def test_a_runner_that_was_overtaken_does_nothing(self, walked: Bridge) -> None:
        walked.accept(told("a"))
        walked.deliver()
        job = ask(walked).body["job"]
        slow = Recall(walked.database, timedelta(days=30))
        with walked.database.write() as connection:
            [leased] = leases.free(connection, "slow", _now(walked))
            taken = leases.lease(connection, leased, "slow", _now(walked))
        assert taken is not None
        prepared = slow.prepare(taken, _never)
        with walked.database.write() as connection:
            connection.execute(sa.update(jobs).values(worked_at=None, runner_id=None))
        work(walked)

        with walked.database.write() as connection:
            assert slow.work(connection, taken, prepared, _now(walked)) is None

        walked.deliver()
        assert walked.call("GET", f"/v1/jobs/{job}").body["done"] == 1
        assert len([call for call in walked.sent() if call["method"] == "DELETE"]) == 1


class TestUpdate:
    def test_what_the_version_made_is_made_as_it_is_made_now(self, walked: Bridge) -> None:
        for user in ("a", "b"):
            walked.accept(told(user))
        walked.deliver()
        walked.publish(plain=SHOUTED)

        job = recalled(walked, "update")

        assert outcome(job) == (2, 0, 0)
        assert standing(walked) == {"e1_a": "T!", "e1_b": "T!"}
        assert [call["path"].rpartition("/")[2] for call in walked.sent()[2:]] == ["update", "update"]

    def test_what_the_new_version_refuses_is_counted_and_stays(self, walked: Bridge) -> None:
        walked.accept(told("a"))
        walked.deliver()
        walked.publish(plain=PLAIN.replace("{{ title }}", "{{ price }}"))

        job = recalled(walked, "update")

        assert outcome(job) == (0, 0, 1)
        assert job["reasons"] == {"unknown variable": 1}
        assert standing(walked) == {"e1_a": "T"}

    def test_what_a_later_version_has_made_meanwhile_stays(self, walked: Bridge) -> None:
        walked.accept(told("a"))
        walked.deliver()
        walked.publish(plain=SHOUTED)
        walked.accept(told("a", title="later") | {"action": "update"})
        walked.deliver()

        assert outcome(recalled(walked, "update")) == (0, 0, 0)
        assert standing(walked) == {"e1_a": "later!"}

    def test_what_is_not_kept_any_more_cannot_be_made_anew(self, walked: Bridge) -> None:
        walked.accept(told("a"))
        walked.deliver()
        with walked.database.write() as connection:
            connection.execute(sa.text("DELETE FROM messages"))

        assert recalled(walked, "update")["reasons"] == {FORGOTTEN: 1}


class TestTheApi:
    def test_it_is_counted_before(self, walked: Bridge) -> None:
        walked.accept(told("a"))
        walked.deliver()

        answer = ask(walked, status=200, dry_run=1)

        assert answer.body["dry_run"] is True
        assert answer.body["count"] == 1
        assert walked.call("GET", "/v1/jobs").body["jobs"] == []

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"action": "delete"}, "version"),
            ({"version": "1", "action": "delete"}, "version"),
            ({"version": True, "action": "delete"}, "version"),
            ({"version": 1}, "action"),
            ({"version": 1, "action": "undo"}, "action"),
            ({"version": 1, "action": "delete", "verson": 1}, "verson"),
        ],
    )
    def test_what_is_not_right_is_told_by_name(self, bridge: Bridge, body: Any, field: str) -> None:
        assert bridge.refuse(body, "/v1/templates/plain/recall").fields == [field]

    def test_there_must_be_such_a_version(self, bridge: Bridge) -> None:
        assert bridge.refuse(
            {"version": 9, "action": "delete"}, "/v1/templates/flash_sale/recall", status=404
        ).says("version 9")

    def test_it_needs_a_key_that_may_operate(self, bridge: Bridge) -> None:
        ask(bridge, status=403, key="templates")


_TO = {"account_code": ["brazetest"], "subscription_ids": ["06423672-b6ba-4536-aa36-f5733866ade2"]}


def _never(*_: Any) -> Any:
    raise AssertionError("a delete renders nothing")


def _now(bridge: Bridge) -> Any:
    with bridge.database.read() as connection:
        return clock(connection)


def _keep_longer(bridge: Bridge) -> None:
    """As where RETENTION_DAYS was longer once."""
    with bridge.database.write() as connection:
        later = calendar_events.c.keep_until
        row = connection.execute(sa.select(later)).one()
        connection.execute(sa.update(calendar_events).values(keep_until=row.keep_until + timedelta(days=9)))
