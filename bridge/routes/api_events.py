"""POST /v1/events: an event for Rokt's older API in the bridge's own form and in Rokt's, checked field by field."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from bridge.calendar.event import json_type
from bridge.conversions.api_form import (
    CLICK_ID,
    CONVERSION,
    DESTINATIONS,
    EMAIL,
    EMAIL_SHA256,
    MOST_ID,
    MOST_TYPE,
    USER_ID,
    ApiEvent,
    to_event,
)
from bridge.conversions.conversion import Conversion, Scalar
from bridge.errors import FieldError, InvalidPayload, InvalidValue
from bridge.message import NewMessage
from bridge.routes import conversions, incoming
from bridge.routes.api_pairs import read_pairs
from bridge.routes.conversion_fields import no_raw_address
from bridge.routes.conversions import read_conversion, with_reference
from bridge.routes.incoming import Reader, a_text, identifier, is_test, name_shown, shown

NAME = "events"
ACTION = "event"
LIST = "events"  # in which field many may stand
ACCOUNT_ID = "accountId"  # stands in every body of Rokt's own form
VERSIONS = tuple(DESTINATIONS)
KEYS = (
    "event_id",
    "event_type",
    "event_time",
    "version",
    "object_data",
    "meta_data",
    *(name for name in conversions.KEYS if name != "event_time"),
)
KEYS_OF_MANY = (LIST, "version", "idempotency_key")
KEYS_OF_ROKTS = (ACCOUNT_ID, LIST)
# Rokt's own names of the same.
ROKTS = {
    "clientEventId": "event_id",
    "eventType": "event_type",
    "eventTime": "event_time",
    "objectData": "object_data",
    "metaData": "meta_data",
}
NEEDED = ("clientEventId", "eventType", "eventTime")
# What in objectData tells who it was, read as the fields of a conversion are.
_WHO = {EMAIL: "email", EMAIL_SHA256: "email_sha256", CLICK_ID: "click_id", USER_ID: "user_id"}
NOBODY = (
    "is needed, or email_sha256 or click_id: without one of them Rokt cannot tell whose conversion it is. "
    "If it is blank, this user has no e-mail address in Braze"
)


@dataclass(frozen=True)
class EventCall:
    """`known_by`: what makes another one a repeat of it, nothing where the caller names nothing of the kind.

    `is_named`: by its event's own id.
    """

    event: ApiEvent
    version: str
    user_id: str | None
    identity: str
    known_by: tuple[str, ...]
    is_named: bool
    idempotency_key: str | None
    is_test: bool

    @property
    def message(self) -> NewMessage:
        return message_of(self.event, self.version, self.user_id)


def message_of(event: ApiEvent, version: str, user_id: str | None) -> NewMessage:
    """Each event is a line of its own: Rokt goes by the time that stands in it."""
    return NewMessage(
        destination=DESTINATIONS[version],
        action=ACTION,
        request={"event": event.body()},
        user_id=user_id,
        event_id=event.client_event_id,
        expires_at=event.keep_until,
    )


def read(
    body: Mapping[str, Any],
    now: datetime,
    header_key: str | None,
    *,
    version: str,
    fills_ref: bool = False,
) -> EventCall:
    """One event. `version`: if it names none. `fills_ref`: its transaction id is its reference where it has none.

    Errors: InvalidPayload with all that is wrong.
    """
    reader = Reader()
    version = reader.read("version", lambda given: read_version(given, version), body.get("version"), version)
    event_id = reader.read("event_id", _id, body.get("event_id"))
    event_type = reader.read("event_type", _type, body.get("event_type"), CONVERSION)
    meta_data = read_pairs(reader, "meta_data", body.get("meta_data"))
    _check_hashes(reader, "meta_data", dict(meta_data))
    object_data = dict(read_pairs(reader, "object_data", body.get("object_data")))
    who = {_WHO[name]: object_data.pop(name) for name in _WHO if name in object_data}
    _check_hashes(reader, "object_data", object_data)
    for field in who:
        if body.get(field) not in (None, ""):
            reader.refuse(field, "stands in object_data too: send it once")
    conversion = _with(reader, read_conversion(reader, {**body, **who}, now), object_data)
    key = reader.read("idempotency_key", incoming.key, body.get("idempotency_key"), "") or header_key or ""
    dispatch_id = reader.read("dispatch_id", a_text, body.get("dispatch_id"), "")
    reader.refuse_unknown([name for name in body if name not in KEYS], "is not known", KEYS)
    reader.check()
    if fills_ref:
        conversion = with_reference(conversion)
    try:
        event = to_event(
            conversion, event_id or str(uuid.uuid4()), now, event_type=event_type, meta_data=meta_data
        )
    except InvalidValue as wrong:
        raise InvalidPayload.of(FieldError("attributes", str(wrong))) from wrong
    if event_type == CONVERSION and not event.names_somebody:
        raise InvalidPayload.of(FieldError("email", NOBODY))
    known_by = conversion.known_by if event_type == CONVERSION else ()
    return EventCall(
        event,
        version,
        conversion.user_id,
        conversion.identity,
        ("event", event_type, event_id) if event_id else known_by,
        bool(event_id),
        key or None,
        is_test(key, header_key, dispatch_id),
    )


def read_rokts(item: Mapping[str, Any], now: datetime, header_key: str | None, *, version: str) -> EventCall:
    """One of the events of Rokt's own body. Errors: InvalidPayload, in Rokt's names."""
    reader = Reader()
    reader.refuse_unknown([name for name in item if name not in ROKTS], "is not known", tuple(ROKTS))
    for name in NEEDED:
        if item.get(name) in (None, ""):
            reader.refuse(name, "is needed")
    reader.check()
    try:
        return read({ROKTS[name]: its for name, its in item.items()}, now, header_key, version=version)
    except InvalidPayload as wrong:
        raise InvalidPayload.of(
            *(replace(error, field=_rokts_name(error.field)) for error in wrong.errors)
        ) from wrong


def read_dropin(body: Mapping[str, Any], account_id: str | None) -> list[Any]:
    """The events of Rokt's own body, each still to be read. `account_id`: ours, if it is known.

    Errors: InvalidPayload.
    """
    reader = Reader()
    given = reader.read(ACCOUNT_ID, a_text, body.get(ACCOUNT_ID), "")
    if not given and not reader.errors:
        reader.refuse(ACCOUNT_ID, "is needed")
    elif account_id and given != account_id:
        reader.refuse(ACCOUNT_ID, f"{shown(given)} is not the account of ROKT_ACCOUNT_ID")
    if not isinstance(body.get(LIST), list):
        reader.refuse(LIST, f"must be a list of events, not {json_type(body.get(LIST))}")
    reader.refuse_unknown([name for name in body if name not in KEYS_OF_ROKTS], "is not known", KEYS_OF_ROKTS)
    reader.check()
    return list(body[LIST])


def read_list(body: Mapping[str, Any], header_key: str | None) -> tuple[list[Any], str, str | None]:
    """The items of {"events": […]}, each still to be read, the version of those that name none, and the key.

    Errors: InvalidPayload.
    """
    reader = Reader()
    version = reader.read("version", lambda given: read_version(given, "V1"), body.get("version"), "V1")
    key = reader.read("idempotency_key", incoming.key, body.get("idempotency_key"), "")
    others = [name for name in body if name not in KEYS_OF_MANY]
    reader.refuse_unknown(others, f"stands beside {LIST}, which holds all fields", KEYS_OF_MANY)
    if not isinstance(body[LIST], list):
        reader.refuse(LIST, f"must be a list of events, not {json_type(body[LIST])}")
    reader.check()
    return body[LIST], version, key or header_key


def read_version(given: object, default: str) -> str:
    """Errors: InvalidValue."""
    text = a_text(given).upper()
    if text and text not in VERSIONS:
        raise InvalidValue(f"{shown(a_text(given))} is neither {' nor '.join(sorted(VERSIONS))}")
    return text or default


def _id(given: object) -> str | None:
    """None for a blank one, as Liquid makes of what there is not."""
    if isinstance(given, int) and not isinstance(given, bool):
        given = str(given)
    text = identifier(a_text(given), 4 * MOST_ID)
    if len(text) > MOST_ID:
        raise InvalidValue(f"has {len(text)} characters; {MOST_ID} are the most, as of a UUID")
    return text or None


def _type(given: object) -> str:
    text = identifier(a_text(given), 4 * MOST_TYPE)
    if len(text) > MOST_TYPE:
        raise InvalidValue(f"has {len(text)} characters; {MOST_TYPE} are the most")
    return CONVERSION if text.lower() in ("", CONVERSION) else text


def _check_hashes(reader: Reader, field: str, pairs: Mapping[str, Scalar]) -> None:
    for name, value in pairs.items():
        reader.read(f"{field}.{name_shown(name)}", partial(no_raw_address, name), value)


def _with(reader: Reader, conversion: Conversion, object_data: Mapping[str, Scalar]) -> Conversion:
    """A conversion with what else object_data says of it."""
    taken = {*conversion.user_attributes, *conversion.attributes}
    for name in object_data:
        if name in taken:
            reader.refuse(f"object_data.{name_shown(name)}", "stands beside object_data too: send it once")
    return replace(conversion, attributes={**conversion.attributes, **object_data})


def _rokts_name(field: str) -> str:
    names = {ours: rokts for rokts, ours in ROKTS.items()}
    names |= {ours: f"objectData.{rokts}" for rokts, ours in _WHO.items()}
    ours = next((name for name in names if re.match(rf"{name}\b", field)), "")
    return names[ours] + field[len(ours) :] if ours else field
