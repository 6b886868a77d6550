"""So many at a time, and who finds no place free goes on without."""

from __future__ import annotations

import threading


class Places:
    """Shared by threads or greenlets.

    A semaphore of `threading` looks whether it holds its own lock when somebody leaves, and with gevent that look
    gives way to all other greenlets, with the lock held: while the loop is busy, the last of a hundred that leave
    at once has waited for seconds.
    """

    def __init__(self, count: int) -> None:
        self._lock = threading.Lock()
        self.count = self.free = count
        self.is_closed = False

    def take(self) -> bool:
        with self._lock:
            if self.is_closed or not self.free:
                return False
            self.free -= 1
            return True

    def close(self) -> None:
        """No place is given any more; who has one may look at `is_closed`."""
        self.is_closed = True

    def leave(self) -> None:
        """Errors: ValueError for one that was never taken."""
        with self._lock:
            if self.free == self.count:
                raise ValueError("nobody has this place")
            self.free += 1
