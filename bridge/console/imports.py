"""/console/import: the body of a Braze webhook becomes a template, compared with what it was, and kept as a draft."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping

import structlog
from flask import Blueprint, Response, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from bridge.calendar import versions
from bridge.calendar.admission import check_name, clean_source
from bridge.calendar.liquid import Imported, LiquidFault, import_liquid
from bridge.calendar.versions import DraftConflict
from bridge.console import roles
from bridge.console.roles import needs
from bridge.database import clock
from bridge.errors import InvalidPayload, InvalidValue
from bridge.web.parts import Parts
from bridge.web.server import aside

NAV = (("From Braze", "import_page"),)
AT_ONCE = 2  # children of one web process; each may take a processor for seconds
# What the template is called while nobody has named it.
UNNAMED = "imported"

_HEADER = re.compile(r"(?m)^([^:\n]*+:).*$")
_KEY = re.compile(r"authorization|token|secret|key", re.IGNORECASE)  # in the name of a header that is one

log = structlog.get_logger()


def register(console: Blueprint, parts: Parts) -> None:
    turns = threading.BoundedSemaphore(AT_ONCE)

    @console.get("/import")
    @needs("viewer")
    def import_page() -> ResponseReturnValue:
        return render_template("import.html", url="", headers="", body="", result="")

    @console.post("/import")
    @needs("viewer")
    def import_tried() -> ResponseReturnValue:
        given = {name: request.form.get(name, "") for name in ("url", "headers", "body")}
        with turns:
            made = aside(_imported, given)
        if isinstance(made, LiquidFault):
            result, status = render_template("_import_fault.html", fault=made), 422
        else:
            result, status = render_template("_imported.html", imported=made, **_unkept(made.source)), 200
        if "HX-Request" in request.headers:
            return make_response(result, status)
        given["headers"] = _without_keys(given["headers"])
        return make_response(render_template("import.html", **given, result=result), status)

    @console.post("/import/keep")
    @needs("editor")
    def import_kept() -> ResponseReturnValue:
        name = request.form.get("name", "").strip().removesuffix(".jinja")
        source = request.form.get("source", "")
        may_replace = request.form.get("replace") == "yes"
        try:
            check_name(name)
            source = clean_source(source)
        except InvalidValue as wrong:
            return _not_kept(source, name, str(wrong))
        if name.startswith("_"):
            return _not_kept(source, name, "A name that begins with _ is a shared piece's, no event's.")
        with parts.database.browse() as connection:
            stands = versions.draft(connection, name)
            published = versions.published_source(connection, name)
        if (stands or published) and not may_replace:
            what = "draft" if stands else "published template"
            return _not_kept(source, name, f"There is a {what} {name} already.", taken=what)
        try:
            with parts.database.write() as connection:
                revision = stands.revision if stands else None
                now, by = clock(connection), roles.person().name
                versions.save_draft(connection, name, source, now, by=by, origin="console", revision=revision)
        except (DraftConflict, InvalidPayload) as wrong:
            return _not_kept(source, name, wrong.detail)
        log.info("template.imported", template=name)
        flash(f"{name} is a draft now. Nobody gets anything of it before it is published.", "good")
        return _go(url_for("console.template_webhook", name=name))


def _imported(given: Mapping[str, str]) -> Imported | LiquidFault:
    """A fault is handed back: what a thread raises is logged with what it was given, and that is anybody's text."""
    try:
        return import_liquid(given["body"], name=UNNAMED, url=given["url"], headers=given["headers"])
    except LiquidFault as fault:
        return fault


def _without_keys(headers: str) -> str:
    return _HEADER.sub(lambda line: f"{line[1]} …" if _KEY.search(line[1]) else line[0], headers)


def _unkept(source: str, name: str = "", fault: str = "", taken: str = "") -> dict[str, str]:
    return {"source": source, "name": name, "fault": fault, "taken": taken}


def _not_kept(source: str, name: str, fault: str, taken: str = "") -> Response:
    result = render_template("_keep.html", **_unkept(source, name, fault, taken))
    if "HX-Request" not in request.headers:
        result = render_template("import.html", url="", headers="", body="", result=result)
    return make_response(result, 422)


def _go(path: str) -> ResponseReturnValue:
    if "HX-Request" not in request.headers:
        return redirect(path, 303)
    response = make_response("", 204)
    response.headers["HX-Redirect"] = path
    return response
