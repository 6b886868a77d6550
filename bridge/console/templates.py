"""/console/templates: what there is, its state, who was at it last, and what became of its messages of a day."""

from __future__ import annotations

from datetime import timedelta

from flask import Blueprint, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from bridge.calendar import versions
from bridge.calendar.admission import check_name
from bridge.calendar.versions import DraftConflict
from bridge.console import roles
from bridge.console.editing import text_of
from bridge.console.hints import STARTER, STARTER_PIECE
from bridge.console.roles import needs
from bridge.database import clock
from bridge.errors import InvalidPayload, InvalidValue
from bridge.outbox import samples
from bridge.web.parts import Parts

NAV = (("Templates", "templates"),)
A_DAY = timedelta(days=1)
# The pages of one template, in their order: words, and what stands behind its address.
OF_PIECES = ("", "/realdata", "/publish", "/versions")
TABS = (
    ("Edit", ""),
    ("Real data", "/realdata"),
    ("Publish", "/publish"),
    ("Versions", "/versions"),
    ("Send from Braze", "/webhook"),
    ("Test send", "/test-send"),
)


def register(console: Blueprint, parts: Parts) -> None:
    console.add_app_template_global(tabs_of, "tabs_of")

    @console.get("/templates")
    @needs("viewer")
    def templates() -> ResponseReturnValue:
        return _page(parts)

    @console.post("/templates")
    @needs("editor")
    def template_begun() -> ResponseReturnValue:
        """A new draft: from a starter, or with the text of another template."""
        name, like = request.form.get("name", "").strip(), request.form.get("like", "")
        name = name.removesuffix(".jinja")
        try:
            check_name(name)
        except InvalidValue as wrong:
            return _page(parts, name, like, str(wrong)), 422
        try:
            with parts.database.write() as connection:
                if versions.published_source(connection, name) is not None:
                    return _page(parts, name, like, f"There is a template {name} already."), 422
                starter = STARTER_PIECE.replace("NAME", name) if name.startswith("_") else STARTER
                source = text_of(connection, like).source if like else starter
                by = roles.person().name
                versions.save_draft(
                    connection, name, source, clock(connection), by=by, origin="console", revision=None
                )
        except DraftConflict:
            return _page(parts, name, like, f"There is a draft {name} already."), 422
        except InvalidPayload as wrong:
            return _page(parts, name, like, wrong.detail), 422
        flash(f"{name} is begun. Nobody gets anything of it before it is published.", "good")
        return redirect(url_for("console.template", name=name), 303)


def tabs_of(name: str) -> list[tuple[str, str]]:
    """The pages of a template that whoever is signed in may see: words and address."""
    base, views = url_for("console.templates"), current_app.view_functions
    rules = {
        rule.rule: rule.endpoint for rule in current_app.url_map.iter_rules() if "GET" in (rule.methods or ())
    }
    found = []
    for words, rest in TABS:
        endpoint = rules.get(f"{base}/<name>{rest}")
        is_meant = rest in OF_PIECES or not name.startswith("_")
        if endpoint and is_meant and roles.person().may(roles.role_needed(views[endpoint]) or ""):
            found.append((words, f"{base}/{name}{rest}"))
    return found


def _page(parts: Parts, name: str = "", like: str = "", fault: str = "") -> str:
    with parts.database.browse() as connection:
        entries = versions.entries(connection)
        counts = samples.of_templates(connection, clock(connection) - A_DAY)
    return render_template(
        "templates.html",
        templates=[entry for entry in entries if not entry.is_piece],
        pieces=[entry for entry in entries if entry.is_piece],
        counts=counts,
        likes=[(entry.name, f"the text of {entry.name}") for entry in entries],
        name=name,
        like=like,
        fault=fault,
    )
