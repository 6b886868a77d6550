"""E-mail addresses as Rokt matches them: all white space out, lower case, and SHA-256 of that in hex."""

from __future__ import annotations

import hashlib
import re

# Of one address, by RFC 5321; and no control characters, no half of a character.
MOST_BYTES = 254
_LETTERS = r"[^\s@\x00-\x1f\x7f-\x9f\ud800-\udfff]+"
_ADDRESS = re.compile(rf"{_LETTERS}@{_LETTERS}\.{_LETTERS}")
_HASH = re.compile(r"[0-9a-f]{64}")


def address_of(text: str) -> str | None:
    """An e-mail address without white space and in lower case; None for what is none."""
    address = _normal(text)
    # Its length first: of a long one the pattern would look at every point as the last.
    is_short = len(address) <= MOST_BYTES and len(address.encode("utf-8", "replace")) <= MOST_BYTES
    return address if is_short and _ADDRESS.fullmatch(address) else None


def hash_of(text: str) -> str | None:
    """The SHA-256 that a text already is, in lower case; None for anything else."""
    found = _normal(text)
    return found if _HASH.fullmatch(found) else None


def hashed(text: str) -> str | None:
    """The SHA-256 of an address, or that which the text already is, as it is never hashed twice.

    None for what is neither: nothing else may stand where a hash is expected.
    """
    if (already := hash_of(text)) is not None:
        return already
    address = address_of(text)
    return None if address is None else hashlib.sha256(address.encode()).hexdigest()


def _normal(text: str) -> str:
    return "".join(text.split()).lower()
