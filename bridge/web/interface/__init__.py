"""GET /openapi.json and /docs: what the API takes and answers, made of the tables by which it is read.

One module tells of each kind of thing (calendar.py, conversions.py, …): a `Group` of `Operation`s with the forms of
their bodies and answers. document.py puts them together, pages.py shows them to people.

To add an operation: write an `Operation` into the group that it belongs to (a new group goes into `GROUPS` of
document.py). Its body is an `object_of` the very table of names by which the route refuses what it does not know, so
that neither can grow alone; limits, states and choices are imported too. Its answers are an `answer_of`. Which scope
it needs, 401, 403, 500 and 503 are found out from the application. It has at least one `Example`, which a test sends
in the order of the document. The tests say what is missing: a route without an operation, an operation without a
route, an example that is answered otherwise, an answer with a field that nobody told of.
"""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from flask import Blueprint, Flask, Response, json, render_template, request

from bridge.web.interface.document import build
from bridge.web.interface.pages import page_of
from bridge.web.interface.samples import HOST

KEPT_FOR = "public, max-age=300"  # a new release may tell something else

_ADDRESS = re.compile(r"https?://[A-Za-z0-9.:\[\]-]{1,255}")  # what may stand in a line for a shell


class Interface:
    """Made when it is first asked for: by then all routes are there."""

    def __init__(self, app: Flask) -> None:
        self._app = app

    @cached_property
    def document(self) -> dict[str, Any]:
        return build(self._app, datetime.now(UTC))

    @cached_property
    def as_json(self) -> bytes:
        return json.dumps(self.document, indent=1).encode()

    def page(self, host: str) -> bytes:
        """`host`: where its reader reached it, for what is to be pasted."""
        return self._page.replace(HOST, host if _ADDRESS.fullmatch(host) else HOST).encode()

    @cached_property
    def policy(self) -> str:
        """Nothing of the page comes from elsewhere, and nothing of it runs."""
        style = base64.b64encode(hashlib.sha256(self._style.encode()).digest()).decode()
        nothing = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        return f"{nothing}; style-src 'sha256-{style}'"

    @cached_property
    def _page(self) -> str:
        return render_template("interface/docs.html", style=self._style, **page_of(self.document))

    @cached_property
    def _style(self) -> str:
        return render_template("interface/docs.css")


def blueprint(app: Flask) -> Blueprint:
    """Without a key: it tells nothing of this bridge but its version."""
    shows = Blueprint("interface", __name__, template_folder="pages")
    interface = Interface(app)

    @shows.get("/openapi.json")
    def document() -> Response:
        return _kept(interface.as_json, "application/json")

    @shows.get("/docs")
    def page() -> Response:
        response = _kept(interface.page(request.host_url.rstrip("/")), "text/html")
        response.headers["Content-Security-Policy"] = interface.policy
        return response

    return shows


def _kept(content: bytes, media: str) -> Response:
    response = Response(content, mimetype=media)
    response.headers["Cache-Control"] = KEPT_FOR
    response.set_etag(hashlib.blake2b(content, digest_size=8).hexdigest())
    response.make_conditional(request)
    return response
