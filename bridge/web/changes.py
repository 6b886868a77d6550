"""A change of a subscriber on its way in, from Rokt's webhook or from POST /v1/subscribers."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import g

from bridge.errors import NotConfigured
from bridge.message import NewMessage
from bridge.outbox.enqueue import Request, Subject
from bridge.outbox.tables import key_of
from bridge.settings import Settings
from bridge.subscribers.change import SubscriberChange
from bridge.subscribers.facts import key_of_subscription
from bridge.web.outcome import digest
from bridge.web.parts import Parts


def check_configured(settings: Settings) -> None:
    """Errors: NotConfigured."""
    if settings.braze is None and settings.subscribers.syncs:
        raise NotConfigured(
            "Braze is off: BRAZE_REST_URL and BRAZE_API_KEY are not set. (BRAZE_SYNC=off keeps the ledger alone.)"
        )


def request_of(
    parts: Parts,
    route: str,
    body: dict[str, Any],
    change: SubscriberChange | None,
    *,
    messages: tuple[NewMessage, ...] = (),
    key: str | None = None,
    repeat_key: str | None = None,
) -> Request:
    """`key`: the Idempotency-Key header, as it was sent. `messages`: where there is no change."""
    told = json.dumps(body, sort_keys=True, separators=(",", ":"))
    subject = None
    if change is not None:
        keep_until = datetime.now(UTC) + timedelta(days=parts.settings.retention_days)
        its_key = key_of("subscription", key_of_subscription(change.subscription_id))
        subject = Subject(its_key, digest(g.key_name, route, told), keep_until)
    return Request(
        messages=messages,
        request_id=g.request_id,
        inbound_key=g.key_name,
        route=route,
        payload={"body": body, "rest": "", "idempotency_key": key},
        size=len(told),
        repeat_key=repeat_key,
        subject=subject,
        change=change,
    )
