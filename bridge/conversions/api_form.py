"""Events in the form of Rokt's older API (api.rokt.com, version 2020-05-21), and what it takes of them."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bridge.conversions.conversion import Conversion, Scalar
from bridge.errors import InvalidValue

CONVERSION = "conversion"  # the type that Rokt attributes to its offers
DESTINATIONS = {"V2": "rokt_api_v2", "V1": "rokt_api_v1"}
PATHS = {"V2": "/v2/events", "V1": "/v1/events"}
HEADERS: Mapping[str, str] = {"Rokt-Version": "2020-05-21", "Charset": "utf-8"}

MOST_EVENTS = 100  # of one call
MOST_ID, MOST_TYPE = 36, 128  # characters
MOST_NAME, MOST_VALUE = 256, 65_536
RESERVED = "rokt."
OLDEST_MONTHS, MOST_AHEAD = 18, timedelta(minutes=5)

EMAIL, EMAIL_SHA256, CLICK_ID = "email", "emailsha256", "passbackconversiontrackingid"
IDENTITIES = (EMAIL, EMAIL_SHA256, CLICK_ID)  # a conversion needs one of them
USER_ID = "customerid"  # as Rokt's newer API has it
NAMES = (
    *IDENTITIES,
    "firstname",
    "lastname",
    "amount",
    "currency",
    "quantity",
    "conversiontype",
    "productname",
    "sku",
    "paymenttype",
    "margin",
    "transactionid",
    "confirmationref",
)
"""The names in objectData that Rokt knows."""

Pair = tuple[str, str]


@dataclass(frozen=True)
class ApiEvent:
    """One event. `object_data` and `meta_data`: names with their values, in order."""

    client_event_id: str
    event_type: str
    event_time: datetime
    object_data: Sequence[Pair] = ()
    meta_data: Sequence[Pair] = ()

    @property
    def keep_until(self) -> datetime:
        """From then on it is too old, and a call would be refused whole for it."""
        return _months_from(self.event_time, OLDEST_MONTHS)

    @property
    def names_somebody(self) -> bool:
        return any(name in IDENTITIES for name, _ in self.object_data)

    def body(self) -> dict[str, Any]:
        """As it stands in a call."""
        its: dict[str, Any] = {
            "clientEventId": self.client_event_id,
            "eventType": self.event_type,
            "eventTime": rfc3339(self.event_time),
        }
        for name, pairs in (("objectData", self.object_data), ("metaData", self.meta_data)):
            if pairs:
                its[name] = [{"name": one, "value": value} for one, value in pairs]
        return its


def to_event(
    conversion: Conversion,
    client_event_id: str,
    now: datetime,
    *,
    event_type: str = CONVERSION,
    meta_data: Sequence[Pair] = (),
) -> ApiEvent:
    """A conversion in this form; everything that is known of its user and of itself is objectData. `now`: its time,
    where it has none.

    Errors: InvalidValue for a name or a value that this API does not take.
    """
    identities = (conversion.email, conversion.email_sha256, conversion.click_id, conversion.user_id)
    who = (*IDENTITIES, USER_ID)
    pairs = [(name, value) for name, value in zip(who, identities, strict=True) if value is not None]
    told = {**conversion.user_attributes, **conversion.told}
    for given, value in told.items():
        try:
            name = checked_name(given)
            if name in who:
                raise InvalidValue("it has a field of its own")
            pairs.append((name, checked_value(value)))
        except InvalidValue as wrong:
            raise InvalidValue(f"{given[:60]}: {wrong}") from None
    return ApiEvent(
        client_event_id,
        event_type,
        conversion.occurred_at or now,
        tuple(pairs),
        tuple(meta_data),
    )


def call_body(account_id: str, events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What one call carries."""
    return {"accountId": account_id, "events": list(events)}


def rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def checked_time(at: datetime, now: datetime) -> datetime:
    """Errors: InvalidValue for what Rokt refuses, as it refuses the whole call with it."""
    if at < _months_from(now, -OLDEST_MONTHS):
        raise InvalidValue(f"{rfc3339(at)} is more than 18 months ago, which Rokt refuses")
    if at > now + MOST_AHEAD:
        raise InvalidValue(f"{rfc3339(at)} is more than 5 minutes ahead, which Rokt refuses")
    return at


def checked_name(name: str) -> str:
    """A name as Rokt knows it, where it differs by its letters' case alone. Errors: InvalidValue."""
    if not name.strip():
        raise InvalidValue("is no name")
    if len(name) > MOST_NAME:
        raise InvalidValue(f"is a name of more than {MOST_NAME} characters")
    if name.lower().startswith(RESERVED):
        raise InvalidValue(f'begins with "{RESERVED}": such names are Rokt\'s own')
    return name.lower() if name.lower() in NAMES else name


def checked_value(value: Scalar) -> str:
    """Every value is a text here. Errors: InvalidValue."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if len(text) > MOST_VALUE:
        raise InvalidValue(f"has {len(text):,} characters; {MOST_VALUE:,} are the most")
    return text


def _months_from(at: datetime, months: int) -> datetime:
    """The same day so many months later, or the last day of that month."""
    years, month = divmod(at.month - 1 + months, 12)
    year, month = at.year + years, month + 1
    return at.replace(year=year, month=month, day=min(at.day, monthrange(year, month)[1]))
