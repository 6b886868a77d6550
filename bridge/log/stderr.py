"""Standard error as lines are written to it: whoever should read them and does not must hold up nobody."""

from __future__ import annotations

import _socket  # the system's own: gevent's would wait for room, and change what other processes have too
import fcntl
import os
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial

PIPE_BYTES = 1024 * 1024  # as much as anybody may ask for; some thousand lines


def opened() -> Callable[[bytes], int]:
    """Writes a line to it. Of a pipe, and of a socket as systemd gives, without waiting until there is room.

    Not the given one changed: other processes have the same.
    """
    given = sys.stderr.fileno()
    what = os.fstat(given)
    return _writes(given, stat.S_IFMT(what.st_mode), what.st_ino)


@cache
def _writes(given: int, kind: int, _inode: int) -> Callable[[bytes], int]:
    if kind == stat.S_IFSOCK:
        return partial(_send, _socket.socket(fileno=os.dup(given)))
    return partial(os.write, _own(given) if kind == stat.S_IFIFO else given)


def _send(own: _socket.socket, line: bytes) -> int:
    return own.send(line, _socket.MSG_DONTWAIT)


def _own(given: int) -> int:
    try:
        own = os.open(f"/proc/self/fd/{given}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # it is somebody else's, or there is no /proc
        return given
    with suppress(OSError):
        fcntl.fcntl(own, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return own
