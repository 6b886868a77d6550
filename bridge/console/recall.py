"""/console/recall: what a template's version has put into calendars, deleted there or made anew, after a look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from bridge.calendar import versions
from bridge.calendar.versions import Past
from bridge.console.history import by
from bridge.console.roles import needs, person
from bridge.errors import FieldError, InvalidPayload, NotFound
from bridge.ledger import made_by
from bridge.ledger.made_by import Made
from bridge.message import Json
from bridge.outbox import recalling
from bridge.outbox.pieces import Refusal
from bridge.recall import ACTIONS, DELETE, UPDATE, line_of_event
from bridge.rendering import Renderer
from bridge.routes.incoming import plain
from bridge.web.parts import Parts
from bridge.web.recalls import Counted, counted, make

NAV = (("Recall", "recall"),)
EXAMPLES = 5
LOOKED_FOR = 20  # of which some may be over


@dataclass(frozen=True)
class Example:
    """One event as it stands, and as it would. `why`: why it would stay as it is."""

    user_id: str | None
    account_code: str
    stands: Json
    becomes: Json | None = None
    why: str = ""


def register(console: Blueprint, parts: Parts) -> None:
    @console.get("/recall")
    @needs("publisher")
    def recall() -> ResponseReturnValue:
        name = plain(request.args.get("template", ""))
        with parts.database.browse() as connection:
            names = [one.name for one in versions.entries(connection) if not one.is_piece and one.version]
            past = versions.history(connection, name) if name else []
        if name and not past:
            raise NotFound(f"There is no template {name[:60]}.")
        asked = _asked(request.args, past)
        what = counted(parts, name, *asked) if asked else None
        return render_template(
            "recall.html",
            templates=[("", "choose one"), *((one, one) for one in names)],
            name=name,
            numbers=[
                ("", "choose one"),
                *((str(one.version), f"{one.version}, by {by(one)}") for one in past),
            ],
            published=next((one.version for one in past if one.is_published), None),
            version=str(asked[0]) if asked else "",
            action=asked[1] if asked else "",
            what=what,
            examples=_examples(parts, what) if what and what.count else [],
        )

    @console.post("/recall")
    @needs("publisher")
    def recalled() -> ResponseReturnValue:
        name = plain(request.form.get("template", ""))
        with parts.database.browse() as connection:
            past = versions.history(connection, name) if name else []
        asked = _asked(request.form, past)
        if asked is None:
            raise InvalidPayload.of(
                FieldError("version", "choose a template, one of its versions, and what to do")
            )
        what = counted(parts, name, *asked)
        if not what.count and what.is_whole:
            flash("Nothing of it is still to come: nothing was done.", "info")
            return redirect(url_for("console.recall", template=name), 303)
        job_id = make(parts, what, by=person().name, request_id=g.request_id)
        return redirect(url_for("console.job", job_id=job_id), 303)


def _asked(given: Mapping[str, str], past: list[Past]) -> tuple[int, str] | None:
    """Version and action; None while one of them is not chosen."""
    version, action = given.get("version", ""), given.get("action", "")
    if version not in {str(one.version) for one in past} or action not in ACTIONS:
        return None
    return int(version), action


def _examples(parts: Parts, what: Counted) -> list[Example]:
    renderer = Renderer(parts.database, parts.templates, parts.settings.test_subscriptions)
    now = datetime.now(UTC)
    with parts.database.browse() as connection:
        found = made_by.look(connection, what.template, what.version, None, LOOKED_FOR).found
        coming = [one for one in found if datetime.fromisoformat(one.content["end"]) > now][:EXAMPLES]
        lines = [line_of_event(one) for one in coming] if what.action == UPDATE else []
        last = recalling.last_words(connection, lines)
    return [_example(one, what.action, last.get(line_of_event(one)), renderer) for one in coming]


def _example(made: Made, action: str, last: Any, renderer: Renderer) -> Example:
    user_id, account_code = made.user_id, made.place[0]
    if action == DELETE:
        return Example(user_id, account_code, made.content)
    if last is None:
        return Example(user_id, account_code, made.content, why="what Braze sent for it is not kept any more")
    anew = renderer.for_job(*last)
    if isinstance(anew, Refusal):
        return Example(user_id, account_code, made.content, why=anew.reason or anew.cause)
    first = anew[0]
    if not first.request:
        return Example(user_id, account_code, made.content, why=f"its template skips it: {first.reason}")
    return Example(user_id, account_code, made.content, {**made.content, **first.request["event"]})
