"""The variables of Rokt's partner experiences."""

from __future__ import annotations

import json

import pytest

from bridge.errors import SettingsInvalid
from bridge.offers.integration import SERVER_SIDE
from bridge.settings import INTEGRATION, OffersSettings, Secret, Settings

ON = {"ROKT_PUB_ID": "pub-id", "ROKT_SECRET": "r0kt-secret", "ROKT_TAG_ID": "1234567890"}


def faults(**environ: str) -> list[str]:
    with pytest.raises(SettingsInvalid) as refusal:
        Settings.from_env(environ)
    return list(refusal.value.faults)


def integration(text: str) -> str:
    """The one fault of it."""
    [fault] = faults(ROKT_OFFERS_INTEGRATION=text, **ON)
    assert fault.startswith("ROKT_OFFERS_INTEGRATION ")
    return fault


def test_without_them_offers_are_off() -> None:
    assert Settings.from_env({}).offers is None
    assert Settings.from_env({"ROKT_OFFERS_INTEGRATION": "{}"}).offers is None


def test_with_all_three_they_are_on_at_rokts_own_address() -> None:
    expected = OffersSettings(
        "https://server-api.rokt.com", "pub-id", Secret("r0kt-secret"), "1234567890", {}
    )

    assert Settings.from_env(ON).offers == expected


def test_rokts_host_for_tests_is_chosen_by_its_address() -> None:
    offers = Settings.from_env(ON | {"ROKT_OFFERS_URL": "https://server-api-demo.rokt.com/"}).offers

    assert offers is not None
    assert offers.url == "https://server-api-demo.rokt.com"


@pytest.mark.parametrize("url", ["http://server-api.rokt.com", "server-api.rokt.com", "https://x/?a=b"])
def test_an_address_is_whole(url: str) -> None:
    [fault] = faults(ROKT_OFFERS_URL=url, **ON)

    assert fault.startswith("ROKT_OFFERS_URL ")


@pytest.mark.parametrize("name", ON)
def test_each_alone_is_a_fault_that_names_the_others(name: str) -> None:
    others = [other for other in ON if other != name]

    assert faults(**{name: ON[name]}) == [f"{other} is missing: {name} is set" for other in others]


@pytest.mark.parametrize("name", ON)
def test_what_cannot_stand_in_a_header_is_a_fault_that_does_not_show_it(name: str) -> None:
    [fault] = faults(**ON | {name: "two wörds"})

    assert fault.startswith(name)
    assert "wörds" not in fault


def test_the_secret_does_not_show() -> None:
    assert "r0kt-secret" not in repr(Settings.from_env(ON))


def test_an_integration_is_some_of_rokts_fields() -> None:
    given = {"deviceLocale": "en-AU", "metadata": {"a": "b"}}

    offers = Settings.from_env(ON | {"ROKT_OFFERS_INTEGRATION": json.dumps(given)}).offers

    assert offers is not None
    assert offers.integration == given


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "line 1, column 2"),
        ("{'deviceLocale': 'en-AU'}", "line 1, column 2"),
        ("[]", "is not an object in braces"),
        ('{"deviceLocal": "en-AU"}', "the unknown 'deviceLocal'; did you mean deviceLocale?"),
        ('{"colour": "red"}', "the unknown 'colour'; there are name, version"),
        ('{"deviceLocale": 7}', "a deviceLocale that is no text in quotes, or blank"),
        ('{"deviceLocale": " "}', "a deviceLocale that is no text in quotes, or blank"),
        ('{"metadata": {"a": 1}}', "a metadata that is no object of texts"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_a_wrong_integration_is_told_with_what_is_wrong(text: str, words: str) -> None:
    assert words in integration(text)


def test_all_that_is_wrong_in_an_integration_is_told_together() -> None:
    fault = integration('{"deviceLocal": "en-AU", "platform": ""}')

    assert "deviceLocal" in fault
    assert "platform" in fault


def test_the_default_has_every_field() -> None:
    assert tuple(SERVER_SIDE) == INTEGRATION
    assert all(SERVER_SIDE.values())
