"""A stand-in for Rokt's V2 Partner Experiences, as strict as its document."""

from __future__ import annotations

import copy
import uuid
from typing import Any

from bridge.sandbox.http import Reply, Request
from bridge.sandbox.rokt_offers_samples import ACCOUNT_ID, EMPTY, SAMPLE

PATH = "/v2/partner/experiences"
EMPTY_PAGE = "empty"  # pages whose identifier begins so have no offer

# Fields of an integration, each with the code that says it lacks.
INTEGRATION = {
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


class RoktOffers:
    """Any public id and secret are good unless they are given."""

    def __init__(self, pub_id: str | None = None, secret: str | None = None) -> None:
        self._credential = {"rokt-pub-id": pub_id, "rokt-secret": secret}

    def select(self, request: Request) -> Reply:
        for name, right in self._credential.items():
            given = request.headers.get(name, "")
            if not given or (right is not None and given != right):
                return Reply(401)
        if any(request.headers.get(name) != "application/json" for name in ("content-type", "accept")):
            return _malformed()
        try:
            body = request.json()
        except ValueError:
            return _malformed()
        if not isinstance(body, dict) or not _is_formed(body):
            return _malformed()
        if codes := _lacking(body, request.headers.get("rokt-tag-id", "")):
            errors = [{"code": code, "message": f"{code}: is required or invalid"} for code in codes]
            told = {"title": "Validation failed", "status": 422, "success": False, "errors": errors}
            return Reply(422, told)
        session = body.get("sessionId") or str(uuid.uuid4())
        is_empty = body["pageIdentifier"].startswith(EMPTY_PAGE)
        answer = copy.deepcopy(EMPTY if is_empty else SAMPLE) | {"sessionId": session}
        headers = {"rokt-account-id": ACCOUNT_ID, "rokt-session-id": session, "etag": f'W/"{session}"'}
        return Reply(200, answer, headers)


def _malformed() -> Reply:
    error = {"code": "InvalidRequestPayload", "message": "The request body is not of the right form"}
    return Reply(400, {"title": "BadRequest", "status": 400, "success": False, "errors": [error]})


def _is_formed(body: dict[str, Any]) -> bool:
    integration = body.get("integration") or {}
    if not isinstance(integration, dict) or not _is_map(body.get("attributes")):
        return False
    if not all(isinstance(body.get(name) or "", str) for name in ("pageIdentifier", "sessionId")):
        return False
    is_text = all(isinstance(integration.get(name) or "", str) for name in INTEGRATION)
    return is_text and _is_map(integration.get("metadata") or {})


def _is_map(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(one, str) for one in value.values())


def _lacking(body: dict[str, Any], tag_id: str) -> list[str]:
    integration = body.get("integration") or {}
    codes = [code for name, code in INTEGRATION.items() if not integration.get(name)]
    codes += [] if body.get("pageIdentifier") else ["PageIdentifierNotProvided"]
    return codes + ([] if tag_id else ["PartnerIdNotProvided"])
