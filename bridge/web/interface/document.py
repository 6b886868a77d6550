"""The OpenAPI document: the operations put together, with the scopes that the application asks for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from flask import Flask
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Rule

from bridge import __version__
from bridge.errors import DatabaseUnavailable, Forbidden, Unauthorized
from bridge.settings import SCOPES
from bridge.web.guard import Needs
from bridge.web.interface import (
    audiences,
    calendar,
    conversions,
    destinations,
    forgetting,
    forms,
    jobs,
    messages,
    offers,
    process,
    subscribers,
    templates,
)
from bridge.web.interface.operation import PROBLEM, Answer, Example, Group, Operation, Parameter, Schema, ref
from bridge.web.interface.samples import sample_of

GROUPS: tuple[Group, ...] = (
    calendar.GROUP,
    subscribers.GROUP,
    conversions.GROUP,
    audiences.GROUP,
    offers.GROUP,
    messages.GROUP,
    jobs.GROUP,
    forgetting.GROUP,
    destinations.GROUP,
    templates.GROUP,
    process.KEYS,
    process.PROCESS,
)
PARTS_WITH_PAGES = ("console",)  # blueprints for people, which are no part of the interface
BY_ITSELF = {"HEAD", "OPTIONS"}  # methods that Flask adds

WORDS = """\
Takes webhooks from Braze and brings them to Rokt, and Rokt's subscribers back to Braze.

JSON in and out, read as JSON whatever the Content-Type says. Errors are `application/problem+json` (RFC 9457). A \
blank or `null` counts as not given: Liquid makes that of what a user has not. 202: stored, and on its way. 4xx: \
yours to mend, not to be repeated. 503: please send it again."""

SECURITY_SCHEMES: Mapping[str, Any] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A key of `BRIDGE_TOKENS`, or a token of `POST /oauth2/token`",
    },
    "basic": {"type": "http", "scheme": "basic", "description": "Any user name, and a key as password"},
    "oauth2": {
        "type": "oauth2",
        "description": "A key's name and secret are exchanged for a token of an hour",
        "flows": {
            "clientCredentials": {
                "tokenUrl": "/oauth2/token",
                "scopes": dict(
                    zip(
                        SCOPES,
                        ("what Braze calls", "look", "templates", "replay, cancel, recall, pause, erase"),
                        strict=True,
                    )
                ),
            }
        },
    },
}
_TOKEN_SECURITY: Sequence[Mapping[str, Any]] = [{"basic": []}]

HEADERS: Mapping[str, Any] = {
    "X-Request-Id": {
        "description": "Finds the request in the log",
        "required": True,
        "schema": {"type": "string"},
    },
    "Location": {"description": "Where it is shown", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds, or a time", "schema": {"type": "string"}},
    "WWW-Authenticate": {"description": "How to say who you are", "schema": {"type": "string"}},
    "Cache-Control": {"description": "Whether it may be kept", "schema": {"type": "string"}},
    "ETag": {"description": "What it is, for `If-None-Match`", "schema": {"type": "string"}},
    **{
        name: {"description": "Rokt's own", "schema": {"type": "string"}}
        for name in ("rokt-account-id", "rokt-session-id", "etag")
    },
}
_REQUEST_ID = Parameter(
    "X-Request-Id",
    "header",
    "Taken over, if it has letters, digits, `.`, `_` and `-` only, 64 at most; else one is made.",
    {"type": "string"},
)
_FAILED = Answer(500, "The bridge failed", ref("Problem"), (), PROBLEM)
_REFUSALS_OF_KEYS = (Answer.of(Unauthorized), Answer.of(Forbidden, words="the scope is missing"))
_NO_DATABASE = Answer.of(DatabaseUnavailable, words="please send it again")


def operations() -> Iterator[Operation]:
    for group in GROUPS:
        yield from group.operations


def build(app: Flask, now: datetime) -> dict[str, Any]:
    """The document. `now`: for the times in examples, as Rokt takes no old ones.

    Errors: LookupError for an operation that the application has not.
    """
    paths: dict[str, dict[str, Any]] = {}
    schemas = dict(forms.SCHEMAS)
    for group in GROUPS:
        schemas |= group.schemas
        for operation in group.operations:
            told = _operation(operation, group.name, scopes_of(app, operation))
            paths.setdefault(operation.path, {})[operation.method.lower()] = told
    document = {
        "openapi": "3.1.0",
        "info": {"title": "The Braze–Rokt bridge", "version": __version__, "description": WORDS},
        "servers": [{"url": "/"}],
        "tags": [{"name": group.name, "description": group.words} for group in GROUPS],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "headers": dict(HEADERS),
            "securitySchemes": dict(SECURITY_SCHEMES),
        },
    }
    this_month = now.strftime("%Y-%m-01T00:00:00Z")
    found: dict[str, Any] = json.loads(json.dumps(document).replace(conversions.A_TIME, this_month))
    return found


def endpoint_of(app: Flask, operation: Operation) -> str:
    """Errors: LookupError."""
    adapter = app.url_map.bind("localhost")
    try:
        endpoint, _ = adapter.match(operation.sample_path(), operation.method)
    except HTTPException as missing:
        raise LookupError(f"there is no {operation.method} {operation.path}") from missing
    return str(endpoint)


def scopes_of(app: Flask, operation: Operation) -> Sequence[str]:
    """Those of which a key needs one; none where no key is asked for."""
    blueprint = endpoint_of(app, operation).rpartition(".")[0]
    checks = app.before_request_funcs.get(blueprint, ())
    return [scope for check in checks if isinstance(check, Needs) for scope in check.scopes]


def untold(app: Flask) -> list[str]:
    """What the application takes and the document does not tell, but for pages for people."""
    told = {(endpoint_of(app, one), one.method) for one in operations()}
    return [
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        if rule.endpoint.partition(".")[0] not in PARTS_WITH_PAGES
        for method in sorted(_methods(rule))
        if (rule.endpoint, method) not in told
    ]


def _methods(rule: Rule) -> set[str]:
    return (rule.methods or set()) - BY_ITSELF


def _operation(operation: Operation, group: str, scopes: Sequence[str]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [group],
        "summary": operation.words,
        "parameters": [_parameter(one) for one in (*operation.parameters, _REQUEST_ID)],
        "responses": _responses(operation, scopes),
        "security": _security(operation, scopes),
    }
    told["x-codeSamples"] = [sample_of(operation, one, is_guarded=bool(scopes)) for one in operation.examples]
    if operation.more:
        told["description"] = operation.more
    if operation.body is not None:
        told["requestBody"] = {
            "required": not operation.body_may_miss,
            "content": {
                operation.media: {"schema": operation.body, "examples": _examples(operation.examples)}
            },
        }
    return told


def _security(operation: Operation, scopes: Sequence[str]) -> list[Mapping[str, Any]]:
    if operation.path == SECURITY_SCHEMES["oauth2"]["flows"]["clientCredentials"]["tokenUrl"]:
        return list(_TOKEN_SECURITY)
    return [{scheme: [scope]} for scheme in SECURITY_SCHEMES for scope in scopes]


def _parameter(one: Parameter) -> dict[str, Any]:
    schema = {
        **one.schema,
        **({"examples": [one.sample]} if one.sample and "examples" not in one.schema else {}),
    }
    if one.schema.get("type") == "integer" and one.sample:
        schema["examples"] = [int(one.sample)]
    told: dict[str, Any] = {"name": one.name, "in": one.where, "description": one.words, "schema": schema}
    return told | ({"required": True} if one.is_needed else {})


def _examples(examples: Sequence[Example]) -> dict[str, Any]:
    return {
        f"example{number}": {"summary": one.words, "value": one.body}
        for number, one in enumerate(examples, 1)
        if one.body is not None
    }


def _responses(operation: Operation, scopes: Sequence[str]) -> dict[str, Any]:
    by_status: dict[str, list[Answer]] = {}
    common_to_all = [*(_REFUSALS_OF_KEYS if scopes else ()), _FAILED]
    if operation.needs_database:
        common_to_all.append(_NO_DATABASE)
    for answer in (*operation.answers, *common_to_all):
        by_status.setdefault(str(answer.status), []).append(answer)
    return {status: _response(answers) for status, answers in sorted(by_status.items())}


def _response(answers: Sequence[Answer]) -> dict[str, Any]:
    """Several answers may have one status."""
    headers = dict.fromkeys(["X-Request-Id", *(name for one in answers for name in one.headers)])
    told: dict[str, Any] = {
        "description": ". ".join(dict.fromkeys(one.words for one in answers)),
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers},
    }
    content: dict[str, list[Schema]] = {}
    for one in answers:
        if one.schema is not None and one.schema not in content.setdefault(one.media, []):
            content[one.media].append(one.schema)
    if content:
        told["content"] = {
            media: {"schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas}}
            for media, schemas in content.items()
        }
    return told
