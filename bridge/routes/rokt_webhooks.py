"""POST /v1/rokt/webhooks/…: what Rokt Calendar tells of its subscribers, with the slips of its own pages.

Sources: roktcalendar-api.readme.io/docs/webhook-event-payload-introduction and its pages of each type;
docs.rokt.com/docs/user-guides/rokt-calendar/webhook-event-payload.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bridge.message import NewMessage, State
from bridge.routes.incoming import SUBSCRIPTION_ID, plain
from bridge.subscribers.change import Action, SubscriberChange
from bridge.subscribers.names import Told, by_plain_name, facts_of, plain_name

DESTINATION = "braze"
TEST = "a test of Rokt's dashboard"
NO_CHANGE = "kept as a fact: no subscriber changes by it"
NO_SUBSCRIPTION = "no subscription id: "
MOST_ID = 255  # characters of an id that is only kept

# By the plain name of the eventType. A sample of Rokt's has SubscriptionDetailsUpdate, without the d.
CHANGES: Mapping[str, Action] = {
    "subscribe": "subscribe",
    "unsubscribe": "unsubscribe",
    "subscriptiondetailsupdated": "update",
    "subscriptiondetailsupdate": "update",
}
FACTS = {
    "subscriptioneventadded": "event_added",
    "subscriptioneventupdated": "event_updated",
    "subscriptioneventremoved": "event_removed",
    "subscriptioneventdeleted": "event_deleted",
}
# What Rokt can be asked for where a webhook has left it out. Of one that ends only whose it was matters.
IDENTITY = frozenset({"subscriber_id", "subscriber_email"})
ASKED_FOR: Mapping[Action, frozenset[str]] = {
    "subscribe": IDENTITY | {"calendar_code", "calendar_title", "subscription_method", "tags"},
    "update": IDENTITY | {"calendar_code", "calendar_title", "subscription_method", "tags"},
    "unsubscribe": IDENTITY,
}


@dataclass(frozen=True)
class Webhook:
    """One call of Rokt's: a change of a subscriber, or a message that only keeps what was told.

    `event_id`: Rokt's of this call, "" if it has none; the same again is a repeat. `event_type`: in plain
    letters. `faults`: the facts that cannot be right and were left out.
    """

    change: SubscriberChange | None
    message: NewMessage | None
    event_id: str
    event_type: str
    faults: tuple[str, ...] = ()


def read(body: Mapping[str, Any]) -> Webhook:
    """Never raises: what cannot be understood is kept."""
    fields = by_plain_name(body)
    event_type, event_id = _text(fields.get("eventtype")), _text(fields.get("eventid"))
    given = fields.get("eventdetails")
    details = by_plain_name(given) if isinstance(given, Mapping) else {}
    told = facts_of(details)
    its_type = plain_name(event_type)

    def kept(action: str, state: State, reason: str, *, is_test: bool = False) -> Webhook:
        message = NewMessage(
            DESTINATION,
            action,
            request={},
            user_id=told.subscriber_id,
            event_id=_event_of(details),
            state=state,
            reason=reason,
            is_test=is_test,
        )
        return Webhook(None, message, event_id, its_type, told.faults)

    if its_type == "test":
        return kept("test", State.SKIPPED, TEST, is_test=True)
    action = CHANGES.get(its_type)
    if action is None and event_type:
        return kept(_fact(its_type, details), State.SKIPPED, NO_CHANGE)
    if fault := _subscription_fault(told):
        return kept(action or "other", State.DEAD, NO_SUBSCRIPTION + fault)
    if action is None:
        return kept("other", State.SKIPPED, NO_CHANGE)
    assert told.subscription_id is not None
    change = SubscriberChange(
        action,
        told.subscription_id,
        facts=told.facts,
        subscriber_id=told.subscriber_id,
        email=told.email,
        left_out=ASKED_FOR[action] - told.said,
    )
    return Webhook(change, None, event_id, its_type, told.faults)


def _subscription_fault(told: Told) -> str | None:
    if told.subscription_id is None:
        return "eventDetails has no calendarSubscriptionId"
    if not SUBSCRIPTION_ID.fullmatch(told.subscription_id):
        return "calendarSubscriptionId is none such as 06423672-b6ba-4536-aa36-70788a7a0a36"
    return None


def _fact(its_type: str, details: Mapping[str, Any]) -> str:
    """Rokt's sample of a deleted event says that it was removed; one that is removed names its subscription."""
    if its_type == "subscriptioneventremoved" and not details.get("subscription"):
        return FACTS["subscriptioneventdeleted"]
    return FACTS.get(its_type, "other")


def _event_of(details: Mapping[str, Any]) -> str | None:
    event = details.get("subscriptionevent")
    its_id = _text(by_plain_name(event).get("eventid")) if isinstance(event, Mapping) else ""
    return its_id or None


def _text(given: object) -> str:
    is_text = isinstance(given, str | int) and not isinstance(given, bool)
    return plain(str(given).strip()[:MOST_ID]) if is_text else ""
