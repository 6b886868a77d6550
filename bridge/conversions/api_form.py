"""Events in the form of Rokt's older API (api.rokt.com, version 2020-05-21), and what it takes of them."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

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

    def first_of(self, names: Iterable[str]) -> str:
        """The first value in objectData that has one of these names, "" without one."""
        found = dict(reversed(self.object_data))
        return next((found[name] for name in names if name in found), "")

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
    if not name:
        raise InvalidValue("is blank")
    if len(name) > MOST_NAME:
        raise InvalidValue(f"is longer than {MOST_NAME} characters")
    if name.lower().startswith(RESERVED):
        raise InvalidValue(f'begins with "{RESERVED}", which Rokt keeps for itself')
    return name.lower() if name.lower() in NAMES else name


def checked_value(value: str) -> str:
    """Errors: InvalidValue."""
    if len(value) > MOST_VALUE:
        raise InvalidValue(f"has {len(value):,} characters; {MOST_VALUE:,} are the most")
    return value


def _months_from(at: datetime, months: int) -> datetime:
    """The same day so many months later, or the last day of that month."""
    years, month = divmod(at.month - 1 + months, 12)
    year, month = at.year + years, month + 1
    return at.replace(year=year, month=month, day=min(at.day, monthrange(year, month)[1]))
