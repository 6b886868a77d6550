"""Rokt's older API as a destination in front of the sandbox: what leaves in which version, and what comes of it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from factories import a_call
from servers import Line, SandboxUnderTest, http, running_sandbox, scripted_server

from bridge.conversions.api_form import ApiEvent
from bridge.destinations.batch import Pack
from bridge.destinations.rokt_api import RoktApi
from bridge.errors import CredentialRefused, NotBegun
from bridge.message import Delivered, Divided, Message, Outcome, Rejected, Retry
from bridge.sandbox.rokt_api import HOST
from bridge.settings import BatchSettings, Credential, RoktApiSettings, Secret
from bridge.turns import at_once

SECOND = timedelta(seconds=1)
PAIR = Credential("rpub-1", Secret("rsec-1"))
EMAIL = [("email", "ada@example.com")]
Build = Callable[..., RoktApi]


@pytest.fixture
def sandbox() -> Iterator[SandboxUnderTest]:
    with running_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def build(sandbox: SandboxUnderTest) -> Iterator[Build]:
    made: list[RoktApi] = []

    def build(version: str = "V2", url: str = "", **batch: Any) -> RoktApi:
        settings = RoktApiSettings(url or sandbox.url + HOST, "1234", PAIR, PAIR, "https://data.rokt.com")
        flush = BatchSettings(**{"age": SECOND, **batch})
        made.append(RoktApi(settings, version, PAIR, flush, allow_http=True))
        return made[-1]

    yield build
    for one in made:
        one.close()


def message(its_id: str, data: Sequence[tuple[str, str]] = EMAIL, **fields: Any) -> Message:
    event = ApiEvent(its_id, "conversion", datetime.now(UTC) - timedelta(days=1), data)
    return a_call(its_id, request={"event": event.body()}, action="event", account_code="", **fields).message


def send(api: RoktApi, messages: Sequence[Message]) -> list[Outcome]:
    return api.deliver(messages, [None] * len(messages), at_once)


def packs(api: RoktApi, messages: Sequence[Message]) -> list[Pack]:
    return api.pack(messages, [None] * len(messages))


class TestWhatLeaves:
    @pytest.mark.parametrize(("version", "scheme"), [("V2", "Basic …"), ("V1", "Bearer …")])
    def test_one_call_carries_many_events(
        self, build: Build, sandbox: SandboxUnderTest, version: str, scheme: str
    ) -> None:
        some = [message("e-1", request_id="r-1"), message("e-2", request_id="r-2")]

        found = send(build(version), some)

        assert [type(one) for one in found] == [Delivered, Delivered]
        [call] = sandbox.calls(f"{HOST}/{version.lower()}/events")
        assert call["body"] == {"accountId": "1234", "events": [one.request["event"] for one in some]}
        headers = call["headers"]
        assert (headers["rokt-version"], headers["charset"]) == ("2020-05-21", "utf-8")
        assert (headers["x-request-id"], headers["authorization"]) == ("r-1", scheme)
        assert headers["content-type"] == "application/json"
        assert sandbox.sandbox.api.shown() == call["body"]["events"]

    def test_version_2_shows_its_pair_of_keys(self, build: Build) -> None:
        with scripted_server(lambda line: (line.request(), line.send(http(200)))) as server:
            send(build(url=server.url), [message("e-1")])

        [received] = server.received
        assert received.target == "/v2/events"
        assert received.headers["authorization"] == "Basic " + base64.b64encode(b"rpub-1:rsec-1").decode()

    @pytest.mark.parametrize("spelling", ["access_token", "Access_token"])
    def test_version_1_asks_for_a_token_once_in_either_spelling(self, build: Build, spelling: str) -> None:
        token = http(200, json.dumps({spelling: "t0ken", "expires_in": 3600}).encode())

        def script(line: Line) -> None:
            while (received := line.request()) is not None:
                line.send(token if received.target == "/auth/oauth2/token" else http(200))

        with scripted_server(script) as server:
            api = build("V1", url=server.url)
            found = [*send(api, [message("e-1")]), *send(api, [message("e-2")])]

        assert [type(one) for one in found] == [Delivered, Delivered]
        asked, *sent = server.received
        assert (asked.target, asked.body) == ("/auth/oauth2/token", b"grant_type=client_credentials")
        assert asked.headers["authorization"] == "Basic " + base64.b64encode(b"rpub-1:rsec-1").decode()
        assert [(one.target, one.headers["authorization"]) for one in sent] == [
            ("/v1/events", "Bearer t0ken")
        ] * 2

    def test_a_token_that_ended_is_fetched_anew(self, build: Build, sandbox: SandboxUnderTest) -> None:
        api = build("V1")
        send(api, [message("e-1")])
        sandbox.sandbox.api.tokens.revoke()

        [found] = send(api, [message("e-2")])

        assert isinstance(found, Delivered)
        assert len(sandbox.calls(f"{HOST}/auth/oauth2/token")) == 2

    def test_what_may_have_arrived_is_sent_again_under_its_id_and_is_one_event(
        self, build: Build, sandbox: SandboxUnderTest
    ) -> None:
        api, one = build(), message("e-1")
        sandbox.fault(path=HOST, times=1, drop="after")

        send(api, [one])
        [found] = send(api, [one])

        assert isinstance(found, Delivered)
        assert len(sandbox.calls(HOST)) == 2
        assert sandbox.sandbox.api.shown() == [one.request["event"]]


class TestWhatBecomesOfIt:
    def test_only_the_event_that_rokt_names_is_dead(self, build: Build, sandbox: SandboxUnderTest) -> None:
        found = send(build(), [message("good"), message("bad", [("amount", "1")]), message("fine")])

        assert [type(one) for one in found] == [Delivered, Rejected, Delivered]
        assert isinstance(found[1], Rejected)
        assert "ValidationError: a conversion has one of email" in found[1].reason
        assert [event["clientEventId"] for event in sandbox.sandbox.api.shown()] == ["good", "fine"]

    def test_a_hundred_bad_ones_are_told_one_by_one(self, build: Build) -> None:
        """The answer repeats them all, and is longer than most."""
        found = send(build(), [message(f"e-{n}", [("note", "x" * 5_000)]) for n in range(100)])

        assert {type(one) for one in found} == {Rejected}

    def test_one_that_is_too_old_is_found_by_halves_and_the_others_arrive(
        self, build: Build, sandbox: SandboxUnderTest
    ) -> None:
        api = build()
        waiting = [message(f"e-{n}") for n in range(20)]
        waiting[13].request["event"]["eventTime"] = "2020-01-01T00:00:00Z"
        ended: dict[str, Outcome] = {}

        while waiting:
            size = packs(api, waiting)[0].size
            call, waiting = waiting[:size], waiting[size:]
            for one, outcome in zip(call, send(api, call), strict=True):
                if isinstance(outcome, Divided):
                    progress = outcome.progress or {}
                    waiting.append(a_call(one.id, request=one.request, progress=progress).message)
                else:
                    ended[one.request["event"]["clientEventId"]] = outcome

        assert len(ended) == 20
        assert [its_id for its_id, one in ended.items() if not isinstance(one, Delivered)] == ["e-13"]
        assert isinstance(ended["e-13"], Rejected)
        assert "18 months" in ended["e-13"].reason

    def test_the_secret_stays_out_of_what_rokt_repeats(self, build: Build) -> None:
        words = {"data": {"code": "Forbidden", "message": "rsec-1 of rpub-1 is not known"}}
        with scripted_server(
            lambda line: (line.request(), line.send(http(403, json.dumps(words).encode())))
        ) as it:
            found = send(build(url=it.url), [message("e-1")])

        assert isinstance(found[0], Retry)
        assert "rsec-1" not in repr(found)
        assert "[key] of rpub-1" in found[0].reason


class TestPacks:
    def test_a_call_is_full_at_the_count_of_the_flush_rule(self, build: Build) -> None:
        some = [message(f"e-{n}") for n in range(5)]

        assert packs(build(count=2), some) == [Pack(2), Pack(2), Pack(1, is_full=False)]
        assert build(count=1000).batch.messages == 100
        assert build(count=7).batch.age == SECOND

    def test_what_was_refused_goes_in_calls_as_small_as_it_asks(self, build: Build) -> None:
        some = [message(f"e-{n}", progress={"at_most": 2}) for n in range(3)]

        assert packs(build(), some) == [Pack(2), Pack(1, is_full=False)]

    def test_an_event_that_is_sent_again_does_not_share_a_call_with_itself(self, build: Build) -> None:
        assert packs(build(), [message("e-1"), message("e-1")]) == [Pack(1), Pack(1, is_full=False)]


class TestCheck:
    @pytest.mark.parametrize("version", ["V1", "V2"])
    def test_a_call_without_events_proves_the_credential_and_sends_nothing(
        self, build: Build, sandbox: SandboxUnderTest, version: str
    ) -> None:
        assert build(version).check() == {"": "the credential is taken"}
        assert sandbox.sandbox.api.shown() == []
        *_, call = sandbox.calls(HOST)
        assert (call["body"], call["status"]) == ({"accountId": "1234", "events": []}, 400)

    @pytest.mark.parametrize("status", [401, 403])
    @pytest.mark.parametrize("version", ["V1", "V2"])
    def test_a_refused_credential_is_told(
        self, build: Build, sandbox: SandboxUnderTest, version: str, status: int
    ) -> None:
        sandbox.fault(path=f"{HOST}/{version.lower()}/events", status=status)

        assert isinstance(build(version).check()[""], CredentialRefused)

    def test_a_refused_app_is_told(self, build: Build, sandbox: SandboxUnderTest) -> None:
        sandbox.fault(path=f"{HOST}/auth", status=401)

        assert isinstance(build("V1").check()[""], CredentialRefused)

    @pytest.mark.parametrize("status", [404, 500])
    def test_any_other_answer_proves_nothing(
        self, build: Build, sandbox: SandboxUnderTest, status: int
    ) -> None:
        sandbox.fault(path=HOST, status=status)

        told = build().check()[""]

        assert isinstance(told, NotBegun)
        assert str(status) in str(told)
