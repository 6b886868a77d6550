"""Keys, and the process itself: health, the interface document."""

from __future__ import annotations

from bridge.metrics.page import CONTENT_TYPE
from bridge.web.guard import TOKEN_LIVES
from bridge.web.interface import common, forms
from bridge.web.interface.operation import FORM, HTML, PROBLEM, Answer, Example, Group, Operation, ref
from bridge.web.interface.shapes import answer_of, mapping, number, one_of, text, whole

_UNCHANGED = Answer(304, "It is still what `If-None-Match` names", None, ("ETag",))

KEYS = Group(
    "Keys",
    "A key of `BRIDGE_TOKENS` is a bearer token, or the password of HTTP Basic; or it is exchanged for a token here.",
    (
        Operation(
            "POST",
            "/oauth2/token",
            "issueToken",
            "A token for a key's name and secret",
            (
                Answer(200, "The token", ref("Token"), ("Cache-Control",)),
                Answer(400, "No token: another grant, or no form", ref("ProblemOfToken"), (), PROBLEM),
                Answer(401, "No token: no such key", ref("ProblemOfToken"), ("WWW-Authenticate",), PROBLEM),
                common.TOO_LARGE,
            ),
            (Example("By HTTP Basic", 200, {"grant_type": "client_credentials"}),),
            body={
                "type": "object",
                "properties": {"grant_type": one_of(("client_credentials",))},
                "required": ["grant_type"],
            },
            media=FORM,
            needs_database=False,
        ),
    ),
    {
        "Token": answer_of(
            {
                "access_token": text("With its key's scopes; it ends with its key"),
                "token_type": one_of(("Bearer",)),
                "expires_in": whole("Seconds", const=TOKEN_LIVES),
            }
        ),
        "ProblemOfToken": answer_of(
            {
                **forms.SCHEMAS["Problem"]["properties"],
                "error": text("By RFC 6749"),
                "error_description": text(),
            }
        ),
    },
)

PROCESS = Group(
    "The process",
    "Whether it is well, and what it takes.",
    (
        Operation(
            "GET",
            "/healthz",
            "health",
            "Whether the process is there",
            (Answer(200, "It is", ref("Health")),),
            (Example("Ask", 200),),
            needs_database=False,
        ),
        Operation(
            "GET",
            "/readyz",
            "readiness",
            "Whether the database is",
            (
                Answer(200, "It is", ref("Readiness")),
                Answer(503, "It is not", ref("NotReady")),
            ),
            (Example("Ask", 200),),
            needs_database=False,
        ),
        Operation(
            "GET",
            "/metrics",
            "showMetrics",
            "What the processes counted, for Prometheus",
            (Answer(200, "The series", text(), media=CONTENT_TYPE.partition(";")[0]),),
            (Example("Ask", 200),),
            needs_database=False,
        ),
        Operation(
            "GET",
            "/openapi.json",
            "showDocument",
            "This document",
            (Answer(200, "OpenAPI 3.1", mapping(), ("ETag", "Cache-Control")), _UNCHANGED),
            (Example("Ask", 200),),
            needs_database=False,
        ),
        Operation(
            "GET",
            "/docs",
            "showPages",
            "The same for people",
            (Answer(200, "A page", text(), ("ETag", "Cache-Control"), HTML), _UNCHANGED),
            (Example("Ask", 200),),
            needs_database=False,
        ),
    ),
    {
        "Health": answer_of({"status": one_of(("ok",)), "version": text()}),
        "Readiness": answer_of(
            {
                "status": one_of(("ok",)),
                "oldest_waiting_seconds": number("The age of the oldest message that waits"),
            }
        ),
        "NotReady": answer_of({"status": one_of(("not ready",)), "reason": text()}),
    },
)
