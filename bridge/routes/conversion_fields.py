"""What single fields of a conversion may be: addresses and their hashes, numbers, times, texts."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

from bridge import hashing
from bridge.calendar.event import json_type
from bridge.conversions.api_form import checked_time
from bridge.conversions.batches import MOST_NAME, MOST_VALUE
from bridge.conversions.conversion import Scalar
from bridge.errors import InvalidValue
from bridge.routes.incoming import a_text, identifier, moment, shown

_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,15})?")
EPOCH = re.compile(r"[0-9]{9,10}|[0-9]{12,13}")  # seconds or milliseconds since 1970
_FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False, "": False}


def address(given: object) -> str | None:
    """An address, or the hash of one. Errors: InvalidValue."""
    text = a_text(given)
    found = hashing.hash_of(text) or hashing.address_of(text)
    if text and found is None:
        raise InvalidValue("is no e-mail address such as ada@example.com")
    return found


def address_hash(given: object) -> str | None:
    """Errors: InvalidValue: a raw address must never stand in a hash's field."""
    text = a_text(given)
    if text and hashing.hash_of(text) is None:
        if hashing.address_of(text):
            raise InvalidValue("is an address, not its hash: send it as email, with hash: true")
        raise InvalidValue("is no SHA-256 in hex: 64 digits and letters from a to f")
    return hashing.hash_of(text)


def attribute_name(name: str) -> str:
    """Errors: InvalidValue."""
    if not name.strip():
        raise InvalidValue("is no name")
    if len(name) > MOST_NAME:
        raise InvalidValue(f"is a name of more than {MOST_NAME} characters")
    return identifier(name, 4 * MOST_NAME)


def scalar(given: object) -> Scalar | None:
    """A text, a number, or yes or no; None for a blank. Errors: InvalidValue."""
    if given is None or isinstance(given, str):
        return text(given)
    if isinstance(given, bool | int):
        return given if abs(given) < 10**18 else _too_large()
    if isinstance(given, float):
        return given if math.isfinite(given) else _too_large()
    raise InvalidValue(f"must be one text, number, true or false, not {json_type(given)}")


def no_raw_address(name: str, value: object) -> None:
    """Where a hash is expected nothing can be read. Errors: InvalidValue for an address."""
    is_of_hashes = any(word in name.lower() for word in ("sha256", "hash"))
    if is_of_hashes and isinstance(value, str) and hashing.address_of(value):
        raise InvalidValue("is an address, not its hash")


def _too_large() -> Scalar:
    raise InvalidValue("is too large a number")


def text(given: object) -> str | None:
    """None for a blank one, as Liquid makes of what a user has not."""
    if isinstance(given, int | float) and not isinstance(given, bool):
        given = str(scalar(given))
    its = a_text(given)
    if len(its) > MOST_VALUE:
        raise InvalidValue(f"has {len(its):,} characters; {MOST_VALUE:,} are the most")
    return identifier(its, 4 * MOST_VALUE) or None


def an_id(given: object, most: int) -> str | None:
    return identifier(text(given) or "", most) or None


def number(given: object) -> float | int | None:
    if isinstance(given, str):
        text = given.strip()
        if not text:
            return None
        if not _NUMBER.fullmatch(text):
            raise InvalidValue(
                f"{shown(text)} is no number such as 129.95: digits, and a point where it must be"
            )
        return float(text) if "." in text else int(text)
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise InvalidValue(f"must be a number such as 129.95, not {json_type(given)}")
    if not abs(given) < 10**15:
        raise InvalidValue("is too large a number")
    return given


def quantity(given: object) -> int | None:
    count = number(given)
    if count is None:
        return None
    if count != int(count) or count < 1:
        raise InvalidValue("must be a whole number of at least 1")
    return int(count)


def flag(given: object) -> bool:
    if isinstance(given, bool):
        return given
    word = str(given) if isinstance(given, int) else a_text(given).lower()
    if word not in _FLAGS:
        raise InvalidValue("must be true or false")
    return _FLAGS[word]


def event_time(given: object, now: datetime) -> datetime | None:
    """A time with an offset, or in UTC; or seconds or milliseconds since 1970, as Liquid's `date: "%s"` makes."""
    if isinstance(given, int) and not isinstance(given, bool):
        given = str(given)
    if given is None or (isinstance(given, str) and not given.strip()):
        return None
    if isinstance(given, str) and EPOCH.fullmatch(given.strip()):
        epoch = int(given)
        return checked_time(datetime.fromtimestamp(epoch / 1000 if epoch >= 10**11 else epoch, UTC), now)
    return checked_time(moment(given), now)
