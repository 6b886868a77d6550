"""/console/templates/<name>: the editor, its autosave, and how two who edit at once are told."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, flash, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import generate_csrf
from sqlalchemy.engine import Connection

from bridge.calendar import versions
from bridge.calendar.engine import BLOCKS
from bridge.calendar.engine.filters import FILTERS
from bridge.calendar.versions import Draft, DraftConflict
from bridge.calendar.zones import catalogue
from bridge.console import editor_preview, hints, roles
from bridge.console.difference import difference
from bridge.console.editing import check_size, edited, form_of, read_edit, text_of, using
from bridge.console.fetched import answers_a_script, body
from bridge.console.roles import needs
from bridge.database import clock
from bridge.errors import InvalidPayload
from bridge.web.parts import Parts
from bridge.web.server import in_turn

MOST_COPIES = 50
JUST_NOW = 300  # seconds: whoever wrote that lately may still be at it


def register(console: Blueprint, parts: Parts) -> None:
    editor_preview.register(console, parts)

    @console.get("/templates/<name>")
    @needs("viewer")
    def template(name: str) -> ResponseReturnValue:
        with parts.database.browse() as connection:
            text = text_of(connection, name)
            sources = versions.sources(connection)
        return render_template(
            "editor.html",
            text=text,
            form=form_of(name, text.source, sources)[0],
            blocks={block: hints.BLOCKS[block] for block in BLOCKS},
            filters=hints.FILTERS,
            filter_names=sorted(FILTERS),
            types=hints.TYPES,
            filter_help={
                name: (example, told) for group in hints.FILTERS.values() for name, example, told in group
            },
            pieces=sorted(one for one in sources if one.startswith("_") and one != name),
            through=using(name, sources) if text.is_piece else [],
            zones=_zone_names(),
            may_edit=roles.person().may("editor"),
            somebody_else=_somebody_else(text.draft),
            now=datetime.now(UTC),
        )

    @console.get("/templates/<name>/state")
    @needs("viewer")
    def template_state(name: str) -> ResponseReturnValue:
        """Which draft stands: asked every few seconds. The token is for who has signed in anew in another tab."""
        with parts.database.browse() as connection:
            text = text_of(connection, name)
        return jsonify(_state(text.draft) | {"version": text.version, "csrf": generate_csrf()})

    @console.get("/templates/<name>/text")
    @needs("viewer")
    def template_text(name: str) -> ResponseReturnValue:
        with parts.database.browse() as connection:
            text = text_of(connection, name)
        return jsonify(_state(text.draft) | {"source": text.source, "version": text.version})

    @console.put("/templates/<name>/draft")
    @needs("editor")
    @answers_a_script
    def template_saved(name: str) -> ResponseReturnValue:
        """409 with both texts where another draft stands than the one that the page saw."""
        given = body()
        source = edited(name, read_edit(given))
        check_size(source)
        revision = given.get("revision")
        if not (revision is None or (isinstance(revision, int) and 0 < revision < 2**31)):
            raise InvalidPayload("The page sent no revision: load it again.")
        by = roles.person().name
        try:
            with parts.database.write() as connection:
                now = clock(connection)
                draft = versions.save_draft(
                    connection, name, source, now, by=by, origin="console", revision=revision
                )
        except DraftConflict as conflict:
            return _conflict(parts, name, source, conflict)
        return jsonify(_state(draft) | {"source": draft.source})

    @console.post("/templates/<name>/copy")
    @needs("editor")
    @answers_a_script
    def template_copied(name: str) -> ResponseReturnValue:
        """One's own text as a draft with a name of its own."""
        source = edited(name, read_edit(body()))
        by = roles.person().name
        with parts.database.write() as connection:
            free = (_copy_name(name, by, number) for number in range(MOST_COPIES))
            copy = next((one for one in free if not _is_taken(connection, one)), None)
            if copy is None:
                raise InvalidPayload("There are too many copies of this: throw some away first.")
            now = clock(connection)
            versions.save_draft(connection, copy, source, now, by=by, origin="console", revision=None)
        flash(f"Your text is safe as {copy}.", "good")
        return jsonify({"name": copy, "url": url_for("console.template", name=copy)})

    @console.post("/templates/<name>/discard")
    @needs("editor")
    def template_discarded(name: str) -> ResponseReturnValue:
        revision = request.form.get("revision", "")
        with parts.database.write() as connection:
            published = versions.published_source(connection, name)
            is_gone = revision.isdecimal() and versions.discard_draft(connection, name, int(revision[:9]))
        if not is_gone:
            flash("The draft was changed meanwhile: it stays as it is.", "bad")
        elif published is None:
            flash(f"{name} was never published, and is gone.", "good")
            return redirect(url_for("console.templates"), 303)
        else:
            flash(f"The draft is gone. This is version {published[1]}, as it is published.", "good")
        return redirect(url_for("console.template", name=name), 303)


def _conflict(parts: Parts, name: str, mine: str, conflict: DraftConflict) -> ResponseReturnValue:
    with parts.database.browse() as connection:
        published = versions.published_source(connection, name)
    stands = conflict.draft
    theirs = stands.source if stands else (published[0] if published else "")
    if stands is None and theirs == mine:
        return jsonify(_state(None) | {"source": mine})  # just this was published
    lines = in_turn(difference, theirs, mine)
    panel = render_template(
        "_conflict.html",
        draft=stands,
        version=published[1] if published else None,
        is_me=stands is not None and stands.edited_by == roles.person().name,
        theirs=theirs,
        mine=mine,
        lines=lines,
        name=name,
    )
    return jsonify(_state(stands) | {"panel": panel, "theirs": theirs}), 409


def _state(draft: Draft | None) -> dict[str, Any]:
    if draft is None:
        return {"revision": None, "by": "", "at": None, "is_me": False}
    return {
        "revision": draft.revision,
        "by": draft.edited_by or "a file of templates/",
        "at": draft.edited_at.isoformat(),
        "is_me": draft.edited_by == roles.person().name,
    }


def _somebody_else(draft: Draft | None) -> bool:
    if draft is None or not draft.edited_by or draft.edited_by == roles.person().name:
        return False
    return (datetime.now(UTC) - draft.edited_at).total_seconds() < JUST_NOW


def _is_taken(connection: Connection, name: str) -> bool:
    return (
        versions.draft(connection, name) is not None
        or versions.published_source(connection, name) is not None
    )


def _copy_name(name: str, by: str, number: int) -> str:
    whose = "".join(char for char in by.lower().partition("@")[0] if char.isascii() and char.isalnum())[:20]
    rest = f"_{whose or 'copy'}{number + 1 if number else ''}"
    return f"{name[: 63 - len(rest)]}{rest}"


def _zone_names() -> list[str]:
    zones = catalogue()
    iana = {one for zone in zones for one in zone["iana"] if "/" in one and not one.startswith("Etc/")}  # type: ignore[attr-defined]
    return sorted(iana | {"UTC"})
