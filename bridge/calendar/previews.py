"""Previews: renders what nobody has seen run yet, in a warm child process with limits of time and memory."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

# Not by way of `os`, where gevent puts its own, which need the hub of the thread that calls.
from posix import posix_spawn, waitpid
from typing import Any

import bridge
from bridge.calendar.columns import columns, field_at
from bridge.calendar.plan import CalendarRequest, first_step
from bridge.calendar.preview_process import MEMORY_BYTES, READY

SECONDS = 2.0  # of the processor, for one job
MANY = 20  # cases, from which on a job has longer
SECONDS_OF_MANY = 10.0
SECONDS_OF_BRANCHES = 4.0  # of which one is for looking
MOST_ASKED = 4_000_000  # characters of all cases of one job, as JSON
CHILDREN = 2  # one editor's endless loop does not keep the next one waiting
# Whom an example's request is for.
ACCOUNT, USER, SUBSCRIPTION = "brazetest", "example-user", "06423672-b6ba-4536-aa36-f5733866ade2"

Aside = Callable[..., Any]


@dataclass(frozen=True)
class Fault:
    """A mistake with its place. `start`, `end`: columns from 0 in that line, where they can be told."""

    template: str
    line: int | None
    field: str
    cause: str
    words: str
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True)
class Case:
    """One rendering.

    `fields`: as the blocks printed them. `event`: what acceptance makes of them, for people: event_id, title,
    description, location, start and end (digits that leave, in `timezone`, a Windows name), zone (as it was named),
    start_utc, end_utc, notify_before (minutes or None), all_day, visible_from, calendar (codes), expires, warnings.
    `request`: {method, path, body} of the create that would leave for an example's account and user.
    `fault` is the first of `faults`. `words`: what is different from the examples. `branches`: what of each
    condition was seen.
    """

    variables: Mapping[str, Any]
    fields: Mapping[str, str] | None
    skip: str | None
    fault: Fault | None
    ms: float
    faults: tuple[Fault, ...] = ()
    event: Mapping[str, Any] | None = None
    request: Mapping[str, Any] | None = None
    words: str = ""
    branches: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Branches:
    """`unseen`: the sides of conditions for which no values were found, each with its place and in words."""

    cases: list[Case]
    unseen: list[Fault]


@dataclass(frozen=True)
class Shape:
    """What a template or a shared piece declares and uses; with a fault, what can be said in spite of it.

    `variables`: name, type, required, default, choices, example, note, is_declared, template, line. `key`: the
    variables on which the event_id depends. `hints`: names that are used and not declared.
    `places`: (file, line) of each block.
    """

    purpose: str
    variables: list[dict[str, Any]]
    pieces: list[str]
    fault: Fault | None
    key: tuple[str, ...] = ()
    hints: tuple[Fault, ...] = ()
    places: Mapping[str, tuple[str, int]] = field(default_factory=dict)


def _at_once(call: Callable[..., Any], *given: Any) -> Any:
    return call(*given)


class Previews:
    """Renders in child processes that are started when they are first needed. Safe for many greenlets or threads.

    `aside`: how a call is made that would hold up all other work of this process while it waits.
    """

    def __init__(self, aside: Aside = _at_once) -> None:
        self._aside = aside
        self._turns = threading.BoundedSemaphore(CHILDREN)
        self._idle: list[_Child] = []
        # Whoever forgets to close it leaves no processes behind.
        weakref.finalize(self, _end_all, self._idle)

    def shape(self, name: str, sources: Mapping[str, str]) -> Shape:
        answer = self._ask(name, sources, SECONDS, do="shape")
        if isinstance(answer, Fault):
            return Shape("", [], [], answer)
        return read_shape(answer, sources)

    def render(
        self, name: str, sources: Mapping[str, str], cases: Sequence[Mapping[str, Any]], now: datetime
    ) -> list[Case]:
        """Render each case, or without any the template's examples."""
        seconds = SECONDS if len(cases) <= MANY else SECONDS_OF_MANY
        asked = list(_fitting(cases))
        words = f"the values of all cases are longer than {MOST_ASKED:,} characters: look at fewer"
        left_out = Fault(name, None, "template", "too much at once", words)
        if cases and not asked:
            return [_without_event(variables, left_out) for variables in cases]
        answer = self._ask(name, sources, seconds, do="render", cases=asked, now=now.isoformat())
        if isinstance(answer, Fault):
            return [_without_event(variables, answer) for variables in cases or [{}]]
        return [
            *(_case(told, sources) for told in answer["cases"]),
            *(_without_event(variables, left_out) for variables in cases[len(asked) :]),
        ]

    def branches(self, name: str, sources: Mapping[str, str], now: datetime) -> list[Case]:
        """The examples first, then varied so that both sides of each condition are seen."""
        return self.every_branch(name, sources, now).cases

    def every_branch(self, name: str, sources: Mapping[str, str], now: datetime) -> Branches:
        """As `branches`, with the sides of conditions that were not seen."""
        answer = self._ask(name, sources, SECONDS_OF_BRANCHES, do="branches", now=now.isoformat())
        if isinstance(answer, Fault):
            return Branches([_without_event({}, answer)], [])
        unseen = [fault for told in answer["unseen"] if (fault := _fault(told, sources))]
        return Branches([_case(told, sources) for told in answer["cases"]], unseen)

    def close(self) -> None:
        _end_all(self._idle)

    def _ask(
        self, name: str, sources: Mapping[str, str], seconds: float, **job: Any
    ) -> dict[str, Any] | Fault:
        job |= {"name": name, "sources": _needed(name, sources), "seconds": seconds}
        with self._turns:
            answer = self._aside(self._exchange, json.dumps(job).encode() + b"\n")
        if isinstance(answer, bytes):
            told: dict[str, Any] = json.loads(answer)
            return told
        return Fault(name, None, "template", "preview stopped", answer(seconds))

    def _exchange(self, job: bytes) -> bytes | Callable[[float], str]:
        """A child's answer, or how to say why there is none."""
        child = None
        while self._idle and child is None:
            child = self._idle.pop()
            if not child.is_alive():
                child.end()
                child = None
        try:
            child = child or _Child()
        except OSError:
            return lambda _seconds: "the preview could not be started: try again in a minute"
        try:
            answer = child.ask(job)
        except OSError:
            answer = b""
        if answer.endswith(b"\n"):
            self._idle.append(child)
            return answer
        return _why(child.end())


class _Child:
    """One process, which answers one line with one line."""

    def __init__(self) -> None:
        """Errors: OSError if it cannot be started."""
        there, self._write = os.pipe()
        self._read, back = os.pipe()
        root = str(Path(bridge.__file__).resolve().parent.parent)
        # No secret of ours: what runs in there is anybody's text.
        environ = {"PATH": os.defpath, "PYTHONPATH": root, "PYTHONUTF8": "1", "LC_ALL": "C.UTF-8"}
        try:
            self._pid = posix_spawn(
                sys.executable,
                [sys.executable, "-m", "bridge.calendar.preview_process"],
                environ,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, there, 0),
                    (os.POSIX_SPAWN_DUP2, back, 1),
                    (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
                ],
            )
        except OSError:
            os.close(self._write)
            os.close(self._read)
            raise
        finally:
            os.close(there)
            os.close(back)
        self._status: int | None = None
        self._is_gone = False
        if self._line() != READY:
            self.end()
            raise OSError("the preview's process did not start")

    def ask(self, job: bytes) -> bytes:
        """Its answer, which has no line's end if it died. Errors: OSError."""
        rest = memoryview(job)
        while rest:
            rest = rest[os.write(self._write, rest) :]
        return self._line()

    def is_alive(self) -> bool:
        try:
            pid, status = waitpid(self._pid, os.WNOHANG)
        except ChildProcessError:  # somebody waits for all children, and its id may be another's by now
            self._is_gone = True
            return False
        if pid:
            self._status = status
        return not pid

    def end(self) -> int | None:
        """Ends it. Returns the status with which it ended, where that can be told."""
        os.close(self._write)
        os.close(self._read)
        with suppress(ChildProcessError, ProcessLookupError):
            if self._status is None and not self._is_gone:
                # It is over when its output is, or idle: nothing is lost.
                os.kill(self._pid, signal.SIGKILL)
                self._status = waitpid(self._pid, 0)[1]
        return self._status

    def _line(self) -> bytes:
        parts = []
        while part := os.read(self._read, 65_536):
            parts.append(part)
            if part.endswith(b"\n"):
                break
        return b"".join(parts)


def _end_all(idle: list[_Child]) -> None:
    while idle:
        idle.pop().end()


def read_shape(told: Mapping[str, Any], sources: Mapping[str, str]) -> Shape:
    """What `preview_process.shape` tells."""
    return Shape(
        told["purpose"],
        told["variables"],
        told["pieces"],
        _fault(told["fault"], sources),
        tuple(told["key"]),
        tuple(hint for one in told["hints"] if (hint := _fault(one, sources))),
        {block: (template, line) for block, (template, line) in told["places"].items()},
    )


def _needed(name: str, sources: Mapping[str, str]) -> dict[str, str]:
    """Of other templates only the names, for hints."""
    return {one: text if one == name or one.startswith("_") else "" for one, text in sorted(sources.items())}


def _fitting(cases: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The first cases that are not too long together."""
    size = 0
    for variables in cases:
        size += len(json.dumps(dict(variables)))
        if size > MOST_ASKED:
            return
        yield dict(variables)


def _without_event(variables: Mapping[str, Any], fault: Fault) -> Case:
    return Case(variables, None, None, fault, 0.0, (fault,))


def _case(told: dict[str, Any], sources: Mapping[str, str]) -> Case:
    faults = tuple(fault for one in told["faults"] if (fault := _fault(one, sources)))
    event = told.get("event")
    return Case(
        variables=told["variables"],
        fields=told["fields"]
        and {name: _HALVES.sub(_REPLACED, text) for name, text in told["fields"].items()},
        skip=told["skip"],
        fault=faults[0] if faults else None,
        ms=told["ms"],
        faults=faults,
        event=event,
        request=_request(event["event_id"], told["content"]) if event else None,
        words=told.get("words", ""),
        branches=frozenset(told.get("branches", ())),
    )


def _request(event_id: str, content: Mapping[str, Any]) -> dict[str, Any]:
    asked = CalendarRequest(
        "create", ACCOUNT, f"{event_id}_{USER}", (SUBSCRIPTION,), {**content}, is_whole=True
    )
    step = first_step(asked)
    return {"method": step.method, "path": step.path, "body": step.body}


def _fault(told: Mapping[str, Any] | None, sources: Mapping[str, str]) -> Fault | None:
    if not told:
        return None
    template, line, field, words = told["template"], told["line"], told["field"], _shown(told["words"])
    source = sources.get(template, "")
    if field == "template":
        field = field_at(source, line) or field
    start, end = columns(source, line, field, words)
    return Fault(template, line, field, told["cause"], words, start, end)


def _shown(words: str) -> str:
    """What a page can hold: values in the words come from strangers."""
    return _UNSHOWN.sub(_REPLACED, words)


_REPLACED = "\N{REPLACEMENT CHARACTER}"
_HALVES = re.compile(r"[\ud800-\udfff]")  # of a letter, which no page can hold
_UNSHOWN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def _why(status: int | None) -> Callable[[float], str]:
    ended_by = os.WTERMSIG(status) if status is not None and os.WIFSIGNALED(status) else None
    if ended_by in (signal.SIGALRM, signal.SIGPROF):
        return lambda seconds: (
            f"working this out took longer than {seconds:.0f} s and was stopped: "
            "a loop in it goes round too often"
        )
    megabytes = MEMORY_BYTES // 1024**2
    return lambda seconds: (
        f"working this out took more than {seconds:.0f} s or {megabytes} MB and was stopped: "
        "a loop in it goes round too often, or a text in it grows too long"
    )
