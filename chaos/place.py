"""Where the outbox of a run is: a file of SQLite, or a PostgreSQL of its own."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))

from postgres import Server


@dataclass(frozen=True)
class Place:
    """`server` for PostgreSQL, `path` for SQLite."""

    url: str
    server: Server | None = None
    path: str = ""


@contextmanager
def a_place(name: str, folder: Path) -> Iterator[Place]:
    if name == "sqlite":
        yield Place(f"sqlite:///{folder}/bridge.db", path=f"{folder}/bridge.db")
        return
    home = Path(tempfile.mkdtemp(prefix="pg-"))
    # What is committed must be there after the server was killed; the tests' own settings give that up for speed.
    server = Server(home, "-c synchronous_commit=on")
    server.start()
    try:
        yield Place(server.url, server)
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)
