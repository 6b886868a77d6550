"""The variables of Rokt's Event API: half of them are a fault at the start, and the environment has no default."""

from __future__ import annotations

import pytest

from bridge.errors import SettingsInvalid
from bridge.rate import Rate
from bridge.settings import ConversionSettings, RoktEventsSettings, Secret, Settings

WHOLE = {
    "ROKT_EVENTS_POD": "eu1",
    "ROKT_EVENTS_KEY": "the-key",
    "ROKT_EVENTS_SECRET": "the-s3cret",
    "ROKT_EVENTS_ENVIRONMENT": "production",
}


def faults(**environ: str) -> list[str]:
    with pytest.raises(SettingsInvalid) as refusal:
        Settings.from_env(environ)
    return list(refusal.value.faults)


def test_all_of_them_make_a_destination() -> None:
    settings = Settings.from_env(WHOLE)

    assert settings.rokt_events == RoktEventsSettings(
        "https://s2s.eu1.mparticle.com/v2", "the-key", Secret("the-s3cret"), "production", Rate(270, "item")
    )
    assert settings.rates == {"rokt_events": Rate(270, "item")}


def test_none_of_them_is_no_destination() -> None:
    settings = Settings.from_env({"ROKT_EVENTS_RATE": "100"})

    assert settings.rokt_events is None
    assert settings.conversions == ConversionSettings("mparticle", fills_confirmation_ref=False)


@pytest.mark.parametrize("missing", WHOLE)
def test_what_is_missing_is_named(missing: str) -> None:
    [told] = faults(**{name: text for name, text in WHOLE.items() if name != missing})

    assert told.startswith(f"{missing} is missing")
    assert "s3cret" not in told


@pytest.mark.parametrize("pod", ["us1", "us2", "eu1", "au1", "US1"])
def test_a_pod_is_a_base_address(pod: str) -> None:
    events = Settings.from_env(WHOLE | {"ROKT_EVENTS_POD": pod}).rokt_events

    assert events is not None
    assert events.url == f"https://s2s.{pod.lower()}.mparticle.com/v2"


def test_an_address_stands_for_a_pod() -> None:
    url = "https://s2s.us1.mparticle.com/v2/"
    events = Settings.from_env(WHOLE | {"ROKT_EVENTS_POD": "", "ROKT_EVENTS_URL": url}).rokt_events

    assert events is not None
    assert events.url == "https://s2s.us1.mparticle.com/v2"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ROKT_EVENTS_POD", "us9"),
        ("ROKT_EVENTS_ENVIRONMENT", "staging"),
        ("ROKT_EVENTS_KEY", "the:key"),
        ("ROKT_EVENTS_SECRET", "two words"),
        ("ROKT_EVENTS_RATE", "fast"),
        ("ROKT_CONVERSIONS", "v3"),
        ("ROKT_CONFIRMATIONREF", "order_id"),
    ],
)
def test_what_is_wrong_is_named(name: str, text: str) -> None:
    [told] = faults(**WHOLE | {name: text})

    assert told.startswith(name)


@pytest.mark.parametrize(
    "url", ["https://s2s.us1.mparticle.com/v2/events", "http://s2s.example.com/v2", "s2s"]
)
def test_so_is_an_address_that_is_none(url: str) -> None:
    [told] = faults(**WHOLE | {"ROKT_EVENTS_POD": "", "ROKT_EVENTS_URL": url})

    assert told.startswith("ROKT_EVENTS_URL")


def test_a_pod_and_an_address_are_one_too_many() -> None:
    [told] = faults(**WHOLE | {"ROKT_EVENTS_URL": "https://s2s.us1.mparticle.com/v2"})

    assert "ROKT_EVENTS_POD and ROKT_EVENTS_URL" in told


def test_the_older_api_and_the_reference_are_chosen() -> None:
    chosen = {"ROKT_CONVERSIONS": "v2", "ROKT_CONFIRMATIONREF": "transaction_id"}

    assert Settings.from_env(chosen).conversions == ConversionSettings("v2", fills_confirmation_ref=True)
