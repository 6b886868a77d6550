"""A request into its call and what is known of it; and what was stored once more into messages, as of now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.engine import Connection

from bridge.database import Database
from bridge.errors import FieldError, InvalidPayload, TemplateRefused
from bridge.ledger import addressees, events
from bridge.ledger.addressees import Addressees, Whom
from bridge.message import Message, NewMessage
from bridge.outbox import reading
from bridge.outbox.enqueue import accepted_content
from bridge.outbox.pieces import Refusal
from bridge.outbox.tables import key_of
from bridge.routes import ROUTES
from bridge.routes.addressing import Known
from bridge.routes.calendar_events import CalendarCall, Catalogue
from bridge.routes.calendar_messages import DESTINATION, line, plan, reason_of

LookUp = Callable[[Whom], Addressees]
NOT_RENDERED = "no template made it"

_ROUTES = {route.name: route for route in ROUTES}


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
        if payload["route"] not in _ROUTES:
            left = (
                "it can only be sent as it is stored" if message.request else "nothing of it is left to send"
            )
            told = f"no template made this message, so it cannot be rendered; {left}"
            raise InvalidPayload.of(FieldError("id", told))
        now = datetime.now(UTC)
        call = reparse(self.templates, payload["route"], payload, now)
        known = ask(self.database, call, self._look_up)
        made = plan(call, known, now, self.test_subscriptions).messages
        if message.request:
            made = tuple(m for m in made if m.account_code in (message.account_code, ""))[:1]
        if not made:
            told = f"nothing of this is for the account {message.account_code} now"
            raise InvalidPayload.of(FieldError("id", told))
        return made

    def _look_up(self, whom: Whom) -> Addressees:
        with self.database.read() as connection:
            return addressees.look_up(connection, [whom])[0]

    def for_job(self, message: Message, payload: dict[str, Any]) -> tuple[NewMessage, ...] | Refusal:
        """The same, with a refusal as what a job counts and the message keeps."""
        if payload["route"] not in _ROUTES:
            return Refusal(NOT_RENDERED)
        try:
            return self.again(message, payload)
        except TemplateRefused as refusal:
            return Refusal(refusal.cause, reason_of(refusal))
        except InvalidPayload as wrong:
            return Refusal(f"not right: {', '.join(sorted({e.field for e in wrong.errors}))}")


def reparse(catalogue: Catalogue, route_name: str, payload: dict[str, Any], now: datetime) -> CalendarCall:
    """A stored or new request into its call. Errors: InvalidPayload, TemplateRefused, NotFound."""
    return _ROUTES[route_name].read(
        payload["body"], payload["rest"], catalogue, now, payload["idempotency_key"]
    )


def ask(database: Database, call: CalendarCall, look_up: LookUp) -> Known:
    """What the ledgers know of a call's subscriptions and event."""
    whom = _whom(call)
    subscriptions = look_up(whom) if whom else {}
    if call.action == "create":
        return Known(subscriptions)
    with database.read() as connection:
        standing_in = events.accounts_with(connection, call.rokt_event_id)
        content = accepted_content(connection, subject_key(call))
        if content is None:
            standing_in = [one for one in standing_in if _stays(connection, one, call.rokt_event_id)]
        if content is None and standing_in:
            place = (standing_in[0], call.rokt_event_id)
            standing = events.standings(connection, [place])[place]
            return Known(subscriptions, standing_in, standing.content or (standing.unsent or {}).get("event"))
    content = content or {}
    return Known(subscriptions, sorted({*standing_in, *content.get("accounts", ())}), content.get("event"))


def _whom(call: CalendarCall) -> Whom | None:
    if call.subscription_ids:
        return Whom(call.subscription_ids)
    has_place = call.action == "delete" and call.accounts  # it is deleted there, whoever holds it
    return Whom((), call.user_id) if call.goes_by_user and call.user_id and not has_place else None


def subject_key(call: CalendarCall) -> int:
    return key_of("calendar_event", call.rokt_event_id)


def _stays(connection: Connection, account_code: str, rokt_event_id: str) -> bool:
    """False where a delete of the whole event waits as the last word."""
    its_line = key_of(DESTINATION, line(account_code, rokt_event_id))
    action, stored = reading.last_waiting_in(connection, its_line) or ("", {})
    return action != "delete" or bool(stored["subscription_ids"])
