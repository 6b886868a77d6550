"""The interface document: valid, whole, and made of what reads."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from web.interface.everything import Answers, started
from web.running import KEYS, Bridge, Starter, secret

from bridge.routes import calendar_events
from bridge.settings import SCOPES
from bridge.web.interface.document import endpoint_of, operations, untold
from bridge.web.interface.operation import Example, Operation
from bridge.web.interface.samples import HOST, sample_of
from bridge.web.interface.shapes import FieldsDiffer, object_of, text

OPERATIONS = list(operations())


@pytest.fixture
def everything(start: Starter) -> Iterator[Bridge]:
    with started(start) as bridge:
        yield bridge


def document_of(bridge: Bridge) -> dict[str, Any]:
    answer = bridge.call("GET", "/openapi.json", key=None)
    assert answer.status == 200
    found: dict[str, Any] = answer.body
    return found


def test_the_document_is_valid_openapi_3_1(bridge: Bridge) -> None:
    document = document_of(bridge)

    faults = [fault.message for fault in OpenAPIV31SpecValidator(document).iter_errors()]

    assert document["openapi"].startswith("3.1")
    assert faults == []


def test_every_route_but_the_consoles_stands_in_the_document(bridge: Bridge) -> None:
    assert untold(bridge.app) == []


def test_a_route_that_nobody_tells_of_is_found(bridge: Bridge) -> None:
    bridge.app.add_url_rule("/v1/new", "hooks.new", lambda: "", methods=["POST"])

    assert untold(bridge.app) == ["POST /v1/new"]


def test_an_operation_without_a_route_is_found(bridge: Bridge) -> None:
    gone = Operation("POST", "/v1/gone", "gone", "", (), ())

    with pytest.raises(LookupError, match="POST /v1/gone"):
        endpoint_of(bridge.app, gone)


def test_a_field_that_is_read_and_not_told_is_found() -> None:
    with pytest.raises(FieldsDiffer, match="'a_new_one': 'read'"):
        object_of((*calendar_events.KEYS, "a_new_one"), dict.fromkeys(calendar_events.KEYS, text()))


def test_a_field_that_is_told_and_not_read_is_found() -> None:
    with pytest.raises(FieldsDiffer, match="'an_old_one': 'told'"):
        object_of(calendar_events.KEYS, dict.fromkeys((*calendar_events.KEYS, "an_old_one"), text()))


def test_the_scopes_are_those_that_the_application_asks_for(bridge: Bridge) -> None:
    """By asking it with a key of each scope alone, and without any."""
    document = document_of(bridge)
    wrong = []
    for operation in OPERATIONS:
        told = document["paths"][operation.path][operation.method.lower()]["security"]
        needed = {scope for one in told for scope in one.get("bearer", ())}
        path = operation.sample_path()
        lets_in = {
            scope
            for scope in SCOPES
            if bridge.call(operation.method, path, key=scope).status not in (401, 403)
        }
        is_open = bridge.call(operation.method, path, key=None).status != 401
        asks_otherwise = operation.name in ("takeRoktWebhook", "issueToken")
        if not asks_otherwise and (lets_in != (needed or set(SCOPES)) or is_open is bool(needed)):
            wrong.append((operation.name, needed, lets_in, is_open))

    assert wrong == []


def test_every_example_is_answered_as_the_document_says(everything: Bridge) -> None:
    """All of them, in the order of the document, as a reader would try them."""
    answers = Answers(document_of(everything))

    faults = {
        f"{operation.name}: {example.words}": told
        for operation in OPERATIONS
        for example in operation.examples
        if (told := _tried(everything, answers, operation, example))
    }

    assert faults == {}


def test_every_operation_has_an_example() -> None:
    assert [one.name for one in OPERATIONS if not one.examples] == []


def test_every_name_of_an_operation_is_its_own() -> None:
    names = [one.name for one in OPERATIONS]

    assert sorted(names) == sorted(set(names))


def test_an_answer_with_a_field_that_nobody_tells_of_is_found(bridge: Bridge) -> None:
    answers = Answers(document_of(bridge))
    health = {"status": "ok", "version": "0.1.0"}

    assert answers.faults("/healthz", "GET", 200, "application/json", health) == []
    assert answers.faults("/healthz", "GET", 200, "application/json", health | {"more": 1}) != []


def test_the_document_is_kept_until_it_changes(bridge: Bridge) -> None:
    first = bridge.call("GET", "/openapi.json", key=None)

    again = bridge.call("GET", "/openapi.json", key=None, headers={"If-None-Match": first.headers["ETag"]})

    assert "max-age" in first.headers["Cache-Control"]
    assert again.status == 304


def test_the_document_tells_no_secret(everything: Bridge) -> None:
    text = json.dumps(document_of(everything))

    assert not [entry for entry in KEYS.values() if entry.partition(":")[0] in text]


def test_the_times_in_examples_are_of_this_month(bridge: Bridge) -> None:
    """Rokt takes none that are older than 18 months."""
    examples = json.dumps(document_of(bridge)["paths"]["/v1/events"]["post"]["requestBody"])

    assert f"{datetime.now(UTC):%Y-%m}-01T00:00:00Z" in examples


def _tried(bridge: Bridge, answers: Answers, operation: Operation, example: Example) -> list[str]:
    """What is wrong with an example, sent as its line for a shell says."""
    sent = _sent(operation, example)
    answer = bridge.app.test_client().open(sent.pop("url"), **sent)
    if answer.status_code != example.status:
        return [f"answered {answer.status_code}, not {example.status}: {answer.text[:500]}"]
    if "X-Request-Id" not in answer.headers:
        return ["there is no X-Request-Id"]
    media = answer.mimetype or ""
    told = answer.get_json(silent=True) if "json" in media else answer.text or None
    return answers.faults(operation.path, operation.method, answer.status_code, media, told)


def _sent(operation: Operation, example: Example) -> dict[str, Any]:
    """As curl reads its line, in a shell that knows the key."""
    line = sample_of(operation, example, is_guarded=operation.name != "takeRoktWebhook")["source"]
    line = line.replace(" \\\n  ", " ")  # which a shell does, and shlex does not
    words = shlex.split(line.replace("$BRIDGE_KEY_NAME", "all").replace("$BRIDGE_KEY", secret("all")))
    assert words.pop(0) == "curl"
    sent: dict[str, Any] = {"headers": {}, "method": "GET"}
    while words:
        match words.pop(0):
            case "-X":
                sent["method"] = words.pop(0)
            case "-H":
                name, _, value = words.pop(0).partition(": ")
                sent["headers"][name] = value
            case "-u":
                sent["auth"] = tuple(words.pop(0).split(":"))
            case "-d":
                sent["data"] = words.pop(0).encode()
                sent["headers"].setdefault("Content-Type", "application/x-www-form-urlencoded")
            case url:
                sent["url"] = url.removeprefix(HOST)
    if "data" in sent and sent["method"] == "GET":
        sent["method"] = "POST"
    return sent
