"""Rokt's Event API as a destination: a batch for each user, full calls, nothing twice that must not be."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from factories import a_call, accept
from outbox.steps import Outbox, eventually, ids
from servers import Received, SandboxUnderTest, always, http, once, running_sandbox, scripted_server
from sqlalchemy.engine import Connection
from test_worker import running

from bridge import worker as worker_module
from bridge.conversions.batches import batch_of
from bridge.conversions.conversion import Conversion
from bridge.database import Database, clock
from bridge.destinations.batch import Pack
from bridge.destinations.rokt_events import RoktEvents
from bridge.errors import CredentialRefused, NotBegun, UpstreamTrouble
from bridge.message import UNSURE, Delivered, Message, NewMessage, State, Uncertain, Undecided
from bridge.outbox import claim, settle, states
from bridge.outbox.tables import HELD, bodies, messages, waiting
from bridge.rate import Rate
from bridge.routes.conversions import message_of
from bridge.settings import BatchSettings, RoktEventsSettings, Secret
from bridge.turns import at_once

SECOND = timedelta(seconds=1)
NOBODY = "http://127.0.0.1:9/v2"
Calls = list[dict[str, Any]]


def bought(user: object = 0, ref: str | None = "C", **fields: Any) -> Conversion:
    attributes = {"amount": 5} | ({"confirmationref": ref} if ref else {}) | fields.pop("attributes", {})
    return Conversion(f"u{user}@example.com", attributes=attributes, **fields)


def stored(conversion: Conversion, **fields: Any) -> Message:
    its = {"destination": "rokt_events", "action": "conversion", "account_code": ""}
    return a_call(conversion.identity, request=batch_of(conversion), **its, **fields).message


def new(conversion: Conversion) -> NewMessage:
    return message_of(conversion, batch_of(conversion), uuid.uuid4().hex)


@contextmanager
def built(url: str = NOBODY, *, rate: int = 270, batch: BatchSettings | None = None) -> Iterator[RoktEvents]:
    settings = RoktEventsSettings(url, "a-key", Secret("a-secret"), "production", Rate(rate, "item"))
    made = RoktEvents(settings, batch or BatchSettings(), allow_http=True)
    try:
        yield made
    finally:
        made.close()


def standings(destination: RoktEvents, messages: Sequence[Message]) -> list[Any]:
    connection: Connection = None  # type: ignore[assignment]  # there is no ledger to ask
    return destination.look_up(connection, messages)


def packs(messages: Sequence[Message], **options: Any) -> list[Pack]:
    with built(**options) as destination:
        return destination.pack(messages, standings(destination, messages))


def sent(
    messages: Sequence[Message], answer: bytes = b"", **headers: str
) -> tuple[list[Any], list[Received]]:
    """What became of one call of these, and what arrived."""
    with scripted_server(always(http(202, answer, **headers))) as server, built(f"{server.url}/v2") as one:
        return one.deliver(messages, standings(one, messages), at_once), list(server.received)


class TestCalls:
    def test_one_user_is_one_batch_and_goes_as_an_object(self) -> None:
        messages = [stored(bought(attributes={"confirmationref": ref})) for ref in ("C-1", "C-2", "C-3")]

        found, [call] = sent(messages)

        assert [type(one) for one in found] == [Delivered] * 3
        assert call.target == "/v2/events"
        batch = json.loads(call.body)
        refs = [event["data"]["custom_attributes"]["confirmationref"] for event in batch["events"]]
        assert refs == ["C-1", "C-2", "C-3"]
        assert batch["environment"] == "production"

    def test_two_users_are_never_in_one_batch(self) -> None:
        messages = [stored(bought(user)) for user in (0, 0, 1, 2, 2)]

        _, [call] = sent(messages)

        assert call.target == "/v2/bulkevents"
        told = [(b["user_identities"], len(b["events"])) for b in json.loads(call.body)]
        assert told == [({"email": f"u{n}@example.com"}, count) for n, count in ((0, 2), (1, 1), (2, 2))]

    def test_the_secret_stays_out_of_what_rokt_repeats(self) -> None:
        [found], _ = sent([stored(bought())], b'{"errors": [{"code": "BAD", "message": "of A-secret: no"}]}')

        assert found.reason == "Rokt refused it: of [key]: no"
        assert "secret" not in repr(found)

    def test_the_pair_goes_as_http_basic(self) -> None:
        _, [call] = sent([stored(bought())])

        assert call.headers["authorization"] == "Basic YS1rZXk6YS1zZWNyZXQ="
        assert call.headers["content-type"] == call.headers["accept"] == "application/json"

    @pytest.mark.parametrize(
        "other",
        [
            {"click_id": "click"},
            {"user_id": "u-2"},
            {"user_attributes": {"firstname": "Bob"}},
        ],
        ids=str,
    )
    def test_what_says_another_thing_of_its_user_has_a_batch_of_its_own(self, other: dict[str, Any]) -> None:
        messages = [stored(bought(user_attributes={"firstname": "Ada"})), stored(bought(**other))]

        _, [call] = sent(messages)

        assert [len(batch["events"]) for batch in json.loads(call.body)] == [1, 1]

    def test_what_is_said_of_a_user_is_said_of_all_the_events(self) -> None:
        messages = [
            stored(bought(user_attributes={"firstname": "Ada"})),
            stored(bought(user_attributes={"lastname": "L"})),
        ]

        _, [call] = sent(messages)

        assert json.loads(call.body)["user_attributes"] == {"firstname": "Ada", "lastname": "L"}

    def test_its_id_is_the_same_in_every_call(self) -> None:
        message = stored(bought())

        ids = [json.loads(sent([message])[1][0].body)["events"][0]["data"]["source_message_id"] for _ in "ab"]

        assert ids[0] == ids[1]
        assert (
            ids[0]
            != json.loads(sent([stored(bought())])[1][0].body)["events"][0]["data"]["source_message_id"]
        )


class TestPacks:
    def test_a_call_has_the_users_of_a_tenth_of_a_second(self) -> None:
        assert packs([stored(bought(n)) for n in range(60)]) == [
            Pack(27),
            Pack(27),
            Pack(6, is_full=False),
        ]

    @pytest.mark.parametrize(("rate", "most"), [(0, 100), (5_000, 100), (50, 5), (7, 1)])
    def test_never_more_than_a_hundred_and_never_more_than_the_rate(self, rate: int, most: int) -> None:
        found = packs([stored(bought(n)) for n in range(most + 1)], rate=rate, batch=BatchSettings(count=500))

        assert found[0] == Pack(most)

    def test_a_user_counts_as_one_however_much_there_is(self) -> None:
        assert packs([stored(bought(n // 3)) for n in range(81)]) == [Pack(81)]

    def test_messages_are_counted_too(self) -> None:
        messages = [stored(bought(n // 2)) for n in range(30)]

        assert packs(messages, batch=BatchSettings(count=20)) == [Pack(20), Pack(10, is_full=False)]

    def test_what_a_user_did_after_what_a_person_decides_about_waits_for_that(self) -> None:
        unclear = stored(bought(0, ref=None), progress={UNSURE: True})
        messages = [stored(bought(5)), unclear, *[stored(bought(0))] * 3, stored(bought(1))]

        assert packs(messages) == [Pack(2, left_out=3), Pack(1, is_full=False)]
        assert packs([unclear, unclear, stored(bought(0)), unclear]) == [Pack(2, left_out=2)]
        assert packs([unclear, stored(bought(1))]) == [Pack(2, is_full=False)]

    def test_what_a_user_has_left_waits_for_the_next_call(self) -> None:
        messages = [*[stored(bought(0))] * 2, *[stored(bought(1))] * 30]

        assert packs(messages, batch=BatchSettings(count=20)) == [Pack(2), Pack(20, left_out=10)]

    def test_a_call_has_256_kb_at_most_of_the_bytes_that_are_sent(self) -> None:
        heavy = {f"a{n}": "ü" * 2_000 for n in range(10)}
        messages = [stored(bought(n, attributes=heavy)) for n in range(20)]

        first = packs(messages)[0].size

        sizes = {count: len(sent(messages[:count])[1][0].body) for count in (first, first + 1)}
        assert sizes[first] <= 256_000 < sizes[first + 1]

    def test_a_batch_has_128_kb_at_most(self) -> None:
        heavy = {f"a{n}": "x" * 4_000 for n in range(12)}
        messages = [stored(bought(0, attributes=heavy)) for _ in range(3)]

        _, [call] = sent(messages)

        assert [len(batch["events"]) for batch in json.loads(call.body)] == [2, 1]

    def test_the_batch_setting_bounds_bytes_and_one_always_goes(self) -> None:
        messages = [stored(bought(n)) for n in range(3)]

        assert packs(messages, batch=BatchSettings(size=10)) == [Pack(1)] * 3

    def test_what_was_refused_goes_alone(self) -> None:
        messages = [stored(bought(n)) for n in range(3)]
        messages[1] = stored(bought(1), progress={"at_most": 1})

        assert packs(messages) == [Pack(1), Pack(1), Pack(1, is_full=False)]

    def test_a_user_has_a_hundred_attributes_at_most(self) -> None:
        one, other = ({f"{letter}{n}": n for n in range(60)} for letter in "ab")
        messages = [stored(bought(user_attributes=its)) for its in (one, other)]

        _, [call] = sent(messages)

        assert [len(batch["user_attributes"]) for batch in json.loads(call.body)] == [60, 60]


class TestNotTwice:
    def test_what_nobody_knows_the_end_of_is_left_to_a_person(self) -> None:
        messages = [stored(bought(0, ref=None), progress={UNSURE: True}), stored(bought(1))]

        found, [call] = sent(messages)

        assert [type(one) for one in found] == [Undecided, Delivered]
        assert json.loads(call.body)["user_identities"] == {"email": "u1@example.com"}

    def test_what_rokt_would_know_again_is_repeated(self) -> None:
        found, received = sent([stored(bought(), progress={UNSURE: True})])

        assert [type(one) for one in found] == [Delivered]
        assert len(received) == 1

    def test_where_nothing_leaves_there_is_no_call(self) -> None:
        for progress, ends in (({UNSURE: True}, Undecided), ({"once_more": True}, Delivered)):
            found, received = sent([stored(bought(ref=None), progress=progress)])

            assert [type(one) for one in found] == [ends]
            assert received == []

    def test_an_answer_that_is_lost_is_final_where_rokt_would_count_it_twice(self) -> None:
        messages = [stored(bought(0)), stored(bought(1, ref=None))]
        lost = once(lambda line: line.reset())
        with scripted_server(lost) as server, built(f"{server.url}/v2") as one:
            found = one.deliver(messages, standings(one, messages), at_once)

        assert [(type(f), getattr(f, "is_final", None)) for f in found] == [
            (Uncertain, False),
            (Uncertain, True),
        ]


class TestCheck:
    @pytest.mark.parametrize("status", [400, 202])
    def test_an_empty_batch_behind_the_key_proves_it(self, status: int) -> None:
        with scripted_server(always(http(status))) as server, built(f"{server.url}/v2") as destination:
            found = destination.check()

        assert found == {"": "the key is taken"}
        assert [(call.target, call.body) for call in server.received] == [("/v2/events", b"{}")]

    @pytest.mark.parametrize(
        ("status", "trouble"), [(401, CredentialRefused), (403, CredentialRefused), (404, NotBegun)]
    )
    def test_anything_else_is_trouble(self, status: int, trouble: type[UpstreamTrouble]) -> None:
        with scripted_server(always(http(status))) as server, built(f"{server.url}/v2") as destination:
            found = destination.check()

        assert type(found[""]) is trouble
        assert str(status) in str(found[""])


@pytest.fixture
def sandbox() -> Iterator[SandboxUnderTest]:
    with running_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def _without_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settle, "BACK_OFF_FIRST", 0.01)
    monkeypatch.setattr(worker_module, "POLL_EVERY", 0.01)
    monkeypatch.setattr(states, "TROUBLED_LINES", 1000)  # it is no outage


FAST = BatchSettings(count=10, age=timedelta(milliseconds=20))


def drained(
    database: Database, sandbox: SandboxUnderTest, conversions: Sequence[Conversion]
) -> tuple[Calls, dict[str, str]]:
    """What was taken, and how each conversion ended, by its amount."""
    with database.read() as connection:
        now = clock(connection)
    accept(database, *map(new, conversions), now=now)
    with built(f"{sandbox.url}/v2", rate=0, batch=FAST) as destination, running(database, [destination]):
        ended = eventually(lambda: _ended(database), 30)
    calls = [call for call in sandbox.calls("/v2/") if call["status"] == 202]
    return calls, ended


def _ended(database: Database) -> dict[str, str] | None:
    """None while something may leave."""
    query = sa.select(messages.c.state, bodies.c.request).join(bodies, bodies.c.seq == messages.c.seq)
    leaves = sa.select(waiting.c.seq).where(
        waiting.c.is_head, sa.func.coalesce(waiting.c.call_id, "") != HELD
    )
    with database.read() as connection:
        if connection.execute(leaves).first():
            return None
        rows = connection.execute(query).all()
    return {_amount(row.request["events"][0]): row.state for row in rows}


def _amount(event: Any) -> str:
    return str(event["data"]["custom_attributes"]["amount"])


def _amounts(calls: Calls) -> list[str]:
    batches = [
        b for call in calls for b in (call["body"] if isinstance(call["body"], list) else [call["body"]])
    ]
    return [_amount(event) for batch in batches for event in batch["events"]]


@pytest.mark.usefixtures("_without_long_waits")
class TestTheWorker:
    def test_a_bad_day_loses_nothing_and_doubles_nothing_that_rokt_would_count(
        self, database: Database, sandbox: SandboxUnderTest
    ) -> None:
        made = [bought(n // 2, ref=None, attributes={"amount": n}) for n in range(24)]
        for fault in (
            {"status": 503},
            {"drop": "after"},
            {"status": 429, "retry_after": 0},
            {"status": 400, "body": {"errors": [{"message": "malformed"}]}},
            {"drop": "before"},
        ):
            sandbox.fault(path="/v2/", times=1, **fault)

        calls, ended = drained(database, sandbox, made)

        arrived = _amounts(calls)
        assert len(arrived) == len(set(arrived))
        assert set(ended.values()) - {"accepted"} == {"delivered", "uncertain"}
        behind = {str(int(amount) - 1) for amount, state in ended.items() if state == "accepted"}
        assert {ended[amount] for amount in behind} <= {"uncertain"}
        delivered = {amount for amount, state in ended.items() if state == "delivered"}
        assert delivered <= set(arrived)

    def test_what_rokt_knows_again_is_all_delivered_in_the_end(
        self, database: Database, sandbox: SandboxUnderTest
    ) -> None:
        made = [bought(n // 2, ref=f"C-{n}", attributes={"amount": n}) for n in range(24)]
        for fault in ({"drop": "after"}, {"drop": "before"}, {"status": 202, "body": "nobody knows"}):
            sandbox.fault(path="/v2/", times=1, **fault)

        calls, ended = drained(database, sandbox, made)

        assert set(ended.values()) == {"delivered"}
        assert set(_amounts(calls)) == set(ended)

    def test_only_what_rokt_refuses_is_dead(self, database: Database, sandbox: SandboxUnderTest) -> None:
        made = [bought(n, attributes={"amount": n, "confirmationref": f"C-{n}"}) for n in range(10)]
        made[4] = bought(4, attributes={"amount": 4, "wrong": {"a": 1}})

        calls, ended = drained(database, sandbox, made)

        assert {amount for amount, state in ended.items() if state == "dead"} == {"4"}
        # Those of the first call were taken with it, and only what was refused went again.
        arrived = _amounts([call for call in calls if call["path"] == "/v2/bulkevents"])
        assert sorted(arrived, key=int) == [str(n) for n in range(10)]
        alone = [call for call in sandbox.calls("/v2/events") if call["status"] == 400]
        assert [_amount(call["body"]["events"][0]) for call in alone] == ["4"]

    def test_what_a_killed_worker_may_have_sent_waits_for_a_person_and_goes_when_that_says_so(
        self, database: Database, sandbox: SandboxUnderTest
    ) -> None:
        outbox = Outbox(database)
        with database.read() as connection:
            now = clock(connection)
        long_ago = now - timedelta(minutes=1)
        made = [bought(0, ref=None, attributes={"amount": 1}), bought(1, attributes={"amount": 2})]
        accepted = outbox.accept(*map(new, made), now=long_ago)
        outbox.beat("killed", long_ago)
        with database.write() as connection:
            claim.claim(connection, "killed", "rokt_events", 10, long_ago)
        outbox.take_over(now)

        calls, ended = drained(database, sandbox, [])

        assert ended == {"1": "uncertain", "2": "delivered"}
        assert _amounts(calls) == ["2"]
        [unsure, _] = ids(accepted)
        assert len([one for one in outbox.attempts() if one.seq == outbox.message(unsure).seq]) == 1

        outbox.replay(unsure, now=now)
        calls, ended = drained(database, sandbox, [])

        assert ended == {"1": "delivered", "2": "delivered"}
        assert sorted(_amounts(calls)) == ["1", "2"]

    def test_what_a_user_did_after_an_uncertain_one_waits_for_that_and_nobody_elses_does(
        self, database: Database, sandbox: SandboxUnderTest
    ) -> None:
        outbox = Outbox(database)
        sandbox.fault(path="/v2/", times=1, drop="before")
        with database.read() as connection:
            now = clock(connection)
        first, second = (bought(0, ref=None, attributes={"amount": n}) for n in (1, 2))

        another = bought(1, ref=None, attributes={"amount": 3})

        drained(database, sandbox, [first])
        _, ended = drained(database, sandbox, [second, another])

        assert ended == {"1": "uncertain", "2": "accepted", "3": "delivered"}
        [unsure] = [row.id for row in outbox.rows(sa.select(messages)) if row.state == "uncertain"]
        assert outbox.replay(unsure, now=now) == State.ACCEPTED
        calls, ended = drained(database, sandbox, [])
        assert set(ended.values()) == {"delivered"}
        assert _amounts(calls) == ["3", "1", "2"]
