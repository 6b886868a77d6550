"""HTTP Basic: one header, the same with every call."""

from __future__ import annotations

import base64

import pytest
from servers import always, http, scripted_server

from bridge.errors import InvalidValue
from bridge.upstream import Upstream
from bridge.upstream.basic import Basic


def test_a_call_shows_the_pair_and_a_401_is_the_answer() -> None:
    with scripted_server(always(http(401))) as server:
        upstream = Upstream(server.url, Basic("name", "s3cret: with a colon"), allow_http=True)
        answer = upstream.send("POST", "/v2/events", {})
        upstream.close()

    assert answer.status == 401
    [received] = server.received
    encoded = base64.b64encode(b"name:s3cret: with a colon").decode()
    assert received.headers["authorization"] == f"Basic {encoded}"


@pytest.mark.parametrize(
    ("user", "password"), [("", "x"), ("x", ""), ("a:b", "x"), ("näme", "x"), ("x", "sécret"), ("x", "a\nb")]
)
def test_what_no_header_can_hold_is_refused(user: str, password: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        Basic(user, password)

    assert password not in str(refusal.value) or password in ("", "x")


def test_the_pair_does_not_show() -> None:
    assert "s3cret" not in repr(Basic("name", "s3cret"))
