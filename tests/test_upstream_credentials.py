"""What a call was made with does not come back in its answer, however the other side shows it."""

from __future__ import annotations

import json
from base64 import b64encode
from urllib.parse import quote

import pytest

from bridge.upstream.answer import Answer
from bridge.upstream.credentials import without

PAIR = b64encode(b"a-user-of-it:its s/cret+\"'").decode()
BEARER, OURS = "an-opaque/token+of=it", "a-secret-of-offers"


@pytest.mark.parametrize(
    ("headers", "hidden"),
    [
        ({"Authorization": f"Bearer {BEARER}"}, [BEARER]),
        ({"Authorization": f"Basic {PAIR}"}, [PAIR, "a-user-of-it", "its s/cret+\"'"]),
        ({"rokt-secret": OURS}, [OURS]),
    ],
)
def test_it_is_taken_out_in_every_form(headers: dict[str, str], hidden: list[str]) -> None:
    for one in hidden:
        for shown in (one, json.dumps({"told": one}), quote(one, safe="")):
            answer = without(Answer(403, {}, f"<{shown}> is wrong, {shown}", 7), headers)

            assert one not in answer.text
            assert shown not in answer.text
            assert "[key]" in answer.text
            assert (answer.status, answer.ms) == (403, 7)


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": ""}, {"Authorization": "Basic c2FuZGJveDpzYW5kYm94"}]
)
def test_an_answer_without_it_stays_as_it_is(headers: dict[str, str]) -> None:
    answer = Answer(200, {}, '{"sandbox": "a sandbox"}', 7)

    assert without(answer, headers) is answer
