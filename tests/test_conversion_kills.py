"""Every process is killed while conversions and audiences are sent: nothing is lost, nothing goes again unasked."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import sqlalchemy as sa
from processes import Processes, count, post, rows, running_bridge, wait_for
from servers import SandboxUnderTest, running_sandbox

from bridge.outbox.tables import HELD, calls, messages, waiting

USERS = 30
OF_A_USER = 6  # conversions: with a confirmation_ref and without, in turns
LISTS = 3
OF_A_LIST = 40  # changes of a few people, who come and go
PEOPLE = 4


def test_kill_9_of_web_and_worker_loses_no_conversion_and_repeats_none_that_would_count_twice(
    database_url: str,
) -> None:
    with running_sandbox() as rokt:
        environ = {
            "WEB_CONCURRENCY": "2",
            "ROKT_EVENTS_URL": f"{rokt.url}/v2",
            "ROKT_EVENTS_KEY": "key",
            "ROKT_EVENTS_SECRET": "secret",
            "ROKT_EVENTS_ENVIRONMENT": "development",
            "ROKT_ACCOUNT_ID": "account",
            "ROKT_API_KEY": "key",
            "ROKT_API_SECRET": "secret",
            "ROKT_API_URL": f"{rokt.url}/api.rokt.com",
            "ROKT_AUDIENCE_URL": rokt.url,
        }
        with running_bridge(database_url, rokt.url, **environ) as bridge:
            bridge.start_worker()
            for path in ("/v2/", "/v3/import"):
                rokt.fault(path=path, delay=0.5)  # so that every kill meets calls in flight
            _send_while_killing(bridge, rokt)

            wait_for(lambda: _only_a_person_can_go_on(database_url))
            assert count(database_url, waiting) > 0  # what was in flight when the two workers were killed
            wait_for(lambda: _is_all_decided(bridge))

            _check_conversions(database_url, rokt)
            _check_audiences(database_url, rokt)


def _only_a_person_can_go_on(database_url: str) -> bool:
    leaves = sa.select(waiting.c.seq).where(
        waiting.c.is_head, sa.func.coalesce(waiting.c.call_id, "") != HELD
    )
    return not rows(database_url, leaves) and count(database_url, calls) == 0


def _is_all_decided(bridge: Processes) -> bool:
    """A person leaves all as it is that nobody knows the end of, until there is nothing more of it."""
    if _only_a_person_can_go_on(bridge.database_url):
        wanted = {"destination": "rokt_events", "state": "uncertain"}
        assert post(bridge, "/v1/messages/cancel", wanted) == 202
    return count(bridge.database_url, waiting, calls) == 0


def _send_while_killing(bridge: Processes, rokt: SandboxUnderTest) -> None:
    with ThreadPoolExecutor(16) as senders:
        sent = [senders.submit(_send_list, bridge, number) for number in range(LISTS)]
        sent += [senders.submit(_send_user, bridge, user) for user in range(USERS)]
        wait_for(lambda: count(bridge.database_url, messages) > USERS * OF_A_USER // 4)
        bridge.kill(bridge.web)
        bridge.start_web()
        wait_for(lambda: bool(rokt.calls("/v2/") and rokt.calls("/v3/import")))
        wait_for(lambda: {"rokt_events", "rokt_audiences"} <= _under_way(bridge.database_url))
        for worker in tuple(bridge.workers):
            bridge.kill(worker)
            bridge.start_worker()
        for future in sent:
            future.result()


def _under_way(database_url: str) -> set[str]:
    return {row.destination for row in rows(database_url, sa.select(calls.c.destination).distinct())}


def _send_user(bridge: Processes, user: int) -> None:
    for number in range(OF_A_USER):
        body: dict[str, Any] = {
            "email": f"u{user}@example.com",
            "amount": number,
            "idempotency_key": _name(user, number),
        }
        body["attributes"] = {"name": _name(user, number)}
        if number % 2:
            body["confirmation_ref"] = _name(user, number)
        while post(bridge, "/v1/conversions", body) not in (200, 202):
            time.sleep(0.1)


def _send_list(bridge: Processes, number: int) -> None:
    for change in range(OF_A_LIST):
        body = {**_change(change), "idempotency_key": f"{number}-{change}"}
        while post(bridge, f"/v1/audiences/list-{number}", body) not in (200, 202):
            time.sleep(0.1)


def _name(user: int, number: int) -> str:
    return f"{user}-{number}"


def _change(number: int) -> dict[str, Any]:
    """Each person comes, goes and comes again, but for the last, who stays away."""
    person, turn = number % PEOPLE, number // PEOPLE
    comes = turn % 2 == 0 if person < PEOPLE - 1 else turn % 2 == 1 and turn < OF_A_LIST // PEOPLE - 1
    return {"action": "include" if comes else "exclude", "email": f"p{person}@example.com"}


def _check_conversions(database_url: str, rokt: SandboxUnderTest) -> None:
    taken: Counter[str] = Counter()
    for call in rokt.calls("/v2/"):
        if call["status"] != 202:
            continue  # a killed worker may leave half a request behind, which no upstream takes
        batches = call["body"] if isinstance(call["body"], list) else [call["body"]]
        taken.update(
            event["data"]["custom_attributes"]["name"] for batch in batches for event in batch["events"]
        )
    its = messages.c
    query = sa.select(its.id, its.state, its.was_uncertain, its.reason).where(
        its.destination == "rokt_events"
    )
    found = rows(database_url, query)
    unclear = [row for row in found if row.state == "dead"]
    every = {_name(user, number) for user in range(USERS) for number in range(OF_A_USER)}
    without_reference = {name for name in every if int(name.split("-")[1]) % 2 == 0}

    assert len(found) == len(every)
    assert {row.state for row in found} <= {"delivered", "dead"}
    assert all(row.was_uncertain and row.reason.startswith("cancelled by") for row in unclear)
    # What never arrived is listed as unclear; what has no reference never arrives twice.
    assert len(every - taken.keys()) <= len(unclear)
    assert all(taken[name] <= 1 for name in without_reference)
    assert sum(taken[name] - 1 for name in taken) <= sum(row.was_uncertain for row in found)


def _check_audiences(database_url: str, rokt: SandboxUnderTest) -> None:
    its = messages.c
    states = rows(database_url, sa.select(its.state).where(its.destination == "rokt_audiences"))
    members: dict[str, bool] = {}
    for number in range(OF_A_LIST):
        change = _change(number)
        members[hashlib.sha256(change["email"].encode()).hexdigest()] = change["action"] == "include"
    _, lists = rokt.ask("GET", "/sandbox/audiences")

    assert len(states) == LISTS * OF_A_LIST
    assert {row.state for row in states} <= {"delivered", "skipped"}
    assert {name: set(people) for name, people in lists.items()} == {
        f"list-{number}": {person for person, is_in in members.items() if is_in} for number in range(LISTS)
    }
