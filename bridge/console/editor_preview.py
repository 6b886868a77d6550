"""What the editor shows as one types: the form or the text, mistakes, the event, and both sides of each condition."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, jsonify, render_template, request, url_for
from flask.typing import ResponseReturnValue

from bridge.calendar import versions
from bridge.calendar.columns import columns, field_at
from bridge.calendar.engine import TemplateFault
from bridge.calendar.ics import ics
from bridge.calendar.previews import USER, Case, Shape
from bridge.calendar.proof import proof, width
from bridge.console import roles, values
from bridge.console.drawn import Drawn, draw
from bridge.console.editing import Text, check_size, edited, form_of, read_edit, text_of, using
from bridge.console.fetched import answers_a_script, body
from bridge.console.roles import needs
from bridge.errors import InvalidPayload
from bridge.web.parts import Parts
from bridge.web.server import in_turn


@dataclass(frozen=True)
class Asked:
    """`rendered`: whose event is shown; for a piece a template that uses it, None if none does."""

    name: str
    source: str
    sources: Mapping[str, str]
    rendered: str | None
    cases: list[Mapping[str, Any]]
    zone: str
    sender: str


def register(console: Blueprint, parts: Parts) -> None:
    @console.post("/templates/<name>/look")
    @needs("viewer")
    @answers_a_script
    def template_look(name: str) -> ResponseReturnValue:
        """The text with a form's changes, as form, and as the event that it makes."""
        asked = _asked(parts, name)
        shape = parts.previews.shape(name, asked.sources)
        case = _rendered(parts, asked)
        drawn = draw(case.event, asked.zone, asked.sender) if case and case.event else None
        form, fault = form_of(name, asked.source, asked.sources)
        faults = _told(asked, fault, shape, case)
        shown = {"case": case, "drawn": drawn, "asked": asked, "faults": faults}
        fields = dict(case.fields or {}) if case else {}
        return jsonify(
            {
                "source": asked.source,
                "form": form,
                "variables": _variables(shape),
                "faults": faults,
                "fields": fields,
                "widths": {field: width(fields[field]) for field in ("title", "location") if field in fields},
                "calendar": _calendar(case, drawn),
                "ms": case.ms if case else 0,
                "notes": render_template("_preview_notes.html", **shown),
                "when": render_template("_preview_when.html", **shown),
                "phone": render_template("_preview_phone.html", **shown),
                "request": _request_text(case),
            }
        )

    @console.post("/templates/<name>/branches")
    @needs("viewer")
    @answers_a_script
    def template_branches(name: str) -> ResponseReturnValue:
        asked = _asked(parts, name)
        if asked.rendered is None:
            return jsonify({"html": render_template("_branches.html", found=None, asked=asked)})
        found = parts.previews.every_branch(asked.rendered, asked.sources, datetime.now(UTC))
        html = render_template("_branches.html", found=found, asked=asked)
        return jsonify({"html": html, "values": [dict(case.variables) for case in found.cases]})

    @console.post("/templates/<name>/values")
    @needs("viewer")
    @answers_a_script
    def template_values(name: str) -> ResponseReturnValue:
        """Values from where the person says."""
        given = body()
        asked = values.Asked(
            str(given.get("through") or name), str(given.get("text", "")), parts.settings.test_subscriptions
        )
        with parts.database.browse() as connection:
            found = values.find(connection, str(given.get("from", "")), asked)
        return jsonify({"values": found.variables, "words": found.words})

    @console.get("/templates/<name>/recent")
    @needs("viewer")
    def template_recent(name: str) -> ResponseReturnValue:
        with parts.database.browse() as connection:
            found = values.recent(connection, request.args.get("through") or name)
        return render_template("_recent.html", messages=found)

    @console.post("/templates/<name>/event.ics")
    @needs("viewer")
    def template_ics(name: str) -> ResponseReturnValue:
        asked = _asked(parts, name)
        case = _rendered(parts, asked)
        if case is None or case.event is None:
            raise InvalidPayload("There is no event to download: mend the mistakes first.")
        file = in_turn(_ics, case.event)
        response = Response(file, mimetype="text/calendar")
        response.headers["Content-Disposition"] = f'attachment; filename="{asked.rendered}.ics"'
        return response


def _ics(event: Mapping[str, Any]) -> bytes:
    return ics(event, uid=f"{event['event_id']}_{USER}")


def _asked(parts: Parts, name: str) -> Asked:
    given = body()
    with parts.database.browse() as connection:
        text = text_of(connection, name)
        sources = versions.sources(connection)
    source = edited(name, read_edit(given)) if roles.person().may("editor") else text.source
    check_size(source)
    sources[name] = source
    its = given.get("values")
    if not isinstance(its, dict | None):
        raise InvalidPayload("The values are no object.")
    return Asked(
        name,
        source,
        sources,
        _through(text, sources, given.get("through")),
        [] if its is None else [its],
        str(given.get("zone") or "")[:100],
        str(given.get("sender") or "")[:100],
    )


def _through(text: Text, sources: Mapping[str, str], wanted: Any) -> str | None:
    if not text.is_piece:
        return text.name
    users = using(text.name, sources)
    return wanted if wanted in users else next(iter(users), None)


def _rendered(parts: Parts, asked: Asked) -> Case | None:
    if asked.rendered is None:
        return None
    [case] = parts.previews.render(asked.rendered, asked.sources, asked.cases, datetime.now(UTC))
    return case


def _told(
    asked: Asked, form_fault: TemplateFault | None, shape: Shape, case: Case | None
) -> list[dict[str, Any]]:
    """Mistakes and what looks wrong, each with its place, the worst first."""
    if form_fault is not None:  # the words of what reads tags say it better than those of what reads all
        line = form_fault.line
        field = field_at(asked.source, line) or form_fault.field
        return [
            _at(
                asked,
                "refuse",
                asked.name,
                line,
                field,
                form_fault.words,
                *_open_tag(asked.source, form_fault),
            )
        ]
    told = [
        _at(asked, "refuse", fault.template, fault.line, fault.field, fault.words, fault.start, fault.end)
        for fault in ((case.faults if case else ()) or ((shape.fault,) if shape.fault else ()))
    ]
    words = {one["words"] for one in told}
    if case is not None and not told and asked.rendered == asked.name:
        found = proof(asked.name, asked.sources, [case], [], datetime.now(UTC), shape)
        told += [
            _at(asked, one.level, one.template, one.line, one.field, one.words)
            for one in found
            if one.words not in words and (one.template or asked.name) == asked.name
        ]
    return told


def _open_tag(source: str, fault: TemplateFault) -> tuple[int | None, int | None]:
    """The columns of a tag that has no end, up to the next one."""
    named = _NO_END.match(fault.words)
    lines = source.split("\n")
    if named is None or fault.line is None or fault.line > len(lines):
        return None, None
    begin, end = map(re.escape, named.groups())
    found = re.search(rf"{begin}(?:(?!{end}|\{{[%{{#]).)*(?=\{{[%{{#]|\Z)", lines[fault.line - 1])
    return found.span() if found else (None, None)


def _at(
    asked: Asked,
    level: str,
    template: str,
    line: int | None,
    field: str,
    words: str,
    start: int | None = None,
    end: int | None = None,
) -> dict[str, Any]:
    template = template or asked.rendered or asked.name
    if start is None:
        start, end = columns(asked.sources.get(template, ""), line, field, words)
    is_here = template == asked.name
    is_known = not is_here and template in asked.sources
    return {
        "level": level,
        "words": words[:1].upper() + words[1:],
        "line": line,
        "start": start,
        "end": end,
        "field": field,
        "is_here": is_here,
        "template": template,
        "url": url_for("console.template", name=template) if is_known else "",
    }


_NO_END = re.compile(r'"(\{[%{#])" has no "([%}#]\})"')


def _variables(shape: Shape) -> list[dict[str, Any]]:
    return [
        {key: one[key] for key in ("name", "type", "note", "example", "is_declared", "required")}
        for one in shape.variables
    ]


def _calendar(case: Case | None, drawn: Drawn | None) -> dict[str, Any] | None:
    if case is None or case.event is None or drawn is None:
        return None
    its = {"title": case.event["title"], "allDay": case.event["all_day"]}
    return {
        "recipient": its | {"start": drawn.recipient.start, "end": drawn.recipient.end},
        "sender": its | {"start": drawn.sender.start, "end": drawn.sender.end},
    }


def _request_text(case: Case | None) -> str:
    if case is None or case.request is None:
        return ""
    body = json.dumps(case.request["body"], indent=2, ensure_ascii=False)
    return f"{case.request['method']} {case.request['path']}\n\n{body}"
