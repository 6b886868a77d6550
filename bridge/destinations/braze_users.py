"""The users of a call to Braze: which message has which object in it, and what the ledger learns of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bridge.destinations.braze_verdicts import ATTRIBUTES, TAKEN, UNKNOWN, Part, Sent
from bridge.ledger.subscribers import HeldRow, Place
from bridge.message import Delivered, Outcome, Retry, Skipped, Uncertain
from bridge.subscribers.sync import EMPTY, Held, intended, settled
from bridge.subscribers.track import Sync, UserObjects, objects_of


@dataclass(frozen=True)
class User:
    """`positions`: of this user's messages in the call; `syncs`: theirs."""

    identifier: str
    positions: tuple[int, ...]
    syncs: tuple[Sync, ...]
    objects: UserObjects

    @property
    def places(self) -> list[Place]:
        return [(self.identifier, one.key) for sync in self.syncs for one in sync.every]

    def changes(self, sync: Sync) -> bool:
        return any(one.key in self.objects.changes for one in sync.every)

    def intents(self) -> list[HeldRow]:
        """What is known from the moment when the call may have left."""
        by_key = {one.key: one for sync in self.syncs for one in sync.every}
        return [
            HeldRow(self.identifier, key, intended(by_key[key].held, change))
            for key, change in self.objects.changes.items()
        ]

    def rows(self, outcomes: Sequence[Outcome], stands: Mapping[Place, Held]) -> list[HeldRow]:
        """What is known once the call has come back, with an outcome for each message. `stands`: what is written."""
        costs = self.objects.costs
        fates: dict[str, list[str]] = {}
        by_key: dict[str, Sync] = {}
        for sync, outcome in zip(self.syncs, outcomes, strict=True):
            for one in sync.every:
                by_key[one.key] = one
                fates.setdefault(one.key, []).append(_fate(outcome))
        rows = []
        for key, sync in by_key.items():
            now = stands.get((self.identifier, key), EMPTY)
            after, sent = now, 0
            taken = fates[key].count(TAKEN)
            if change := self.objects.changes.get(key):
                sent = costs[key] if taken else 0
                # What stands there otherwise somebody has written since: a late call was doubted.
                is_ours = now in (sync.held, intended(sync.held, change))
                if is_ours and UNKNOWN not in fates[key]:
                    after = settled(sync.target) if taken else sync.held
            elif taken and sync.change and now == sync.held:
                after = settled(sync.target)  # all that it loses belongs to others
            saved = sync.full_cost * taken - sent
            if after != now or sent or saved:
                rows.append(HeldRow(self.identifier, key, after, sent, saved))
        return rows


def users_of(syncs: Sequence[Sync], merges: bool) -> list[User]:
    """By their identifiers, each with its messages in order."""
    positions: dict[str, list[int]] = {}
    for position, sync in enumerate(syncs):
        positions.setdefault(sync.identifier, []).append(position)
    users = []
    for identifier, its in positions.items():
        its_syncs = tuple(syncs[position] for position in its)
        users.append(User(identifier, tuple(its), its_syncs, objects_of(identifier, its_syncs, merges)))
    return users


def parts_of(users: Sequence[User]) -> Sent:
    """Of the messages that have anything in the call, as `body` orders its objects."""
    parts: dict[int, Part] = {}
    attributes = events = 0
    for user in users:
        for position, sync in zip(user.positions, user.syncs, strict=True):
            part = Part(
                attributes if user.changes(sync) else None, events if sync.event is not None else None
            )
            if part != Part(None, None):
                parts[position] = part
            events += sync.event is not None
        attributes += user.objects.attributes is not None
    return Sent(parts, attributes, events)


def _fate(outcome: Outcome) -> str:
    """What became of a message's attributes, "" if Braze is known not to have them."""
    told: str | None = (getattr(outcome, "progress", None) or {}).get(ATTRIBUTES)
    if told is not None:
        return told
    if isinstance(outcome, Delivered | Skipped):
        return TAKEN
    # Some of those that answer 5xx have done what they were asked for.
    is_broken = isinstance(outcome, Retry) and (outcome.status or 0) >= 500
    return UNKNOWN if is_broken or isinstance(outcome, Uncertain) else ""
