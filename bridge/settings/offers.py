"""Rokt's offers: the variables, and what is said of whoever asks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bridge.errors import InvalidValue, nearest
from bridge.settings.secret import Secret, header
from bridge.settings.variables import Variables

OFFERS_URL = "https://server-api.rokt.com"
INTEGRATION = (  # what Rokt has to know of whoever asks for offers, beside `metadata`
    "name",
    "version",
    "framework",
    "platform",
    "layoutSchemaVersion",
    "deviceLocale",
    "deviceModel",
    "deviceType",
    "operatingSystem",
    "operatingSystemVersion",
    "packageName",
    "packageVersion",
)


@dataclass(frozen=True)
class OffersSettings:
    """Rokt's partner experiences. `integration`: what is laid under a request's own before the bridge's."""

    url: str
    pub_id: str
    secret: Secret
    tag_id: str
    integration: Mapping[str, Any]


def offers(variables: Variables) -> OffersSettings | None:
    is_on = variables.together("ROKT_PUB_ID", "ROKT_SECRET", "ROKT_TAG_ID")
    read = variables.read
    settings = OffersSettings(
        url=variables.address("ROKT_OFFERS_URL", OFFERS_URL),
        pub_id=read("ROKT_PUB_ID", "", header),
        secret=Secret(read("ROKT_SECRET", "", header)),
        tag_id=read("ROKT_TAG_ID", "", header),
        integration=read("ROKT_OFFERS_INTEGRATION", "{}", integration),
    )
    return settings if is_on else None


def integration(text: str) -> Mapping[str, Any]:
    """Some of Rokt's fields of an integration, as JSON. Errors: InvalidValue with all that is wrong."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as wrong:
        where = (
            f": line {wrong.lineno}, column {wrong.colno}" if isinstance(wrong, json.JSONDecodeError) else ""
        )
        raise InvalidValue(f'is not JSON such as {{"deviceLocale": "en-AU"}}{where}') from wrong
    if not isinstance(given, dict):
        raise InvalidValue('is not an object in braces such as {"deviceLocale": "en-AU"}')
    told = []
    for name, value in given.items():
        if name == "metadata":
            is_map = isinstance(value, dict) and all(isinstance(one, str) for one in value.values())
            told += [] if is_map else ["has a metadata that is no object of texts"]
        elif name not in INTEGRATION:
            near = nearest(name[:60], (*INTEGRATION, "metadata"), 1)
            meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(INTEGRATION)} and metadata"
            told.append(f"has the unknown {name[:60]!r}; {meant}")
        elif not isinstance(value, str) or not value.strip():
            told.append(f"has a {name} that is no text in quotes, or blank")
    if told:
        raise InvalidValue(", and ".join(told))
    return given
