"""What the worker relies on, of every line of DESTINATIONS: whatever an upstream does, a message has one outcome."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from destinations.cases import ADDRESS, CASES, SECRET, Case
from factories import NOON
from servers import Line, Received, Script, http, scripted_server

from bridge.database import Database
from bridge.destinations import DESTINATIONS, Destination, configured
from bridge.destinations.batch import Batch, Pack
from bridge.errors import SlotMissed, UpstreamTrouble
from bridge.message import Message, Outcome, Rejected, Retry, State, Uncertain
from bridge.metrics import counted
from bridge.metrics.samples import since
from bridge.rate import Rate
from bridge.settings import Settings
from bridge.turns import at_once

TOKEN = "tok-" + "0123456789abcdef" * 3
TOKEN_ANSWER = http(200, json.dumps({"access_token": TOKEN, "expires_in": 300}).encode())

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def settings(case: Case | None = None, url: str = "") -> Settings:
    variables = {name: text.format(url=url) for name, text in (case.variables if case else {}).items()}
    return Settings.from_env({"BRIDGE_ENV": "development", **variables})


@contextmanager
def built(case: Case, url: str) -> Iterator[Destination]:
    every = configured(settings(case, url), lambda *_: None)
    [destination] = [one for one in every if one.name == case.destination]
    try:
        yield destination
    finally:
        for one in every:
            one.close()


@contextmanager
def upstream(answer: Callable[[Line, Received], None]) -> Iterator[Any]:
    """Gives tokens, and answers every other call like this."""

    def script(line: Line) -> None:
        while (received := line.request()) is not None:
            if received.target.endswith("/oauth2/token"):
                line.send(TOKEN_ANSWER)
            else:
                answer(line, received)

    scripts: list[Script] = [script]
    with scripted_server(*scripts) as server:
        yield server


@pytest.fixture
def ledger(sqlite_database_url: str) -> Iterator[Database]:
    database = Database(sqlite_database_url)
    yield database
    database.close()


def first_call(
    destination: Destination, ledger: Database, messages: Sequence[Message]
) -> tuple[Sequence[Message], Sequence[Any]]:
    """The messages of the first call, with their standings, as the worker claims them."""
    with ledger.write() as connection:
        standings = destination.look_up(connection, messages)
        size = destination.pack(messages, standings)[0].size
        messages, standings = messages[:size], standings[:size]
        destination.intend(connection, messages, standings, NOON)
    return messages, standings


def delivered(
    case: Case, destination: Destination, ledger: Database, turn: Callable[[], None] = at_once
) -> Sequence[Outcome]:
    """What became of a call; the destination's ledger has to be able to take that."""
    messages, standings = first_call(destination, ledger, case.accept(ledger, 4))
    outcomes = destination.deliver(messages, standings, turn)
    assert len(outcomes) == len(messages)
    with ledger.write() as connection:
        for state in (None, State.DEAD):
            done = [(*one, state) for one in zip(messages, standings, outcomes, strict=True)]
            destination.record(connection, done, NOON)
    return outcomes


def outcomes_of(case: Case, ledger: Database, answer: Callable[[Line, Received], None]) -> Sequence[Outcome]:
    with upstream(answer) as server, built(case, server.url) as destination:
        found = delivered(case, destination, ledger)
        told = repr(found)
        assert len(server.received) >= 1
    assert SECRET not in told
    assert TOKEN not in told
    assert ADDRESS not in told
    return found


def sends(content: bytes) -> Callable[[Line, Received], None]:
    return lambda line, _received: line.send(content)


def status(number: int, body: Any = None, **headers: str) -> Callable[[Line, Received], None]:
    return sends(http(number, json.dumps(body or {"message": "no"}).encode(), **headers))


def a_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def test_every_line_has_a_case() -> None:
    assert {case.destination for case in CASES.values()} == set(DESTINATIONS)


def test_without_its_variables_a_destination_is_off() -> None:
    assert configured(settings()) == []


@every_case
def test_a_destination_says_what_it_is(case: Case) -> None:
    with built(case, "http://127.0.0.1:9") as destination:
        assert destination.name == case.destination
        assert destination.in_flight >= 1
        assert destination.rate == Rate(case.a_second, case.per)
        assert isinstance(destination.batch, Batch)
        assert destination.batch.messages >= 1
        assert destination.credential_of("") == destination.credential_of("nobody-knows-it") == ""


@every_case
@pytest.mark.parametrize("count", [0, 1, 9, 250])
def test_every_message_falls_into_one_call_or_is_left_out(case: Case, ledger: Database, count: int) -> None:
    messages = case.accept(ledger, count)
    with built(case, "http://127.0.0.1:9") as destination, ledger.read() as connection:
        standings = destination.look_up(connection, messages)
        packs = destination.pack(messages, standings)

        assert len(standings) == count
        assert sum(pack.size + pack.left_out for pack in packs) == count
        assert all(isinstance(p, Pack) and 1 <= p.size <= destination.batch.messages for p in packs)


class TestNoAnswer:
    @every_case
    def test_a_refused_connection_is_tried_again(self, case: Case, ledger: Database) -> None:
        with built(case, f"http://127.0.0.1:{a_free_port()}") as destination:
            found = delivered(case, destination, ledger)

        assert [(type(one), getattr(one, "is_trouble", None)) for one in found] == [(Retry, True)] * len(
            found
        )

    @every_case
    @pytest.mark.parametrize(
        "breaks",
        [
            lambda line, _received: line.reset(),
            lambda line, _received: line.close(),
            lambda line, _received: (line.send(http(200)[:20]), line.close()),
            lambda line, _received: (line.send(http(200, b"x" * 50)[:-25]), line.close()),
            sends(b"SSH-2.0-OpenSSH\r\n\r\n"),
        ],
        ids=["reset", "closed", "half a head", "half a body", "not HTTP"],
    )
    def test_a_lost_answer_leaves_the_outcome_unknown(
        self, case: Case, ledger: Database, breaks: Callable[[Line, Received], None]
    ) -> None:
        found = outcomes_of(case, ledger, breaks)

        assert {type(one) for one in found} == {Retry if case.is_question else Uncertain}


class TestAnswers:
    @every_case
    def test_its_calls_are_counted_by_its_name(self, case: Case, ledger: Database) -> None:
        before = counted.of_workers()
        outcomes_of(case, ledger, status(503))

        name = "bridge_upstream_seconds_count"
        made = [dict(labels) for one, labels in since(counted.of_workers(), before) if one == name]
        assert made == [{"destination": case.destination, "status": "5xx"}]

    @every_case
    @pytest.mark.parametrize("number", [401, 403])
    def test_a_refused_credential_keeps_the_messages_and_is_told_apart(
        self, case: Case, ledger: Database, number: int
    ) -> None:
        found = outcomes_of(case, ledger, status(number))

        assert all(isinstance(one, Retry) and one.refused_account is not None for one in found)
        assert [getattr(one, "status", None) for one in found] == [number] * len(found)

    @every_case
    def test_who_is_asked_to_wait_waits_so_long(self, case: Case, ledger: Database) -> None:
        found = outcomes_of(case, ledger, status(429, Retry_After="7"))

        assert [(type(one), getattr(one, "wait", None)) for one in found] == [(Retry, 7.0)] * len(found)
        assert not any(isinstance(one, Retry) and one.is_trouble for one in found)

    @every_case
    @pytest.mark.parametrize("number", [302, 500, 502, 503, 504])
    def test_an_upstream_in_trouble_is_tried_again(self, case: Case, ledger: Database, number: int) -> None:
        found = outcomes_of(case, ledger, status(number, Location="http://127.0.0.1:9/"))

        assert all(isinstance(one, Retry) and one.is_trouble for one in found)

    @every_case
    @pytest.mark.parametrize("body", [b"", b"<html>", b"null", b"[[[", b'"', b"\xff\xfe", b"[]" * 70_000])
    def test_a_success_with_rubbish_is_no_refusal(self, case: Case, ledger: Database, body: bytes) -> None:
        found = outcomes_of(case, ledger, sends(http(200, body)))

        assert not any(isinstance(one, Rejected | Retry) for one in found)

    @every_case
    @pytest.mark.parametrize("number", [200, 400, 401, 403, 404, 409, 413, 429, 500])
    def test_what_an_upstream_repeats_of_what_it_was_sent_stays_away(
        self, case: Case, ledger: Database, number: int
    ) -> None:
        def echo(line: Line, received: Received) -> None:
            key = received.headers["authorization"]
            bare = SECRET if SECRET in key else ""
            words = f"Invalid key: {key} {bare} of {ADDRESS} with {received.body.decode()}"
            fault = {"type": words, "input_array": "events", "index": 0}
            body = {"message": words, "Code": key, "Reason": words, "error": words, "errors": [fault]}
            told = {"code": key, "message": words}
            body["data"] = told | {"unprocessedRecords": [{"error": told, "record": received.body.decode()}]}
            line.send(http(number, json.dumps(body).encode()))

        outcomes_of(case, ledger, echo)


class TestTurns:
    @every_case
    def test_a_call_asks_for_its_turn_before_its_first_byte(self, case: Case, ledger: Database) -> None:
        seen: list[str] = []

        def answer(line: Line, _received: Received) -> None:
            seen.append("call")
            line.send(http(503))

        with upstream(answer) as server, built(case, server.url) as destination:
            delivered(case, destination, ledger, lambda: seen.append("turn"))

        assert seen == ["turn", "call"]

    @every_case
    def test_a_missed_slot_goes_through_and_nothing_leaves(self, case: Case, ledger: Database) -> None:
        calls: list[Received] = []

        def missed() -> None:
            raise SlotMissed

        with (
            upstream(lambda _line, received: calls.append(received)) as server,
            built(case, server.url) as destination,
            pytest.raises(SlotMissed),
        ):
            delivered(case, destination, ledger, missed)

        assert calls == []


class TestTheRest:
    @every_case
    def test_a_late_call_is_doubted_with_and_without_its_standing(self, case: Case, ledger: Database) -> None:
        with built(case, "http://127.0.0.1:9") as destination:
            messages, standings = first_call(destination, ledger, case.accept(ledger, 4))
            with ledger.write() as connection:
                destination.doubt(connection, list(zip(messages, standings, strict=True)))
                destination.doubt(connection, [(message, None) for message in messages])
                destination.doubt(connection, [])

    @every_case
    def test_what_became_too_late_is_recorded_without_a_call(self, case: Case, ledger: Database) -> None:
        with built(case, "http://127.0.0.1:9") as destination:
            messages = case.accept(ledger, 4)
            with ledger.write() as connection:
                standings = destination.look_up(connection, messages)
                late = [
                    (*one, Rejected("too late"), State.DEAD) for one in zip(messages, standings, strict=True)
                ]
                destination.record(connection, late, NOON)
                destination.record(connection, [], NOON)

    @every_case
    def test_nothing_old_is_nothing_to_forget(self, case: Case, ledger: Database) -> None:
        with built(case, "http://127.0.0.1:9") as destination, ledger.write() as connection:
            assert destination.forget_old(connection, NOON) == 0

    @every_case
    @pytest.mark.parametrize("number", [200, 400, 401, 403, 404, 429, 500])
    def test_a_check_tells_of_each_credential_and_never_raises(self, case: Case, number: int) -> None:
        with upstream(status(number)) as server, built(case, server.url) as destination:
            found = destination.check()

        assert found.keys() == {""}
        assert all(isinstance(told, str | UpstreamTrouble) for told in found.values())
        assert SECRET not in str(found)

    @every_case
    def test_a_check_of_nobody_is_trouble(self, case: Case) -> None:
        with built(case, f"http://127.0.0.1:{a_free_port()}") as destination:
            assert isinstance(destination.check()[""], UpstreamTrouble)
