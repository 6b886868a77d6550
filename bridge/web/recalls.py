"""Recall of what a template's version has put into calendars: counted, made, by the API and by the console."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from flask import Blueprint, Response, g, jsonify, request

from bridge.calendar import versions
from bridge.database import clock
from bridge.errors import InvalidValue, NotFound
from bridge.ledger import made_by
from bridge.outbox import jobs
from bridge.outbox.reading import Filter
from bridge.recall import ACTIONS
from bridge.routes.incoming import Reader, a_text, meant, plain, shown
from bridge.web.job_making import COUNT_WITHIN
from bridge.web.json_body import read_object
from bridge.web.outcome import flag
from bridge.web.parts import Parts

KEYS = ("version", "action")

log = structlog.get_logger()


@dataclass(frozen=True)
class Counted:
    """`is_whole`: False: there are more, the count was cut short."""

    template: str
    version: int
    action: str
    count: int
    is_whole: bool
    at: datetime


def blueprint(parts: Parts) -> Blueprint:
    takes = Blueprint("recalls", __name__)
    takes.before_request(parts.guard.needs("operate"))

    @takes.post("/v1/templates/<name>/recall")
    def recall(name: str) -> Response:
        body, _ = read_object(request)
        version, action = _read(body)
        only_counts = flag("dry_run")
        what = counted(parts, plain(name), version, action)
        answer: dict[str, Any] = {"count": what.count, "request_id": g.request_id}
        if not what.is_whole:
            answer["is_count_whole"] = False
        if only_counts:
            return jsonify({"dry_run": True} | answer)
        job_id = make(parts, what, by=g.key_name, request_id=g.request_id)
        response = jsonify({"job": job_id} | answer)
        response.status_code = 202
        response.headers["Location"] = f"/v1/jobs/{job_id}"
        return response

    return takes


def counted(parts: Parts, name: str, version: int, action: str) -> Counted:
    """Of the events that are still to come. Errors: NotFound."""
    with parts.database.browse() as connection:
        if versions.version_source(connection, name, version) is None:
            raise NotFound(f"There is no version {version} of a template {name[:60]!r}.")
        now = clock(connection)
        # What stands in a calendar is kept for so long after its end.
        beyond = now + timedelta(days=parts.settings.retention_days)
        found = made_by.count(connection, name, version, beyond, COUNT_WITHIN)
    return Counted(name, version, action, *found, now)


def make(parts: Parts, what: Counted, *, by: str, request_id: str) -> str:
    """Returns the job's id."""
    wanted = Filter(template=what.template, version=what.version)
    told = (what.count, what.is_whole)
    with parts.database.write() as connection:
        job_id = jobs.create_recall(
            connection, wanted, what.action, told, clock(connection), by=by, request_id=request_id
        )
    log.info(
        "job.created",
        job=job_id,
        kind="recall",
        template=what.template,
        version=what.version,
        count=what.count,
    )
    return job_id


def _read(body: Mapping[str, Any]) -> tuple[int, str]:
    reader = Reader()
    version = reader.read("version", _version, body.get("version"))
    action = reader.read("action", _action, body.get("action"))
    reader.refuse_unknown([name for name in body if name not in KEYS], "is not known", KEYS)
    reader.check()
    return version, action


def _version(given: object) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not 1 <= given < 2**31:
        raise InvalidValue("is needed: the number of a version, as `versions` tells them")
    return given


def _action(given: object) -> str:
    action = a_text(given).lower()
    if not action:
        raise InvalidValue(f"is needed: {' or '.join(ACTIONS)}")
    if action not in ACTIONS:
        raise InvalidValue(f"{shown(action)} is no action; {meant(action, ACTIONS)}")
    return action
