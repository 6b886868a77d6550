"""Workers are killed in the middle of a job over two thousand messages: none is left out, none goes twice."""

from __future__ import annotations

import http.client
import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from factories import a_message, a_request
from processes import KEY, Processes, running_bridge
from servers import running_sandbox

from bridge.database import Database, clock
from bridge.message import State
from bridge.outbox.enqueue import store
from bridge.outbox.tables import calls, messages, waiting

COUNT = 2_000
WITHIN = 120.0  # seconds; a killed worker's calls are taken over after twenty
IN_FLIGHT = 32 + 32 // 8  # of one worker, those included that it claims ahead


def test_kill_9_of_workers_in_the_middle_of_a_job_sends_each_message_once(database_url: str) -> None:
    database = Database(database_url)
    _store_dead(database)
    with running_sandbox() as rokt, running_bridge(database_url, rokt.url) as bridge:
        bridge.start_worker()
        job = _ask(bridge, "POST", "/v1/messages/replay", {"state": "dead"})["job"]

        killed = 0
        for done in (COUNT // 8, COUNT // 2):
            _wait_for(lambda done=done: _job(bridge, job)["done"] >= done)  # type: ignore[misc]
            assert _job(bridge, job)["state"] == "running"
            for worker in tuple(bridge.workers):
                bridge.kill(worker)
                bridge.workers.remove(worker)
                killed += 1
            bridge.start_worker()
            bridge.start_worker()
        _wait_for(lambda: _job(bridge, job)["state"] == "done")
        _wait_for(lambda: _left(database) == 0)

        ended = _job(bridge, job)
        arrivals = Counter(
            call["body"]["event"]["eventId"]
            for call in rokt.calls("/v1/subscriptionevent")
            if call["status"] == 202
        )
        uncertain = _uncertain(database)
    database.close()
    assert (ended["count"], ended["done"], ended["skipped"], ended["failed"]) == (COUNT, COUNT, 0, 0)
    assert set(arrivals) == {f"sale_u-{n}" for n in range(COUNT)}
    assert {event_id for event_id, times in arrivals.items() if times > 1} <= uncertain
    assert len(uncertain) <= killed * IN_FLIGHT


def _store_dead(database: Database) -> None:
    for first in range(0, COUNT, 50):
        with database.write() as connection:
            new = [
                a_message(
                    user_id=f"u-{n}", subscription_ids=[f"id-{n}"], state=State.DEAD, reason="answered 400"
                )
                for n in range(first, first + 50)
            ]
            store(connection, [a_request(one) for one in new], clock(connection))


def _job(bridge: Processes, job: str) -> dict[str, Any]:
    return _ask(bridge, "GET", f"/v1/jobs/{job}")


def _ask(bridge: Processes, method: str, path: str, body: Any = None) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", bridge.port, timeout=10)
    try:
        content = None if body is None else json.dumps(body)
        connection.request(method, path, content, {"Authorization": f"Bearer {KEY}"})
        found: dict[str, Any] = json.loads(connection.getresponse().read())
        return found
    finally:
        connection.close()


def _wait_for(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + WITHIN
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.05)


def _left(database: Database) -> int:
    with database.read() as connection:
        counts = [sa.select(sa.func.count()).select_from(table) for table in (waiting, calls)]
        return sum(connection.scalar(count) or 0 for count in counts)


def _uncertain(database: Database) -> set[str]:
    with database.read() as connection:
        users = connection.scalars(sa.select(messages.c.user_id).where(messages.c.was_uncertain))
        return {f"sale_{user}" for user in users}
