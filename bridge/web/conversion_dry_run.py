"""What would leave for conversions, without sending it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from bridge.conversions.batches import Part
from bridge.conversions.calls import Limits, calls_of
from bridge.message import Json
from bridge.web.parts import Parts
from bridge.web.shown import shown

TEST = "a test of Braze: nothing was sent"
MESSAGE_ID = "00000000-0000-0000-0000-000000000000"  # a message that is not made has none


def dry_run(parts: Parts, stored: Sequence[tuple[str, Json]], *, is_test: bool) -> dict[str, Any]:
    """Exactly what would leave if nothing else waited, without Authorization. `stored`: identities and batches."""
    events, batch = parts.settings.rokt_events, parts.settings.batch
    assert events is not None, "nothing is accepted for Rokt's Event API while it is off"
    now = datetime.now(UTC)
    users: dict[str, list[Part]] = {}
    for identity, one in stored:
        users.setdefault(identity, []).append(Part.of(one, MESSAGE_ID, now, events.environment))
    calls = calls_of(users.values(), Limits.of(events.rate, batch.count, batch.size))
    told: dict[str, Any] = {
        "dry_run": True,
        "requests": [shown("POST", events.url + call.path, call.body()) for call in calls],
    }
    return told | ({"reason": TEST} if is_test else {})
