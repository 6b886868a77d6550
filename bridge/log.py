"""One wide line for each thing that happened: JSON in production, for people in development."""

from __future__ import annotations

import logging
import sys

import structlog


def set_up(*, is_development: bool) -> None:
    """Once for each process, at its start. Nothing personal and no secret is ever handed to a logger."""
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer()
    if is_development:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
