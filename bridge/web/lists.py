"""One thing in a request or a list of them: each by itself, in order, with a verdict for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import structlog
from flask import Response, g, jsonify

from bridge.calendar.event import json_type
from bridge.errors import DatabaseUnavailable, InvalidPayload
from bridge.message import State
from bridge.outbox.enqueue import Accepted, Request
from bridge.routes import incoming
from bridge.web.answered import note_accepted, note_list
from bridge.web.outcome import answer, wait_wanted
from bridge.web.parts import Parts
from bridge.web.problems import problem

MOST = 1_000  # in one list

log = structlog.get_logger()


class Call(Protocol):
    """What a route reads of one thing."""

    @property
    def is_test(self) -> bool: ...


C = TypeVar("C", bound=Call)


@dataclass(frozen=True)
class Kind(Generic[C]):
    """How things of one route are taken in. `words`: several of them, for people.

    `read` raises InvalidPayload. `dry_run`: what would leave for these, and for tests that they are. `request`:
    of a thing as it was sent, as it was read, and its place in a list.
    """

    route: str
    words: str
    read: Callable[[Mapping[str, Any]], C]
    dry_run: Callable[[Sequence[C]], dict[str, Any]]
    request: Callable[[dict[str, Any], C, int | None], Request]


def take_one(parts: Parts, kind: Kind[C], body: dict[str, Any], *, only_shows: bool) -> Response:
    call = kind.read(body)
    if only_shows or call.is_test:
        return jsonify(kind.dry_run([call]) | {"request_id": g.request_id})
    accepted = parts.inbox.accept(kind.request(body, call, None))
    note_accepted(accepted)
    return answer(parts, accepted, wait=wait_wanted())


def take_many(parts: Parts, kind: Kind[C], items: list[Any], *, only_shows: bool) -> Response:
    if not 1 <= len(items) <= MOST:
        raise InvalidPayload(f"A list has from 1 to {MOST:,} {kind.words}, not {len(items):,}.")
    calls: dict[int, C] = {}
    results: dict[int, dict[str, Any]] = {}
    for index, item in enumerate(items):
        try:
            if not isinstance(item, dict):
                raise InvalidPayload(f"must be an object in braces, not {json_type(item)}")
            calls[index] = kind.read(item)
        except InvalidPayload as wrong:
            results[index] = {"index": index, "errors": _errors(wrong)}
    if not calls:
        return _none_is_good(kind.words, list(results.values()))
    if only_shows:
        shown = kind.dry_run(list(calls.values()))
        wrong_ones = {"results": list(results.values())} if results else {}
        return jsonify(shown | wrong_ones | {"request_id": g.request_id})
    sent = {index: call for index, call in calls.items() if not call.is_test}
    results |= {i: {"index": i} | kind.dry_run([call]) for i, call in calls.items() if call.is_test}
    requests = [kind.request(items[i], call, i) for i, call in sent.items()]
    accepted = _accepted(parts, kind.route, requests, len(items) - len(calls))
    results |= {i: {"index": i} | its for i, its in zip(sent, accepted, strict=True)}
    response = jsonify({"results": [results[i] for i in sorted(results)], "request_id": g.request_id})
    response.status_code = 202 if sent else 200
    return response


def _accepted(parts: Parts, route: str, requests: Sequence[Request], wrong: int) -> list[dict[str, Any]]:
    """Errors: DatabaseUnavailable, also when it went away half-way: what is sent again then does no harm."""
    told: list[dict[str, Any]] = []
    taken: list[Accepted] = []
    for accepted in parts.inbox.accept_all(requests):
        if isinstance(accepted, DatabaseUnavailable):
            raise accepted
        if isinstance(accepted, Accepted):
            taken.append(accepted)
            told.append(_told(accepted))
        else:
            log.error("request.failed", route=route, error=type(accepted).__name__, exc_info=accepted)
            told.append({"errors": [{"field": "", "message": "the bridge failed on this one"}]})
    note_list(taken, wrong)
    return told


def _told(accepted: Accepted) -> dict[str, Any]:
    told: dict[str, Any] = {"id": accepted.ids[0]}
    if len(accepted.ids) > 1:
        told["ids"] = list(accepted.ids)
    if accepted.is_repeat:
        told["is_repeat"] = True
    elif accepted.state == State.SKIPPED:
        told |= {"state": accepted.state, "reason": accepted.reason}
    return told


def _errors(wrong: InvalidPayload) -> list[dict[str, str]]:
    if not wrong.errors:
        return [{"field": "", "message": wrong.detail}]
    return [{"field": error.field, "message": error.message} for error in wrong.errors]


def _none_is_good(words: str, results: list[dict[str, Any]]) -> Response:
    errors = [
        {"field": f"[{result['index']}].{error['field']}".rstrip("."), "message": error["message"]}
        for result in results[: incoming.MOST_NAMED]
        for error in result["errors"]
    ][: incoming.MOST_NAMED]
    told = f"None of the {len(results):,} {words} of this list is right."
    return problem(InvalidPayload.status, InvalidPayload.title, told, errors, results=results)
