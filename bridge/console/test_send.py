"""/console/templates/<name>/test-send: the draft or what is published, into one's own calendar, with the outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from flask import Blueprint, g, render_template, request
from flask.typing import ResponseReturnValue

from bridge.calendar import versions
from bridge.calendar.previews import Case
from bridge.console import reasons, values
from bridge.console.editing import Text, text_of
from bridge.console.roles import needs, person
from bridge.console.try_message import Test, own_subscriptions, planned, removal_of, request_of
from bridge.errors import FieldError, InvalidPayload, NotConfigured, NotFound
from bridge.message import State
from bridge.outbox import reading
from bridge.routes.incoming import plain
from bridge.web.intake import check_credential
from bridge.web.parts import Parts

MOST_LOOKS = 25  # a second apart
MOST_IDS = 20
log = structlog.get_logger()


@dataclass(frozen=True)
class Asked:
    """What the form says. `of`: draft or published. `source`: of the values: "" (the examples), pasted, message."""

    of: str
    to: tuple[str, ...]
    account_code: str
    source: str
    pasted: str
    message: str

    @classmethod
    def read(cls, form: Any) -> Asked:
        return cls(
            form.get("of", "draft"),
            tuple(form.getlist("to")),
            form.get("account_code", "").strip(),
            form.get("source", ""),
            form.get("pasted", ""),
            form.get("message", "").strip(),
        )


def register(console: Blueprint, parts: Parts) -> None:
    @console.get("/templates/<name>/test-send")
    @needs("editor")
    def test_send(name: str) -> ResponseReturnValue:
        if name.startswith("_"):
            raise NotFound("A shared piece makes no event by itself: send a test of a template that uses it.")
        return _page(parts, plain(name))

    @console.post("/templates/<name>/test-send")
    @needs("editor")
    def test_sent(name: str) -> ResponseReturnValue:
        name = plain(name)
        asked = Asked.read(request.form)
        try:
            its = _sent(parts, name, asked)
        except (InvalidPayload, NotConfigured) as wrong:
            its = {"faults": [one.message for one in wrong.errors] or [wrong.detail]}
        status = 422 if its.get("faults") else 200
        if "HX-Request" in request.headers:
            return render_template("_test_outcome.html", name=name, **_OUTCOME | its), status
        return _page(parts, name, asked, its), status

    @console.get("/templates/<name>/test-send/outcome")
    @needs("editor")
    def test_outcome(name: str) -> ResponseReturnValue:
        looks = request.args.get("looks", "0")
        number = int(looks) if looks.isascii() and looks.isdigit() and len(looks) < 4 else MOST_LOOKS
        its = _outcome(parts, plain(name), request.args.getlist("id"), number)
        return render_template("_test_outcome.html", name=plain(name), **_OUTCOME | its)

    @console.post("/templates/<name>/test-send/remove")
    @needs("editor")
    def test_removed(name: str) -> ResponseReturnValue:
        """Takes tests out of the calendars again."""
        name = plain(name)
        with parts.database.browse() as connection:
            found = [
                one
                for one in _tests(connection, name, request.form.getlist("id"))
                if one["state"] == State.DELIVERED and one["action"] == "create"
            ]
        if not found:
            raise InvalidPayload("There is nothing to take out: no test of these is in a calendar.")
        accepted = parts.inbox.accept(removal_of(found, person().name, g.request_id))
        its = _outcome(parts, name, list(accepted.ids), 0)
        return render_template("_test_outcome.html", name=name, **_OUTCOME | its)


def _page(
    parts: Parts, name: str, asked: Asked | None = None, outcome: Mapping[str, Any] | None = None
) -> str:
    with parts.database.browse() as connection:
        text = text_of(connection, name)
        own = own_subscriptions(connection, parts.settings.test_subscriptions)
        recent = values.recent(connection, name)
    return render_template(
        "test_send.html",
        name=name,
        text=text,
        own=own,
        recent=recent,
        asked=asked or Asked("draft" if text.draft else "published", (), "", "", "", ""),
        is_on=parts.settings.calendar is not None,
        **_OUTCOME | dict(outcome or {}),
    )


def _sent(parts: Parts, name: str, asked: Asked) -> dict[str, Any]:
    """Errors: InvalidPayload, NotConfigured."""
    if parts.settings.calendar is None:
        raise NotConfigured("Rokt Calendar is off: whoever runs the bridge sets ROKT_CALENDAR_CLIENT_ID.")
    now = datetime.now(UTC)
    with parts.database.browse() as connection:
        text = text_of(connection, name)
        sources = versions.sources(connection)
        own = own_subscriptions(connection, parts.settings.test_subscriptions)
        given = _values(connection, name, asked)
    to = [one for one in own if one.id in asked.to]
    if not to:
        raise _wrong("to", "Choose at least one subscription.")
    source = _source(text, asked.of)
    case = _rendered(parts, name, {**sources, name: source}, given)
    if case.skip is not None and case.fault is None:
        return {"skip": case.skip, "values": case.variables}
    test = Test(
        name,
        text.version if asked.of == "published" else None,
        case.fields or {},
        case.variables,
        to,
        asked.account_code,
        person().name,
    )
    made = planned(test, now)
    if any(one.state == State.SKIPPED for one in made.messages):
        return {"skip": made.messages[0].reason, "values": case.variables}
    for one in made.requests:
        check_credential(parts, one.account_code)
    accepted = parts.inbox.accept(request_of(test, made.messages, g.request_id))
    log.info("test.sent", template=name, of=asked.of, messages=accepted.ids)
    return _outcome(parts, name, list(accepted.ids), 0) | {
        "warnings": made.warnings,
        "values": case.variables,
    }


def _values(connection: Any, name: str, asked: Asked) -> Mapping[str, Any] | None:
    """None: the examples. Errors: InvalidPayload."""
    if not asked.source:
        return None
    if asked.source not in ("pasted", "message"):
        raise _wrong("source", "Choose whose values it is sent with.")
    text = asked.pasted if asked.source == "pasted" else asked.message
    if asked.source == "message" and not text:
        raise _wrong("message", "Choose a message, or send with the examples.")
    return values.find(connection, asked.source, values.Asked(name, text, frozenset())).variables


def _source(text: Text, of: str) -> str:
    if of == "published":
        if text.published is None:
            raise _wrong("of", "Nothing is published yet: send the draft.")
        return text.published
    if text.draft is None:
        raise _wrong("of", "There is no draft any more: send what is published.")
    return text.draft.source


def _rendered(parts: Parts, name: str, sources: Mapping[str, str], given: Mapping[str, Any] | None) -> Case:
    """Errors: InvalidPayload, with every mistake."""
    [case] = parts.previews.render(name, sources, [] if given is None else [given], datetime.now(UTC))
    if case.faults:
        told = [
            FieldError(one.field, f"{one.template}, line {one.line}: {one.words}" if one.line else one.words)
            for one in case.faults
        ]
        raise InvalidPayload.of(*told)
    return case


def _outcome(parts: Parts, name: str, ids: list[str], looks: int) -> dict[str, Any]:
    with parts.database.browse() as connection:
        found = _tests(connection, name, ids)
    is_settled = all(reading.is_settled(State(one["state"])) for one in found)
    return {
        "messages": found,
        "is_settled": is_settled,
        "looks": looks + 1,
        "is_late": not is_settled and looks >= MOST_LOOKS,
    }


def _tests(connection: Any, name: str, ids: list[str]) -> list[dict[str, Any]]:
    """Those of these messages that are tests of this template sent from here."""
    found = [reading.one(connection, plain(one)) for one in ids[:MOST_IDS]]
    return [one for one in found if one and one["is_test"] and one["template"] == name]


def _wrong(field: str, told: str) -> InvalidPayload:
    return InvalidPayload(told, [FieldError(field, told)])


_OUTCOME: dict[str, Any] = {
    "messages": [],
    "is_settled": True,
    "looks": 0,
    "is_late": False,
    "skip": None,
    "faults": [],
    "warnings": (),
    "values": None,
    "reasons": reasons,
}
