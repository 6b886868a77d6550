"""Rokt Calendar's own paths: a Braze campaign made for Rokt moves here by changing its host."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from bridge.calendar.event import json_type
from bridge.errors import InvalidValue
from bridge.routes.calendar_events import CalendarCall
from bridge.routes.incoming import (
    MOST_USER_ID,
    Reader,
    Suffixed,
    account_codes,
    an_object,
    identifier,
    is_test,
    subscription_ids,
)

# Rokt's names, and ours for the same field. The page's table says eventTz where its template says timezone.
NAMES = {
    "eventId": "event_id",
    "title": "title",
    "description": "description",
    "location": "location",
    "start": "start",
    "end": "end",
    "timezone": "timezone",
    "notifyBefore": "notify_before",
    "allDayEvent": "all_day",
    "visibleFromDateTimeUtc": "visible_from",
}
OUTER = ("event", "subscriptionIds")
OUTER_NAMES = {"subscription_ids": "subscriptionIds", "account_code": "accountCode"}
IGNORED = ("actionType", "timezoneIanaId")  # in Rokt's samples, without a meaning that the bridge could keep
NO_FIELD = "is no field of Rokt's"
NO_ACCOUNT = "this user has no rokt:account_code"

_WITHOUT_OFFSET = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[Tt ]([0-9:.]+))?")


def read_post(rest: str, body: Mapping[str, Any], header_key: str | None) -> CalendarCall:
    """`rest`: what follows /v1/subscriptionevent, still percent-encoded. Errors: InvalidPayload."""
    parts = [unquote(part) for part in rest.strip("/").split("/")] if rest.strip("/") else []
    is_update = bool(parts) and parts[-1] == "update"
    account = "/".join(parts[:-1] if is_update else parts)
    reader = Reader()
    accounts = _account(reader, account)
    wrapped = body.get("event")
    outer = {*OUTER, *IGNORED}
    is_flat = is_update and wrapped is None
    event = body if is_flat else reader.read("event", an_object, wrapped)
    if event is None:
        reader.check()
    fields: dict[str, Any] = {NAMES[key]: value for key, value in event.items() if key in NAMES}
    passed_over = outer if is_flat else set(IGNORED)
    unknown = [key for key in event if key not in NAMES and key not in passed_over]
    within = "" if is_flat else "event."
    reader.refuse_unknown(unknown, NO_FIELD, tuple(NAMES), within=within)
    if not is_flat:
        reader.refuse_unknown([k for k in body if k not in outer], NO_FIELD, OUTER)
    rokt_event_id = reader.read(f"{within}eventId", _event_id, fields.pop("event_id", None), "")
    ids = reader.read("subscriptionIds", subscription_ids, body.get("subscriptionIds"), [])
    reader.check()
    if "visible_from" in fields:
        fields["visible_from"] = _utc(fields["visible_from"])
    names = OUTER_NAMES | {f"event.{ours}": within + rokts for rokts, ours in NAMES.items()}
    return _call("update" if is_update else "create", rokt_event_id, accounts, ids, fields, names, header_key)


def read_delete(rest: str, header_key: str | None) -> CalendarCall:
    """`rest`: `/{accountCode}/{eventId}`, still percent-encoded. Errors: InvalidPayload."""
    account, _, its_id = rest.removeprefix("/").partition("/")
    reader = Reader()
    accounts = _account(reader, unquote(account))
    rokt_event_id = reader.read("eventId", _event_id, unquote(its_id.strip("/")), "")
    reader.check()
    return _call("delete", rokt_event_id, accounts, [], {}, OUTER_NAMES, header_key)


def _call(
    action: str,
    rokt_event_id: str,
    accounts: list[Suffixed],
    ids: list[str],
    fields: Mapping[str, Any],
    names: Mapping[str, str],
    header_key: str | None,
) -> CalendarCall:
    # Rokt's eventId ends in the user's id by Braze's template; an id without "_" has none.
    own, separator, user = rokt_event_id.rpartition("_")
    return CalendarCall(
        action=action,
        event_id=own if separator else rokt_event_id,
        user_id=user if separator else None,
        rokt_event_id=rokt_event_id,
        accounts=tuple(accounts),
        subscription_ids=tuple(ids),
        fields=fields,
        is_whole=action == "create",
        idempotency_key=header_key,
        is_test=is_test(header_key),
        names=names,
    )


def _account(reader: Reader, account: str) -> list[Suffixed]:
    if not account.strip() or account.strip() == "update":
        reader.refuse("accountCode", f"is blank: {NO_ACCOUNT}")
        return []
    if "," in account:
        reader.refuse("accountCode", "names several accounts: Rokt's path has room for one")
        return []
    found: list[Suffixed] = reader.read("accountCode", account_codes, account, [])
    if not found and not reader.errors:
        reader.refuse("accountCode", f"is blank: {NO_ACCOUNT}")
    return found


def _utc(given: object) -> object:
    """A visibleFromDateTimeUtc is in UTC, whether it says so or not."""
    bare = _WITHOUT_OFFSET.fullmatch(given.strip()) if isinstance(given, str) else None
    return f"{bare[1]}T{bare[2] or '00:00'}Z" if bare else given


def _event_id(given: object) -> str:
    if given is not None and not isinstance(given, str):
        raise InvalidValue(f"must be text in quotes, not {json_type(given)}")
    if not given or not given.strip():
        raise InvalidValue("is needed, such as Event_0001_{{${user_id}}}")
    its_id = identifier(given.strip(), 255 + MOST_USER_ID)
    if its_id.endswith("_"):
        raise InvalidValue("ends in _: this user has no {{${user_id}}} (external_id)")
    return its_id
