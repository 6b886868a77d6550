"""The console's own files: small on the way, and kept by a browser for as long as they stay the same."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

from flask import Blueprint, Response, request, url_for
from werkzeug.security import safe_join

from bridge.console.roles import EVERYBODY, needs
from bridge.errors import NotFound
from bridge.web.server import aside

FOLDER = Path(__file__).parent / "static"
FOR_GOOD = "public, max-age=31536000, immutable"
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".txt": "text/plain"}


@dataclass(frozen=True)
class StaticFile:
    changed: int
    mark: str  # of what it holds
    content: bytes
    compressed: bytes


_files: dict[str, StaticFile] = {}


def static_url(name: str) -> str:
    """The address of static/`name`, which changes with its content. Errors: NotFound."""
    return url_for("console.static", name=name, v=_file(name).mark)


def register(console: Blueprint) -> None:
    @console.get("/static/<path:name>")
    @needs(EVERYBODY)
    def static(name: str) -> Response:
        file = _file(name)
        is_compressed = request.accept_encodings.quality("gzip") > 0
        response = Response(file.compressed if is_compressed else file.content)
        response.mimetype = TYPES[Path(name).suffix]
        response.headers["Vary"] = "Accept-Encoding"
        if is_compressed:
            response.headers["Content-Encoding"] = "gzip"
        response.set_etag(f"{file.mark}-{'gzip' if is_compressed else 'plain'}")
        # What is asked for without the mark of its content is asked for again, by its ETag.
        response.headers["Cache-Control"] = FOR_GOOD if request.args.get("v") == file.mark else "no-cache"
        response.make_conditional(request)
        return response


def _file(name: str) -> StaticFile:
    path = Path(safe_join(str(FOLDER), name) or "/")
    try:
        changed = path.stat().st_mtime_ns
        if path.suffix not in TYPES:
            raise FileNotFoundError
        if name not in _files or _files[name].changed != changed:
            _files[name] = aside(_read, path, changed)
    except (OSError, ValueError) as missing:
        raise NotFound("There is no such file.") from missing
    return _files[name]


def _read(path: Path, changed: int) -> StaticFile:
    content = path.read_bytes()
    return StaticFile(changed, hashlib.sha256(content).hexdigest()[:12], content, gzip.compress(content))
