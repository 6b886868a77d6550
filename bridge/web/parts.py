"""What the blueprints share, built once by create_app and handed to them."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from bridge.calendar.templates import Templates
from bridge.database import Database
from bridge.groups import Groups
from bridge.outbox.enqueue import Inbox
from bridge.settings import Settings
from bridge.web.guard import Guard

MOST_WAITING = 32  # of one process may wait for an outcome, each of them looking again and again


@dataclass(frozen=True)
class Parts:
    settings: Settings
    database: Database
    inbox: Inbox
    accounts: Groups[Collection[str], Mapping[str, str]]
    templates: Templates
    guard: Guard
    waiters: threading.BoundedSemaphore
