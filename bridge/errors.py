"""The errors of the bridge, and what becomes of each.

BridgeError
├── Answerable                 becomes an answer to the caller (application/problem+json)
│   ├── MalformedJson          400  not JSON: line, column, "use json_escape"
│   ├── Unauthorized           401  no key, or a wrong one
│   ├── Forbidden              403  a key without the scope
│   ├── NotFound               404
│   ├── Conflict               409  somebody else was faster: nothing was overwritten
│   ├── TooLarge               413
│   ├── UnsupportedMediaType   415  a form
│   ├── InvalidPayload         422  the caller built it wrongly: not kept
│   ├── TemplateRefused        422  the marketer must mend a template or a value: kept as dead
│   ├── NotConfigured          501  a destination that is off, with the variables it waits for
│   └── DatabaseUnavailable    503  the only reason to ask Braze for a repeat
│       └── DatabaseMoved           the file was moved to PostgreSQL: a start is refused, a repeat arrives there
├── InvalidValue               one value is wrong: whoever knows the field's name makes an Answerable of it
├── SettingsInvalid            the environment's faults, all at once
├── SlotMissed                 a call's time to leave has passed: it is given back as if it had not been claimed
└── UpstreamTrouble            becomes an outcome in the worker
    ├── NotBegun               name, connect, TLS: nothing was sent, repeat freely
    ├── AnswerLost             the first byte was written and no whole answer came
    └── CredentialRefused      the token endpoint does not take our credential
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import ClassVar


class BridgeError(Exception):
    """Anything the bridge raises on purpose."""


@dataclass(frozen=True)
class FieldError:
    """One field and what would be right, in words for the marketer who reads it in Braze's test dialog."""

    field: str
    message: str


class Answerable(BridgeError):
    """An error that is an answer. `detail` is one short sentence without secrets or personal data."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something is wrong"

    def __init__(self, detail: str, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)


class MalformedJson(Answerable):
    status, title = 400, "This is not JSON"


class Unauthorized(Answerable):
    status, title = 401, "No valid key"


class Forbidden(Answerable):
    status, title = 403, "This key may not do that"


class NotFound(Answerable):
    status, title = 404, "Not found"


class MethodNotAllowed(Answerable):
    status, title = 405, "Method not allowed"


class Conflict(Answerable):
    status, title = 409, "Somebody else was faster"


class TooLarge(Answerable):
    status, title = 413, "Too large"


class UnsupportedMediaType(Answerable):
    status, title = 415, "Send JSON"


class InvalidPayload(Answerable):
    """What the caller built wrongly: nothing of it is kept."""

    status, title = 422, "The request is not right"

    @classmethod
    def of(cls, *errors: FieldError) -> InvalidPayload:
        return cls("; ".join(f"{e.field}: {e.message}" if e.field else e.message for e in errors), errors)


class TemplateRefused(Answerable):
    """What a template refuses: the request is kept as dead, to be replayed once the marketer has mended it.

    `cause` is a short fixed phrase for lists and counts, such as "unknown template".
    """

    status, title = 422, "The template refused this"

    def __init__(self, cause: str, errors: Sequence[FieldError]) -> None:
        super().__init__(
            "; ".join(f"{e.field}: {e.message}" if e.field else e.message for e in errors), errors
        )
        self.cause = cause


class NotConfigured(Answerable):
    status, title = 501, "This destination is off"


class DatabaseUnavailable(Answerable):
    status, title = 503, "The database cannot take the message now"
    retry_after = 5


class DatabaseMoved(DatabaseUnavailable):
    """What stood in a SQLite file was moved away, and nothing may come into it any more."""

    def __init__(self) -> None:
        super().__init__(
            "This SQLite file was moved to PostgreSQL and is closed: set DATABASE_URL to the new database. "
            "If the move was broken off at its very end, run it again."
        )


class InvalidValue(BridgeError):
    """One value is wrong; `str(error)` says what would be right, without the name of its field."""


class SettingsInvalid(BridgeError):
    """The faults of the environment, all of them."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(f"- {fault}" for fault in faults))
        self.faults = tuple(faults)


class SlotMissed(BridgeError):
    """The time in which a call might leave has passed, and nothing of it was sent."""


class UpstreamTrouble(BridgeError):
    """An upstream did not answer as it should. The text names no secret and no personal data."""


class NotBegun(UpstreamTrouble):
    """The call never began (name, connect, TLS, no token came): repeat freely.

    `wait`: what the token endpoint's Retry-After asked for, seconds.
    """

    wait: float | None = None


class AnswerLost(UpstreamTrouble):
    """The first byte of the request was written and no whole answer came back: nobody knows whether it worked."""


class CredentialRefused(UpstreamTrouble):
    """The token endpoint answered that it does not take this credential."""


def nearest(word: str, known: Sequence[str], count: int = 3) -> list[str]:
    """The names in `known` that look most like `word`, best first, in any case of letters."""
    by_folded = {name.casefold(): name for name in known}
    return [by_folded[name] for name in get_close_matches(word.casefold(), list(by_folded), count, 0.6)]
