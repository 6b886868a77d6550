"""The destinations: their state and what waits for them; pause and resume."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import structlog
from flask import Blueprint, Response, g, jsonify
from sqlalchemy.engine import Connection

from bridge.database import clock
from bridge.errors import NotFound
from bridge.outbox import overview, states
from bridge.outbox.overview import NOTHING, Backlog
from bridge.outbox.reading import iso
from bridge.outbox.states import CLOSED, PAUSED, WHOLE, DestinationState
from bridge.routes.incoming import plain
from bridge.web.parts import Parts

COUNTS_REST = 20  # times as long as counting took: a million that wait are counted a twentieth of the time
COUNTED_ANEW = 10_000  # messages that wait are counted whenever somebody asks; they take milliseconds

log = structlog.get_logger()


def read_blueprint(parts: Parts) -> Blueprint:
    blueprint = Blueprint("destinations", __name__)
    blueprint.before_request(parts.guard.needs("read"))
    counts = _Counts()

    @blueprint.get("/v1/destinations")
    def list_destinations() -> Response:
        with parts.database.browse() as connection:
            backlogs = counts.taken(connection)
            names = sorted({*parts.settings.rates, *backlogs})
            shown = [_shown(parts, connection, name, backlogs.get(name, NOTHING)) for name in names]
        return jsonify({"destinations": shown})

    return blueprint


def operate_blueprint(parts: Parts) -> Blueprint:
    blueprint = Blueprint("destinations_operate", __name__)
    blueprint.before_request(parts.guard.needs("operate"))

    @blueprint.post("/v1/destinations/<name>/pause")
    def pause(name: str) -> Response:
        name = _known(parts, plain(name))
        with parts.database.write() as connection:
            is_new = states.pause(connection, name, f"paused by {g.key_name}", clock(connection))
        if is_new:
            log.info("destination.paused", destination=name)
        return _state_of(name)

    @blueprint.post("/v1/destinations/<name>/resume")
    def resume(name: str) -> Response:
        name = _known(parts, plain(name))
        with parts.database.write() as connection:
            is_new = states.resume(connection, name, clock(connection))
        if is_new:
            log.info("destination.resumed", destination=name)
        return _state_of(name)

    def _state_of(name: str) -> Response:
        with parts.database.browse() as connection:
            known = states.read_states(connection, name)
            return jsonify({"name": name, **_state(known, overview.in_flight(connection))})

    return blueprint


class _Counts:
    """What waits, counted anew only when the last count has rested for a multiple of its time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._backlogs: dict[str, Backlog] = {}
        self._good_until = 0.0

    def taken(self, connection: Connection) -> dict[str, Backlog]:
        with self._lock:
            began = time.monotonic()
            if began >= self._good_until:
                self._backlogs = overview.backlogs(connection)
                now = time.monotonic()
                is_long = sum(one.messages for one in self._backlogs.values()) > COUNTED_ANEW
                self._good_until = now + COUNTS_REST * (now - began) if is_long else now
            return self._backlogs


def _known(parts: Parts, name: str) -> str:
    known = {*parts.settings.rates}
    if name not in known:
        with parts.database.browse() as connection:
            known |= {state.destination for state in states.read_states(connection)}
            known |= overview.backlogs(connection).keys()
    if name not in known:
        there = f"there is {', '.join(sorted(known))}" if known else "none is configured"
        raise NotFound(f"There is no destination {name[:40]!r}; {there}.")
    return name


def _shown(parts: Parts, connection: Connection, name: str, backlog: Backlog) -> dict[str, Any]:
    known = states.read_states(connection, name)
    rate = parts.settings.rates.get(name)
    whole = next((s for s in known if s.account_code == WHOLE), None)
    now = clock(connection)
    return {
        "name": name,
        "is_configured": rate is not None,
        **_state(known, overview.in_flight(connection)),
        "waiting": backlog.messages,
        "oldest": iso(backlog.oldest_at),
        "rate": rate.a_second if rate else None,
        "held_until": iso(_still(whole.hold_until if whole else None, now)),
        "halved_until": iso(_still(whole.halved_until if whole else None, now)),
        "accounts": [
            {"account_code": s.account_code, "state": s.state, "reason": s.reason, "since": iso(s.since)}
            for s in known
            if s.state == CLOSED and s.account_code not in (WHOLE, PAUSED)
        ],
    }


def _state(known: Sequence[DestinationState], in_flight: set[str]) -> dict[str, Any]:
    """A pause goes before all else; what is closed and has a call under way is being probed."""
    by_place = {s.account_code: s for s in known}
    pause, whole = by_place.get(PAUSED), by_place.get(WHOLE)
    if pause is not None and pause.state == CLOSED:
        return {"state": "paused", "reason": pause.reason, "since": iso(pause.since)}
    if whole is None:
        return {"state": states.OPEN, "reason": None, "since": None}
    is_probing = whole.state == CLOSED and whole.destination in in_flight
    return {
        "state": "probing" if is_probing else whole.state,
        "reason": whole.reason,
        "since": iso(whole.since),
    }


def _still(until: datetime | None, now: datetime) -> datetime | None:
    return until if until and until > now else None
