"""POST /v1/subscribers: the facts of Rokt's webhook from any other source, checked field by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bridge.calendar.event import json_type
from bridge.errors import InvalidValue
from bridge.routes import incoming
from bridge.routes.incoming import (
    MOST_USER_ID,
    SUBSCRIPTION_ID,
    Reader,
    a_text,
    an_object,
    identifier,
    is_test,
    meant,
    shown,
)
from bridge.settings import IdentityRule
from bridge.subscribers.change import Action, SubscriberChange
from bridge.subscribers.facts import FACTS, Fact, read_fact, suffix_of
from bridge.subscribers.identity import address

NAME = "subscribers"
ACTIONS: tuple[Action, ...] = ("subscribe", "update", "unsubscribe")
KEYS = (
    "action",
    "external_id",
    "subscriber_id",
    "email",
    "subscription",
    "idempotency_key",
    "dispatch_id",
)


@dataclass(frozen=True)
class SubscriberCall:
    change: SubscriberChange
    idempotency_key: str | None
    is_test: bool


def read(body: Mapping[str, Any], rule: IdentityRule, header_key: str | None) -> SubscriberCall:
    """One change of one subscription. Errors: InvalidPayload with all that is wrong."""
    reader = Reader()
    action = reader.read("action", _action, body.get("action"))
    external_id = reader.read("external_id", _id, body.get("external_id"))
    subscriber_id = reader.read("subscriber_id", _id, body.get("subscriber_id"))
    email = reader.read("email", _email, body.get("email"))
    given = reader.read("subscription", an_object, body.get("subscription"))
    key = reader.read("idempotency_key", incoming.key, body.get("idempotency_key"), "") or header_key or ""
    dispatch_id = reader.read("dispatch_id", a_text, body.get("dispatch_id"), "")
    reader.refuse_unknown([name for name in body if name not in KEYS], "is not known", KEYS)
    if external_id and rule.subscriber_id == "external_id":
        if subscriber_id not in (None, external_id):
            reader.refuse("subscriber_id", "is not the external_id: give one of the two")
        subscriber_id = external_id
    facts = _facts(reader, given) if given is not None else {}
    reader.check()
    change = SubscriberChange(
        action,
        str(facts["subscription_id"]),
        facts=facts,
        subscriber_id=subscriber_id,
        email=email or facts.get("subscriber_email"),
        identifier=_named(external_id, email),
    )
    return SubscriberCall(change, key or None, is_test(key, header_key, dispatch_id))


def _facts(reader: Reader, given: Mapping[str, Any]) -> dict[str, Any]:
    within = "subscription."
    subscription_id = reader.read(f"{within}subscription_id", _subscription_id, given.get("subscription_id"))
    reader.refuse_unknown(
        [name for name in given if name not in FACTS], "is no fact of a subscription", FACTS, within=within
    )
    ending = "/" + suffix_of(subscription_id) if subscription_id else ""
    facts: dict[str, Any] = {"subscription_id": subscription_id}
    for name in (name for name in FACTS if name in given and name not in facts):
        facts[name] = reader.read(within + name, lambda its, name=name: _fact(name, its, ending), given[name])
    return {name: fact for name, fact in facts.items() if fact is not None}


def _named(external_id: str | None, email: str | None) -> str | None:
    """The profile that the caller names, whatever Rokt's subscriber ids are here."""
    if external_id:
        return f"external_id:{external_id}"
    return f"email:{address(email)}" if email else None


def _action(given: object) -> str:
    action = a_text(given).lower()
    if not action:
        raise InvalidValue(f"is needed: {', '.join(ACTIONS)}")
    if action not in ACTIONS:
        raise InvalidValue(f"{shown(action)} is no action; {meant(action, ACTIONS)}")
    return action


def _id(given: object) -> str | None:
    """None for a blank one, as Liquid makes of what a user has not."""
    if isinstance(given, int) and not isinstance(given, bool):
        given = str(given)
    return identifier(a_text(given), MOST_USER_ID) or None


def _email(given: object) -> str | None:
    text = _id(given)
    if text is not None and address(text) is None:
        raise InvalidValue("is no e-mail address such as ada@example.com")
    return text


def _subscription_id(given: object) -> str:
    if isinstance(given, list):
        raise InvalidValue("holds one value, not a list")
    text = a_text(given)
    if not text:
        raise InvalidValue("is needed, such as 06423672-b6ba-4536-aa36-70788a7a0a36")
    if not SUBSCRIPTION_ID.fullmatch(text):
        raise InvalidValue(
            f"{shown(text)} is no subscription id such as 06423672-b6ba-4536-aa36-70788a7a0a36"
        )
    return text


def _fact(name: str, given: object, ending: str) -> Fact | None:
    """As Braze holds it: with the subscription's own suffix, or without."""
    if name == "tags" and isinstance(given, list):
        return read_fact(name, [_without(ending, one) for one in given])
    if isinstance(given, list | dict):
        raise InvalidValue(f"holds one value, not {json_type(given)}")
    return read_fact(name, _without(ending, given))


def _without(ending: str, given: object) -> object:
    if not isinstance(given, str):
        return given
    text = given.rstrip()
    return text[: -len(ending)] if ending and text.lower().endswith(ending) else given
