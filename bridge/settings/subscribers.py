"""How what Rokt says of its subscribers is taken in, and which of Braze's profiles is whose."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bridge.errors import InvalidValue
from bridge.settings.secret import Secret
from bridge.settings.variables import Variables, on_off, one_of

LEAST_SECRET = 16  # characters of what stands in the path of Rokt's webhook
ATTRIBUTES = (  # what Rokt Calendar writes into Braze, each as rokt:…
    "account_code",
    "account_id",
    "account_name",
    "calendar_code",
    "calendar_id",
    "calendar_title",
    "country_code",
    "device_name",
    "geo_country",
    "optIn1",
    "optIn2",
    "source",
    "subscriber_email",
    "subscription_id",
    "subscription_method",
    "tags",
)


@dataclass(frozen=True)
class IdentityRule:
    """Which profile of Braze is a subscriber's.

    `subscriber_id`: what Rokt's subscriber id is: external_id, email or alias. `fallback`: the second choice,
    email, alias or "" for none. `merges`: a profile that does not exist yet is made.
    """

    subscriber_id: str = "external_id"
    fallback: str = ""
    merges: bool = True


@dataclass(frozen=True)
class SubscriberSettings:
    """How what Rokt says of its subscribers is taken in. `syncs`: Braze is told; else the ledger alone is kept."""

    webhook_secrets: tuple[Secret, ...]
    rule: IdentityRule
    syncs: bool
    sends_unsubscribe: bool


def subscribers(variables: Variables) -> SubscriberSettings:
    read = variables.read
    fallback = read("ROKT_SUBSCRIBER_FALLBACK", "none", one_of("none", "email", "alias"))
    return SubscriberSettings(
        webhook_secrets=read("ROKT_WEBHOOK_SECRET", "", webhook_secrets),
        rule=IdentityRule(
            subscriber_id=read("ROKT_SUBSCRIBER_ID", "external_id", one_of("external_id", "email", "alias")),
            fallback="" if fallback == "none" else fallback,
            merges=merges(variables),
        ),
        syncs=read("BRAZE_SYNC", "on", on_off),
        sends_unsubscribe=read("BRAZE_UNSUBSCRIBE_EVENT", "on", on_off),
    )


def merges(variables: Variables) -> bool:
    return variables.read("ROKT_SUBSCRIBER_MERGE", "on", on_off)


def webhook_secrets(text: str) -> tuple[Secret, ...]:
    """Two while one is replaced by the other. Errors: InvalidValue that names the entry, never its text."""
    entries = [part.strip() for part in text.split(",") if part.strip()]
    for number, entry in enumerate(entries, 1):
        if len(entry) < LEAST_SECRET or not re.fullmatch(r"[A-Za-z0-9._~-]+", entry):
            raise InvalidValue(
                f"entry {number} is not fit to stand in an address: at least {LEAST_SECRET} letters, digits, "
                "- or _, such as `openssl rand -hex 24` makes"
            )
    return tuple(Secret(entry) for entry in entries)
