"""The environment, read once into one frozen value; every fault of it is reported at once."""

from bridge.settings.console import (
    ROLES,
    ConsoleSettings,
    ConsoleUser,
    OidcSettings,
    console_users,
    oidc_roles,
)
from bridge.settings.environment import BatchSettings, ConversionSettings, Settings
from bridge.settings.inbound import SCOPES, InboundKey, inbound_keys
from bridge.settings.offers import INTEGRATION, OffersSettings
from bridge.settings.secret import Credential, Secret
from bridge.settings.subscribers import ATTRIBUTES, IdentityRule, SubscriberSettings, webhook_secrets
from bridge.settings.upstreams import (
    CALENDAR_URL,
    BrazeSettings,
    CalendarSettings,
    RoktApiSettings,
    RoktEventsSettings,
    account_key,
)

__all__ = [
    "ATTRIBUTES",
    "CALENDAR_URL",
    "INTEGRATION",
    "ROLES",
    "SCOPES",
    "BatchSettings",
    "BrazeSettings",
    "CalendarSettings",
    "ConsoleSettings",
    "ConsoleUser",
    "ConversionSettings",
    "Credential",
    "IdentityRule",
    "InboundKey",
    "OffersSettings",
    "OidcSettings",
    "RoktApiSettings",
    "RoktEventsSettings",
    "Secret",
    "Settings",
    "SubscriberSettings",
    "account_key",
    "console_users",
    "inbound_keys",
    "oidc_roles",
    "webhook_secrets",
]
