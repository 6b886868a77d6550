"""What leaves by `POST /users/track`: for each user one attributes object, and the events in their order.

https://www.braze.com/docs/api/endpoints/user_data/post_user_track
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from bridge.message import Json
from bridge.subscribers.identity import to_braze
from bridge.subscribers.sync import Change, Held, Values, change

SCALARS = frozenset({"email"})  # Braze's own, no array of ours: set, and never taken away


@dataclass(frozen=True)
class Sync:
    """What one message has to bring about. `event`: as Braze takes it, None for none.

    `others`: of the same profile, what an earlier call left in doubt. `beside`: by their keys, what other
    subscriptions hold there of the values that this one loses.
    """

    key: str
    identifier: str
    target: Values
    held: Held
    event: Json | None = None
    others: tuple[Sync, ...] = ()
    beside: Mapping[str, Values] = field(default_factory=dict)

    @property
    def every(self) -> tuple[Sync, ...]:
        return self, *self.others

    @cached_property
    def change(self) -> Change:
        return change(self.target, self.held)

    @cached_property
    def alone(self) -> dict[bool, UserObjects]:
        """As the only one of its user, by `merges`: made once, though it is packed, noted, sent and settled by it."""
        return {}

    @property
    def lost(self) -> dict[str, set[str]]:
        """What is to be taken away, unless another subscription wants it."""
        lost: dict[str, set[str]] = {}
        for one in self.every:
            for name, lists in one.change.items():
                if "remove" in lists:
                    lost.setdefault(name, set()).update(lists["remove"])
        return lost

    @property
    def full_cost(self) -> int:
        """The data points of a call that sends everything, whether or not it has changed."""
        return len({*self.target, *self.held.certain, *self.held.unsure})


@dataclass(frozen=True)
class UserObjects:
    """One user's part of a call. `changes`: by the key of each subscription that has one."""

    attributes: Json | None
    events: tuple[Json, ...]
    changes: Mapping[str, Change]

    @property
    def costs(self) -> dict[str, int]:
        """The data points of the attributes, each put down to the first subscription that changes it."""
        told: set[str] = set()
        found = {}
        for key, its in self.changes.items():
            found[key] = len(its.keys() - told)
            told |= its.keys()
        return found


def objects_of(identifier: str, syncs: Sequence[Sync], merges: bool) -> UserObjects:
    """`syncs`: this user's, in order. What one subscription loses stays where another of them wants it."""
    if len(syncs) > 1:
        return _together(identifier, syncs, merges)
    [sync] = syncs
    if merges not in sync.alone:
        sync.alone[merges] = _together(identifier, syncs, merges)
    return sync.alone[merges]


def _together(identifier: str, syncs: Sequence[Sync], merges: bool) -> UserObjects:
    by_key = {one.key: one for sync in syncs for one in sync.every}
    stays = [sync.target for sync in by_key.values()]
    stays += [held for sync in syncs for key, held in sync.beside.items() if key not in by_key]
    wanted: dict[str, set[str]] = {}
    for values in stays:
        for name, its_values in values.items():
            wanted.setdefault(name, set()).update(its_values)
    changes = {key: its for key, sync in by_key.items() if (its := _fitting(sync.change, wanted))}
    events = tuple(sync.event for sync in syncs if sync.event is not None)
    return UserObjects(_attributes(identifier, changes, merges), events, changes)


def event_of(event: Json, message_id: str, at: datetime, identifier: str, merges: bool) -> dict[str, Any]:
    """Braze knows no key of a repeat and counts each event: whoever reads them may tell by `event_key`."""
    time = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    properties = {**event.get("properties", {}), "event_key": message_id}
    return {**to_braze(identifier, merges), "name": event["name"], "time": time, "properties": properties}


def body(users: Sequence[UserObjects]) -> dict[str, list[Json]]:
    arrays = {
        "attributes": [user.attributes for user in users if user.attributes is not None],
        "events": [event for user in users for event in user.events],
    }
    return {name: things for name, things in arrays.items() if things}


def _fitting(its: Change, wanted: Mapping[str, set[str]]) -> Change:
    """Without what may not be taken away."""
    if not any("remove" in lists for lists in its.values()):
        return its
    kept: Change = {}
    for name, lists in its.items():
        gone = [value for value in lists.get("remove", ()) if value not in wanted.get(name, ())]
        both = {"add": lists.get("add", []), "remove": [] if name in SCALARS else gone}
        if some := {which: values for which, values in both.items() if values}:
            kept[name] = some
    return kept


def _attributes(identifier: str, changes: Mapping[str, Change], merges: bool) -> Json | None:
    if not changes:
        return None
    merged = next(iter(changes.values())) if len(changes) == 1 else _merged(changes.values())
    fields = {name: lists["add"][-1] if name in SCALARS else lists for name, lists in merged.items()}
    return {**to_braze(identifier, merges), **fields}


def _merged(changes: Iterable[Change]) -> Change:
    merged: Change = {}
    for its in changes:
        for name, lists in its.items():
            for which, values in lists.items():
                known = merged.setdefault(name, {}).setdefault(which, [])
                known += [value for value in values if value not in known]
    return merged
