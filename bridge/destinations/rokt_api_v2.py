"""Rokt's older event API in its second version, with a pair of keys."""

from __future__ import annotations

from bridge.destinations.rokt_account import read_account
from bridge.destinations.rokt_api import RoktApi
from bridge.settings import RoktApiSettings, Settings
from bridge.settings.declared import Declared, Setup, Words
from bridge.settings.variables import Variables


def _read(variables: Variables) -> Setup[RoktApiSettings] | None:
    account = read_account(variables)
    return Setup(account) if account and account.key else None


def _make(its: RoktApiSettings, settings: Settings, _accept: object) -> RoktApi:
    assert its.key is not None, "without it this is off"
    return RoktApi(its, "V2", its.key, settings.batch, allow_http=settings.is_development)


DECLARED = Declared(
    Words("Rokt conversions (Event API, v2)", "Rokt", "ROKT_API_KEY and ROKT_API_SECRET"), _read, _make
)
