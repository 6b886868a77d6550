"""POST /v1/conversions: what Braze tells of a conversion, checked field by field, and the message it becomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from bridge import hashing
from bridge.conversions.batches import (
    MOST_BATCH,
    MOST_USER_ATTRIBUTES,
    MOST_VALUE,
    Batch,
    Part,
    batch_of,
)
from bridge.conversions.conversion import (
    ATTRIBUTES,
    CONFIRMATION_REF,
    USER_ATTRIBUTES,
    Conversion,
    Scalar,
)
from bridge.errors import InvalidValue
from bridge.message import Json, NewMessage
from bridge.routes import conversion_fields, incoming
from bridge.routes.conversion_fields import (
    address,
    address_hash,
    an_id,
    attribute_name,
    event_time,
    flag,
    no_raw_address,
    scalar,
)
from bridge.routes.incoming import (
    MOST_NAMED,
    MOST_USER_ID,
    Reader,
    a_text,
    an_object_or_blank,
    is_test,
    name_shown,
)

NAME = "conversions"
ACTION = "conversion"
DESTINATION = "rokt_events"
IDENTITY = ("email", "email_sha256", "hash", "user_id", "click_id")
FIELDS = (*IDENTITY, *USER_ATTRIBUTES, *ATTRIBUTES, "event_time", "user_attributes", "attributes")
KEYS = (*FIELDS, "idempotency_key", "dispatch_id")
NOBODY = (
    "is needed, or email_sha256: Rokt knows a customer by the address or its hash. If it is blank, "
    "this user has no e-mail address in Braze"
)

_NOW = datetime(2000, 1, 1, tzinfo=UTC)
_LONGEST_ID = "0" * 36


@dataclass(frozen=True)
class ConversionCall:
    conversion: Conversion
    idempotency_key: str | None
    is_test: bool


def read(
    body: Mapping[str, Any], header_key: str | None, now: datetime, *, fills_ref: bool = False
) -> ConversionCall:
    """One conversion. `fills_ref`: its transaction id is its reference where it has none.

    Errors: InvalidPayload with all that is wrong.
    """
    reader = Reader()
    conversion = read_conversion(reader, body, now)
    key = reader.read("idempotency_key", incoming.key, body.get("idempotency_key"), "") or header_key or ""
    dispatch_id = reader.read("dispatch_id", a_text, body.get("dispatch_id"), "")
    reader.refuse_unknown([name for name in body if name not in KEYS], "is not known", KEYS)
    if not (conversion.email or conversion.email_sha256 or _is_refused(reader, "email", "email_sha256")):
        reader.refuse("email", NOBODY)
    reader.check()
    if fills_ref:
        conversion = with_reference(conversion)
    return ConversionCall(conversion, key or None, is_test(key, header_key, dispatch_id))


def read_conversion(reader: Reader, body: Mapping[str, Any], now: datetime) -> Conversion:
    """The fields of a conversion, all of which may be missing; the rest of the body is the caller's."""
    email, email_sha256 = _addresses(reader, body)
    user_attributes = _own(reader, body, USER_ATTRIBUTES) | _further(reader, body, "user_attributes")
    if len(user_attributes) > MOST_USER_ATTRIBUTES:
        told = f"are {len(user_attributes)} with those of the bridge; {MOST_USER_ATTRIBUTES} are the most"
        reader.refuse("user_attributes", told)
    attributes = _own(reader, body, ATTRIBUTES) | _further(reader, body, "attributes")
    conversion = Conversion(
        email,
        email_sha256,
        reader.read("user_id", lambda given: an_id(given, MOST_USER_ID), body.get("user_id")),
        reader.read("click_id", lambda given: an_id(given, MOST_VALUE), body.get("click_id")),
        user_attributes,
        attributes,
        reader.read("event_time", lambda given: event_time(given, now), body.get("event_time")),
    )
    if not reader.errors and (size := size_of_batch(batch_of(conversion))) > MOST_BATCH:
        told = f"the conversion has {size:,} bytes as it would leave; {MOST_BATCH:,} are the most"
        reader.refuse("", told)
    return conversion


def with_reference(conversion: Conversion) -> Conversion:
    """Its transaction id as its reference, if it has none."""
    transaction_id = conversion.attributes.get("transactionid")
    if conversion.confirmation_ref or not transaction_id:
        return conversion
    return replace(conversion, attributes={**conversion.attributes, CONFIRMATION_REF: transaction_id})


def message_of(conversion: Conversion, batch: Json, unique: str) -> NewMessage:
    """`batch`: as it is stored. `unique`: tells it from all others, if nothing that the caller said does."""
    return NewMessage(
        destination=DESTINATION,
        action=ACTION,
        request=batch,
        line=conversion.identity,
        user_id=conversion.user_id,
        event_id=conversion.event_id or unique,
    )


def size_of_batch(batch: Json) -> int:
    """Bytes of a batch as it leaves by itself."""
    return Batch.of(Part.of(batch, _LONGEST_ID, _NOW, "development")).size


def _is_refused(reader: Reader, *fields: str) -> bool:
    return any(error.field in fields for error in reader.errors)


def _addresses(reader: Reader, body: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The address and its hash: what is hashed already is recognised, wherever it stands."""
    is_hashing = reader.read("hash", flag, body.get("hash"), False)
    email = reader.read("email", address, body.get("email"))
    email_sha256 = reader.read("email_sha256", address_hash, body.get("email_sha256"))
    if email and email_sha256 and hashing.hashed(email) != email_sha256:
        reader.refuse("email_sha256", "is not the hash of email: send one of the two")
    if email and (is_hashing or hashing.hash_of(email)):
        return None, hashing.hashed(email)
    return email, email_sha256


def _own(reader: Reader, body: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Scalar]:
    """The fields of the contract that were given, by Rokt's names."""
    found = {}
    for ours, rokts in names.items():
        value = reader.read(ours, _READ.get(ours, conversion_fields.text), body.get(ours))
        if value is not None:
            found[rokts] = value
    return found


def _further(reader: Reader, body: Mapping[str, Any], field: str) -> dict[str, Scalar]:
    """What else the caller wants told, by its own names."""
    taken = {rokts: ours for names in (USER_ATTRIBUTES, ATTRIBUTES) for ours, rokts in names.items()}
    found: dict[str, Scalar] = {}
    wrong = 0
    for name, given in reader.read(field, an_object_or_blank, body.get(field), {}).items():
        try:
            its_name = attribute_name(name)
            if its_name.lower() in taken:
                raise InvalidValue(f"has a field of its own: {taken[its_name.lower()]}")
            value = scalar(given)
            no_raw_address(its_name, value)
        except InvalidValue as refusal:
            wrong += 1
            if wrong <= MOST_NAMED:
                reader.refuse(f"{field}.{name_shown(name)}", str(refusal))
            continue
        if value is not None:
            found[its_name] = value
    return found


_READ: Mapping[str, Any] = {
    "amount": conversion_fields.number,
    "margin": conversion_fields.number,
    "quantity": conversion_fields.quantity,
}
