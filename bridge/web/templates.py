"""The templates: what is published and what is drafted, previews, publication, the history and the way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from flask import Blueprint, Response, g, jsonify, request

from bridge.calendar import versions
from bridge.calendar.admission import MOST_NOTE, check_name, clean_source
from bridge.calendar.event import json_type
from bridge.calendar.previews import Case
from bridge.calendar.versions import DraftConflict, NotPublished, OtherPublished
from bridge.database import clock
from bridge.errors import FieldError, InvalidPayload, InvalidValue, NotFound, nearest
from bridge.outbox.reading import iso
from bridge.routes.incoming import Reader, a_text, an_object, plain
from bridge.settings import CALENDAR_URL
from bridge.web.json_body import read_object
from bridge.web.parts import Parts
from bridge.web.problems import of_answerable
from bridge.web.shown import shown
from bridge.web.template_json import draft_shown, entry_shown, fault_shown, past_shown, shape_shown

log = structlog.get_logger()

# What each body may hold.
DRAFT = ("source", "revision")
PREVIEW = ("source", "variables", "version")
PUBLICATION = ("revision", "note", "over")
ROLLBACK = ("version",)


@dataclass(frozen=True)
class _Text:
    """What is to be looked at. `of`: "source" (it came with the request), "draft" or "published"."""

    of: str
    source: str
    version: int | None = None


def read_blueprint(parts: Parts) -> Blueprint:
    blueprint = Blueprint("templates", __name__)
    blueprint.before_request(parts.guard.needs("read", "templates"))

    @blueprint.get("/v1/templates")
    def list_templates() -> Response:
        with parts.database.browse() as connection:
            found = versions.entries(connection)
        return jsonify({"templates": [entry_shown(one) for one in found]})

    @blueprint.get("/v1/templates/<name>")
    def show_template(name: str) -> Response:
        with parts.database.browse() as connection:
            entry = next((one for one in versions.entries(connection) if one.name == name), None)
            if entry is None:
                raise NotFound(versions.unknown(connection, plain(name)))
            texts = versions.sources(connection)
        published = None
        if entry.version is not None:
            published = {
                "version": entry.version,
                "published_at": iso(entry.published_at),
                "is_suspended": entry.is_suspended,
                "source": texts[name],
                **shape_shown(parts.previews.shape(name, texts)),
            }
        drafted = None
        if entry.draft is not None:
            texts[name] = entry.draft.source
            drafted = draft_shown(entry.draft) | shape_shown(parts.previews.shape(name, texts))
        return jsonify(entry_shown(entry) | {"published": published, "draft": drafted})

    @blueprint.get("/v1/templates/<name>/versions")
    def list_versions(name: str) -> Response:
        with parts.database.browse() as connection:
            found = versions.history(connection, plain(name))
            if not found and versions.draft(connection, plain(name)) is None:
                raise NotFound(versions.unknown(connection, plain(name)))
        return jsonify({"versions": [past_shown(one) for one in found]})

    @blueprint.get("/v1/templates/<name>/versions/<int(max=2147483647):version>")
    def show_version(name: str, version: int) -> Response:
        with parts.database.browse() as connection:
            source = _version_source(connection, plain(name), version)
            [its] = [one for one in versions.history(connection, name) if one.version == version]
        return jsonify(past_shown(its) | {"source": source})

    return blueprint


def write_blueprint(parts: Parts) -> Blueprint:
    blueprint = Blueprint("templates_write", __name__)
    blueprint.before_request(parts.guard.needs("templates"))
    blueprint.register_error_handler(DraftConflict, _told_draft)
    blueprint.register_error_handler(OtherPublished, _told_other)
    blueprint.register_error_handler(NotPublished, _told_faults)

    @blueprint.put("/v1/templates/<name>")
    def save(name: str) -> Response:
        body = _body(DRAFT)
        reader = Reader()
        source = reader.read("source", _source, body.get("source"))
        revision = reader.read("revision", _number, body.get("revision"))
        reader.check()
        with parts.database.write() as connection:
            saved = versions.save_draft(
                connection, name, source, clock(connection), by=g.key_name, origin="api", revision=revision
            )
        log.info("template.saved", template=name, revision=saved.revision)
        with parts.database.browse() as connection:
            texts = versions.sources(connection)
        answer = draft_shown(saved) | {"faults": _faults_of(parts, name, texts | {name: saved.source})}
        if saved.based_on is None and (near := _near(name, texts)):
            answer["warnings"] = [f'"{name}" is new; there is "{near}" already']
        return jsonify(answer | {"request_id": g.request_id})

    @blueprint.delete("/v1/templates/<name>/draft")
    def discard(name: str) -> Response:
        given = request.args.get("revision", "")
        if not (given.isascii() and given.isdigit() and len(given) < 10):
            told = "is needed in the query: the draft's own, as GET gives it"
            raise InvalidPayload.of(FieldError("revision", told))
        wanted = int(given)
        with parts.database.write() as connection:
            if not versions.discard_draft(connection, plain(name), wanted):
                raise DraftConflict(name, versions.draft(connection, plain(name)))
        log.info("template.discarded", template=name, revision=wanted)
        return jsonify({"name": name, "draft": None, "request_id": g.request_id})

    @blueprint.post("/v1/templates/<name>/preview")
    def preview(name: str) -> Response:
        body = _body(PREVIEW)
        reader = Reader()
        source = None if body.get("source") is None else reader.read("source", _source, body["source"])
        version = reader.read("version", _number, body.get("version"))
        given = body.get("variables")
        variables = None if given is None else reader.read("variables", an_object, given)
        if body.get("source") is not None and version is not None:
            reader.refuse("version", "stands beside a source: give one of the two")
        reader.check()
        with parts.database.browse() as connection:
            text = _text(connection, _a_name(name), source, version)
            texts = versions.sources(connection)
        answer = {"name": name, "of": text.of, "version": text.version}
        answer |= _preview(parts, name, texts | {name: text.source}, variables)
        return jsonify(answer | {"request_id": g.request_id})

    @blueprint.post("/v1/templates/<name>/publish")
    def publish(name: str) -> Response:
        body = _body(PUBLICATION)
        reader = Reader()
        revision = reader.read("revision", _number, body.get("revision"))
        over = reader.read("over", _number, body.get("over"))
        note = reader.read("note", _note, body.get("note"))
        reader.check()
        version = versions.publish(
            parts.database,
            plain(name),
            by=g.key_name,
            origin="api",
            revision=revision,
            note=note,
            over=over,
            previews=parts.previews,
        )
        return jsonify({"name": name, "version": version, "request_id": g.request_id})

    @blueprint.post("/v1/templates/<name>/rollback")
    def roll_back(name: str) -> Response:
        body = _body(ROLLBACK)
        reader = Reader()
        version = reader.read("version", _number, body.get("version"))
        if version is None and not reader.errors:
            reader.refuse("version", "is needed: the one to publish again; GET …/versions lists them")
        reader.check()
        versions.roll_back(parts.database, plain(name), version, by=g.key_name, previews=parts.previews)
        return jsonify({"name": name, "version": version, "request_id": g.request_id})

    return blueprint


def _text(connection: Any, name: str, source: str | None, version: int | None) -> _Text:
    """What came with the request, else a version, else the draft, else what is published."""
    if source is not None:
        return _Text("source", source)
    if version is not None:
        return _Text("version", _version_source(connection, name, version), version)
    if (stands := versions.draft(connection, name)) is not None:
        return _Text("draft", stands.source)
    if (published := versions.published_source(connection, name)) is not None:
        return _Text("published", *published)
    raise NotFound(versions.unknown(connection, name))


def _version_source(connection: Any, name: str, version: int) -> str:
    source = versions.version_source(connection, name, version)
    if source is None:
        raise NotFound(versions.no_version(connection, name, version))
    return source


def _preview(
    parts: Parts, name: str, texts: Mapping[str, str], variables: Mapping[str, Any] | None
) -> dict[str, Any]:
    """`variables`: without any the examples."""
    if name.startswith("_"):
        return {"variables": {}, "fields": None, "skip": None, "event": None, "requests": []} | {
            "faults": _faults_of(parts, name, texts)
        }
    [case] = parts.previews.render(name, texts, [] if variables is None else [variables], datetime.now(UTC))
    return {
        "variables": case.variables,
        "fields": case.fields,
        "skip": case.skip,
        "event": case.event,
        "requests": _requests(parts, case),
        "faults": [fault_shown(one) for one in case.faults],
        "ms": case.ms,
    }


def _requests(parts: Parts, case: Case) -> list[dict[str, Any]]:
    """The create for an example's account and user, as a dry run shows it."""
    if case.request is None:
        return []
    url = parts.settings.calendar.url if parts.settings.calendar else CALENDAR_URL
    return [shown(case.request["method"], url + case.request["path"], case.request["body"])]


def _faults_of(parts: Parts, name: str, texts: Mapping[str, str]) -> list[dict[str, Any]]:
    """What publishing would refuse of a text itself."""
    if name.startswith("_"):
        fault = parts.previews.shape(name, texts).fault
        return [fault_shown(fault)] if fault else []
    return [
        fault_shown(f)
        for case in parts.previews.render(name, texts, [], datetime.now(UTC))
        for f in case.faults
    ]


def _near(name: str, texts: Mapping[str, str]) -> str | None:
    """What a new name may be a slip of, among templates or among pieces."""
    alike = [one for one in texts if one != name and one.startswith("_") == name.startswith("_")]
    return next(iter(nearest(name, alike, 1)), None)


def _told_draft(conflict: DraftConflict) -> Response:
    return of_answerable(conflict, draft=draft_shown(conflict.draft) if conflict.draft else None)


def _told_other(conflict: OtherPublished) -> Response:
    return of_answerable(conflict, version=conflict.version)


def _told_faults(refusal: NotPublished) -> Response:
    faults = [
        {"message": f.words, "template": f.template, "line": f.line, "field": f.field, "cause": f.cause}
        for f in refusal.faults
    ]
    return of_answerable(refusal, faults=faults)


def _body(known: Sequence[str]) -> dict[str, Any]:
    """The body, which may be missing. Errors: InvalidPayload for a key that nobody reads."""
    is_there = request.content_length or request.headers.get("Transfer-Encoding")
    body = read_object(request)[0] if is_there else {}
    reader = Reader()
    reader.refuse_unknown([name for name in body if name not in known], "is not known here", known)
    reader.check()
    return body


def _source(given: object) -> str:
    if not isinstance(given, str):
        raise InvalidValue(f"must be the template's text in quotes, not {json_type(given)}")
    return clean_source(given)


def _number(given: object) -> int | None:
    if given is None:
        return None
    if not isinstance(given, int) or isinstance(given, bool) or not 0 < given < 2**31:
        raise InvalidValue("must be a whole number, as an earlier answer gave it")
    return given


def _note(given: object) -> str:
    note = a_text(given)
    if len(note) > MOST_NOTE:
        raise InvalidValue(f"has {len(note):,} characters; {MOST_NOTE} are the most")
    return note


def _a_name(name: str) -> str:
    """Of what may not be there yet. Errors: InvalidPayload."""
    try:
        return check_name(name)
    except InvalidValue as wrong:
        raise InvalidPayload.of(FieldError("name", str(wrong))) from wrong
