"""Offers in front of the sandbox and of upstreams that misbehave: kept, asked for once, in time."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
from servers import (
    Line,
    SandboxUnderTest,
    Script,
    always,
    http,
    once,
    running_sandbox,
    scripted_server,
)

import bridge.offers
from bridge.errors import CredentialRefused, UpstreamTrouble
from bridge.offers import Offers, Reason, Told
from bridge.offers.answers import EMPTY_LIVES, FOUND_LIVES
from bridge.offers.experiences import MOST_BYTES, PATH
from bridge.offers.integration import SERVER_SIDE
from bridge.offers.request import OfferRequest
from bridge.offers.rest import RESTS_FOR
from bridge.sandbox.rokt_offers_samples import SAMPLE
from bridge.settings import OffersSettings, Secret
from bridge.upstream import Answer

TAG = "1234567890"
SHORT = 0.3  # seconds, in place of the time that an answer has
WIDE = 5.0  # seconds that nothing may take, on a busy machine


class Clock:
    """The real one, put forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sleeps() -> list[float]:
    return []


Build = Callable[..., Offers]


@pytest.fixture
def build(clock: Clock, sleeps: list[float]) -> Iterator[Build]:
    with ExitStack() as stack:

        def build(url: str, **options: Any) -> Offers:
            settings = OffersSettings(url, "pub", Secret("sec"), TAG, {})
            offers = Offers(settings, allow_http=True, clock=clock, sleep=sleeps.append, **options)
            stack.callback(offers.close)
            return offers

        yield build


@pytest.fixture
def rokt() -> Iterator[SandboxUnderTest]:
    with running_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def offers(build: Build, rokt: SandboxUnderTest) -> Offers:
    return build(rokt.url)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge.offers, "ANSWERS_WITHIN", SHORT)
    monkeypatch.setattr(bridge.offers, "PASSED_ON_WITHIN", SHORT)


def request(user_id: str = "u-1", page: str = "confirmation") -> OfferRequest:
    return OfferRequest(TAG, page, SERVER_SIDE, {"locale": "en-AU"}, user_id=user_id)


def sample(**changes: Any) -> bytes:
    return json.dumps({**SAMPLE, **changes}).encode()


def reason(told: Told) -> Reason | None:
    """And that the body says the same."""
    body = json.loads(told.body)
    assert body["found"] == (told.reason is None)
    assert body.get("reason") == told.reason
    return told.reason


def hang(line: Line) -> None:
    line.request()
    line.pause()


class TestKept:
    def test_who_asks_again_is_answered_without_rokt(self, offers: Offers, rokt: SandboxUnderTest) -> None:
        first, second = offers.ask(request()), offers.ask(request())

        assert reason(first) is None
        assert first == second
        assert len(rokt.calls(PATH)) == 1

    def test_each_user_has_an_answer_of_his_own(self, offers: Offers, rokt: SandboxUnderTest) -> None:
        first, second = offers.ask(request("u-1")), offers.ask(request("u-2"))

        sessions = {json.loads(told.body)["offers"]["sessionId"] for told in (first, second)}
        assert len(sessions) == len(rokt.calls(PATH)) == 2

    @pytest.mark.parametrize(("page", "life"), [("confirmation", FOUND_LIVES), ("empty_page", EMPTY_LIVES)])
    def test_an_answer_is_kept_for_its_time(
        self, offers: Offers, rokt: SandboxUnderTest, clock: Clock, page: str, life: float
    ) -> None:
        offers.ask(request(page=page))

        clock.ahead = life - 5
        offers.ask(request(page=page))
        before = len(rokt.calls(PATH))
        clock.ahead = life + 5
        offers.ask(request(page=page))

        assert (before, len(rokt.calls(PATH))) == (1, 2)

    def test_offers_are_kept_for_a_quarter_of_an_hour_and_none_for_a_minute(self) -> None:
        assert (FOUND_LIVES, EMPTY_LIVES) == (900, 60)

    def test_an_answer_for_nobody_in_particular_is_not_kept(
        self, offers: Offers, rokt: SandboxUnderTest
    ) -> None:
        for _ in range(2):
            offers.ask(request(user_id=""))

        assert len(rokt.calls(PATH)) == 2

    @pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 422, 429, 500, 503])
    def test_an_error_is_not_kept(
        self, offers: Offers, rokt: SandboxUnderTest, clock: Clock, status: int
    ) -> None:
        rokt.fault(path=PATH, status=status, times=2 if status >= 500 else 1)

        first = offers.ask(request())
        clock.ahead = 60.0  # a 429 is followed by a rest

        assert reason(first) in (Reason.REFUSED, Reason.UNAVAILABLE)
        assert reason(offers.ask(request())) is None

    def test_what_is_kept_is_bounded(self, build: Build, rokt: SandboxUnderTest) -> None:
        offers = build(rokt.url, cache_bytes=20_000)
        for number in range(30):
            offers.ask(request(f"u-{number}"))

        offers.ask(request("u-29"))
        offers.ask(request("u-0"))

        assert len(rokt.calls(PATH)) == 31
        assert 10_000 < offers._cache.bytes <= 20_000


class TestAtOnce:
    def test_many_who_ask_for_the_same_at_once_share_one_call(self, build: Build) -> None:
        let_go = threading.Event()

        def answer_late(line: Line) -> None:
            line.request()
            let_go.wait(WIDE)
            line.send(http(body=sample()))

        with scripted_server(answer_late) as server, ThreadPoolExecutor(20) as threads:
            offers = build(server.url)
            asked = [threads.submit(offers.ask, request()) for _ in range(20)]
            until(lambda: taken(offers) == 20)
            let_go.set()
            told = [one.result() for one in asked]

        assert [reason(one) for one in told] == [None] * 20
        assert len(server.received) == 1

    def test_nobody_shares_the_answer_for_nobody_in_particular(self, build: Build) -> None:
        let_go = threading.Event()

        def answer_late(line: Line) -> None:
            line.request()
            let_go.wait(WIDE)
            line.send(http(body=sample()))

        with scripted_server(answer_late) as server, ThreadPoolExecutor(3) as threads:
            offers = build(server.url)
            asked = [threads.submit(offers.ask, request("")) for _ in range(3)]
            until(lambda: len(server.received) == 3)
            let_go.set()

        assert [reason(one.result()) for one in asked] == [None] * 3

    @pytest.mark.usefixtures("short")
    def test_only_so_many_wait_for_rokt_and_the_rest_is_answered_at_once(self, build: Build) -> None:
        with scripted_server(hang) as server, ThreadPoolExecutor(3) as threads:
            offers = build(server.url, most_waiting=2)
            waiting = [threads.submit(offers.ask, request(f"u-{n}")) for n in range(2)]
            until(lambda: taken(offers) == 2)

            assert reason(offers.ask(request("u-3"))) == Reason.BUSY
            assert offers.pass_on({}, TAG) == Reason.BUSY
            assert [reason(one.result()) for one in waiting] == [Reason.TIMEOUT] * 2

        assert taken(offers) == 0

    @pytest.mark.usefixtures("short")
    def test_what_is_kept_is_told_however_many_wait(self, build: Build) -> None:
        scripts: list[Script] = [once(lambda line: line.send(http(body=sample(), Connection="close"))), hang]
        with scripted_server(*scripts) as server, ThreadPoolExecutor(1) as threads:
            offers = build(server.url, most_waiting=1)
            offers.ask(request("u-1"))
            waiting = threads.submit(offers.ask, request("u-2"))
            until(lambda: taken(offers) == 1)

            assert reason(offers.ask(request("u-1"))) is None
            assert reason(waiting.result()) == Reason.TIMEOUT


class TestSecondTry:
    def test_a_5xx_is_tried_once_more_after_a_second(
        self, offers: Offers, rokt: SandboxUnderTest, sleeps: list[float]
    ) -> None:
        rokt.fault(path=PATH, status=503, times=1)

        assert reason(offers.ask(request())) is None
        assert sleeps == [1.0]
        assert len(rokt.calls(PATH)) == 2

    def test_a_second_5xx_is_the_end(
        self, offers: Offers, rokt: SandboxUnderTest, sleeps: list[float]
    ) -> None:
        rokt.fault(path=PATH, status=500)

        assert reason(offers.ask(request())) == Reason.UNAVAILABLE
        assert sleeps == [1.0]
        assert len(rokt.calls(PATH)) == 2

    def test_a_5xx_that_comes_late_is_not_tried_again(
        self, offers: Offers, rokt: SandboxUnderTest, sleeps: list[float]
    ) -> None:
        rokt.fault(path=PATH, status=503, delay=0.5)

        assert reason(offers.ask(request())) == Reason.UNAVAILABLE
        assert sleeps == []
        assert len(rokt.calls(PATH)) == 1

    @pytest.mark.parametrize("status", [400, 401, 404, 429])
    def test_nothing_else_is_tried_again(
        self, offers: Offers, rokt: SandboxUnderTest, sleeps: list[float], status: int
    ) -> None:
        rokt.fault(path=PATH, status=status)

        offers.ask(request())

        assert sleeps == []
        assert len(rokt.calls(PATH)) == 1


class TestInTime:
    def test_an_answer_has_less_than_one_and_a_half_seconds(self) -> None:
        assert bridge.offers.ANSWERS_WITHIN < 1.5
        assert bridge.offers.TRIED_AGAIN_AFTER < bridge.offers.ANSWERS_WITHIN

    @pytest.mark.usefixtures("short")
    @pytest.mark.parametrize(
        "script",
        [
            hang,
            once(lambda line: line.drip(http(body=sample()), 0.05)),
            once(lambda line: line.send(http(body=sample())[:-5]), lambda line: line.pause()),
            lambda line: line.pause(),
        ],
        ids=["no answer", "a byte at a time", "the end lacks", "not even read"],
    )
    def test_whatever_rokt_does_the_answer_comes_in_time(self, build: Build, script: Script) -> None:
        with scripted_server(script) as server:
            offers = build(server.url)
            began = time.monotonic()

            told = offers.ask(request())

            took = time.monotonic() - began
        assert reason(told) == Reason.TIMEOUT
        assert SHORT <= took < SHORT + 1.0

    @pytest.mark.parametrize(
        "script",
        [
            lambda line: line.reset(),
            once(Line.reset),
            once(lambda line: line.send(http(body=sample())[:-5])),
            once(lambda line: line.send(b"nonsense\r\n\r\n")),
        ],
        ids=["reset", "reset after the request", "cut short", "no HTTP"],
    )
    def test_a_connection_that_breaks_is_no_offer(self, build: Build, script: Script) -> None:
        with scripted_server(script) as server:
            assert reason(build(server.url).ask(request())) == Reason.UNAVAILABLE

    def test_a_host_that_is_not_there_is_no_offer(self, build: Build) -> None:
        assert reason(build("http://127.0.0.1:9").ask(request())) == Reason.UNAVAILABLE

    def test_the_bridges_own_fault_is_no_offer(self, offers: Offers, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_given: object) -> Answer:
            raise RuntimeError("unforeseen")

        monkeypatch.setattr(offers._experiences, "select", fail)

        assert reason(offers.ask(request())) == reason(offers.ask(request(""))) == Reason.FAILED
        assert taken(offers) == 0


class TestRest:
    @pytest.mark.usefixtures("short")
    def test_after_five_timeouts_in_a_row_rokt_is_left_alone_for_ten_seconds(
        self, build: Build, clock: Clock
    ) -> None:
        with scripted_server(hang) as server:
            offers = build(server.url)
            reasons = [reason(offers.ask(request(f"u-{number}"))) for number in range(7)]
            calls = server.connections
            passed_on = offers.pass_on({}, TAG)
            clock.ahead = RESTS_FOR + 1
            after = reason(offers.ask(request()))

        assert reasons == [Reason.TIMEOUT] * 5 + [Reason.RESTING] * 2
        assert (calls, passed_on) == (5, Reason.RESTING)
        assert (after, server.connections) == (Reason.TIMEOUT, 6)

    @pytest.mark.usefixtures("short")
    def test_what_is_kept_is_told_while_rokt_is_left_alone(self, build: Build) -> None:
        with scripted_server(
            once(lambda line: line.send(http(body=sample(), Connection="close"))), hang
        ) as server:
            offers = build(server.url)
            offers.ask(request("kept"))
            for number in range(5):
                offers.ask(request(f"u-{number}"))

            assert reason(offers.ask(request("u-9"))) == Reason.RESTING
            assert reason(offers.ask(request("kept"))) is None

    def test_a_429_is_followed_by_the_rest_that_it_asks_for(
        self, offers: Offers, rokt: SandboxUnderTest, clock: Clock
    ) -> None:
        rokt.fault(path=PATH, retry_after=5, times=1)

        reasons = [reason(offers.ask(request())) for _ in range(2)]
        clock.ahead = 6.0

        assert reasons == [Reason.UNAVAILABLE, Reason.RESTING]
        assert reason(offers.ask(request())) is None


class TestAnswers:
    def test_rokts_answer_is_passed_on_byte_for_byte(self, build: Build) -> None:
        odd = (
            sample()[:-1]
            + b', "a": 1.10, "b": 12345678901234567890, "\\u00e9" : "\\/\\u00e9\xc3\xa9",\n "a":2}'
        )
        with scripted_server(always(http(body=odd))) as server:
            told = build(server.url).ask(request())

        assert told.body.endswith(b'"offers": ' + odd + b"}")
        assert json.loads(told.body)["offer"]["copy"] == "Nicholas Grasevski 2"

    def test_white_space_and_a_mark_around_it_go(self, build: Build) -> None:
        with scripted_server(always(http(body=b"\xef\xbb\xbf\n" + sample() + b"\n\n"))) as server:
            told = build(server.url).ask(request())

        assert told.body.endswith(sample() + b"}")

    def test_half_of_a_character_is_no_fault(self, build: Build) -> None:
        creative = {"copy": {"creative.copy": "half \ud800"}}
        plugins = [{"plugin": {"config": {"slots": [{"offer": {"creative": creative}}]}}}]
        with scripted_server(always(http(body=sample(plugins=plugins)))) as server:
            told = build(server.url).ask(request())

        assert json.loads(told.body)["offer"]["copy"] == "half ?"

    @pytest.mark.parametrize(
        "body",
        [b"", b"<html>", b"[]", b"7", sample()[:-1], b"[" * 100_000, b'{"plugins": NaN}', b"\xff{}"],
        ids=["none", "HTML", "list", "number", "cut", "deep", "NaN", "no UTF-8"],
    )
    def test_what_cannot_be_read_is_no_offer(self, build: Build, body: bytes) -> None:
        with scripted_server(always(http(body=body))) as server:
            assert reason(build(server.url).ask(request())) == Reason.UNREADABLE

    @pytest.mark.parametrize("name", ["success", "Success"])
    def test_an_answer_that_says_it_failed_is_no_offer(self, build: Build, name: str) -> None:
        answer = {k: v for k, v in SAMPLE.items() if k != "success"} | {name: False}
        with scripted_server(always(http(body=json.dumps(answer).encode()))) as server:
            assert reason(build(server.url).ask(request())) == Reason.REFUSED

    @pytest.mark.parametrize(
        ("room", "expected"), [(1_000, None), (100, Reason.TOO_LARGE), (-1, Reason.TOO_LARGE)]
    )
    def test_nothing_over_a_megabyte_is_told(self, build: Build, room: int, expected: Reason | None) -> None:
        filler = MOST_BYTES - room - len(sample(filler=""))
        with scripted_server(always(http(body=sample(filler="x" * filler)))) as server:
            told = build(server.url).ask(request())

        assert reason(told) == expected
        assert len(told.body) <= MOST_BYTES

    def test_an_answer_far_over_a_megabyte_is_not_read_to_its_end(self, build: Build) -> None:
        with scripted_server(always(http(body=b'["' + b"x" * 30 * MOST_BYTES))) as server:
            began = time.monotonic()

            assert reason(build(server.url).ask(request())) == Reason.TOO_LARGE
            assert time.monotonic() - began < WIDE

    def test_rokts_own_codes_are_told_and_not_kept(self, offers: Offers, rokt: SandboxUnderTest) -> None:
        refusal = {"errors": [{"code": "PartnerIdNotProvided", "message": "wrong"}]}
        rokt.fault(path=PATH, status=422, times=1, body=refusal)

        told = offers.ask(request())

        assert [fault.code for fault in told.faults] == ["PartnerIdNotProvided"]
        assert reason(offers.ask(request())) is None


class TestPassedOn:
    def test_rokts_answer_is_passed_on_and_not_kept(self, offers: Offers, rokt: SandboxUnderTest) -> None:
        body = request().body()

        answers = [offers.pass_on(body, TAG) for _ in range(2)]

        assert all(isinstance(answer, Answer) and answer.status == 200 for answer in answers)
        assert [call["body"] for call in rokt.calls(PATH)] == [body] * 2

    def test_a_5xx_is_passed_on_at_once(self, offers: Offers, rokt: SandboxUnderTest) -> None:
        rokt.fault(path=PATH, status=500)

        answer = offers.pass_on({}, TAG)

        assert isinstance(answer, Answer)
        assert answer.status == 500
        assert len(rokt.calls(PATH)) == 1

    def test_its_headers_are_those_that_rokt_asks_for(self, offers: Offers, rokt: SandboxUnderTest) -> None:
        offers.pass_on(request().body(), "77")

        [call] = rokt.calls(PATH)
        headers = call["headers"]
        assert (headers["rokt-pub-id"], headers["rokt-tag-id"]) == ("pub", "77")
        assert headers["content-type"] == headers["accept"] == "application/json"
        assert "authorization" not in headers

    @pytest.mark.usefixtures("short")
    def test_it_ends_in_time(self, build: Build) -> None:
        with scripted_server(hang) as server:
            began = time.monotonic()

            assert build(server.url).pass_on({}, TAG) == Reason.TIMEOUT
            assert time.monotonic() - began < SHORT + 1.0

    def test_what_is_too_large_is_not_passed_on(self, build: Build) -> None:
        with scripted_server(always(http(body=b" " * (MOST_BYTES + 1)))) as server:
            assert build(server.url).pass_on({}, TAG) == Reason.TOO_LARGE

    def test_a_redirect_is_not_passed_on(self, offers: Offers, rokt: SandboxUnderTest) -> None:
        rokt.fault(path=PATH, status=302)

        assert offers.pass_on({}, TAG) == Reason.REFUSED


class TestCheck:
    def test_a_call_without_a_page_proves_the_way_and_shows_nobody_an_offer(
        self, offers: Offers, rokt: SandboxUnderTest
    ) -> None:
        assert "neither the credential nor the tag was refused" in offers.check()

        [call] = rokt.calls(PATH)
        assert call["status"] == 422
        assert "pageIdentifier" not in call["body"]

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_credential_that_is_refused_is_trouble(
        self, offers: Offers, rokt: SandboxUnderTest, status: int
    ) -> None:
        rokt.fault(path=PATH, status=status)

        with pytest.raises(CredentialRefused, match=str(status)):
            offers.check()

    def test_a_tag_that_rokt_does_not_know_is_trouble(self, offers: Offers, rokt: SandboxUnderTest) -> None:
        rokt.fault(path=PATH, status=422, body={"errors": [{"code": "PartnerIdNotProvided"}]})

        with pytest.raises(CredentialRefused, match="ROKT_TAG_ID"):
            offers.check()

    @pytest.mark.parametrize("status", [200, 404, 500])
    def test_any_other_answer_is_trouble(self, offers: Offers, rokt: SandboxUnderTest, status: int) -> None:
        rokt.fault(path=PATH, status=status)

        with pytest.raises(UpstreamTrouble, match=str(status)):
            offers.check()


def taken(offers: Offers) -> int:
    """How many wait for Rokt."""
    return offers._places.count - offers._places.free


def until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + WIDE
    while not is_so():
        assert time.monotonic() < end, "it never came true"
        threading.Event().wait(0.002)
