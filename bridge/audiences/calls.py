"""How changes of lists fall into calls: one list, one action, one kind of identifier in each, the last word wins."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bridge.audiences.change import Action, AudienceChange, Kind

CALL_MOST = 10_000  # identifiers of one call; Rokt's older page spoke of a million, its newer one of none
CALL_BYTES = 1_000_000
HASH_BYTES = 64 + len('"",')
MOST_CHANGES = 1_000  # of one batch, whatever BATCH_COUNT says: they are all read at once

Group = tuple[str, Action, Kind]


@dataclass(frozen=True)
class AudienceCall:
    """`positions`: of the changes that it carries, among those it was made of."""

    list_name: str
    action: Action
    kind: Kind
    identifiers: tuple[str, ...]
    positions: tuple[int, ...]

    def body(self, account_id: str) -> dict[str, Any]:
        """As Rokt reads it, with exactly one key of identifiers."""
        return {
            "accountId": account_id,
            "action": self.action,
            "list": self.list_name,
            self.kind: list(self.identifiers),
        }


@dataclass(frozen=True)
class Limits:
    """Of one batch. `size`: bytes of each of its calls. `envelope`: of these what is no identifier."""

    changes: int
    size: int
    envelope: int


def limits_of(account_id: str, changes: int, size: int) -> Limits:
    """Of so many changes and bytes as are set, within what one call may have at all."""
    empty = AudienceCall("", "include", "sha256s", (), ()).body(account_id)
    envelope = len(json.dumps(empty, ensure_ascii=False, separators=(",", ":")).encode())
    return Limits(min(changes, MOST_CHANGES), min(size, CALL_BYTES), envelope)


@dataclass
class Load:
    """What a batch holds already. Who is named twice is counted twice."""

    limits: Limits
    changes: int = 0
    is_full: bool = False  # another change like the last would not fit
    groups: dict[Group, tuple[int, int]] = field(default_factory=dict)  # identifiers and bytes

    def takes(self, change: AudienceChange) -> bool:
        """Add a change if there is room. An empty batch takes any."""
        group, count, size = _group(change), len(change.identifiers), _size(change)
        its_count, its_size = self.groups.get(group, (0, 0))
        if self.changes and not self._has_room(group, its_count + count, its_size + size):
            self.is_full = True
            return False
        self.groups[group] = (its_count + count, its_size + size)
        self.changes += 1
        self.is_full = not self._has_room(group, its_count + 2 * count, its_size + 2 * size)
        return True

    def _has_room(self, group: Group, count: int, size: int) -> bool:
        """For one change more, with which its call has so many identifiers."""
        name = len(json.dumps(group[0], ensure_ascii=False).encode())
        return (
            self.changes < self.limits.changes
            and count <= CALL_MOST
            and self.limits.envelope + name + size <= self.limits.size
        )


def calls_of(changes: Sequence[AudienceChange]) -> list[AudienceCall]:
    """The calls of one batch. Of what changes say of one person on one list the last word alone leaves, so no two
    of these calls name the same person with different actions, and their order does not matter.
    """
    last: dict[tuple[str, str], Action] = {}
    for change in changes:
        for person in change.people:
            last[change.list_name, person] = change.action
    identifiers: dict[Group, dict[str, None]] = {}
    positions: dict[Group, list[int]] = {}
    for position, change in enumerate(changes):
        stands = [
            one
            for one, person in zip(change.identifiers, change.people, strict=True)
            if last[change.list_name, person] == change.action
        ]
        if stands:
            identifiers.setdefault(_group(change), {}).update(dict.fromkeys(stands))
            positions.setdefault(_group(change), []).append(position)
    return [AudienceCall(*group, tuple(identifiers[group]), tuple(its)) for group, its in positions.items()]


def batches_of(changes: Sequence[AudienceChange], limits: Limits) -> Iterator[list[AudienceChange]]:
    """These changes as they leave when nothing else waits: those of each list in their order."""
    by_list: dict[str, list[AudienceChange]] = {}
    for change in changes:
        by_list.setdefault(change.list_name, []).append(change)
    for its in by_list.values():
        start = 0
        while start < len(its):
            count = first_batch(its[start:], limits).changes
            yield its[start : start + count]
            start += count


def first_batch(changes: Sequence[AudienceChange], limits: Limits) -> Load:
    """As many of the first as go together."""
    load = Load(limits)
    for change in changes:
        if not load.takes(change):
            break
    return load


def _group(change: AudienceChange) -> Group:
    return change.list_name, change.action, change.kind


def _size(change: AudienceChange) -> int:
    """Bytes of its identifiers, with their quotes and commas, as they are sent."""
    if change.kind == "sha256s":
        return HASH_BYTES * len(change.identifiers)
    return len(json.dumps(change.identifiers, ensure_ascii=False, separators=(",", ":")).encode("utf-8"))
