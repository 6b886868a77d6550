"""What needs no key: whether the process and its database are well, and the time zones."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from bridge import __version__, schema
from bridge.calendar.zones import catalogue
from bridge.database import UNAVAILABLE, clock
from bridge.outbox import reading
from bridge.web.parts import Parts


def blueprint(parts: Parts) -> Blueprint:
    blueprint = Blueprint("unguarded", __name__)

    @blueprint.get("/healthz")
    def healthz() -> Response:
        return jsonify({"status": "ok", "version": __version__})

    @blueprint.get("/readyz")
    def readyz() -> tuple[Response, int]:
        try:
            with parts.database.read() as connection:
                if not schema.is_current(connection):
                    return _not_ready(
                        "the database is older than this release: run `python -m bridge migrate`"
                    )
                oldest = reading.waiting_since(connection)
                age = (clock(connection) - oldest).total_seconds() if oldest else 0.0
        except UNAVAILABLE:
            return _not_ready("the database is not reachable")
        return jsonify({"status": "ok", "oldest_waiting_seconds": round(age, 1)}), 200

    @blueprint.get("/v1/timezones")
    def timezones() -> Response:
        return jsonify({"timezones": catalogue()})

    return blueprint


def _not_ready(reason: str) -> tuple[Response, int]:
    return jsonify({"status": "not ready", "reason": reason}), 503
