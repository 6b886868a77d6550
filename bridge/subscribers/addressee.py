"""A subscription as whoever addresses a calendar event sees it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Addressee:
    """What is known of one subscription. A code that is not known is blank.

    `is_active`: False only for one that is known to be unsubscribed.
    """

    account_code: str = ""
    calendar_code: str = ""
    is_active: bool = True
