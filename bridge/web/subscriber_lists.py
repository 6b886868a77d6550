"""What is known of the subscribers: lists with filters, and counts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any

from flask import Blueprint, Response, jsonify, request

from bridge.errors import InvalidValue
from bridge.ledger.subscribers import STATES, Listed, counts, listing
from bridge.routes.incoming import Reader, meant, plain, shown
from bridge.web.parts import Parts

FILTERS = ("user_id", "subscription_id", "state")
PAGE = ("limit", "cursor")
USUAL, MOST = 50, 200  # in one answer


def blueprint(parts: Parts) -> Blueprint:
    lists = Blueprint("subscriber_lists", __name__)
    lists.before_request(parts.guard.needs("read"))

    @lists.get("/v1/subscribers")
    def list_subscribers() -> Response:
        wanted, limit = _wanted(request.args)
        with parts.database.browse() as connection:
            found = listing(connection, **wanted, limit=limit + 1)
        following = found[limit - 1].subscription.key if len(found) > limit else None
        return jsonify({"subscribers": [_told(one) for one in found[:limit]], "next": following})

    @lists.get("/v1/subscribers/counts")
    def count_subscribers() -> Response:
        with parts.database.browse() as connection:
            return jsonify(counts(connection))

    return lists


def _wanted(query: Mapping[str, str]) -> tuple[dict[str, str], int]:
    """The filters, and how many at most. A blank asks for nothing. Errors: InvalidPayload."""
    reader = Reader()
    known = (*FILTERS, *PAGE)
    reader.refuse_unknown([name for name in query if name not in known], "is no filter", known)
    wanted = {name: plain(value) for name in FILTERS if (value := query.get(name))}
    if "state" in wanted:
        reader.read("state", _state, wanted["state"])
    if cursor := query.get("cursor"):
        wanted["after"] = plain(cursor)
    limit = reader.read("limit", _number, query.get("limit") or str(USUAL), USUAL)
    reader.check()
    return wanted, min(limit, MOST)


def _state(given: str) -> str:
    if given not in STATES:
        raise InvalidValue(f"{shown(given)} is no state; {meant(given, STATES)}")
    return given


def _number(given: str) -> int:
    if not (given.isascii() and given.isdigit() and len(given) < 10 and int(given)):
        raise InvalidValue("must be a whole number of at least 1")
    return int(given)


def _told(one: Listed) -> dict[str, Any]:
    its = one.subscription
    updated_at = its.updated_at.astimezone(UTC).isoformat(timespec="milliseconds")
    return {
        "subscription_id": its.given_id,
        "user_id": its.subscriber_id,
        "email": its.email,
        "identifier": its.identifier,
        "is_active": its.is_active,
        "facts": its.facts,
        "suffix": its.suffix,
        "data_points_sent": one.sent,
        "data_points_saved": one.saved,
        "updated_at": updated_at.replace("+00:00", "Z"),
    }
