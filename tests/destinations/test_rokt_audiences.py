"""Rokt's custom audiences: what leaves for the changes of a list, and what its answers mean."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from factories import a_call
from servers import Line, Received, SandboxUnderTest, http, running_sandbox, scripted_server

from bridge.audiences.change import Action, changes_of
from bridge.destinations import rokt_audiences
from bridge.destinations.batch import Pack
from bridge.destinations.rokt_audiences import BEHIND, NOT_YET, SAID_OTHERWISE, RoktAudiences
from bridge.errors import CredentialRefused, NotBegun, SettingsInvalid
from bridge.message import Delivered, Divided, Message, Outcome, Rejected, Retry, Skipped, Uncertain
from bridge.rate import Rate
from bridge.settings import BatchSettings, Credential, RoktApiSettings, Secret, Settings
from bridge.turns import at_once

ACCOUNT, KEY, SECRET = "1234", "rpub-0123", "rsec-very-secret"
PATH = "/v3/import/suppression"
ADA, BOB, EVE = "ada@example.com", "bob@example.com", "eve@example.com"


def hashed(address: str) -> str:
    return hashlib.sha256(address.encode()).hexdigest()


def said(action: Action, *identifiers: str, list_name: str = "VIP", **fields: Any) -> Message:
    """The message of one kind of identifiers on one list."""
    [change] = changes_of(list_name, action, identifiers)
    return a_call(list_name, action=action, account_code="", request=change.stored(), **fields).message


@contextmanager
def to(url: str, **batch: Any) -> Iterator[RoktAudiences]:
    credential = Credential(KEY, Secret(SECRET))
    settings = RoktApiSettings("https://api.rokt.com", ACCOUNT, credential, None, url)
    destination = RoktAudiences(settings, credential, BatchSettings(**batch), allow_http=True)
    try:
        yield destination
    finally:
        destination.close()


@contextmanager
def answering(answer: Callable[[dict[str, Any]], bytes]) -> Iterator[Any]:
    """A Rokt that answers so to each body."""

    def script(line: Line) -> None:
        while (received := line.request()) is not None:
            line.send(answer(json.loads(received.body)))

    with scripted_server(script) as server:
        yield server


def bodies(received: Sequence[Received]) -> list[dict[str, Any]]:
    return [json.loads(one.body) for one in received]


def packs(destination: RoktAudiences, *messages: Message) -> list[Pack]:
    return destination.pack(messages, destination.look_up(None, messages))  # type: ignore[arg-type]


def send(destination: RoktAudiences, *messages: Message) -> list[Outcome]:
    """All of them as one batch."""
    standings = destination.look_up(None, messages)  # type: ignore[arg-type]
    return destination.deliver(messages, standings, at_once)


def after(message: Message, outcome: Outcome) -> Message:
    """As the outbox would have it for its next call."""
    return replace(message, progress={**message.progress, **(getattr(outcome, "progress", None) or {})})


def drain(destination: RoktAudiences, *messages: Message) -> dict[str, Outcome]:
    """What became of the messages of one line in the end, by their ids, as a worker would go on."""
    line, ended = list(messages), {}
    for _ in range(1_000):
        if not line:
            return ended
        size = packs(destination, *line)[0].size
        left = []
        for message, outcome in zip(line[:size], send(destination, *line[:size]), strict=True):
            goes_on = isinstance(outcome, Divided) or getattr(outcome, "progress", None) is not None
            assert goes_on or isinstance(outcome, Delivered | Skipped | Rejected), outcome
            if goes_on:
                left.append(after(message, outcome))
            else:
                ended[message.id] = outcome
        line = left + line[size:]
    raise AssertionError("it never ended")


@pytest.fixture
def sandbox() -> Iterator[SandboxUnderTest]:
    with running_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def rokt(sandbox: SandboxUnderTest) -> Iterator[RoktAudiences]:
    with to(sandbox.url) as destination:
        yield destination


class TestCalls:
    def test_a_call_has_a_pair_of_keys_a_list_and_its_people(self) -> None:
        message = said("include", ADA, BOB)
        with answering(lambda body: http(201)) as server, to(server.url) as destination:
            [outcome] = send(destination, message)

        [call] = server.received
        assert (call.method, call.target) == ("POST", PATH)
        assert call.headers["authorization"] == "Basic cnB1Yi0wMTIzOnJzZWMtdmVyeS1zZWNyZXQ="
        assert call.headers["content-type"] == "application/json"
        assert call.headers["x-request-id"] == message.request_id
        assert json.loads(call.body) == {
            "accountId": ACCOUNT,
            "action": "include",
            "list": "VIP",
            "emails": [ADA, BOB],
        }
        assert (type(outcome), getattr(outcome, "status", None)) == (Delivered, 201)

    def test_a_name_with_blanks_and_slashes_leaves_as_it_is(
        self, rokt: RoktAudiences, sandbox: SandboxUnderTest
    ) -> None:
        send(rokt, said("include", ADA, list_name='Café / "VIP" 100%'))

        assert sandbox.calls(PATH)[0]["body"]["list"] == 'Café / "VIP" 100%'

    def test_messages_of_one_list_action_and_kind_share_a_call(
        self, rokt: RoktAudiences, sandbox: SandboxUnderTest
    ) -> None:
        outcomes = send(rokt, *(said("include", f"u{n}@example.com") for n in range(100)))

        [call] = sandbox.calls(PATH)
        assert len(call["body"]["emails"]) == 100
        assert {type(one) for one in outcomes} == {Delivered}

    def test_addresses_and_hashes_never_share_a_key_or_a_call(
        self, rokt: RoktAudiences, sandbox: SandboxUnderTest
    ) -> None:
        send(rokt, said("include", ADA), said("include", hashed(BOB)))

        calls = [call["body"] for call in sandbox.calls(PATH)]
        assert [sorted(call.keys() & {"email", "emails", "sha256", "sha256s"}) for call in calls] == [
            ["emails"],
            ["sha256s"],
        ]

    def test_of_one_person_only_the_last_word_leaves_and_the_message_before_is_skipped(
        self, rokt: RoktAudiences, sandbox: SandboxUnderTest
    ) -> None:
        first, second = send(rokt, said("include", ADA), said("exclude", hashed(ADA)))

        assert first == Skipped(SAID_OTHERWISE)
        assert isinstance(second, Delivered)
        assert [call["body"]["action"] for call in sandbox.calls(PATH)] == ["exclude"]

    def test_who_comes_and_goes_in_one_batch_costs_few_calls(
        self, rokt: RoktAudiences, sandbox: SandboxUnderTest
    ) -> None:
        changing: list[Message] = []
        for number in range(50):
            changing += [
                said("include", f"in{number}@example.com"),
                said("exclude", f"out{number}@example.com"),
            ]

        outcomes = send(rokt, *changing)

        assert {type(one) for one in outcomes} == {Delivered}
        assert [call["body"]["action"] for call in sandbox.calls(PATH)] == ["include", "exclude"]

    def test_the_calls_of_a_batch_share_the_time_of_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(rokt_audiences, "LEAST_SECONDS", rokt_audiences.CALL_SECONDS)
        with answering(lambda body: http(201)) as server, to(server.url) as destination:
            outcomes = send(destination, said("include", ADA), said("exclude", BOB), said("include", EVE))

        assert [body["action"] for body in bodies(server.received)] == ["include"]
        assert isinstance(outcomes[0], Delivered)
        assert outcomes[0].progress is None
        assert outcomes[1] == Divided(NOT_YET)


class TestBatches:
    def test_a_batch_is_of_one_line(self, rokt: RoktAudiences) -> None:
        found = packs(
            rokt, said("include", ADA), said("exclude", BOB), said("include", ADA, list_name="other")
        )

        assert [(pack.size, pack.is_full, pack.left_out) for pack in found] == [(2, False, 0), (1, False, 0)]

    def test_what_does_not_fit_waits_for_the_next_batch_of_its_list(self) -> None:
        with to("http://127.0.0.1:9", count=2) as destination:
            found = packs(destination, *(said("include", f"u{n}@example.com") for n in range(5)))

        assert found == [Pack(2, is_full=True, left_out=3)]

    def test_ten_thousand_people_are_a_full_batch(self) -> None:
        hundred = [hashed(str(number)) for number in range(100)]
        with to("http://127.0.0.1:9", count=1_000) as destination:
            found = packs(destination, *([said("include", *hundred)] * 150))

        assert found == [Pack(100, is_full=True, left_out=50)]

    def test_a_batch_is_as_old_as_is_set(self) -> None:
        with to("http://127.0.0.1:9", count=7, age=timedelta(minutes=10)) as destination:
            its = destination.batch

        assert (its.messages, its.age, its.merges) == (7, timedelta(minutes=10), True)

    def test_a_refused_batch_goes_in_halves(self, rokt: RoktAudiences) -> None:
        messages = [said("include", f"u{n}@example.com", progress={"at_most": 2}) for n in range(2)]
        others = [said("include", f"v{n}@example.com", progress={"at_most": 3}) for n in range(3)]

        assert packs(rokt, *messages, *others) == [Pack(2, is_full=True, left_out=3)]

    def test_what_goes_alone_is_not_taken_along(self, rokt: RoktAudiences) -> None:
        found = packs(rokt, said("include", ADA), said("include", BOB, progress={"at_most": 1}))

        assert found == [Pack(1, is_full=True, left_out=1)]


def refusing(*bad: str, status: int = 400) -> Callable[[dict[str, Any]], bytes]:
    """Refuses every call with one of these in it."""

    def answer(body: dict[str, Any]) -> bytes:
        its = {*body.get("emails", ()), *body.get("sha256s", ())}
        if its & set(bad):
            told = json.dumps({"message": f"{sorted(its)[0]} is not valid"}).encode()
            return http(status, told)
        return http(201)

    return answer


class TestRefusals:
    @pytest.mark.parametrize("status", [400, 413, 422])
    def test_one_bad_message_is_found_and_the_others_are_taken(self, status: int) -> None:
        messages = [said("include", f"u{n}@example.com") for n in range(10)]
        with answering(refusing("u6@example.com", status=status)) as server, to(server.url) as destination:
            ended = drain(destination, *messages)

        dead = [number for number, one in enumerate(messages) if isinstance(ended[one.id], Rejected)]
        assert dead == [6]
        assert {type(one) for one in ended.values()} == {Delivered, Rejected}
        assert len(server.received) < 12

    def test_one_bad_address_in_a_message_is_found_and_the_others_are_taken(self) -> None:
        message = said("include", *(f"u{n}@example.com" for n in range(100)))
        with answering(refusing("u41@example.com")) as server, to(server.url) as destination:
            [outcome] = drain(destination, message).values()

        assert isinstance(outcome, Rejected)
        assert "1 of its 100 addresses (number 42), the others were taken" in outcome.reason
        taken = {
            one
            for body in bodies(server.received)
            if "u41@example.com" not in body["emails"]
            for one in body["emails"]
        }
        assert len(taken) == 99

    def test_where_everything_is_refused_a_message_ends_soon(self) -> None:
        people = [f"u{n}@example.com" for n in range(100)]
        with answering(refusing(*people)) as server, to(server.url) as destination:
            [outcome] = drain(destination, said("include", *people)).values()

        assert isinstance(outcome, Rejected)
        assert outcome.reason.endswith("none of its 100 addresses was taken")
        assert len(server.received) < 12

    def test_the_bad_one_may_be_of_one_action_alone(self) -> None:
        messages = [said("include", ADA), said("exclude", BOB), said("include", EVE)]
        with answering(refusing(BOB)) as server, to(server.url) as destination:
            outcomes = send(destination, *messages)
            ended = drain(destination, *(after(*one) for one in zip(messages, outcomes, strict=True)))

        assert len(server.received) > 2
        assert [type(ended[one.id]) for one in messages] == [Delivered, Rejected, Delivered]

    @pytest.mark.parametrize("status", [401, 403, 404, 405])
    def test_a_fault_of_the_settings_keeps_the_backlog(self, status: int) -> None:
        with answering(lambda body: http(status)) as server, to(server.url) as destination:
            outcomes = send(destination, said("include", ADA), said("exclude", BOB))

        assert [getattr(one, "refused_account", None) for one in outcomes] == ["", ""]
        assert len(server.received) == 1, "the other call would be refused as well"

    def test_nobody_is_named_in_what_is_kept(self) -> None:
        def echo(body: dict[str, Any]) -> bytes:
            words = f"{body} Basic cnB1Yi0wMTIzOnJzZWMtdmVyeS1zZWNyZXQ= {SECRET}"
            return http(400, json.dumps({"message": words, "errors": [{"message": words}]}).encode())

        for people in ((ADA, BOB), (hashed(ADA), hashed(BOB).upper()), (ADA,), ("mary.o'brien@example.com",)):
            message = said("include", *people)
            with answering(echo) as server, to(server.url) as destination:
                told = repr(drain(destination, message))

            assert "answered 400" in told
            for personal in (ADA, BOB, hashed(ADA), hashed(BOB), "mary", SECRET, "cnB1Yi0"):
                assert personal not in told
                assert personal.upper() not in told

    def test_half_of_a_hash_is_not_kept_either(self) -> None:
        for start in range(70):
            words = "x" * start + " " + " ".join(hashed(str(number)) for number in range(1_000))
            with (
                answering(lambda body, words=words: http(400, words.encode())) as server,
                to(server.url) as rokt,
            ):
                [outcome] = send(rokt, said("include", ADA))

            assert isinstance(outcome, Rejected)
            assert not re.search("[0-9a-f]{8}", outcome.answer)

    def test_an_endless_word_is_no_endless_work(self) -> None:
        with answering(lambda body: http(400, b"x" * 60_000)) as server, to(server.url) as destination:
            [outcome] = send(destination, said("include", ADA))

        assert isinstance(outcome, Rejected)
        assert outcome.answer == ""

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            (b'{"message": "no such list"}', "answered 400: no such list"),
            (
                b'{"data": {"code": "ValidationError", "message": "bad"}}',
                "answered 400: ValidationError: bad",
            ),
            (b'{"errors": [{"message": "bad"}]}', "answered 400: bad"),
            (b'{"errors": ["bad"]}', "answered 400: bad"),
            (b'{"data": [1], "errors": [7]}', "answered 400"),
            (b"<html>", "answered 400"),
            (b"[]", "answered 400"),
        ],
    )
    def test_its_words_are_the_reason(self, body: bytes, words: str) -> None:
        with answering(lambda _: http(400, body)) as server, to(server.url) as destination:
            [outcome] = send(destination, said("include", ADA))

        assert isinstance(outcome, Rejected)
        assert outcome.reason == words


class TestTrouble:
    def test_a_call_that_fails_keeps_back_those_after_it(self) -> None:
        with answering(lambda body: http(503)) as server, to(server.url) as destination:
            first, second = send(destination, said("include", ADA), said("exclude", BOB))

        assert len(server.received) == 1
        assert isinstance(first, Retry)
        assert isinstance(second, Retry)
        assert (first.status, first.is_trouble, second.status, second.is_trouble) == (503, True, None, True)

    def test_what_came_through_behind_what_did_not_goes_again(self) -> None:
        """Else the one that waits would count as overtaken, though it is about somebody else."""
        includes_fail = lambda body: http(503 if body["action"] == "include" else 201)  # noqa: E731
        with answering(includes_fail) as server, to(server.url) as destination:
            outcomes = send(destination, said("exclude", ADA), said("include", BOB), said("exclude", EVE))

        assert isinstance(outcomes[0], Delivered)
        assert outcomes[0].progress is None
        assert isinstance(outcomes[1], Retry)
        assert isinstance(outcomes[2], Delivered)
        assert outcomes[2].progress == {}, "it goes on"

    def test_what_need_not_leave_waits_for_what_stands_before_it(self) -> None:
        with answering(lambda body: http(503)) as server, to(server.url) as destination:
            outcomes = send(destination, said("include", BOB), said("exclude", ADA), said("include", ADA))

        assert [type(one) for one in outcomes] == [Retry, Divided, Retry]
        assert outcomes[1] == Divided(BEHIND)

    def test_an_unknown_outcome_is_repeated_and_the_rest_is_kept_back(self) -> None:
        def script(line: Line) -> None:
            line.request()
            line.close()

        with scripted_server(script) as server, to(server.url) as destination:
            first, second = send(destination, said("include", ADA), said("exclude", BOB))

        assert isinstance(first, Uncertain)
        assert isinstance(second, Retry)
        assert second.is_trouble

    def test_who_is_asked_to_wait_waits(self) -> None:
        with answering(lambda body: http(429, Retry_After="7")) as server, to(server.url) as destination:
            outcomes = send(destination, said("include", ADA), said("exclude", BOB))

        assert [getattr(one, "wait", None) for one in outcomes] == [7.0, 7.0]
        assert len(server.received) == 1


class TestCheck:
    def test_the_account_is_asked_about_with_the_key(self, sandbox: SandboxUnderTest) -> None:
        with to(sandbox.url) as destination:
            assert destination.check() == {"": "the key is taken"}

        [call] = sandbox.calls("/v3/auth-check")
        assert call["body"] == {"accountId": ACCOUNT}

    @pytest.mark.parametrize(
        ("status", "kind"), [(401, CredentialRefused), (400, CredentialRefused), (404, NotBegun)]
    )
    def test_any_other_answer_is_trouble(self, status: int, kind: type[Exception]) -> None:
        with answering(lambda body: http(status)) as server, to(server.url) as destination:
            found = destination.check()[""]

        assert isinstance(found, kind)
        assert str(status) in str(found)


class TestSettings:
    VARIABLES = (("ROKT_ACCOUNT_ID", ACCOUNT), ("ROKT_API_KEY", KEY), ("ROKT_API_SECRET", SECRET))

    def test_with_an_account_and_a_pair_of_keys_it_is_on(self) -> None:
        settings = Settings.from_env(dict(self.VARIABLES))

        assert settings.rokt_api is not None
        assert settings.rokt_api.audience_url == "https://data.rokt.com"
        assert settings.rates["rokt_audiences"] == Rate()

    def test_an_app_of_the_older_kind_does_not_do(self) -> None:
        variables = {"ROKT_ACCOUNT_ID": ACCOUNT, "ROKT_APP_ID": "app", "ROKT_APP_SECRET": SECRET}

        assert "rokt_audiences" not in Settings.from_env(variables).rates

    def test_its_address_may_be_another(self) -> None:
        settings = Settings.from_env(
            {**dict(self.VARIABLES), "ROKT_AUDIENCE_URL": "https://data.example.com/"}
        )

        assert settings.rokt_api is not None
        assert settings.rokt_api.audience_url == "https://data.example.com"

    @pytest.mark.parametrize("url", ["data.rokt.com", "http://data.rokt.com", "https://key@data.rokt.com"])
    def test_an_address_that_is_none_is_a_fault(self, url: str) -> None:
        with pytest.raises(SettingsInvalid, match="ROKT_AUDIENCE_URL"):
            Settings.from_env({**dict(self.VARIABLES), "ROKT_AUDIENCE_URL": url})
