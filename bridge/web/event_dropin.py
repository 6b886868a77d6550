"""POST /v2/events and /v2/bulkevents: Rokt's Event API under its own paths, answered as mParticle does.

What names an account is for api.rokt.com, which has the first of these paths too.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from flask import Blueprint, Response, g, jsonify, request

from bridge.errors import Answerable, InvalidPayload
from bridge.outbox.enqueue import Accepted, Request
from bridge.routes import event_dropin, incoming
from bridge.routes.api_events import ACCOUNT_ID
from bridge.routes.event_dropin import NAME, Taken
from bridge.web.answered import note_accepted
from bridge.web.api_events import take_rokts
from bridge.web.conversion_dry_run import dry_run
from bridge.web.conversions import check_configured, message_of, request_of
from bridge.web.json_body import read
from bridge.web.outcome import is_dry_run
from bridge.web.parts import Parts
from bridge.web.problems import of_answerable

MOST_BYTES = 256_000  # of a request, as Rokt's guide says
CALLERS_TO_MEND = (400, 413, 415, 422)  # mParticle has one status for all of them


def blueprint(parts: Parts) -> Blueprint:
    takes = Blueprint("event_dropin", __name__)
    takes.before_request(parts.guard.needs("send"))
    takes.add_url_rule("/v2/events", "one", lambda: _take(parts, event_dropin.read_one), methods=["POST"])
    takes.add_url_rule(
        "/v2/bulkevents", "many", lambda: _take(parts, event_dropin.read_bulk), methods=["POST"]
    )
    takes.register_error_handler(Answerable, _refused)
    return takes


def _take(parts: Parts, reads: Callable[..., list[Taken]]) -> Response:
    body, raw = read(request)
    if isinstance(body, dict) and ACCOUNT_ID in body:
        return take_rokts(parts, body, "V2")
    check_configured(parts.settings)
    if len(raw) > MOST_BYTES:
        raise InvalidPayload(f"The request has {len(raw):,} bytes; {MOST_BYTES:,} are the most.")
    key = incoming.key(request.headers.get("Idempotency-Key")) or None
    only_shows = is_dry_run()
    fills_ref = parts.settings.conversions.fills_confirmation_ref
    taken = reads(body, datetime.now(UTC), fills_ref=fills_ref)
    is_test = incoming.is_test(key)
    if only_shows or is_test:
        stored = [(one.conversion.identity, one.batch) for one in taken]
        return jsonify(dry_run(parts, stored, is_test=is_test) | {"request_id": g.request_id})
    for answer in parts.inbox.accept_all(_requests(parts, taken, key)):
        if not isinstance(answer, Accepted):
            raise answer
        note_accepted(answer)
    response = Response(status=202)
    del response.headers["Content-Type"]  # there is no body to be of one
    return response


def _requests(parts: Parts, taken: list[Taken], key: str | None) -> list[Request]:
    return [
        request_of(
            parts,
            NAME,
            dict(one.batch),
            one.conversion,
            message_of(one.conversion, one.batch),
            key=key,
            repeat=(one.conversion.identity, one.conversion.event_id, str(index), key) if key else (),
        )
        for index, one in enumerate(taken)
    ]


def _refused(error: Answerable) -> Response:
    """In mParticle's own form, where the caller has to mend something."""
    if error.status not in CALLERS_TO_MEND:
        return of_answerable(error)
    words = [f"{one.field}: {one.message}" if one.field else one.message for one in error.errors]
    told = [{"code": "BAD_REQUEST", "message": message} for message in words or [error.detail]]
    response = jsonify({"errors": told[: incoming.MOST_NAMED]})
    response.status_code = 400
    return response
