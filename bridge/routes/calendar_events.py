"""POST /v1/calendar/events: a Braze webhook into calendar messages, by a template, by fields or by a flat body."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from bridge.calendar.engine import Template, TemplateFault
from bridge.calendar.event import FIELDS, parse_fields
from bridge.errors import FieldError, InvalidPayload, InvalidValue, TemplateRefused, nearest
from bridge.routes import incoming
from bridge.routes.incoming import (
    Reader,
    Suffixed,
    a_text,
    account_codes,
    an_object_or_blank,
    event_id,
    is_test,
    meant,
    moment,
    order,
    shown,
    subscription_ids,
    suffixed,
    user_id,
)

ACTIONS = ("create", "update", "upsert", "delete")
KEYS = (
    "template",
    "action",
    "user_id",
    "account_code",
    "subscription_ids",
    "calendar_code",
    "variables",
    "event",
    "as_of",
    "expires",
    "idempotency_key",
    "dispatch_id",
)


class Catalogue(Protocol):
    """The published templates."""

    def published(self, name: str) -> tuple[Template, int]:
        """The template and its version. Errors: TemplateRefused."""

    def cut_off(self, name: str, version: int) -> None:
        """A rendering of this version took too long."""


@dataclass(frozen=True)
class CalendarCall:
    """One request about one event of one user, read and rendered; who holds what is not asked yet.

    `rokt_event_id`: `{event_id}_{user_id}`. `event`: the fields given, in the form that CalendarEvent.of
    completes. `is_whole`: what is not given is meant to be blank, not left as it was. `goes_by_user`: where no
    subscription is given, the user's are meant. `names`: what the caller calls our fields, where that is something
    else.
    """

    action: str
    event_id: str
    user_id: str | None
    rokt_event_id: str
    accounts: tuple[Suffixed, ...]
    subscription_ids: tuple[str, ...]
    calendars: tuple[Suffixed, ...] = ()
    chosen_calendars: tuple[str, ...] | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    is_whole: bool = False
    template: str | None = None
    version: int | None = None
    skip: str | None = None
    as_of: float | None = None
    expires: str | None = None
    idempotency_key: str | None = None
    is_test: bool = False
    goes_by_user: bool = False
    names: Mapping[str, str] = field(default_factory=dict)

    def event(self, base: Mapping[str, Any] | None) -> dict[str, Any]:
        """The given fields, checked; times without a zone of their own are in the last state's.

        Errors: TemplateRefused when a template made them, else InvalidPayload.
        """
        try:
            return parse_fields(self.fields, base=base, prefix="" if self.template else "event.")
        except InvalidPayload as wrong:
            raise self.refusal(wrong) from wrong

    def refusal(self, wrong: InvalidPayload) -> InvalidPayload | TemplateRefused:
        """Whose mistake a wrong event is: the template's, or the caller's."""
        if not self.template:
            return wrong
        errors = [FieldError(e.field, f"{self.template}.jinja gives: {e.message}") for e in wrong.errors]
        return TemplateRefused("wrong event", errors)

    def in_its_names(self, wrong: InvalidPayload) -> InvalidPayload:
        """An error in the words of whoever built the request."""
        return InvalidPayload.of(
            *(FieldError(self.names.get(e.field, e.field), e.message) for e in wrong.errors)
        )

    def expires_at(self, zone_name: str | None) -> datetime | None:
        """`zone_name`: the event's, in which a time without an offset is. Errors: InvalidPayload, TemplateRefused."""
        if not self.expires:
            return None
        try:
            return moment(self.expires, zone_name)
        except InvalidValue as wrong:
            raise self.refusal(InvalidPayload.of(FieldError("expires", str(wrong)))) from wrong


def read(
    body: Mapping[str, Any], catalogue: Catalogue, now: datetime, header_key: str | None
) -> CalendarCall:
    """Read a body and render its template. Errors: InvalidPayload, TemplateRefused."""
    reader = Reader()
    name = reader.read("template", a_text, body.get("template"), "")
    action = reader.read("action", _action, body.get("action"), "create")
    user = reader.read("user_id", user_id, body.get("user_id"), "")
    accounts = reader.read("account_code", account_codes, body.get("account_code"), [])
    ids = reader.read("subscription_ids", subscription_ids, body.get("subscription_ids"), [])
    calendars = reader.read("calendar_code", suffixed, body.get("calendar_code"), [])
    as_of = reader.read("as_of", order, body.get("as_of"))
    expires = reader.read("expires", a_text, body.get("expires"), "")
    key = reader.read("idempotency_key", incoming.key, body.get("idempotency_key"), "") or header_key or ""
    dispatch_id = reader.read("dispatch_id", a_text, body.get("dispatch_id"), "")
    event = dict(reader.read("event", an_object_or_blank, body.get("event"), {}))
    variables = dict(reader.read("variables", an_object_or_blank, body.get("variables"), {}))
    unknown = {k: body[k] for k in body if k not in KEYS}
    if name and event:
        reader.refuse("event", "stands beside a template: give one of the two")
    if variables and not name:
        reader.refuse("template", "is missing: variables are values for a template")
    within = "event." if event else ""  # as the caller calls its fields
    if not name:
        _take_flat(event, unknown, reader)
        its_id = reader.read(f"{within}event_id", event_id, event.pop("event_id", None), "")
    reader.check()
    common: dict[str, Any] = {
        "action": action,
        "user_id": user,
        "accounts": tuple(accounts),
        "subscription_ids": tuple(ids),
        "calendars": tuple(calendars),
        "as_of": as_of,
        "idempotency_key": key or None,
        "is_test": is_test(key, header_key, dispatch_id),
        "goes_by_user": True,
    }
    if name:
        return _rendered(
            name, {**variables, **unknown}, variables.keys() & unknown.keys(), common, expires, catalogue, now
        )
    return CalendarCall(
        event_id=its_id,
        rokt_event_id=f"{its_id}_{user}",
        fields=event,
        is_whole=action == "create",
        expires=expires or None,
        names={f"event.{name}": within + name for name in FIELDS},
        **common,
    )


def _rendered(
    name: str,
    variables: Mapping[str, Any],
    twice: set[str],
    common: Mapping[str, Any],
    expires: str,
    catalogue: Catalogue,
    now: datetime,
) -> CalendarCall:
    if twice:
        raise InvalidPayload.of(*(FieldError(k, "is given twice: once in variables") for k in sorted(twice)))
    template, version = catalogue.published(name)
    user = common["user_id"]
    try:
        if common["action"] == "delete":
            its_id = event_id(template.render_event_id(variables))
            return CalendarCall(
                event_id=its_id,
                rokt_event_id=f"{its_id}_{user}",
                template=name,
                version=version,
                expires=expires or None,
                **common,
            )
        rendered = template.render(variables, now)
    except TemplateFault as fault:
        if fault.cause == "rendering took too long":
            catalogue.cut_off(name, version)
        errors = [FieldError(fault.field, _with_flat_keys(str(fault), fault))]
        raise TemplateRefused(fault.cause, errors) from fault
    except InvalidValue as wrong:
        raise TemplateRefused("wrong event_id", [FieldError("event_id", f"{name}.jinja: {wrong}")]) from wrong
    fields = dict(rendered.fields)
    its_id = fields.pop("event_id", "")
    chosen = fields.pop("calendar", None)
    from_template = fields.pop("expires", None)
    try:
        its_id = event_id(its_id) if rendered.skip is None or its_id else ""
    except InvalidValue as wrong:
        raise TemplateRefused("wrong event_id", [FieldError("event_id", f"{name}.jinja: {wrong}")]) from wrong
    return CalendarCall(
        event_id=its_id,
        rokt_event_id=f"{its_id}_{user}",
        chosen_calendars=tuple(part.strip() for part in chosen.split(",")) if chosen else None,
        fields=fields,
        is_whole=True,
        template=name,
        version=version,
        skip=rendered.skip,
        expires=expires or from_template,
        **common,
    )


def _with_flat_keys(words: str, fault: TemplateFault) -> str:
    """A key of a flat body may be a slip of one of the bridge's own keys as well as of a variable."""
    if fault.cause != "unknown variable":
        return words
    own = nearest(fault.field.removeprefix("variables."), KEYS, 1)
    return f'{words} (the bridge\'s own key that looks most like it is "{own[0]}")' if own else words


def _take_flat(event: dict[str, Any], unknown: Mapping[str, Any], reader: Reader) -> None:
    known = ("event_id", *FIELDS)
    reader.refuse_unknown([k for k in unknown if k not in known], "is not known", (*KEYS, *known))
    reader.refuse_unknown(
        [k for k in event if k not in known], "is no field of an event", known, within="event."
    )
    for key in known:
        if key in unknown and key in event:
            reader.refuse(key, "is given twice: once in event")
        elif key in unknown:
            event[key] = unknown[key]


def _action(given: object) -> str:
    action = a_text(given).lower() or "create"
    if action not in ACTIONS:
        raise InvalidValue(f"{shown(action)} is no action; {meant(action, ACTIONS)}")
    return action
