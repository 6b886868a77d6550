"""One wide line for each thing that happened: JSON in production, for people in development."""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Any

import structlog

_encode = json.JSONEncoder(default=repr).encode  # made once: json.dumps makes one for each line


def set_up(*, is_development: bool) -> None:
    """Once for each process, at its start. Nothing personal and no secret is ever handed to a logger."""
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer(_to_json)
    if is_development:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=_Lines,
        cache_logger_on_first_use=True,
    )


def _to_json(line: dict[str, Any], **_: Any) -> str:
    return _encode(line)


class _Lines:
    """Lines on stderr, each by one write that the system keeps whole.

    Without a lock: whoever writes gives up the interpreter, and would hold the lock until it is won back from all
    other threads while they wait for both.
    """

    def __init__(self, *_: Any) -> None:
        self._stderr = sys.stderr.fileno()

    def info(self, line: str) -> None:
        os.write(self._stderr, f"{line}\n".encode("utf-8", "backslashreplace"))

    debug = warning = error = critical = exception = info
