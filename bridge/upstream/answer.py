"""What an upstream answered, read up to a limit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

ANSWER_LIMIT = 64 * 1024
"""Bytes of an answer that are read. Rokt's and Braze's have a few hundred; what goes beyond is not read."""

LONGEST_RETRY_AFTER = 3600.0
"""Seconds. Whoever asks for more is asked again after an hour: a slip in one header must not stop a day."""


@dataclass(frozen=True)
class Answer:
    """A whole HTTP answer of any status. `headers` are looked up in any case; `ms`: its duration."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    text: str = field(repr=False)
    ms: int

    def json(self) -> object | None:
        """The body as JSON, None when it is not."""
        try:
            value: object = json.loads(self.text)
        except (ValueError, RecursionError):
            return None
        return value

    @property
    def retry_after(self) -> float | None:
        """What `Retry-After` asks for, in seconds (0 … an hour), None without a header that can be read.

        A date counts from the answer's own `Date`, so that a clock that is wrong here or there does no harm.
        """
        asked = self.headers.get("Retry-After", "").strip()
        if asked.isascii() and asked.isdigit():
            return min(float(asked), LONGEST_RETRY_AFTER)
        until = _http_date(asked)
        if until is None:
            return None
        answered_at = _http_date(self.headers.get("Date", "")) or datetime.now(UTC)
        return min(max((until - answered_at).total_seconds(), 0.0), LONGEST_RETRY_AFTER)


def _http_date(text: str) -> datetime | None:
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)
