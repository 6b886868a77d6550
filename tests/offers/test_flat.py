"""The first offer of Rokt's answer, flat, in both cases of its names."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from bridge.offers.flat import first_offer
from bridge.sandbox.rokt_offers_samples import EMPTY, SAMPLE

SAMPLE_OFFER = {
    "title": None,
    "copy": "Nicholas Grasevski 2",
    "yes_label": "Yes",
    "yes_url": "http://example.com",
    "no_label": "いいえ、結構です",
    "terms_url": "https://server-api.rokt.com/LegalTerms/TermsAndConditions/2760914349384466797",
    "image_url": None,
    "advertiser": "000. ウィジェットテスト用",
}
NOTHING = dict.fromkeys(SAMPLE_OFFER)


def pascal(value: Any) -> Any:
    """As the tables of Rokt's document write the names."""
    if isinstance(value, dict):
        return {name[:1].upper() + name[1:]: pascal(one) for name, one in value.items()}
    return [pascal(one) for one in value] if isinstance(value, list) else value


def answer_with(*creatives: Any) -> dict[str, Any]:
    """One slot for each."""
    slots = [{"offer": {"creative": creative}} if creative is not ... else {} for creative in creatives]
    return {"plugins": [{"plugin": {"config": {"slots": slots}}}]}


def flat(**creative: Any) -> dict[str, Any]:
    """What is told of one offer, without what it has not."""
    found = first_offer(answer_with(creative))
    assert found is not None
    assert found.keys() == NOTHING.keys()
    return {name: value for name, value in found.items() if value is not None}


def test_the_documents_sample_is_flattened() -> None:
    assert first_offer(SAMPLE) == SAMPLE_OFFER


def test_the_names_of_the_documents_tables_do_as_well() -> None:
    assert first_offer(pascal(SAMPLE)) == SAMPLE_OFFER


def test_the_documents_empty_answer_has_no_offer() -> None:
    assert first_offer(EMPTY) is None


def test_the_first_slot_that_has_an_offer_is_taken() -> None:
    first, second = {"copy": {"creative.copy": "first"}}, {"copy": {"creative.copy": "second"}}

    found = first_offer(answer_with(..., {}, first, second))

    assert found == NOTHING | {"copy": "first"}


def test_an_offer_of_which_nothing_can_be_shown_is_none() -> None:
    blank = {"copy": {"creative.title": " "}, "responseOptionsMap": {"positive": {"url": "javascript:x"}}}

    assert first_offer(answer_with(blank)) is None
    assert first_offer(answer_with(blank, {"copy": {"creative.copy": "y"}})) == NOTHING | {"copy": "y"}


def test_a_later_plugin_is_looked_at_when_the_first_has_no_slot() -> None:
    answer = answer_with({"copy": {"creative.copy": "x"}})
    answer["plugins"].insert(0, {"plugin": {"config": {"slots": []}}})

    assert first_offer(answer) == NOTHING | {"copy": "x"}


def test_title_and_copy_come_from_the_copy() -> None:
    assert flat(copy={"creative.title": "T", "creative.copy": "C"}) == {"title": "T", "copy": "C"}


def test_blank_texts_are_absent_so_that_liquid_takes_them_for_false() -> None:
    assert flat(copy={"creative.title": " ", "creative.copy": "y"}) == {"copy": "y"}


def test_yes_and_no_are_told_by_what_they_say_of_themselves() -> None:
    options = {
        "negative": {
            "isPositive": True,
            "longLabel": "Yes, please",
            "shortLabel": "Yes",
            "url": "https://x.y",
        },
        "positive": {"isPositive": False, "label": "No"},
    }

    assert flat(responseOptionsMap=options) == {
        "yes_label": "Yes, please",
        "yes_url": "https://x.y",
        "no_label": "No",
    }


def test_yes_and_no_are_told_by_their_names_otherwise() -> None:
    options = {"Negative": {"shortLabel": "No"}, "Positive": {"shortLabel": "Yes"}, "other": {"label": "?"}}

    assert flat(ResponseOptionsMap=options) == {"yes_label": "Yes", "no_label": "No"}


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "example.com", "", " ", 7, None])
def test_what_is_no_address_of_the_web_is_none(url: Any) -> None:
    options = {"positive": {"isPositive": True, "longLabel": "Yes", "url": url}}

    assert flat(responseOptionsMap=options) == {"yes_label": "Yes"}


@pytest.mark.parametrize(
    "images",
    [
        {"hero": {"url": "https://x.y/1.png"}},
        {"hero": {"light": "https://x.y/1.png", "dark": "https://x.y/2.png"}},
        {"none": {"alt": "x"}, "hero": {"Url": "https://x.y/1.png"}},
        {"hero": "https://x.y/1.png"},
        [{"src": "https://x.y/1.png"}],
    ],
)
def test_the_first_image_with_an_address_is_taken(images: Any) -> None:
    assert flat(images=images) == {"image_url": "https://x.y/1.png"}


def test_the_advertiser_is_called_by_its_brand() -> None:
    assert flat(advertiser={"name": "Acme Holdings 7", "brand": "Acme"}) == {"advertiser": "Acme"}
    assert flat(advertiser={"name": "Acme"}) == {"advertiser": "Acme"}


PLACES = [
    ("plugins",),
    ("plugins", 0),
    ("plugins", 0, "plugin"),
    ("plugins", 0, "plugin", "config"),
    ("plugins", 0, "plugin", "config", "slots"),
    ("plugins", 0, "plugin", "config", "slots", 0),
    ("plugins", 0, "plugin", "config", "slots", 0, "offer"),
    ("plugins", 0, "plugin", "config", "slots", 0, "offer", "creative"),
]
IN_CREATIVE = ["copy", "responseOptionsMap", "links", "images", "advertiser"]


@pytest.mark.parametrize("odd", [None, 7, "x", [], {}, [None], [[]], {"x": None}], ids=repr)
@pytest.mark.parametrize("place", PLACES, ids=len)
def test_an_answer_of_another_shape_has_no_offer(place: tuple[str | int, ...], odd: Any) -> None:
    answer: Any = copy.deepcopy(SAMPLE)
    holder = answer
    for step in place[:-1]:
        holder = holder[step]
    holder[place[-1]] = odd

    found = first_offer(answer)

    # What is left may still be an offer, one that says nothing.
    assert found is None or found == NOTHING


@pytest.mark.parametrize("odd", [None, 7, "x", [], {}, [None], {"x": None}, {"x": 7}], ids=repr)
@pytest.mark.parametrize("name", IN_CREATIVE)
def test_a_part_of_another_shape_takes_nothing_from_the_rest(name: str, odd: Any) -> None:
    parts: dict[str, Any] = {
        "copy": {"creative.copy": "C"},
        "advertiser": {"brand": "B"},
    }

    assert (
        flat(**{**parts, name: odd}).items()
        >= {key: value for key, value in {"copy": "C", "advertiser": "B"}.items() if key != name}.items()
    )
