"""What became of a request, answered in the codes made for Braze; and the wait for it, where that is wished."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from typing import Any

from flask import Response, g, jsonify, request

from bridge.database import UNAVAILABLE
from bridge.errors import FieldError, InvalidPayload, nearest
from bridge.message import State
from bridge.outbox import reading
from bridge.outbox.enqueue import Accepted
from bridge.routes.incoming import name_shown
from bridge.web.parts import Parts

MOST_WAIT = 25.0  # seconds; Heroku's router gives up at 30
ANSWERED_WITHIN = 27.0  # seconds after the request came
LOOK_FIRST, LOOK_LAST = 0.05, 1.0  # seconds between two looks: a tenth of the time waited so far

FLAGS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def flag(name: str) -> bool:
    """A yes or no of the query. Errors: InvalidPayload: a slip must not send what was not to be sent."""
    value = request.args.get(name)
    if value is None:
        return False
    if value.lower() not in FLAGS:
        raise InvalidPayload.of(FieldError(name, "must be 1 or 0"))
    return FLAGS[value.lower()]


def is_dry_run() -> bool:
    if not request.query_string:
        return False
    for name in request.args:
        if name != "dry_run" and nearest(name[:60], ("dry_run",), 1):
            raise InvalidPayload.of(FieldError(name_shown(name), "is not known; did you mean dry_run?"))
    return flag("dry_run")


def answer(parts: Parts, accepted: Accepted, *, wait: float | None, warnings: Sequence[str] = ()) -> Response:
    """`wait`: for so many seconds at most, until the messages are settled."""
    body: dict[str, Any] = {"id": accepted.ids[0], "state": accepted.state, "request_id": g.request_id}
    if len(accepted.ids) > 1:
        body["ids"] = list(accepted.ids)
    if accepted.state == State.ACCEPTED and warnings and not accepted.is_repeat:
        body["warnings"] = list(warnings)
    status = 200
    if wait:  # accepting it took some of the time already
        wait = min(wait, ANSWERED_WITHIN - (time.monotonic() - g.began_at))
    if wait and accepted.state == State.ACCEPTED and (settled := _settled(parts, accepted.ids, wait)):
        shown = settled[0] if len(settled) == 1 else {"messages": settled}
        body = shown | body | {"state": _state_of(settled)}
    elif accepted.is_repeat:
        body |= {"state": state_now(parts, accepted), "is_repeat": True}
    elif accepted.state == State.ACCEPTED:
        status = 202
    elif accepted.state == State.SKIPPED:
        body["reason"] = accepted.reason
    else:
        body["reason"] = "a newer as_of was accepted before"
    response = jsonify(body)
    response.status_code = status
    response.headers["Location"] = f"/v1/messages/{accepted.ids[0]}"
    return response


def state_now(parts: Parts, accepted: Accepted) -> State:
    """Of what was taken before."""
    try:
        with parts.database.read() as connection:
            return reading.states(connection, accepted.ids[:1]).get(accepted.ids[0], accepted.state)
    except UNAVAILABLE:  # it was taken before: that is the answer
        return accepted.state


def wait_wanted() -> float | None:
    """`Prefer: wait=N` (RFC 7240), seconds."""
    for preference in request.headers.get("Prefer", "").split(","):
        name, _, value = preference.strip().partition("=")
        if name.strip().lower() == "wait" and value.strip().isascii() and value.strip().isdigit():
            return min(float(value.strip()), MOST_WAIT)
    return None


def digest(*told: str | bytes) -> str:
    """Of what makes one request the same as another."""
    parts = (part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part for part in told)
    return hashlib.blake2b(b"\x1f".join(parts), digest_size=16).hexdigest()


def _settled(parts: Parts, ids: tuple[str, ...], wait: float) -> list[dict[str, Any]] | None:
    """The messages once all are settled; None when time is up, or at once when too many wait already or
    this process stops.
    """
    if not parts.waiters.take():
        return None
    try:
        began = time.monotonic()
        while True:
            with parts.database.read() as connection:
                if all(reading.is_settled(state) for state in reading.states(connection, ids).values()):
                    found = [reading.one(connection, one) for one in ids]
                    return [message for message in found if message]
            waited = time.monotonic() - began
            if waited >= wait or parts.waiters.is_closed:
                return None
            time.sleep(min(max(LOOK_FIRST, waited / 10), LOOK_LAST, wait - waited))
    except UNAVAILABLE:  # it was taken: a 503 would ask for it again
        return None
    finally:
        parts.waiters.leave()


def _state_of(settled: list[dict[str, Any]]) -> State:
    """Delivered if all are, else the state of the first that is not."""
    states = [State(message["state"]) for message in settled]
    return next((state for state in states if state != State.DELIVERED), State.DELIVERED)
