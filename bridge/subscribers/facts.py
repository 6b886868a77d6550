"""The sixteen facts of a subscription: how each is read, and what becomes of it in Braze's arrays."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

from bridge.errors import InvalidValue
from bridge.message import Json
from bridge.settings import ATTRIBUTES

# As the bridge's own API spells them; Braze knows them with the prefix.
# https://www.braze.com/docs/partners/message_orchestration/additional_channels/calendar/rokt_calendar
FACTS = ATTRIBUTES
ATTRIBUTE_PREFIX = "rokt:"
MOST_TAGS = 100  # an event's properties may have 100 KB, and an array 500 values of all subscriptions
MOST_VALUE = 255  # characters; Braze leaves a profile as it is if one is longer, and answers that all is well
SUFFIX_LENGTH = 12  # the last group of a GUID
SUBSCRIPTION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:-]{0,127}")

_OPT_INS = ("optIn1", "optIn2")
_OPTED = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_METHODS = {"webcal": "WebCal", "google": "Google", "microsoft": "Microsoft"}
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # what a database cannot hold
_UNREADABLE = {"Cc", "Cs"}  # control characters and halves of characters

Fact = str | bool | list[str]


def read_fact(name: str, given: object) -> Fact | None:
    """One fact as the ledger keeps it, None for a blank one. Errors: InvalidValue.

    No tags at all are a fact, not a blank: they take away those that there were.
    """
    if given is None:
        return None
    if name in _OPT_INS:
        return _opted(given)
    if name == "tags":
        tags = given if isinstance(given, list) else [given]
        texts = [_text(name, one) for one in tags if one is not None]
        names = list(dict.fromkeys(filter(None, texts)))
        if len(names) > MOST_TAGS:
            raise InvalidValue(f"has {len(names):,} tags; {MOST_TAGS} are the most of one subscription")
        return names if names or given == [] else None
    text = _text(name, given)
    if name == "subscription_method":
        text = _METHODS.get(text.lower(), text)
    return text or None


def key_of_subscription(subscription_id: str) -> str:
    """How the ledger knows it: Rokt and its callers write the same GUID in either case."""
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", subscription_id).strip().lower()


def suffix_of(subscription_id: str) -> str:
    """What tells a subscription's values apart from those of the same user's others: its id's last group."""
    key = key_of_subscription(subscription_id)
    return key.rstrip("-").rpartition("-")[2] or key


def values(facts: Json, suffix: str, wanted: Collection[str]) -> dict[str, list[str]]:
    """The values that these facts put into Braze's arrays, by the name of the attribute."""
    found = {}
    for name in FACTS:
        fact = facts.get(name) if name in wanted else None
        if fact is None:
            continue
        ending = "" if name == "subscription_id" else f"/{suffix}"
        texts = [f"{one}{ending}" for one in (fact if isinstance(fact, list) else [fact])]
        # Only an id whose last group is no GUID's makes one too long that could be read.
        if fitting := [text for text in dict.fromkeys(texts) if len(text) <= MOST_VALUE]:
            found[ATTRIBUTE_PREFIX + name] = fitting
    return found


def _opted(given: object) -> bool | None:
    if isinstance(given, bool):
        return given
    text = str(given).strip().lower() if isinstance(given, str | int) else None
    if text == "":
        return None
    if text not in _OPTED:
        raise InvalidValue("true or false is meant")
    return _OPTED[text]


def _text(name: str, given: object) -> str:
    if isinstance(given, bool) or not isinstance(given, str | int | float):
        raise InvalidValue("a text, or a list of texts, is meant" if name == "tags" else "a text is meant")
    text = str(given).strip()
    if any(unicodedata.category(character) in _UNREADABLE for character in text):
        raise InvalidValue("it holds a character that cannot be shown")
    most = MOST_VALUE if name == "subscription_id" else MOST_VALUE - SUFFIX_LENGTH - 1
    if len(text) > most:
        why = "" if name == "subscription_id" else " with the subscription's suffix"
        raise InvalidValue(
            f"it has {len(text)} characters, at most {most} fit: Braze takes {MOST_VALUE}{why}"
        )
    return text
