"""One wide line for each HTTP request: what was asked, what came of it, and how long that took."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from typing import Any

import structlog
from flask import Flask, Response, g, request

from bridge.outbox.enqueue import Accepted

# Asked every few seconds by machines: told only when something is wrong.
QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
MOST_IDS = 20  # of one line: a log's readers cut what is longer than some kilobytes

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

log = structlog.get_logger()


def register(app: Flask) -> None:
    """Names each request by its caller's X-Request-Id or by an id made here, in its answer and in all its lines."""
    app.before_request(_begin)
    app.after_request(_end)


def note(**facts: Any) -> None:
    """More for the line of this request: ids, counts and words of the bridge's own."""
    g.facts |= facts


def note_accepted(accepted: Accepted, **more: Any) -> None:
    note(messages=accepted.ids, state=accepted.state, is_repeat=accepted.is_repeat, **more)


def note_list(accepted: Sequence[Accepted], wrong: int) -> None:
    """Of a list: the ids of the first; all of its messages carry the id of this request."""
    ids = [one for its in accepted for one in its.ids]
    repeats = sum(its.is_repeat for its in accepted)
    note(messages=ids[:MOST_IDS], accepted=len(ids), repeats=repeats, wrong=wrong)


def _begin() -> None:
    g.began_at = time.monotonic()
    g.facts = {}
    given = request.headers.get("X-Request-Id", "")
    g.request_id = given if _REQUEST_ID.fullmatch(given) else os.urandom(16).hex()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)


def _end(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.request_id
    response.headers["X-Content-Type-Options"] = "nosniff"  # some of what is answered are others' words
    # As it was declared: what was called may hold the secret of Rokt's webhook, or a user's id.
    route = request.url_rule.rule.removesuffix("<rest:rest>") if request.url_rule else ""
    status = response.status_code
    if route in QUIET and status < 400:
        return response
    told = {
        "method": request.method if request.method in _METHODS else "",
        "route": route,
        "status": status,
        "ms": round((time.monotonic() - g.began_at) * 1000, 1),
        "bytes_in": request.content_length,
        "bytes_out": response.content_length,
        "key": g.get("key_name", ""),
    } | g.facts
    if status >= 500:
        log.warning("request.answered", **told)
    else:
        log.info("request.answered", **told)
    return response
