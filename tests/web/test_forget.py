"""POST /v1/forget: one person leaves every table, nobody else does, and what statistics go by stays."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import structlog
from servers import SandboxUnderTest
from web.running import Answer, Bridge, Starter, literal, sale

from bridge import forget as forget_module
from bridge import job_runner
from bridge.database import clock
from bridge.destinations import configured
from bridge.forget import Forget
from bridge.job_runner import JobRunner
from bridge.ledger import coming
from bridge.ledger.tables import calendar_events
from bridge.outbox import jobs as jobs_module
from bridge.outbox import leases, retention
from bridge.outbox.tables import jobs, messages, waiting
from bridge.sandbox.rokt_api import HOST
from bridge.web import forgetting

PATH = "/v1/forget"
SECRET = "a-secret-of-rokts-webhook"
EVENTS = {"ROKT_EVENTS_KEY": "k", "ROKT_EVENTS_SECRET": "s", "ROKT_EVENTS_ENVIRONMENT": "development"}
API = {"ROKT_ACCOUNT_ID": "1234", "ROKT_API_KEY": "rpub-1", "ROKT_API_SECRET": "rsec-a-secret"}
BRAZE = {"BRAZE_API_KEY": "a-braze-key"}
SOON = (datetime.now(UTC) + timedelta(days=30)).strftime("%Y-%m-%dT09:00")
BATCH = {"BATCH_AGE": "1s", "BATCH_COUNT": "1"}


class Somebody:
    """Texts that stand nowhere else than where this person does."""

    def __init__(self, name: str, number: int) -> None:
        self.user_id = f"u_{name}-1"
        self.name = f"{name}ine"
        self.email = f"{name}@{name}.example"
        self.hash = hashlib.sha256(self.email.encode()).hexdigest()
        self.ids = (
            f"06423672-b6ba-4536-aa36-f573386{number:05}",
            f"1d423672-b6ba-4536-aa36-F573386{number:05}",
        )

    def in_(self, text: str) -> list[str]:
        text = text.lower()
        marks = (self.user_id, self.name, self.email, self.hash, *(one.lower() for one in self.ids))
        return [mark for mark in marks if mark.lower() in text]


ADA, BOB = Somebody("adalove", 11111), Somebody("bobhope", 22222)


def everything(sandbox: SandboxUnderTest) -> dict[str, str]:
    return {
        **EVENTS, **API, **BRAZE, **BATCH,
        "ROKT_EVENTS_URL": f"{sandbox.url}/v2",
        "ROKT_API_URL": sandbox.url + HOST,
        "ROKT_AUDIENCE_URL": sandbox.url,
        "BRAZE_REST_URL": sandbox.url,
        "ROKT_WEBHOOK_SECRET": SECRET,
    }  # fmt: skip


def fill(bridge: Bridge, who: Somebody) -> None:
    """Something of every kind."""
    subscription = {"account_code": "brazetest", "calendar_code": "test", "subscriber_email": who.email}
    for one in who.ids:
        told = {"subscription_id": one, "device_name": f"{who.name}'s", **subscription}
        bridge.accept(
            {"action": "subscribe", "external_id": who.user_id, "subscription": told}, "/v1/subscribers"
        )
    hook = {
        "eventId": f"hook-{who.name}",
        "eventType": "SubscriptionDetailsUpdated",
        "eventDetails": {
            "accountCode": "brazetest",
            "subscription": {
                "calendarSubscriptionId": who.ids[0],
                "subscriberId": who.user_id,
                "deviceName": f"{who.name}'s other",
            },
        },
    }
    bridge.post(hook, f"/v1/rokt/webhooks/{SECRET}")
    to = {"account_code": ["brazetest"], "subscription_ids": [who.ids[0]], "user_id": who.user_id}
    named = {"event__title": f"For {who.name}", "event__event_id": f"for-{who.name}"}
    bridge.accept(literal(**to, **named, event__start=SOON))
    bridge.accept(sale(**to), headers={"Idempotency-Key": who.name})
    bridge.refuse(sale(**to, variables={"starts": f"{who.name}'s day", "sale_id": "x", "discount": "50"}))
    event = {
        "eventId": f"dropped_{who.user_id}", "title": who.name, "description": "", "location": "",
        "start": "2090-12-01T09:00:00", "end": "2090-12-01T10:00:00", "timezone": "UTC",
    }  # fmt: skip
    body = {"event": event, "subscriptionIds": [who.ids[0]]}
    bridge.accept(body, "/v1/subscriptionevent/brazetest")
    conversion = {"amount": 5, "transaction_id": f"t-{who.name}"}
    bridge.accept({"email": who.email, **conversion}, "/v1/conversions")
    bridge.accept({"email": who.email.upper(), "hash": True, "amount": 6}, "/v1/conversions")
    bridge.accept({"user_id": who.user_id, "email": f"other-{who.email}", "amount": 7}, "/v1/conversions")
    own = {"user_id": who.user_id, "email": f" {who.email.title()} "}
    bridge.accept({**own, "event_id": f"e-{who.name}"}, "/v1/events")
    bridge.accept({"email_sha256": who.hash.upper(), "amount": 1}, "/v1/events")
    bridge.accept({"action": "include", "email": who.email}, "/v1/audiences")
    bridge.accept({"action": "exclude", "email": who.email, "hash": True}, "/v1/audiences/Some")
    for kind in ("replay", "cancel"):
        state = {"replay": "dead", "cancel": "accepted"}[kind]
        bridge.accept({"user_id": f"{who.user_id}", "state": state}, f"/v1/messages/{kind}")
    bridge.accept({"event_id": f"for-{who.name}_{who.user_id}", "state": "dead"}, "/v1/messages/replay")


def fill_both(bridge: Bridge) -> None:
    """Each by himself, and both in one list."""
    for who in (ADA, BOB):
        fill(bridge, who)
    bridge.accept({"action": "include", "emails": [ADA.email, BOB.email]}, "/v1/audiences")
    bridge.accept({"action": "include", "emails": [BOB.email, ADA.email], "hash": True}, "/v1/audiences/Some")


def dump(bridge: Bridge) -> dict[str, list[str]]:
    """Every row of every table, as the database itself holds it."""
    with bridge.database.read() as connection:
        return {
            name: sorted(
                repr([bytes(one) if isinstance(one, memoryview) else one for one in row])
                for row in connection.execute(sa.text(f'SELECT * FROM "{name}"'))
            )
            for name in sa.inspect(connection).get_table_names()
        }


def holding(rows: dict[str, list[str]], who: Somebody) -> dict[str, list[str]]:
    return {name: its for name, all_ in rows.items() if (its := [row for row in all_ if who.in_(row)])}


def kept(bridge: Bridge) -> list[Any]:
    names = (
        "id",
        "seq",
        "destination",
        "action",
        "account_code",
        "template",
        "version",
        "received_at",
        "tries",
    )
    with bridge.database.read() as connection:
        return list(connection.execute(sa.select(*messages.c[names]).order_by(messages.c.seq)))


def states(bridge: Bridge) -> dict[str, str]:
    with bridge.database.read() as connection:
        return {row.id: row.state for row in connection.execute(sa.select(messages))}


def work(bridge: Bridge) -> None:
    """Do all jobs, as a worker does."""
    forget = Forget(bridge.database, timedelta(days=30))
    runner = JobRunner(bridge.database, configured(bridge.settings), None, None, forget)  # type: ignore[arg-type]
    while runner.step() not in (job_runner.LOOK_EVERY, job_runner.HELD_UP_WAIT):
        pass


def forget(bridge: Bridge, status: int = 200, **body: Any) -> Answer:
    answer = bridge.post(body, PATH, key="operate")
    assert answer.status == status, answer.body
    return answer


@pytest.fixture
def walked(start_on_both: Starter, rokt: SandboxUnderTest) -> Bridge:
    return start_on_both(sandbox=rokt, **everything(rokt))


@pytest.mark.parametrize("is_delivered", [True, False], ids=["delivered", "waiting"])
def test_every_trace_of_one_person_goes_and_every_one_of_another_stays(
    walked: Bridge, is_delivered: bool
) -> None:
    fill_both(walked)
    if is_delivered:
        walked.deliver()
        with walked.database.write() as connection:
            look_ahead(connection)
    else:
        with walked.database.write() as connection:
            its = sa.update(messages).where(messages.c.user_id == ADA.user_id)
            connection.execute(its.values(progress={"to": ADA.ids}))
    before, whole, its_states = dump(walked), kept(walked), states(walked)
    expected = {"messages", "bodies", "subscriptions", "latest", "jobs"}
    expected |= {"calendar_events", "calendar_holders", "braze_held", "coming"} if is_delivered else set()
    assert expected <= holding(before, ADA).keys()

    answer = forget(walked, user_id=ADA.user_id, email=ADA.email)

    after = dump(walked)
    assert holding(after, ADA) == {}
    assert answer.body["known"] is True
    alone = {name: [row for row in rows if not ADA.in_(row)] for name, rows in holding(before, BOB).items()}
    shared = {
        name: [row for row in rows if row not in alone[name]] for name, rows in holding(after, BOB).items()
    }
    assert {name: [row for row in rows if row in after[name]] for name, rows in alone.items()} == alone
    assert {name: len(rows) for name, rows in shared.items() if rows} == {"bodies": 2}
    assert kept(walked) == whole
    ended = {its_id for its_id, state in states(walked).items() if state != its_states[its_id]}
    assert all(its_states[its_id] in ("accepted", "retrying") for its_id in ended)
    assert bool(ended) is not is_delivered
    assert ADA.in_(json.dumps(answer.body)) == []


def test_what_is_left_of_others_is_delivered_and_nothing_of_who_was_forgotten(walked: Bridge) -> None:
    fill_both(walked)

    forget(walked, user_id=ADA.user_id, email=ADA.email)
    walked.deliver()

    assert ADA.in_(json.dumps(walked.sent())) == []
    assert len(BOB.in_(json.dumps(walked.sent()))) == 6
    assert holding(dump(walked), ADA) == {}


def test_an_answer_that_comes_back_afterwards_brings_nothing_back(
    start_on_both: Starter, rokt: SandboxUnderTest
) -> None:
    bridge = start_on_both(sandbox=rokt, **everything(rokt))
    fill_both(bridge)
    for path in ("/v1", "/users", "/v3"):
        rokt.fault(path=path, delay=2)

    with bridge.working():
        bridge.wait_until(lambda: {"rokt_calendar", "braze", "rokt_audiences"} <= under_way(bridge))
        answer = forget(bridge, user_id=ADA.user_id, email=ADA.email)
        rokt.clear_faults()
        bridge.wait_until(lambda: bridge.is_empty() and not dump(bridge)["calls"])

    assert answer.body["forgotten"]["under_way"] >= 2
    assert ADA.in_(json.dumps(bridge.sent())) != []
    assert holding(dump(bridge), ADA) == {}
    assert set(states(bridge).values()) <= {"delivered", "skipped", "dead", "superseded"}


def test_what_is_accepted_while_it_is_looked_for_goes_too(
    walked: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_both(walked)
    looks = 0
    prepared = Forget._prepared

    def prepared_slowly(self: Forget, job: Any) -> Any:
        nonlocal looks
        found, looks = prepared(self, job), looks + 1
        if looks == 1:
            change = {"subscription_id": ADA.ids[0], "subscriber_email": ADA.email}
            told = {"action": "update", "external_id": ADA.user_id, "subscription": change}
            walked.accept(told, "/v1/subscribers")
        return found

    monkeypatch.setattr(Forget, "_prepared", prepared_slowly)

    forget(walked, user_id=ADA.user_id, email=ADA.email)

    assert holding(dump(walked), ADA) == {}
    assert looks == 2


def under_way(bridge: Bridge) -> set[str]:
    """To where calls are made."""
    with bridge.database.read() as connection:
        return set(connection.scalars(sa.select(waiting.c.destination).where(waiting.c.call_id.is_not(None))))


def told_of(counts: dict[str, Any], *names: str) -> list[int]:
    return [counts.get(name, 0) for name in names]


def standing(bridge: Bridge) -> set[str]:
    """The events that stand in calendars at Rokt."""
    assert bridge.sandbox is not None
    return {one["event_id"] for one in bridge.sandbox.calendar() if one["holders"]}


def job_of(bridge: Bridge, answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = bridge.call("GET", f"/v1/jobs/{answer.body['job']}").body
    return found


class TestWithRecall:
    """The events to come leave Rokt's calendars first, each behind whatever else there is of it."""

    @pytest.fixture
    def walked(self, start_on_both: Starter, rokt: SandboxUnderTest) -> Bridge:
        bridge = start_on_both(sandbox=rokt)
        for user in ("u1", "u2"):
            for number in range(3):
                bridge.accept(literal(user_id=user, event__event_id=f"e{number}"))
        bridge.deliver()
        return bridge

    def test_what_is_to_come_is_deleted_there_and_then_all_is_erased(self, walked: Bridge) -> None:
        answer = forget(walked, status=202, user_id="u1", recall=True)
        assert answer.headers["Location"] == f"/v1/jobs/{answer.body['job']}"
        assert job_of(walked, answer)["state"] == "running"
        walked.deliver()

        work(walked)

        job = job_of(walked, answer)
        assert (job["state"], job["recall"], job["done"]) == ("done", True, 6)
        assert told_of(job["forgotten"], "recalled", "not_recalled", "messages", "events") == [3, 0, 6, 0]
        assert standing(walked) == {"e0_u2", "e1_u2", "e2_u2"}
        assert walked.call("GET", "/v1/messages", user_id="u1").body["messages"] == []

    def test_what_waits_never_leaves_and_what_is_past_stays_at_rokt(self, walked: Bridge) -> None:
        with walked.database.write() as connection:
            row = connection.execute(
                sa.select(calendar_events).where(calendar_events.c.rokt_event_id == "e2_u1")
            ).one()
            over = row.content | {"start": "2020-01-01T09:00:00Z", "end": "2020-01-01T10:00:00Z"}
            connection.execute(
                sa.update(calendar_events)
                .where(calendar_events.c.rokt_event_id == "e2_u1")
                .values(content=over)
            )
        walked.accept(literal(user_id="u1", event__event_id="e9"))

        answer = forget(walked, status=202, user_id="u1", recall=True)
        walked.deliver()
        work(walked)

        assert told_of(job_of(walked, answer)["forgotten"], "recalled", "ended") == [2, 1]
        assert standing(walked) == {"e2_u1", "e0_u2", "e1_u2", "e2_u2"}

    def test_a_delete_that_fails_stops_it_with_a_word_and_force_goes_on(self, walked: Bridge) -> None:
        assert walked.sandbox is not None
        walked.sandbox.fault(path="/v1/subscriptionevent/brazetest/e1_u1", status=400)

        answer = forget(walked, status=202, user_id="u1", recall=True)
        walked.deliver()
        work(walked)

        job = job_of(walked, answer)
        dead = walked.call("GET", "/v1/messages", user_id="u1", state="dead").body["messages"]
        assert (job["state"], len(dead)) == ("failed", 1)
        assert job["reason"].startswith(
            "1 of 3 deletes at Rokt did not come through, so nothing was erased here"
        )
        assert dead[0]["id"] in job["reason"]
        assert "u1" not in json.dumps(job)
        assert len(walked.call("GET", "/v1/messages", user_id="u1").body["messages"]) == 6

        again = forget(walked, status=202, user_id="u1", recall=True, force=True)
        walked.deliver()
        work(walked)

        assert told_of(job_of(walked, again)["forgotten"], "recalled", "not_recalled") == [0, 1]
        assert walked.call("GET", "/v1/messages", user_id="u1").body["messages"] == []

    def test_a_person_without_events_is_erased_at_once(self, walked: Bridge) -> None:
        assert forget(walked, email="nobody@example.com", recall=True).body["known"] is False

    def test_it_says_that_rokt_calendar_is_off(self, start_on_both: Starter) -> None:
        bridge = start_on_both(ROKT_CALENDAR_CLIENT_ID="", ROKT_CALENDAR_CLIENT_SECRET="")

        answer = forget(bridge, status=501, user_id="u1", recall=True)

        assert answer.says("ROKT_CALENDAR_CLIENT_ID")


class TestAsked:
    def test_a_look_tells_what_would_go_and_takes_nothing(self, walked: Bridge) -> None:
        fill_both(walked)
        walked.deliver()
        before = dump(walked)

        found = forget(walked, user_id=ADA.user_id, email=ADA.email, dry_run=True).body

        assert dump(walked) == before
        assert (found["dry_run"], found["known"]) == (True, True)
        done = forget(walked, user_id=ADA.user_id, email=ADA.email).body["forgotten"]
        assert told_of(found["found"], "users", "addresses", "subscriptions", "events", "events_to_come") == [
            1,
            1,
            2,
            3,
            3,
        ]
        assert found["found"]["messages"] == done["messages"] + done["list_changes"]
        assert found["found"]["events"] == done["events"]

    @pytest.mark.parametrize("by", ["subscription_id", "email", "user_id"])
    def test_any_one_of_a_persons_ids_leads_to_the_others(self, walked: Bridge, by: str) -> None:
        fill_both(walked)
        walked.deliver()

        forget(
            walked, **{by: {"subscription_id": ADA.ids[1], "email": ADA.email, "user_id": ADA.user_id}[by]}
        )

        assert holding(dump(walked), ADA) == {}

    def test_whoever_is_not_known_is_told_so(self, walked: Bridge) -> None:
        fill(walked, BOB)
        before = {name: rows for name, rows in dump(walked).items() if name != "jobs"}

        answer = forget(walked, user_id="nobody")

        assert (answer.body["known"], set(answer.body["forgotten"].values())) == (False, {0})
        assert {name: rows for name, rows in dump(walked).items() if name != "jobs"} == before

    def test_an_address_that_a_ledger_links_takes_nothing_of_another_user(self, walked: Bridge) -> None:
        family = {"subscription_id": ADA.ids[0], "subscriber_email": "family@example.com"}
        walked.accept({"action": "subscribe", "external_id": "u1", "subscription": family}, "/v1/subscribers")
        conversion = {"email": "family@example.com", "amount": 5}
        own = walked.accept(conversion | {"user_id": "u1"}, "/v1/conversions").id
        anothers = walked.accept(conversion | {"user_id": "u2"}, "/v1/conversions").id
        anybodys = walked.accept(conversion | {"amount": 6}, "/v1/conversions").id

        forget(walked, user_id="u1")

        left = {one: walked.message(one)["payload"] is not None for one in (own, anothers, anybodys)}
        assert left == {own: False, anothers: True, anybodys: False}

    @pytest.mark.parametrize(
        ("body", "field", "word"),
        [
            ({}, "user_id", "is needed"),
            ({"user_id": " "}, "user_id", "is blank"),
            ({"user_id": None}, "user_id", "is blank"),
            ({"email": "ada"}, "email", "is no e-mail address"),
            ({"email": ADA.hash}, "email", "give the address itself"),
            ({"user": "u1"}, "user", "did you mean user_id?"),
            ({"user_id": ["u1"]}, "user_id", "must be text"),
            ({"user_id": "u1", "recall": "perhaps"}, "recall", "yes"),
            ({"user_id": "u1", "force": True}, "force", "with recall"),
        ],
    )
    def test_a_slip_is_named_with_its_field(self, bridge: Bridge, body: Any, field: str, word: str) -> None:
        answer = bridge.refuse(body, PATH, key="operate")

        assert (answer.fields, answer.says(word)) == ([field], True), answer.body

    def test_only_who_operates_may(self, bridge: Bridge) -> None:
        assert [bridge.post({"user_id": "u1"}, PATH, key=key).status for key in ("send", "read", None)] == [
            403,
            403,
            401,
        ]

    def test_it_is_told_in_one_line_without_the_person(
        self, bridge: Bridge, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bridge.accept(literal(user_id="u-secret"))
        logger = structlog.testing.CapturingLogger()
        for module in (forget_module, forgetting):
            monkeypatch.setattr(module, "log", logger)

        forget(bridge, user_id="u-secret")

        [line] = [call.kwargs for call in logger.calls if call.args == ("person.forgotten",)]
        assert line["messages"] == 1
        assert "key" not in line  # in the console it would be the name of whoever is signed in
        assert "secret" not in repr(logger.calls)

    def test_what_was_forgotten_cannot_be_sent_again(self, bridge: Bridge) -> None:
        its_id = bridge.accept(literal(user_id="u1")).id
        forget(bridge, user_id="u1")

        answer = bridge.refuse(None, f"/v1/messages/{its_id}/replay")
        job = bridge.accept({"state": "dead"}, "/v1/messages/replay").body["job"]
        work(bridge)

        assert answer.says("this message was forgotten")
        message = bridge.message(its_id)
        assert (message["state"], message["reason"], message["user_id"], message["payload"]) == (
            "dead",
            "forgotten",
            None,
            None,
        )
        assert bridge.call("GET", f"/v1/jobs/{job}").body["done"] == 0

    def test_what_comes_of_the_same_person_later_is_new(self, bridge: Bridge) -> None:
        bridge.accept(literal(user_id="u1"))
        forget(bridge, user_id="u1")

        bridge.accept(literal(user_id="u1"))

        assert len(bridge.call("GET", "/v1/messages", user_id="u1").body["messages"]) == 1


class TestManyMessages:
    """More than one transaction takes go in pieces, and a worker does what the request had no time for."""

    @pytest.fixture
    def stocked(self, start_on_both: Starter, monkeypatch: pytest.MonkeyPatch) -> Bridge:
        monkeypatch.setattr(forget_module, "MOST", 3)
        bridge = start_on_both()
        for number in range(10):
            bridge.accept(literal(user_id="u1", event__event_id=f"e{number}"))
        bridge.accept(literal(user_id="u2"))
        return bridge

    def test_all_of_them_go(self, stocked: Bridge) -> None:
        answer = forget(stocked, user_id="u1")

        assert told_of(answer.body["forgotten"], "messages", "ended") == [10, 10]
        assert [
            one["user_id"] for one in stocked.call("GET", "/v1/messages", state="accepted").body["messages"]
        ] == ["u2"]

    def test_who_dies_in_the_middle_leaves_the_rest_to_a_worker(
        self, stocked: Bridge, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bridge.web.forgetting.WITHIN", 0.0)
        answer = forget(stocked, status=202, user_id="u1")
        first = stocked.parts.database
        with first.write() as connection:
            job = leases.lease(
                connection, jobs_module.read(connection, answer.body["job"]), "a", now_later(connection)
            )
        assert job is not None
        left, _ = Forget(first, timedelta(days=30)).step(job)
        assert left is not None
        assert (left.state, left.done) == ("running", 3)

        with first.write() as connection:
            connection.execute(sa.update(jobs).values(worked_at=clock(connection) - 2 * leases.LEASE))
        work(stocked)

        shown = job_of(stocked, answer)
        assert (shown["state"], shown["done"]) == ("done", 10)
        assert "u1" not in json.dumps(dump(stocked)["jobs"])

    def test_a_job_that_is_stopped_names_nobody_any_more(
        self, stocked: Bridge, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bridge.web.forgetting.WITHIN", 0.0)
        answer = forget(stocked, status=202, user_id="u1")
        assert "u1" in json.dumps(dump(stocked)["jobs"])

        stocked.call("DELETE", f"/v1/jobs/{answer.body['job']}")

        assert job_of(stocked, answer)["state"] == "cancelled"
        assert "u1" not in json.dumps(dump(stocked)["jobs"])


def now_later(connection: sa.Connection) -> datetime:
    """When whoever had it is not waited for any more."""
    return clock(connection) + 2 * leases.LEASE


def test_a_subscription_that_names_nobody_goes_with_its_messages(walked: Bridge) -> None:
    for one in (*ADA.ids, BOB.ids[0]):
        told = {"action": "subscribe", "subscription": {"subscription_id": one}}
        walked.post(told, "/v1/subscribers")

    answer = forget(walked, subscription_id=ADA.ids[1].upper())

    assert told_of(answer.body["forgotten"], "subscriptions", "messages") == [1, 1]
    left = dump(walked)
    assert [len(left[name]) for name in ("subscriptions", "bodies")] == [2, 2]
    assert ADA.ids[1].lower() not in json.dumps(left).lower()


def test_a_change_of_a_list_that_goes_in_parts_leaves_nobody_else_out(walked: Bridge) -> None:
    """Rokt refuses one of four, so each goes alone, from a place in the list: in which one is missing then."""
    people = [ADA.email, BOB.email, "cy@example.com", "di@example.com"]
    its_id = walked.accept({"action": "include", "emails": people}, "/v1/audiences").id
    part = {"count": 4, "start": 2, "span": 1, "refused": [0], "taken": 1, "reason": "answered 400"}
    with walked.database.write() as connection:
        connection.execute(sa.update(messages).values(progress={"at_most": 1, "part": part}))

    forget(walked, email=ADA.email)
    walked.deliver()

    assert walked.message(its_id)["state"] == "delivered"
    assert [one in json.dumps(walked.sent()) for one in people] == [False, True, True, True]


def test_sqlite_writes_over_what_is_erased(start: Starter) -> None:
    bridge = start()
    for number in range(20):
        bridge.accept(literal(user_id=ADA.user_id, event__event_id=f"e{number}", event__title=ADA.name * 20))
        bridge.accept(literal(user_id=BOB.user_id, event__event_id=f"e{number}", event__title=BOB.name * 20))
    file = Path(bridge.database.url.database or "")

    forget(bridge, user_id=ADA.user_id)
    with bridge.database.read() as connection:
        assert connection.execute(sa.text("PRAGMA wal_checkpoint(TRUNCATE)")).one()[0] == 0

    content = file.read_bytes() + Path(f"{file}-wal").read_bytes()
    assert [ADA.name.encode() in content, BOB.name.encode() in content] == [False, True]


# Every table: those that hold something of people, which has to go with its time, and the others.
OF_PEOPLE = {
    *("messages", "bodies", "attempts", "waiting", "repeats", "latest", "jobs"),
    *("calendar_events", "calendar_holders", "coming", "subscriptions", "braze_held"),
}
OF_NOBODY = {
    *("calls", "workers", "worker_totals", "destination_states", "budgets", "moves", "sign_in_tries"),
    *("samples", "template_samples", "depths", "counting", "coming_counts"),
    "alembic_version",
    *("template_versions", "template_publications", "template_drafts", "template_files"),
}


def test_every_table_is_known_to_hold_something_of_people_or_not(bridge: Bridge) -> None:
    """A new one is named in docs/privacy.md too, and erased by forgetting.py if it does."""
    assert dump(bridge).keys() == OF_PEOPLE | OF_NOBODY


def test_what_is_past_its_time_leaves_every_table(walked: Bridge) -> None:
    fill_both(walked)
    walked.deliver()
    for who in (ADA, BOB):
        for one in who.ids:
            told = {
                "action": "unsubscribe",
                "external_id": who.user_id,
                "subscription": {"subscription_id": one},
            }
            walked.accept(told, "/v1/subscribers")
    walked.deliver()
    work(walked)

    destinations = configured(walked.settings)
    with walked.database.write() as connection:
        later = clock(connection) + timedelta(days=30_000)
        while retention.forget_old(connection, later, timedelta(days=30)):
            pass
        for destination in destinations:
            while destination.forget_old(connection, later):
                pass
        look_ahead(connection)

    left = dump(walked)
    assert (holding(left, ADA), holding(left, BOB)) == ({}, {})
    assert {name: rows for name in OF_PEOPLE if (rows := left[name])} == {"braze_held": left["braze_held"]}
    assert len(left["braze_held"]) == 1


def look_ahead(connection: sa.Connection) -> None:
    """Count what is to come, as a worker does again and again."""
    look = coming.Look()
    while not look.piece(connection, clock(connection)):
        pass
    look.write(connection, clock(connection))
