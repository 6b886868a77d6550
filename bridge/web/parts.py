"""What the blueprints share, built once by create_app and handed to them."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from bridge.calendar.templates import Templates
from bridge.database import Database
from bridge.ledger.look_up import AccountLookUp
from bridge.outbox.enqueue import Inbox
from bridge.settings import Settings
from bridge.web.guard import Guard

THREADS = 32  # of one web process; gunicorn.conf.py reads it
MOST_WAITING = THREADS // 4  # may wait for an outcome: the rest go on accepting


@dataclass(frozen=True)
class Parts:
    settings: Settings
    database: Database
    inbox: Inbox
    accounts: AccountLookUp
    templates: Templates
    guard: Guard
    waiters: threading.BoundedSemaphore
