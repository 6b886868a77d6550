"""Every process is killed while subscribers come and go: in the end Braze's arrays hold just what is alive."""

from __future__ import annotations

import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import sqlalchemy as sa
from processes import Processes, count, post, rows, running_bridge, wait_for
from servers import SandboxUnderTest, running_sandbox

from bridge.outbox.tables import calls, messages, waiting

SECRET = "a-secret-of-the-test-0123456789"
PATH = f"/v1/rokt/webhooks/{SECRET}"
USERS = 40
SUBSCRIPTIONS = 3  # of each user: one ends, one is changed twice, one is looked up at Rokt


def test_kill_9_of_web_and_worker_leaves_braze_as_rokt_said_last(database_url: str) -> None:
    with running_sandbox() as upstream:
        environ = {
            "WEB_CONCURRENCY": "2",
            "BRAZE_REST_URL": upstream.url,
            "BRAZE_API_KEY": "key",
            "ROKT_WEBHOOK_SECRET": SECRET,
        }
        with running_bridge(database_url, upstream.url, **environ) as bridge:
            bridge.start_worker()
            _let_rokt_know(upstream)
            upstream.fault(path="/users/track", delay=0.2)  # so that every kill meets calls in flight
            _send_while_killing(bridge, upstream)

            wait_for(lambda: count(database_url, waiting, calls) == 0)

            assert _arrays(upstream) == {f"u-{user}": _expected(user) for user in range(USERS)}
            _check_events(database_url, upstream)


def _let_rokt_know(rokt: SandboxUnderTest) -> None:
    """Of each user's last subscription Rokt's webhooks do not tell whose it is."""
    known = [{"subscriptionId": _id(user, 2), "subscriberId": f"u-{user}"} for user in range(USERS)]
    status, _ = rokt.ask("POST", "/sandbox/subscriptions", known)
    assert status == 201


def _send_while_killing(bridge: Processes, upstream: SandboxUnderTest) -> None:
    with ThreadPoolExecutor(16) as senders:
        sent = [senders.submit(_send_user, bridge, user) for user in range(USERS)]
        wait_for(lambda: count(bridge.database_url, messages) > USERS * SUBSCRIPTIONS // 2)
        bridge.kill(bridge.web)
        bridge.start_web()
        wait_for(lambda: bool(upstream.calls("/users/track")))
        for worker in tuple(bridge.workers):
            wait_for(lambda: count(bridge.database_url, calls) > 0)
            bridge.kill(worker)
            bridge.start_worker()
        for future in sent:
            future.result()


def _send_user(bridge: Processes, user: int) -> None:
    """As Rokt does: one after the other, each again until it is answered 200."""
    steps: list[tuple[str, int, str]] = [("Subscribe", number, "one") for number in range(SUBSCRIPTIONS)]
    steps += [
        ("SubscriptionDetailsUpdated", 1, "two"),
        ("Unsubscribe", 0, ""),
        ("SubscriptionDetailsUpdated", 1, "three"),
    ]
    for kind, number, tag in steps:
        webhook = _webhook(kind, user, number, tag)
        while post(bridge, PATH, webhook) != 200:
            time.sleep(0.1)
        assert post(bridge, PATH, webhook) in (200, 0)  # Rokt repeats what it does not know to be taken


def _webhook(kind: str, user: int, number: int, tag: str) -> dict[str, Any]:
    whose = (
        {} if number == 2 or kind == "Unsubscribe" else {"subscriberId": f"u-{user}", "emailAddress": None}
    )
    subscription = {
        "calendarSubscriptionId": _id(user, number),
        "calendarId": "4a2d4acb-bd05-e511-af43-067f1c947754",
        "calendarTitle": "My Sports Calendar",
        "calendarCode": "my-sports-calendar",
        "subscriptionMethod": "Google",
        "calendarTags": [{"tagName": tag}] if tag else [],
        **whose,
    }
    return {
        "eventId": f"{kind}-{user}-{number}-{tag}",
        "eventType": kind,
        "eventDetails": {"accountCode": "your-account", "subscription": subscription},
    }


def _id(user: int, number: int) -> str:
    return f"0f1d5918-052d-4915-89a7-{user:08x}{number:04x}"


def _expected(user: int) -> dict[str, set[str]]:
    """Of the two that are alive."""
    found: dict[str, set[str]] = defaultdict(set)
    for number, tag in ((1, "three"), (2, "one")):
        suffix = f"{user:08x}{number:04x}"
        facts = {
            "account_code": "your-account",
            "calendar_code": "my-sports-calendar",
            "calendar_id": "4a2d4acb-bd05-e511-af43-067f1c947754",
            "calendar_title": "My Sports Calendar",
            "subscription_method": "Google",
            "tags": tag,
        }
        for name, value in facts.items():
            found[f"rokt:{name}"].add(f"{value}/{suffix}")
        found["rokt:subscription_id"].add(_id(user, number))
    return dict(found)


def _arrays(upstream: SandboxUnderTest) -> dict[str, dict[str, set[str]]]:
    _, profiles = upstream.ask("GET", "/sandbox/profiles")
    return {
        profile["external_id"]: {k: set(v) for k, v in profile["attributes"].items() if v}
        for profile in profiles
    }


def _check_events(database_url: str, upstream: SandboxUnderTest) -> None:
    """Each once, but for those of calls whose answers nobody heard; of a subscription in order."""
    arrived: dict[str, list[str]] = defaultdict(list)
    first: dict[tuple[str, str], str] = {}
    again: set[str] = set()
    for call in upstream.calls("/users/track"):
        for event in (call["body"] or {}).get("events", ()) if call["status"] == 201 else ():
            its = event["properties"]
            key = (its["subscription_id"], event["name"])
            if key in first:
                assert first[key] == its["event_key"]
                again.add(its["event_key"])
            else:
                first[key] = its["event_key"]
                arrived[its["subscription_id"]].append(event["name"])
    for user in range(USERS):
        assert arrived[_id(user, 0)] == ["subscribe", "unsubscribe"]
        assert arrived[_id(user, 1)] == arrived[_id(user, 2)] == ["subscribe"]
    uncertain = rows(database_url, sa.select(messages.c.id).where(messages.c.was_uncertain))
    assert again <= {row.id for row in uncertain}
    states = {row.state for row in rows(database_url, sa.select(messages.c.state).distinct())}
    assert states <= {"delivered", "skipped"}
