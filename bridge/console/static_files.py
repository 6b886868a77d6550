"""Addresses of the console's own files that change with their content, so that a browser may keep them for good."""

from __future__ import annotations

import hashlib
from pathlib import Path

from flask import Response, request, url_for

FOLDER = Path(__file__).parent / "static"
FOR_GOOD = "public, max-age=31536000, immutable"

_marks: dict[str, tuple[int, str]] = {}  # by name: when the file was changed, and the mark of what it holds


def static_url(name: str) -> str:
    """The address of static/`name`. Errors: FileNotFoundError."""
    return url_for("console.static", filename=name, v=_mark(name))


def cache(response: Response) -> None:
    """What was asked for by its content's mark is kept; anything else is asked for again, by its ETag."""
    name = (request.view_args or {}).get("filename", "")
    is_marked = response.status_code in (200, 304) and request.args.get("v") == _mark(name)
    response.headers["Cache-Control"] = FOR_GOOD if is_marked else "no-cache"


def _mark(name: str) -> str:
    path = FOLDER / name
    changed = path.stat().st_mtime_ns
    if name not in _marks or _marks[name][0] != changed:
        _marks[name] = changed, hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    return _marks[name][1]
