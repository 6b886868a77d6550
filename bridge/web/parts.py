"""What the blueprints share, built once by create_app and handed to them."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.calendar.previews import Previews
from bridge.calendar.templates import Templates
from bridge.database import Database
from bridge.groups import Groups
from bridge.ledger.addressees import Addressees, Whom
from bridge.ledger.subscribers import SubscriberLedger
from bridge.offers import Offers
from bridge.outbox.enqueue import Inbox
from bridge.places import Places
from bridge.settings import Settings
from bridge.web.guard import Guard

MOST_WAITING = 32  # of one process may wait for an outcome, each of them looking again and again


@dataclass(frozen=True)
class Parts:
    settings: Settings
    database: Database
    inbox: Inbox
    ledger: SubscriberLedger
    addressees: Groups[Whom, Addressees]
    templates: Templates
    previews: Previews
    guard: Guard
    waiters: Places
    offers: Offers | None
