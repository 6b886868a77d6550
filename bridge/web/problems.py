"""Errors as application/problem+json (RFC 9457): short, for the marketer who reads them in Braze's test dialog."""

from __future__ import annotations

from typing import Any

import structlog
from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException

from bridge.database import UNAVAILABLE
from bridge.errors import Answerable, DatabaseUnavailable

log = structlog.get_logger()
MOST_DETAIL = 500  # characters

_OF_HTTP = {
    404: ("Not found", "There is nothing at this path; /docs lists what there is."),
    405: ("Method not allowed", "This path does not take this method."),
    413: ("Too large", "A request may have 1 MiB at most."),
    415: ("Send JSON", "Send JSON: forms are not read here."),
}


def register(app: Flask) -> None:
    app.register_error_handler(Answerable, of_answerable)
    app.register_error_handler(HTTPException, of_http)
    for kind in UNAVAILABLE:
        app.register_error_handler(kind, of_database)
    app.register_error_handler(Exception, of_fault)


def of_answerable(error: Answerable, **more: Any) -> Response:
    errors = [{"field": e.field, "message": e.message} for e in error.errors]
    response = problem(error.status, error.title, error.detail, errors, **more)
    if isinstance(error, DatabaseUnavailable):
        response.headers["Retry-After"] = str(error.retry_after)
    if error.status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="bridge"'
    return response


def of_http(error: HTTPException) -> Response:
    status = error.code or 500
    title, detail = _OF_HTTP.get(status, (error.name, "The request could not be read."))
    allow = error.get_response().headers.get("Allow", "") if status == 405 else ""
    if allow:
        taken = " or ".join(sorted(set(allow.split(", ")) - {"HEAD", "OPTIONS"}))
        detail = f"This path takes {taken}."
    response = problem(status, title, detail)
    if allow:
        response.headers["Allow"] = allow
    return response


def of_database(error: Exception) -> Response:
    log.warning("database.unavailable", error=type(error).__name__)
    return of_answerable(DatabaseUnavailable("The database is not reachable; please send this again."))


def of_fault(error: Exception) -> Response:
    # The path as it was declared: what was called may hold the secret of Rokt's webhook.
    route = request.url_rule.rule if request.url_rule else ""
    log.exception("request.failed", route=route, error=type(error).__name__)
    return problem(
        500, "The bridge failed", "This is the bridge's own fault; the request id finds it in the log."
    )


def problem(
    status: int, title: str, detail: str, errors: list[dict[str, str]] | None = None, **more: Any
) -> Response:
    body = {"title": title, "status": status, "detail": detail[:MOST_DETAIL], "errors": errors or []}
    response = jsonify(body | more | {"request_id": g.get("request_id", "")})
    response.status_code = status
    response.mimetype = "application/problem+json"
    return response
