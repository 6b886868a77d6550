"""Where the web processes of this machine keep what they count, so that each of them can serve it for all.

Apart from the rest, as prometheus_client must not be imported before the place has its name.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

NAME = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client's own
_MEMORY = Path("/dev/shm")  # noqa: S108  mkdtemp makes a place of its own there


def make() -> str:
    """This master's place, made once however often its settings are read; in memory if there is such a place."""
    ours = f"bridge-metrics-{os.getpid()}-"
    standing = os.environ.get(NAME, "")
    if ours in standing:
        return standing
    around = _MEMORY if os.access(_MEMORY, os.W_OK) else Path(tempfile.gettempdir())
    sweep(around)
    os.environ[NAME] = tempfile.mkdtemp(prefix=ours, dir=around)
    return os.environ[NAME]


def sweep(around: Path) -> None:
    """Take away what masters left that were killed."""
    for left in around.glob("bridge-metrics-*"):
        owner = re.match(r"bridge-metrics-([0-9]+)-", left.name)
        if owner is not None and not _is_alive(int(owner[1])):
            shutil.rmtree(left, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    with suppress(PermissionError):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
    return True
