"""Rokt's older event API in its first version, with an app's token."""

from __future__ import annotations

from bridge.destinations.rokt_account import read_account
from bridge.destinations.rokt_api import RoktApi
from bridge.settings import RoktApiSettings, Settings
from bridge.settings.declared import Declared, Setup, Words
from bridge.settings.variables import Variables


def _read(variables: Variables) -> Setup[RoktApiSettings] | None:
    account = read_account(variables)
    return Setup(account) if account and account.app else None


def _make(its: RoktApiSettings, settings: Settings, _accept: object) -> RoktApi:
    assert its.app is not None, "without it this is off"
    return RoktApi(its, "V1", its.app, settings.batch, allow_http=settings.is_development)


DECLARED = Declared(
    Words("Rokt conversions (Event API, v1)", "Rokt", "ROKT_APP_ID and ROKT_APP_SECRET"), _read, _make
)
