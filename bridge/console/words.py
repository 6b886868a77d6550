"""What the console calls things: the words for marketers, in one place."""

from __future__ import annotations

from datetime import UTC, datetime

from bridge.settings.declared import words_for

_STATES = {
    "accepted": "waiting",
    "retrying": "waiting (trying again)",
    "delivered": "handed to {upstream}",
    "dead": "failed: needs you",
    "uncertain": "unclear: {upstream} did not answer",
    "skipped": "skipped",
    "superseded": "replaced by a later one",
}


def words_of(state: str, destination: str = "") -> str:
    """A message's state as a marketer says it."""
    return _STATES.get(state, state).format(upstream=words_for(destination).upstream)


def moment(when: datetime | None) -> str:
    """A time in UTC, to the minute; a browser shows it in its own zone (macro `time`)."""
    return "" if when is None else f"{when.astimezone(UTC):%-d %b %Y, %H:%M} UTC"


def count(number: int, one: str, many: str = "") -> str:
    """`1 message`, `2,000 messages`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
