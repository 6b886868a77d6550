"""The stand-ins over real HTTP: what they take, what they refuse, what they remember."""

from __future__ import annotations

import base64
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest
from servers import SandboxUnderTest, running_sandbox

from bridge.sandbox import record

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def sandbox() -> Iterator[SandboxUnderTest]:
    with running_sandbox() as sandbox:
        yield sandbox


def basic(client_id: str = "id", secret: str = "s3cret") -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()}


def token(sandbox: SandboxUnderTest) -> dict[str, str]:
    status, answer = sandbox.ask("POST", "/oauth2/token", b"grant_type=client_credentials", FORM | basic())
    assert status == 200
    return JSON | {"Authorization": f"Bearer {answer['access_token']}"}


def event(**changes: Any) -> dict[str, Any]:
    """A right event; a change to None takes the field out."""
    whole = {
        "eventId": "sale_u-1",
        "title": "Sale",
        "description": "",
        "location": "",
        "start": "2026-12-01T09:00:00",
        "end": "2026-12-01T09:30:00",
        "timezone": "Eastern Standard Time",
        "notifyBefore": 15,
    }
    return {name: value for name, value in (whole | changes).items() if value is not None}


def create(sandbox: SandboxUnderTest, body: Any, account: str = "acme") -> tuple[int, Any]:
    return sandbox.ask("POST", f"/v1/subscriptionevent/{account}", body, token(sandbox))


def update(sandbox: SandboxUnderTest, body: Any, account: str = "acme") -> tuple[int, Any]:
    return sandbox.ask("POST", f"/v1/subscriptionevent/{account}/update", body, token(sandbox))


class TestTokens:
    def test_any_credential_gets_a_token_for_five_minutes(self, sandbox: SandboxUnderTest) -> None:
        status, answer = sandbox.ask(
            "POST", "/oauth2/token", b"grant_type=client_credentials", FORM | basic()
        )

        assert status == 200
        assert answer["access_token"]
        assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 300)

    @pytest.mark.parametrize(
        ("headers", "body", "status", "error"),
        [
            (FORM, b"grant_type=client_credentials", 401, "invalid_client"),
            (FORM | {"Authorization": "Basic !"}, b"grant_type=client_credentials", 401, "invalid_client"),
            (FORM | basic("id", ""), b"grant_type=client_credentials", 401, "invalid_client"),
            (FORM | basic(), b"grant_type=password", 400, "unsupported_grant_type"),
            (JSON | basic(), b"grant_type=client_credentials", 400, "invalid_request"),
        ],
    )
    def test_a_wrong_request_gets_none(
        self, sandbox: SandboxUnderTest, headers: dict[str, str], body: bytes, status: int, error: str
    ) -> None:
        assert sandbox.ask("POST", "/oauth2/token", body, headers) == (status, {"error": error})

    def test_a_given_credential_is_the_only_one(self) -> None:
        with running_sandbox(client_id="id", client_secret="right") as sandbox:
            body = b"grant_type=client_credentials"

            assert sandbox.ask("POST", "/oauth2/token", body, FORM | basic("id", "right"))[0] == 200
            assert sandbox.ask("POST", "/oauth2/token", body, FORM | basic("id", "wrong"))[0] == 401
            assert sandbox.ask("POST", "/oauth2/token", body, FORM | basic("other", "right"))[0] == 401

    def test_a_token_ends(self) -> None:
        with running_sandbox(token_seconds=0) as sandbox:
            assert create(sandbox, {"event": event(), "subscriptionIds": ["s-1"]})[0] == 401

    @pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer wrong", "Basic aWQ6cw=="])
    def test_no_call_goes_without_a_token(self, sandbox: SandboxUnderTest, authorization: str) -> None:
        headers = JSON | {"Authorization": authorization}
        for method, path in (
            ("POST", "/v1/subscriptionevent/acme"),
            ("POST", "/v1/subscriptionevent/acme/update"),
            ("DELETE", "/v1/subscriptionevent/acme/sale_u-1"),
            ("DELETE", "/v2/subscription/acme/s-1/subscriptionevent/sale_u-1"),
            ("GET", "/v1/subscription/s-1"),
        ):
            status, answer = sandbox.ask(method, path, None, headers)
            assert (status, answer["Code"]) == (401, "Unauthorized")

    def test_a_revoked_token_is_refused(self, sandbox: SandboxUnderTest) -> None:
        headers = token(sandbox)
        sandbox.sandbox.rokt.tokens.revoke()

        assert sandbox.ask("GET", "/v1/subscription/s-1", None, headers)[0] == 401


class TestCalendars:
    def test_a_create_stands_in_the_calendars_of_its_ids(self, sandbox: SandboxUnderTest) -> None:
        assert create(sandbox, {"event": event(), "subscriptionIds": ["s-1", "s-2"]}) == (202, {})

        assert sandbox.calendar() == [
            {"account_code": "acme", "event_id": "sale_u-1", "holders": {"s-1": event(), "s-2": event()}}
        ]

    @pytest.mark.parametrize("is_wrapped", [True, False])
    def test_an_update_changes_it_wherever_it_stands(
        self, sandbox: SandboxUnderTest, is_wrapped: bool
    ) -> None:
        create(sandbox, {"event": event(), "subscriptionIds": ["s-1", "s-2"]})
        create(sandbox, {"event": event(), "subscriptionIds": ["s-1"]}, account="other")
        later = event(title="Later")

        assert update(sandbox, {"event": later} if is_wrapped else later)[0] == 202

        assert [calendar["holders"] for calendar in sandbox.calendar()] == [
            {"s-1": later, "s-2": later},
            {"s-1": event()},
        ]

    def test_a_create_for_a_further_id_leaves_the_others_as_they_are(self, sandbox: SandboxUnderTest) -> None:
        create(sandbox, {"event": event(), "subscriptionIds": ["s-1"]})
        create(sandbox, {"event": event(title="Later"), "subscriptionIds": ["s-2"]})

        holders = sandbox.calendar()[0]["holders"]
        assert {one: content["title"] for one, content in holders.items()} == {"s-1": "Sale", "s-2": "Later"}

    def test_an_update_of_an_unknown_event_has_no_effect(self, sandbox: SandboxUnderTest) -> None:
        assert update(sandbox, {"event": event()})[0] == 202
        assert sandbox.calendar() == []

    def test_a_repeated_create_is_taken_or_refused_as_asked(self, sandbox: SandboxUnderTest) -> None:
        body = {"event": event(), "subscriptionIds": ["s-1"]}
        assert [create(sandbox, body)[0] for _ in range(2)] == [202, 202]

        with running_sandbox(refuses_repeats=True) as strict:
            assert [create(strict, body)[0] for _ in range(2)] == [202, 400]
            assert create(strict, body | {"subscriptionIds": ["s-2"]})[0] == 202

    def test_a_delete_takes_it_out_of_all_or_of_one(self, sandbox: SandboxUnderTest) -> None:
        name = quote("sale/1_u 1", safe="")
        create(sandbox, {"event": event(eventId="sale/1_u 1"), "subscriptionIds": ["s-1", "s-2", "s-3"]})

        one = f"/v2/subscription/acme/s-2/subscriptionevent/{name}"
        assert sandbox.ask("DELETE", one, None, token(sandbox))[0] == 202
        assert list(sandbox.calendar()[0]["holders"]) == ["s-1", "s-3"]

        assert sandbox.ask("DELETE", f"/v1/subscriptionevent/acme/{name}", None, token(sandbox))[0] == 202
        assert sandbox.calendar() == []

    def test_a_subscription_tells_its_events(self, sandbox: SandboxUnderTest) -> None:
        create(sandbox, {"event": event(), "subscriptionIds": ["s-1"]})

        status, answer = sandbox.ask("GET", "/v1/subscription/s-1", None, token(sandbox))

        assert (status, answer) == (200, {"subscriptionId": "s-1", "isActive": True, "events": [event()]})

    def test_a_subscription_that_was_given_is_told_as_it_was_given(self, sandbox: SandboxUnderTest) -> None:
        given = {
            "subscriptionId": "S-1",
            "calendar": {"code": "sales", "name": "Sales"},
            "tags": ["All"],
            "subscriptionType": "Google",
            "subscriberId": "u-1",
            "emailAddress": "ada@example.com",
            "isActive": False,
        }
        assert sandbox.ask("POST", "/sandbox/subscriptions", [given]) == (201, {"given": 1})
        create(sandbox, {"event": event(), "subscriptionIds": ["s-1"]})

        asked = sandbox.ask("GET", "/v1/subscription/s-1", None, token(sandbox))
        assert asked == (200, given | {"events": [event()]})

        sandbox.clear()
        asked = sandbox.ask("GET", "/v1/subscription/s-1", None, token(sandbox))
        assert asked == (200, {"subscriptionId": "s-1", "isActive": True, "events": []})

    @pytest.mark.parametrize(
        "given",
        [b"{", {}, ["s-1"], [{}], [{"subscriptionId": " "}], [{"subscriptionId": "s", "calender": 1}]],
    )
    def test_what_is_no_subscription_is_not_given(self, sandbox: SandboxUnderTest, given: Any) -> None:
        assert sandbox.ask("POST", "/sandbox/subscriptions", given)[0] == 422

    @pytest.mark.parametrize(
        "changes",
        [
            {"timezone": "Mid-Atlantic Standard Time"},
            {"timezone": "Pacific Standard Time"},
            {"notifyBefore": "15"},
            {"notifyBefore": None, "description": None, "location": None},
            {"allDayEvent": True, "visibleFromDateTimeUtc": "2026-11-01T00:00:00Z"},
        ],
    )
    def test_what_rokt_takes_is_taken(self, sandbox: SandboxUnderTest, changes: dict[str, Any]) -> None:
        assert create(sandbox, {"event": event(**changes), "subscriptionIds": ["s-1"]})[0] == 202
        assert update(sandbox, {"event": event(**changes)})[0] == 202

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"eventId": None}, "eventId"),
            ({"eventId": " "}, "eventId"),
            ({"eventId": 7}, "eventId"),
            ({"eventId": "sale_"}, "eventId"),
            ({"title": None}, "title"),
            ({"title": " "}, "title"),
            ({"description": 1}, "description"),
            ({"location": []}, "location"),
            ({"start": None}, "start"),
            ({"start": "2026-12-01T09:00:00Z"}, "start"),
            ({"start": "2026-12-01T09:00:00+01:00"}, "start"),
            ({"start": "2026-12-01T09:00"}, "start"),
            ({"start": "2026-12-01 09:00:00"}, "start"),
            ({"start": "2026-02-30T09:00:00"}, "start"),
            ({"start": 1}, "start"),
            ({"end": None}, "end"),
            ({"end": "2026-12-01T08:59:59"}, "end"),
            ({"timezone": None}, "timezone"),
            ({"timezone": "America/New_York"}, "timezone"),
            ({"timezone": "eastern standard time"}, "timezone"),
            ({"timezone": "Alberta Standard Time"}, "timezone"),
            ({"timezone": ["Eastern Standard Time"]}, "timezone"),
            ({"notifyBefore": 1.5}, "notifyBefore"),
            ({"notifyBefore": True}, "notifyBefore"),
            ({"notifyBefore": "soon"}, "notifyBefore"),
            ({"notifyBefore": -1}, "notifyBefore"),
            ({"allDayEvent": "true"}, "allDayEvent"),
            ({"visibleFromDateTimeUtc": "2026-11-01T00:00:00"}, "visibleFromDateTimeUtc"),
            ({"notify_before": 15}, "notify_before"),
        ],
    )
    def test_a_wrong_event_is_refused_by_field(
        self, sandbox: SandboxUnderTest, changes: dict[str, Any], field: str
    ) -> None:
        wrong = event(**changes)
        for status, answer in (
            create(sandbox, {"event": wrong, "subscriptionIds": ["s-1"]}),
            update(sandbox, {"event": wrong}),
            update(sandbox, wrong),
        ):
            assert status == 400
            assert answer.keys() == {"Code", "Reason"}
            assert field in answer["Reason"]
        assert sandbox.calendar() == []

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"[]",
            b"[" * 100_000,
            {},
            {"event": event()},
            {"event": event(), "subscriptionIds": []},
            {"event": event(), "subscriptionIds": "s-1"},
            {"event": event(), "subscriptionIds": [""]},
            {"event": event(), "subscriptionIds": [7]},
            {"event": event(), "subscriptionIds": ["s-1", "S-1"]},
            {"event": event(), "subscriptionIds": ["s-1"], "actionType": "x"},
            {"event": [], "subscriptionIds": ["s-1"]},
            {"subscriptionIds": ["s-1"]},
        ],
    )
    def test_a_wrong_create_is_refused(self, sandbox: SandboxUnderTest, body: Any) -> None:
        status, answer = create(sandbox, body)

        assert (status, answer["Code"]) == (400, "BadRequest")

    @pytest.mark.parametrize(
        "body",
        [
            {"event": event(), "subscriptionIds": ["s-1"]},
            event() | {"subscriptionIds": ["s-1"]},
        ],
    )
    def test_an_update_has_no_ids(self, sandbox: SandboxUnderTest, body: Any) -> None:
        assert update(sandbox, body)[0] == 400

    def test_other_requests_are_refused(self, sandbox: SandboxUnderTest) -> None:
        headers, body = token(sandbox), {"event": event(), "subscriptionIds": ["s-1"]}

        plain = headers | {"Content-Type": "text/plain"}
        assert sandbox.ask("POST", "/v1/subscriptionevent/acme", body, plain)[0] == 400
        assert sandbox.ask("POST", "/v1/subscriptionevent/update", body, headers)[0] == 400
        assert sandbox.ask("POST", "/v1/subscriptionevent//update", body, headers)[0] == 404
        assert sandbox.ask("PUT", "/v1/subscriptionevent/acme", body, headers)[0] == 404
        assert sandbox.ask("DELETE", "/v1/subscriptionevent/acme/sale_", None, headers)[0] == 400
        assert sandbox.ask("DELETE", "/v1/subscriptionevent/acme/sale_u-1", {}, headers)[0] == 400


class TestBraze:
    KEY = JSON | {"Authorization": "Bearer braze-key"}

    def test_good_objects_are_counted(self, sandbox: SandboxUnderTest) -> None:
        body = {
            "attributes": [{"external_id": "u-1", "rokt:account_code": {"add": ["acme/f5733866ade2"]}}],
            "events": [{"external_id": "u-1", "name": "subscribe", "time": "2026-12-01T09:00:00Z"}] * 2,
        }

        assert sandbox.ask("POST", "/users/track", body, self.KEY) == (
            201,
            {"message": "success", "attributes_processed": 1, "events_processed": 2},
        )

    def test_bad_objects_are_named_by_array_and_index(self, sandbox: SandboxUnderTest) -> None:
        good = {"external_id": "u-1"}
        body = {
            "attributes": [
                good,
                {},
                {"external_id": "u", "braze_id": "b"},
                {"external_id": "u", "a": "x" * 256},
            ],
            "events": [good | {"name": "subscribe"}, 7, {"external_id": "x" * 988, "name": "n", "time": "t"}],
        }

        status, answer = sandbox.ask("POST", "/users/track", body, self.KEY)

        assert (status, answer["attributes_processed"], "events_processed" in answer) == (201, 1, False)
        assert [(error["input_array"], error["index"]) for error in answer["errors"]] == [
            ("attributes", 1),
            ("attributes", 2),
            ("attributes", 3),
            ("events", 0),
            ("events", 1),
            ("events", 2),
        ]

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            (b"{", 400),
            ([], 400),
            ({}, 400),
            ({"attributes": {}}, 400),
            ({"attributes": [{}]}, 400),
            ({"attributes": [{"external_id": "u"}] * 38, "events": [{"external_id": "u"}] * 38}, 400),
            (b'{"attributes": [], "pad": "' + b"x" * 4_200_000 + b'"}', 413),
        ],
    )
    def test_a_wrong_call_is_refused(self, sandbox: SandboxUnderTest, body: Any, status: int) -> None:
        assert sandbox.ask("POST", "/users/track", body, self.KEY)[0] == status

    @pytest.mark.parametrize(
        "value",
        [{"add": "x"}, {"add": [""]}, {"add": [1]}, {"add": ["x"], "other": []}, {"remove": ["x" * 256]}],
    )
    def test_arrays_are_changed_with_texts_alone(self, sandbox: SandboxUnderTest, value: Any) -> None:
        body = {"attributes": [{"external_id": "u-1", "rokt:tags": value}]}

        assert sandbox.ask("POST", "/users/track", body, self.KEY)[0] == 400

    def test_a_given_key_is_the_only_one(self) -> None:
        body = {"attributes": [{"external_id": "u-1"}]}
        with running_sandbox(api_key="braze-key") as sandbox:
            assert sandbox.ask("POST", "/users/track", body, self.KEY)[0] == 201
            assert sandbox.ask("POST", "/users/track", body, JSON | {"Authorization": "Bearer x"})[0] == 401
            assert sandbox.ask("POST", "/users/track", body, JSON)[0] == 401


class TestTheRecord:
    def test_calls_stand_in_the_order_of_arrival_without_their_secrets(
        self, sandbox: SandboxUnderTest
    ) -> None:
        create(sandbox, {"event": event(), "subscriptionIds": ["s-1"]})
        sandbox.ask("POST", "/nowhere?a=1", b"text", FORM)

        status, calls = sandbox.ask("GET", "/sandbox/calls")

        assert status == 200
        assert [(call["n"], call["path"], call["status"]) for call in calls] == [
            (1, "/oauth2/token", 200),
            (2, "/v1/subscriptionevent/acme", 202),
            (3, "/nowhere", 404),
        ]
        assert calls[1]["body"] == {"event": event(), "subscriptionIds": ["s-1"]}
        assert (calls[2]["body"], calls[2]["query"], calls[2]["method"]) == ("text", "a=1", "POST")
        assert [call["headers"].get("authorization") for call in calls] == ["Basic …", "Bearer …", None]

    def test_it_is_asked_for_by_path_and_number(self, sandbox: SandboxUnderTest) -> None:
        for path in ("/a/1", "/b/1", "/a/2"):
            sandbox.ask("GET", path)

        def numbers(query: str) -> list[int]:
            return [call["n"] for call in sandbox.ask("GET", f"/sandbox/calls?{query}")[1]]

        assert numbers("path=/a") == [1, 3]
        assert numbers("since=1") == [2, 3]
        assert numbers("since=1&path=/a") == [3]
        assert [call["n"] for call in sandbox.calls("/a")] == [1, 3]

    def test_it_can_be_waited_for(self, sandbox: SandboxUnderTest) -> None:
        found: list[Any] = []
        waiting = threading.Thread(
            target=lambda: found.append(sandbox.ask("GET", "/sandbox/calls?wait=20&path=/wanted")[1])
        )
        waiting.start()
        sandbox.ask("GET", "/other")
        sandbox.ask("GET", "/wanted")
        waiting.join(10)

        assert [call["path"] for call in found[0]] == ["/wanted"]

    def test_waiting_does_not_hold_up_the_end(self) -> None:
        begun_at = time.monotonic()
        with ThreadPoolExecutor(1) as threads:
            with running_sandbox() as sandbox:
                waiting = threads.submit(sandbox.ask, "GET", "/sandbox/calls?wait=50&path=/x")
                while not vars(sandbox.sandbox.record)["_changed"]._waiters:
                    assert not waiting.done()
            waiting.exception()

        assert time.monotonic() - begun_at < 20

    def test_waiting_in_vain_ends(self, sandbox: SandboxUnderTest) -> None:
        assert sandbox.ask("GET", "/sandbox/calls?wait=0.05&path=/wanted") == (200, [])

    @pytest.mark.parametrize("query", ["since=x", "wait=x", "wait=-1", "wait=61", "wait=nan"])
    def test_a_wrong_question_is_refused(self, sandbox: SandboxUnderTest, query: str) -> None:
        assert sandbox.ask("GET", f"/sandbox/calls?{query}")[0] == 422

    def test_it_is_emptied_and_the_numbers_go_on(self, sandbox: SandboxUnderTest) -> None:
        create(sandbox, {"event": event(), "subscriptionIds": ["s-1"]})
        sandbox.fault(path="/", status=500)

        sandbox.clear()

        assert (sandbox.calls(), sandbox.calendar()) == ([], [])
        sandbox.ask("GET", "/a")
        assert [(call["n"], call["status"]) for call in sandbox.calls()] == [(3, 404)]

    def test_its_memory_is_bounded(self, sandbox: SandboxUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(record, "CALLS_KEPT", 5)
        monkeypatch.setattr(record, "BODY_BYTES_KEPT", 25)
        sandbox.clear()

        for _ in range(8):
            sandbox.ask("POST", "/a", b"ten bytes.", FORM)

        assert [(call["n"], call["body"]) for call in sandbox.calls()] == [
            (4, None),
            (5, None),
            (6, None),
            (7, "ten bytes."),
            (8, "ten bytes."),
        ]

    def test_the_page_shows_calls_and_calendars_and_escapes_them(self, sandbox: SandboxUnderTest) -> None:
        evil = "<script>alert('\ud800&')</script>"
        create(sandbox, {"event": event(title=evil), "subscriptionIds": [evil]}, account="%3Cb%3E")
        sandbox.fault(path="/<i>", status=503)

        status, page = sandbox.ask("GET", "/")

        assert status == 200
        assert "Rokt Calendar: create an event" in page
        assert "&lt;script&gt;alert" in page
        assert not any(tag in page for tag in ("<script", "<b>", "<i>"))


class TestTheServer:
    def test_a_connection_is_kept(self, sandbox: SandboxUnderTest) -> None:
        connection = http.client.HTTPConnection(sandbox.url.removeprefix("http://"))
        ports = set()
        for _ in range(3):
            connection.request("GET", "/sandbox/calls")
            connection.getresponse().read()
            ports.add(connection.sock.getsockname()[1])
        connection.close()

        assert len(ports) == 1

    @pytest.mark.parametrize(
        ("header", "status"),
        [
            ("Content-Length: x", b"411"),
            ("Transfer-Encoding: chunked", b"411"),
            ("Content-Length: 999999999", b"413"),
        ],
    )
    def test_a_body_that_cannot_be_read_ends_the_connection(
        self, sandbox: SandboxUnderTest, header: str, status: bytes
    ) -> None:
        with socket.create_connection(sandbox.address) as line:
            line.sendall(f"POST /users/track HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n".encode())
            with line.makefile("rb") as answer:
                assert answer.read().split(b" ")[1] == status

    def test_many_connections_at_once_are_answered(self, sandbox: SandboxUnderTest) -> None:
        lines = [socket.create_connection(sandbox.address) for _ in range(200)]
        for line in lines:
            line.sendall(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")

        assert {line.recv(12) for line in lines} == {b"HTTP/1.1 404"}
        for line in lines:
            line.close()

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_it_runs_until_a_signal_and_stops_cleanly(self, number: signal.Signals) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        program = f"from bridge.sandbox import serve; print('on', flush=True); serve({port})"
        with subprocess.Popen(
            [sys.executable, "-W", "error", "-c", program],
            cwd=os.path.dirname(os.path.dirname(os.path.dirname(__file__))),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                line = connected(port)
                line.sendall(b"GET /sandbox/calls?wait=50&path=/x HTTP/1.1\r\nHost: x\r\n\r\n")
                process.send_signal(number)
                _, complaints = process.communicate(timeout=20)
                line.close()
            finally:
                process.kill()

        assert (process.returncode, complaints) == (0, "")


def connected(port: int) -> socket.socket:
    """Tries until the server listens."""
    for _ in range(1000):
        try:
            return socket.create_connection(("127.0.0.1", port))
        except ConnectionRefusedError:
            threading.Event().wait(0.01)
    raise AssertionError("the server did not start")
