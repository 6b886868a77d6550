"""/console/templates/<name>/versions: every version that was, what differs, the way back, and into a new draft."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.engine import Connection

from bridge.calendar import versions as store
from bridge.calendar.versions import Draft, DraftConflict, NotPublished, Past
from bridge.console.marked import side_by_side
from bridge.console.roles import needs, person
from bridge.database import clock
from bridge.errors import Conflict, NotFound
from bridge.routes.incoming import plain
from bridge.web.parts import Parts
from bridge.web.server import in_turn

DRAFT = "draft"  # in a version's place
MOST_LISTED = 100  # unless all are asked for
_FROM_NOW_ON = (
    "It changes only what is sent from now on. Events that stand in calendars stay as they are; "
    "Recall is for those."
)


@dataclass(frozen=True)
class Compared:
    """Two texts by their names: a version's number, or DRAFT."""

    old: str
    new: str


def register(console: Blueprint, parts: Parts) -> None:
    @console.get("/templates/<name>/versions")
    @needs("viewer")
    def versions(name: str) -> ResponseReturnValue:
        return _page(parts, plain(name))

    @console.get("/templates/<name>/versions/<int(max=2147483647):version>")
    @needs("viewer")
    def version(name: str, version: int) -> ResponseReturnValue:
        name = plain(name)
        with parts.database.browse() as connection:
            source = _source(connection, name, str(version))
            past = _history(connection, name)
            draft = store.draft(connection, name)
        its = next(one for one in past if one.version == version)
        stands = next((one for one in past if one.is_published), None)
        return render_template(
            "version.html",
            name=name,
            its=its,
            source=source,
            stands=stands,
            draft=draft,
            by=by,
            published_by=published_by,
            from_now_on=_FROM_NOW_ON,
        )

    @console.post("/templates/<name>/versions/<int(max=2147483647):version>/rollback")
    @needs("publisher")
    def rolled_back(name: str, version: int) -> ResponseReturnValue:
        """Refused where another version is published than the one that the page showed."""
        name = plain(name)
        with parts.database.browse() as connection:
            stands = store.published_source(connection, name)
        number = stands[1] if stands else None
        if request.form.get("standing") != str(number or ""):
            told = f"Version {number} was published meanwhile" if number else "Nothing is published any more"
            raise Conflict(f"{told}: nothing was changed. Look at the versions again, then decide.")
        try:
            store.roll_back(parts.database, name, version, by=person().name, previews=parts.previews)
        except NotPublished as refusal:
            return _page(parts, name, refusal=refusal, version=version), 422
        flash(
            f"Version {version} of {name} is published again, live in every process within 2 seconds. {_FROM_NOW_ON}",
            "good",
        )
        return redirect(url_for("console.versions", name=name), 303)

    @console.post("/templates/<name>/versions/<int(max=2147483647):version>/draft")
    @needs("editor")
    def drafted(name: str, version: int) -> ResponseReturnValue:
        name = plain(name)
        try:
            with parts.database.write() as connection:
                source = _source(connection, name, str(version))
                store.save_draft(
                    connection,
                    name,
                    source,
                    clock(connection),
                    by=person().name,
                    origin="console",
                    revision=None,
                )
        except DraftConflict as conflict:
            whose = "Your own draft" if _is_own(conflict.draft) else f"A draft by {_whose(conflict.draft)}"
            flash(
                f"{whose} stands already, and was not touched. Publish it or throw it away first; "
                f"or copy from version {version} what you need.",
                "bad",
            )
            return redirect(url_for("console.version", name=name, version=version), 303)
        flash(f"This draft is version {version}. What is published stays as it is until you publish.", "good")
        return redirect(url_for("console.template", name=name), 303)


def by(past: Past) -> str:
    """Who made a version, and by which way it came."""
    if past.origin == "file":
        return "a file of templates/"
    if past.origin == "api":
        return f"{past.made_by or 'somebody'}, by the API"
    return past.made_by or "somebody"


def published_by(past: Past) -> str:
    """In a sentence that begins with "published"."""
    if not past.published_by and past.origin == "file":
        return "from a file, at a start"
    return f"by {past.published_by or by(past)}"


def _page(parts: Parts, name: str, *, refusal: NotPublished | None = None, version: int | None = None) -> str:
    """`refusal`: why `version` was not published again just now."""
    with parts.database.browse() as connection:
        past = _history(connection, name)
        draft = store.draft(connection, name)
        compared = _compared(past, draft)
        texts = [_source(connection, name, one) for one in (compared.old, compared.new) if one]
    stands = next((one for one in past if one.is_published), None)
    return render_template(
        "versions.html",
        name=name,
        past=past,
        listed=past if "all" in request.args else past[:MOST_LISTED],
        draft=draft,
        stands=stands,
        compared=compared,
        rows=in_turn(side_by_side, *texts) if len(texts) == 2 else [],
        refusal=refusal,
        refused=version,
        by=by,
        published_by=published_by,
        from_now_on=_FROM_NOW_ON,
    )


def _compared(past: list[Past], draft: Draft | None) -> Compared:
    """As the address says; else what is published with the draft, or with the one before it."""
    names = [str(one.version) for one in past]
    if draft is not None:
        names.insert(0, DRAFT)
    old, new = request.args.get("old", ""), request.args.get("new", "")
    if old in names and new in names:
        return Compared(old, new)
    published = next((str(one.version) for one in past if one.is_published), "")
    if draft is not None:
        return Compared(published or DRAFT, DRAFT)
    before = next((one for one in names if published and int(one) < int(published)), published)
    return Compared(before, published)


def _source(connection: Connection, name: str, which: str) -> str:
    """Errors: NotFound."""
    if which == DRAFT:
        stands = store.draft(connection, name)
        if stands is None:
            raise NotFound(f"There is no draft of {name} any more.")
        return stands.source
    source = store.version_source(connection, name, int(which))
    if source is None:
        raise NotFound(store.no_version(connection, name, int(which)))
    return source


def _history(connection: Connection, name: str) -> list[Past]:
    """Errors: NotFound, with the nearest name."""
    past = store.history(connection, name)
    if not past and store.draft(connection, name) is None:
        raise NotFound(store.unknown(connection, name))
    return past


def _is_own(draft: Draft | None) -> bool:
    return draft is not None and draft.edited_by == person().name


def _whose(draft: Draft | None) -> str:
    return (draft.edited_by if draft else "") or "a file of templates/"
