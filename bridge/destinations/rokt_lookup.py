"""Asks Rokt for a subscription of which a webhook left something out: `GET /v1/subscription/{subscriptionId}`.

Whatever Rokt answers, the change that waited for it goes on: with what was found, or with what was said.
https://roktcalendar-api.readme.io/reference/get-v1-subscription-subscriptionid
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import structlog
from sqlalchemy.engine import Connection

from bridge.destinations.outcomes import of_answer, of_trouble
from bridge.errors import DatabaseUnavailable, UpstreamTrouble
from bridge.ledger.subscribers import subscriptions_of
from bridge.message import Delivered, Json, Message, Outcome, Rejected, Retry, Skipped, Uncertain
from bridge.subscribers.change import LookedUp
from bridge.subscribers.names import Told, facts_of
from bridge.subscribers.subscription import Subscription
from bridge.upstream import Answer, Upstream

ACTION = "look_up"
BEFORE = "it was looked up before"
UNKNOWN = "Rokt does not know this subscription; went on with what was said"
UNREADABLE = "Rokt's answer cannot be read; went on with what was said"
NO_CREDENTIAL = "no credential of Rokt Calendar's is set for its account; went on with what was said"

# Takes what was found into the outbox, with what Rokt told. Errors: DatabaseUnavailable.
Accept = Callable[[LookedUp, Json, Message], None]

log = structlog.get_logger()


@dataclass(frozen=True)
class Asked:
    """The standing of a look-up. `before`: another one has seen to it."""

    before: bool


def standings(connection: Connection, messages: Sequence[Message]) -> list[Asked]:
    known = subscriptions_of(connection, {message.request["subscription_id"] for message in messages})
    return [Asked(_was_asked(known.get(m.request["subscription_id"]), m.request)) for m in messages]


def _was_asked(known: Subscription | None, request: Json) -> bool:
    """What is asked beside its change counts as asked from then on."""
    return known is not None and known.is_looked_up and not request.get("is_beside")


def nowhere(_found: LookedUp, _told: Json, _message: Message) -> None:
    raise DatabaseUnavailable("Nothing takes in what is found here.")


def look_up(
    message: Message,
    asked: Asked,
    upstream: Upstream | None,
    owner: str,
    accept: Accept,
    turn: Callable[[], None],
) -> Outcome:
    """`upstream`: with the credential of `owner`, an account or "" for the common one."""
    if asked.before:
        return _goes_on(message, accept, Skipped(BEFORE))
    if upstream is None:
        return _goes_on(message, accept, Skipped(NO_CREDENTIAL))
    path = f"/v1/subscription/{quote(message.request['given_id'], safe='')}"
    started = time.monotonic()
    try:
        answer = upstream.send("GET", path, headers={"X-Request-Id": message.sent_as}, turn=turn)
    except UpstreamTrouble as trouble:
        ms = round((time.monotonic() - started) * 1000)
        return _again(of_trouble(trouble, ms, refused_account=owner))
    outcome = of_answer(answer, message.account_code)
    if isinstance(outcome, Rejected):
        return _goes_on(message, accept, Skipped(UNKNOWN))
    if not isinstance(outcome, Delivered):
        return outcome
    if (told := _told(answer)) is None:
        return _goes_on(message, accept, Skipped(UNREADABLE))
    if told.faults:
        log.warning(
            "look_up.left_out", message=message.id, request_id=message.request_id, facts=list(told.faults)
        )
    return _goes_on(message, accept, Delivered(answer.status, ms=answer.ms), told)


def _goes_on(message: Message, accept: Accept, outcome: Outcome, told: Told | None = None) -> Outcome:
    """The change that waited goes on; until that is stored nothing has happened."""
    told = told or Told()
    request = message.request
    found = LookedUp(
        request["action"],
        request["given_id"],
        request.get("event"),
        facts=told.facts,
        subscriber_id=told.subscriber_id,
        email=told.email,
        at=message.received_at,
        is_active=told.is_active,
    )
    said = {"subscription_id": request["given_id"], "facts": dict(told.facts)}
    if told.subscriber_id is not None:
        said["subscriber_id"] = told.subscriber_id
    try:
        accept(found, said, message)
    except DatabaseUnavailable as down:
        return Retry(str(down))
    return outcome


def _again(outcome: Outcome) -> Outcome:
    """A question changes nothing: it may be asked again, answered or not."""
    if isinstance(outcome, Uncertain):
        return Retry(outcome.reason, ms=outcome.ms, is_trouble=True)
    return outcome


def _told(answer: Answer) -> Told | None:
    body = answer.json()
    return facts_of(body) if isinstance(body, dict) else None
