"""What a call was made with does not come back with its answer: vendors echo what they were sent."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import replace
from urllib.parse import quote

from bridge.upstream.answer import Answer

HEADERS = ("Authorization", "rokt-secret")
SHORT = 8  # letters of what may as well be a word of the answer


def without(answer: Answer, headers: Mapping[str, str]) -> Answer:
    """`headers`: of the request."""
    text = answer.text
    for hidden in _credentials(headers):
        if hidden in text:
            text = text.replace(hidden, "[key]")
    return answer if text is answer.text else replace(answer, text=text)


def _credentials(headers: Mapping[str, str]) -> Iterator[str]:
    for name in HEADERS:
        kind, _, given = headers.get(name, "").rpartition(" ")
        told = [given]
        if kind == "Basic":
            told += b64decode(given).decode("utf-8", "replace").split(":", 1)
        for one in told:
            if len(one) >= SHORT:
                yield from {one, json.dumps(one)[1:-1], quote(one, safe="")}
