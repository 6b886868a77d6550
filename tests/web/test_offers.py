"""Offers for Braze's Connected Content, and Rokt's own path, in front of a stand-in for Rokt."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from servers import Line, SandboxUnderTest, scripted_server
from web.running import NOWHERE, Answer, Bridge, Starter, check_problem

import bridge.offers
from benchmarks import processes
from benchmarks.client import Client
from bridge.offers.codes import CODES
from bridge.offers.integration import SERVER_SIDE
from bridge.offers.rest import TIMEOUTS
from bridge.sandbox.rokt_offers_samples import SAMPLE

OFFERS, DROP_IN = "/v1/offers", "/v2/partner/experiences"
SECRET = "rokt-secret-of-the-test"
ON = {"ROKT_PUB_ID": "pub-id", "ROKT_SECRET": SECRET, "ROKT_TAG_ID": "1234567890"}

# The example of Rokt's document as it prints it.
AS_PRINTED = b"""{
"attributes": {
"email": "test@rokt.com",
"locale": "en-AU"
},
"pageIdentifier": "your_page_identifier",
"integration": {
"name": "UX Helper iOS",
"version": "1.0",
"framework": "Swift",
"platform": "iOS",
"layoutSchemaVersion": "2.1.0",
"packageVersion": "1.0.0",
"packageName": "com.partner",
"operatingSystem": "iOS",
"operatingSystemVersion": "18",
"deviceType": "Phone",
"deviceModel": "iPhone",
"metadata": {
"IsCharging": "true"
}
},
}"""
WITHOUT_COMMA = AS_PRINTED.replace(b"},\n}", b"}\n}")
WHOLE = json.loads(WITHOUT_COMMA)
WHOLE["integration"]["deviceLocale"] = "en-AU"
ASKED = {"pageIdentifier": "confirmation", "user_id": "u-1", "attributes": {"email": "ada@example.com"}}


@pytest.fixture
def offering(start: Starter, rokt: SandboxUnderTest) -> Bridge:
    return start(sandbox=rokt, ROKT_OFFERS_URL=rokt.url, **ON)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge.offers, "ANSWERS_WITHIN", 0.3)
    monkeypatch.setattr(bridge.offers, "PASSED_ON_WITHIN", 0.3)


def codes(answer: Answer) -> list[str]:
    return [error["code"] for error in answer.body["errors"]]


def refused(answer: Answer, status: int = 422) -> list[str]:
    """The codes of a problem."""
    assert answer.status == status, answer.body
    assert all(set(error) == {"field", "message", "code"} for error in answer.body["errors"])
    bare = [{k: v for k, v in error.items() if k != "code"} for error in answer.body["errors"]]
    check_problem(Answer(answer.status, {**answer.body, "errors": bare}, answer.headers))
    return codes(answer)


def hang(line: Line) -> None:
    line.request()
    line.pause()


class TestConnectedContent:
    def test_the_answer_holds_rokts_own_and_its_first_offer(
        self, offering: Bridge, rokt: SandboxUnderTest
    ) -> None:
        answer = offering.post(ASKED, OFFERS)

        assert answer.status == 200
        assert set(answer.body) == {"found", "offer", "offers"}
        assert answer.body["found"] is True
        assert answer.body["offer"]["yes_label"] == "Yes"
        assert answer.body["offers"] == SAMPLE | {"sessionId": answer.body["offers"]["sessionId"]}
        [call] = rokt.calls(DROP_IN)
        assert call["body"] == {
            "pageIdentifier": "confirmation",
            "attributes": ASKED["attributes"],
            "integration": SERVER_SIDE,
        }

    def test_the_answer_is_one_users_and_no_proxys(self, offering: Bridge) -> None:
        assert offering.post(ASKED, OFFERS).headers["Cache-Control"] == "no-store"

    def test_a_get_asks_for_a_page_for_a_user_and_a_transaction(
        self, offering: Bridge, rokt: SandboxUnderTest
    ) -> None:
        for _ in range(2):
            answer = offering.call("GET", OFFERS, page="confirmation", user_id="u-1", transaction_id="t-1")
            assert (answer.status, answer.body["found"]) == (200, True)

        [call] = rokt.calls(DROP_IN)
        assert call["body"] == {
            "pageIdentifier": "confirmation",
            "attributes": {},
            "integration": SERVER_SIDE,
        }
        assert call["query"] == ""

    @pytest.mark.parametrize(
        "query",
        [
            "page=p&user_id=ada%40example.com",
            "page=p&user_id=ada@example.com",
            "page=p&user_id=u&user_id=ada@example.com",
            "page=p&email=ada",
        ],
    )
    def test_an_address_in_a_url_is_refused_and_told_to_post(
        self, offering: Bridge, rokt: SandboxUnderTest, query: str
    ) -> None:
        answer = offering.call("GET", f"{OFFERS}?{query}")

        refused(answer)
        assert answer.says("POST")
        assert not answer.says("ada@")
        assert rokt.calls() == []

    def test_so_is_one_beside_a_body(self, offering: Bridge, rokt: SandboxUnderTest) -> None:
        answer = offering.call("POST", f"{OFFERS}?email=ada%40example.com", json.dumps(ASKED).encode())

        refused(answer)
        assert answer.says("URL")
        assert not answer.says("ada@")
        assert rokt.calls() == []

    def test_what_stands_in_a_url_is_not_logged(
        self, offering: Bridge, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lines: list[bytes] = []
        monkeypatch.setattr("bridge.log._Lines.write", lambda _file, line: lines.append(line))

        offering.call("GET", OFFERS, page="page-7391", user_id="user-7391", transaction_id="order-7391")
        offering.call("GET", OFFERS, page="page-7391", email="mail-7391")
        offering.post(ASKED, OFFERS)

        told = b"".join(lines).decode()
        assert told.count("is_found") == 2
        for kept in ("7391", "ada@example.com", SECRET, "pub-id"):
            assert kept not in told

    def test_the_environments_integration_is_laid_under(self, start: Starter, rokt: SandboxUnderTest) -> None:
        bridge = start(
            sandbox=rokt, ROKT_OFFERS_URL=rokt.url, ROKT_OFFERS_INTEGRATION='{"deviceLocale": "de-DE"}', **ON
        )

        bridge.post({**ASKED, "integration": {"deviceType": "Phone"}}, OFFERS)

        [call] = rokt.calls(DROP_IN)
        laid = {"deviceLocale": "de-DE", "deviceType": "Phone"}
        assert call["body"]["integration"] == {**SERVER_SIDE, **laid}

    def test_a_request_without_a_page_is_refused_with_rokts_code(
        self, offering: Bridge, rokt: SandboxUnderTest
    ) -> None:
        assert refused(offering.post({"user_id": "u"}, OFFERS)) == ["PageIdentifierNotProvided"]
        assert refused(offering.call("GET", OFFERS, user_id="u")) == ["PageIdentifierNotProvided"]
        assert rokt.calls() == []

    def test_a_wrong_tag_is_refused_with_rokts_code(self, offering: Bridge, rokt: SandboxUnderTest) -> None:
        answer = offering.post(ASKED, OFFERS, headers={"rokt-tag-id": " "})

        assert refused(answer) == ["PartnerIdNotProvided"]
        assert rokt.calls() == []

    def test_the_documents_example_as_printed_is_no_json(
        self, offering: Bridge, rokt: SandboxUnderTest
    ) -> None:
        answer = offering.post(AS_PRINTED, OFFERS)

        assert refused(answer, 400) == ["InvalidRequestPayload"]
        assert answer.says("Line 23")
        assert rokt.calls() == []

    def test_the_locale_that_the_documents_example_lacks_is_laid_under(
        self, offering: Bridge, rokt: SandboxUnderTest
    ) -> None:
        assert offering.post(WITHOUT_COMMA, OFFERS).body["found"] is True

        [call] = rokt.calls(DROP_IN)
        assert call["body"]["integration"]["deviceLocale"] == SERVER_SIDE["deviceLocale"]

    @pytest.mark.parametrize("code", CODES)
    def test_what_rokt_refuses_is_told_in_rokts_codes(
        self, offering: Bridge, rokt: SandboxUnderTest, code: str
    ) -> None:
        errors = [{"code": code, "message": "says ada@example.com"}]
        rokt.fault(path=DROP_IN, status=400 if code == CODES[-1] else 422, body={"errors": errors})

        answer = offering.post(ASKED, OFFERS)

        assert refused(answer) == [code]
        assert not answer.says("ada@example.com")

    @pytest.mark.parametrize(
        ("fault", "reason"),
        [
            ({"status": 500}, "unavailable"),
            ({"status": 503, "delay": 0.5}, "unavailable"),
            ({"status": 429}, "unavailable"),
            ({"status": 401}, "refused"),
            ({"status": 404}, "refused"),
            ({"status": 302}, "refused"),
            ({"status": 204}, "refused"),
            ({"status": 200, "body": []}, "unreadable"),
            ({"drop": "before"}, "unavailable"),
            ({"drop": "after"}, "unavailable"),
        ],
        ids=str,
    )
    def test_whatever_rokt_does_braze_is_answered_200(
        self, offering: Bridge, rokt: SandboxUnderTest, fault: dict[str, Any], reason: str
    ) -> None:
        rokt.fault(path=DROP_IN, **fault)

        answer = offering.post(ASKED, OFFERS)

        assert (answer.status, answer.body) == (200, {"found": False, "reason": reason})

    def test_no_offer_is_told_as_such(self, offering: Bridge) -> None:
        answer = offering.post({**ASKED, "pageIdentifier": "empty_page"}, OFFERS)

        assert (answer.status, answer.body) == (200, {"found": False, "reason": "no_offer"})

    @pytest.mark.usefixtures("short")
    def test_a_rokt_that_hangs_is_no_offer(self, start: Starter) -> None:
        with scripted_server(hang) as server:
            answer = start(ROKT_OFFERS_URL=server.url, **ON).post(ASKED, OFFERS)

        assert (answer.status, answer.body) == (200, {"found": False, "reason": "timeout"})

    def test_offers_need_no_database(self, start: Starter, rokt: SandboxUnderTest) -> None:
        bridge = start(
            sandbox=rokt, ROKT_OFFERS_URL=rokt.url, DATABASE_URL="postgresql://x:y@127.0.0.1:9/x", **ON
        )

        assert bridge.post(ASKED, OFFERS).body["found"] is True

    def test_a_parameter_that_tells_users_apart_for_braze_is_passed_over(self, offering: Bridge) -> None:
        assert offering.post(ASKED, f"{OFFERS}?for=5e884898").body["found"] is True

    def test_a_slash_at_the_end_makes_no_difference(self, offering: Bridge) -> None:
        assert offering.post(ASKED, f"{OFFERS}/").body["found"] is True


class TestWhoMayAsk:
    @pytest.mark.parametrize(("method", "path"), [("POST", OFFERS), ("GET", OFFERS), ("POST", DROP_IN)])
    @pytest.mark.parametrize(("key", "status"), [("send", None), ("read", 403), (None, 401)])
    def test_the_key_of_a_campaign_may(
        self, offering: Bridge, method: str, path: str, key: str | None, status: int | None
    ) -> None:
        answer = offering.call(method, path, {} if method == "POST" else None, key=key)

        assert answer.status == (status or (422 if path == OFFERS else 400))

    @pytest.mark.parametrize(("method", "path"), [("POST", OFFERS), ("GET", OFFERS), ("POST", DROP_IN)])
    def test_without_its_variables_it_is_off(self, bridge: Bridge, method: str, path: str) -> None:
        answer = bridge.call(method, path, {} if method == "POST" else None)

        assert answer.status == 501
        check_problem(answer)
        assert answer.says("ROKT_PUB_ID", "ROKT_SECRET", "ROKT_TAG_ID")

    @pytest.mark.parametrize("path", [OFFERS, DROP_IN])
    def test_a_large_request_is_refused(self, offering: Bridge, rokt: SandboxUnderTest, path: str) -> None:
        answer = offering.post({**WHOLE, "attributes": {"x": "x" * 65_536}}, path)

        assert answer.status == 413
        check_problem(answer)
        assert rokt.calls() == []

    def test_a_dry_run_shows_what_would_leave_without_the_credential(
        self, offering: Bridge, rokt: SandboxUnderTest
    ) -> None:
        shown = [
            offering.post(ASKED, f"{OFFERS}?dry_run=1"),
            offering.call("GET", f"{OFFERS}?page=confirmation&dry_run=1"),
            offering.post(WHOLE, f"{DROP_IN}?dry_run=1"),
        ]

        assert [answer.status for answer in shown] == [200] * 3
        requests = [answer.body["requests"][0] for answer in shown]
        assert [one["body"]["pageIdentifier"] for one in requests] == [
            "confirmation",
            "confirmation",
            WHOLE["pageIdentifier"],
        ]
        assert all(one["url"] == rokt.url + DROP_IN for one in requests)
        assert not any(answer.says(SECRET) for answer in shown)
        assert rokt.calls() == []


class TestDropIn:
    def test_a_whole_request_is_answered_as_rokt_answers(
        self, offering: Bridge, rokt: SandboxUnderTest
    ) -> None:
        answer = offering.post({**WHOLE, "sessionId": "s-1"}, DROP_IN)

        assert (answer.status, answer.body) == (200, SAMPLE | {"sessionId": "s-1"})
        assert (answer.headers["rokt-account-id"], answer.headers["rokt-session-id"]) == ("106", "s-1")
        assert answer.headers["etag"] == 'W/"s-1"'
        [call] = rokt.calls(DROP_IN)
        assert call["body"] == {**WHOLE, "sessionId": "s-1"}
        assert call["headers"]["rokt-tag-id"] == ON["ROKT_TAG_ID"]

    def test_an_apps_own_tag_goes_first_and_its_credential_stays_here(
        self, offering: Bridge, rokt: SandboxUnderTest
    ) -> None:
        its = {"rokt-tag-id": "77", "rokt-pub-id": "the-apps", "rokt-secret": "the-apps-secret"}

        offering.post(WHOLE, DROP_IN, headers=its)

        [call] = rokt.calls(DROP_IN)
        assert (call["headers"]["rokt-tag-id"], call["headers"]["rokt-pub-id"]) == ("77", "pub-id")

    def test_the_documents_example_as_printed_is_a_bad_request(
        self, offering: Bridge, rokt: SandboxUnderTest
    ) -> None:
        answer = offering.post(AS_PRINTED, DROP_IN)

        assert (answer.status, answer.body["status"], answer.body["success"]) == (400, 400, False)
        assert (answer.body["title"], codes(answer)) == ("BadRequest", ["InvalidRequestPayload"])
        assert rokt.calls() == []

    def test_without_its_comma_the_documents_example_lacks_the_locale_alone(
        self, offering: Bridge, rokt: SandboxUnderTest
    ) -> None:
        answer = offering.post(WITHOUT_COMMA, DROP_IN)

        assert (answer.status, answer.body["status"], answer.body["success"]) == (422, 422, False)
        assert codes(answer) == ["IntegrationDeviceLocaleNotProvided"]
        assert all(set(error) == {"code", "message"} for error in answer.body["errors"])
        assert rokt.calls() == []

    def test_everything_that_lacks_is_told_together(self, offering: Bridge, rokt: SandboxUnderTest) -> None:
        answer = offering.post({"attributes": {}}, DROP_IN, headers={"rokt-tag-id": " "})

        assert (answer.status, codes(answer)) == (422, list(CODES[:-1]))
        assert rokt.calls() == []

    def test_the_stand_in_and_the_bridge_refuse_alike(self, offering: Bridge, rokt: SandboxUnderTest) -> None:
        """Two readings of one document."""
        headers = {"rokt-pub-id": "x", "rokt-secret": "x", "rokt-tag-id": "1", "Accept": "application/json"}
        headers["Content-Type"] = "application/json"
        bodies: list[Any] = [
            AS_PRINTED,
            WHOLE,
            {},
            [],
            {**WHOLE, "attributes": {"a": 1}},
            {**WHOLE, "integration": None},
        ]

        for body in bodies:
            status, its = rokt.ask("POST", DROP_IN, body, headers)
            ours = offering.post(body, DROP_IN)
            assert ours.status == status, body
            assert [e["code"] for e in its.get("errors", [])] == [
                e["code"] for e in ours.body.get("errors", [])
            ]

    @pytest.mark.parametrize("status", [401, 404, 422, 500, 503])
    def test_rokts_status_and_body_are_passed_on(
        self, offering: Bridge, rokt: SandboxUnderTest, status: int
    ) -> None:
        rokt.fault(path=DROP_IN, status=status, body={"title": "Rokt's own"})

        answer = offering.post(WHOLE, DROP_IN)

        assert (answer.status, answer.body) == (status, {"title": "Rokt's own"})
        assert len(rokt.calls(DROP_IN)) == 1

    def test_rokts_wish_to_be_asked_later_is_passed_on(
        self, offering: Bridge, rokt: SandboxUnderTest
    ) -> None:
        rokt.fault(path=DROP_IN, retry_after=7)

        answer = offering.post(WHOLE, DROP_IN)

        assert (answer.status, answer.headers["Retry-After"]) == (429, "7")

    def test_a_connection_that_breaks_is_a_502(self, offering: Bridge, rokt: SandboxUnderTest) -> None:
        rokt.fault(path=DROP_IN, drop="after")

        answer = offering.post(WHOLE, DROP_IN)

        assert (answer.status, answer.body["status"], answer.body["success"]) == (502, 502, False)

    @pytest.mark.usefixtures("short")
    def test_a_rokt_that_hangs_is_a_504_and_once_it_is_left_alone_a_503(self, start: Starter) -> None:
        with scripted_server(hang) as server:
            bridge = start(ROKT_OFFERS_URL=server.url, **ON)
            answers = [bridge.post(WHOLE, DROP_IN) for _ in range(6)]

        assert [answer.status for answer in answers] == [504] * 5 + [503]
        assert answers[-1].headers["Retry-After"] == "10"

    def test_a_host_that_is_not_there_is_a_502(self, start: Starter) -> None:
        assert start(ROKT_OFFERS_URL=NOWHERE, **ON).post(WHOLE, DROP_IN).status == 502


class TestGreenlets:
    """In gunicorn's process, where all that waits has to let the others go on."""

    @pytest.fixture
    def database_url(self, sqlite_database_url: str) -> str:
        return sqlite_database_url

    @contextmanager
    def _web(self, database_url: str, url: str) -> Iterator[processes.Running]:
        environ = processes.for_worker(database_url, url) | ON | {"ROKT_OFFERS_URL": url}
        with processes.web(environ) as web:
            yield web

    @staticmethod
    def _ask(number: int) -> bytes:
        body = json.dumps({"pageIdentifier": "p", "user_id": f"u-{number}"})
        head = f"POST {OFFERS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {processes.KEY}\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()

    def test_five_hundred_at_once_are_all_answered_while_rokt_hangs(self, database_url: str) -> None:
        with scripted_server(hang) as server, self._web(database_url, server.url) as web:
            began = time.monotonic()
            client = Client(web.port, self._ask, connections=500, good=(b"200",))

            load = client.as_fast_as_answered(count=500)

            assert load.answers == 500
            assert time.monotonic() - began < 20.0, "not one after the other"
            # A place that the first timeouts left may be taken once more before Rokt is left alone.
            assert server.connections <= bridge.offers.MOST_WAITING + TIMEOUTS

    def test_one_call_answers_all_who_ask_for_the_same(
        self, database_url: str, rokt: SandboxUnderTest
    ) -> None:
        rokt.fault(path=DROP_IN, delay=0.3)
        with self._web(database_url, rokt.url) as web:
            client = Client(web.port, lambda _number: self._ask(1), connections=100, good=(b"200",))

            client.as_fast_as_answered(count=100)

        assert len(rokt.calls(DROP_IN)) == 1


def test_at_most_a_quarter_of_the_connections_of_a_process_wait_for_rokt() -> None:
    config = (processes.ROOT / "gunicorn.conf.py").read_text()
    [line] = [line for line in config.splitlines() if line.startswith("worker_connections")]

    assert int(line.split("=")[1]) // 4 >= bridge.offers.MOST_WAITING
