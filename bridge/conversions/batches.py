"""Conversions as mParticle's batches: one batch is one user's, and what a message puts into it.

https://docs.mparticle.com/developers/apis/http/ and Rokt's guide to its Event API
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from bridge.conversions.conversion import CONFIRMATION_REF, Conversion
from bridge.message import Json

ROKT = "1277"  # Rokt's number among mParticle's integrations
CLICK_ID = "passbackconversiontrackingid"
MOST_USER_ATTRIBUTES = 100  # of one batch
MOST_NAME, MOST_VALUE = 256, 4_096  # characters
MOST_BATCH = 128_000  # bytes

_MESSAGE_IDS = uuid.UUID("5d0a3b7e-6f0c-5c39-9d57-2a8f6c1b4e90")


def batch_of(conversion: Conversion) -> dict[str, Any]:
    """What is stored of a conversion: its batch, without what is added when it leaves."""
    identities = {
        "email": conversion.email,
        "other": conversion.email_sha256,
        "customerid": conversion.user_id,
        "other2": conversion.click_id,
    }
    batch: dict[str, Any] = {"user_identities": {name: its for name, its in identities.items() if its}}
    if conversion.user_attributes:
        batch["user_attributes"] = dict(conversion.user_attributes)
    if conversion.click_id:
        batch["integration_attributes"] = {ROKT: {CLICK_ID: conversion.click_id}}
    data: dict[str, Any] = {"event_name": "conversion"}
    if conversion.occurred_at is not None:
        data["timestamp_unixtime_ms"] = milliseconds(conversion.occurred_at)
    data["custom_attributes"] = conversion.told
    batch["events"] = [{"event_type": "custom_event", "data": data}]
    return batch


def is_known_again(batch: Json) -> bool:
    """Rokt itself takes it for one conversion, however often it comes."""
    return all(event["data"].get("custom_attributes", {}).get(CONFIRMATION_REF) for event in batch["events"])


@dataclass(frozen=True)
class Part:
    """What one message puts into a batch. `user`: all of the batch but the other two."""

    user: Json
    attributes: Json
    event: Json

    @classmethod
    def of(cls, batch: Json, message_id: str, received_at: datetime, environment: str) -> Part:
        """A stored batch as it leaves. `environment`: for one that does not say its own."""
        user = {"environment": environment} | {
            name: its for name, its in batch.items() if name not in ("user_attributes", "events")
        }
        [event] = batch["events"]
        return cls(user, batch.get("user_attributes") or {}, _whole(event, message_id, received_at))

    @cached_property
    def event_size(self) -> int:
        return size_of(self.event)


@dataclass(frozen=True)
class Batch:
    """Events of one user, of one message each."""

    user: Json
    attributes: Json
    events: tuple[Json, ...]
    events_size: int  # bytes

    @classmethod
    def of(cls, part: Part) -> Batch:
        return cls(part.user, part.attributes, (part.event,), part.event_size)

    def with_part(self, part: Part) -> Batch | None:
        """None: that must stand in a batch of its own, as it says something else of its user, or for its size."""
        said = self.attributes
        if part.user != self.user or any(said.get(name, its) != its for name, its in part.attributes.items()):
            return None
        size = self.events_size + 1 + part.event_size
        grown = Batch(self.user, {**said, **part.attributes}, (*self.events, part.event), size)
        fits = len(grown.attributes) <= MOST_USER_ATTRIBUTES and grown.size <= MOST_BATCH
        return grown if fits else None

    @cached_property
    def size(self) -> int:
        """Bytes, as it is sent."""
        return size_of(self._body(())) + self.events_size

    def body(self) -> dict[str, Any]:
        return self._body(self.events)

    def _body(self, events: tuple[Json, ...]) -> dict[str, Any]:
        attributes = {"user_attributes": self.attributes} if self.attributes else {}
        return {**self.user, **attributes, "events": list(events)}


def source_message_id(message_id: str) -> str:
    """By which a message is told from others, the same in every call of it."""
    return str(uuid.uuid5(_MESSAGE_IDS, message_id))


def milliseconds(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def text_of(value: Any) -> str:
    """As Upstream sends it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def size_of(value: Any) -> int:
    """Bytes, as Upstream sends it."""
    return len(text_of(value).encode("utf-8", "replace"))


def _whole(event: Json, message_id: str, received_at: datetime) -> dict[str, Any]:
    """With what mParticle's own documents ask for beside Rokt's guide, where the caller did not say it."""
    data: Mapping[str, Any] = event["data"]
    added = {
        "custom_event_type": "transaction",
        "timestamp_unixtime_ms": milliseconds(received_at),
        "source_message_id": source_message_id(message_id),
    }
    return {**event, "data": {"event_name": data["event_name"], **added, **data}}
