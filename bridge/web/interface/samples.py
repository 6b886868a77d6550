"""The examples as lines for a shell, to be pasted as they are."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote, urlencode

from bridge.web.interface.operation import FORM, Example, Operation

HOST = "https://bridge.example.com"  # where a page does not know better
KEY, NAME = (
    '"Authorization: Bearer $BRIDGE_KEY"',
    '"$BRIDGE_KEY_NAME:$BRIDGE_KEY"',
)  # the shell's own variables


def sample_of(operation: Operation, example: Example, *, is_guarded: bool) -> Mapping[str, str]:
    """As `x-codeSamples` of a document has it."""
    otherwise = "" if example.status < 300 else f": answered {example.status}"
    return {
        "lang": "Shell",
        "label": example.words + otherwise,
        "source": " \\\n  ".join(_words(operation, example, is_guarded)),
    }


def _words(operation: Operation, example: Example, is_guarded: bool) -> Iterator[str]:
    yield " ".join(["curl", *_method(operation, example), shlex.quote(HOST + _address(operation, example))])
    if operation.media == FORM:
        yield f"-u {NAME} -d {urlencode(example.body)}"
        return
    if is_guarded:
        yield f"-H {KEY}"
    for name, value in example.headers.items():
        yield f"-H {shlex.quote(f'{name}: {value}')}"
    if example.body is not None:
        yield f"-H {shlex.quote(f'Content-Type: {operation.media}')}"
        yield f"-d {shlex.quote(json.dumps(example.body, indent=2, ensure_ascii=False))}"


def _method(operation: Operation, example: Example) -> Sequence[str]:
    """Said where curl would choose another."""
    by_itself = "GET" if example.body is None else "POST"
    return [] if operation.method == by_itself else ["-X", operation.method]


def _address(operation: Operation, example: Example) -> str:
    query = urlencode({**_needed(operation), **example.query})
    return quote(operation.sample_path(example.path)) + (f"?{query}" if query else "")


def _needed(operation: Operation) -> Mapping[str, str]:
    return {
        one.name: one.sample
        for one in operation.parameters
        if one.where == "query" and one.is_needed and one.sample
    }
