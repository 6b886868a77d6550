"""/docs: all of the document for people, with nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest
from web.running import Bridge

from bridge.web.interface.document import operations
from bridge.web.interface.samples import HOST


def test_all_operations_stand_on_the_page(bridge: Bridge) -> None:
    page = page_of(bridge)

    assert [one.name for one in operations() if f'id="{one.name}"' not in page] == []


def test_every_field_of_every_body_stands_on_the_page(bridge: Bridge) -> None:
    page = page_of(bridge)
    schemas = bridge.call("GET", "/openapi.json").body["components"]["schemas"]
    fields = {name for schema in schemas.values() for name in schema.get("properties", ())}

    assert len(fields) > 150
    assert [name for name in fields if f"<code>{name}</code>" not in page] == []


def test_nothing_of_the_page_comes_from_elsewhere_and_nothing_of_it_runs(bridge: Bridge) -> None:
    answer = bridge.app.test_client().get("/docs")
    page, policy = answer.text, answer.headers["Content-Security-Policy"]
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)

    assert style
    its = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; ")
    assert policy.endswith(f"style-src 'sha256-{its}'")
    assert not re.search(r"<script|<link|<img|\ssrc=|\sstyle=|\son[a-z]+=|url\(|@import", page)


def test_what_is_to_be_pasted_goes_to_where_the_page_was_read(bridge: Bridge) -> None:
    page = page_of(bridge, Host="bridge.shop.test:8443")

    assert "http://bridge.shop.test:8443/v1/calendar/events" in page
    assert HOST not in page


@pytest.mark.parametrize("host", ["x.test$(id)", "x.test`id`", "x.test';id;'", "<b>x.test", "x.test id"])
def test_a_host_that_is_none_does_not_reach_a_shell(bridge: Bridge, host: str) -> None:
    page = page_of(bridge, Host=host)

    assert "x.test" not in page


def test_the_page_is_kept_until_it_changes(bridge: Bridge) -> None:
    first = bridge.call("GET", "/docs", key=None)

    again = bridge.call("GET", "/docs", key=None, headers={"If-None-Match": first.headers["ETag"]})

    assert again.status == 304


def page_of(bridge: Bridge, **headers: str) -> str:
    answer = bridge.app.test_client().get("/docs", headers=headers)
    assert answer.status_code in (200, 400)
    return answer.text
