"""Where a preview's values come from: pasted text, the payload of a message, or somebody's latest one."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from bridge.console import words
from bridge.errors import FieldError, InvalidPayload
from bridge.ledger.subscribers import subscriptions_of
from bridge.outbox import reading
from bridge.outbox.by_template import Seen, newest_of, newest_of_user
from bridge.routes.calendar_events import KEYS
from bridge.routes.calendar_messages import DESTINATION
from bridge.subscribers.facts import key_of_subscription

MOST_SHOWN = 20  # recent messages to choose from
MOST_DRAWN_FROM = 500  # of which one is drawn at random
MOST_PASTED = 200_000  # characters

_EXTERNAL_ID = "external_id:"


@dataclass(frozen=True)
class Values:
    """What a template gets. `words`: whose values they are, and what is odd about them."""

    variables: Mapping[str, Any]
    words: str


@dataclass(frozen=True)
class Asked:
    """`text`: what was pasted, or the id of a message or of a user."""

    template: str
    text: str
    test_subscriptions: frozenset[str]


def recent(connection: Connection, template: str) -> list[Seen]:
    return newest_of(connection, DESTINATION, template, MOST_SHOWN)


def find(connection: Connection, source: str, asked: Asked) -> Values:
    """`source`: one of SOURCES. Errors: InvalidPayload that says what to do."""
    look = SOURCES.get(source)
    if look is None:
        raise _nothing("There are no such values.")
    return look(connection, asked)


def pasted(text: str) -> Values:
    """JSON, a whole webhook's body, or lines of `name = value`. Errors: InvalidPayload."""
    if len(text) > MOST_PASTED:
        raise _nothing(f"This is too long: {MOST_PASTED:,} characters are the most.")
    text = text.strip()
    if not text.startswith(("{", "[")):
        return _said(dict(_pair(number, line) for number, line in _lines_of(text)), "The pasted values")
    try:
        body = json.loads(text, strict=False)
    except ValueError as wrong:
        at = (
            f" in line {wrong.lineno}, column {wrong.colno}"
            if isinstance(wrong, json.JSONDecodeError)
            else ""
        )
        raise _nothing(f"This JSON has a mistake{at}: is a comma or a quote missing?") from wrong
    if not isinstance(body, dict):
        raise _nothing('Paste an object, {"name": "value"}, or lines such as name = value.')
    return _said(variables_of(body), "The pasted values")


def variables_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """The variables of a webhook's body, which may be flat, or the variables alone."""
    given = body.get("variables")
    if isinstance(given, Mapping):
        return dict(given)
    if not {"template", "user_id", "account_code", "subscription_ids"} & body.keys():
        return dict(body)
    return {key: value for key, value in body.items() if key not in KEYS}


def _pasted(_connection: Connection, asked: Asked) -> Values:
    return pasted(asked.text)


def _of_message(connection: Connection, asked: Asked) -> Values:
    found = reading.one(connection, asked.text.strip()[:100])
    if found is None:
        raise _nothing("There is no message with this id; it may be older than what is kept.")
    body = found["payload"]
    if found["template"] is None or not isinstance(body, Mapping):
        raise _nothing("No template made this message: it brought its event with it.")
    other = "" if found["template"] == asked.template else f" It was made for {found['template']}."
    return _said(variables_of(body), f"A message for {found['user_id'] or 'nobody'}.{other}")


def _of_user(connection: Connection, asked: Asked) -> Values:
    user = asked.text.strip()[:500]
    if not user:
        raise _nothing("Write the user's id, as Braze has it.")
    return _latest_of(connection, user, asked.template)


def _of_anybody(connection: Connection, asked: Asked) -> Values:
    found = newest_of(connection, DESTINATION, asked.template, MOST_DRAWN_FROM)
    if not found:
        raise _nothing("No message of this template came in of late, so there is nobody to choose from.")
    return _of_seen(connection, random.choice(found))  # noqa: S311  nothing depends on who it is


def _of_team(connection: Connection, asked: Asked) -> Values:
    if not asked.test_subscriptions:
        raise _nothing("The environment's TEST_SUBSCRIPTIONS names nobody: whoever runs the bridge sets it.")
    keys = [key_of_subscription(one) for one in asked.test_subscriptions]
    known = subscriptions_of(connection, keys)
    users = [
        one.identifier.removeprefix(_EXTERNAL_ID)
        for one in known.values()
        if one.identifier and one.identifier.startswith(_EXTERNAL_ID)
    ]
    for template in (asked.template, None):
        seen = [found for user in users if (found := newest_of_user(connection, user, template))]
        if seen:
            return _of_seen(connection, max(seen, key=lambda one: one.received_at))
    raise _nothing("No message has come in yet for those whom TEST_SUBSCRIPTIONS names: send one first.")


def _latest_of(connection: Connection, user: str, template: str) -> Values:
    seen = newest_of_user(connection, user, template) or newest_of_user(connection, user, None)
    if seen is None:
        raise _nothing("No template's message came in for this user, as far back as messages are kept.")
    return _of_seen(connection, seen)


def _of_seen(connection: Connection, seen: Seen) -> Values:
    found = reading.one(connection, seen.id)
    if found is None or not isinstance(found["payload"], Mapping):
        raise _nothing("This message is not kept any more.")
    told = f"The latest message for {seen.user_id}, {words.moment(seen.received_at)}."
    return _said(variables_of(found["payload"]), f"{told} It was made for {found['template']}.")


def _lines_of(text: str) -> list[tuple[int, str]]:
    found = [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1)]
    lines = [(number, line) for number, line in found if line and not line.startswith("#")]
    if not lines:
        raise _nothing('Paste JSON, such as {"first_name": "Ada"}, or lines such as first_name = Ada.')
    return lines


def _pair(number: int, line: str) -> tuple[str, str]:
    match = _PAIR.fullmatch(line)
    if match is None:
        raise _nothing(f"Line {number} is no value: write name = value.")
    value = match[2].strip().rstrip(",").strip()
    return match[1], value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value


def _said(variables: dict[str, Any], whose: str) -> Values:
    unfilled = [name for name, value in variables.items() if isinstance(value, str) and _has_liquid(value)]
    told = whose if whose.endswith(".") else f"{whose}."
    if unfilled:
        named = ", ".join(unfilled[:5])
        told += f" Braze has not filled in {named}: what stands in {{{{…}}}} is taken as it is."
    return Values(variables, told)


def _has_liquid(text: str) -> bool:
    """No pattern: one would try each of ten thousand beginnings up to the end."""
    return any((at := text.find(opens)) >= 0 and text.find(closes, at + 2) >= 0 for opens, closes in _LIQUID)


def _nothing(told: str) -> InvalidPayload:
    return InvalidPayload(told, [FieldError("", told)])


_PAIR = re.compile(r"[\"']?([A-Za-z_][\w.-]*)[\"']?\s*[=:]\s*(.*)", re.DOTALL)
_LIQUID = (("{{", "}}"), ("{%", "%}"))

SOURCES: Mapping[str, Callable[[Connection, Asked], Values]] = {
    "pasted": _pasted,
    "message": _of_message,
    "user": _of_user,
    "anybody": _of_anybody,
    "team": _of_team,
}
