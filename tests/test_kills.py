"""Every process is killed in the middle of a thousand events: nothing is lost and nothing overtakes."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa
from processes import Processes, count, post, rows, running_bridge, wait_for
from servers import SandboxUnderTest, running_sandbox

from bridge.outbox.tables import calls, messages, waiting

KEYS = 50
EVENTS_OF_A_KEY = 20


def test_kill_9_of_web_and_worker_loses_nothing_and_keeps_each_keys_order(database_url: str) -> None:
    with running_sandbox() as rokt, running_bridge(database_url, rokt.url, WEB_CONCURRENCY="2") as bridge:
        bridge.start_worker()
        rokt.fault(path="/v1/subscriptionevent", delay=0.2)  # so that every kill meets calls in flight
        accepted = _send_while_killing(bridge, rokt)

        wait_for(lambda: count(database_url, waiting, calls) == 0)

        assert accepted == KEYS * EVENTS_OF_A_KEY
        arrivals, repeats = _first_arrivals(rokt)
        assert set(arrivals) == {f"event_{key}_u" for key in range(KEYS)}
        for numbers in arrivals.values():
            assert numbers == list(range(EVENTS_OF_A_KEY))
        uncertain = _was_uncertain(database_url)
        assert 1 <= uncertain <= 64  # what was in flight when the two workers were killed
        assert repeats <= uncertain
        assert _states(database_url) == {"delivered": KEYS * EVENTS_OF_A_KEY}


def _send_while_killing(bridge: Processes, rokt: SandboxUnderTest) -> int:
    """Fifty senders, each in its own order, repeating as Braze does; meanwhile the web and the workers are killed."""
    done = _Counter()
    with ThreadPoolExecutor(17) as senders:
        sent = [senders.submit(_send_key, bridge, key, done) for key in range(KEYS)]
        done.wait_for(KEYS * EVENTS_OF_A_KEY // 4)
        bridge.kill(bridge.web)
        bridge.start_web()
        wait_for(lambda: len(rokt.calls("/v1/subscriptionevent")) > KEYS)
        for worker in tuple(bridge.workers):
            wait_for(lambda: count(bridge.database_url, calls) > 0)
            bridge.kill(worker)
            bridge.start_worker()
        return sum(future.result() for future in sent)


def _send_key(bridge: Processes, key: int, done: _Counter) -> int:
    accepted = 0
    for number in range(EVENTS_OF_A_KEY):
        body = {
            "action": "create" if number == 0 else "update",
            "user_id": "u",
            "account_code": "brazetest",
            "subscription_ids": [f"id-{key}"],
            "idempotency_key": f"{key}-{number}",
            "event": {
                "event_id": f"event_{key}",
                "title": str(number),
                "start": "2030-01-01T10:00",
                "timezone": "Eastern Standard Time",
            },
        }
        while post(bridge, "/v1/calendar/events", body) not in (200, 202):
            time.sleep(0.1)
        accepted += 1
        done.add()
    return accepted


def _first_arrivals(rokt: SandboxUnderTest) -> tuple[dict[str, list[int]], int]:
    """The numbers of each key in the order of their first arrival, and how many arrived again."""
    arrivals: dict[str, list[int]] = defaultdict(list)
    repeats = 0
    for call in rokt.calls("/v1/subscriptionevent"):
        if call["status"] != 202:
            continue  # a killed worker may leave half a request behind, which no upstream takes
        event = call["body"]["event"]
        number = int(event["title"])
        if number in arrivals[event["eventId"]]:
            repeats += 1
        else:
            arrivals[event["eventId"]].append(number)
    return dict(arrivals), repeats


def _was_uncertain(database_url: str) -> int:
    return len(rows(database_url, sa.select(messages.c.id).where(messages.c.was_uncertain)))


def _states(database_url: str) -> dict[str, int]:
    found = sa.select(messages.c.state, sa.func.count()).group_by(messages.c.state)
    return {row[0]: row[1] for row in rows(database_url, found)}


class _Counter:
    def __init__(self) -> None:
        self._count = 0
        self._changed = threading.Condition()

    def add(self) -> None:
        with self._changed:
            self._count += 1
            self._changed.notify_all()

    def wait_for(self, count: int) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: self._count >= count, timeout=60):
                raise AssertionError(f"only {self._count} of {count} were accepted within 60 s")
