"""OAuth tokens: fetched rarely, shared by threads, renewed in time, thrown away on a 401."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from servers import Line, ScriptedServer, http, scripted_server

from bridge.errors import CredentialRefused, InvalidValue, NotBegun, SlotMissed, UpstreamTrouble
from bridge.upstream import OAuth2ClientCredentials, Upstream

PLAIN = "s3cret"


@dataclass
class Platform:
    """A token endpoint and an API on one port. `good`: the tokens that the API takes, all that were given."""

    life: Any = 300
    answers: list[bytes] = field(default_factory=list)
    """Answers of the token endpoint that come before its own."""
    tokens: int = 0
    good: set[str] = field(default_factory=set)
    gate: threading.Event = field(default_factory=threading.Event)
    server: ScriptedServer = field(default_factory=lambda: ScriptedServer(0))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def script(self, line: Line) -> None:
        while (request := line.request()) is not None:
            if request.target != "/oauth2/token":
                token = request.headers.get("authorization", "").removeprefix("Bearer ")
                line.send(http(202 if token in self.good else 401))
                continue
            with self.lock:
                early = self.answers.pop(0) if self.answers else None
            self.gate.wait(20)
            line.send(early or self.token_answer())

    def token_answer(self) -> bytes:
        with self.lock:
            self.tokens += 1
            token = f"token-{self.tokens}"
            self.good.add(token)
        life = {} if self.life is None else {"expires_in": self.life}
        return http(200, json.dumps({"access_token": token, "token_type": "Bearer", **life}).encode())

    def sent_basic(self) -> list[str]:
        """What stood in the Basic headers of the token calls, decoded."""
        headers = [
            one.headers["authorization"] for one in self.server.received if one.target == "/oauth2/token"
        ]
        return [base64.b64decode(header.removeprefix("Basic ")).decode() for header in headers]

    def used_tokens(self) -> list[str]:
        return [one.headers["authorization"] for one in self.server.received if one.target != "/oauth2/token"]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@contextmanager
def platform_with(
    clock: Clock, secret: str = PLAIN, call_seconds: float = 10.0, client_id: str = "id", **options: Any
) -> Iterator[tuple[Platform, Upstream]]:
    platform = Platform(**options)
    platform.gate.set()
    with scripted_server(platform.script) as platform.server:
        url = platform.server.url
        auth = OAuth2ClientCredentials(f"{url}/oauth2/token", client_id, secret, allow_http=True, clock=clock)
        upstream = Upstream(url, auth, allow_http=True, call_seconds=call_seconds)
        try:
            yield platform, upstream
        finally:
            platform.gate.set()
            upstream.close()


def send(upstream: Upstream) -> int:
    return upstream.send("POST", "/v1/thing", {}).status


class TestOneToken:
    def test_a_token_is_asked_for_as_rokt_wants_it_and_sent_as_bearer(self, clock: Clock) -> None:
        with platform_with(clock) as (platform, upstream):
            assert send(upstream) == 202

        asked, sent = platform.server.received
        assert asked.body == b"grant_type=client_credentials"
        assert asked.headers["content-type"].startswith("application/x-www-form-urlencoded")
        assert asked.headers["accept"] == "application/json"
        assert platform.sent_basic() == [f"id:{PLAIN}"]
        assert sent.headers["authorization"] == "Bearer token-1"

    @pytest.mark.parametrize(("life", "most"), [(30, 134), (300, 14), (3600, 2)])
    def test_an_hour_of_calls_costs_few_tokens(self, clock: Clock, life: int, most: int) -> None:
        with platform_with(clock, life=life) as (platform, upstream):
            for _ in range(720):
                assert send(upstream) == 202
                clock.now += 5

        assert 3600 / life <= platform.tokens <= most

    @pytest.mark.parametrize(
        ("life", "before", "after"), [(30, 26.9, 27.1), (300, 269, 271), (3600, 3539, 3541)]
    )
    def test_a_token_is_renewed_shortly_before_its_end(
        self, clock: Clock, life: int, before: float, after: float
    ) -> None:
        with platform_with(clock, life=life) as (platform, upstream):
            send(upstream)
            clock.now = 1000 + before
            send(upstream)
            assert platform.tokens == 1

            clock.now = 1000 + after
            send(upstream)
            assert platform.tokens == 2

    @pytest.mark.parametrize("life", ["300", None, 0, -5])
    def test_a_life_as_text_or_missing_is_five_minutes(self, clock: Clock, life: Any) -> None:
        with platform_with(clock, life=life) as (platform, upstream):
            assert upstream.check() == "token for 300 s"
            clock.now += 269
            send(upstream)

        assert platform.tokens == 1

    def test_threads_that_start_together_share_one_token(self, clock: Clock) -> None:
        with platform_with(clock) as (platform, upstream), ThreadPoolExecutor(32) as threads:
            platform.gate.clear()
            calls = [threads.submit(send, upstream) for _ in range(64)]
            wait_until(lambda: len(platform.server.received) == 1)
            platform.gate.set()

            assert {call.result() for call in calls} == {202}

        assert platform.tokens == 1

    def test_the_others_use_the_old_token_while_one_thread_renews_it(self, clock: Clock) -> None:
        with platform_with(clock) as (platform, upstream), ThreadPoolExecutor(1) as threads:
            send(upstream)
            clock.now += 280
            platform.gate.clear()
            renewing = threads.submit(send, upstream)
            wait_until(lambda: len(platform.server.received) == 3)

            assert [send(upstream) for _ in range(5)] == [202] * 5
            assert not renewing.done()
            platform.gate.set()
            assert renewing.result() == 202

        assert platform.used_tokens() == ["Bearer token-1"] * 6 + ["Bearer token-2"]

    def test_the_others_wait_when_the_old_token_has_ended(self, clock: Clock) -> None:
        with platform_with(clock) as (platform, upstream), ThreadPoolExecutor(8) as threads:
            send(upstream)
            clock.now += 301
            platform.gate.clear()
            calls = [threads.submit(send, upstream) for _ in range(8)]
            wait_until(lambda: len(platform.server.received) == 3)
            platform.gate.set()
            assert {call.result() for call in calls} == {202}

        assert set(platform.used_tokens()[1:]) == {"Bearer token-2"}
        assert platform.tokens == 2

    def test_a_renewal_that_fails_leaves_the_old_token_in_use_and_is_not_tried_at_each_call(
        self, clock: Clock
    ) -> None:
        with platform_with(clock) as (platform, upstream):
            send(upstream)
            clock.now += 275
            platform.answers[:] = [http(503)] * 100
            assert [send(upstream) for _ in range(10)] == [202] * 10
            assert len(platform.answers) == 99

            platform.answers.clear()
            clock.now += 13
            send(upstream)

        assert platform.tokens == 2

    def test_a_renewal_that_hangs_costs_half_of_the_time_of_one_call(self, clock: Clock) -> None:
        with platform_with(clock, call_seconds=1.0) as (platform, upstream):
            send(upstream)
            clock.now += 275
            platform.gate.clear()

            assert send(upstream) == 202

        assert platform.used_tokens() == ["Bearer token-1"] * 2

    def test_proxies_and_passwords_of_the_environment_are_not_used(
        self, clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login other password wrong\n")
        monkeypatch.setenv("NETRC", str(netrc))
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)

        with platform_with(clock) as (platform, upstream):
            assert send(upstream) == 202

        assert platform.sent_basic() == [f"id:{PLAIN}"]


class TestATurn:
    def test_it_comes_when_the_token_is_at_hand_and_before_the_call(self, clock: Clock) -> None:
        with platform_with(clock) as (platform, upstream):
            before: list[list[str]] = []
            upstream.send(
                "POST",
                "/v1/x",
                {},
                turn=lambda: before.append([one.target for one in platform.server.received]),
            )

        assert before == [["/oauth2/token"]]

    def test_what_it_raises_comes_out_and_nothing_is_sent(self, clock: Clock) -> None:
        def miss() -> None:
            raise SlotMissed("too late")

        with platform_with(clock) as (platform, upstream):
            with pytest.raises(SlotMissed):
                upstream.send("POST", "/v1/x", {}, turn=miss)
            assert send(upstream) == 202

        assert len(platform.used_tokens()) == 1

    def test_the_time_until_it_comes_is_not_part_of_the_calls(
        self, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        passed, monotonic = [0.0], time.monotonic
        monkeypatch.setattr(time, "monotonic", lambda: monotonic() + passed[0])

        with platform_with(clock) as (_, upstream):
            answer = upstream.send("POST", "/v1/x", {}, turn=lambda: passed.append(passed.pop() + 5))

        assert answer.ms < 5000

    def test_a_call_that_is_sent_once_more_takes_two(self, clock: Clock) -> None:
        turns: list[None] = []
        with platform_with(clock) as (platform, upstream):
            send(upstream)
            platform.good.clear()

            upstream.send("POST", "/v1/x", {}, turn=lambda: turns.append(None))

        assert len(turns) == 2


class TestA401:
    def test_costs_one_fresh_token_and_the_call_is_sent_once_more(self, clock: Clock) -> None:
        with platform_with(clock) as (platform, upstream):
            send(upstream)
            platform.good.clear()

            assert send(upstream) == 202

        assert platform.used_tokens() == ["Bearer token-1", "Bearer token-1", "Bearer token-2"]

    def test_a_second_one_is_the_answer(self, clock: Clock) -> None:
        with platform_with(clock) as (platform, upstream):
            platform.good = NeverGood()

            assert send(upstream) == 401

        assert len(platform.used_tokens()) == 2
        assert platform.tokens == 2

    def test_late_ones_do_not_cost_a_token_each(self, clock: Clock) -> None:
        with platform_with(clock) as (platform, upstream):
            auth = upstream._auth
            assert auth is not None
            old = auth.authorization(time.monotonic() + 5)

            for _ in range(5):
                auth.refused(old)
                auth.authorization(time.monotonic() + 5)

        assert platform.tokens == 2

    def test_threads_whose_token_was_revoked_share_the_next(self, clock: Clock) -> None:
        with platform_with(clock) as (platform, upstream), ThreadPoolExecutor(16) as threads:
            send(upstream)
            platform.good.clear()

            assert {call.result() for call in [threads.submit(send, upstream) for _ in range(64)]} == {202}

        assert platform.tokens == 2


class TestRefusals:
    @pytest.mark.parametrize("status", [400, 401, 403])
    def test_a_refused_credential_names_the_code_and_no_secret(self, clock: Clock, status: int) -> None:
        body = b'{"error": "invalid_client", "error_description": "s3cret is wrong"}'
        with (
            platform_with(clock, answers=[http(status, body)]) as (_, upstream),
            pytest.raises(CredentialRefused) as caught,
        ):
            send(upstream)

        assert f"{status} invalid_client" in str(caught.value)
        assert PLAIN not in str(caught.value)

    @pytest.mark.parametrize(
        "answer",
        [
            http(200, b'{"error": "invalid_client"}'),
            http(401, b"<html>s3cret</html>"),
            http(400, b'{"error": "s3cret1"}'),
            http(400, b'{"error": {"a": 1}}'),
            http(400, b"[]"),
        ],
    )
    def test_a_credential_is_refused_in_other_words(self, clock: Clock, answer: bytes) -> None:
        with (
            platform_with(clock, answers=[answer]) as (_, upstream),
            pytest.raises(CredentialRefused) as caught,
        ):
            send(upstream)

        assert PLAIN not in str(caught.value)

    @pytest.mark.parametrize(
        ("answer", "wait"),
        [
            (http(429, Retry_After="7"), 7.0),
            (
                http(503, Retry_After="Sat, 21 Nov 2026 20:00:30 GMT", Date="Sat, 21 Nov 2026 20:00:00 GMT"),
                30.0,
            ),
            (http(500, b"<html>"), None),
            (http(404), None),
            (http(302, Location="/oauth2/token"), None),
        ],
    )
    def test_an_endpoint_in_trouble_means_that_the_call_never_began(
        self, clock: Clock, answer: bytes, wait: float | None
    ) -> None:
        with (
            platform_with(clock, answers=[answer]) as (platform, upstream),
            pytest.raises(NotBegun) as caught,
        ):
            send(upstream)

        assert getattr(caught.value, "wait", None) == wait
        assert len(platform.server.received) == 1

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"<html>",
            b"[]",
            b'"token"',
            b"{}",
            b'{"access_token": null}',
            b'{"access_token": ""}',
            b'{"access_token": 7}',
            b'{"access_token": "a\\r\\nX-Evil: 1"}',
            b'{"access_token": "\\u20ac"}',
            b'{"access_token": "a", "expires_in": "soon"}',
            b'{"access_token": "a", "expires_in": [1]}',
            b'{"access_token": "a", "expires_in": 1e999}',
        ],
    )
    def test_an_answer_without_a_token_means_that_the_call_never_began(
        self, clock: Clock, body: bytes
    ) -> None:
        with platform_with(clock, answers=[http(200, body)]) as (platform, upstream), pytest.raises(NotBegun):
            send(upstream)

        assert len(platform.server.received) == 1

    def test_an_endpoint_without_end_is_not_read_without_end(self, clock: Clock) -> None:
        endless = http(200, b"x" * 3_000_000)
        with (
            platform_with(clock, answers=[endless]) as (_, upstream),
            pytest.raises(NotBegun, match="not HTTP"),
        ):
            send(upstream)

    def test_a_token_that_never_comes_leaves_by_the_deadline_as_never_begun(self, clock: Clock) -> None:
        with platform_with(clock, call_seconds=0.6) as (platform, upstream), ThreadPoolExecutor(8) as threads:
            platform.gate.clear()
            begun_at = time.monotonic()
            calls = [threads.submit(send, upstream) for _ in range(8)]
            troubles = [call.exception() for call in calls]
            took = time.monotonic() - begun_at
            platform.gate.set()

        assert {type(trouble) for trouble in troubles} == {NotBegun}
        assert took < 4

    def test_those_who_wait_share_a_refusal(self, clock: Clock) -> None:
        with platform_with(clock, answers=[http(401)] * 50) as (platform, upstream):
            platform.gate.clear()
            with ThreadPoolExecutor(8) as threads:
                calls = [threads.submit(send, upstream) for _ in range(8)]
                wait_until(lambda: len(platform.server.received) == 1)
                wait_until(lambda: waiting_for_the_flight(upstream) >= 7)
                platform.gate.set()
                troubles = [call.exception() for call in calls]

        assert {type(trouble) for trouble in troubles} == {CredentialRefused}
        assert len(platform.server.received) == 1

    def test_after_a_refusal_the_next_call_asks_again(self, clock: Clock) -> None:
        with platform_with(clock, answers=[http(401)]) as (_, upstream):
            with pytest.raises(UpstreamTrouble):
                send(upstream)

            assert send(upstream) == 202


class TestTheFormOfTheCredential:
    SECRET = "a+b/c=d:e&f %"
    ENCODED = "a%2Bb%2Fc%3Dd%3Ae%26f+%25"

    def test_it_is_sent_as_it_is_where_that_is_taken(self, clock: Clock) -> None:
        with platform_with(clock, self.SECRET) as (platform, upstream):
            send(upstream)

        assert platform.sent_basic() == [f"id:{self.SECRET}"]

    def test_it_is_sent_form_encoded_where_the_plain_form_is_refused_and_that_is_remembered(
        self, clock: Clock
    ) -> None:
        answers = [http(401, b'{"error": "invalid_client"}')]
        with platform_with(clock, self.SECRET, answers=answers) as (platform, upstream):
            assert send(upstream) == 202
            clock.now += 300
            assert send(upstream) == 202

        encoded = f"id:{self.ENCODED}"
        assert platform.sent_basic() == [f"id:{self.SECRET}", encoded, encoded]

    def test_both_refused_is_a_refusal(self, clock: Clock) -> None:
        with (
            platform_with(clock, self.SECRET, answers=[http(401)] * 2) as (platform, upstream),
            pytest.raises(CredentialRefused),
        ):
            send(upstream)

        assert len(platform.sent_basic()) == 2

    def test_an_id_with_a_colon_goes_form_encoded(self, clock: Clock) -> None:
        with platform_with(clock, PLAIN, client_id="a:b") as (platform, upstream):
            send(upstream)

        assert platform.sent_basic() == [f"a%3Ab:{PLAIN}"]

    @pytest.mark.parametrize(
        ("client_id", "secret"), [("", "s"), ("id", ""), ("id", "s\n"), ("id", "sécret")]
    )
    def test_one_that_is_no_credential_is_refused_at_once(self, client_id: str, secret: str) -> None:
        with pytest.raises(InvalidValue) as caught:
            OAuth2ClientCredentials("https://api.example.com/oauth2/token", client_id, secret)

        assert "sécret" not in str(caught.value)

    def test_the_token_is_asked_for_over_https_alone(self) -> None:
        with pytest.raises(InvalidValue):
            OAuth2ClientCredentials("http://api.example.com/oauth2/token", "id", "s")

    def test_nothing_shows_the_secret_or_the_token(self, clock: Clock) -> None:
        with platform_with(clock) as (_, upstream):
            send(upstream)
            shown = repr(upstream) + repr(upstream._auth) + repr(vars(upstream._auth)["_token"])

        assert PLAIN not in shown
        assert "token-1" not in shown


class NeverGood(set[str]):
    def add(self, token: str) -> None:
        pass


def wait_until(claim: Any, seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.002)


def waiting_for_the_flight(upstream: Upstream) -> int:
    flight = vars(upstream._auth)["_flight"]
    return len(flight._condition._waiters) if flight else 0
