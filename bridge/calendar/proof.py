"""The proof that is read before a template is published: what would be refused, and what would look wrong."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

from bridge.calendar import preview_process
from bridge.calendar.engine.declarations import Variable
from bridge.calendar.engine.values import is_blank
from bridge.calendar.previews import Case, Fault, Shape, read_shape
from bridge.calendar.zones import find_zone

NIGHT_BEGINS, NIGHT_ENDS = 22, 7  # o'clock, where the event is
# About what a phone's lock screen shows of a notification's title in one line; a wide letter or an emoji takes two.
WIDEST_TITLE = 50
FEWEST_PAYLOADS = 5  # of fewer nothing is concluded
OFTEN_BLANK = 0.4  # of the payloads

Level = Literal["refuse", "warn"]


@dataclass(frozen=True)
class Finding:
    """`refuse`: it must not be published so. `code`: a short fixed phrase. `line` is one of the file `template`."""

    level: Level
    field: str
    code: str
    words: str
    line: int | None
    template: str = ""


def proof(
    name: str,
    sources: Mapping[str, str],
    cases: Sequence[Case],
    payloads: Sequence[Mapping[str, Any]],
    now: datetime,
    shape: Shape | None = None,
) -> list[Finding]:
    """What is wrong with a template, the worst first, each thing once.

    `cases`: its renderings, the examples first, as Previews.branches gives them. `payloads`: variables that were
    really sent, the newest ones. `shape`: what Previews.shape says of these sources; without it they are compiled
    here, which takes some ten milliseconds: in a web process, call it in turn. Of a shared piece only what can be
    said without an event.
    """
    if (
        cases
        and cases[0].fault is not None
        and cases[0].fault.cause in ("preview stopped", "template syntax")
    ):
        return [_of_fault(cases[0].fault, "refuse", "")]
    shape = shape or read_shape(preview_process.shape(name, dict(sources)), sources)
    if shape.fault is not None:
        return [_of_fault(shape.fault, "refuse", "")]
    if name.startswith("_"):
        return []
    variables = [Variable(**{**one, "choices": tuple(one["choices"])}) for one in shape.variables]
    template = _Template(name, sources, variables, shape)
    found: dict[tuple[str, str, int | None, str], Finding] = {}
    for finding in _all(template, cases, payloads, now):
        found.setdefault((finding.code, finding.field, finding.line, _subject(finding)), finding)
    return sorted(found.values(), key=lambda one: one.level)


@dataclass(frozen=True)
class _Template:
    name: str
    sources: Mapping[str, str]
    variables: Sequence[Variable]
    shape: Shape

    def at(self, field: str, level: Level, code: str, words: str) -> Finding:
        place, line = self.shape.places.get(field, (self.name, None))
        return Finding(level, field, code, words, line, place)


def width(text: str) -> int:
    """How wide a text is on a screen: a wide letter or an emoji counts two, what stands on another letter none."""
    total = 0
    for letter in text:
        if (
            letter == _EMOJI_STYLE
            or unicodedata.combining(letter)
            or unicodedata.category(letter) in ("Cf", "Mn")
        ):
            continue
        total += 2 if unicodedata.east_asian_width(letter) in ("W", "F") else 1
    return total


def _all(
    template: _Template,
    cases: Sequence[Case],
    payloads: Sequence[Mapping[str, Any]],
    now: datetime,
) -> Iterator[Finding]:
    for number, case in enumerate(cases):
        for fault in case.faults:
            yield _of_fault(fault, "warn" if number else "refuse", case.words)
    yield from _of_key(template, payloads)
    yield from (_of_fault(hint, "warn", "") for hint in template.shape.hints)
    yield from _of_payloads(template, payloads)
    times = [variable.name for variable in template.variables if variable.type in ("time", "day")]
    for case in cases:
        if case.event is not None:
            # A time that was only made up to see a condition's other side is nobody's mistake.
            is_made_up = bool(case.words) and _differing([case.variables, cases[0].variables], times) > 1
            if not is_made_up:
                yield from _of_times(template, case, now)
            yield from _of_texts(template, case)


def _of_fault(fault: Fault, level: Level, words: str) -> Finding:
    told = f"with {words}: {fault.words}" if words else fault.words
    return Finding(level, fault.field, fault.cause, told, fault.line, fault.template)


def _of_key(template: _Template, payloads: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """The event_id decides whether a request is a new event or a change of one that stands in the calendar."""
    key = {variable.name: variable for variable in template.variables if variable.name in template.shape.key}
    if "now" in template.shape.key:
        words = "the event_id holds the time of the request: a second sending adds a second event, and changes none"
        yield template.at("event_id", "warn", "event_id holds now", words)
    elif not key:
        mend = "put the variable into it that tells the events apart, such as sale_{{ sale_id }}"
        if any(variable.type in ("time", "day") for variable in template.variables):
            words = (
                "the event_id is the same whatever the time is, so that a user's next event overwrites "
                f"the one before: {mend}"
            )
            yield template.at("event_id", "refuse", "event_id constant", words)
        else:
            words = (
                "the event_id is always the same, which is right for one event that everybody gets; "
                f"if there is ever to be another from this template, {mend}"
            )
            yield template.at("event_id", "warn", "event_id constant", words)
    elif not any(variable.required for variable in key.values()):
        names = _listed(key)
        words = (
            f"where {names} is blank, all events have one event_id and overwrite each other: make it required"
        )
        yield template.at("event_id", "warn", "event_id may be blank", words)
    if not key or len(payloads) < FEWEST_PAYLOADS:
        return
    moves = [one.name for one in template.variables if one.type in ("time", "day") and one.name not in key]
    if _differing(payloads, key) == 1 and any(_differing(payloads, [one]) > 1 for one in moves):
        moving = _listed(one for one in moves if _differing(payloads, [one]) > 1)
        words = (
            f"in the last {len(payloads)} requests {_listed(key)} was always the same while {moving} differed: "
            "for one user these are all the same event, the later replaces the earlier"
        )
        yield template.at("event_id", "warn", "event_id never differs", words)


def _of_payloads(template: _Template, payloads: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    count = len(payloads)
    if count < FEWEST_PAYLOADS:
        return
    known = {variable.name: variable for variable in template.variables}
    unknown: dict[str, int] = {}
    for payload in payloads:
        for name in payload.keys() - known.keys():
            unknown[name] = unknown.get(name, 0) + 1
    for name, times in sorted(unknown.items()):
        words = (
            f'{times} of the last {count} requests sent "{name[:60]}", '
            "which this template neither declares nor uses: they would be refused"
        )
        yield Finding("warn", f"variables.{name[:60]}", "unknown variable", words, None, template.name)
    for variable in template.variables:
        blank = sum(is_blank(payload.get(variable.name)) for payload in payloads)
        is_fine = variable.type == "yes/no" and variable.default  # a blank is a no, as they are meant to be
        if blank and (variable.required or (blank >= OFTEN_BLANK * count and not is_fine)):
            words = f"{variable.name} was blank in {blank} of the last {count} requests: {_then(variable)}"
            place = variable.template or template.name
            yield Finding("warn", f"variables.{variable.name}", "often blank", words, variable.line, place)


def _then(variable: Variable) -> str:
    if variable.required:
        return "it is required, so they would be refused"
    if variable.default:
        return f'its default "{variable.default}" stands in, so look at the event with that'
    return "look at the event without it"


def _of_times(template: _Template, case: Case, now: datetime) -> Iterator[Finding]:
    event, said = case.event or {}, _said(case)
    for warning in event["warnings"]:
        field, _, words = warning.partition(": ")
        yield template.at(field, "warn", "doubled hour", said + words)
    start = datetime.fromisoformat(event["start_utc"])
    clock = find_zone(event["zone"]).clock
    if start < now:
        words = f"{said}the start, {_brief(start.astimezone(clock))}, is past"
        yield template.at("start", "warn", "past start", words)
    if event["notify_before"] is not None:
        rings = (start - timedelta(minutes=event["notify_before"])).astimezone(clock)
        if rings.hour >= NIGHT_BEGINS or rings.hour < NIGHT_ENDS:
            before = f"{event['notify_before']} minutes before the start"
            words = f"{said}the reminder rings at night, {_brief(rings)}, {before}"
            yield template.at("notify_before", "warn", "reminder at night", words)


def _of_texts(template: _Template, case: Case) -> Iterator[Finding]:
    event, said = case.event or {}, _said(case)
    if (wide := width(event["title"])) > WIDEST_TITLE:
        words = f"{said}the title is {wide} letters wide, and a locked phone shows about {WIDEST_TITLE}"
        yield template.at("title", "warn", "long title", words)
    for field in ("title", "location", "description"):
        yield from _of_links(template, field, event[field], said)


def _said(case: Case) -> str:
    return f"with {case.words}: " if case.words else ""


def _of_links(template: _Template, field: str, text: str, said: str) -> Iterator[Finding]:
    for match in _LINK.finditer(text):
        address = match[0].rstrip(".,;:!?)]}'\"")
        shown = address if len(address) <= _LONGEST_LINK else address[:_LONGEST_LINK] + "…"
        if not address.lower().startswith("https://"):
            yield _link(template, field, address, "no https", f"{said}{shown} does not begin with https://")
        try:
            names = {name.lower() for name, _ in parse_qsl(urlsplit(address).query, keep_blank_values=True)}
        except ValueError:
            names = set()
        if "utm_source" not in names:
            words = f'{said}clicks on {shown} are not counted: write it as {{{{ "https://…" | link(campaign=…) }}}}'
            yield _link(template, field, address, "no UTM", words)


def _link(template: _Template, field: str, address: str, code: str, words: str) -> Finding:
    """With the line where the address is written, if it is."""
    place, block = template.shape.places.get(field, (template.name, None))
    host = _HOST.match(address)
    lines = template.sources.get(place, "").split("\n")
    for number, line in enumerate(lines, 1):
        if host and host[0] in line and number >= (block or 1):
            return Finding("warn", field, code, words, number, place)
    return Finding("warn", field, code, words, block, place)


def _subject(finding: Finding) -> str:
    """What tells two findings of one kind at one place apart; not the case in which one of them shows."""
    match = _LINK.search(finding.words) if finding.code in _OF_LINKS else None
    return match[0] if match else finding.words if finding.code == "undeclared" else ""


def _differing(payloads: Sequence[Mapping[str, Any]], names: Iterable[str]) -> int:
    return len({tuple(repr(payload.get(name)) for name in names) for payload in payloads})


def _listed(names: Iterable[str]) -> str:
    return " and ".join(names)


def _brief(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M")


_EMOJI_STYLE = "\ufe0f"
_LONGEST_LINK = 80
_OF_LINKS = frozenset(("no https", "no UTM"))
_LINK = re.compile(r"(?:https?://|\bwww\.)[^\s<>\"]+", re.IGNORECASE)
_HOST = re.compile(r"(?:https?://)?[^/?#]+", re.IGNORECASE)
