"""What a request says, read into values: ids and codes as Braze holds them, times, blanks."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from bridge.calendar.event import json_type
from bridge.calendar.identifiers import event_id as event_id
from bridge.calendar.identifiers import identifier as identifier
from bridge.calendar.identifiers import plain as plain
from bridge.calendar.identifiers import shown as shown
from bridge.calendar.zones import find_zone, parse_time
from bridge.errors import FieldError, InvalidPayload, InvalidValue, nearest
from bridge.subscribers.facts import SUBSCRIPTION_ID as SUBSCRIPTION_ID

ACCOUNT_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
MOST_USER_ID = 987  # bytes; Braze's own limit of an external_id
MOST_IDS = 1_000
MOST_NAMED = 12  # wrong names in one answer, which a person reads
UNSENT_CAMPAIGN = "dispatch_id_for_unsent_campaign"  # what Braze renders as dispatch_id in a test send

# How Braze's page names Rokt's fields beside its template, and in its French translation.
_OTHER_NAMES = {
    "eventtitle": "title",
    "eventdescr": "description",
    "eventlocation": "location",
    "eventstart": "start",
    "eventend": "end",
    "eventtz": "timezone",
    "titre": "title",
    "emplacement": "location",
    "départ": "start",
    "fin": "end",
    "fuseau horaire": "timezone",
}
_GUID = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_ONLY_GUIDS = re.compile(rf"(?:{_GUID}){{2,}}")


@dataclass(frozen=True)
class Suffixed:
    """A value of one of Braze's `rokt:*` arrays, such as `brazetest/f5733866ade2`."""

    value: str
    suffix: str

    def is_of(self, subscription_id: str) -> bool:
        """The suffix is the last group of the subscription's id."""
        return bool(self.suffix) and subscription_id.rpartition("-")[2].lower() == self.suffix.lower()


def values(given: object) -> list[str]:
    """The single values of an array, or of a text that Liquid made of one: joined by `,` or `","`, or not at all.

    Blanks are left out; repeats stay, as two lists may belong together by position. Errors: InvalidValue.
    """
    if given is None:
        return []
    if isinstance(given, str):
        texts = [given]
    elif isinstance(given, Sequence):
        texts = []
        for number, item in enumerate(given, 1):
            if item is not None and not isinstance(item, str):
                raise InvalidValue(f"item {number} must be text in quotes, not {json_type(item)}")
            texts.append(item or "")
    else:
        raise InvalidValue(f"must be text or a list of texts, not {json_type(given)}")
    parts = (part.strip(' \t\r\n"[]') for text in texts for part in text.split(","))
    return [value for part in parts if part for value in _unjoined(part)]


def _unjoined(text: str) -> list[str]:
    return re.findall(_GUID, text) if _ONLY_GUIDS.fullmatch(text) else [text]


def suffixed(given: object) -> list[Suffixed]:
    """Values cut at their last slash."""
    found = []
    for text in values(given):
        value, slash, suffix = text.rpartition("/")
        found.append(Suffixed(value, suffix) if slash else Suffixed(suffix, ""))
    return found


def account_codes(given: object) -> list[Suffixed]:
    """Errors: InvalidValue that shows the code."""
    found = [one for one in suffixed(given) if one.value]
    if len(found) > MOST_IDS:
        raise InvalidValue(f"has {len(found):,} codes; {MOST_IDS:,} are the most of one user")
    for one in found:
        account_code(one.value)
    return found


def account_code(code: str) -> str:
    if not ACCOUNT_CODE.fullmatch(code):
        raise InvalidValue(
            f"{shown(code)} is no account code: it has letters, digits, - and _ only, "
            "such as brazetest or brazetest/f5733866ade2"
        )
    if code == "update":
        raise InvalidValue('"update" is no account code: this user has no rokt:account_code')
    return code


def subscription_ids(given: object) -> list[str]:
    """Errors: InvalidValue that shows the id."""
    found = []
    for one in suffixed(given):
        subscription_id = one.value or one.suffix
        if not SUBSCRIPTION_ID.fullmatch(subscription_id):
            raise InvalidValue(
                f"{shown(subscription_id)} is no subscription id such as 06423672-b6ba-4536-aa36-70788a7a0a36"
            )
        found.append(subscription_id)
    if len(found) > MOST_IDS:
        raise InvalidValue(f"has {len(found):,} ids; {MOST_IDS:,} are the most of one user")
    return found


def user_id(given: object) -> str:
    """Errors: InvalidValue."""
    if isinstance(given, int) and not isinstance(given, bool):
        given = str(given)
    if not isinstance(given, str) and given is not None:
        raise InvalidValue(f"must be text in quotes, not {json_type(given)}")
    user = (given or "").strip()
    if not user:
        raise InvalidValue("is blank: this user has no {{${user_id}}} (external_id)")
    return identifier(user, MOST_USER_ID)


def moment(given: object, zone_name: str | None = None) -> datetime:
    """A time with an offset, or in this zone, or else in UTC. Errors: InvalidValue."""
    if not isinstance(given, str):
        raise InvalidValue(f"must be a time such as 2026-12-01T09:00:00Z, not {json_type(given)}")
    return parse_time(given, find_zone(zone_name or "UTC")).astimezone(UTC)


def order(given: object) -> float | None:
    """`as_of`: a number as it is, a time as seconds since 1970; None for a blank. Errors: InvalidValue."""
    if given is None or (isinstance(given, str) and not given.strip()):
        return None
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    if is_number or (isinstance(given, str) and re.fullmatch(r"\s*-?[0-9]{1,18}(\.[0-9]{1,9})?\s*", given)):
        try:
            number = float(given)  # type: ignore[arg-type]
        except OverflowError:
            number = math.inf
    elif isinstance(given, str):
        return moment(given).timestamp()
    else:
        raise InvalidValue("must be a number that grows, or a time such as 2026-11-20T10:00:00Z")
    if abs(number) > 1e18:
        raise InvalidValue("is too large a number")
    return number


def key(given: object) -> str:
    """An idempotency key; "" for one that holds no letter and no digit, as of blanks joined by dashes.

    Errors: InvalidValue.
    """
    told = str(given) if isinstance(given, int) and not isinstance(given, bool) else a_text(given)
    return told if any(letter.isalnum() for letter in told) else ""


def is_test(*marks: object) -> bool:
    """Braze's test sends render `dispatch_id` as a placeholder."""
    return any(isinstance(mark, str) and UNSENT_CAMPAIGN in mark for mark in marks)


def name_shown(name: str) -> str:
    """A caller's own name of a field, fit to be the field of an error."""
    return plain(name[:60])


def meant(word: str, known: Sequence[str]) -> str:
    """What a mistyped name may have been meant as, or all names that there are."""
    other = _OTHER_NAMES.get(word.casefold(), "")
    near = [other] if other in known else nearest(word[:60], known, 2)
    return f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"


class Reader:
    """Reads fields one by one and reports all that are wrong together."""

    def __init__(self) -> None:
        self.errors: list[FieldError] = []

    def read(self, field: str, parse: Any, given: object, default: Any = None) -> Any:
        try:
            return parse(given)
        except InvalidValue as wrong:
            self.errors.append(FieldError(field, str(wrong)))
            return default

    def refuse(self, field: str, message: str) -> None:
        self.errors.append(FieldError(field, message))

    def refuse_unknown(
        self, names: Collection[str], words: str, known: Sequence[str], *, within: str = ""
    ) -> None:
        """Refuse names that there are not, each with those that may be meant; of very many only the first."""
        for name in islice(names, MOST_NAMED):
            self.refuse(within + name_shown(name), f"{words}; {meant(name, known)}")
        if len(names) > MOST_NAMED:
            self.refuse(within.rstrip("."), f"{len(names) - MOST_NAMED:,} more names are not known")

    def check(self) -> None:
        if self.errors:
            raise InvalidPayload.of(*self.errors)


def an_object(given: object) -> Mapping[str, Any]:
    if given is None:
        raise InvalidValue("is needed: an object in braces")
    if not isinstance(given, Mapping):
        raise InvalidValue(f"must be an object in braces, not {json_type(given)}")
    return given


def an_object_or_blank(given: object) -> Mapping[str, Any]:
    is_blank = given is None or (isinstance(given, str) and not given.strip())
    return {} if is_blank else an_object(given)


def a_text(given: object) -> str:
    """A text, "" for a missing one."""
    if given is None:
        return ""
    if not isinstance(given, str):
        raise InvalidValue(f"must be text in quotes, not {json_type(given)}")
    return given.strip()
