"""A bridge in the middle of its work moves from SQLite to PostgreSQL and goes on there as if nothing had been."""

from __future__ import annotations

import uuid
from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from servers import SandboxUnderTest, running_sandbox
from web.running import Bridge, Starter, literal, sale

from bridge.database import clock
from bridge.job_runner import LOOK_EVERY, JobRunner
from bridge.moving import move
from bridge.outbox import leases
from bridge.outbox.tables import calls, messages, waiting, workers
from bridge.rendering import Renderer

SECRET = "a-secret-of-rokts-webhook"
ENVIRON = {
    "ROKT_WEBHOOK_SECRET": SECRET,
    "BRAZE_API_KEY": "a-braze-key",
    "ROKT_EVENTS_KEY": "a-key",
    "ROKT_EVENTS_SECRET": "an-events-secret",
    "ROKT_EVENTS_ENVIRONMENT": "development",
    "BATCH_COUNT": "1",
}
STRICT = """\
{% block event_id %}plain{% endblock %}
{% block title %}{{ title }}{% endblock %}
{% block start %}2090-12-01T09:00{% endblock %}
{% block timezone %}UTC{% endblock %}
"""
MENDED = "{#\\nA sale.\\n\\ntitle default Sale\\n#}\\n".replace("\\n", "\n") + STRICT
REFUSED = 70  # more than one piece of a job


@pytest.fixture
def rokt() -> Any:
    with running_sandbox() as sandbox:
        yield sandbox


def test_everything_that_is_under_way_goes_on(
    sqlite_database_url: str,
    postgresql_database_url: str,
    tmp_path: Path,
    rokt: SandboxUnderTest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(leases, "LEASE", timedelta(0))  # else a job is its last runner's for five seconds
    old, new = Starter(sqlite_database_url, tmp_path), Starter(postgresql_database_url, tmp_path)
    environ = ENVIRON | {"BRAZE_REST_URL": rokt.url, "ROKT_EVENTS_URL": f"{rokt.url}/v2"}
    with old.stack, new.stack:
        before = old(sandbox=rokt, **environ)
        asked, job = _work_half_done(before, rokt)
        shown = _all_that_is_shown(before)
        before.close()
        old.stack.pop_all()  # it is closed

        move(sqlite_database_url, postgresql_database_url, lambda *_: None)
        after = new(sandbox=rokt, **environ)

        assert _all_that_is_shown(after) == shown
        for body, message_id in asked:
            answer = after.post(body)
            assert (answer.status, answer.id) == (200, message_id), "a repeat"
        rokt.clear_faults()
        _do_jobs(after)
        # Of the subscription: what Braze is told, what Rokt is asked, and that its answer was known.
        ended = {"delivered": 6 + 1 + REFUSED + 5 + 1 + 2, "skipped": 1, "uncertain": 1}
        with after.working():
            after.wait_until(lambda: _states(after) == ended)

        assert after.call("GET", f"/v1/jobs/{job}").body["done"] == REFUSED
        taken = _taken(rokt)
        assert taken.pop("line_u") == ["0", "1", "2", "3", "4"]
        assert len(taken) == 6 + 1 + REFUSED + 1
        assert {len(its) for its in taken.values()} == {1}
        [track] = rokt.calls("/users/track")
        assert track["body"]["events"][0]["external_id"] == "ada"


def _work_half_done(bridge: Bridge, rokt: SandboxUnderTest) -> tuple[list[tuple[Any, str]], str]:
    """Messages of every state. Returns requests with the ids that they got, and a job that is half done."""
    bridge.publish(plain=STRICT)
    asked = [(body, bridge.accept(body).id) for body in (_event(f"sent-{n}", "T") for n in range(5))]
    bridge.accept(_conversion(), "/v1/conversions")
    rokt.fault(path="/v2/events", drop="after")
    bridge.accept(_event("sent-5", "T"))
    with bridge.working():
        bridge.wait_until(lambda: _states(bridge) == {"delivered": 6, "uncertain": 1})
    rokt.fault(path="/v1/subscriptionevent", status=503)
    body = _event("tried", "T", idempotency_key="k-1")
    asked.append((body, bridge.accept(body).id))
    with bridge.working():
        bridge.wait_until(lambda: "retrying" in _states(bridge))
    for number in range(REFUSED):
        bridge.refuse(sale(template="plain", user_id=f"refused-{number}", variables={}))
    bridge.publish(plain=MENDED)
    job: str = bridge.accept({"state": "dead"}, "/v1/messages/replay").body["job"]
    _do_jobs(bridge, pieces=1)
    assert 0 < bridge.call("GET", f"/v1/jobs/{job}").body["done"] < REFUSED
    for number in range(5):
        action = "update" if number else "create"
        bridge.accept(_event("line", str(number), user_id="u", action=action))
    _lose_a_worker(bridge, bridge.accept(_event("called", "T")).id)
    assert bridge.post(_subscribed("ada"), f"/v1/rokt/webhooks/{SECRET}").status == 200
    assert bridge.call("PUT", "/v1/templates/plain", {"source": MENDED + "{# a draft #}"}).status in (
        200,
        201,
    )
    return asked, job


def _event(event_id: str, title: str, **changes: Any) -> dict[str, Any]:
    return literal(event__event_id=event_id, event__title=title, **changes)


def _conversion() -> dict[str, Any]:
    return {"email": "ada@example.com", "amount": "1", "currency": "USD", "conversion_type": "purchase"}


def _subscribed(user: str) -> dict[str, Any]:
    subscription = {"calendarSubscriptionId": str(uuid.uuid4()), "subscriberId": user, "calendarCode": "c"}
    details = {"accountCode": "shop", "subscription": subscription}
    return {"eventId": "e-1", "eventType": "Subscribe", "eventDetails": details}


def _lose_a_worker(bridge: Bridge, message_id: str) -> None:
    """It had sent this message, and nobody heard of it again."""
    its = sa.select(messages.c.seq).where(messages.c.id == message_id).scalar_subquery()
    with bridge.database.write() as connection:
        long_ago = clock(connection) - timedelta(minutes=5)
        connection.execute(sa.insert(workers), {"id": "w", "started_at": long_ago, "heartbeat_at": long_ago})
        call = {"id": "c", "worker_id": "w", "destination": "rokt_calendar", "started_at": long_ago}
        connection.execute(sa.insert(calls), call)
        connection.execute(sa.update(waiting).where(waiting.c.seq == its).values(call_id="c"))


def _do_jobs(bridge: Bridge, pieces: int = 100) -> None:
    render = Renderer(bridge.database, bridge.parts.templates, frozenset()).for_job
    runner = JobRunner(bridge.database, [], render, None)  # type: ignore[arg-type]
    for _ in range(pieces):
        if runner.step() == LOOK_EVERY:
            return


def _all_that_is_shown(bridge: Bridge) -> dict[str, Any]:
    pages = [
        "/v1/templates",
        "/v1/templates/plain",
        "/v1/templates/plain/versions",
        "/v1/jobs",
        "/v1/subscribers",
    ]
    shown = {page: bridge.call("GET", page).body for page in pages}
    listed = bridge.call("GET", "/v1/messages", limit="200").body["messages"]
    return shown | {one["id"]: bridge.message(one["id"]) for one in listed}


def _states(bridge: Bridge) -> dict[str, int]:
    query = sa.select(messages.c.state, sa.func.count()).group_by(messages.c.state)
    with bridge.database.read() as connection:
        return {row[0]: row[1] for row in connection.execute(query)}


def _taken(rokt: SandboxUnderTest) -> dict[str, list[str]]:
    """What Rokt took of each event, in its order."""
    taken: dict[str, list[str]] = defaultdict(list)
    for call in rokt.calls("/v1/subscriptionevent"):
        if call["status"] < 300:
            event = call["body"].get("event") or call["body"]
            taken[event["eventId"]].append(event["title"])
    return dict(taken)
