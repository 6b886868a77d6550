"""A bridge whose destinations are all configured, and the document as its answers are held against it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from jsonschema import Draft202012Validator, FormatChecker
from servers import SandboxUnderTest, running_sandbox
from web.running import OTHER_ID, PLAIN, Bridge, Starter, sale

from bridge.outbox.tables import jobs, messages
from bridge.web.interface.common import JOB_ID, MESSAGE_ID


def variables(upstream: str) -> dict[str, str]:
    """All destinations, at one upstream."""
    return {
        "ROKT_CALENDAR_URL": upstream,
        "ROKT_WEBHOOK_SECRET": "local-webhook-secret",
        "ROKT_EVENTS_URL": f"{upstream}/v2",
        "ROKT_EVENTS_KEY": "sandbox",
        "ROKT_EVENTS_SECRET": "sandbox",
        "ROKT_EVENTS_ENVIRONMENT": "development",
        "ROKT_ACCOUNT_ID": "sandbox",
        "ROKT_API_KEY": "sandbox",
        "ROKT_API_SECRET": "sandbox",
        "ROKT_API_URL": f"{upstream}/api.rokt.com",
        "ROKT_APP_ID": "sandbox",
        "ROKT_APP_SECRET": "sandbox",
        "ROKT_AUDIENCE_URL": upstream,
        "BRAZE_REST_URL": upstream,
        "BRAZE_API_KEY": "sandbox",
        "ROKT_OFFERS_URL": upstream,
        "ROKT_PUB_ID": "sandbox",
        "ROKT_SECRET": "sandbox",
        "ROKT_TAG_ID": "1234567890",
    }


@contextmanager
def started(start: Starter) -> Iterator[Bridge]:
    """In front of the sandbox, with a message and a job of the ids that the examples have."""
    with running_sandbox() as sandbox:
        bridge = start(**variables(sandbox.url))
        stock(bridge)
        yield bridge


def stock(bridge: Bridge) -> None:
    """A dead message, and a job."""
    variables = {"title": "T", "starts": "2090-12-01T09:00"}
    kept = bridge.refuse(sale(template="later", variables=variables, subscription_ids=[OTHER_ID]))
    bridge.publish(later=PLAIN)
    made = bridge.accept({"state": "accepted"}, "/v1/messages/cancel")
    with bridge.database.write() as connection:
        connection.execute(sa.update(messages).where(messages.c.id == kept.id).values(id=MESSAGE_ID))
        connection.execute(sa.update(jobs).where(jobs.c.id == made.body["job"]).values(id=JOB_ID))


def closed(document: dict[str, Any]) -> dict[str, Any]:
    """The document in which no object has a field that is not told: the next version's, but not this one's."""
    found = copy.deepcopy(document)
    _close(found)
    return found


def _close(node: Any) -> None:
    if isinstance(node, dict):
        if isinstance(node.get("properties"), dict) and node.get("type") == "object":
            node.setdefault("additionalProperties", False)
        for inner in node.values():
            _close(inner)
    elif isinstance(node, list):
        for inner in node:
            _close(inner)


class Answers:
    """Holds answers against the document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = closed(document)

    def faults(self, path: str, method: str, status: int, media: str, body: Any) -> list[str]:
        """What an answer has that the document does not tell, or lacks. `body`: JSON, or text."""
        told = self._document["paths"][path][method.lower()]["responses"].get(str(status))
        if told is None:
            return [f"the status {status} is not told"]
        content = told.get("content", {})
        if body is None:
            return [] if not content or status == 202 else ["there is no body"]
        if media not in content:
            return [f"{media} is not told"]
        schema = {**content[media]["schema"], "components": self._document["components"]}
        validator = Draft202012Validator(schema, format_checker=FormatChecker())
        return [f"{fault.json_path}: {fault.message[:300]}" for fault in validator.iter_errors(body)]


__all__ = ["Answers", "SandboxUnderTest", "closed", "started", "stock", "variables"]
