"""The variables of Rokt's older API: an account, a pair of keys for the second version, an app for the first."""

from __future__ import annotations

import pytest

from bridge.errors import SettingsInvalid
from bridge.rate import Rate
from bridge.settings import Credential, Secret, Settings

ACCOUNT = {"ROKT_ACCOUNT_ID": "1234"}
KEY = {"ROKT_API_KEY": "rpub-1", "ROKT_API_SECRET": "rsec-hidden"}
APP = {"ROKT_APP_ID": "app-1", "ROKT_APP_SECRET": "app-hidden"}


def faults(**environ: str) -> list[str]:
    with pytest.raises(SettingsInvalid) as refusal:
        Settings.from_env(environ)
    return list(refusal.value.faults)


def test_a_pair_turns_on_its_version() -> None:
    both = Settings.from_env(ACCOUNT | KEY | APP)
    second, first = Settings.from_env(ACCOUNT | KEY), Settings.from_env(ACCOUNT | APP)

    assert both.rokt_api is not None
    assert (both.rokt_api.url, both.rokt_api.account_id) == ("https://api.rokt.com", "1234")
    assert both.rokt_api.key == Credential("rpub-1", Secret("rsec-hidden"))
    assert both.rokt_api.app == Credential("app-1", Secret("app-hidden"))
    assert {"rokt_api_v2", "rokt_api_v1"} <= both.rates.keys()
    assert both.rates["rokt_api_v2"] == both.rates["rokt_api_v1"] == Rate()
    assert second.rokt_api is not None
    assert first.rokt_api is not None
    assert (second.rokt_api.app, first.rokt_api.key) == (None, None)
    assert "rokt_api_v1" not in second.rates
    assert "rokt_api_v2" not in first.rates


def test_without_any_it_is_off_and_an_account_alone_is_no_fault() -> None:
    assert Settings.from_env({"ROKT_API_URL": "https://api.example.com"}).rokt_api is None
    assert Settings.from_env(ACCOUNT).rokt_api is None


def test_the_secrets_do_not_show() -> None:
    assert "hidden" not in repr(Settings.from_env(ACCOUNT | KEY | APP))


@pytest.mark.parametrize(
    ("environ", "fault"),
    [
        (ACCOUNT | {"ROKT_API_KEY": "rpub-1"}, "ROKT_API_SECRET is missing: ROKT_API_KEY is set"),
        (ACCOUNT | {"ROKT_API_SECRET": "hidden"}, "ROKT_API_KEY is missing: ROKT_API_SECRET is set"),
        (ACCOUNT | {"ROKT_APP_ID": "app"}, "ROKT_APP_SECRET is missing: ROKT_APP_ID is set"),
        (KEY, "ROKT_ACCOUNT_ID is missing: ROKT_API_KEY is set"),
        (APP | KEY, "ROKT_ACCOUNT_ID is missing: ROKT_API_KEY is set"),
        (APP, "ROKT_ACCOUNT_ID is missing: ROKT_APP_ID is set"),
        (ACCOUNT | KEY | {"ROKT_API_KEY": "rpub:rsec"}, "ROKT_API_KEY holds a colon"),
        (ACCOUNT | KEY | {"ROKT_API_SECRET": "hid den"}, "ROKT_API_SECRET holds a blank"),
        (KEY | {"ROKT_ACCOUNT_ID": "1" * 65}, "ROKT_ACCOUNT_ID is not an account's id"),
        (ACCOUNT | KEY | {"ROKT_API_URL": "http://api.rokt.com"}, "ROKT_API_URL starts with http://"),
    ],
)
def test_what_is_half_set_or_wrong_is_told_by_name_and_never_shown(
    environ: dict[str, str], fault: str
) -> None:
    [told] = faults(**environ)

    assert told.startswith(fault)
    assert "hid" not in told
