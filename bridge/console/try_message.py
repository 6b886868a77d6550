"""A test of a template as a message: to one's own subscriptions alone, under an event id that no real event has."""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Connection

from bridge.calendar.plan import CalendarRequest
from bridge.errors import FieldError, InvalidPayload, InvalidValue, TemplateRefused
from bridge.ledger.addressees import Whom, look_up
from bridge.ledger.subscribers import subscriptions_of
from bridge.message import NewMessage
from bridge.outbox.enqueue import Request
from bridge.routes.addressing import Known
from bridge.routes.calendar_events import CalendarCall
from bridge.routes.calendar_messages import DESTINATION, Planned, plan
from bridge.routes.incoming import UNSENT_CAMPAIGN, account_codes, event_id
from bridge.subscribers.addressee import Addressee
from bridge.subscribers.facts import key_of_subscription

ROUTE = "console.test_send"  # none of the map's: it is sent again as it is, and not rendered anew
BY = "console: "  # in a key's place: the person follows
_EXTERNAL_ID = "external_id:"
_LONGEST_USER = 60  # characters of a name in the event's id


@dataclass(frozen=True)
class Own:
    """One of TEST_SUBSCRIPTIONS, and what the ledger knows of it. `addressee`: None if nothing."""

    id: str
    user_id: str = ""
    addressee: Addressee | None = None

    @property
    def account_code(self) -> str:
        return self.addressee.account_code if self.addressee else ""

    @property
    def is_active(self) -> bool:
        return self.addressee is None or self.addressee.is_active


@dataclass(frozen=True)
class Test:
    """`version`: None for a draft. `fields`: as the template's blocks printed them. `account_code`: for those whose
    own is not known. `by`: the person at the console.
    """

    __test__ = False

    template: str
    version: int | None
    fields: Mapping[str, str]
    variables: Mapping[str, Any]
    to: Sequence[Own]
    account_code: str
    by: str


def own_subscriptions(connection: Connection, ids: Collection[str]) -> list[Own]:
    """Those that the ledger knows first."""
    keys = {key_of_subscription(one): one for one in ids}
    known = subscriptions_of(connection, keys)
    [addressees] = look_up(connection, [Whom(tuple(sorted(ids)))]) if ids else [{}]
    found = []
    for key, one in keys.items():
        its = known.get(key)
        identifier = (its.identifier if its else None) or ""
        user = identifier.removeprefix(_EXTERNAL_ID) if identifier.startswith(_EXTERNAL_ID) else ""
        found.append(Own(its.given_id if its else one, user, addressees.get(one)))
    return sorted(found, key=lambda one: (one.addressee is None, one.user_id, one.id))


def planned(test: Test, now: datetime) -> Planned:
    """What leaves for it. Errors: InvalidPayload in words for the page, TemplateRefused."""
    fields = dict(test.fields)
    its_id = event_id(fields.pop("event_id", ""))
    for name in (
        "calendar",
        "expires",
    ):  # one's own subscriptions get it, whatever calendar they are of, and now
        fields.pop(name, None)
    try:
        accounts = tuple(account_codes([test.account_code])) if test.account_code else ()
    except InvalidValue as wrong:
        raise _wrong("account_code", str(wrong)) from wrong
    if not accounts and (lost := [one.id for one in test.to if not one.account_code]):
        told = f"The account of {', '.join(lost[:3])} is not known here: write its account code, as Rokt gave it."
        raise _wrong("account_code", told)
    users = {one.user_id for one in test.to if one.user_id}
    call = CalendarCall(
        action="create",
        event_id=its_id,
        user_id=users.pop() if len(users) == 1 else test.by,
        # Of its own, each time: what Rokt makes of a second create with one id is written nowhere, and the real
        # event of a colleague may have this one.
        rokt_event_id=f"{its_id}_test-{_short(test.by)}-{secrets.token_hex(4)}",
        accounts=accounts,
        subscription_ids=tuple(one.id for one in test.to),
        fields=fields,
        is_whole=True,
        template=test.template,
        version=test.version,
        is_test=True,
    )
    known = Known({one.id: one.addressee for one in test.to if one.addressee})
    try:
        return plan(call, known, now, frozenset(one.id.lower() for one in test.to))
    except TemplateRefused as refusal:
        raise InvalidPayload(refusal.detail, refusal.errors) from refusal


def request_of(test: Test, messages: tuple[NewMessage, ...], request_id: str) -> Request:
    body = {
        "template": test.template,
        "action": "create",
        "variables": dict(test.variables),
        "subscription_ids": [one.id for one in test.to],
        "dispatch_id": UNSENT_CAMPAIGN,
        "rendered_from": f"version {test.version}" if test.version else "the draft",
    }
    return _request(body, messages, request_id, test.by)


def removal_of(found: Sequence[Mapping[str, Any]], by: str, request_id: str) -> Request:
    """Takes delivered tests out of the calendars again. `found`: as the outbox shows them."""
    messages = tuple(
        NewMessage(
            DESTINATION,
            "delete",
            CalendarRequest(
                "delete",
                one["account_code"],
                one["request"]["rokt_event_id"],
                tuple(one["request"]["subscription_ids"]),
                {},
                is_test=True,
            ).stored(),
            user_id=one["user_id"],
            event_id=one["event_id"],
            account_code=one["account_code"],
            template=one["template"],
            version=one["version"],
            is_test=True,
        )
        for one in found
    )
    body = {"action": "delete", "dispatch_id": UNSENT_CAMPAIGN, "tests": [one["id"] for one in found]}
    return _request(body, messages, request_id, by)


def _request(body: dict[str, Any], messages: tuple[NewMessage, ...], request_id: str, by: str) -> Request:
    payload = {"body": body, "rest": "", "idempotency_key": None}
    return Request(
        messages,
        request_id,
        inbound_key=f"{BY}{by}",
        route=ROUTE,
        payload=payload,
        size=len(json.dumps(body)),
    )


def _short(name: str) -> str:
    return "".join(char for char in name if char.isascii() and char.isalnum())[:_LONGEST_USER] or "somebody"


def _wrong(field: str, told: str) -> InvalidPayload:
    return InvalidPayload(told, [FieldError(field, told)])
