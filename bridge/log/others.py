"""What Python and the libraries say comes out as lines of the bridge, without what they say it about."""

from __future__ import annotations

import ast
import logging
import sys
import threading
import warnings
from functools import lru_cache
from pathlib import Path
from types import FrameType, TracebackType
from typing import TextIO

import structlog

CALLERS = 4  # that are looked at for where a text comes from; libraries wrap their loggers

log = structlog.get_logger()


def listen() -> None:
    """Once for each process that the bridge is alone in, after `set_up`."""
    root = logging.getLogger()
    root.handlers[:] = [_Handler()]
    root.setLevel(logging.WARNING)
    sys.excepthook = of_process
    threading.excepthook = _of_thread
    sys.unraisablehook = _of_clean_up
    warnings.showwarning = _of_warning


def of_process(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        log.critical("process.failed", error=kind.__name__, exc_info=error)


def of_greenlet(
    context: object,
    t: type[BaseException] | None,
    v: BaseException | str | None,
    tb: TracebackType | None,
) -> None:
    """For gevent's hub. The context is not told: it holds what the greenlet was called with."""
    log.error(
        "greenlet.failed",
        error=t.__name__ if t else "",
        exc_info=v if isinstance(v, BaseException) else None,
    )


def _of_thread(told: threading.ExceptHookArgs) -> None:
    name = told.thread.name if told.thread else ""
    log.error("thread.failed", thread=name, error=told.exc_type.__name__, exc_info=told.exc_value)


def _of_clean_up(told: sys.UnraisableHookArgs) -> None:
    log.error("clean_up.failed", error=told.exc_type.__name__, exc_info=told.exc_value)


def _of_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    log.warning("python.warned", kind=category.__name__, place=f"{filename}:{lineno}")


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        try:
            log.log(
                max(record.levelno, logging.WARNING),
                "library.said",
                logger=record.name,
                said=_said(record),
                place=f"{record.pathname}:{record.lineno}",
                exc_info=record.exc_info if record.exc_info and record.exc_info[1] else None,
            )
        except Exception:  # noqa: BLE001  logging's own way out shows the record with all that is in it
            log.error("library.said", logger=record.name, said="")


def _said(record: logging.LogRecord) -> str:
    """Its text as it stands in the program, with numbers filled in: what else is filled in may be anybody's."""
    template = record.msg
    if not isinstance(template, str) or not _stands_in_source(template):
        return ""
    if not record.args:
        return template
    given = record.args if isinstance(record.args, tuple) else tuple(record.args.values())
    try:
        return template % tuple(one if isinstance(one, int | float) else "…" for one in given)
    except (TypeError, ValueError):
        return template


def _stands_in_source(text: str) -> bool:
    frame: FrameType | None = sys._getframe()
    looked = 0
    while frame is not None and looked < CALLERS:
        path = frame.f_code.co_filename
        if path not in (__file__, logging.__file__):
            looked += 1
            if text in _texts(path):
                return True
        frame = frame.f_back
    return False


@lru_cache(maxsize=32)
def _texts(path: str) -> frozenset[str]:
    """The texts that stand in a file of Python."""
    try:
        tree = ast.parse(Path(path).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return frozenset()
    texts = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return frozenset(text for text in texts if isinstance(text, str))
