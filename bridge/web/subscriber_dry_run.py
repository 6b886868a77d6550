"""What would leave for changes of subscribers, without sending it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any
from urllib.parse import quote

from sqlalchemy.engine import Connection

from bridge.ledger.subscribers import BRAZE, Loaded, held
from bridge.message import NewMessage, State
from bridge.routes.subscribers import SubscriberCall
from bridge.settings import BrazeSettings
from bridge.subscribers.track import Sync, UserObjects, body, event_of, objects_of
from bridge.web.parts import Parts
from bridge.web.shown import shown

TEST = "a test of Braze: nothing was sent"
ALREADY_SO = "Braze holds this already"
ASKED_FIRST = (
    "Rokt is asked first for what is not known of this subscription; what leaves for Braze follows from it"
)
MESSAGE_ID = "00000000-0000-0000-0000-000000000000"  # a message that is not made has none
ARRAY_MOST = 75  # objects of one array


def dry_run(parts: Parts, calls: Sequence[SubscriberCall]) -> dict[str, Any]:
    """Exactly what would leave if nothing else waited, without Authorization."""
    now = datetime.now(UTC)
    changes = [call.change for call in calls]
    with parts.database.read() as connection:
        loaded = parts.ledger.load(connection, changes, lock=False)
        made = [message for change in changes for message in loaded.apply(change, now)]
        leaving = [message for message in made if message.state == State.ACCEPTED]
        to_braze = [message for message in leaving if message.destination == BRAZE]
        users = list(_users(parts, connection, loaded, to_braze, now))
    look_ups = [message for message in leaving if message.destination != BRAZE]
    requests = [_asked(parts, message) for message in look_ups] + [
        shown("POST", _braze(parts).url + "/users/track", body(some)) for some in _calls(parts, users)
    ]
    told: dict[str, Any] = {"dry_run": True, "requests": requests}
    reasons = [message.reason for message in made if message.reason]
    if any(call.is_test for call in calls):
        told["reason"] = TEST
    elif look_ups:
        told["reason"] = ASKED_FIRST
    elif not requests:
        told["reason"] = reasons[0] if reasons else ALREADY_SO
    return told


def _users(
    parts: Parts, connection: Connection, loaded: Loaded, messages: Sequence[NewMessage], now: datetime
) -> Iterator[UserObjects]:
    """What leaves for each profile, in the order in which they are first named."""
    if not messages:
        return
    braze = _braze(parts)
    places = [(str(m.request["identifier"]), str(m.request["subscription_id"])) for m in messages]
    stands = held(connection, places)
    order = list(dict.fromkeys(identifier for identifier, _ in places))
    by_user = sorted(zip(places, messages, strict=True), key=lambda one: order.index(one[0][0]))
    for identifier, its in groupby(by_user, lambda one: one[0][0]):
        syncs = []
        for place, message in its:
            key, event = place[1], message.request.get("event")
            target = loaded.known[key].target(
                identifier, braze.attributes, captures_email=braze.captures_email
            )
            told = event_of(event, MESSAGE_ID, now, identifier, braze.merges) if event else None
            syncs.append(Sync(key, identifier, target, stands[place], told))
        yield objects_of(identifier, syncs, braze.merges)


def _calls(parts: Parts, users: Sequence[UserObjects]) -> Iterator[list[UserObjects]]:
    """As many users in a call as it has room for."""
    some: list[UserObjects] = []
    for user in users:
        if some and not _fits(parts, [*some, user]):
            yield some
            some = []
        if user.attributes is not None or user.events:
            some.append(user)
    if some:
        yield some


def _fits(parts: Parts, users: Sequence[UserObjects]) -> bool:
    attributes = sum(user.attributes is not None for user in users)
    events = sum(len(user.events) for user in users)
    return max(attributes, events) <= ARRAY_MOST and attributes + events <= _braze(parts).batch


def _braze(parts: Parts) -> BrazeSettings:
    assert parts.settings.braze is not None, "nothing is accepted for Braze while it is off"
    return parts.settings.braze


def _asked(parts: Parts, message: NewMessage) -> dict[str, Any]:
    assert parts.settings.calendar is not None
    its_id = quote(str(message.request["given_id"]), safe="")
    return shown("GET", f"{parts.settings.calendar.url}/v1/subscription/{its_id}")
