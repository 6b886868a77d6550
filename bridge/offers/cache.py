"""Answers that are kept for a while, bounded in bytes: what was not asked for the longest goes first."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

ENTRY_BYTES = 500  # what an entry takes beside its content

Kept = TypeVar("Kept")


@dataclass(frozen=True)
class _Entry(Generic[Kept]):
    kept: Kept
    size: int
    ends_at: float


class Cache(Generic[Kept]):
    """For threads and for greenlets: its lock is held for a look-up alone. `clock`: monotonic, in seconds."""

    def __init__(self, most_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most_bytes, self._clock = most_bytes, clock
        self._lock = threading.Lock()
        self._entries: OrderedDict[bytes, _Entry[Kept]] = OrderedDict()
        self.bytes = 0

    def get(self, key: bytes) -> Kept | None:
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            if self._clock() >= entry.ends_at:
                self._drop(key)
                return None
            self._entries.move_to_end(key)
            return entry.kept

    def put(self, key: bytes, kept: Kept, size: int, life: float) -> None:
        """`size`: bytes of the content; `life`: seconds."""
        entry = _Entry(kept, size + ENTRY_BYTES, self._clock() + life)
        if entry.size > self._most_bytes:
            return
        with self._lock:
            if key in self._entries:
                self._drop(key)
            self._entries[key] = entry
            self.bytes += entry.size
            while self.bytes > self._most_bytes:
                self._drop(next(iter(self._entries)))

    def _drop(self, key: bytes) -> None:
        self.bytes -= self._entries.pop(key).size
