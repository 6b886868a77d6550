"""How conversions share calls: by users, messages and bytes, and a user's never in two calls at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

from bridge.conversions.batches import Part
from bridge.conversions.calls import Call, Limits
from bridge.destinations.batch import Pack
from bridge.message import AT_MOST, Message, Outcome, Undecided


@dataclass(frozen=True)
class Standing:
    """What a message puts into its call. `outcome`: instead of that, where nothing of it leaves."""

    part: Part
    is_known_again: bool
    outcome: Outcome | None = None


@dataclass(frozen=True)
class Load:
    """What messages put into a call. `most`: messages, as one of them demands."""

    call: Call = field(default_factory=Call)
    messages: int = 0
    most: int | None = None

    def with_one(self, message: Message, standing: Standing, *, is_same_user: bool) -> Load:
        call = self.call
        if standing.outcome is None:
            call = call.with_part(standing.part, is_same_user=is_same_user)
        demanded = [one for one in (self.most, message.progress.get(AT_MOST)) if one is not None]
        return Load(call, self.messages + 1, min(demanded, default=None))

    def with_all(self, its: Sequence[tuple[Message, Standing]]) -> Load:
        load = self
        for number, (message, standing) in enumerate(its):
            load = load.with_one(message, standing, is_same_user=number > 0)
        return load

    def fits(self, limits: Limits) -> bool:
        most = min(limits.messages, self.most or limits.messages)
        return self.messages <= most and self.call.fits(limits)

    def is_full(self, limits: Limits) -> bool:
        return self.most is not None or self.messages >= limits.messages or not self.call.has_room(limits)


def _is_undecided(one: tuple[Message, Standing]) -> bool:
    return isinstance(one[1].outcome, Undecided)


def packs_of(messages: Sequence[Message], standings: Sequence[Standing], limits: Limits) -> list[Pack]:
    """The calls of messages of which each user's follow each other. One message always fits."""
    packs: list[Pack] = []
    load = Load()
    both = zip(messages, standings, strict=True)
    for _, group in groupby(both, lambda one: one[0].line):
        its = list(group)
        if load.messages and not load.with_all(its).fits(limits):
            packs.append(Pack(load.messages))
            load = Load()
        for number, one in enumerate(its):
            grown = load.with_one(*one, is_same_user=number > 0)
            # What a person has to decide about comes before what leaves.
            waits = number > 0 and _is_undecided(its[number - 1]) and not _is_undecided(one)
            if waits or (load.messages and not grown.fits(limits)):
                packs.append(Pack(load.messages, left_out=len(its) - number))
                load = Load()
                break
            load = grown
    if load.messages:
        packs.append(Pack(load.messages, is_full=load.is_full(limits)))
    return packs
