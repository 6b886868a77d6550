"""Standard error as lines are written to it: whoever should read them and does not must hold up nobody."""

from __future__ import annotations

import fcntl
import os
import stat
import sys
from contextlib import suppress
from functools import cache

PIPE_BYTES = 1024 * 1024  # as much as anybody may ask for; some thousand lines


def opened() -> int:
    """Its file descriptor; of a pipe an own one, whose writes do not wait until there is room.

    Not the given one changed: other processes have the same.
    """
    given = sys.stderr.fileno()
    what = os.fstat(given)
    return _own(given, what.st_ino) if stat.S_ISFIFO(what.st_mode) else given


@cache
def _own(given: int, _inode: int) -> int:
    try:
        own = os.open(f"/proc/self/fd/{given}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # it is somebody else's, or there is no /proc
        return given
    with suppress(OSError):
        fcntl.fcntl(own, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return own
