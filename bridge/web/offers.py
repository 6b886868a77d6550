"""POST and GET /v1/offers for Braze's Connected Content; Rokt's own path for apps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

from flask import Blueprint, Response, g, jsonify, request

from bridge.errors import Answerable, InvalidPayload, MalformedJson, NotConfigured, TooLarge
from bridge.metrics import counted
from bridge.offers import PATH, Offers, Reason
from bridge.offers.codes import PAYLOAD, Fault, RequestRefused
from bridge.offers.request import OfferRequest, faults_of, read, read_address
from bridge.web.answered import note
from bridge.web.json_body import read as read_json
from bridge.web.json_body import read_object
from bridge.web.outcome import flag, is_dry_run
from bridge.web.parts import Parts
from bridge.web.problems import problem
from bridge.web.server import LARGE

TAG = "rokt-tag-id"
PASSED_ON = ("rokt-account-id", "rokt-session-id", "etag")
# Rokt's status where it has none; Braze does not count what an app is answered.
STATUS = {Reason.TIMEOUT: 504, Reason.BUSY: 503, Reason.RESTING: 503}
MOST_NAMED = 20  # faults in one answer, which a person reads
RETRY_AFTER = {Reason.BUSY: "1", Reason.RESTING: "10"}  # seconds

FOUND, THROUGH, INVALID = "found", "passed_on", "invalid"  # as GET /metrics says it
OUTCOMES = (FOUND, THROUGH, INVALID, *map(str, Reason))


def blueprint(parts: Parts) -> Blueprint:
    takes = Blueprint("offers", __name__)
    takes.before_request(parts.guard.needs("send"))
    offers = parts.offers

    @takes.post("/v1/offers")
    def ask() -> Response:
        ours = _configured(offers)
        only_shows = is_dry_run()
        try:
            _check_address()
            body, raw = read_object(request)
            _check_size(raw)
            asked = read(body, request.headers.get(TAG), ours.settings.tag_id, ours.settings.integration)
        except (MalformedJson, InvalidPayload) as wrong:
            return _refused(wrong)
        return _shown(ours, asked.body(), asked.tag_id) if only_shows else _told(ours, asked)

    @takes.get("/v1/offers")
    def ask_by_address() -> Response:
        ours = _configured(offers)
        # Of a name that stands there twice all is looked at.
        query = {name: ",".join(request.args.getlist(name)) for name in request.args if name != "dry_run"}
        try:
            asked = read_address(
                query, request.headers.get(TAG), ours.settings.tag_id, ours.settings.integration
            )
        except RequestRefused as wrong:
            return _refused(wrong)
        return _shown(ours, asked.body(), asked.tag_id) if flag("dry_run") else _told(ours, asked)

    @takes.post(PATH)
    def pass_on() -> Response:
        ours = _configured(offers)
        only_shows = is_dry_run()
        try:
            body, raw = read_json(request)
        except MalformedJson:
            return _as_rokt(400, "BadRequest", [Fault(PAYLOAD, "", "the body is not JSON")])
        _check_size(raw)
        tag = request.headers.get(TAG)
        if faults := faults_of(body, tag):
            is_malformed = faults[0].code == PAYLOAD
            return _as_rokt(*((400, "BadRequest") if is_malformed else (422, "Validation failed")), faults)
        tag_id = (tag or ours.settings.tag_id).strip()
        return _shown(ours, body, tag_id) if only_shows else _passed_on(ours, body, tag_id)

    return takes


def _configured(offers: Offers | None) -> Offers:
    if offers is None:
        raise NotConfigured("Rokt's offers are off: set ROKT_PUB_ID, ROKT_SECRET and ROKT_TAG_ID.")
    return offers


def _check_address() -> None:
    if "@" in unquote(request.query_string.decode("latin-1")):
        raise InvalidPayload(
            "An e-mail address must not stand in a URL, which is logged everywhere: send it in the body."
        )


def _check_size(raw: bytes) -> None:
    """Few large requests are read at a time, so none of them may wait for Rokt."""
    if len(raw) > LARGE:
        raise TooLarge(f"A request for offers may have {LARGE // 1024} KiB at most.")


def _told(offers: Offers, asked: OfferRequest) -> Response:
    told = offers.ask(asked, g.request_id)
    counted.offered(INVALID if told.faults else told.reason or FOUND)
    note(is_found=told.reason is None, reason=told.reason)
    if told.faults:
        return _refused(RequestRefused(told.faults))
    return _json(told.body)


def _json(body: bytes, status: int = 200) -> Response:
    response = Response(body, status, mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"  # it is one user's
    return response


def _refused(wrong: Answerable) -> Response:
    """Rokt's codes beside the fields."""
    faults = wrong.faults if isinstance(wrong, RequestRefused) else [Fault(PAYLOAD, "", wrong.detail)]
    errors = [{"field": one.field, "message": one.message, "code": one.code} for one in faults[:MOST_NAMED]]
    return problem(wrong.status, wrong.title, wrong.detail, errors)


def _shown(ours: Offers, body: object, tag_id: str) -> Response:
    """What would leave, without the credential."""
    headers = {TAG: tag_id, "content-type": "application/json", "accept": "application/json"}
    shown = {"method": "POST", "url": ours.settings.url + PATH, "headers": headers, "body": body}
    return jsonify({"dry_run": True, "requests": [shown], "request_id": g.request_id})


def _passed_on(offers: Offers, body: object, tag_id: str) -> Response:
    answer = offers.pass_on(body, tag_id, g.request_id)
    counted.offered(answer if isinstance(answer, Reason) else THROUGH)
    if isinstance(answer, Reason):
        response = _as_rokt(STATUS.get(answer, 502), f"No answer of Rokt: {answer}", [])
        if answer in RETRY_AFTER:
            response.headers["Retry-After"] = RETRY_AFTER[answer]
        return response
    response = _json(answer.text.encode(), answer.status)
    response.content_type = answer.headers.get("Content-Type", response.content_type)
    for name in PASSED_ON:
        if value := answer.headers.get(name):
            response.headers[name] = value
    if answer.retry_after is not None:
        response.headers["Retry-After"] = answer.headers["Retry-After"]
    return response


def _as_rokt(status: int, title: str, faults: Sequence[Fault]) -> Response:
    """Rokt's own form of an error."""
    errors: list[dict[str, Any]] = [
        {"code": one.code, "message": f"{one.field} {one.message}".strip()} for one in faults
    ]
    response = jsonify({"title": title, "status": status, "success": False, "errors": errors})
    response.status_code = status
    return response
