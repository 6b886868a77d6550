"""What docs/offers.md says is so."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from bridge import offers
from bridge.offers.answers import Reason
from bridge.offers.codes import CODES
from bridge.offers.flat import first_offer
from bridge.offers.integration import SERVER_SIDE
from bridge.offers.request import read, read_address
from bridge.sandbox.rokt_offers_samples import SAMPLE

PAGE = (Path(__file__).parents[2] / "docs" / "offers.md").read_text("utf-8")
TAGS = re.findall(r"{% connected_content (https://.*?) :(.*) %}", PAGE)


def rendered(text: str, value: str) -> str:
    return re.sub(r"{{\$?.*?}}+", value, text)


def blocks(language: str) -> list[Any]:
    return [json.loads(text) for text in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)]


@pytest.mark.parametrize("value", ["x", ""], ids=["known", "blank"])
def test_the_body_of_the_tag_is_taken_whatever_is_known_of_the_user(value: str) -> None:
    [body] = re.findall(r"{% capture asked %}(.*?){% endcapture %}", PAGE, re.DOTALL)

    request = read(json.loads(rendered(body, value)), None, "1234567890", {})

    assert request.page == "order_confirmation"
    assert bool(request.user_id and request.transaction_id and request.attributes) == bool(value)


def test_every_tag_that_posts_says_that_it_sends_json() -> None:
    posts = [options for _address, options in TAGS if "method post" in options]

    assert len(posts) == 2
    assert all(":content_type application/json" in options for options in posts)


def test_a_tag_that_is_kept_by_its_address_has_one_for_each_user() -> None:
    [address] = [address for address, options in TAGS if ":cache_max_age" in options]

    assert "${user_id}" in address


def test_the_address_of_the_tag_without_a_body_is_taken() -> None:
    [address] = [address for address, options in TAGS if "method post" not in options]

    query = dict(parse_qsl(urlsplit(rendered(address, "x")).query))

    assert read_address(query, None, "1234567890", {}).user_id == "x"


def test_the_tags_go_to_paths_that_there_are() -> None:
    assert {urlsplit(rendered(address, "x")).path for address, _options in TAGS} == {"/v1/offers"}


def test_the_answer_is_the_one_to_rokts_sample() -> None:
    [answer] = [block for block in blocks("json") if "found" in block]

    assert answer["offer"] == first_offer(SAMPLE)


def test_the_default_integration_is_the_bridges() -> None:
    assert SERVER_SIDE in blocks("json")


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_told(reason: Reason) -> None:
    assert f"`{reason}`" in PAGE


@pytest.mark.parametrize("code", CODES)
def test_every_code_is_told(code: str) -> None:
    short = f"…{code.removeprefix('Integration').removesuffix('NotProvided')}…"

    assert f"`{code}`" in PAGE or f"`{short}`" in PAGE


def test_its_numbers_are_the_codes() -> None:
    assert f"{offers.MOST_WAITING} requests of one process" in PAGE
    assert f"after {offers.ANSWERS_WITHIN} s at the latest" in PAGE
    assert f"within {offers.PASSED_ON_WITHIN:.0f} s | 504" in PAGE
    first = offers.ANSWERS_WITHIN - offers.TRIED_AGAIN_AFTER - offers.LEAST_TIME
    assert f"within {first:.1f} s |" in PAGE
    assert f"at most {offers.CACHE_BYTES // 2**20} MB in memory" in PAGE
