"""Rokt's own codes of what a request for offers lacks or has wrong, and the error that carries them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bridge.errors import FieldError, InvalidPayload

# The fifteen of the V2 Partner Experiences API. It has none for a request without attributes.
NOT_PROVIDED = {
    "name": "IntegrationNameNotProvided",
    "version": "IntegrationVersionNotProvided",
    "framework": "IntegrationFrameworkNotProvided",
    "platform": "IntegrationPlatformInvalid",
    "layoutSchemaVersion": "IntegrationLayoutSchemaVersionNotProvided",
    "deviceLocale": "IntegrationDeviceLocaleNotProvided",
    "deviceModel": "IntegrationDeviceModelNotProvided",
    "deviceType": "IntegrationDeviceTypeNotProvided",
    "operatingSystem": "IntegrationOperatingSystemNotProvided",
    "operatingSystemVersion": "IntegrationOperatingSystemVersionNotProvided",
    "packageName": "IntegrationPackageNameNotProvided",
    "packageVersion": "IntegrationPackageVersionNotProvided",
}
PAGE = "PageIdentifierNotProvided"
PARTNER = "PartnerIdNotProvided"
PAYLOAD = "InvalidRequestPayload"
CODES = (*NOT_PROVIDED.values(), PAGE, PARTNER, PAYLOAD)


@dataclass(frozen=True)
class Fault:
    """`field`: as the caller named it."""

    code: str
    field: str
    message: str


class RequestRefused(InvalidPayload):
    """What a request for offers lacks, all of it."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        told = "; ".join(f"{one.field}: {one.message}" if one.field else one.message for one in faults)
        super().__init__(told, [FieldError(one.field, one.message) for one in faults])
        self.faults = tuple(faults)


def not_provided(name: str) -> Fault:
    """Of a field of the integration."""
    return Fault(NOT_PROVIDED[name], f"integration.{name}", "is needed: a text")


def no_page(field: str = "pageIdentifier") -> Fault:
    return Fault(PAGE, field, "is needed: the page of your Rokt account whose offers are asked for")


def told(body: object) -> list[Fault]:
    """What Rokt's own refusal says. Its messages may repeat what was sent, so they are not passed on."""
    errors = body.get("errors") if isinstance(body, dict) else None
    codes = [one.get("code") for one in errors if isinstance(one, dict)] if isinstance(errors, list) else []
    field_of = {code: f"integration.{name}" for name, code in NOT_PROVIDED.items()}
    field_of |= {PAGE: "pageIdentifier", PARTNER: "rokt-tag-id", PAYLOAD: ""}
    return [
        Fault(code, field_of[code], f"Rokt refused this: {code}")
        for code in CODES
        if code in [one for one in codes if isinstance(one, str)]
    ]
