"""What Rokt calls the facts of a subscription, in its webhook and in its API, and how they are found in both.

Sources: roktcalendar-api.readme.io/docs/webhook-event-on-subscribe, …-on-unsubscribe,
…-on-subscription-details-updated, …/webhook-event-shared-objects, …/reference/get-v1-subscription-subscriptionid;
docs.rokt.com/docs/user-guides/rokt-calendar/webhook-event-payload. The tables put the subscription's id beside
`subscription`, the samples into it, and neither says how the subscriber is called: so each is looked for in both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bridge.errors import InvalidValue
from bridge.message import Json
from bridge.subscribers.facts import MOST_TAGS, Fact, read_fact
from bridge.subscribers.identity import usable

# Lower case, without what stands between words; the first that is there and not blank is taken.
NAMES = {
    "account_code": ("accountcode",),
    "account_id": ("accountid",),
    "account_name": ("accountname",),
    "calendar_code": ("calendarcode",),
    "calendar_id": ("calendarid",),
    "calendar_title": ("calendartitle", "calendarname"),
    "country_code": ("countrycode",),
    "device_name": ("devicename", "devicetype"),
    "geo_country": ("geocountry",),
    "optIn1": ("optin1", "additionaloptin1", "additionaloptin", "optin"),
    "optIn2": ("optin2", "additionaloptin2"),
    "source": ("source", "subscriptionsource"),
    "subscriber_email": ("subscriberemail", "subscriberemailaddress", "emailaddress", "email"),
    "subscription_id": ("calendarsubscriptionid", "subscriptionid"),
    "subscription_method": ("subscriptionmethod", "subscriptiontype"),
    "tags": ("calendartags", "tags"),
}
SUBSCRIBER_ID = ("externalsubscriberid", "subscriberexternalid", "subscriberid")
IS_ACTIVE = ("isactive",)
TAG = ("tagname", "name", "title", "tagtitle", "tagid", "id")
INNER = (
    "account",
    "calendar",
    "subscriber",
)  # objects whose fields read as if they stood outside: calendar.code

_BETWEEN_WORDS = re.compile(r"[^a-z0-9]")


@dataclass(frozen=True)
class Told:
    """What a source says of a subscription.

    `said`: the facts that it speaks of, blank ones included, and "subscriber_id" if it tells one. `faults`: those
    of them that cannot be right and were left out.
    """

    facts: Json = field(default_factory=dict)
    subscriber_id: str | None = None
    email: str | None = None
    is_active: bool | None = None
    subscription_id: str | None = None
    said: frozenset[str] = frozenset()
    faults: tuple[str, ...] = ()


def facts_of(thing: Mapping[str, Any]) -> Told:
    """What stands in the `eventDetails` of a webhook, or in an answer of the API. Never raises."""
    outer = [
        layer for layer in (by_plain_name(thing).get("subscription"), thing) if isinstance(layer, Mapping)
    ]
    layers = [fields for layer in outer for fields in _fields(layer)]
    found = _Found(layers)
    facts = {name: fact for name in NAMES if (fact := found.take(name, NAMES[name])) is not None}
    subscriber_id = found.take("subscriber_id", SUBSCRIBER_ID)
    is_active = found.take("is_active", IS_ACTIVE)
    return Told(
        facts=facts,
        subscriber_id=str(subscriber_id) if subscriber_id is not None else None,
        email=_text_of(facts, "subscriber_email"),
        is_active=is_active if isinstance(is_active, bool) else None,
        subscription_id=_text_of(facts, "subscription_id"),
        said=frozenset(found.said - {"is_active"}),
        faults=tuple(found.faults),
    )


def plain_name(name: str) -> str:
    """`calendarTags`, `calendar_tags` and `CalendarTags` are one."""
    return _BETWEEN_WORDS.sub("", name.lower())


def by_plain_name(thing: Mapping[str, Any]) -> dict[str, Any]:
    return {plain_name(str(key)): value for key, value in thing.items()}


class _Found:
    """Looks for values by their names, layer by layer."""

    def __init__(self, layers: list[dict[str, object]]) -> None:
        self._layers = layers
        self.said: set[str] = set()
        self.faults: list[str] = []

    def take(self, fact: str, names: tuple[str, ...]) -> Fact | None:
        for layer in self._layers:
            for name in names:
                if name not in layer:
                    continue
                if fact != "subscriber_id":
                    self.said.add(fact)
                try:
                    value = self._tags(layer[name]) if fact == "tags" else _read(fact, layer[name])
                except InvalidValue:
                    self._wrong(fact)
                    continue
                if value is not None:
                    self.said.add(fact)
                    return value
        return None

    def _tags(self, given: object) -> Fact | None:
        """A tag that cannot be right takes no other with it."""
        names: list[str] = []
        for tag in given if isinstance(given, list) else [given]:
            try:
                names += _tag(tag)
            except InvalidValue:
                self._wrong("tags")
        found = list(dict.fromkeys(names))
        if len(found) > MOST_TAGS:
            self._wrong("tags")
            return None
        return found if found or given == [] else None

    def _wrong(self, fact: str) -> None:
        if fact not in self.faults:
            self.faults.append(fact)


def _fields(layer: Mapping[str, Any]) -> Iterator[dict[str, object]]:
    """The fields under their plain names, then those of each object inside."""
    plain = by_plain_name(layer)
    yield plain
    for outer in INNER:
        if isinstance(inside := plain.get(outer), Mapping):
            yield {outer + name: value for name, value in by_plain_name(inside).items()}


def _read(fact: str, given: object) -> Fact | None:
    if fact == "is_active":
        return read_fact("optIn1", given)
    if fact == "subscriber_id":
        return _subscriber_id(given)
    return read_fact(fact, given)


def _tag(tag: object) -> list[str]:
    if isinstance(tag, Mapping):
        by_name = next(_fields(tag))
        tag = next((by_name[name] for name in TAG if by_name.get(name) not in (None, "")), None)
    found = read_fact("tags", tag)
    return found if isinstance(found, list) else []


def _subscriber_id(given: object) -> str | None:
    """It may be longer than a fact."""
    if given is not None and (isinstance(given, bool) or not isinstance(given, str | int)):
        raise InvalidValue("a text is meant")
    text = "" if given is None else str(given).strip()
    if text and usable(text) is None:
        raise InvalidValue("it names no profile")
    return text or None


def _text_of(facts: Mapping[str, Fact], name: str) -> str | None:
    fact = facts.get(name)
    return fact if isinstance(fact, str) else None
