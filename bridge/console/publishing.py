"""/console/templates/<name>/publish: what a draft changes, what is wrong with it, and its publication."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from bridge.calendar import versions
from bridge.calendar.admission import MOST_NOTE
from bridge.calendar.engine import TemplateFault
from bridge.calendar.proof import Finding
from bridge.calendar.versions import DraftConflict, NotPublished, OtherPublished, Past
from bridge.console import history
from bridge.console.editing import check_size
from bridge.console.marked import Row, side_by_side
from bridge.console.roles import needs, person
from bridge.console.trying import change_of, checked, payloads_of, refusals
from bridge.errors import FieldError, InvalidPayload
from bridge.routes.incoming import plain
from bridge.web.parts import Parts
from bridge.web.server import in_turn

LIVE = "It is live in every process within 2 seconds."


def register(console: Blueprint, parts: Parts) -> None:
    history.register(console, parts)

    @console.get("/templates/<name>/publish")
    @needs("editor")
    def publish(name: str) -> ResponseReturnValue:
        return _page(parts, name)

    @console.get("/templates/<name>/publish/checks")
    @needs("editor")
    def publish_checks(name: str) -> ResponseReturnValue:
        """What takes a second or two: proof, and the examples with both texts."""
        with parts.database.browse() as connection:
            change = change_of(connection, plain(name))
            payloads = payloads_of(connection, change)
        found = checked(parts, change, payloads)
        return render_template("_publish_checks.html", change=change, found=found)

    @console.post("/templates/<name>/publish")
    @needs("publisher")
    def published(name: str) -> ResponseReturnValue:
        """Refused where another draft or another version stands than the one that was looked at."""
        name = plain(name)
        revision, over = _number("revision"), _number("over")
        note = request.form.get("note", "").strip()
        if len(note) > MOST_NOTE:
            told = f"it has {len(note):,} characters; {MOST_NOTE} are the most"
            raise InvalidPayload(f"The note is too long: {told}.", [FieldError("note", told)])
        with parts.database.browse() as connection:
            change = change_of(connection, name)
        is_seen = change.text.draft is not None and change.text.revision == revision
        if is_seen and (wrong := refusals(parts, change)):
            return _page(parts, name, note=note, wrong=wrong), 422
        try:
            version = versions.publish(
                parts.database,
                name,
                by=person().name,
                origin="console",
                revision=revision,
                note=note,
                over=over,
                previews=parts.previews,
            )
        except DraftConflict as conflict:
            return _page(parts, name, note=note, conflict=conflict), 409
        except OtherPublished as other:
            return _page(parts, name, note=note, other=other), 409
        except NotPublished as refusal:
            return _page(parts, name, note=note, wrong=[_finding(one) for one in refusal.faults]), 422
        flash(f"Version {version} of {name} is published. {LIVE}", "good")
        return redirect(url_for("console.versions", name=name), 303)


def _page(
    parts: Parts,
    name: str,
    *,
    note: str = "",
    wrong: Sequence[Finding] = (),
    conflict: DraftConflict | None = None,
    other: OtherPublished | None = None,
) -> str:
    """`conflict`, `other`, `wrong`: why it was not published just now."""
    name = plain(name)
    with parts.database.browse() as connection:
        change = change_of(connection, name)
        past = versions.history(connection, name)
    text = change.text
    stands: Past | None = next((one for one in past if one.is_published), None)
    since: list[Row] = []
    seen = request.form.get("seen", "").replace("\r\n", "\n")
    check_size(seen)
    if conflict is not None and conflict.draft is not None and seen:
        since = in_turn(side_by_side, seen, conflict.draft.source)
    is_over = text.draft is not None and text.draft.based_on != text.version
    return render_template(
        "publish.html",
        name=name,
        text=text,
        change=change,
        stands=stands,
        rows=in_turn(side_by_side, text.published or "", text.source) if text.draft else [],
        is_over=is_over,
        wrong=wrong,
        conflict=conflict,
        since=since,
        other=other,
        note=note,
        most_note=MOST_NOTE,
        by=history.by,
    )


def _finding(fault: TemplateFault) -> Finding:
    return Finding("refuse", fault.field, fault.cause, fault.words, fault.line, fault.template)


def _number(field: str) -> int | None:
    """Of a form; what is no number was written by nobody's page."""
    given: Any = request.form.get(field, "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 10 else None
