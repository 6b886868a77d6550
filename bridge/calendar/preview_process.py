"""The child process of previews.py: compiles and renders what nobody has seen run yet, within limits.

Reads one JSON object a line and answers each with one; ends when its input does, or when it has been idle for long.
The kernel ends it when a job takes too long, as nothing in Python could.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from bridge.calendar.engine import Template, TemplateFault, check_piece, compile_template
from bridge.calendar.engine.branches import Condition, Watched
from bridge.calendar.engine.declarations import read_declaration
from bridge.calendar.event import CalendarEvent, parse_fields
from bridge.calendar.exploring import Explorer
from bridge.calendar.identifiers import event_id
from bridge.calendar.outline import line_of, tags
from bridge.calendar.zones import find_zone, parse_time, use_pinned_tzdata, wall_text
from bridge.errors import FieldError, InvalidPayload, InvalidValue

MEMORY_BYTES = 512 * 1024 * 1024
IDLE_SECONDS = 300  # nobody edits any more: its memory is free again
MOST_SHOWN = 500_000  # characters of all fields of one job
CLOCK_SECONDS = 4  # for each of the processor
NICENESS = 5  # live requests come first
MOST_CUT_OFF = 3  # cases of one job; the rest would be cut off as well

READY = b"ready\n"


def main() -> None:
    """Answer jobs until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's
    os.nice(NICENESS)
    use_pinned_tzdata()
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    _answer(READY)
    signal.alarm(IDLE_SECONDS)
    for line in sys.stdin.buffer:
        job = json.loads(line)
        _allow(job.pop("seconds"))
        do = _JOBS[job.pop("do")]
        _answer(json.dumps(do(**job)).encode() + b"\n")
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(IDLE_SECONDS)


def shape(name: str, sources: dict[str, str]) -> dict[str, Any]:
    """What the template or the shared piece declares and uses, and the first mistake in it."""
    try:
        if name.startswith("_"):
            check_piece(name, sources)
            declared = read_declaration(name, sources.get(name, ""))
            return _shape(declared.purpose, declared.variables, ())
        template = _compiled(name, tuple(sources.items()))
    except TemplateFault as fault:
        return {**_declared(name, sources), "fault": _told(fault)}
    return {
        **_shape(template.purpose, template.variables, sorted(template.pieces)),
        "key": sorted(template.key),
        "hints": [_told(hint) for hint in template.hints()],
        "places": {block: list(place) for block, place in template.places.items()},
    }


def render(name: str, sources: dict[str, str], cases: list[dict[str, Any]], now: str) -> dict[str, Any]:
    """Each case rendered; without cases the examples."""
    try:
        template = _compiled(name, tuple(sources.items()))
    except TemplateFault as fault:
        told = [_told(fault)]
        return {"cases": [_result(variables, faults=told) for variables in cases or [{}]]}
    at = datetime.fromisoformat(now)
    cut_off = shown = 0
    results: list[dict[str, Any]] = []
    for variables in cases or [template.examples()]:
        if cut_off == MOST_CUT_OFF:
            results.append(_result(variables, faults=results[-1]["faults"]))
            continue
        result = run(template, variables, at)
        shown += sum(map(len, (result["fields"] or {}).values()))
        if shown > MOST_SHOWN:
            words = f"all these events together are longer than {MOST_SHOWN:,} characters: look at fewer"
            result = _result(variables, faults=[_fault(name, None, "template", "result too large", words)])
        cut_off += any(fault["cause"] == "rendering took too long" for fault in result["faults"])
        results.append(result)
    return {"cases": results}


def run(template: Template, variables: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """One rendering, and the event that acceptance would make of it."""
    began = time.perf_counter()
    try:
        rendered = template.render(variables, now)
    except TemplateFault as fault:
        return _result(variables, faults=[_told(fault)], began=began)
    if rendered.skip is not None:
        return _result(variables, fields=rendered.fields, skip=rendered.skip, began=began)
    event, errors = event_of(rendered.fields)
    faults = [_at_block(template, error) for error in errors]
    return _result(variables, fields=rendered.fields, faults=faults, began=began, **event)


def event_of(fields: Mapping[str, str]) -> tuple[dict[str, Any], list[FieldError]]:
    """({"event": for people, "content": as the bridge keeps it}, []) or ({}, what acceptance would refuse)."""
    given = dict(fields)
    errors: list[FieldError] = []
    its_id, calendar, expires = given.pop("event_id", ""), given.pop("calendar", ""), given.pop("expires", "")
    try:
        its_id = event_id(its_id)
    except InvalidValue as wrong:
        errors.append(FieldError("event_id", str(wrong)))
    try:
        event = CalendarEvent.of(parse_fields(given, prefix=""), prefix="")
    except InvalidPayload as wrong:
        return {}, [*errors, *wrong.errors]
    zone = find_zone(event.timezone)
    ends: datetime | None = None
    try:
        ends = parse_time(expires, zone).astimezone(UTC) if expires else None
    except InvalidValue as wrong:
        errors.append(FieldError("expires", str(wrong)))
    if errors:
        return {}, errors
    content = event.content()
    told = {
        "event_id": its_id,
        "title": event.title,
        "description": event.description,
        "location": event.location,
        "start": wall_text(event.start, zone),
        "end": wall_text(event.end, zone),
        "timezone": zone.windows,
        "zone": zone.name,
        "start_utc": content["start"],
        "end_utc": content["end"],
        "notify_before": event.notify_before,
        "all_day": bool(event.all_day),
        "visible_from": content.get("visible_from"),
        "calendar": [code.strip() for code in calendar.split(",")] if calendar else [],
        "expires": ends.isoformat().replace("+00:00", "Z") if ends else None,
        "warnings": event.warnings(),
    }
    return {"event": told, "content": content}, []


@lru_cache(maxsize=4)
def _compiled(name: str, sources: tuple[tuple[str, str], ...]) -> Template:
    return compile_template(name, dict(sources))


def _shape(purpose: str, variables: Sequence[Any], pieces: Sequence[str]) -> dict[str, Any]:
    return {
        "purpose": purpose,
        "variables": [asdict(variable) for variable in variables],
        "pieces": list(pieces),
        "fault": None,
        "key": [],
        "hints": [],
        "places": {},
    }


def _declared(name: str, sources: Mapping[str, str]) -> dict[str, Any]:
    """What can be said while a mistake stands in the template."""
    try:
        declared = read_declaration(name, sources.get(name, ""))
    except TemplateFault:
        return _shape("", (), ())
    return _shape(declared.purpose, declared.variables, ())


def _result(
    variables: Mapping[str, Any],
    *,
    fields: Mapping[str, str] | None = None,
    skip: str | None = None,
    faults: Sequence[dict[str, Any]] = (),
    began: float | None = None,
    **more: Any,
) -> dict[str, Any]:
    ms = 0.0 if began is None else (time.perf_counter() - began) * 1000
    return {
        "variables": dict(variables),
        "fields": None if fields is None else dict(fields),
        "skip": skip,
        "faults": list(faults),
        "ms": round(ms, 2),
        **more,
    }


def _at_block(template: Template, error: FieldError) -> dict[str, Any]:
    where, line = template.places.get(error.field, (template.name, None))
    return _fault(where, line, error.field, "wrong event", error.message)


def _told(fault: TemplateFault) -> dict[str, Any]:
    return _fault(fault.template, fault.line, fault.field, fault.cause, fault.words)


def _fault(template: str, line: int | None, field: str, cause: str, words: str) -> dict[str, Any]:
    return {"template": template, "line": line, "field": field, "cause": cause, "words": words}


def _allow(seconds: float) -> None:
    """The time of one job: of the processor, and several times that by the clock, for a machine that is busy."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, CLOCK_SECONDS * seconds)


def _answer(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


def branches(name: str, sources: dict[str, str], now: str) -> dict[str, Any]:
    """The examples varied until both sides of each condition were seen, and what was not."""
    try:
        _compiled(name, tuple(sources.items()))
        watched = Watched(name, sources)
    except TemplateFault as fault:
        return {"cases": [_result({}, faults=[_told(fault)])], "unseen": []}
    at = datetime.fromisoformat(now)
    explorer = Explorer(watched, at, lambda values: run(watched.template, values, at))
    explored = explorer.explore()
    cases = []
    for seen in explored.cases:
        sides = [_side(watched.conditions[number], taken) for number, taken in sorted(seen.sides)]
        cases.append({**seen.result, "words": explorer.words(seen.values), "branches": sides})
    texts = _Conditions(sources, watched.conditions)
    unseen = [
        _fault(one.template, one.line, one.field, "never seen", texts.words(one, taken))
        for one, taken in explored.unseen
    ]
    return {"cases": cases, "unseen": unseen}


class _Conditions:
    """The conditions as their author wrote them."""

    def __init__(self, sources: Mapping[str, str], conditions: Sequence[Condition]) -> None:
        self._sources = sources
        self._beside: dict[tuple[str, str, int], list[int]] = {}  # the numbers of those in one line
        for one in conditions:
            self._beside.setdefault((one.template, one.tag, one.line), []).append(one.number)

    def words(self, condition: Condition, taken: bool) -> str:
        outcome = "came out true" if taken else "came out false"
        if condition.tag == "inline":
            return f"no values were found for which the inline if of this line {outcome}"
        written = self._written(condition)
        return f"no values were found for which {written} {outcome}"

    def _written(self, condition: Condition) -> str:
        source, line = self._sources[condition.template], condition.line
        numbers = self._beside[condition.template, condition.tag, line]
        written = [
            tag
            for tag in tags(condition.template, source)
            if tag.word == condition.tag and line_of(source, tag.start) == line
        ]
        if len(written) != len(numbers):  # one that no block prints, or a tag that begins in another line
            return f"the {condition.tag} of this line"
        return "{% " + " ".join(written[numbers.index(condition.number)].inner.split())[:120] + " %}"


def _side(condition: Condition, taken: bool) -> str:
    return f"{condition.template}:{condition.line}:{condition.number}:{'yes' if taken else 'no'}"


_JOBS: Mapping[str, Callable[..., dict[str, Any]]] = {"shape": shape, "render": render, "branches": branches}


if __name__ == "__main__":
    main()
