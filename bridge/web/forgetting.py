"""POST /v1/forget: erases what is kept of one person, after a look at what that is; the command line's too."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from flask import Blueprint, Response, g, jsonify, request

from bridge import hashing
from bridge.database import clock
from bridge.errors import InvalidValue, NotConfigured
from bridge.forget import Forget, Person
from bridge.outbox import jobs, leases
from bridge.outbox.jobs import OPEN, JobState
from bridge.routes.incoming import MOST_USER_ID, Reader, a_text, identifier
from bridge.web import filters
from bridge.web.json_body import read_object
from bridge.web.outcome import flag
from bridge.web.parts import Parts

WHO = ("user_id", "email", "subscription_id")
OPTIONS = ("recall", "force", "dry_run")
MOST_SUBSCRIPTION_ID = 128
WITHIN = 10.0  # seconds; what takes longer a worker goes on with
LOOKS_WITHIN = 5.0  # seconds, of a dry run
CALENDAR_OFF = (
    "Rokt Calendar is off, so nothing can be deleted there: ROKT_CALENDAR_CLIENT_ID and "
    "ROKT_CALENDAR_CLIENT_SECRET are not set."
)

log = structlog.get_logger()


@dataclass(frozen=True)
class Wish:
    person: Person
    recall: bool = False
    force: bool = False
    is_dry_run: bool = False


def blueprint(parts: Parts) -> Blueprint:
    takes = Blueprint("forget", __name__)
    takes.before_request(parts.guard.needs("operate"))

    @takes.post("/v1/forget")
    def forget() -> Response:
        wish = _wish()
        if wish.is_dry_run:
            found, is_whole = looked(parts, wish.person)
            told = {"dry_run": True, "known": is_known(found), "found": found, "request_id": g.request_id}
            return jsonify(told if is_whole else told | {"is_count_whole": False})
        job = forgotten(parts, wish, by=g.key_name, request_id=g.request_id)
        told = {"job": job["id"], "state": job["state"], "forgotten": job["forgotten"]}
        told["request_id"] = g.request_id
        if job["state"] == JobState.DONE:
            return jsonify({"known": is_known(job["forgotten"])} | told)
        response = jsonify(told)
        response.status_code = 202
        response.headers["Location"] = f"/v1/jobs/{job['id']}"
        return response

    return takes


def looked(parts: Parts, person: Person) -> tuple[dict[str, int], bool]:
    """What would go, and whether that is all."""
    return _forget(parts).look(person, LOOKS_WITHIN)


def is_known(counts: Mapping[str, int]) -> bool:
    """Whether something was there of this person, besides what somebody gave."""
    return any(count for name, count in counts.items() if name not in ("users", "addresses"))


def forgotten(parts: Parts, wish: Wish, *, by: str, request_id: str) -> dict[str, Any]:
    """The job, as far as it came within some seconds: a worker does the rest. Errors: NotConfigured."""
    if wish.recall and parts.settings.calendar is None:
        raise NotConfigured(CALENDAR_OFF)
    forget, runner_id = _forget(parts), str(uuid.uuid4())
    until = time.monotonic() + WITHIN
    with parts.database.write() as connection:
        job_id = forget.create(
            connection, wish.person, recall=wish.recall, force=wish.force, by=by, request_id=request_id
        )
        job = leases.lease(connection, jobs.read(connection, job_id), runner_id, clock(connection))
    log.info("job.created", job=job_id, kind="forget")
    while job is not None and job.state in OPEN and time.monotonic() < until:
        with parts.database.read() as connection:
            if forget.is_held_up(connection, job):
                break
        job, seconds = forget.step(job)
        if job is not None and job.state in OPEN:
            time.sleep(seconds)  # others write meanwhile
    if job is not None and job.state in OPEN:
        with parts.database.write() as connection:
            leases.let_go(connection, job)
    with parts.database.browse() as connection:
        shown = jobs.one(connection, job_id)
    assert shown is not None
    return shown


def _forget(parts: Parts) -> Forget:
    return Forget(parts.database, timedelta(days=parts.settings.retention_days))


def _wish() -> Wish:
    """At least one of those who name somebody, and none that is blank: a slip must not mean another person.

    Options may stand in the body or in the query. Errors: InvalidPayload.
    """
    reader = Reader()
    reader.refuse_unknown([name for name in request.args if name not in OPTIONS], "is no option", OPTIONS)
    reader.check()
    body, _ = read_object(request)
    known = (*WHO, *OPTIONS)
    reader.refuse_unknown([name for name in body if name not in known], "is not known", known)
    person = read_person(reader, body)
    reader.check()
    options = {name: filters.option(name, body.get(name)) | flag(name) for name in OPTIONS}
    if options["force"] and not options["recall"]:
        reader.refuse("force", "means something with recall alone: erase though a delete at Rokt failed")
        reader.check()
    return Wish(person, options["recall"], options["force"], options["dry_run"])


def read_person(reader: Reader, body: Mapping[str, Any]) -> Person:
    """Whoever a body or a form names."""
    parsers = {"user_id": _user_id, "email": _email, "subscription_id": _subscription_id}
    given = {name: reader.read(name, parsers[name], body[name]) for name in WHO if name in body}
    if not given and not reader.errors:
        reader.refuse("user_id", "is needed, or email, or subscription_id: whoever is to be forgotten")
    return Person(*((its,) if (its := given.get(name)) else () for name in WHO))


def _user_id(given: object) -> str:
    return identifier(_filled(given), MOST_USER_ID)


def _subscription_id(given: object) -> str:
    return identifier(_filled(given), MOST_SUBSCRIPTION_ID)


def _email(given: object) -> str:
    """What is wrong is not repeated: it may be somebody's address all the same."""
    text = _filled(given)
    if hashing.hash_of(text):
        raise InvalidValue("is a hash: give the address itself, whose hash is looked for too")
    found = hashing.address_of(text)
    if found is None:
        raise InvalidValue("is no e-mail address such as ada@example.com")
    return found


def _filled(given: object) -> str:
    text = a_text(str(given) if isinstance(given, int) and not isinstance(given, bool) else given)
    if not text:
        raise InvalidValue("is blank: say who, or leave it out")
    return text
