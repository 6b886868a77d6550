"""How messages for Braze share calls: by objects, messages and bytes, and a user's never in two calls at once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from bridge.destinations.batch import Pack
from bridge.message import AT_MOST, Message
from bridge.subscribers.track import Sync, objects_of

ARRAY_MOST = 75  # objects of one array, also where a contract allows 225 of all three
BODY_MOST = 3_900_000  # bytes; Braze refuses more than 4 MB
BODY_LEAST = len('{"attributes":[],"events":[]}')


@dataclass(frozen=True)
class Limits:
    """Of one call."""

    objects: int
    messages: int
    size: int


@dataclass(frozen=True)
class Load:
    """What messages put into a call. `most`: messages, as one of them demands."""

    messages: int = 0
    attributes: int = 0
    events: int = 0
    size: int = 0
    most: int | None = None

    def __add__(self, other: Load) -> Load:
        demanded = [load.most for load in (self, other) if load.most is not None]
        return Load(
            self.messages + other.messages,
            self.attributes + other.attributes,
            self.events + other.events,
            self.size + other.size,
            min(demanded, default=None),
        )

    def fits(self, limits: Limits) -> bool:
        return (
            self.attributes + self.events <= limits.objects
            and max(self.attributes, self.events) <= ARRAY_MOST
            and self.messages <= min(limits.messages, self.most or limits.messages)
            and BODY_LEAST + self.size <= min(limits.size, BODY_MOST)
        )

    def is_full(self, limits: Limits) -> bool:
        """One more user, like these, with attributes and an event would not fit; or this must not grow."""
        another = Load(1, 1, 1, self.size // max(self.messages, 1))
        return self.most is not None or not (self + another).fits(limits)


def packs_of(messages: Sequence[Message], syncs: Sequence[Sync], limits: Limits, merges: bool) -> list[Pack]:
    """The calls of messages of which each user's follow each other. One message always fits."""
    packs: list[Pack] = []
    load = Load()
    both = zip(messages, syncs, strict=True)
    for identifier, its in groupby(both, lambda one: one[1].identifier):
        loads = _loads(identifier, list(its), merges)
        if load.messages and not sum(loads, load).fits(limits):
            packs.append(Pack(load.messages))
            load = Load()
        for number, one in enumerate(loads):
            grown = load + one
            if load.messages and not grown.fits(limits):
                packs.append(Pack(load.messages, left_out=len(loads) - number))
                load = Load()
                break
            load = grown
    if load.messages:
        packs.append(Pack(load.messages, is_full=load.is_full(limits)))
    return packs


def _loads(identifier: str, its: Sequence[tuple[Message, Sync]], merges: bool) -> list[Load]:
    """What each message of one user adds to a call. Bytes: at least, as what two of them share is sent once."""
    changed: set[str] = set()
    loads = []
    for message, sync in its:
        alone = objects_of(identifier, [sync], merges)
        size = sum(_size(event) for event in alone.events)
        is_first = bool(alone.attributes) and not changed
        if alone.attributes is not None and not alone.changes.keys() <= changed:
            changed |= alone.changes.keys()
            size += _size(alone.attributes)
        loads.append(Load(1, int(is_first), len(alone.events), size, message.progress.get(AT_MOST)))
    return loads


def _size(thing: Any) -> int:
    """Of an object and the comma behind it, as Upstream sends it."""
    return len(json.dumps(thing, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")) + 1
