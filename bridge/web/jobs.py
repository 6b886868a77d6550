"""Jobs over many messages: replay and cancel by a filter; how far they are, and their end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, g, jsonify, request

from bridge.errors import FieldError, InvalidPayload, NotFound
from bridge.outbox import jobs
from bridge.outbox.jobs import POSSIBLE, Kind
from bridge.outbox.reading import Filter
from bridge.routes.incoming import Reader, plain
from bridge.web import filters
from bridge.web.job_making import counted, make_job, stop_job
from bridge.web.json_body import read_object
from bridge.web.outcome import flag
from bridge.web.parts import Parts

OPTIONS = {Kind.REPLAY: ("dry_run", "force", "render"), Kind.CANCEL: ("dry_run",)}


@dataclass(frozen=True)
class _Wish:
    wanted: Filter
    is_dry_run: bool
    force: bool
    is_current: bool


def read_blueprint(parts: Parts) -> Blueprint:
    blueprint = Blueprint("jobs", __name__)
    blueprint.before_request(parts.guard.needs("read"))

    @blueprint.get("/v1/jobs")
    def list_jobs() -> Response:
        with parts.database.browse() as connection:
            return jsonify({"jobs": jobs.listed(connection)})

    @blueprint.get("/v1/jobs/<job_id>")
    def show_job(job_id: str) -> Response:
        return _shown(parts, job_id)

    return blueprint


def operate_blueprint(parts: Parts) -> Blueprint:
    blueprint = Blueprint("jobs_operate", __name__)
    blueprint.before_request(parts.guard.needs("operate"))

    @blueprint.post("/v1/messages/replay")
    def replay_messages() -> Response:
        return _create(parts, Kind.REPLAY)

    @blueprint.post("/v1/messages/cancel")
    def cancel_messages() -> Response:
        return _create(parts, Kind.CANCEL)

    @blueprint.delete("/v1/jobs/<job_id>")
    def end_job(job_id: str) -> Response:
        stop_job(parts, job_id, by=g.key_name, request_id=g.request_id)
        return _shown(parts, job_id)

    return blueprint


def _create(parts: Parts, kind: Kind) -> Response:
    wish = _wish(kind)
    what = counted(parts, kind, wish.wanted)
    answer: dict[str, Any] = {"count": what.count, "request_id": g.request_id}
    if not what.is_whole:
        answer["is_count_whole"] = False
    if wish.is_dry_run:
        return jsonify({"dry_run": True} | answer)
    options = {"force": wish.force, "is_current": wish.is_current}
    job_id = make_job(parts, what, by=g.key_name, request_id=g.request_id, **options)
    response = jsonify({"job": job_id} | answer)
    response.status_code = 202
    response.headers["Location"] = f"/v1/jobs/{job_id}"
    return response


def _wish(kind: Kind) -> _Wish:
    """Options may stand in the body or in the query: one that nobody reads would send what was not to be sent."""
    options = OPTIONS[kind]
    reader = Reader()
    reader.refuse_unknown([name for name in request.args if name not in options], "is no option", options)
    reader.check()
    body, _ = read_object(request)
    wanted = filters.of_job(body, options, POSSIBLE[kind])
    render = body.get("render", request.args.get("render"))
    if render not in (None, "current"):
        raise InvalidPayload.of(FieldError("render", 'must be "current": the version published now'))
    in_body = {name: filters.option(name, body.get(name)) for name in ("dry_run", "force")}
    return _Wish(
        wanted,
        is_dry_run=flag("dry_run") or in_body["dry_run"],
        force=flag("force") or in_body["force"],
        is_current=render == "current",
    )


def _shown(parts: Parts, job_id: str) -> Response:
    with parts.database.browse() as connection:
        found = jobs.one(connection, plain(job_id))
    if found is None:
        raise NotFound("There is no job with this id.")
    return jsonify(found)
