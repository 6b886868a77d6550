"""POST /v1/audiences and /v1/audiences/{list}: people put on a custom audience or taken off it, one or many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from flask import Blueprint, Response, g, request

from bridge.audiences.calls import batches_of, calls_of, limits_of
from bridge.calendar.event import json_type
from bridge.errors import InvalidPayload, NotConfigured
from bridge.outbox.enqueue import Request
from bridge.routes import audiences, incoming
from bridge.routes.audiences import NAME, AudienceUpdate
from bridge.settings import RoktApiSettings, Settings
from bridge.web import changes, lists
from bridge.web.hooks import what_follows
from bridge.web.json_body import read
from bridge.web.outcome import digest, is_dry_run
from bridge.web.parts import Parts
from bridge.web.shown import shown

PATH = "/v1/audiences"
IMPORT = "/v3/import/suppression"
TEST = "a test of Braze: nothing was sent"


def blueprint(parts: Parts) -> Blueprint:
    takes = Blueprint("audiences", __name__)
    takes.before_request(parts.guard.needs("send"))

    @takes.post(f"{PATH}<rest:rest>")
    def take(rest: str) -> Response:
        path_list = audiences.list_in_path(what_follows(PATH, request))
        api = _configured(parts.settings)
        body, _ = read(request)
        key = incoming.key(request.headers.get("Idempotency-Key")) or None
        only_shows = is_dry_run()
        list_of_all = None
        items = body if isinstance(body, list) else None
        if isinstance(body, dict) and "updates" in body:
            items, list_of_all, key = audiences.read_many(body, path_list, key)
        kind = lists.Kind(
            NAME,
            "updates",
            read=lambda item: audiences.read(item, path_list, key, list_of_all),
            dry_run=lambda updates: _dry_run(parts, api, updates),
            request=lambda item, update, index: _request(parts, item, update, key, index),
        )
        if items is not None:
            return lists.take_many(parts, kind, items, only_shows=only_shows)
        if not isinstance(body, dict):
            told = f"The body must be an object in braces, or a list of them, not {json_type(body)}."
            raise InvalidPayload(told)
        return lists.take_one(parts, kind, body, only_shows=only_shows)

    return takes


def _configured(settings: Settings) -> RoktApiSettings:
    """Errors: NotConfigured."""
    api = settings.rokt_api
    if api is None or api.key is None:
        told = "ROKT_ACCOUNT_ID, ROKT_API_KEY and ROKT_API_SECRET"
        raise NotConfigured(f"Rokt's custom audiences are off: {told} are not set.")
    return api


def _request(
    parts: Parts, body: dict[str, Any], update: AudienceUpdate, key: str | None, index: int | None
) -> Request:
    """What is kept of it names nobody but in the messages themselves, and hashed where that was asked for."""
    people = [one for change in update.changes for one in change.identifiers]
    repeat = None
    if update.idempotency_key:
        # The header's is of the whole list, in which somebody may be put on, taken off and put on again.
        place = "" if index is None or body.get("idempotency_key") else str(index)
        told = (g.key_name, NAME, update.told["action"], update.told["list"], *people)
        repeat = digest(*told, place, update.idempotency_key)
    made = update.messages()
    asked = changes.request_of(
        parts, NAME, dict(update.told), None, messages=made, key=key, repeat_key=repeat
    )
    return replace(asked, size=sum(map(len, people)))


def _dry_run(parts: Parts, api: RoktApiSettings, updates: Sequence[AudienceUpdate]) -> dict[str, Any]:
    """Exactly what would leave if nothing else waited, without Authorization."""
    limits = limits_of(api.account_id, parts.settings.batch.count, parts.settings.batch.size)
    requests = [
        shown("POST", api.audience_url + IMPORT, call.body(api.account_id))
        for batch in batches_of([change for update in updates for change in update.changes], limits)
        for call in calls_of(batch)
    ]
    told: dict[str, Any] = {"dry_run": True, "requests": requests}
    if any(update.is_test for update in updates):
        told["reason"] = TEST
    return told
