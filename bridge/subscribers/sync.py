"""What must change in Braze's arrays so that they hold what a subscription says.

Braze applies the `add` of an array before its `remove`, so a value in both is gone; and it tells nobody what an
array holds. So what is about to be sent is written down before: after a call whose answer was lost, its values may
be there or not, and the next call sees to both.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

Values = Mapping[str, Collection[str]]  # by attribute
Change = dict[str, dict[str, list[str]]]  # by attribute: {"add": […], "remove": […]}


@dataclass(frozen=True)
class Held:
    """What a profile's arrays hold of one subscription. `unsure`: what may stand there, or not."""

    certain: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unsure: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        return not self.certain and not self.unsure


EMPTY = Held()


def change(target: Values, held: Held) -> Change:
    """What makes `held` the target. No value in both lists, no empty list, no attribute without a change."""
    if held.is_empty:
        return {name: {"add": list(dict.fromkeys(wanted))} for name, wanted in target.items() if wanted}
    changes: Change = {}
    for name in _names(target, held.certain, held.unsure):
        wanted, certain = target.get(name, ()), held.certain.get(name, ())
        add = [value for value in dict.fromkeys(wanted) if value not in certain]
        may_stand = dict.fromkeys((*certain, *held.unsure.get(name, ())))
        remove = [value for value in may_stand if value not in wanted]
        if its := {which: some for which, some in (("add", add), ("remove", remove)) if some}:
            changes[name] = its
    return changes


def intended(held: Held, change: Mapping[str, Mapping[str, Collection[str]]]) -> Held:
    """What is known from the moment when this change may have left until it is known what became of it."""
    certain, touched = {}, {}
    for name in _names(held.certain, change):
        gone = change.get(name, {}).get("remove", ())
        certain[name] = [value for value in held.certain.get(name, ()) if value not in gone]
    for name in _names(held.unsure, change):
        its = change.get(name, {})
        touched[name] = (*held.unsure.get(name, ()), *its.get("add", ()), *its.get("remove", ()))
    return _held(certain, touched)


def settled(target: Values) -> Held:
    """What is known once the call is known to have worked."""
    return _held(target, {})


def doubted(held: Held, further_values: Values) -> Held:
    """Nothing is certain any more; `further_values`: what else may stand there."""
    names = _names(held.certain, held.unsure, further_values)
    of = (held.certain, held.unsure, further_values)
    return _held({}, {name: [value for one in of for value in one.get(name, ())] for name in names})


def _held(certain: Values, unsure: Values) -> Held:
    sure = {name: tuple(dict.fromkeys(some)) for name, some in certain.items() if some}
    not_sure = {
        name: tuple(value for value in dict.fromkeys(some) if value not in sure.get(name, ()))
        for name, some in unsure.items()
    }
    return Held(sure, {name: some for name, some in not_sure.items() if some})


def _names(*mappings: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))
