"""A request into its call and what is known of it; and what was stored once more into messages, as of now."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.engine import Connection

from bridge.database import Database
from bridge.errors import FieldError, InvalidPayload, TemplateRefused
from bridge.ledger import events
from bridge.message import Message, NewMessage
from bridge.outbox import reading
from bridge.outbox.enqueue import accepted_content
from bridge.outbox.pieces import Refusal
from bridge.outbox.tables import key_of
from bridge.routes import ROUTES
from bridge.routes.calendar_events import CalendarCall, Catalogue
from bridge.routes.calendar_messages import DESTINATION, Known, line, plan, reason_of

Accounts = Callable[[Collection[str]], Mapping[str, str]]  # of subscriptions, those that were reached before


@dataclass(frozen=True)
class Renderer:
    """What a template refused, or `render=current`: made anew with the version published now."""

    database: Database
    templates: Catalogue
    test_subscriptions: frozenset[str]

    def again(self, message: Message, payload: dict[str, Any]) -> tuple[NewMessage, ...]:
        """What a stored message becomes, then what else has to be stored: the other accounts of one that had none.

        Errors: TemplateRefused, InvalidPayload.
        """
        now = datetime.now(UTC)
        call = reparse(self.templates, payload["route"], payload, now)
        known = ask(self.database, call, self._accounts)
        made = plan(call, known, now, self.test_subscriptions).messages
        if message.request:
            made = tuple(m for m in made if m.account_code in (message.account_code, ""))[:1]
        if not made:
            told = f"nothing of this is for the account {message.account_code} now"
            raise InvalidPayload.of(FieldError("id", told))
        return made

    def _accounts(self, subscription_ids: Collection[str]) -> Mapping[str, str]:
        with self.database.read() as connection:
            return events.accounts_of(connection, subscription_ids)

    def for_job(self, message: Message, payload: dict[str, Any]) -> tuple[NewMessage, ...] | Refusal:
        """The same, with a refusal as what a job counts and the message keeps."""
        try:
            return self.again(message, payload)
        except TemplateRefused as refusal:
            return Refusal(refusal.cause, reason_of(refusal))
        except InvalidPayload as wrong:
            return Refusal(f"not right: {', '.join(sorted({e.field for e in wrong.errors}))}")


def reparse(catalogue: Catalogue, route_name: str, payload: dict[str, Any], now: datetime) -> CalendarCall:
    """A stored or new request into its call. Errors: InvalidPayload, TemplateRefused, NotFound."""
    route = next(route for route in ROUTES if route.name == route_name)
    return route.read(payload["body"], payload["rest"], catalogue, now, payload["idempotency_key"])


def ask(database: Database, call: CalendarCall, accounts_of: Accounts) -> Known:
    """What the ledger knows of a call's subscriptions and event."""
    accounts = accounts_of(call.subscription_ids) if call.subscription_ids else {}
    if call.action == "create":
        return Known(accounts)
    with database.read() as connection:
        standing_in = events.accounts_with(connection, call.rokt_event_id)
        content = accepted_content(connection, subject_key(call))
        if content is None:
            standing_in = [one for one in standing_in if _stays(connection, one, call.rokt_event_id)]
        if content is None and standing_in:
            place = (standing_in[0], call.rokt_event_id)
            standing = events.standings(connection, [place])[place]
            return Known(accounts, standing_in, standing.content or (standing.unsent or {}).get("event"))
    content = content or {}
    return Known(accounts, sorted({*standing_in, *content.get("accounts", ())}), content.get("event"))


def subject_key(call: CalendarCall) -> int:
    return key_of("calendar_event", call.rokt_event_id)


def _stays(connection: Connection, account_code: str, rokt_event_id: str) -> bool:
    """False where a delete of the whole event waits as the last word."""
    its_line = key_of(DESTINATION, line(account_code, rokt_event_id))
    action, stored = reading.last_waiting_in(connection, its_line) or ("", {})
    return action != "delete" or bool(stored["subscription_ids"])
