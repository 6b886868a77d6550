"""Which of Braze's profiles a subscription belongs to."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from bridge.settings import IdentityRule
from bridge.subscribers.facts import key_of_subscription

__all__ = ["ALIAS_LABEL", "IdentityRule", "address", "chosen", "identifier_of", "named", "to_braze"]

ALIAS_LABEL = "rokt_calendar"
MOST_BYTES = 987  # of an external id: EXTERNAL_USER_ID_TOO_LARGE

_ADDRESS = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")


def identifier_of(
    rule: IdentityRule, subscriber_id: str | None, email: str | None, subscription_id: str
) -> str | None:
    """`external_id:u-1`, `email:a@b.c` or `alias:name`; None if nothing that is known makes one."""
    return named(rule, subscriber_id) or _fallback(rule, email, subscription_id)


def chosen(
    rule: IdentityRule,
    before: str | None,
    subscriber_id: str | None,
    email: str | None,
    subscription_id: str,
    *,
    may_fall_back: bool = True,
) -> str | None:
    """The identifier from now on. A second choice that was made stays until the first one can be."""
    first = named(rule, subscriber_id) or before
    return first or (_fallback(rule, email, subscription_id) if may_fall_back else None)


def named(rule: IdentityRule, subscriber_id: str | None) -> str | None:
    """The identifier that Rokt's subscriber id is."""
    name = address(subscriber_id) if rule.subscriber_id == "email" else usable(subscriber_id)
    return _written(rule.subscriber_id, name)


def address(given: str | None) -> str | None:
    """An e-mail address as it identifies: Braze does not tell its cases apart."""
    text = usable(given)
    return text.lower() if text and _ADDRESS.fullmatch(text) else None


def usable(given: str | None) -> str | None:
    """What can name a profile at all: not blank, not too long, no control characters."""
    text = (given or "").strip()
    if not text or any(unicodedata.category(one) in ("Cc", "Cs") for one in text):
        return None
    return text if len(text.encode()) <= MOST_BYTES else None


def to_braze(identifier: str, merges: bool) -> dict[str, Any]:
    """The fields by which `/users/track` finds the profile, and makes it if `merges`."""
    kind, _, name = identifier.partition(":")
    if kind != "alias":
        return {kind: name} if merges else {kind: name, "_update_existing_only": True}
    # Said in both cases: for an alias, unlike the others, Braze makes no profile unless it is told to.
    alias = {"alias_name": name, "alias_label": ALIAS_LABEL}
    return {"user_alias": alias, "_update_existing_only": not merges}


def _fallback(rule: IdentityRule, email: str | None, subscription_id: str) -> str | None:
    by_kind = {"email": address(email), "alias": usable(key_of_subscription(subscription_id))}
    return _written(rule.fallback, by_kind.get(rule.fallback))


def _written(kind: str, name: str | None) -> str | None:
    return f"{kind}:{name}" if name else None
