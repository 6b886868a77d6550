"""What a change does to requests that really came: each rendered with what is published and with the draft. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as its_own
from typing import Any

from bridge.calendar.engine.values import is_blank
from bridge.calendar.previews import Case, Fault, Shape
from bridge.console.hints import BLOCKS
from bridge.console.marked import Marks, marked
from bridge.outbox.payloads import Payload
from bridge.routes.calendar_events import KEYS

EXAMPLES = 3  # of one change
MOST_LOOKED_AT = 20  # requests with it, for examples that say something else each
MOST_GROUPS = 20  # of failures
LONGEST = 300  # characters of an example
MADE = "made"
# As Case.event has them, in the order of a form.
FIELDS = tuple(name for name in BLOCKS if name != "skip")


@dataclass(frozen=True)
class Example:
    """`old`, `new`: in pieces, of which some differ."""

    message_id: str
    user_id: str
    old: Marks = ()
    new: Marks = ()


@dataclass
class Failures:
    """All that fail for one reason at one place. `is_new`: they do not with what is published."""

    words: str
    fault: Fault
    is_new: bool
    count: int = 0
    examples: list[Example] = its_own(default_factory=list)


@dataclass
class Skips:
    reason: str
    count: int = 0
    examples: list[Example] = its_own(default_factory=list)


@dataclass
class Change:
    """`field`: of the event, or "made": whether there is one."""

    field: str
    label: str
    count: int = 0
    examples: list[Example] = its_own(default_factory=list)


@dataclass(frozen=True)
class Blank:
    """How often a variable came blank. `then`: what stands in for it. `is_known`: it is declared or used."""

    name: str
    count: int
    of: int
    required: bool
    then: str
    is_known: bool = True

    @property
    def percent(self) -> int:
        return round(100 * self.count / self.of)


@dataclass(frozen=True)
class Outcomes:
    makes: int
    skips: int
    fails: int


@dataclass(frozen=True)
class Trial:
    """`before`: with what is published; None: nothing is. `broken`: they fail, and do not with what is published."""

    count: int
    after: Outcomes
    before: Outcomes | None
    broken: int
    mended: int
    failures: list[Failures]
    skips: list[Skips]
    changes: list[Change]
    changed: int
    blanks: list[Blank]

    @property
    def new_ids(self) -> int:
        """Of how many the event id changes: they become events of their own beside those that stand."""
        return next((one.count for one in self.changes if one.field == "event_id"), 0)


def variables_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """What a request gave a template: its variables, and in a flat body all that is no key of the bridge."""
    given = body.get("variables")
    flat = {name: value for name, value in body.items() if name not in KEYS}
    return flat | (dict(given) if isinstance(given, Mapping) else {})


def trial(
    payloads: Sequence[Payload], before: Sequence[Case] | None, after: Sequence[Case], shape: Shape
) -> Trial:
    """`before`, `after`: the renderings of these payloads, in their order."""
    failures: dict[tuple[Any, ...], Failures] = {}
    skips: dict[str, Skips] = {}
    changes: dict[str, Change] = {}
    broken = mended = changed = 0
    for number, (payload, new) in enumerate(zip(payloads, after, strict=True)):
        old = before[number] if before is not None else None
        its = Example(payload.message_id, payload.user_id)
        if new.fault is not None:
            is_new = old is not None and old.fault is None
            broken += is_new
            _fail(failures, new.fault, its, is_new=is_new)
        elif old is not None and old.fault is not None:
            mended += 1
        if new.skip is not None and new.fault is None:
            _count(skips.setdefault(new.skip, Skips(new.skip)), its)
        if old is not None and old.fault is None and new.fault is None:
            changed += _compare(changes, old, new, its)
    order = [MADE, *FIELDS]
    return Trial(
        count=len(payloads),
        after=_outcomes(after),
        before=_outcomes(before) if before is not None else None,
        broken=broken,
        mended=mended,
        failures=sorted(failures.values(), key=lambda one: (not one.is_new, -one.count))[:MOST_GROUPS],
        skips=sorted(skips.values(), key=lambda one: -one.count)[:MOST_GROUPS],
        changes=sorted(changes.values(), key=lambda one: order.index(one.field)),
        changed=changed,
        blanks=_blanks(payloads, shape),
    )


def differences(old: Case, new: Case) -> list[tuple[str, Marks, Marks]]:
    """What differs between two renderings: label, and both values in pieces."""
    if not (old.event and new.event):
        return [("Event", *marked(told(old), told(new)))] if told(old) != told(new) else []
    return [
        (BLOCKS[name].label, *marked(shown(name, old.event), shown(name, new.event)))
        for name in FIELDS
        if shown(name, old.event) != shown(name, new.event)
    ]


def told(case: Case) -> str:
    """What comes of a rendering, in words."""
    if case.fault is not None:
        return f"fails: {case.fault.words}"
    if case.skip is not None:
        return f"no event: {case.skip}"
    return f"an event: {case.event['title']}" if case.event else "an event"


def shown(name: str, event: Mapping[str, Any]) -> str:
    """A field of Case.event as people read it."""
    value = event.get(name)
    if name == "timezone":
        return f"{event['zone']}" if event["zone"] == value else f"{event['zone']} ({value})"
    if name == "notify_before":
        return "none" if value is None else f"{value:,} minutes before"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    text = "" if value is None else str(value)
    return text.replace("T", " ", 1) if name in _TIMES else text


def _compare(changes: dict[str, Change], old: Case, new: Case, its: Example) -> bool:
    if old.event and new.event:
        differing = [name for name in FIELDS if shown(name, old.event) != shown(name, new.event)]
        for name in differing:
            change = changes.setdefault(name, Change(name, BLOCKS[name].label))
            _show(change, its, shown(name, old.event), shown(name, new.event))
        return bool(differing)
    if told(old) == told(new):
        return False
    _show(changes.setdefault(MADE, Change(MADE, "Whether there is an event")), its, told(old), told(new))
    return True


def _show(change: Change, its: Example, old: str, new: str) -> None:
    """Examples that say something else each."""
    change.count += 1
    if len(change.examples) < EXAMPLES and change.count <= MOST_LOOKED_AT:
        pieces = marked(_cut(old, new), _cut(new, old))
        if all((one.old, one.new) != pieces for one in change.examples):
            change.examples.append(Example(its.message_id, its.user_id, *pieces))


def _fail(failures: dict[tuple[Any, ...], Failures], fault: Fault, its: Example, *, is_new: bool) -> None:
    key = (fault.cause, fault.template, fault.line, fault.field, is_new)
    _count(failures.setdefault(key, Failures(fault.words, fault, is_new)), its)


def _count(group: Failures | Skips, its: Example) -> None:
    group.count += 1
    if len(group.examples) < EXAMPLES:
        group.examples.append(its)


def _outcomes(cases: Sequence[Case]) -> Outcomes:
    fails = sum(case.fault is not None for case in cases)
    skips = sum(case.fault is None and case.skip is not None for case in cases)
    return Outcomes(len(cases) - fails - skips, skips, fails)


def _blanks(payloads: Sequence[Payload], shape: Shape) -> list[Blank]:
    if not payloads:
        return []
    given = [variables_of(payload.body) for payload in payloads]
    found = [
        Blank(
            one["name"],
            sum(is_blank(values.get(one["name"])) for values in given),
            len(given),
            one["required"],
            one["default"] or "",
        )
        for one in shape.variables
    ]
    known = {one.name for one in found}
    found += [
        Blank(name, len(given) - _sent(given, name), len(given), False, "", is_known=False)
        for name in sorted({str(name) for values in given for name in values} - known)[:MOST_GROUPS]
    ]
    return sorted(found, key=lambda one: (one.is_known, -one.count))


def _sent(given: Iterable[Mapping[str, Any]], name: str) -> int:
    return sum(name in values for values in given)


def _cut(text: str, other: str) -> str:
    """A long text around its first difference."""
    if len(text) <= LONGEST:
        return text
    same = next((at for at, (a, b) in enumerate(zip(text, other, strict=False)) if a != b), 0)
    begin = max(0, same - LONGEST // 4)
    end = begin + LONGEST
    return ("…" if begin else "") + text[begin:end] + ("…" if end < len(text) else "")


_TIMES = frozenset(("start", "end", "visible_from", "expires"))
