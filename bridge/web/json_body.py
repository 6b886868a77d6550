"""Reads a request's JSON, whatever its Content-Type says, and tells where it is broken."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from flask import Request

from bridge.calendar.event import json_type
from bridge.errors import InvalidPayload, MalformedJson, TooLarge, UnsupportedMediaType
from bridge.web.server import BROKEN_BODY

MOST_DEPTH = 32
# Strings whole, so that a comma inside one stays; one that never ends swallows the rest, as every part is read once.
_COMMAS = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|,(?=\s*[}\]])', re.DOTALL)
_FORMS = ("application/x-www-form-urlencoded", "multipart/")


def read_object(request: Request, *, is_lenient: bool = False) -> tuple[dict[str, Any], bytes]:
    """The body, an object, and its bytes. Errors: those of `read`, and InvalidPayload for what is no object."""
    body, raw = read(request, is_lenient=is_lenient)
    if not isinstance(body, dict):
        raise InvalidPayload(f"The body must be an object in braces, not {json_type(body)}.")
    return body, raw


def read(request: Request, *, is_lenient: bool = False) -> tuple[Any, bytes]:
    """The body, and its bytes. `is_lenient`: a comma before a closing bracket is passed over.

    Errors: UnsupportedMediaType for a form, TooLarge, MalformedJson with line and column, or for what is nested
    deeper than 32.
    """
    if (request.mimetype or "").startswith(_FORMS):
        raise UnsupportedMediaType("Send JSON with Content-Type: application/json; forms are not read here.")
    try:
        raw = request.get_data(cache=False)
    except BROKEN_BODY as wrong:
        raise MalformedJson("The body broke off, or its chunks do not follow HTTP/1.1.") from wrong
    if len(raw) < (request.content_length or 0):
        raise MalformedJson(f"The body broke off: {len(raw)} of its {request.content_length} bytes came.")
    most = request.max_content_length
    if request.content_length is None and most is not None and len(raw) >= most:
        raise TooLarge("A request may have 1 MiB at most.")  # in chunks, and cut off there without a word
    try:
        body = _loads(raw.decode("utf-8-sig"), is_lenient)
    except UnicodeDecodeError as wrong:
        raise MalformedJson(f"The body is not UTF-8: byte {wrong.start} cannot be read.") from wrong
    except json.JSONDecodeError as wrong:
        told = f"Line {wrong.lineno}, column {wrong.colno}: {wrong.msg}. In Braze, use json_escape for every value."
        raise MalformedJson(told if raw.strip() else "The body is empty: send a JSON object.") from wrong
    except RecursionError as wrong:
        raise MalformedJson("The body is nested too deeply.") from wrong
    except OverflowError as wrong:
        raise MalformedJson(f"The body holds a number that is too large: {wrong}.") from wrong
    except ValueError as wrong:
        raise MalformedJson(
            "The body holds a number that JSON does not know, or one with thousands of digits."
        ) from wrong
    if raw.count(b"[") + raw.count(b"{") > MOST_DEPTH and _depth(body) > MOST_DEPTH:
        raise MalformedJson("The body is nested too deeply.")
    return body, raw


def _loads(text: str, is_lenient: bool) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant, parse_float=_finite)
    except json.JSONDecodeError:
        if not is_lenient:
            raise
        without = _COMMAS.sub(lambda found: "" if found[0] == "," else found[0], text)
        return json.loads(without, parse_constant=_no_constant, parse_float=_finite)


def _no_constant(name: str) -> float:
    raise ValueError(name)


def _finite(digits: str) -> float:
    """1e400 would be infinite, which JSON does not know: it could not be written again."""
    number = float(digits)
    if math.isinf(number):
        raise OverflowError(digits[:20])
    return number


def _depth(body: Any) -> int:
    deepest, level = 0, [body]
    while level:
        deepest += 1
        level = [
            inner
            for item in level
            if isinstance(item, dict | list)
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
    return deepest
