"""The body of Rokt's Event API as its guide prints it, taken as it is: each of its events is a message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bridge import hashing
from bridge.calendar.event import json_type
from bridge.conversions.api_form import checked_time
from bridge.conversions.batches import MOST_BATCH, MOST_USER_ATTRIBUTES
from bridge.conversions.calls import MOST_BATCHES
from bridge.conversions.conversion import CONFIRMATION_REF, Conversion
from bridge.errors import InvalidValue
from bridge.message import Json
from bridge.routes.conversion_fields import address, attribute_name, no_raw_address, scalar
from bridge.routes.conversions import size_of_batch, with_reference
from bridge.routes.incoming import MOST_NAMED, Reader, a_text, an_object, identifier, name_shown, shown

NAME = "rokt.events"
ENVIRONMENTS = ("development", "production")
KEYS = (
    "environment",
    "user_identities",
    "user_attributes",
    "events",
    "integration_attributes",
    "ip",
    "device_info",
    "application_info",
    "source_info",
    "source_request_id",
    "schema_version",
    "consent_state",
    "mpid",
    "deleted_user_attributes",
    "context",
    "timestamp_unixtime_ms",
)
MOST_IDENTITY = 1_024  # bytes
FIRST_YEAR, LAST_YEAR = 10**12, 10**13  # what thirteen digits are, in milliseconds since 1970


@dataclass(frozen=True)
class Taken:
    """One event of one user: what it says, and the batch that is stored of it."""

    conversion: Conversion
    batch: Json


def read_bulk(body: object, now: datetime, *, fills_ref: bool = False) -> list[Taken]:
    """Batches of users. Errors: InvalidPayload with all that is wrong, for which nothing is taken."""
    reader = Reader()
    taken: list[Taken] = []
    if not isinstance(body, list) or not 1 <= len(body) <= MOST_BATCHES:
        reader.refuse("", f"an array of 1 to {MOST_BATCHES} batches is expected")
    else:
        for index, batch in enumerate(body):
            taken += _read(reader, batch, f"[{index}]", now, fills_ref=fills_ref)
    reader.check()
    return taken


def read_one(body: object, now: datetime, *, fills_ref: bool = False) -> list[Taken]:
    """One batch. Errors: InvalidPayload with all that is wrong."""
    reader = Reader()
    taken = _read(reader, body, "", now, fills_ref=fills_ref)
    reader.check()
    return taken


def _read(reader: Reader, body: object, within: str, now: datetime, *, fills_ref: bool) -> list[Taken]:
    batch = reader.read(within, an_object, body)
    if batch is None:
        return []
    at = f"{within}." if within else ""
    before = len(reader.errors)
    reader.refuse_unknown([name for name in batch if name not in KEYS], "is not known", KEYS, within=at)
    environment = reader.read(f"{at}environment", _environment, batch.get("environment"))
    identities = _identities(reader, batch.get("user_identities"), f"{at}user_identities")
    if (given := batch.get("user_attributes")) is not None:
        attributes = reader.read(f"{at}user_attributes", an_object, given, {})
        _check_attributes(reader, attributes, f"{at}user_attributes", most=MOST_USER_ATTRIBUTES)
    events = reader.read(f"{at}events", _events, batch.get("events"), [])
    read = [_event(reader, event, f"{at}events[{n}]", now) for n, event in enumerate(events)]
    if len(reader.errors) > before:
        return []
    # mParticle writes the time of a batch itself.
    user = {name: its for name, its in batch.items() if name not in ("events", "timestamp_unixtime_ms")}
    user |= {"environment": environment, "user_identities": identities}
    taken = [_taken(user, event, fills_ref=fills_ref) for event in read]
    for number, one in enumerate(taken):
        if (size := size_of_batch(one.batch)) > MOST_BATCH:
            told = f"with its user it has {size:,} bytes; {MOST_BATCH:,} are the most of a batch"
            reader.refuse(f"{at}events[{number}]", told)
    return taken


def _taken(user: Json, event: Json, *, fills_ref: bool) -> Taken:
    identities, data = user["user_identities"], event["data"]
    conversion = Conversion(
        email=identities.get("email"),
        email_sha256=identities.get("other"),
        user_id=identities.get("customerid"),
        click_id=identities.get("other2"),
        attributes=data.get("custom_attributes", {}),
    )
    if fills_ref and (filled := with_reference(conversion)) is not conversion:
        conversion = filled
        event = {**event, "data": {**data, "custom_attributes": dict(filled.attributes)}}
    return Taken(conversion, {**user, "events": [event]})


def _environment(given: object) -> str:
    text = a_text(given)
    if text not in ENVIRONMENTS:
        raise InvalidValue("is needed: development or production")
    return text


def _identities(reader: Reader, given: object, within: str) -> dict[str, str]:
    found = {}
    before = len(reader.errors)
    for name, value in reader.read(within, an_object, given, {}).items():
        read = _IDENTITY.get(name, _identity)
        if its := reader.read(f"{within}.{name_shown(name)}", read, value):
            found[name] = its
    if (already := found.get("email")) and hashing.hash_of(already):
        found.setdefault("other", found.pop("email"))
    if len(reader.errors) == before and not (found.get("email") or found.get("other")):
        reader.refuse(within, "must have the user's email, or its hash as other")
    return found


def _email(given: object) -> str | None:
    return address(given)


def _other(given: object) -> str | None:
    text = a_text(given)
    if "@" in text:
        raise InvalidValue("is an address, not its hash: send it as email")
    return hashing.hash_of(text) or identifier(text, MOST_IDENTITY) or None


def _identity(given: object) -> str | None:
    if isinstance(given, int) and not isinstance(given, bool):
        given = str(given)
    return identifier(a_text(given), MOST_IDENTITY) or None


def _events(given: object) -> list[Any]:
    if not isinstance(given, list) or not given:
        raise InvalidValue("is needed: a list of events in square brackets")
    return given


def _event(reader: Reader, given: object, within: str, now: datetime) -> Any:
    """The event as it came. Its values stay as they are: only what Rokt would refuse is."""
    event = reader.read(within, an_object, given, {})
    if event.get("event_type") != "custom_event":
        reader.refuse(f"{within}.event_type", "must be custom_event")
    data = reader.read(f"{within}.data", an_object, event.get("data"))
    if data is None:
        return event
    if data.get("event_name") != "conversion":
        reader.refuse(f"{within}.data.event_name", "must be conversion")
    for name in ("custom_event_type", "source_message_id"):
        if name in data and not (isinstance(data[name], str) and data[name].strip()):
            reader.refuse(f"{within}.data.{name}", "must be text in quotes, or left out")
    if "timestamp_unixtime_ms" in data:
        stamp = f"{within}.data.timestamp_unixtime_ms"
        reader.read(stamp, lambda its: _timestamp(its, now), data["timestamp_unixtime_ms"])
    if "custom_attributes" in data:
        field = f"{within}.data.custom_attributes"
        attributes = reader.read(field, an_object, data["custom_attributes"], {})
        _check_attributes(reader, attributes, field)
        ref = attributes.get(CONFIRMATION_REF, "")
        if isinstance(ref, bool) or not isinstance(ref, str | int | None):
            reader.refuse(f"{field}.{CONFIRMATION_REF}", f"must be text in quotes, not {json_type(ref)}")
    return event


def _check_attributes(
    reader: Reader, attributes: Mapping[str, Any], within: str, most: int | None = None
) -> None:
    if most is not None and len(attributes) > most:
        reader.refuse(within, f"are {len(attributes):,}; {most:,} are the most")
        return
    wrong = 0
    for name, value in attributes.items():
        try:
            attribute_name(name)
            no_raw_address(name, scalar(value))
        except InvalidValue as refusal:
            wrong += 1
            if wrong <= MOST_NAMED:
                reader.refuse(f"{within}.{name_shown(name)}", str(refusal))


def _timestamp(given: object, now: datetime) -> None:
    if not isinstance(given, int) or not FIRST_YEAR <= given < LAST_YEAR:
        raise InvalidValue(f"{shown(str(given))} must be milliseconds since 1970, a number of 13 digits")
    checked_time(datetime.fromtimestamp(given / 1000, UTC), now)


_IDENTITY = {"email": _email, "other": _other}
