"""Tries a change before it is published: with requests that really came, with its examples, and by proof."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any

from sqlalchemy.engine import Connection

from bridge.calendar import versions
from bridge.calendar.previews import Case
from bridge.calendar.proof import Finding, proof
from bridge.console.editing import Text, text_of, using
from bridge.console.marked import Marks
from bridge.console.trial import Trial, differences, trial, variables_of
from bridge.outbox.payloads import Payload, newest_payloads
from bridge.routes.calendar_messages import DESTINATION
from bridge.web.parts import Parts
from bridge.web.server import in_turn

MOST_PAYLOADS = 200
MOST_SEEN = 6  # renderings that differ
MOST_TEMPLATES = 8  # of those that use a shared piece
TOO_MUCH_AT_ONCE = "all these events together"  # how a preview says that it ends here
LONGEST = 20.0  # seconds, after which no further template is tried: whoever waits is given up at thirty


@dataclass(frozen=True)
class Change:
    """A text and what stands published. `through`: the template itself, or those that use the shared piece."""

    text: Text
    published: Mapping[str, str]
    drafted: Mapping[str, str]
    through: Sequence[str]
    left_out: Sequence[str] = ()


@dataclass(frozen=True)
class Tried:
    """One template with real requests. `seconds`: that it took."""

    template: str
    trial: Trial
    oldest: datetime | None
    newest: datetime | None
    seconds: float


@dataclass(frozen=True)
class Seen:
    """What differs in a rendering with one set of values. `words`: what is special about these."""

    template: str
    words: str
    differences: list[tuple[str, Marks, Marks]]


@dataclass(frozen=True)
class Checked:
    """`seen`: each change once; `same`: the words of renderings that show no other. `more`: how many that do are
    not shown. `refuses`: it must not be published so.
    """

    findings: list[Finding]
    seen: list[Seen]
    same: list[str] = field(default_factory=list)
    more: int = 0
    left_out: Sequence[str] = field(default=())

    @property
    def refuses(self) -> bool:
        return any(one.level == "refuse" for one in self.findings)


def change_of(connection: Connection, name: str) -> Change:
    """Errors: NotFound."""
    text = text_of(connection, name)
    published = versions.sources(connection)
    drafted = {**published, name: text.source}
    through = using(name, drafted) if text.is_piece else [name]
    return Change(text, published, drafted, through[:MOST_TEMPLATES], through[MOST_TEMPLATES:])


def payloads_of(connection: Connection, change: Change) -> dict[str, list[Payload]]:
    most = MOST_PAYLOADS // max(1, len(change.through))
    return {one: newest_payloads(connection, DESTINATION, one, most) for one in change.through}


def with_real_requests(
    parts: Parts, change: Change, payloads: Mapping[str, Sequence[Payload]]
) -> list[Tried]:
    """Each template with what was really sent to it, before and after; fewer templates where time runs out."""
    found: list[Tried] = []
    began = time.monotonic()
    for name, its in payloads.items():
        now, at = datetime.now(UTC), time.monotonic()
        if at - began > LONGEST:
            break
        variables = [variables_of(one.body) for one in its]
        shape = parts.previews.shape(name, change.drafted)
        before, after = _both(parts, name, change, variables, now)
        its = its[: len(after)]
        result: Trial = in_turn(trial, its, before, after, shape)
        times = [one.received_at for one in its]
        found.append(
            Tried(
                name,
                result,
                min(times, default=None),
                max(times, default=None),
                time.monotonic() - at,
            )
        )
    return found


def _both(
    parts: Parts, name: str, change: Change, variables: Sequence[Mapping[str, Any]], now: datetime
) -> tuple[list[Case] | None, list[Case]]:
    """With what is published (None: nothing is), and with the draft (without one the same): as many of both."""
    if name not in change.published:
        return None, _rendered(parts, name, change.drafted, variables, now)
    before = _rendered(parts, name, change.published, variables, now)
    if change.text.draft is None:
        return before, before
    after = _rendered(parts, name, change.drafted, variables[: len(before)], now)
    return before[: len(after)], after


def _rendered(
    parts: Parts, name: str, sources: Mapping[str, str], variables: Sequence[Mapping[str, Any]], now: datetime
) -> list[Case]:
    """In several goes where the events are too long for one; fewer than there are where time runs out."""
    found: list[Case] = []
    ends = time.monotonic() + LONGEST / 2
    while len(found) < len(variables) and (not found or time.monotonic() < ends):
        cases = parts.previews.render(name, sources, variables[len(found) :], now)
        whole = list(takewhile(_is_rendered, cases))
        found += whole or cases[:1]
    return found


def _is_rendered(case: Case) -> bool:
    return case.fault is None or not case.fault.words.startswith(TOO_MUCH_AT_ONCE)


def checked(parts: Parts, change: Change, payloads: Mapping[str, Sequence[Payload]]) -> Checked:
    """What proof finds, and what the template's examples make of it now and before.

    Of a shared piece: what is new in the templates that use it.
    """
    now = datetime.now(UTC)
    found: list[Finding] = []
    seen: list[Seen] = []
    if change.text.is_piece:
        found += _proof(parts, change.text.name, change.drafted, [], [], now)
    for name in () if found else change.through:
        cases = parts.previews.branches(name, change.drafted, now)
        its = [variables_of(one.body) for one in payloads.get(name, ())]
        findings = _proof(parts, name, change.drafted, cases, its, now)
        if change.text.is_piece:
            stood = parts.previews.branches(name, change.published, now)
            known = {(one.code, one.words) for one in _proof(parts, name, change.published, stood, its, now)}
            findings = [one for one in findings if (one.code, one.words) not in known]
        found += [one for one in findings if one not in found]
        if name in change.published:
            seen += _seen(parts, name, change, cases, now)
    found.sort(key=lambda one: one.level)
    shown, same = _each_once(seen)
    return Checked(found, shown[:MOST_SEEN], same, max(0, len(shown) - MOST_SEEN), change.left_out)


def _each_once(seen: Sequence[Seen]) -> tuple[list[Seen], list[str]]:
    """Those that show a change that none before them does, and the words of the others."""
    shown: list[Seen] = []
    same: list[str] = []
    known: set[tuple[str, ...]] = set()
    for one in seen:
        changes = {_words_changed(one.template, *its) for its in one.differences}
        if changes <= known:
            same.append(one.words)
        else:
            shown.append(one)
        known |= changes
    return shown, same


def _words_changed(template: str, label: str, old: Marks, new: Marks) -> tuple[str, ...]:
    changed = [[text for text, is_changed in marks if is_changed] for marks in (old, new)]
    return (template, label, *changed[0], "", *changed[1])


def refusals(parts: Parts, change: Change) -> list[Finding]:
    """For what it must not be published. Of a shared piece the store itself tries every template that uses it."""
    now = datetime.now(UTC)
    name = change.text.name
    cases = [] if change.text.is_piece else parts.previews.branches(name, change.drafted, now)
    found = _proof(parts, name, change.drafted, cases, [], now)
    return [one for one in found if one.level == "refuse"]


def _seen(parts: Parts, name: str, change: Change, cases: Sequence[Case], now: datetime) -> list[Seen]:
    """The draft's examples, rendered with what is published too."""
    if not cases or cases[0].fault is not None:
        return []
    known = {one["name"] for one in parts.previews.shape(name, change.published).variables}
    values = [{n: v for n, v in case.variables.items() if n in known} for case in cases]
    before = parts.previews.render(name, change.published, values, now)
    found = []
    for old, new in zip(before, cases, strict=True):
        if differing := differences(old, new):
            found.append(Seen(name, new.words or "the examples", differing))
    return found


def _proof(
    parts: Parts,
    name: str,
    sources: Mapping[str, str],
    cases: Sequence[Case],
    payloads: Sequence[Mapping[str, Any]],
    now: datetime,
) -> list[Finding]:
    shape = parts.previews.shape(name, sources)  # compiled in the child, and not here
    found: list[Finding] = in_turn(proof, name, sources, cases, payloads, now, shape)
    return found
