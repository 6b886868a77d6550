"""One wide line for each thing that happened: JSON in production, for people in development."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from typing import Any

import structlog

from bridge.log import stderr
from bridge.log.traces import without_words

_ADDRESS = re.compile(r"[^\s\"'<>@,;:=]+@[^\s\"'<>@,;:]+")


def set_up(*, is_development: bool, least: int = logging.INFO) -> None:
    """Once for each process, at its start. Nothing personal and no secret is ever handed to a logger."""
    renderer: structlog.typing.Processor = _to_json
    if is_development:
        renderer = _for_people(structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()))
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,  # the id of the request that this is about
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            structlog.processors.ExceptionRenderer(without_words),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=_Lines,
        cache_logger_on_first_use=True,
    )


def warn_of_root() -> None:
    """At the start of web and worker in production: whoever breaks into one of them would have the whole machine."""
    if os.geteuid() == 0:
        structlog.get_logger().warning("process.is_root")


def _kind(value: object) -> str:
    """Of what is no plain value nothing is told but what it is: it may hold anything."""
    return f"<{type(value).__name__}>"


_encode = json.JSONEncoder(default=_kind).encode  # made once: json.dumps makes one for each line


def _to_json(_logger: Any, _method: str, line: structlog.typing.EventDict) -> str:
    return _without_address(_encode(line))


def _for_people(render: structlog.typing.Processor) -> structlog.typing.Processor:
    def rendered(logger: Any, method: str, line: structlog.typing.EventDict) -> str:
        # The same values as in JSON, so that nothing shows here that does not there.
        return _without_address(str(render(logger, method, json.loads(_encode(line)))))

    return rendered


def _without_address(text: str) -> str:
    """A last look: no line of the bridge is about an address, and one that slipped in is cut out."""
    return _ADDRESS.sub("[email]", text) if "@" in text else text


class _Lines:
    """Lines on stderr, each by one write that the system keeps whole.

    Without a lock: whoever writes gives up the interpreter, and would hold the lock until it is won back from all
    other threads while they wait for both.
    """

    lost = 0  # lines, of all loggers: whoever should read them reads too slowly, or not at all

    def __init__(self, *_: Any) -> None:
        self._stderr = stderr.opened()

    def write(self, line: bytes) -> None:
        """Errors: BlockingIOError, OSError."""
        self._stderr(line)

    def info(self, line: str) -> None:
        try:
            self.write(f"{line}\n".encode("utf-8", "backslashreplace"))
        except BlockingIOError:
            _Lines.lost += 1
        except OSError:
            pass  # nobody reads any more, or the disk is full, which is no reason to fail what is logged
        else:
            if _Lines.lost:
                lost, _Lines.lost = _Lines.lost, 0
                structlog.get_logger().warning("log.lost", lines=lost)

    debug = warning = error = critical = exception = info
