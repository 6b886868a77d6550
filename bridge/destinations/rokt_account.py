"""The variables of an account of Rokt's older API, which events and audiences go by."""

from __future__ import annotations

import re

from bridge.errors import InvalidValue
from bridge.settings import Credential, RoktApiSettings
from bridge.settings.secret import api_key, user
from bridge.settings.variables import Variables

URL = "https://api.rokt.com"


def read_account(variables: Variables) -> RoktApiSettings | None:
    url = variables.address("ROKT_API_URL", URL)
    key = _credential(variables, "ROKT_API_KEY", "ROKT_API_SECRET")
    app = _credential(variables, "ROKT_APP_ID", "ROKT_APP_SECRET")
    account_id = variables.read("ROKT_ACCOUNT_ID", "", _account_id)
    others = [name for name in ("ROKT_API_KEY", "ROKT_APP_ID") if variables.text(name)]
    if others and not variables.text("ROKT_ACCOUNT_ID"):
        variables.fault(f"ROKT_ACCOUNT_ID is missing: {others[0]} is set")
    return RoktApiSettings(url, account_id, key, app) if account_id else None


def _credential(variables: Variables, name: str, secret_name: str) -> Credential | None:
    is_set = variables.together(name, secret_name)
    client_id = variables.read(name, "", user)
    secret = variables.read(secret_name, "", api_key)
    return Credential(client_id, secret) if is_set else None


def _account_id(text: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]{0,64}", text):
        raise InvalidValue("is not an account's id: up to 64 letters and digits without blanks")
    return text
