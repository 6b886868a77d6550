"""The sandbox's faults, over real HTTP."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from servers import SandboxUnderTest, running_sandbox

TRACK = {"attributes": [{"external_id": "u-1"}]}
KEY = {"Content-Type": "application/json", "Authorization": "Bearer key"}


@pytest.fixture
def sandbox() -> Iterator[SandboxUnderTest]:
    with running_sandbox() as sandbox:
        yield sandbox


def track(sandbox: SandboxUnderTest) -> int:
    return sandbox.ask("POST", "/users/track", TRACK, KEY)[0]


def outcomes(sandbox: SandboxUnderTest) -> list[tuple[int | None, str | None]]:
    return [(call["status"], call["dropped"]) for call in sandbox.calls("/users")]


def test_a_status_stands_instead_of_processing_as_often_as_asked(sandbox: SandboxUnderTest) -> None:
    sandbox.fault(path="/users", times=2, status=503)

    assert [track(sandbox) for _ in range(3)] == [503, 503, 201]
    assert outcomes(sandbox) == [(503, None), (503, None), (201, None)]


def test_a_fault_without_times_stays_until_it_is_taken_away(sandbox: SandboxUnderTest) -> None:
    sandbox.fault(status=500, times=None)
    assert [track(sandbox) for _ in range(3)] == [500] * 3

    sandbox.clear_faults()

    assert track(sandbox) == 201


def test_a_fault_hits_its_path_and_method_alone(sandbox: SandboxUnderTest) -> None:
    sandbox.fault(path="/v1", status=500)
    sandbox.fault(path="/users", method="DELETE", status=500)

    assert track(sandbox) == 201
    assert sandbox.ask("DELETE", "/users/track")[0] == 500
    assert sandbox.ask("GET", "/v1/subscription/s-1")[0] == 500


def test_faults_come_in_the_order_in_which_they_were_added(sandbox: SandboxUnderTest) -> None:
    sandbox.fault(status=500, times=1)
    sandbox.fault(status=502, times=1)

    assert [track(sandbox) for _ in range(3)] == [500, 502, 201]


def test_the_sandbox_itself_has_no_faults(sandbox: SandboxUnderTest) -> None:
    sandbox.fault(drop="before")

    assert sandbox.ask("GET", "/")[0] == sandbox.ask("GET", "/sandbox/calls")[0] == 200


def test_retry_after_is_a_429_unless_said(sandbox: SandboxUnderTest) -> None:
    sandbox.fault(retry_after=3, times=1)
    sandbox.fault(retry_after=1.5, status=503, times=1, body={"message": "slow"})

    connection = http.client.HTTPConnection(sandbox.url.removeprefix("http://"))
    answers = []
    for _ in range(2):
        connection.request("GET", "/x")
        answer = connection.getresponse()
        answers.append((answer.status, answer.headers["Retry-After"], answer.read()))
    connection.close()

    assert answers == [(429, "3", b"{}"), (503, "1.5", b'{"message": "slow"}')]


def test_a_status_without_a_body_has_none(sandbox: SandboxUnderTest) -> None:
    sandbox.fault(status=204, times=1)

    with socket.create_connection(sandbox.address) as line:
        line.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        with line.makefile("rb") as answer:
            whole = answer.read()

    assert whole.startswith(b"HTTP/1.1 204")
    assert whole.endswith(b"\r\n\r\n")


def test_a_connection_dropped_before_has_no_effect(sandbox: SandboxUnderTest) -> None:
    sandbox.fault(path="/users", drop="before", times=1)

    with pytest.raises(ConnectionError) as caught:
        track(sandbox)

    assert type(caught.value) is ConnectionResetError
    assert outcomes(sandbox) == [(None, "before")]
    assert track(sandbox) == 201


def test_a_connection_dropped_after_has_its_effect(sandbox: SandboxUnderTest) -> None:
    sandbox.fault(path="/users", drop="after", times=1)

    with pytest.raises(ConnectionError):
        track(sandbox)

    assert outcomes(sandbox) == [(201, "after")]


def test_a_delayed_call_has_its_effect_at_once_and_its_answer_late(sandbox: SandboxUnderTest) -> None:
    sandbox.fault(path="/users", delay=0.3, times=1)
    statuses: list[int] = []
    begun_at = time.monotonic()
    late = threading.Thread(target=lambda: statuses.append(track(sandbox)))
    late.start()

    assert sandbox.ask("GET", "/sandbox/calls?wait=5&path=/users")[1][0]["status"] == 201
    late.join()

    assert statuses == [201]
    assert time.monotonic() - begun_at >= 0.3


def test_a_delay_does_not_hold_up_others_or_the_end() -> None:
    begun_at = time.monotonic()
    with ThreadPoolExecutor(1) as threads:
        with running_sandbox() as sandbox:
            sandbox.fault(path="/slow", delay=60)
            slow = threads.submit(sandbox.ask, "GET", "/slow")
            sandbox.ask("GET", "/sandbox/calls?wait=5&path=/slow")

            assert track(sandbox) == 201
        slow.exception()

    assert time.monotonic() - begun_at < 20


def test_the_faults_are_shown_with_what_is_left_of_them(sandbox: SandboxUnderTest) -> None:
    sandbox.fault(path="/users", times=3, status=503)
    track(sandbox)

    [fault] = sandbox.ask("GET", "/sandbox/faults")[1]

    assert (fault["path"], fault["times"], fault["status"], fault["drop"]) == ("/users", 2, 503, None)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (b"{", "JSON"),
        ([], "object"),
        ({}, "what goes wrong"),
        ({"path": "/v1"}, "what goes wrong"),
        ({"status": 503, "pathh": "/"}, "pathh"),
        ({"status": 99}, "status"),
        ({"status": "503"}, "status"),
        ({"status": True}, "status"),
        ({"status": 503, "path": 7}, "path"),
        ({"status": 503, "method": "get"}, "method"),
        ({"status": 503, "method": []}, "method"),
        ({"status": 503, "times": 0}, "times"),
        ({"status": 503, "times": 1.5}, "times"),
        ({"delay": -1}, "delay"),
        ({"delay": 121}, "delay"),
        ({"delay": "2"}, "delay"),
        (b'{"delay": NaN}', "delay"),
        ({"drop": "during"}, "drop"),
        ({"drop": []}, "drop"),
        ({"drop": "after", "status": 503}, "dropped"),
        ({"drop": "after", "retry_after": 3}, "dropped"),
        ({"retry_after": -3}, "retry_after"),
        ({"delay": 1, "body": {}}, "body"),
    ],
)
def test_a_wrong_fault_is_refused_with_what_is_wrong(
    sandbox: SandboxUnderTest, asked: Any, words: str
) -> None:
    status, answer = sandbox.ask("POST", "/sandbox/faults", asked)

    assert status == 422
    assert words in answer["error"]
    assert sandbox.ask("GET", "/sandbox/faults")[1] == []
