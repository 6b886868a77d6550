"""What a page's own script asks for: JSON in, and its mistakes as JSON too, each with its field."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from flask import jsonify, request
from flask.typing import ResponseReturnValue

from bridge.errors import InvalidPayload

MOST_BYTES = 512 * 1024  # of a request: a text, a form's changes of it, and values


def answers_a_script(view: Callable[..., ResponseReturnValue]) -> Callable[..., ResponseReturnValue]:
    """InvalidPayload becomes 422 `{"errors": [{field, message}]}` instead of a page."""

    @wraps(view)
    def answer(*given: Any, **named: Any) -> ResponseReturnValue:
        try:
            return view(*given, **named)
        except InvalidPayload as wrong:
            told = [{"field": one.field, "message": one.message} for one in wrong.errors]
            return jsonify({"errors": told or [{"field": "", "message": wrong.detail}]}), 422

    return answer


def body() -> Mapping[str, Any]:
    """What the script sent: JSON, or JSON in a form's field, as a download needs it. Errors: InvalidPayload."""
    if (request.content_length or 0) > MOST_BYTES:
        raise InvalidPayload("This is too long.")
    given = request.get_json(silent=True)
    if given is None and "asked" in request.form:
        try:
            given = json.loads(request.form["asked"])
        except ValueError:
            given = None
    if not isinstance(given, dict):
        raise InvalidPayload("The page sent nothing that can be read: load it again.")
    return given
