"""What an export of Braze tells of its users' subscriptions: whose they are, and which values are whose."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bridge.errors import InvalidValue
from bridge.message import Json
from bridge.subscribers.facts import (
    ATTRIBUTE_PREFIX,
    FACTS,
    SUBSCRIPTION_ID,
    key_of_subscription,
    read_fact,
    suffix_of,
)
from bridge.subscribers.identity import usable

USER_IDS = ("external_id", "user_id")
EXAMPLE = "06423672-b6ba-4536-aa36-70788a7a0a36"
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # what a database cannot hold
_OTHERS = tuple(name for name in FACTS if name != "subscription_id")  # the account's code comes first

Texts = tuple[str, ...]


@dataclass(frozen=True)
class ExportedUser:
    """`arrays`: what Braze holds, by the name of the fact, without `rokt:`."""

    external_id: str
    arrays: Mapping[str, Texts]


@dataclass(frozen=True)
class Found:
    """A subscription as Braze holds it. `held`: exactly the values found, by the name of the attribute."""

    external_id: str
    given_id: str
    suffix: str
    facts: Json
    held: Mapping[str, Texts]


def read_user(record: Mapping[str, Any] | InvalidValue) -> ExportedUser | None:
    """A user of an export; None for one who holds nothing of Rokt Calendar. Errors: InvalidValue."""
    if isinstance(record, InvalidValue):
        raise record
    custom = record.get("custom_attributes") or {}
    if not isinstance(custom, Mapping):
        raise InvalidValue("custom_attributes: an object is meant")
    arrays = {}
    for name in FACTS:
        given = custom.get(ATTRIBUTE_PREFIX + name, record.get(ATTRIBUTE_PREFIX + name))
        if texts := _texts(ATTRIBUTE_PREFIX + name, given):
            arrays[name] = texts
    if not arrays:
        return None
    named = next((record[name] for name in USER_IDS if record.get(name) not in (None, "")), None)
    external_id = usable(str(named)) if isinstance(named, str | int) else None
    if external_id is None:
        raise InvalidValue("external_id is missing, or cannot be one")
    return ExportedUser(external_id, arrays)


def pair(user: ExportedUser) -> list[Found]:
    """The user's subscriptions, each with its values. Errors: InvalidValue if it cannot be told whose they are.

    A value belongs to the suffix behind its last slash; tags hold slashes. A suffix belongs to the id of whose
    last group it is. Braze's own example has one that is not: then ids and suffixes that are left stand in the
    same order in their arrays, if they are equally many.
    """
    ids = _ids(user.arrays.get("subscription_id", ()))
    of_suffix = _by_suffix(user.arrays)
    its_suffix: dict[str, str] = {}
    for key in ids:
        mine = [one for one in of_suffix if one.lower() == suffix_of(key) and one not in its_suffix.values()]
        if mine:
            its_suffix[key] = mine[0]
    ids_left = [key for key in ids if key not in its_suffix]
    suffixes_left = [one for one in of_suffix if one not in its_suffix.values()]
    if suffixes_left and len(ids_left) != len(suffixes_left):
        raise InvalidValue(
            "which values belong to which subscription cannot be told: "
            f"{_count(len(ids_left), 'id')} and {_count(len(suffixes_left), 'suffix', 'suffixes')} are left"
        )
    its_suffix |= dict(zip(ids_left, suffixes_left, strict=False))
    return [_found(user.external_id, ids[key], its_suffix.get(key, suffix_of(key)), of_suffix) for key in ids]


def _ids(texts: Texts) -> dict[str, list[str]]:
    """Each id's forms as they were found, the newest last, by the ledger's key."""
    found: dict[str, list[str]] = {}
    for text in texts:
        try:
            is_blank = read_fact("subscription_id", text) is None
        except InvalidValue as wrong:
            raise InvalidValue(f"{ATTRIBUTE_PREFIX}subscription_id: {wrong}") from wrong
        if not is_blank and not SUBSCRIPTION_ID.fullmatch(text.strip()):
            # Nothing else takes it: no webhook could ever change it.
            raise InvalidValue(f"{ATTRIBUTE_PREFIX}subscription_id: one of them is none such as {EXAMPLE}")
        if not is_blank:
            found.setdefault(key_of_subscription(text), []).append(text)
    return found


def _by_suffix(arrays: Mapping[str, Texts]) -> dict[str, dict[str, list[str]]]:
    """Values as they were found, by their suffix and the name of the fact; the oldest suffix first."""
    found: dict[str, dict[str, list[str]]] = {}
    for name in _OTHERS:
        for text in arrays.get(name, ()):
            suffix = text.rpartition("/")[2].strip()
            if not suffix or "/" not in text:
                raise InvalidValue(f"{ATTRIBUTE_PREFIX}{name}: a value does not end in / and a suffix")
            found.setdefault(suffix, {}).setdefault(name, []).append(text)
    return found


def _found(
    external_id: str, ids: list[str], suffix: str, of_suffix: Mapping[str, Mapping[str, list[str]]]
) -> Found:
    values = {"subscription_id": ids, **of_suffix.get(suffix, {})}
    facts = {name: fact for name, texts in values.items() if (fact := _fact(name, texts)) is not None}
    held = {ATTRIBUTE_PREFIX + name: tuple(texts) for name, texts in values.items()}
    return Found(external_id, ids[-1].strip(), suffix, facts, held)


def _fact(name: str, texts: Iterable[str]) -> object:
    """Of what was said several times the last holds, which stands last in its array. None: nothing to be read."""
    facts = []
    for text in texts:
        try:
            facts.append(read_fact(name, text if name == "subscription_id" else text.rpartition("/")[0]))
        except InvalidValue:
            continue  # Braze holds it all the same
    if name == "tags":
        return [one for fact in facts if isinstance(fact, list) for one in fact] or None
    return next((fact for fact in reversed(facts) if fact is not None), None)


def _texts(attribute: str, given: object) -> Texts:
    some = given if isinstance(given, list) else [given]
    texts = [one for one in some if isinstance(one, str)]
    if len(texts) + some.count(None) < len(some):
        raise InvalidValue(f"{attribute}: an array of texts is meant")
    if any(_UNSTORABLE.search(one) for one in texts):
        raise InvalidValue(f"{attribute}: it holds a character that cannot be stored")
    return tuple(dict.fromkeys(filter(None, texts)))


def _count(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or f'{one}s'}"
